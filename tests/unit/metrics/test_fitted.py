"""The doubt that thresholds were chosen on the very images that are counted."""

from dataclasses import replace

import pytest
from builders.evaluations import build_evaluation

from mlrek.evaluation import DoubtKind, Effect, Provider, Reported, SourceFile, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics, compute_numbers
from mlrek.metrics.doubts import doubt_shared

FITTED = DoubtKind.THRESHOLDS_FITTED


def build(**options):
    """Three images of two labels, the last one wrong."""
    options = {"thresholds": [0.5, 0.5], "n_labels": 2} | options
    return build_evaluation([[0], [1], [1]], [[(0, 0.9)], [(1, 0.8)], [(0, 0.6)]], **options)


def find_fitted(evaluation, rule=PredictionRule.TOP1):
    """The doubt among those of the numbers."""
    metrics = compute_metrics(evaluation, prediction_rule=rule, intervals=False)
    return [doubt for doubt in metrics.doubts if doubt.kind is FITTED]


def test_rekognitions_own_test_set_is_always_doubted():
    """Its thresholds were chosen on these images: what would pass at them is stopped."""
    (doubt,) = find_fitted(build())

    assert (doubt.count, doubt.of, doubt.effect) == (3, 3, Effect.STOPS)
    assert doubt.touches_number("at_threshold/f1_macro")
    assert doubt.touches_number("label_at_threshold_recall", "a")
    assert doubt.touches_number("reported/f1")
    assert doubt.touches_number("label_reported_f1", "a")


def test_comparisons_see_it_too():
    """The numbers that a comparison makes have the doubt."""
    assert FITTED in {doubt.kind for doubt in compute_numbers(build(), PredictionRule.TOP1).doubts}


def test_top_labels_do_not_depend_on_thresholds():
    """An ordinary project of one label an image passes on its aggregates and labels."""
    (doubt,) = find_fitted(build())

    assert not doubt.touches_number("aggregate/f1_macro")
    assert not doubt.touches_number("label_recall", "a")


def test_the_rule_threshold_does():
    """Judged by thresholds, aggregates are made of them; those of ranked scores are not."""
    (doubt,) = find_fitted(build(), PredictionRule.THRESHOLD)

    assert doubt.touches_number("aggregate/accuracy")
    assert doubt.touches_number("aggregate/ece")
    assert doubt.touches_number("label_recall", "a")
    assert not doubt.touches_number("aggregate/roc_auc_macro")
    assert not doubt.touches_number("aggregate/log_loss")
    assert not doubt.touches_number("label_ap", "a")


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
def test_no_number_of_decisions_escapes(task):
    """Whatever aggregate there is, also a new one, is doubted unless it is of ranks or scores."""
    evaluation = build(task=task)
    (doubt,) = find_fitted(evaluation, PredictionRule.THRESHOLD)
    metrics = compute_metrics(evaluation, prediction_rule=PredictionRule.THRESHOLD)
    ranked = ("roc_auc", "average_precision", "log_loss")

    names = {name for name in metrics.aggregate if not name.startswith(ranked)}

    assert {name for name in names if not doubt.touches_number(f"aggregate/{name}")} == set()
    assert len(names) > len(ranked)


def test_of_several_labels_every_decision_does():
    """Aggregates and labels are made from decisions at thresholds; AP and AUC are not."""
    (doubt,) = find_fitted(build(task=Task.MULTILABEL))

    for name in ("f1_samples", "jaccard_macro", "subset_accuracy", "hamming_loss"):
        assert doubt.touches_number(f"aggregate/{name}")
    assert doubt.touches_number("label_precision", "b")
    assert not doubt.touches_number("aggregate/average_precision_micro")
    assert not doubt.touches_number("label_roc_auc", "b")


@pytest.mark.parametrize("provider", [Provider.LOOKOUT, Provider.AUTOML, Provider.VERTEX])
def test_others_choose_no_threshold_on_the_test_set(provider):
    """Google's numbers are read where the user says, Lookout names no threshold."""
    assert find_fitted(build(provider=provider)) == []


def test_an_adapters_threshold_was_entered():
    """A moderation adapter is read at the threshold that its owner chose."""
    assert find_fitted(build(reported=Reported(baseline=Reported()))) == []


def test_your_own_test_set_is_not_doubted():
    """Answers on your own images: the thresholds come from elsewhere."""
    answers = SourceFile(role="responses", uri="answers.jsonl", size=1, sha256="0")

    assert find_fitted(replace(build(), files=(answers,))) == []


def test_your_own_test_set_is_doubted_where_it_is_the_services():
    """One of three images is the service's own: the doubt counts it."""
    (doubt,) = doubt_shared(build(), ["2", "x", "y"], Task.CLASSIFICATION)

    assert (doubt.kind, doubt.count, doubt.of) == (FITTED, 1, 3)
    assert list(doubt_shared(build(), ["x", "y"], Task.CLASSIFICATION)) == []


def test_a_doubt_of_reading_is_not_made_twice():
    """By the rule top1 the doubt that came with the images is enough; another rule touches more."""
    answers = SourceFile(role="responses", uri="answers.jsonl", size=1, sha256="0")
    doubts = tuple(doubt_shared(build(), ["0", "1", "2"], Task.CLASSIFICATION))
    evaluation = replace(build(), files=(answers,), doubts=doubts)

    assert find_fitted(evaluation) == []
    (doubt,) = find_fitted(evaluation, PredictionRule.THRESHOLD)
    assert doubt.touches_number("aggregate/accuracy")


def test_numbers_without_images_are_doubted():
    """A summary alone: what it reports was read at its own thresholds."""
    evaluation = build_evaluation([], [], n_labels=2, reported=Reported(aggregate={"f1": 0.9}))

    (doubt,) = find_fitted(evaluation)

    assert doubt.touches_number("reported/f1")
