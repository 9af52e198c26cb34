"""The note of a run."""

import numpy as np

from mlrek.evaluation import SliceColumn
from mlrek.metrics import ConfusionMatrix
from mlrek.metrics.slices import SliceJudgement, SliceReport, SliceRow
from mlrek.tracking.notes import link_comparison, link_report, render_note


def matrix(counts, own=()):
    """A matrix of labels a and b, and rows and columns of our own."""
    names = ("a", "b", *own)
    return ConfusionMatrix(counts=np.array(counts), rows=names, columns=names)


def test_a_note_is_five_lines(make_evaluation, make_metrics):
    """A plain sentence, then the findings; nothing more to read."""
    metrics = make_metrics(confusion=matrix([[5, 1], [3, 4]]))
    lines = [line for line in render_note(make_evaluation(), metrics, ["w"]).splitlines() if line]

    assert len(lines) == 5
    assert lines[0] == "Version v1 of digits, tested on 2 images with 2 labels."
    assert all(line.startswith("- ") for line in lines[1:])


def test_the_report_is_linked_in_place(make_evaluation, make_metrics):
    """A label that reads like the words that are linked stays text."""
    words = "`report.html` among the artifacts"
    metrics = make_metrics(labels=(words, "b"), confusion=matrix([[1, 2], [0, 1]]))
    note = render_note(make_evaluation(labels=(words, "b")), metrics, [])
    linked = link_report(note, "#/x")

    assert linked.count("](#/x)") == 1
    assert "- Where to look: [`report.html`](#/x) has thresholds" in linked


def test_only_the_last_comparison_is_linked(make_evaluation, make_metrics):
    """In a note of ours; somebody's own stays as it is."""
    note = render_note(make_evaluation(), make_metrics(), [])
    twice = link_comparison(link_comparison(note, "v1", "#/1"), "v[2]", "#/2")

    assert twice == f"{note}\n- Last comparison: [with v\\[2\\]](#/2)."
    assert link_comparison("My own.", "v1", "#/1") == "My own."


def test_numbers_come_with_their_interval_and_the_service_s_own(make_evaluation, make_metrics):
    """In words."""
    note = render_note(make_evaluation(), make_metrics(), [])

    assert (
        "- Accuracy 0.500 (95 % interval: 0.100 to 0.900); the service itself says F1 0.750."
        in note
    )


def test_the_largest_confusion_is_named(make_evaluation, make_metrics):
    """With its count and the images of the true label."""
    note = render_note(make_evaluation(), make_metrics(confusion=matrix([[5, 1], [3, 4]])), [])

    assert "Most frequent mistake: “b” taken for “a” (3 of 7)." in note


def test_what_is_not_found_or_not_there_is_no_confusion_of_labels(make_evaluation, make_metrics):
    """The rows and columns of our own are told in words."""
    missed = matrix([[5, 0, 0], [0, 4, 2], [1, 0, 0]], ("(none)",))
    invented = matrix([[5, 0, 0], [0, 4, 0], [1, 0, 0]], ("(none)",))

    def note(confusion):
        return render_note(make_evaluation(), make_metrics(confusion=confusion), [])

    assert "Most frequent mistake: “b” not found (2 of 6)." in note(missed)
    assert "Most frequent mistake: “a” seen where it is not (1 times)." in note(invented)


def test_a_version_without_mistakes_says_so(make_evaluation, make_metrics):
    """No label is named where there is nothing to name."""
    note = render_note(make_evaluation(), make_metrics(confusion=matrix([[5, 0], [0, 4]])), [])

    assert "No label is mistaken for another." in note


def test_the_first_warning_is_told_and_the_others_counted(make_evaluation, make_metrics):
    """All of them stand in a tag."""
    note = render_note(make_evaluation(), make_metrics(), ["one", "two", "three"])

    assert "- Beware: one (and 2 more in the tag `mlrek.warnings`)." in note
    assert "- Nothing to beware of." in render_note(make_evaluation(), make_metrics(), [])


def test_hostile_label_names_are_text(make_evaluation, make_metrics):
    """Names of labels come from outside."""
    names = ("<script>", "a|b")
    confusion = ConfusionMatrix(counts=np.array([[1, 2], [0, 1]]), rows=names, columns=names)
    metrics = make_metrics(labels=names, confusion=confusion)
    note = render_note(make_evaluation(labels=names), metrics, [])

    assert "“\\<script\\>” taken for “a\\|b” (2 of 3)" in note


def _slices(*weak, **parts):
    """A report of slices that are 20 points below the rest, of 100 that were tried."""
    rows = [
        SliceRow(
            names=(name,),
            images=np.arange(40),
            numbers={},
            score=0.5,
            rest=0.7,
            p_adjusted=0.01,
            judgement=SliceJudgement.WORSE,
            part_of=part_of,
        )
        for name, part_of in weak
    ]
    return SliceReport(score="accuracy", singles=tuple(rows), n_tried=100, **parts)


SITE = (SliceColumn(name="site", values=("A", "B"), codes=np.array([0, 1])),)


def test_weak_slices_come_right_after_the_first_sentence(make_evaluation, make_metrics):
    """The three worst with a line each, how many more there are; no nested one."""
    weak = [("site=A", ""), ("light=x", "site=A"), *((f"site={i}", "") for i in "BCDE")]
    evaluation = make_evaluation(slice_columns=SITE)
    lines = render_note(evaluation, make_metrics(), [], _slices(*weak)).splitlines()

    assert lines[2] == (
        "- Weak: “site=A” (accuracy 0.500 of 40 images, 20 points below the rest, p 0.01 after "
        "Holm over 100 slices)."
    )
    assert [line.partition(" (")[0] for line in lines[3:6]] == [
        "- Weak: “site=B”",
        "- Weak: “site=C”",
        "- And 2 more weak slices.",
    ]


def test_without_a_weak_slice_one_line_says_how_many_were_tried(make_evaluation, make_metrics):
    """So that nobody takes silence for a search."""
    evaluation = make_evaluation(slice_columns=SITE)
    note = render_note(evaluation, make_metrics(), [], _slices())

    assert note.splitlines()[2] == (
        "- No slice of 100 tried is significantly weaker than the rest."
    )


def test_a_version_without_columns_keeps_its_note(make_evaluation, make_metrics):
    """Its labels have a line of their own already."""
    evaluation, metrics = make_evaluation(), make_metrics()

    assert render_note(evaluation, metrics, [], _slices()) == render_note(evaluation, metrics, [])


def test_names_of_slices_are_plain_text_in_the_note(make_evaluation, make_metrics):
    """No markup, no line of their own, cut after 80 characters."""
    weak = (("<b>=[x](y)\n- Where to look: *", ""), ("site=" + "x" * 10_000, ""))
    evaluation = make_evaluation(slice_columns=SITE)
    lines = render_note(evaluation, make_metrics(), [], _slices(*weak)).splitlines()

    assert lines[2].startswith("- Weak: “\\<b\\>=\\[x\\](y)\\\\n- Where to look: \\*” (accuracy")
    assert "“site=" + "x" * 74 + "…”" in lines[3]
