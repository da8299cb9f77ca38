"""A gate's outcome for a CI system (JUnit XML) and for a pull request (markdown).

JUnit has no word for a check that could not be decided. It becomes an `error`, which JUnit means
for a test that came to no verdict: CI systems count and show it apart from failures and stop at it.
As `skipped` it would look like a check that somebody switched off, beside a job that failed.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence

from green_edge.build import words
from green_edge.build.compare.values import Comparison
from green_edge.core.gate import Check, GateResult
from green_edge_wire.errors import BudgetError, InconclusiveError
from green_edge_wire.units import UJ_PER_MJ, mj_from_uj

_SUITE = "green-edge compare"
_PERCENT = 100.0
_ELEMENTS = {"fail": "failure", "inconclusive": "error"}
# XML 1.0 has no way at all to write these.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEAST = ("quality.min", "quality.min_other_outputs")
_MARKS = {"pass": "pass", "fail": "**FAIL**", "inconclusive": "**INCONCLUSIVE**"}


def check_gate(result: GateResult) -> None:
    """Pass on a gate's verdict.

    Raises:
        BudgetError: the new model is over a limit.
        InconclusiveError: it is over none, but for one of them that cannot be told.
    """
    if result.verdict == "fail":
        raise BudgetError(f"gate failed: {_named(result, 'fail')}")
    if result.verdict == "inconclusive":
        raise InconclusiveError(f"gate inconclusive: {_named(result, 'inconclusive')}")


def _named(result: GateResult, verdict: str) -> str:
    return "; ".join(
        f"{title(check)}: {check.reason}" for check in result.checks if check.verdict == verdict
    )


def title(check: Check) -> str:
    """Key of the gate file, and the target where there is one."""
    return check.name if check.target is None else f"{check.name} {check.target}"


def limit(check: Check) -> str:
    """A limit such as `20,000 B`."""
    return "not set" if check.limit is None else figure(check.limit, check.unit)


def found(check: Check) -> str:
    """What was found, such as `+0.40 pp (-0.10 to +0.90)`; of an estimate the range alone."""
    value = "-" if check.value is None else figure(check.value, check.unit)
    if check.low is None or check.high is None:
        return value
    low, high = figure(check.low, check.unit), figure(check.high, check.unit)
    number, _, unit = low.partition(" ")
    # The unit once, where it is the same.
    low = number if high.endswith(f" {unit}") else low
    if check.target is not None:
        return f"estimate {low} to {high}"
    return f"{value} ({low} to {high.partition(' ')[0]})"


def figure(value: float, unit: str) -> str:
    """A figure of a check with its unit."""
    shown = _FIGURES.get(unit)
    return words.count(round(value)) if shown is None else shown(value)


def _energy(energy_uj: float) -> str:
    if energy_uj < UJ_PER_MJ:
        return f"{energy_uj:,.0f} uJ"
    return f"{mj_from_uj(energy_uj):,.2f} mJ"


_FIGURES: Mapping[str, Callable[[float], str]] = {
    "pp": lambda drop_pp: f"{words.points(drop_pp)} pp",
    "share": words.percent,
    "B": lambda length_bytes: f"{length_bytes:,.0f} B",
    "ratio": lambda ratio: f"{ratio:.3g} x",
    "us": words.latency,
    "uJ": _energy,
}


# --- JUnit ---------------------------------------------------------------------------------------


def junit(comparison: Comparison, result: GateResult) -> str:
    """The outcome as JUnit XML: one test suite, a test case a check; no times, so that it repeats.

    It holds to `junit-10.xsd` of the Jenkins xUnit plugin, what GitLab reads, and Surefire's names.
    """
    verdicts = [check.verdict for check in result.checks]
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count("fail")),
        "errors": str(verdicts.count("inconclusive")),
    }
    root = ET.Element("testsuites", {"name": _SUITE, **counts})
    suite = ET.SubElement(root, "testsuite", {"name": _SUITE, **counts, "skipped": "0"})
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("baseline", comparison.a),
        ("baseline_sha256", comparison.sha256.a),
        ("new", comparison.b),
        ("new_sha256", comparison.sha256.b),
        ("verdict", result.verdict),
    ):
        ET.SubElement(properties, "property", {"name": name, "value": _xml(value)})
    for check in result.checks:
        _case(suite, check)
    ET.indent(root)
    body: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _case(suite: ET.Element, check: Check) -> None:
    table, _, key = check.name.partition(".")
    name = key if check.target is None else f"{key} ({check.target})"
    case = ET.SubElement(suite, "testcase", {"classname": f"green-edge.{table}", "name": name})
    told = f"{check.what}: {found(check)}, limit: {_bound(check)}{limit(check)}"
    element = _ELEMENTS.get(check.verdict)
    if element is None:
        ET.SubElement(case, "system-out").text = _xml(told)
        return
    facts = {"type": check.verdict, "message": _xml(f"{told}; {check.reason}")}
    ET.SubElement(case, element, facts).text = _xml(check.reason)


def _bound(check: Check) -> str:
    if check.limit is None:
        return ""
    return "at least " if check.name in _LEAST else "at most "


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)


# --- markdown ------------------------------------------------------------------------------------


def markdown(comparison: Comparison, result: GateResult) -> str:
    """The outcome as a short page of GitHub's markdown."""
    quality = comparison.quality
    interval = f"{_pp(quality.low)} to {_pp(quality.high)} pp"
    size, zipped, macs = comparison.size_bytes, comparison.zip_bytes, comparison.macs
    figures = [
        (quality.metric, words.percent(quality.a), words.percent(quality.b),
         f"{_pp(quality.difference)} pp ({interval})"),
        ("size", words.size(size.a), words.size(size.b), words.change(size.a, size.b)),
        ("zipped", words.size(zipped.a), words.size(zipped.b), words.change(zipped.a, zipped.b)),
        ("MACs", words.count(macs.a), words.count(macs.b), words.change(macs.a, macs.b)),
    ]  # fmt: skip
    checks = [
        (f"`{title(check)}`", limit(check), found(check), _MARKS[check.verdict])
        for check in result.checks
    ]
    undecided = [
        f"- `{title(check)}`: {_cell(check.reason)}"
        for check in result.checks
        if check.verdict != "pass"
    ]
    paired = "paired " if quality.paired else ""
    parts = [
        f"### green-edge gate: {_MARKS[result.verdict]}",
        f"{_code(comparison.b)} against {_code(comparison.a)}, {quality.n:,} {paired}samples.",
        _table(("check", "limit", "found", "verdict"), checks),
        *(["\n".join(undecided)] if undecided else []),
        _table(("", "baseline", "new", "change"), figures),
        *(_cell(words.sentence(note)) for note in comparison.notes),
    ]
    return "\n\n".join(parts) + "\n"


def _pp(share: float) -> str:
    return words.points(share * _PERCENT)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _code(path: str) -> str:
    text = _xml(path).replace("`", "").replace("\n", " ")
    return f"`{text}`"
