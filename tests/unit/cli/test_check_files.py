"""What CI systems are given: JUnit XML, and GitHub's annotations and summary."""

import re
from xml.etree import ElementTree as ET

import pytest
from builders.policies import F1, make_candidate, make_opponent, run

from mlrek.cli.check import render_annotations, report_to_github
from mlrek.policy import Figure
from mlrek.render.decision import write_junit

NASTY = "x\n::error::y\r%0A\x00\x1b[31m<&\"'\ud800,:"
TOML = f"""
[[floor]]
metric = "{F1}"
min = 0.8
[[floor]]
metric = "label_recall/*"
min = 0.5
[[floor]]
metric = "aggregate/none"
min = 0.5
[[better]]
metric = "{F1}"
"""


@pytest.fixture
def decision():
    """Ignored, passed, failed, undecided, ignored; a label with all that is awkward in its name."""
    figures = {F1: Figure(value=0.9), ("label_recall", NASTY): Figure(value=0.4)}
    return run(TOML, make_candidate(figures, labels=(NASTY,)))


def decide_on_too_little():
    """Undecided: the interval of a number that is there reaches below the limit."""
    floor = f'[[floor]]\nmetric = "{F1}"\nmin = 0.8\nconfidence = 0.95\n'
    return run(floor, make_candidate({F1: Figure(value=0.9, low=0.7, high=0.95)}))


def test_junit_is_what_the_common_schemas_ask_for(decision):
    """Ant's elements in its order with all that it requires; nothing unknown to Surefire's."""
    root = ET.fromstring(write_junit(decision, "p.toml"))  # noqa: S314 - our own file
    (suite,) = root

    assert (root.tag, root.attrib, suite.tag) == ("testsuites", {}, "testsuite")
    assert [child.tag for child in suite] == [
        "properties",
        *["testcase"] * 5,
        "system-out",
        "system-err",
    ]
    assert set(suite.attrib) == {
        "name",
        "package",
        "id",
        "timestamp",
        "hostname",
        "tests",
        "failures",
        "errors",
        "skipped",
        "time",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
    assert all(set(p.attrib) == {"name", "value"} for p in suite.find("properties"))
    for case in suite.iter("testcase"):
        assert set(case.attrib) == {"name", "classname", "time"}
        assert len(case) <= 1
        for said in case:
            assert said.tag in {"failure", "error", "skipped"}
            typed = set() if said.tag == "skipped" else {"type"}
            assert set(said.attrib) == {"message"} | typed


def test_junit_counts_what_it_holds(decision):
    """Failed is a failure, undecided an error, ignored skipped."""
    (suite,) = ET.fromstring(write_junit(decision, "p.toml"))  # noqa: S314 - our own file
    found = [case[0].tag if len(case) else "" for case in suite.iter("testcase")]

    assert found == ["skipped", "", "failure", "error", "skipped"]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "2"}


def test_junit_of_what_was_forgiven_is_skipped():
    """`--undecided pass` shows no error, unless the versions cannot be compared."""
    open_ = decide_on_too_little()
    other = run(f'[[better]]\nmetric = "{F1}"\n', opponent=make_opponent(incomparable="no"))

    assert b"<error" not in write_junit(open_, "p.toml", "pass")
    assert b"<error" in write_junit(open_, "p.toml")
    assert b"<error" in write_junit(other, "p.toml", "pass")


def test_junit_tells_checks_of_one_number_apart():
    """By their limits, and those of one limit by their order: CI systems join equal names."""
    floors = "".join(
        f'[[floor]]\nmetric = "{F1}"\n{limits}\n'
        for limits in ("min = 0.8", "min = 0.5\nmax = 0.95", "min = 0.8\nconfidence = 0.9")
    )
    root = ET.fromstring(  # noqa: S314 - our own file
        write_junit(run(floors + '[[floor]]\nmetric = "label_recall/a"\nmin = 0.5\n'), "p.toml")
    )

    assert [case.get("name") for case in root.iter("testcase")] == [
        f"floor {F1} limit 0.8000",
        f"floor {F1} limit 0.5000",
        f"floor {F1} limit 0.9500",
        f"floor {F1} limit 0.8000 (2)",
        "floor label_recall/a",
    ]


def test_an_annotation_is_one_line_whatever_a_label_is_called(decision):
    """No name ends the command, begins another, or passes for an escape."""
    lines = render_annotations(decision, "dir,a:b/p.toml")

    assert len(lines) == 4 + 1 - 1  # two ignored ones have one reason; the last is the verdict
    for line in lines:
        assert re.match(r"::(error|warning|notice) file=dir%2Ca%3Ab/p.toml,title=[^:,]+::", line)
        assert line.isprintable()
        line.encode()
    assert any(line.startswith("::error") and "%250A" in line for line in lines)
    assert lines[-1].startswith("::error")


@pytest.mark.parametrize(
    ("forgive", "level", "may"),
    [("", "warning", "may not"), ("pass", "notice", "may be"), ("fail", "error", "may not")],
)
def test_the_verdict_s_annotation_agrees_with_the_exit_code(forgive, level, may):
    """What `--undecided` says holds there too."""
    open_ = decide_on_too_little()
    verdict = render_annotations(open_, "p.toml", forgive)[-1]

    assert verdict.startswith(f"::{level} ")
    assert may in verdict


def test_what_failed_is_annotated_first():
    """GitHub shows ten annotations: no failure is hidden behind what is undecided."""
    toml = "".join(f'[[floor]]\nmetric = "aggregate/{c * 9}"\nmin = 0.5\n' for c in "bcdghijkl")
    toml += f'[[floor]]\nmetric = "{F1}"\nmin = 0.99\n'
    lines = render_annotations(run(toml, make_candidate({F1: Figure(value=0.9)})), "p.toml")

    assert lines[0].startswith("::error")
    assert len(lines) == 10


def test_github_gets_annotations_on_stderr_and_a_summary(decision, tmp_path, capsys):
    """Stdout stays the result's; the summary is added to what is there."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    report_to_github(decision, "### text", "p.toml", environ)
    shown = capsys.readouterr()

    assert shown.out == ""
    assert shown.err.count("\n::") == 3
    assert summary.read_text() == "before\n### text\n"


def test_a_summary_is_never_longer_than_github_takes(decision, tmp_path):
    """It would show none at all: lines without room are left out and counted."""
    path = tmp_path / "summary.md"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    report_to_github(decision, "### text\n\n" + "- 漢漢漢\n" * 200_000, "p.toml", environ)

    assert path.stat().st_size < 2**20
    assert "### text" in path.read_text()
    assert "lines are left out**" in path.read_text()


def test_elsewhere_nothing_is_said(decision, tmp_path, capsys):
    """Another CI that has such a variable by chance is no GitHub."""
    path = tmp_path / "summary.md"
    report_to_github(decision, "x", "p.toml", {"GITHUB_STEP_SUMMARY": str(path)})

    assert capsys.readouterr() == ("", "")
    assert not path.exists()


def test_a_summary_that_cannot_be_written_is_a_warning(decision, tmp_path, capsys):
    """The verdict matters more."""
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}
    report_to_github(decision, "x", "p.toml", environ)

    assert "summary cannot be written" in capsys.readouterr().err
