"""The build report as one HTML file that needs nothing else: no script, no font, no network."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from green_edge.build import words
from green_edge.build.charts import Chart, Estimate, chart
from green_edge.build.pareto import Plot, plot
from green_edge.core.report import BuildReport

_TEMPLATE = "build-report.html.j2"
_PERCENT = 100.0


def render(report: BuildReport) -> str:
    """Write the report for a reader who has not seen the tool before."""
    environment = Environment(
        loader=PackageLoader("green_edge.build"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(_TEMPLATE)
    page: str = template.render(
        report=report,
        words=words,
        qualities=_qualities(report),
        drop=_drop(report),
        pareto=_pareto(report),
        metric=words.metric(report.chosen.quality.metric),
    )
    return page


def _pareto(report: BuildReport) -> Plot | None:
    if report.search is None:
        return None
    return plot(report.search, report.guard.max_drop_pp)


def _qualities(report: BuildReport) -> Chart:
    return chart(
        [
            Estimate(
                words.label(report, c.recipe),
                c.quality.value * _PERCENT,
                c.quality.low * _PERCENT,
                c.quality.high * _PERCENT,
                strong=c.recipe == report.chosen.recipe,
            )
            for c in words.rows(report)
        ]
    )


def _drop(report: BuildReport) -> Chart:
    guard = report.guard
    estimate = Estimate("float minus int8", guard.drop_pp, guard.low_pp, guard.high_pp, strong=True)
    return chart([estimate], limit=guard.max_drop_pp, zero=True)
