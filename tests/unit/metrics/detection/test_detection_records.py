"""What recorded boxes count as: thresholds, flags, placeholders; complete and partial records."""

import numpy as np
import pytest

from mlrek.evaluation import RecordsKind, Reported
from mlrek.metrics.compute import compute_metrics

HERE = (0, 0, 10, 10)
THERE = (50, 50, 60, 60)
NOWHERE = (200, 200, 210, 210)


def _compute(evaluation):
    return compute_metrics(evaluation, intervals=False)


def _at_threshold(metrics):
    scores = metrics.at_threshold_per_label
    return scores.tp.tolist(), scores.fp.tolist(), scores.fn.tolist()


@pytest.fixture
def swoosh(build):
    """The published facts of a real evaluation of one label: 14 images, threshold 0.258.

    Its flags name 13 true positives, 7 false positives and 4 false negatives. Recorded are the
    image, outcome and confidence of 14 of these 24 boxes; the places, and what else is known of the
    others only by number, are made here. One true box was never found at any confidence.
    """
    known = [
        (1, "TP", 0.96415), (2, "FN", 0.00914), (2, "FP", 0.29019), (3, "TP", 0.32331),
        (3, "TP", 0.31989), (4, "TP", 0.88223), (5, "TP", 0.97086), (5, "FN", 0.01341),
        (6, "FP", 0.28191), (6, "FP", 0.56933), (6, "FP", 0.6015), (8, "FP", 0.42785),
        (12, "FP", 0.39023), (14, "FP", 0.83339),
    ]  # fmt: skip
    made = [*((image, "TP", 0.9) for image in range(7, 15)), (6, "FN", 0.0), (7, "FN", 0.02)]
    truth, records = [[] for _ in range(14)], [[] for _ in range(14)]
    for number, (image, flag, confidence) in enumerate(known + made):
        box = (30 * number, 0, 30 * number + 20, 20)
        records[image - 1].append((0, box, confidence, flag))
        if flag != "FP":
            truth[image - 1].append((0, box))
    reported = Reported(
        aggregate={
            "average_precision": 0.609,
            "average_recall": 0.941,
            "precision": 0.6,
            "recall": 0.7,
            "f1": 0.6461539,
        },
        test_images=14,
        train_images=56,
    )
    return build(truth, records, n_labels=1, thresholds=[0.258], reported=reported)


def test_the_real_flags_give_their_known_scores(swoosh):
    """13 TP, 7 FP, 4 FN: precision 0.65, recall 0.765, F1 0.703."""
    metrics = _compute(swoosh)

    assert _at_threshold(metrics) == ([13], [7], [4])
    for average in ("micro", "macro", "weighted"):
        numbers = metrics.at_threshold
        assert numbers[f"precision_{average}"].value == pytest.approx(0.65)
        assert numbers[f"recall_{average}"].value == pytest.approx(0.7647058823529411)
        assert numbers[f"f1_{average}"].value == pytest.approx(0.7027027027027027)


def test_the_real_reported_numbers_stand_beside_ours(swoosh):
    """The service counts otherwise, so nothing but the number of images is compared."""
    metrics = _compute(swoosh)

    rows = {row.name: (row.reported, row.computed, row.agrees) for row in metrics.reconciliation}
    assert rows["test_images"] == (14, 14, True)
    assert rows["precision"] == (0.6, pytest.approx(0.65), None)
    assert rows["recall"] == (0.7, pytest.approx(0.7647058823529411), None)
    assert rows["f1"] == (0.6461539, pytest.approx(0.7027027027027027), None)
    assert rows["average_precision"][::2] == (0.609, None)
    assert rows["average_recall"][::2] == (0.941, None)


def test_the_real_records_are_partial(swoosh):
    """No unmatched box below the threshold is there: average precision is a lower bound."""
    metrics = _compute(swoosh)

    assert metrics.records == RecordsKind.PARTIAL
    assert metrics.prediction_rule == "threshold"
    assert metrics.aggregate["ar_100"].value == pytest.approx(13 / 17)
    assert metrics.extra["ar_100_optimistic"].value == pytest.approx(16 / 17)
    assert metrics.extra["ap_optimistic"].value > metrics.aggregate["ap"].value


