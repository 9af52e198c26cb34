"""The metrics of one evaluation: what is left out, spelled otherwise, repeated or out of order."""

import json
from math import isnan, nan

import numpy as np
import pytest

from mlrek.formats.google.metrics import name_of_iou, parse_metrics

MAX_INT = 2147483647


@pytest.fixture
def parse():
    """The metrics of a JSON object."""

    def parse_object(metrics, *, is_legacy=False):
        return parse_metrics(json.dumps(metrics).encode(), is_legacy=is_legacy)

    return parse_object


@pytest.fixture
def parse_grid(parse):
    """The only grid of some entries."""

    def parse_entries(*entries, is_legacy=False):
        key = "confidenceMetricsEntry" if is_legacy else "confidenceMetrics"
        ((_, grid),) = parse({key: list(entries)}, is_legacy=is_legacy).grids
        return grid

    return parse_entries


@pytest.fixture
def parse_box_grid(parse):
    """The only grid of some entries of a detection with a number of true boxes."""

    def parse_entries(boxes, *entries):
        by_iou = [{"iouThreshold": 0.5, "confidenceMetrics": list(entries)}]
        metrics = {"evaluatedBoundingBoxCount": boxes, "boundingBoxMetrics": by_iou}
        ((_, grid),) = parse(metrics).grids
        return grid

    return parse_entries


def test_missing_threshold_is_zero(parse_grid):
    """An entry without a confidence threshold is that at 0."""
    assert parse_grid({"recall": 1, "precision": 0.2}).thresholds.tolist() == [0.0]


def test_missing_counts_are_zero(parse_grid):
    """Where counts are published, one that is left out is 0."""
    grid = parse_grid({"truePositiveCount": "367", "falsePositiveCount": "1468", "recall": 1})
    assert [grid.columns[name].tolist() for name in ("tp", "fp", "fn", "tn")] == [
        [367],
        [1468],
        [0],
        [0],
    ]


def test_missing_recall_is_zero(parse_grid):
    """A recall that is left out where others stand is 0."""
    grid = parse_grid(
        {"recall": 1, "precision": 0.5}, {"confidenceThreshold": 0.9, "precision": 0.5}
    )
    assert grid.columns["recall"].tolist() == [1.0, 0.0]


def test_missing_precision_without_predictions_is_undefined(parse_grid):
    """No true and no false positive: the precision is undefined, not 0."""
    grid = parse_grid(
        {"truePositiveCount": "3", "falsePositiveCount": "3", "recall": 1, "precision": 0.5},
        {"confidenceThreshold": 0.99, "falseNegativeCount": "3", "trueNegativeCount": "9"},
    )
    assert np.isnan(grid.columns["precision"]).tolist() == [False, True]
    assert grid.columns["recall"].tolist() == [1.0, 0.0]


def test_missing_precision_with_predictions_is_zero(parse_grid):
    """Only false positives: the precision is 0."""
    grid = parse_grid(
        {"truePositiveCount": "3", "recall": 1, "precision": 1},
        {"confidenceThreshold": 0.9, "falsePositiveCount": "2", "falseNegativeCount": "3"},
    )
    assert grid.columns["precision"].tolist() == [1.0, 0.0]


def test_missing_precision_without_counts_is_undefined(parse_grid):
    """Without counts nothing tells a precision of 0 from an undefined one."""
    grid = parse_grid({"recall": 1, "precision": 0.5}, {"confidenceThreshold": 0.99})
    assert isnan(grid.columns["precision"][1])


def test_recall_without_truth_is_undefined(parse_grid):
    """A label that no image has: its recall is undefined."""
    grid = parse_grid({"falsePositiveCount": "4", "falsePositiveRate": 1})
    assert isnan(grid.columns["recall"][0])
    assert grid.columns["precision"].tolist() == [0.0]


def test_numbers_never_published_are_not_zero(parse_grid):
    """F1, false positive rate and counts that stand at no threshold were never published."""
    grid = parse_grid({"recall": 1, "precision": 0.2})
    assert all(
        isnan(grid.columns[name][0]) for name in ("f1", "false_positive_rate", "tp", "recall_at_1")
    )


def test_missing_f1_is_zero_without_true_positives(parse_grid):
    """An F1 that is left out is 0 where nothing was found, and unknown where something was."""
    grid = parse_grid(
        {"recall": 1, "precision": 0.5, "f1Score": 0.67},
        {"confidenceThreshold": 0.5, "recall": 0.5, "precision": 0.5},
        {"confidenceThreshold": 0.9},
    )
    np.testing.assert_array_equal(grid.columns["f1"], [0.67, nan, 0.0])


def test_threshold_below_zero_is_dropped(parse, data):
    """The entry at -0.01 that precedes 0 in Google's own test data is no point of the curve."""
    text = (data / "python-aiplatform-fixture" / "metrics.json").read_bytes()
    metrics = parse_metrics(text, is_legacy=False)
    ((_, grid),) = metrics.grids
    assert grid.thresholds.tolist() == [0.0]
    assert grid.columns["recall_at_1"].tolist() == [0.74216866]
    assert grid.columns["tp"].tolist() == [415]
    assert metrics.scores == {
        "average_precision": 0.80592036,
        "roc_auc": 0.8100363,
        "log_loss": 0.53061414,
    }


