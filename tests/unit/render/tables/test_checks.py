"""Checks as people read them: what did not pass first, labels that passed in one line."""

import re
from collections import Counter

import pytest
from builders.policies import (
    F1,
    make_candidate,
    make_comparison,
    make_difference,
    make_opponent,
    run,
)
from markdown_it import MarkdownIt

from mlrek.policy import Check, CheckKind, Figure, Metric, Status
from mlrek.render import Line, Note, Table
from mlrek.render.checks import COLUMNS, hides_checks, say_limit
from mlrek.render.decision import decision_blocks, write_decision_markdown

RECALLS = '[[floor]]\nmetric = "label_recall/*"\nmin = 0.8\n'
SURE_F1 = f'[[floor]]\nmetric = "{F1}"\nmin = 0.8\nconfidence = 0.95\n'


def decide(recalls, toml=RECALLS, **more):
    """The decision on labels `label 000`, … with these recalls, and F1 0.9 (0.88 to 0.92)."""
    labels = tuple(f"label {i:03}" for i in range(len(recalls)))
    figures = {F1: Figure(value=0.9, low=0.88, high=0.92)}
    named = zip(labels, recalls, strict=True)
    figures |= {("label_recall", label): Figure(value=value) for label, value in named}
    return run(toml, make_candidate(figures, labels=labels), **more)


def show(decision, **options):
    """The text of each block but tables, as the terminal has them."""
    blocks = decision_blocks(decision, "", 80, **options)
    return [
        block.strong + block.text if isinstance(block, Line) else f"{block.kind}  {block.text}"
        for block in blocks
        if isinstance(block, Line | Note)
    ]


def find_rows(decision, **options):
    """The rows of all tables, as dicts."""
    tables = [b for b in decision_blocks(decision, "", 80, **options) if isinstance(b, Table)]
    rows = [dict(zip(t.columns, row, strict=True)) for t in tables for row in t.rows]
    return [dict.fromkeys(COLUMNS, "") | row for row in rows]


def test_labels_that_passed_are_one_line_with_the_lowest():
    """85 of 100 labels: no row of theirs, and which came nearest."""
    lines = show(decide([0.5] * 15 + [0.9] * 84 + [0.83]))

    assert "✓  85 of 100 labels passed label_recall ≥ 0.80 (lowest: 0.830 'label 099')" in lines


def test_a_maximum_is_told_by_its_highest_label():
    """Of a number that is to be small the largest one matters."""
    lines = show(decide([0.1, 0.3], RECALLS.replace("min", "max")))

    assert "✓  all 2 labels passed label_recall ≤ 0.80 (highest: 0.300 'label 001')" in lines


def test_only_what_did_not_pass_has_rows_the_worst_first():
    """Numbers of all labels, then those of each; within these failed, then undecided."""
    unknown = '[[floor]]\nmetric = "aggregate/none"\nmin = 0.5\n'
    high = SURE_F1.replace("0.8", "0.95")
    rows = find_rows(decide([0.7, 0.9, 0.6], RECALLS + unknown + high))

    assert [(row["metric"], row["label"], row["verdict"]) for row in rows] == [
        (F1, "", "failed"),
        ("aggregate/none", "", "undecided"),
        ("label_recall", "label 002", "failed"),
        ("label_recall", "label 000", "failed"),
    ]


def test_labels_that_failed_for_one_reason_have_one_line():
    """How many of how many, by which rule, and the worst with its numbers."""
    lines = show(decide([0.7, 0.9, 0.6]))

    (line,) = (line for line in lines if line.startswith("failed  "))
    assert line == (
        "failed  2 of 3 labels, label_recall ≥ 0.80; lowest, 'label 002': "
        "0.6 is 0.2 below the minimum 0.8"
    )


def test_a_hundred_labels_fit_on_a_screen_whatever_became_of_them():
    """All fail, or none does."""
    for recall in (0.1, 0.9):
        decision = decide([recall] * 100, RECALLS + SURE_F1)
        assert len(show(decision)) + len(find_rows(decision)) <= 24
        assert hides_checks(decision)