def test_an_unmatched_box_below_the_threshold_makes_records_complete(build, run_coco):
    """Then every box above confidence 0 is a detection."""
    truth = [[(0, HERE), (0, THERE)]]
    records = [
        [(0, HERE, 0.9, "TP"), (0, NOWHERE, 0.3, "TN"), (0, THERE, 0.2, "FN")],
    ]
    metrics = _compute(build(truth, records, thresholds=[0.5, 0.5]))

    expected, _ = run_coco(truth, records)
    assert metrics.records == RecordsKind.COMPLETE
    assert metrics.aggregate["ap"].value == pytest.approx(expected["ap"], abs=1e-9)
    assert metrics.aggregate["ap_50"].value == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert not any(name.endswith("_optimistic") for name in metrics.extra)


def test_partial_records_rank_only_what_reaches_the_threshold(build, run_coco):
    """A matched box below it is no detection; with it the averages are optimistic."""
    truth = [[(0, HERE), (0, THERE)]]
    above, below = (0, HERE, 0.9, "TP"), (0, THERE, 0.2, "FN")
    metrics = _compute(build(truth, [[above, below]], thresholds=[0.5, 0.5]))

    expected, _ = run_coco(truth, [[above]])
    optimistic, _ = run_coco(truth, [[above, below]])
    for name in ("ap", "ap_50", "ap_75", "ar_100"):
        assert metrics.aggregate[name].value == pytest.approx(expected[name], abs=1e-9)
        assert metrics.extra[f"{name}_optimistic"].value == pytest.approx(
            optimistic[name], abs=1e-9
        )


def test_nothing_below_the_threshold_leaves_nothing_optimistic(build):
    """The lower bound and the optimistic number would be the same."""
    metrics = _compute(build([[(0, HERE)]], [[(0, HERE, 0.9, "TP")]], thresholds=[0.5, 0.5]))

    assert metrics.records == RecordsKind.PARTIAL
    assert not any(name.endswith("_optimistic") for name in metrics.extra)


def test_a_placeholder_is_no_detection_but_a_miss(build):
    """The service writes a true box that it never found with confidence 0, even at threshold 0."""
    metrics = _compute(build([[(0, HERE)]], [[(0, HERE, 0.0, "FN")]], thresholds=[0.0, 0.0]))

    assert metrics.aggregate["ap"].value == 0
    assert metrics.curves.tp.sum() == 0
    assert _at_threshold(metrics) == ([0, 0], [0, 0], [1, 0])
    assert metrics.predictions.outcome == ("FN",)


def test_confidence_decides_against_a_flag(build):
    """A flag that contradicts it keeps what it says of the truth, and is counted in a warning."""
    truth = [[(0, HERE), (0, THERE)]]
    records = [
        [
            (0, HERE, 0.4, "TP"),  # found, but below: a miss
            (0, THERE, 0.6, "FN"),  # found and above: right
            (0, NOWHERE, 0.7, "TN"),  # unmatched and above: wrong
        ]
    ]
    metrics = _compute(build(truth, records, thresholds=[0.5, 0.5]))

    assert _at_threshold(metrics) == ([1, 0], [1, 0], [1, 0])
    assert (
        "the flags of 3 of 3 recorded boxes contradict their confidence and the assumed threshold "
        "of their label: confidence decides"
    ) in metrics.warnings


def test_without_thresholds_the_flags_decide(build):
    """True and false positives are predictions, at whatever confidence."""
    truth = [[(0, HERE), (1, THERE)]]
    records = [[(0, HERE, 0.3, "TP"), (1, THERE, 0.6, "FN"), (1, NOWHERE, 0.1, "FP")]]
    metrics = _compute(build(truth, records))

    assert metrics.prediction_rule == "flags"
    assert _at_threshold(metrics) == ([1, 0], [0, 1], [0, 1])
    assert metrics.predictions.outcome == ("TP", "FP", "FN")


def test_a_label_without_threshold_goes_by_its_flags(build):
    """The other labels keep theirs; a warning says so."""
    truth = [[(0, HERE), (1, THERE)]]
    records = [[(0, HERE, 0.6, "TP"), (1, THERE, 0.1, "TP")]]
    metrics = _compute(build(truth, records, thresholds=[0.5, np.nan]))

    assert _at_threshold(metrics) == ([1, 1], [0, 0], [0, 0])
    assert "no threshold is published for 'b': the flags of 1 boxes decide" in metrics.warnings


