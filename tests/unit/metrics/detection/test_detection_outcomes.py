"""Matrix, rows, curves and kinds of error of our own matching, by hand and by plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.errors import EvaluationError
from mlrek.metrics.compute import compute_metrics

HERE = (0, 0, 10, 10)
THERE = (50, 50, 60, 60)
NOWHERE = (200, 200, 210, 210)
ALMOST_HERE = (0, 0, 10, 8)  # overlaps HERE by 0.8
HALF_HERE = (0, 0, 10, 4)  # overlaps HERE by 0.4

_PLACES = st.integers(0, 8)
_SIZES = st.integers(1, 8)
_BOXES = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), _PLACES, _PLACES, _SIZES, _SIZES)
_LABELS = st.integers(0, 2)
_SCORES = st.sampled_from([0.05, 0.2, 0.29, 0.5, 0.77, 1.0])


@st.composite
def _scenes(draw):
    n = draw(st.integers(1, 4))
    truth = [draw(st.lists(st.tuples(_LABELS, _BOXES), max_size=6)) for _ in range(n)]
    records = [draw(st.lists(st.tuples(_LABELS, _BOXES, _SCORES), max_size=8)) for _ in range(n)]
    return truth, records


def _compute(evaluation):
    return compute_metrics(evaluation, intervals=False)


def _iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def _match(truth, found, iou_threshold=0.5):
    """The plain loop over one image: place of the true box of each detection of its label."""
    order = sorted(range(len(found)), key=lambda i: -found[i][2])
    matches, taken = {}, set()
    for i in order:
        code, box, _ = found[i]
        free = [
            (_iou(box, true_box), j)
            for j, (true_code, true_box) in enumerate(truth)
            if true_code == code and j not in taken and _iou(box, true_box) >= iou_threshold
        ]
        if free:
            matches[i] = max(free)[1]
            taken.add(matches[i])
    return matches


def test_a_true_box_goes_to_its_own_label_first(build):
    """A surer box of another label does not take it, and is then on the background."""
    truth = [[(0, HERE)]]
    records = [[(1, HERE, 0.9), (0, ALMOST_HERE, 0.6)]]
    metrics = _compute(build(truth, records))

    assert metrics.confusion.rows == metrics.confusion.columns == ("a", "b", "(background)")
    assert metrics.confusion.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_a_box_of_another_label_is_a_confusion(build):
    """Nothing of the true label is there: one count in the row of the true label."""
    metrics = _compute(build([[(0, HERE)]], [[(1, ALMOST_HERE, 0.9)]]))

    assert metrics.confusion.counts.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_what_is_nowhere_and_what_is_missed(build):
    """Predictions on no true box fill the row, missed true boxes the column of the background."""
    metrics = _compute(build([[(0, HERE), (1, THERE)]], [[(0, NOWHERE, 0.9), (0, HERE, 0.4)]]))

    assert metrics.confusion.counts.tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]


def test_too_little_overlap_finds_nothing(build):
    """Under an IoU of 0.50 a true box is missed, and the predicted one is of the background."""
    metrics = _compute(build([[(0, HERE)]], [[(0, HALF_HERE, 0.9)]]))

    assert metrics.confusion.counts.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_rows_tell_what_became_of_every_box(build):
    """By image: predictions in falling confidence, then what was missed, with its own box."""
    truth = [[(0, HERE), (1, THERE)], [(0, HERE)]]
    records = [
        [(1, HERE, 0.6), (0, NOWHERE, 0.7), (0, THERE, 0.3)],
        [(0, ALMOST_HERE, 0.9), (0, HERE, 0.8)],
    ]
    rows = _compute(build(truth, records)).predictions

    assert rows.image_idx.tolist() == [0, 0, 0, 1, 1]
    assert rows.y_true.tolist() == [-1, 0, 1, 0, -1]
    assert rows.y_pred.tolist() == [0, 1, -1, 0, 0]
    assert rows.confidence.tolist() == pytest.approx([0.7, 0.6, np.nan, 0.9, 0.8], nan_ok=True)
    assert rows.outcome == ("FP", "FP", "FN", "TP", "FP")
    assert rows.error == ("background", "classification", "missed", "", "duplicate")
    boxes = [NOWHERE, HERE, THERE, ALMOST_HERE, HERE]
    assert [tuple(box) for box in rows.boxes_xyxy.tolist()] == boxes


@given(scenes=_scenes())
def test_matrix_and_rows_count_every_box_once(build, scenes):
    """Rows of labels sum to true boxes, columns to predictions, the diagonal to the right ones."""
    truth, records = scenes
    metrics = _compute(build(truth, records, n_labels=3))
    predicted = [[row for row in image if row[2] >= 0.5] for image in records]

    counts = metrics.confusion.counts
    n_true = [sum(code == label for image in truth for code, _ in image) for label in range(3)]
    n_pred = [sum(row[0] == label for image in predicted for row in image) for label in range(3)]
    right = [0] * 3
    for true, found in zip(truth, predicted, strict=True):
        for i in _match(true, found):
            right[found[i][0]] += 1
    assert counts.sum(axis=1)[:3].tolist() == n_true
    assert counts.sum(axis=0)[:3].tolist() == n_pred
    assert counts.diagonal().tolist() == [*right, 0]
    assert metrics.per_label.tp.tolist() == right
    assert metrics.per_label.support.tolist() == n_true
    assert metrics.per_label.fp.tolist() == (np.array(n_pred) - right).tolist()
    rows = metrics.predictions
    again = np.zeros((4, 4), dtype=int)
    np.add.at(again, (rows.y_true, rows.y_pred), 1)
    assert again.tolist() == counts.tolist()


@given(scenes=_scenes())
def test_curves_are_matching_done_anew_at_each_threshold(build, scenes):
    """Leaving out less sure detections changes nothing of what surer ones find."""
    truth, records = scenes
    curves = _compute(build(truth, records, n_labels=3, thresholds=[2.0] * 3)).curves

    for step in (0, 5, 20, 29, 30, 50, 77, 78, 100):
        tp, fp = np.zeros(3, dtype=int), np.zeros(3, dtype=int)
        for true, image in zip(truth, records, strict=True):
            found = [row for row in image if row[2] >= step / 100]
            matches = _match(true, found)
            for i, (code, *_) in enumerate(found):
                (tp if i in matches else fp)[code] += 1
        assert curves.tp[step].tolist() == tp.tolist()
        assert curves.fp[step].tolist() == fp.tolist()
        assert (curves.tp + curves.fn)[step].tolist() == [
            sum(code == label for image in truth for code, _ in image) for label in range(3)
        ]


def test_curves_of_complete_records_do_not_stop(build):
    """Unmatched boxes below the threshold are there."""
    records = [[(0, HERE, 0.9, "TP"), (0, NOWHERE, 0.1, "TN")]]
    metrics = _compute(build([[(0, HERE)]], records, thresholds=[0.5, 0.5]))

    assert metrics.curves.stops_at == ""


def test_curves_of_partial_records_say_where_they_stop(build):
    """Below the threshold only matched boxes are known: none counts, and the curve is level."""
    records = [[(0, HERE, 0.9, "TP"), (0, THERE, 0.1, "FN")]]
    metrics = _compute(build([[(0, HERE), (0, THERE)]], records, thresholds=[0.258, 0.258]))

    assert metrics.curves.stops_at == (
        "below the assumed thresholds (0.26) the boxes are incomplete, and none counts"
    )
    assert metrics.curves.tp[:91, 0].tolist() == [1] * 91
    assert metrics.curves.tp[91:, 0].tolist() == [0] * 10


def test_curves_without_detections_say_so(build):
    """A flat line needs an explanation."""
    metrics = _compute(build([[(0, HERE)]], [[]]))

    assert metrics.curves.stops_at == "no box is found on any image"
    assert metrics.precision_recall == ()


def test_precision_recall_has_cocos_area_at_one_half(build):
    """All labels together first, then each label with its average precision at IoU 0.50."""
    truth = [[(0, HERE), (0, THERE)]]
    records = [[(0, HALF_HERE, 0.95), (0, HERE, 0.9), (0, NOWHERE, 0.8), (0, THERE, 0.7)]]
    metrics = _compute(build(truth, records, thresholds=[2.0, 2.0]))

    pooled, label = metrics.precision_recall
    assert (pooled.label, label.label) == ("", "a")
    assert label.recall.tolist() == [0, 0.5, 0.5, 1]
    assert label.precision.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert label.average_precision == pytest.approx(0.5)
    assert np.isnan(pooled.average_precision)


@pytest.mark.parametrize(
    ("kind", "found", "missed"),
    [
        ("classification", (1, ALMOST_HERE), 0),
        ("localization", (0, HALF_HERE), 0),
        ("both", (1, HALF_HERE), 1),
        ("background", (0, NOWHERE), 1),
        ("background", (0, (9, 9, 30, 30)), 1),  # overlaps by less than 0.1
    ],
)
def test_each_kind_of_error(build, kind, found, missed):
    """What would be right but for its label or place leaves no true box missed besides."""
    metrics = _compute(build([[(0, HERE)]], [[(*found, 0.9)]]))

    assert metrics.errors == dict.fromkeys(metrics.errors, 0) | {kind: 1, "missed": missed}


def test_a_second_box_on_a_true_one_is_a_duplicate(build):
    """The surer one has found it."""
    metrics = _compute(build([[(0, HERE)]], [[(0, HERE, 0.9), (0, ALMOST_HERE, 0.8)]]))

    assert metrics.errors == dict.fromkeys(metrics.errors, 0) | {"duplicate": 1}


@given(scenes=_scenes())
def test_kinds_of_error_are_tides(build, scenes):
    """The rules of TIDE, one box at a time, in the order of its reference implementation."""
    truth, records = scenes
    expected = dict.fromkeys(
        ["classification", "localization", "both", "duplicate", "background", "missed"], 0
    )
    for true, image in zip(truth, records, strict=True):
        found = [row for row in image if row[2] >= 0.5]
        matches = _match(true, found)
        explained = set(matches.values())
        for i, (code, box, _) in enumerate(found):
            if i in matches:
                continue
            own = [(_iou(box, b), j) for j, (c, b) in enumerate(true) if c == code]
            other = [(_iou(box, b), j) for j, (c, b) in enumerate(true) if c != code]
            best_own, best_other = max(own, default=(0, -1)), max(other, default=(0, -1))
            if 0.1 <= best_own[0] <= 0.5:
                expected["localization"] += 1
                explained.add(best_own[1])
            elif best_other[0] >= 0.5:
                expected["classification"] += 1
                explained.add(best_other[1])
            elif any(overlap >= 0.5 and j in matches.values() for overlap, j in own):
                expected["duplicate"] += 1
            elif max(best_own[0], best_other[0]) <= 0.1:
                expected["background"] += 1
            else:
                expected["both"] += 1
        expected["missed"] += len(true) - len(explained)

    assert _compute(build(truth, records, n_labels=3)).errors == expected


def test_a_detection_without_boxes_is_refused(build):
    """Nothing else in an evaluation can stand in for them."""
    from dataclasses import replace

    with pytest.raises(EvaluationError, match="without a table of boxes"):
        _compute(replace(build([[]], [[]]), detections=None))