def test_many_labels_with_a_limit_each_are_one_rule():
    """A policy may ask something else of every label: it is told by the range of limits."""
    floors = "".join(
        f'[[floor]]\nmetric = "label_recall/label {i:03}"\nmin = 0.{50 + i}\n' for i in range(30)
    )
    lines = show(decide([0.9] * 30, floors))

    assert (
        "✓  all 30 labels passed label_recall ≥ 0.50 to 0.79 "
        "(nearest to its limit: 0.900 'label 029')" in lines
    )


def test_a_few_labels_with_a_limit_each_are_told_one_by_one():
    """Whoever names them wants to see them; one that is asked of twice is still one label."""
    lines = show(decide([0.9, 0.9], RECALLS.replace("*", "label 001") + RECALLS))

    assert "✓  all 2 labels passed label_recall ≥ 0.80 (lowest: 0.900 'label 001')" in lines
    one = show(decide([0.9, 0.9], RECALLS.replace("*", "label 001")))
    assert "✓  floor label_recall/label 001 0.900 ≥ 0.80" in one


def test_every_check_has_a_row_where_all_are_wanted():
    """Failed ones first still."""
    decision = decide([0.9, 0.5, 0.9], RECALLS + SURE_F1)
    rows = find_rows(decision, unfolds=True)

    assert len(rows) == len(decision.checks)
    assert [row["verdict"] for row in rows] == ["failed", "passed", "passed", "passed"]
    assert not any(line.startswith("✓") for line in show(decision, unfolds=True))


@pytest.mark.parametrize("unfolds", [False, True])
def test_a_narrow_terminal_has_lines_in_place_of_a_table(unfolds):
    """With 60 columns a cell would have five."""
    blocks = decision_blocks(decide([0.9, 0.5], RECALLS + SURE_F1), "", 60, unfolds=unfolds)
    notes = [(block.kind, block.text) for block in blocks if isinstance(block, Note)]

    assert not any(isinstance(block, Table) for block in blocks)
    assert ("failed", "floor label_recall/label 001 0.500 ≥ 0.80") in notes
    assert (("passed", "floor label_recall/label 000 0.900 ≥ 0.80") in notes) == unfolds


def test_no_check_is_lost_in_folding():
    """Rows and counts of what is folded add up to all checks."""
    decision = decide([0.9] * 5 + [0.5] * 3, RECALLS + SURE_F1)
    rows = Counter(row["verdict"] for row in find_rows(decision))

    assert rows == {"failed": 3}
    assert sum("5 of 8 labels passed" in line for line in show(decision)) == 1
    assert sum(line.startswith("✓  floor") for line in show(decision)) == 1


def test_the_verdict_is_the_first_line():
    """What is asked is answered first, in one line."""
    assert show(decide([0.9]))[0].startswith("passed: v2 may be promoted")


def test_the_verdict_ends_a_long_answer_too():
    """Whoever looks at the end of a log sees it; a short answer says it once."""
    short, long = show(decide([0.9])), show(decide([0.1] * 100, RECALLS * 2))

    assert sum(line.startswith("passed:") for line in short) == 1
    assert long[0] == long[-1]
    assert long[-1].startswith("failed: v2 may not be promoted")


def test_a_change_is_told_with_what_may_be_lost():
    """The change of the number, its interval, and the margin as a sign."""
    toml = f'[[no_worse]]\nmetric = "{F1}"\nmargin = 0.01\n[[better]]\nmetric = "{F1}"\n'
    opponent = make_opponent(make_comparison(make_difference(0.01, 0.05)))
    lines = show(decide([0.9], toml, opponent=opponent))

    assert f"✓  no_worse {F1} +0.030 (+0.010 to +0.050), no worse than -0.01" in lines
    assert f"✓  better {F1} +0.030 (+0.010 to +0.050)" in lines


