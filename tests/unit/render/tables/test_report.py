"""The classification report, held against scikit-learn's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import classification_report

from mlrek.evaluation import Task
from mlrek.render import write_json
from mlrek.render.tables import build_report, format_report, report_document

LABELS = ("rose", "tiger lily", "daisy", "a rather long name of a label")

# The published run of aws-samples/rekognition-custom-label-training-metrics (MIT-0): labels in the
# order of its summary file, images of each, and its two mistakes.
ROOMS = (
    ("backyard", 2),
    ("bathroom", 8),
    ("bedroom", 7),
    ("living space", 7),
    ("closet", 2),
    ("entry way", 2),
    ("front yard", 3),
    ("kitchen", 4),
    ("patio", 2),
)


def sklearn_text(y_true, y_pred, occurring, digits=2):
    """What scikit-learn prints for the labels that occur."""
    return classification_report(
        y_true,
        y_pred,
        labels=occurring,
        target_names=[LABELS[i] for i in occurring],
        digits=digits,
        zero_division=0,
    )


codes = st.integers(0, len(LABELS) - 1)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(codes, st.integers(0, len(LABELS))), min_size=1, max_size=30),
    digits=st.integers(2, 4),
)
def test_text_equals_scikit_learns(pairs, digits, sklearn_metrics):
    """Every character agrees, also with labels that are never true or never predicted.

    The highest code is no label: it stands for no prediction, whence `micro avg`. One image is
    always right: without a single hit scikit-learn prints the support 1 as 1.0.
    """
    y_true, y_pred = (np.array(column) for column in zip((0, 0), *pairs, strict=True))
    metrics, occurring = sklearn_metrics(y_true, y_pred, LABELS)
    text = format_report(build_report(metrics), digits=digits)
    assert text == sklearn_text(y_true, y_pred, occurring, digits)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 20))
def test_text_equals_scikit_learns_for_several_labels_an_image(seed, n, sklearn_metrics):
    """With `samples avg`, and never `accuracy`."""
    rng = np.random.default_rng(seed)
    y_true, y_pred = rng.integers(0, 2, (2, n, len(LABELS)))
    y_true[0, 0] = 1
    metrics, occurring = sklearn_metrics(y_true, y_pred, LABELS, task=Task.MULTILABEL)
    text = format_report(build_report(metrics))
    assert text == sklearn_text(y_true, y_pred, occurring)


def test_document_equals_scikit_learns(sklearn_metrics):
    """The JSON report has the keys and the numbers of scikit-learn's dictionary."""
    y_true, y_pred = [0, 0, 1, 2, 2, 3], [0, 1, 1, 2, 0, 3]
    metrics, _ = sklearn_metrics(y_true, y_pred, LABELS)
    expected = classification_report(
        y_true, y_pred, target_names=LABELS, output_dict=True, zero_division=0
    )
    document = report_document(build_report(metrics))
    assert list(document) == list(expected)
    for name, numbers in expected.items():
        assert document[name] == pytest.approx(numbers, abs=1e-12), name


def test_rows_of_the_published_run_are_rightly_named(sklearn_metrics):
    """The recorded report has the scores of `closet` next to `living space`, and so on."""
    names = [name for name, _ in ROOMS]
    y_true = [code for code, (_, n) in enumerate(ROOMS) for _ in range(n)]
    y_pred = list(y_true)
    y_pred[y_true.index(names.index("bathroom"))] = names.index("bedroom")
    y_pred[y_true.index(names.index("bedroom"))] = names.index("living space")
    metrics, _ = sklearn_metrics(y_true, y_pred, tuple(names))
    assert format_report(build_report(metrics)) == (
        "              precision    recall  f1-score   support\n"
        "\n"
        "    backyard       1.00      1.00      1.00         2\n"
        "    bathroom       1.00      0.88      0.93         8\n"
        "     bedroom       0.86      0.86      0.86         7\n"
        "living space       0.88      1.00      0.93         7\n"
        "      closet       1.00      1.00      1.00         2\n"
        "   entry way       1.00      1.00      1.00         2\n"
        "  front yard       1.00      1.00      1.00         3\n"
        "     kitchen       1.00      1.00      1.00         4\n"
        "       patio       1.00      1.00      1.00         2\n"
        "\n"
        "    accuracy                           0.95        37\n"
        "   macro avg       0.97      0.97      0.97        37\n"
        "weighted avg       0.95      0.95      0.95        37\n"
    )


def test_labels_that_never_occur_have_no_row(sklearn_metrics):
    """Neither true nor predicted: no row, as scikit-learn chooses its rows."""
    metrics, _ = sklearn_metrics([0, 2], [0, 2], LABELS)
    report = build_report(metrics)
    assert [row.name for row in report.labels] == ["rose", "daisy"]


def test_a_missing_prediction_makes_accuracy_micro(sklearn_metrics):
    """Precision and recall differ then, so both are printed."""
    metrics, _ = sklearn_metrics([0, 1], [0, len(LABELS)], LABELS)
    assert [row.name for row in build_report(metrics).averages] == [
        "micro avg",
        "macro avg",
        "weighted avg",
    ]


def test_labels_named_like_averages_are_quoted_in_the_document(sklearn_metrics):
    """A label called accuracy does not overwrite the accuracy, nor the other way round."""
    metrics, _ = sklearn_metrics([0, 1, 1], [0, 1, 0], ("accuracy", "macro avg"))
    document = report_document(build_report(metrics))
    assert list(document) == ['"accuracy"', '"macro avg"', "accuracy", "macro avg", "weighted avg"]
    assert document["accuracy"] == pytest.approx(2 / 3)
    assert document['"accuracy"']["recall"] == 1


def test_a_label_named_accuracy_has_all_its_scores(sklearn_metrics):
    """The line of a label is complete whatever its name."""
    metrics, _ = sklearn_metrics([0, 1, 1], [0, 1, 0], ("accuracy", "b"))
    lines = format_report(build_report(metrics)).splitlines()
    assert lines[2].split() == ["accuracy", "0.50", "1.00", "0.67", "1"]
    assert lines[5].split() == ["accuracy", "0.67", "3"]


def test_names_cannot_break_the_lines(sklearn_metrics):
    """A line feed in a name is written as an escape in the text, as itself in the document."""
    metrics, _ = sklearn_metrics([0, 1], [0, 1], ("a\nb", "(none)"))
    report = build_report(metrics)
    lines = format_report(report).splitlines()
    assert lines[2].split()[0] == "a\\nb"
    assert lines[3].split()[0] == '"(none)"'
    assert "a\nb" in report_document(report)
    write_json(report_document(report))


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_nothing_to_report(labels, make_metrics, make_scores):
    """Without any image there is no report; scikit-learn's fails there."""
    assert build_report(make_metrics(labels)) is None
    assert build_report(make_metrics(labels, per_label=make_scores(len(labels)))) is None
