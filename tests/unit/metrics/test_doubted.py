"""Doubts that show in records and numbers, each with what it touches."""

from dataclasses import replace

import numpy as np
from builders.detections import build_detection

from mlrek.evaluation import DoubtKind, Effect, Task
from mlrek.formats.doubts import doubt_foreign
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics

HERE, THERE, NOWHERE = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)


def _find(evaluation, kind, **options):
    doubts = compute_metrics(evaluation, intervals=False, **options).doubts
    return [doubt for doubt in doubts if doubt.kind is kind]


def _touched(doubt, *names):
    return [name for name in names if doubt.touches_number(name)]


def test_partial_boxes_stop_comparisons_of_average_precision():
    """It is a lower bound: a floor that it reaches holds; with matched boxes it flatters."""
    found = [[(0, HERE, 0.9, "TP"), (0, THERE, 0.2, "FN")]]
    evaluation = build_detection([[(0, HERE), (0, THERE)]], found, thresholds=[0.5, 0.5])
    lower, upper = _find(evaluation, DoubtKind.RECORDS_PARTIAL)
    assert (lower.effect, upper.effect) == (Effect.STOPS_RELATIVE, Effect.STOPS)
    names = ["aggregate/ap", "aggregate/ap_75", "label_ap", "label_recall", "extra/ap_optimistic"]
    assert _touched(lower, *names) == names[:3]
    assert _touched(upper, *names) == names[4:]


def test_complete_boxes_are_not_doubted():
    """An unmatched box below the threshold shows that nothing was left out."""
    found = [[(0, HERE, 0.9, "TP"), (0, NOWHERE, 0.3, "TN")]]
    evaluation = build_detection([[(0, HERE)]], found, thresholds=[0.5, 0.5])
    assert not _find(evaluation, DoubtKind.RECORDS_PARTIAL)


def test_records_of_the_top_label_alone_stop_what_is_read_at_thresholds(build):
    """Another label of image 0 may reach 0.2 unseen; image 1 is too unsure for that."""
    evaluation = build([[0], [0]], [[(0, 0.6)], [(1, 0.1)]], n_labels=2, thresholds=[0.5, 0.2])
    (doubt,) = _find(evaluation, DoubtKind.RECORDS_PARTIAL)
    assert (doubt.count, doubt.of, doubt.effect) == (1, 2, Effect.STOPS)
    names = ["at_threshold/precision_macro", "aggregate/accuracy", "label_recall", "reported/f1"]
    assert _touched(doubt, *names) == names[:1]


def test_decisions_at_thresholds_lack_labels_below_the_top_one(build):
    """By that rule, and where images have several labels."""
    records, thresholds = [[(0, 0.6)], [(1, 0.1)]], [0.5, 0.2]
    one = build([[0], [0]], records, n_labels=2, thresholds=thresholds)
    (doubt,) = _find(one, DoubtKind.RECORDS_PARTIAL, prediction_rule=PredictionRule.THRESHOLD)
    assert doubt.touches_number("aggregate/accuracy")
    several = build([[0, 1], [0]], records, n_labels=2, thresholds=thresholds, task=Task.MULTILABEL)
    (doubt,) = _find(several, DoubtKind.RECORDS_PARTIAL)
    assert doubt.touches_number("aggregate/f1_macro")


def test_without_its_own_thresholds_the_rule_that_reads_them_is_doubted(build):
    """A summary of another version gives none: the flags would decide. Top labels need none."""
    one = build([[0], [0]], [[(0, 0.6)], [(1, 0.1)]], n_labels=2)
    doubt = doubt_foreign("summary", "arn:other", one.task)
    evaluation = replace(one, doubts=(doubt,))
    assert not doubt.touches_number("aggregate/accuracy")
    assert not _find(evaluation, DoubtKind.FOREIGN_SUMMARY)
    rule = PredictionRule.THRESHOLD
    (wider,) = _find(evaluation, DoubtKind.FOREIGN_SUMMARY, prediction_rule=rule)
    names = ["aggregate/accuracy", "label_recall", "reported/f1", "aggregate/roc_auc_macro"]
    assert _touched(wider, *names) == names[:3]
    assert wider.effect is Effect.STOPS


def test_top_labels_are_enough_where_no_other_can_reach(build):
    """Every other label's threshold is above the top confidence."""
    evaluation = build([[0]], [[(0, 0.6)]], n_labels=2, thresholds=[0.5, 0.7])
    assert not _find(evaluation, DoubtKind.RECORDS_PARTIAL)


def test_partial_records_of_labels_are_not_doubted(build):
    """What they spoil is left out: AUC, AP and log loss."""
    evaluation = build([[0], [1]], [[(0, 0.9), (1, 0.6)], []], n_labels=2, thresholds=[0.5, np.nan])
    assert not _find(evaluation, DoubtKind.RECORDS_PARTIAL)
    assert np.isnan(compute_metrics(evaluation, intervals=False).aggregate["roc_auc_macro"].value)
