"""The three rules of one-label classification, worked out by hand."""

from math import isnan

import numpy as np
import pytest

from mlrek.errors import EvaluationError
from mlrek.metrics import PredictionRule
from mlrek.metrics.decisions import list_predictions, predict

NAN = float("nan")


def _predict(evaluation, rule=PredictionRule.TOP1):
    return predict(evaluation, rule).y_pred.tolist()


def test_top1_is_the_highest_confidence_whatever_its_threshold(build):
    """The threshold of a is out of reach, and does not matter."""
    evaluation = build([[0]], [[(0, 0.6), (1, 0.5)]], thresholds=[0.9, 0.1, 0.1])

    assert _predict(evaluation) == [0]


def test_ties_go_to_the_first_in_label_order(build):
    """Labels b and c are both at 0.7."""
    assert _predict(build([[0]], [[(2, 0.7), (1, 0.7), (0, 0.2)]])) == [1]


@pytest.mark.parametrize("n_missing", [0, 5])
def test_top1_is_the_first_highest_of_many(build, n_missing):
    """Of many images with ties, whether each label has a record on each or a few have none."""
    rng = np.random.default_rng(0)
    scores = rng.integers(4, size=(100, 3)) / 4
    rows = [[(code, score) for code, score in enumerate(row)] for row in scores.tolist()]
    for i in range(n_missing):
        rows[i] = [row for row in rows[i] if row[0] != i % 3]
    expected = [max(row, key=lambda record: (record[1], -record[0]))[0] for row in rows]

    assert _predict(build([[0]] * 100, rows)) == expected


def test_an_image_without_record_has_no_prediction(build):
    """Also between images that have records."""
    assert _predict(build([[0], [1], [2]], [[(0, 0.9)], [], [(2, 0.1)]])) == [0, -1, 2]


def test_a_confidence_of_0_is_a_record(build):
    """It is the top one when there is no other."""
    assert _predict(build([[0]], [[(1, 0.0)]])) == [1]


def test_only_false_negatives_leave_the_top_label_unknown(build):
    """No true negative in the whole manifest: what ranks above the false negative is not there."""
    sample = predict(build([[0], [1]], [[(0, 0.3, "FN")], [(1, 0.8, "TP")]]), PredictionRule.TOP1)

    assert sample.y_pred.tolist() == [-1, 1]
    assert sample.warnings == (
        (
            "1 images hold nothing but false negatives, and the service left true negatives out: "
            "their top label is unknown and counts as no prediction"
        ),
    )


def test_false_negatives_beside_true_negatives_are_the_top_label(build):
    """One true negative anywhere shows that they are not left out."""
    sample = predict(
        build([[0], [1]], [[(0, 0.3, "FN")], [(1, 0.8, "TP"), (0, 0.1, "TN")]]),
        PredictionRule.TOP1,
    )

    assert (sample.y_pred.tolist(), sample.warnings) == ([0, 1], ())


def test_a_false_positive_beside_a_false_negative_is_known(build):
    """The image has more than false negatives, so its top label is recorded."""
    assert _predict(build([[0]], [[(0, 0.3, "FN"), (1, 0.6, "FP")]])) == [1]


def test_threshold_rule_takes_the_highest_that_reaches_its_threshold(build):
    """Label a is higher, but below its threshold; reaching it exactly is enough."""
    evaluation = build([[0], [0]], [[(0, 0.8), (1, 0.5)], [(0, 0.8)]], thresholds=[0.9, 0.5, 0.5])

    assert _predict(evaluation, PredictionRule.THRESHOLD) == [1, -1]


def test_threshold_rule_without_thresholds_takes_the_flags(build):
    """Said in a warning, since nobody published a threshold."""
    evaluation = build([[0], [1]], [[(0, 0.2, "TP"), (1, 0.9, "TN")], [(1, 0.9, "FN")]])

    sample = predict(evaluation, PredictionRule.THRESHOLD)

    assert sample.y_pred.tolist() == [0, -1]
    assert sample.warnings == ("no thresholds are published: the flags of the records decide",)


def test_threshold_rule_without_thresholds_and_flags_takes_one_half(build):
    """With a warning that counts the records."""
    evaluation = build([[0], [1]], [[(0, 0.5)], [(1, 0.49)]])

    sample = predict(evaluation, PredictionRule.THRESHOLD)

    assert sample.y_pred.tolist() == [0, -1]
    assert sample.warnings == (
        (
            "2 of 2 records have neither a published threshold nor a flag: "
            "predicted are those at or above 0.5"
        ),
    )


def test_threshold_rule_with_some_thresholds_names_the_labels_without(build):
    """Label b has none: its flag decides."""
    evaluation = build([[1]], [[(0, 0.4, "TN"), (1, 0.3, "TP")]], thresholds=[0.5, np.nan, 0.5])

    sample = predict(evaluation, PredictionRule.THRESHOLD)

    assert sample.y_pred.tolist() == [1]
    assert sample.warnings == ("no threshold is published for 'b': the flags of 1 records decide",)


def test_notebook_rule_makes_a_pair_of_each_record(build):
    """Whatever its confidence and flag; images without a record vanish, and are counted."""
    evaluation = build([[0], [1], [2]], [[(0, 0.9, "TP"), (2, 0.1, "FN")], [], [(1, 0.4, "TN")]])

    sample = predict(evaluation, PredictionRule.NOTEBOOK)

    assert sample.image_idx.tolist() == [0, 0, 1, 2]
    assert sample.y_true.tolist() == [0, 0, 1, 2]
    assert sample.y_pred.tolist() == [0, 2, -1, 1]
    assert sample.counted.tolist() == [True, True, False, True]
    assert sample.warnings == ("the notebook rule leaves out 1 images that have no record",)


def test_every_image_stands_in_the_predictions(build):
    """Each with its outcome, in image order."""
    evaluation = build([[0], [1], [2], []], [[(0, 0.9)], [(0, 0.7)], [], [(1, 0.8)]])

    rows = list_predictions(predict(evaluation, PredictionRule.TOP1))

    assert rows.image_idx.tolist() == [0, 1, 2, 3]
    assert rows.y_true.tolist() == [0, 1, 2, -1]
    assert rows.y_pred.tolist() == [0, 0, -1, 1]
    assert rows.confidence.tolist() == pytest.approx([0.9, 0.7, NAN, 0.8], nan_ok=True)
    assert rows.outcome == ("correct", "wrong", "missed", "no truth")


def test_an_unknown_top_label_has_no_confidence(build):
    """What is recorded is not the confidence of a prediction."""
    sample = predict(build([[0]], [[(0, 0.3, "FN")]]), PredictionRule.TOP1)

    assert isnan(sample.confidence[0])


def test_several_true_labels_contradict_the_task(build):
    """Such an evaluation is refused, with the image."""
    with pytest.raises(
        EvaluationError, match=r"1 images have more than one true label \(first: '1"
    ):
        predict(build([[0], [0, 1]], [[], []]), PredictionRule.TOP1)