@pytest.mark.parametrize(
    ("kind", "limit", "is_maximum", "said"),
    [
        (CheckKind.FLOOR, 0.9, False, "≥ 0.90"),
        (CheckKind.FLOOR, 0.9125, False, "≥ 0.9125"),
        (CheckKind.FLOOR, 0.05, True, "≤ 0.05"),
        (CheckKind.NO_WORSE, -0.005, False, "≥ -0.005"),
        (CheckKind.NO_WORSE, 0.005, True, "≤ +0.005"),
        (CheckKind.NO_WORSE, 0.0, False, "≥ 0.00"),
        (CheckKind.BETTER, 0.0, False, "> 0"),
        (CheckKind.BETTER, 0.0, True, "< 0"),
        (CheckKind.FLOOR, float("nan"), False, ""),
    ],
)
def test_a_limit_says_on_which_side_a_number_must_lie(kind, limit, is_maximum, said):
    """As it is written in the policy, with two decimals at least."""
    check = Check(
        kind=kind,
        metric=Metric(name=F1),
        status=Status.PASSED,
        limit=limit,
        is_maximum=is_maximum,
    )

    assert say_limit(check) == said


def test_a_minimum_of_images_is_a_whole_number():
    """Images have no decimals."""
    lines = show(decide([0.9], "[test_set]\nmin_images = 200\n" + RECALLS))

    assert "✓  test_set min_images 500 ≥ 200" in lines


@pytest.mark.parametrize("n", [100, 250])
@pytest.mark.parametrize("share", [0, 0.15, 1])
def test_markdown_has_at_most_60_lines(n, share):
    """For 100 and 250 labels, whether none, some or all of them fail."""
    failed = int(n * share)
    decision = decide([0.5] * failed + [0.9] * (n - failed), RECALLS + SURE_F1)
    text = write_decision_markdown(decision)

    assert len(text.splitlines()) <= 60
    for i in range(n):
        assert f"label {i:03}" in text


def test_markdown_of_many_rules_has_at_most_60_lines_too():
    """A policy may ask for a hundred numbers that are not there, each with its reason."""
    toml = "".join(f'[[floor]]\nmetric = "aggregate/x{i}"\nmin = 0.5\n' for i in range(100))
    toml += SURE_F1.replace("0.8", "0.7") * 50
    text = write_decision_markdown(decide([0.9], toml))

    assert len(text.splitlines()) <= 60
    assert all(f"aggregate/x{i}" in text for i in range(100))


def test_markdown_folds_what_passed_and_shows_what_did_not():
    """A list in details with blank lines around it, as GitHub wants; the failed are outside."""
    text = write_decision_markdown(decide([0.9, 0.5], RECALLS + SURE_F1))
    outside, details = text.split("<details><summary>")

    assert "| floor | label\\_recall | label 001 |" in outside
    assert details.startswith("2 checks passed</summary>\n\n- ")
    assert "label 000 0.900" in details
    assert details.rstrip().endswith("\n\n</details>")


def test_a_label_s_name_is_plain_text_in_details():
    """No name closes them, nor begins a row."""
    name = "</details>\n| <b>*x*"
    figures = {("label_recall", label): Figure(value=0.9) for label in (name, "b")}
    text = write_decision_markdown(run(RECALLS, make_candidate(figures, labels=(name, "b"))))

    assert text.count("</details>") == 1
    assert "<b>" not in text
    assert not any(line.startswith("|") for line in text.splitlines())


def test_nothing_is_hidden_where_each_check_is_told():
    """Then nobody needs `--all`."""
    assert not hides_checks(decide([0.9], SURE_F1))
    assert len(COLUMNS) == 8


def test_details_hold_a_list_and_the_table_stands_outside():
    """As a reader of CommonMark makes HTML of it: no name becomes an element."""
    label = "</details><b>|\n`x`"
    figures = {("label_recall", name): Figure(value=value) for name, value in ((label, 0.9),)}
    figures[("label_recall", "low")] = Figure(value=0.1)
    text = write_decision_markdown(run(RECALLS, make_candidate(figures, labels=(label, "low"))))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    before, inside, after = re.split("</?details>", html)

    assert before.count("<table>") == before.count("</table>") == 1
    assert "<td>low</td>" in before
    assert "<ul>" in inside
    assert "&lt;/details&gt;&lt;b&gt;|\\n`x` 0.900" in inside
    assert "<b>" not in html
    assert after.count("<") == after.count(">")