def test_without_thresholds_and_flags_one_half_decides(build):
    """And our own matching gives the numbers at the threshold."""
    truth = [[(0, HERE), (0, THERE)]]
    records = [[(0, HERE, 0.5), (0, THERE, 0.4), (0, NOWHERE, 0.6)]]
    metrics = _compute(build(truth, records))

    assert metrics.prediction_rule == "0.5"
    assert metrics.records == RecordsKind.COMPLETE
    assert _at_threshold(metrics) == ([1, 0], [1, 0], [1, 0])
    assert (
        "3 of 3 recorded boxes have neither a published threshold nor a flag: predicted are those "
        "at or above 0.5"
    ) in metrics.warnings


def test_where_a_flag_lacks_our_own_matching_counts(build):
    """Half the flags would count half the boxes."""
    truth = [[(0, HERE), (0, THERE)]]
    records = [[(0, HERE, 0.9, "TP"), (0, THERE, 0.8)]]
    metrics = _compute(build(truth, records, thresholds=[0.5, 0.5]))

    assert _at_threshold(metrics) == ([2, 0], [0, 0], [0, 0])
    assert (
        "1 of 2 recorded boxes have no flag: the numbers at the threshold come from our own "
        "matching instead"
    ) in metrics.warnings


def test_true_boxes_without_a_record_are_missed(build):
    """An image without predictions may have no record at all; that must not raise recall."""
    truth = [[(0, HERE)], [(0, HERE), (0, THERE)]]
    metrics = _compute(build(truth, [[(0, HERE, 0.9, "TP")], []], thresholds=[0.5, 0.5]))

    assert _at_threshold(metrics) == ([1, 0], [0, 0], [2, 0])
    assert (
        "2 of 3 true boxes have no record and count as missed at the threshold; labels: 'a'"
    ) in metrics.warnings


def test_boxes_without_confidence_are_no_detections(build):
    """They cannot be ranked; a warning counts them."""
    truth = [[(0, HERE)]]
    metrics = _compute(build(truth, [[(0, HERE, np.nan), (0, HERE, 0.9)]], thresholds=[0.5, 0.5]))

    assert metrics.aggregate["ap"].value == 1.0
    assert "1 of 2 recorded boxes have no confidence and are no detections" in metrics.warnings


def test_nothing_true_and_nothing_predicted_is_undefined(build):
    """No score at the threshold, and a reason for each."""
    metrics = _compute(build([[], []], [[], []]))

    for number in metrics.at_threshold.values():
        assert np.isnan(number.value)
        assert number.reason == "no box is true or predicted on any test image"


def test_labels_have_wilson_intervals(build):
    """2 of 3 predictions right, one an image: Wilson's interval of 2/3 is 0.208 to 0.939."""
    truth = [[(0, HERE)], [(0, THERE)], []]
    records = [[(0, HERE, 0.9)], [(0, THERE, 0.8)], [(0, NOWHERE, 0.7)]]
    scores = _compute(build(truth, records)).per_label

    assert scores.precision[0] == pytest.approx(2 / 3)
    assert scores.precision_low[0] == pytest.approx(0.2077, abs=5e-5)
    assert scores.precision_high[0] == pytest.approx(0.9385, abs=5e-5)
    assert np.isnan(scores.roc_auc).all()


def test_labels_beside_what_the_provider_reported(build):
    """Each number of a label is given next to ours; one that we do not know is not computed."""
    reported = Reported(
        per_label={"a": {"precision": 0.6, "threshold": 0.5, "test_images": 1, "other": 0.1}}
    )
    truth = [[(0, HERE), (0, THERE)], []]
    evaluation = build(
        truth, [[(0, HERE, 0.9, "TP")], []], thresholds=[0.5, 0.5], reported=reported
    )

    rows = {row.name: (row.computed, row.agrees) for row in _compute(evaluation).reconciliation}

    assert rows["precision/a"] == (1.0, None)
    assert rows["test_images/a"] == (1.0, None)
    assert np.isnan(rows["other/a"][0])
    assert "threshold/a" not in rows
