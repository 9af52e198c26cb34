"""A decision in words: JSON, a table's cells, markdown."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from builders.policies import (
    F1,
    make_candidate,
    make_comparison,
    make_difference,
    make_opponent,
    run,
)
from builders.sliced import decide_slices, make_sites, with_sites

from mlrek.policy import Figure, Looks
from mlrek.render import Note, write_json
from mlrek.render.checks import format_cells, list_notes
from mlrek.render.decision import (
    build_decision_json,
    decision_blocks,
    say_verdict,
    write_decision_markdown,
    write_junit,
)

NUMBER = {"type": ["number", "null"]}
IDENTITY = {
    "type": "object",
    "required": ["version", "version_arn", "run_id"],
    "additionalProperties": False,
    "properties": {
        "version": {"type": "string"},
        "version_arn": {"type": "string"},
        "run_id": {"type": ["string", "null"]},
    },
}
CHECK = {
    "kind": {"enum": ["test_set", "floor", "no_worse", "better"]},
    "metric": {"type": "string"},
    "label": {"type": ["string", "null"]},
    "slice": {"type": ["string", "null"]},
    "status": {"enum": ["passed", "failed", "undecided", "ignored"]},
    **dict.fromkeys(("value", "baseline", "limit", "low", "high"), NUMBER),
    "reason": {"type": ["string", "null"]},
}
SCHEMA = {
    "type": "object",
    "required": [
        *("verdict", "candidate", "baseline", "checks", "images_needed", "images_needed_range"),
        *("already_champion", "looks", "doubts", "warnings"),
    ],
    "additionalProperties": False,
    "properties": {
        "verdict": {"enum": ["passed", "failed", "undecided"]},
        "candidate": IDENTITY,
        "baseline": {"anyOf": [IDENTITY, {"type": "null"}]},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": CHECK,
                "required": list(CHECK),
                "additionalProperties": False,
            },
        },
        "images_needed": {"type": ["integer", "null"]},
        "images_needed_range": {"type": ["array", "null"], "items": {"type": "integer"}},
        "already_champion": {"type": "boolean"},
        "looks": {"type": ["object", "null"]},
        "doubts": {"type": "array", "items": {"type": "object"}},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}
TOML = f"""
[[floor]]
metric = "{F1}"
min = 0.89
confidence = 0.95
[[floor]]
metric = "label_recall/*"
min = 0.5
[[no_worse]]
metric = "{F1}"
margin = 0.02
"""
NASTY = "a|b\n::error::<b>x</b> %0A"


@pytest.fixture
def decision():
    """One check of each kind, a label with an awkward name, something open and something failed."""
    figures = {
        F1: Figure(value=0.9, low=0.88, high=0.92),
        ("label_recall", NASTY): Figure(value=0.4),
    }
    opponent = make_opponent(make_comparison(make_difference(-0.01, 0.05)))
    return run(TOML, make_candidate(figures, labels=(NASTY,)), opponent)


def test_json_has_the_keys_that_are_promised(decision):
    """With and without a baseline; a missing number is null."""
    for one in (decision, run(TOML)):
        document = json.loads(write_json(build_decision_json(one)))
        jsonschema.validate(document, SCHEMA)
        assert document["checks"][0]["value"] is None


def test_json_of_a_label(decision):
    """The label by its raw name, next to the number's."""
    (check,) = [c for c in build_decision_json(decision)["checks"] if c["label"]]

    assert (check["metric"], check["label"], check["status"]) == ("label_recall", NASTY, "failed")
    assert (check["value"], check["limit"], check["baseline"]) == (0.4, 0.5, None)


def test_cells_show_the_sign_of_a_change_only(decision):
    """A floor's limit is a number, a margin a change."""
    _, floor, _, no_worse = map(format_cells, decision.checks)

    assert floor[3:7] == ["0.9000", "", "≥ 0.89", "0.8800 to 0.9200"]
    assert no_worse[3:7] == ["0.9200", "0.9000", "≥ -0.02", "-0.0100 to +0.0500"]


def test_reasons_that_are_the_same_are_told_once():
    """Two ignored checks and the test set have one cause."""
    texts = [note.text for note in list_notes(run(TOML + f'[[better]]\nmetric = "{F1}"\n'))]

    assert sum("is not there yet" in text for text in texts) == 1
    assert any("(and 2 more)" in text for text in texts)


@pytest.mark.parametrize(
    ("limit", "forgive", "words"),
    [
        (0.8, "", "passed: v2 may be promoted: 1 of 1 check passed"),
        (0.95, "", "failed: v2 may not be promoted: 1 of 1 check failed"),
        (0.89, "", "undecided: v2 may not be promoted yet: 1 of 1 check undecided, none failed"),
        (0.89, "pass", "undecided: v2 may be promoted (--undecided pass)"),
        (0.89, "fail", "undecided: v2 may not be promoted (--undecided fail)"),
    ],
)
def test_the_verdict_is_a_sentence(limit, forgive, words):
    """It says what may be done, and why."""
    decision = run(f'[[floor]]\nmetric = "{F1}"\nmin = {limit}\nconfidence = 0.95\n')

    assert say_verdict(decision, forgive).startswith(words)


def test_markdown_shows_names_as_plain_text(decision):
    """No name ends a cell or a line, or becomes HTML."""
    text = write_decision_markdown(decision)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    unescaped = [row.replace("\\|", "").count("|") for row in rows]

    assert len(rows) == 2 + sum(check.status != "passed" for check in decision.checks)
    assert set(unescaped) == {9}
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "❌ failed" in text


def test_what_is_to_be_known_is_told_in_every_output(decision):
    """Reasons, and how many versions were checked; in markdown warnings too, after the reasons."""
    looks = Looks(count=3, k=2, chance=0.05)
    asked = replace(decision, looks=looks, warnings=("the file was cut",))
    markdown = write_decision_markdown(asked)
    shown = [block.text for block in decision_blocks(asked, "", 120) if isinstance(block, Note)]

    assert "- **failed** floor label\\_recall/" in markdown
    assert "- **looks** Checked as number 2 of 3 logged versions" in markdown
    assert markdown.endswith("\n- **warning** the file was cut\n")
    assert any(text.startswith("Checked as number 2 of 3 logged versions") for text in shown)


@pytest.mark.parametrize("value", [NASTY, "x" * 10_000, "=*", "@dog #12", "</script><script>"])
def test_a_slice_of_any_name_is_no_more_than_a_name(value):
    """One line a row in markdown, no tag, no mention; JSON and JUnit have the name itself."""
    sizes = {"a": 30, "b": 30}
    version = with_sites(make_sites(sizes, sizes), [value] * 30 + ["b"] * 30)
    toml = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 1.5\nslice = "site=*"\n'
    decision = decide_slices(toml, version)
    document = build_decision_json(decision)
    markdown = write_decision_markdown(decision)
    rows = [line for line in markdown.splitlines() if line.startswith("| floor")]
    junit = ET.fromstring(write_junit(decision, "p.toml"))  # noqa: S314 - we wrote it

    assert {check["slice"] for check in document["checks"]} == {f"site={value}", "site=b"}
    assert len(rows) == 2
    assert not re.search(r"(?<!\\)<\w|(?<![\w&])@dog", markdown)
    assert any(value[:9] in case.get("name") for case in junit.iter("testcase"))
