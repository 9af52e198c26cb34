"""A decision as JUnit XML, which CI systems show test by test.

What Jenkins, GitLab and Azure read of it is described by two schemas, that of Apache Ant's task and
that of Maven's Surefire; this file is valid by both, which is why it has elements that are empty.
"""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from mlrek.tables.decision import format_cells, list_doubts, name_check, say_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlrek.policy import Check, Decision, Forgive

SUITE = "mlrek check"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"failed": "failure", "undecided": "error", "ignored": "skipped"}


def write_junit(decision: "Decision", policy: str, forgive: "Forgive" = "") -> bytes:
    """One test case for each check: undecided is an error, or skipped where it was forgiven."""
    outcomes = [_choose_element(check, decision, forgive) for check in decision.checks]
    root = ET.Element("testsuites")
    described = {
        "name": SUITE,
        "package": SUITE,
        "id": "0",
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "hostname": "localhost",
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": "0",
    }
    suite = ET.SubElement(root, "testsuite", described)
    properties = ET.SubElement(suite, "properties")
    for name, value in _describe(decision, policy).items():
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    names = _name_cases(decision.checks)
    for check, name, element in zip(decision.checks, names, outcomes, strict=True):
        _add_case(suite, check, name, element)
    ET.SubElement(suite, "system-out").text = _clean(say_verdict(decision, forgive))
    doubts = (f"doubt: {text}" for text in list_doubts(decision))
    ET.SubElement(suite, "system-err").text = _clean("\n".join((*doubts, *decision.warnings)))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _choose_element(check: "Check", decision: "Decision", forgive: "Forgive") -> str:
    """The element that says how a check ended, '' for one that passed.

    Of a version that bears the alias already nothing is decided, so nothing fails a job.
    """
    element = _ELEMENTS.get(check.status.value, "")
    if element and decision.already_champion:
        return "skipped"
    if element == "error" and forgive == "pass" and decision.exit_code(forgive) == 0:
        return "skipped"
    return element


def _name_cases(checks: "Sequence[Check]") -> list[str]:
    """A name for each check that no other one has: CI systems keep the history of a test by it.

    Checks of one number are told apart by their limits, and those of one limit by their order.
    """
    plain = [_clean(name_check(check)) for check in checks]
    often = Counter(plain)
    limits = [format_cells(check)[5] for check in checks]
    named = [
        f"{name} limit {limit}" if often[name] > 1 else name
        for name, limit in zip(plain, limits, strict=True)
    ]
    seen: Counter[str] = Counter()
    for i, name in enumerate(named):
        seen[name] += 1
        named[i] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return named


def _add_case(suite: ET.Element, check: "Check", name: str, element: str) -> None:
    kind = f"mlrek.check.{check.kind.value}"
    case = ET.SubElement(suite, "testcase", name=name, classname=kind, time="0")
    if not element:
        return
    message = _clean(check.reason)
    said = ET.SubElement(case, element, message=message)
    if element != "skipped":
        said.set("type", check.status.value)
        said.text = f"{message}\n{_clean(_describe_numbers(check))}"


def _describe_numbers(check: "Check") -> str:
    value, baseline, limit, interval = format_cells(check)[3:7]
    named = {"value": value, "baseline": baseline, "limit": limit, "interval": interval}
    return ", ".join(f"{name} {cell}" for name, cell in named.items() if cell)


def _describe(decision: "Decision", policy: str) -> dict[str, str]:
    described = {"policy": policy, "verdict": decision.verdict.value}
    for role, identity in (("candidate", decision.candidate), ("baseline", decision.baseline)):
        if identity is not None:
            described[role] = identity.version
            described[f"{role}_arn"] = identity.version_arn
            described[f"{role}_run_id"] = identity.run_id
    return described


def _clean(text: str) -> str:
    """Text without the characters that no XML file may hold, even escaped."""
    return _NO_XML.sub("\ufffd", text)