def test_threshold_above_one_is_counted(parse_grid):
    """An entry above 1 is no point of the curve either, and is counted."""
    grid = parse_grid({"recall": 1, "precision": 1}, {"confidenceThreshold": 1.5, "recall": 0.5})
    assert (grid.thresholds.tolist(), grid.n_beyond) == ([0.0], 1)


@pytest.mark.parametrize("count", ["415", 415, 415.0, "415.0"])
def test_counts_in_any_spelling(parse_grid, count):
    """REST writes 64-bit integers as strings, the SDK's Struct makes every number a float."""
    assert parse_grid({"truePositiveCount": count, "recall": 1}).columns["tp"].tolist() == [415]


@pytest.mark.parametrize("value", [None, "NaN", "Infinity", "-Infinity"])
def test_no_number(parse, value):
    """A number given as null, NaN or infinite is none."""
    assert parse({"auPrc": value, "logLoss": 0.5, "confidenceMetrics": []}).scores == {
        "log_loss": 0.5
    }


def test_widened_numbers_are_the_published_ones(parse_grid):
    """A 32-bit number that Python widened equals the short one that REST writes."""
    widened = {"confidenceThreshold": 0.05000000074505806, "recall": 0.9836512207984924}
    short = {"confidenceThreshold": 0.05, "recall": 0.9836512}
    one, other = parse_grid(widened), parse_grid(short)
    assert one.thresholds.tolist() == other.thresholds.tolist() == [0.05]
    assert one.columns["recall"].tolist() == other.columns["recall"].tolist() == [0.9836512]


def test_entries_in_any_order(parse_grid):
    """Entries are sorted by threshold."""
    entries = [{"confidenceThreshold": t, "recall": 1 - t} for t in (0.9, 0.1, 0.5)]
    grid = parse_grid(*entries)
    assert grid.thresholds.tolist() == [0.1, 0.5, 0.9]
    assert grid.columns["recall"].tolist() == [0.9, 0.5, 1 - 0.9]


@pytest.mark.parametrize("key", ["maxPredictions", "positionThreshold"])
def test_repeated_threshold_keeps_the_widest(parse_grid, key):
    """Of two entries at a threshold, the one over more predictions an image counts."""
    narrow = {"confidenceThreshold": 0.5, "recall": 0.1, key: 1}
    wide = {"confidenceThreshold": 0.5, "recall": 0.9, key: MAX_INT}
    for entries in ((narrow, wide), (wide, narrow)):
        grid = parse_grid(*entries)
        assert grid.columns["recall"].tolist() == [0.9]


def test_close_thresholds_are_not_one(parse_grid):
    """Thresholds that are scores may lie as close as they like."""
    grid = parse_grid({"confidenceThreshold": 1e-9, "recall": 1}, {"confidenceThreshold": 2e-9})
    assert grid.thresholds.tolist() == [1e-9, 2e-9]


def test_narrower_tables_are_not_mixed_in(parse_grid):
    """Entries over fewer predictions an image are another table, whatever their thresholds."""
    wide = {"confidenceThreshold": 0.5, "recall": 0.9, "positionThreshold": MAX_INT}
    narrow = {"confidenceThreshold": 0.7, "recall": 0.1, "positionThreshold": 1}
    assert parse_grid(wide, narrow, is_legacy=True).thresholds.tolist() == [0.5]


def test_default_values_of_the_legacy_library_say_nothing(parse):
    """The legacy client library writes 0 for what was left out: the same metrics come out."""
    entry = {"recall": 1.0, "precision": 0.2, "positionThreshold": MAX_INT}
    defaults = {
        "confidenceThreshold": 0.0,
        "f1Score": 0.0,
        "falsePositiveRate": 0.0,
        "recallAt1": 0.0,
        "precisionAt1": 0.0,
        "truePositiveCount": "0",
        "falsePositiveCount": "0",
    }
    plain = parse({"auPrc": 0.9, "confidenceMetricsEntry": [entry]}, is_legacy=True)
    filled = parse(
        {
            "auPrc": 0.9,
            "auRoc": 0.0,
            "logLoss": 0.0,
            "annotationSpecId": [],
            "confidenceMetricsEntry": [entry | defaults],
        },
        is_legacy=True,
    )
    assert plain.scores == filled.scores == {"average_precision": 0.9}
    for name, column in plain.grids[0][1].columns.items():
        np.testing.assert_array_equal(column, filled.grids[0][1].columns[name])


def test_explicit_zero_of_vertex_is_a_number(parse_grid, parse):
    """Vertex AI's metrics are free JSON: a 0 that stands there was published."""
    grid = parse_grid({"recall": 1, "precision": 0.5}, {"confidenceThreshold": 0.9, "precision": 0})
    assert grid.columns["precision"].tolist() == [0.5, 0.0]
    assert parse({"auRoc": 0, "confidenceMetrics": []}).scores == {"roc_auc": 0.0}


