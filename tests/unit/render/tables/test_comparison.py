"""The blocks of a comparison, as the terminal and markdown show them."""

from math import nan

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.api.compared import ComparedVersions
from mlrek.comparison import (
    Comparison,
    Difference,
    Judgement,
    Scope,
    TestSets,
    Verdict,
    Why,
    judge_differences,
)
from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.evaluation import Project, Provider, Task, Version
from mlrek.policy.relative import say_worse_labels
from mlrek.promotion.compare import Compared
from mlrek.render import Line, Table, render_markdown
from mlrek.render.comparison import (
    build_candidate_json,
    comparison_blocks,
    list_label_rows,
    list_why_notes,
    tabulate_why,
    write_summary,
)
from mlrek.render.comparison_numbers import build_label_rows, say_labels

LABELS = tuple(f"label {i}" for i in range(100))
PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:project", name="p")
OLD, NEW = (Version(project=PROJECT, arn=f"arn:{name}", name=name) for name in ("old", "new"))


def _compare(*differences, **options):
    sets = TestSets(
        verdict=Verdict.SAME,
        shared=100,
        only_baseline=0,
        only_candidate=0,
        relabelled=0,
        duplicated=0,
    )
    return Comparison(
        baseline=OLD,
        candidate=NEW,
        task=Task.CLASSIFICATION,
        labels=("a", "b", "c", "d"),
        test_sets=sets,
        differences=judge_differences(differences),
        **options,
    )


def _label(label, low, high, p, moved):
    """F1 of a label, whose decisions have an adjusted p."""
    ends = {"scope": Scope.SHARED, "label": label, "baseline": 0.5, "candidate": 0.5 + moved}
    ends |= {"low": low, "high": high}
    return (
        Difference(name="label_f1", **ends),
        Difference(name="label_decisions", p=p / 4, p_adjusted=p, **ends),
    )


@pytest.fixture
def four():
    """Of four labels one got worse and one better for sure, one by its own interval alone."""
    return _compare(
        *_label("a", -0.3, -0.1, 0.001, -0.2),
        *_label("b", 0.01, 0.3, 0.2, 0.15),
        *_label("c", -0.1, 0.1, 1.0, 0.01),
        *_label("d", 0.1, 0.3, 0.01, 0.2),
    )


def test_a_label_that_only_its_own_interval_tells_is_undecided_and_said_so(four):
    """Three words for what was judged, and why the second label is neither."""
    rows = build_label_rows(four)["rows"]

    assert {row["name"]: (row["judgement"], row["kind"], row["holm"]) for row in rows} == {
        "a": ("worse", "worse", "0.001"),
        "b": ("not after adjustment", "lost", "0.2"),
        "c": ("undecided", "undecided", "1"),
        "d": ("better", "better", "0.01"),
    }


def test_terminal_markdown_json_and_the_gate_name_the_same_labels(four):
    """Those that Holm leaves: one better, one worse."""
    (table,) = (
        block
        for block in comparison_blocks(four, 120)
        if isinstance(block, Table) and "p (Holm)" in block.columns
    )
    document = build_candidate_json(four)["metrics"]
    summary = write_summary(four)

    assert [(row[0], row[-1]) for row in table.rows] == [("a", "worse"), ("d", "better")]
    assert {d["label"]: d["judgement"] for d in document if d["name"] == "label_f1"} == {
        "a": "worse",
        "b": "undecided",
        "c": "undecided",
        "d": "better",
    }
    assert [line.split(" | ")[0] for line in summary.splitlines() if "worse" in line] == ["| a"]
    assert "| d | 0.5000 | 0.7000 | +0.2000 | 0.01 | better |" in summary
    assert say_worse_labels(four).partition(": ")[2] == "a (decisions 0.5 to 0.3)"


