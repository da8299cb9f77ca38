"""What CI systems accept as JUnit XML: the rules of Jenkins' junit-10.xsd, as far as ours needs."""

import xml.etree.ElementTree as ET

# Element: its required attributes, its optional ones, the elements that may stand in it.
_RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def breaches(document: str) -> list[str]:
    """Where a document breaks the rules; empty for a valid one."""
    root = ET.fromstring(document)  # noqa: S314 - our own output
    found = [] if root.tag == "testsuites" else [f"root is {root.tag}"]
    for element in root.iter():
        required, optional, inside = _RULES.get(element.tag, (set(), set(), set()))
        if element.tag not in _RULES:
            found.append(f"{element.tag} is unknown")
        found += [f"{element.tag} lacks {name}" for name in required - set(element.keys())]
        extra = set(element.keys()) - required - optional
        found += [f"{element.tag} has {name}" for name in extra]
        found += [f"{child.tag} in {element.tag}" for child in element if child.tag not in inside]
    for suite in root.iter("testsuite"):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            if int(suite.get(name, "-1")) != len(list(suite.iter(tag))):
                found.append(f"{name} is not the number of {tag}")
    return found
