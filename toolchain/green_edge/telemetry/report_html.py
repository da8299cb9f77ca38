"""The report as one HTML file that needs nothing else: no script, no font, no network."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from green_edge.telemetry import moments, words
from green_edge.telemetry.report import Report, ordered
from green_edge.telemetry.report_charts import energy_charts, latency_chart

_TEMPLATE = "report.html.j2"


def render(report: Report) -> str:
    """Write the report for a reader who was not there."""
    environment = Environment(
        loader=PackageLoader("green_edge.telemetry"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    latency = latency_chart(report.rows)
    page: str = environment.get_template(_TEMPLATE).render(
        report=report,
        rows=ordered(report.rows),
        words=words,
        moment=moments.show_moment,
        charts=[*energy_charts(report.rows), *([latency] if latency else [])],
        kinds=sorted({row.kind for row in report.rows if row.kind}),
        boundaries=sorted({row.boundary for row in report.rows if row.boundary}),
        flags=sorted({flag for row in report.rows for flag in row.flags}),
    )
    return page