def test_the_page_and_python_s_table_judge_labels_as_the_others_do(four):
    """Both hold every label: what the page calls lost to the adjustment is undecided in Python."""
    compared = Compared(
        evaluations=(),
        read_images=(),
        list_kept=(),
        comparisons=(four,),
        several=None,
        runs=(),
    )
    frame = ComparedVersions(compared=compared).labels.query("name == 'label_f1'")
    page = {row["name"]: row["kind"] for row in build_label_rows(four)["rows"]}

    assert dict(zip(frame.label, frame.judgement, strict=True)) == {
        label: kind.replace("lost", "undecided") for label, kind in page.items()
    }
    assert page == {"a": "worse", "b": "lost", "c": "undecided", "d": "better"}


def test_how_many_labels_the_adjustment_took_is_said(four):
    """In the terminal and in markdown."""
    said = "The 95 % interval of 1 of 4 labels leaves 0 out by itself, but not after adjustment"

    assert any(isinstance(b, Line) and said in b.text for b in comparison_blocks(four, 80))
    assert said in write_summary(four)
    assert say_labels(four).startswith(f"1 better, 1 worse, 2 undecided. {said}")


def test_a_hundred_labels_of_equal_versions_are_all_undecided():
    """By their own intervals alone about five would be better or worse."""
    rng = np.random.default_rng(11)
    y_true = rng.integers(0, 100, 3_000)
    sides = []
    for _ in range(2):
        y_pred = np.where(rng.random(3_000) < 0.7, y_true, rng.integers(0, 100, 3_000))
        records = [[(code, 0.9)] for code in y_pred.tolist()]
        evaluation = build_evaluation([[code] for code in y_true.tolist()], records, labels=LABELS)
        sides.append(Side(evaluation=evaluation))
    comparison = compare_versions(*sides, CompareSettings())
    own = [d for d, _ in list_label_rows(comparison)]
    sure = {Judgement.BETTER, Judgement.WORSE}

    assert len(own) == 100
    assert sum(d.is_lost_to_adjustment for d in own) > 0
    assert not [d for d in comparison.differences if d.label and d.judgement in sure]
    assert "for sure" not in write_summary(comparison)


def _why(**parts):
    none = dict.fromkeys(("label_set", "test_set", "relabelled", "threshold", "unexplained"), 0.0)
    return Why(**{**none, "model": 0.1, "total": 0.1, **parts})


def test_parts_that_changed_no_number_are_named_in_one_line():
    """A part that is 0 for one number and unknown for another stays a row."""
    why = {
        "aggregate/accuracy": _why(),
        "at_threshold/f1_macro": _why(threshold=nan, intervals={"model": (0.05, 0.15)}),
    }
    comparison = _compare(why=why)
    table = tabulate_why(comparison)

    assert table.rows == [
        ["the model", "+10.00", "+10.00 (+5.0 to +15.0)"],
        ["the thresholds", "0.00", "—"],
        ["in all", "+10.00", "+10.00"],
    ]
    assert list_why_notes(comparison) == [
        "no change from other labels, other test images, changed truth"
    ]


def test_a_part_of_zero_with_an_interval_stays_a_row():
    """It may have changed something."""
    why = {"aggregate/accuracy": _why(test_set=0.0, intervals={"test_set": (-0.01, 0.02)})}

    assert tabulate_why(_compare(why=why)).rows[0] == ["other test images", "0.00 (-1.0 to +2.0)"]


def test_the_parts_of_a_change_fit_into_80_columns():
    """With the widest ends that can be, three numbers and their names are in no wider a table."""
    part = {"model": (-0.99, -0.11)}
    names = ("aggregate/f1_macro", "at_threshold/f1_macro", "reported/f1")
    why = {name: _why(model=-0.55, total=-0.55, intervals=part) for name in names}
    (table,) = (
        b for b in comparison_blocks(_compare(why=why), 80) if getattr(b, "whole", frozenset())
    )
    widths = [max(len(row[i]) for row in table.rows) for i in range(4)]

    assert table.columns[0] in table.whole
    assert sum(widths) + 3 <= 80


def test_markdown_has_no_broken_titles():
    """What the terminal breaks is one line there."""
    why = {"at_threshold/f1_macro": _why()}

    assert "| points of change | F1 macro at the assumed thresholds |" in render_markdown(
        [tabulate_why(_compare(why=why))]
    )
