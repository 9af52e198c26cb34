"""Tables with a row for each label."""

from math import nan

import numpy as np

from mlrek.metrics import ThresholdCurves
from mlrek.render.document import describe_labels, write_per_label, write_threshold_curves


def test_everything_known_of_each_label(
    make_evaluation, make_metrics, make_scores, reported, read_csv
):
    """Counts, scores, intervals, threshold, scores there, and what was reported, in label order."""
    metrics = make_metrics(
        per_label=make_scores(
            2,
            support=[4, 0],
            tp=[3, 0],
            fp=[1, 0],
            fn=[1, 0],
            precision=[0.75, nan],
            precision_low=[0.3, nan],
            recall=[0.75, nan],
            f1=[0.75, nan],
            ap=[0.5, nan],
        ),
        at_threshold_per_label=make_scores(2, precision=[1.0, nan], recall=[0.5, nan]),
    )
    evaluation = make_evaluation(thresholds=[0.7, nan], reported=reported)
    header, a, b = read_csv(write_per_label(evaluation, metrics))
    first, second = dict(zip(header, a, strict=True)), dict(zip(header, b, strict=True))
    assert header == [
        "label",
        "support",
        "tp",
        "fp",
        "fn",
        "precision",
        "precision_low",
        "precision_high",
        "recall",
        "recall_low",
        "recall_high",
        "f1",
        "ap",
        "roc_auc",
        "threshold",
        "at_threshold_precision",
        "at_threshold_recall",
        "at_threshold_f1",
        "reported_precision",
        "reported_recall",
        "reported_f1",
        "reported_test_images",
    ]
    assert a[:7] == ["a", "4", "3", "1", "1", "0.75", "0.3"]
    assert first["ap"] == "0.5"
    assert first["threshold"] == "0.7"
    assert first["at_threshold_recall"] == "0.5"
    assert first["reported_recall"] == "0.25"
    assert first["reported_test_images"] == ""
    assert b[:7] == ["b", "0", "0", "0", "0", "", ""]
    assert second["reported_f1"] == "1.0"
    assert second["reported_test_images"] == "3.0"


def test_without_images_the_reported_values_are_there(
    make_evaluation, make_metrics, reported, read_csv
):
    """A version whose manifest is gone still has its thresholds and reported scores."""
    content = write_per_label(make_evaluation(reported=reported), make_metrics())
    header, a, _ = read_csv(content)
    row = dict(zip(header, a, strict=True))
    assert row["support"] == row["precision"] == ""
    assert row["reported_precision"] == "0.5"


def test_every_run_has_the_same_first_columns(make_evaluation, make_metrics, read_csv):
    """Also where the provider reports nothing of single labels."""
    header = read_csv(write_per_label(make_evaluation(), make_metrics()))[0]
    assert header[-3:] == ["reported_precision", "reported_recall", "reported_f1"]


def test_curves_of_all_labels_and_of_each(read_csv):
    """All labels together come first; what has a zero denominator is empty."""
    curves = ThresholdCurves(
        thresholds=np.array([0.0, 0.29]),
        tp=np.array([[2, 1], [1, 0]]),
        fp=np.array([[1, 0], [0, 0]]),
        fn=np.array([[0, 1], [1, 2]]),
    )
    assert read_csv(write_threshold_curves(curves, ("a", "(all)"))) == [
        ["label", "threshold", "tp", "fp", "fn", "precision", "recall", "f1"],
        ["(all)", "0.0", "3", "1", "1", "0.75", "0.75", "0.75"],
        ["(all)", "0.29", "1", "0", "3", "1.0", "0.25", "0.4"],
        ["a", "0.0", "2", "1", "0", repr(2 / 3), "1.0", "0.8"],
        ["a", "0.29", "1", "0", "1", "1.0", "0.5", repr(2 / 3)],
        ['"(all)"', "0.0", "1", "0", "1", "1.0", "0.5", repr(2 / 3)],
        ['"(all)"', "0.29", "0", "0", "2", "", "0.0", "0.0"],
    ]


def test_the_map_of_labels():
    """By its own name: metric key, place in label order, display name."""
    assert describe_labels(("a/b", "(none)")) == {
        "a/b": {"metric_key": "a_x2F_b", "index": 0, "display": "a/b"},
        "(none)": {"metric_key": "_x28_none_x29_", "index": 1, "display": '"(none)"'},
    }


def test_twins_stay_apart_in_the_map():
    """A composed and a decomposed name are two entries with two keys."""
    described = describe_labels(("caf\u00e9", "cafe\u0301"))
    assert len({entry["metric_key"] for entry in described.values()}) == len(described) == 2
