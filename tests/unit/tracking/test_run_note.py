"""The note of a run."""

import numpy as np

from mlrek.metrics import ConfusionMatrix
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