@pytest.mark.parametrize(
    "matrix",
    [
        {
            "annotationSpecId": ["1", "2"],
            "displayName": ["a", "b"],
            "row": [{"exampleCount": [3, 0]}, {"exampleCount": [1, 2]}],
        },
        {
            "annotationSpecs": [
                {"id": "1", "displayName": "a"},
                {"id": "2", "displayName": "b"},
            ],
            "rows": [[3, 0], [1, 2]],
        },
        {
            "annotationSpecs": [{"id": 1, "displayName": "a"}, {"id": 2, "displayName": "b"}],
            "rows": [{"row": [3, 0]}, {"row": [1.0, "2"]}],
        },
    ],
)
def test_matrix_in_each_form(parse, matrix):
    """The legacy form, that of AutoML and that of pipelines are one matrix of counts."""
    found = parse({"confidenceMetrics": [], "confusionMatrix": matrix}).matrix
    assert (found.ids, found.names, found.rows) == (("1", "2"), ("a", "b"), ((3, 0), (1, 2)))


def test_matrix_without_ids(parse):
    """Without ids the names alone tell the labels."""
    matrix = {"displayName": ["a", "b"], "row": [{"exampleCount": [3, 0]}, {}]}
    found = parse({"confidenceMetricsEntry": [], "confusionMatrix": matrix}).matrix
    assert (found.ids, found.rows) == (("", ""), ((3, 0), (0, 0)))


def test_empty_matrix(parse):
    """A matrix without rows is none."""
    assert parse({"confidenceMetrics": [], "confusionMatrix": {}}).matrix is None


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"confidenceMetrics": [{"precision": 1.7}]}, "precision is 1.7"),
        ({"confidenceMetrics": [{"recall": -0.5}]}, "recall is -0.5"),
        ({"confidenceMetrics": [{"truePositiveCount": -1}]}, ">= 0"),
        ({"confidenceMetrics": [{"truePositiveCount": 1.5}]}, r"\$.confidenceMetrics"),
        ({"confidenceMetrics": {"a": 1}}, r"\$.confidenceMetrics"),
        ({"auPrc": 3}, "average precision is 3"),
        ({"auPrc": [0.5]}, r"\$.auPrc"),
        ({"boundingBoxMetrics": [{"iouThreshold": 5}]}, "IoU threshold is 5"),
        (
            {"confusionMatrix": {"displayName": ["a", "b"], "row": [{"exampleCount": [1, 2]}]}},
            "1 rows, but a list of 2",
        ),
        (
            {"confusionMatrix": {"annotationSpecs": [{"id": "1"}], "rows": [[1, 2]]}},
            "1 rows, but a list of 2",
        ),
    ],
)
def test_malformed_metrics(parse, metrics, reason):
    """What the format does not allow is refused, and the message says where or what."""
    with pytest.raises(ValueError, match=reason):
        parse(metrics)


def test_detection_averages(parse):
    """The mean over all IoU thresholds, and the average precision at each, by rising IoU."""
    metrics = parse(
        {
            "evaluatedBoundingBoxCount": 190,
            "boundingBoxMeanAveragePrecision": 0.3128878,
            "boundingBoxMetrics": [
                {"iouThreshold": 0.85, "meanAveragePrecision": 0.0818413},
                {"iouThreshold": 0.5, "meanAveragePrecision": 0.6},
                {"iouThreshold": 0.99},
            ],
        }
    )
    assert metrics.scores == {
        "average_precision": 0.3128878,
        "average_precision_50": 0.6,
        "average_precision_85": 0.0818413,
        "average_precision_99": 0.0,
    }
    assert list(metrics.scores) == sorted(metrics.scores)


def test_detection_without_true_boxes(parse):
    """An average over no box is undefined, not 0."""
    assert parse({"boundingBoxMetrics": [{"iouThreshold": 0.5}]}).scores == {}


def test_detection_label_that_is_never_found(parse_box_grid):
    """With true boxes a recall that is left out everywhere is 0; without them it is undefined."""
    assert parse_box_grid(4, {"confidenceThreshold": 0.5}).columns["recall"].tolist() == [0.0]
    assert isnan(parse_box_grid(0, {"confidenceThreshold": 0.5}).columns["recall"][0])


def test_repeated_iou_threshold(parse):
    """Of two lists at one IoU threshold the first counts."""
    by_iou = [
        {"iouThreshold": 0.5, "confidenceMetrics": [{"recall": recall, "precision": 1}]}
        for recall in (0.4, 0.6)
    ]
    ((_, grid),) = parse({"evaluatedBoundingBoxCount": 5, "boundingBoxMetrics": by_iou}).grids
    assert grid.columns["recall"].tolist() == [0.4]


@pytest.mark.parametrize(
    ("iou", "name"),
    [
        (0.5, "average_precision_50"),
        (0.05, "average_precision_05"),
        (0.75, "average_precision_75"),
        (0.125, "average_precision_12_5"),
        (1.0, "average_precision_100"),
    ],
)
def test_names_of_ious(iou, name):
    """The name tells the IoU threshold in percent."""
    assert name_of_iou(iou) == name
