"""Numbers at cross-fitted thresholds, their intervals, and what they are called."""

from math import sqrt

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from scipy.stats import norm, t
from sklearn.metrics import (
    accuracy_score,
    hamming_loss,
    jaccard_score,
    precision_recall_fscore_support,
)
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.crossfit import (
    CROSSFIT_NAMES,
    LOGGED_NAMES,
    estimate_crossfit,
    find_crossfit,
    fit_evaluation,
)
from mlrek.metrics.fitting import Folds, deal_folds, fit_across
from mlrek.metrics.ranking import rank_pairs
from mlrek.metrics.shares import count_interval, find_interval

N_LABELS = 4


def make_scores(n, *, seed, several=False):
    """True labels and confidences, both (n, N_LABELS)."""
    rng = np.random.default_rng(seed)
    truth = np.eye(N_LABELS, dtype=bool)[rng.integers(0, N_LABELS, n)]
    if several:
        truth |= rng.random(truth.shape) < 0.2
        truth[0] = False
    return truth, np.clip(rng.random(truth.shape) * 0.7 + 0.3 * truth, 0, 1).round(3)


def build(truth, scores, *, several=False, images=None, thresholds=0.5):
    """An evaluation of arrays."""
    return build_evaluation(
        [np.flatnonzero(row).tolist() for row in truth],
        [list(enumerate(row)) for row in scores.tolist()],
        n_labels=N_LABELS,
        thresholds=[thresholds] * N_LABELS,
        task=Task.MULTILABEL if several else Task.CLASSIFICATION,
        images=images or [f"s3://bucket/{i}.jpg" for i in range(len(truth))],
    )


def decide(evaluation, scores, folds):
    """The decisions at the fitted thresholds of each image's fold, (n, N_LABELS)."""
    fit = fit_across(rank_pairs(evaluation), evaluation.thresholds, folds)
    return scores >= fit.thresholds[:, 0].T[folds.fold]


def test_averages_are_scikit_learns_of_the_decisions():
    """Precision, recall and F1, micro, macro and weighted, one label an image."""
    truth, scores = make_scores(90, seed=1)
    evaluation = build(truth, scores)

    metrics = compute_metrics(evaluation, intervals=False)

    decided = decide(evaluation, scores, deal_folds(evaluation.images))
    for average in ("micro", "macro", "weighted"):
        expected = precision_recall_fscore_support(truth, decided, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert metrics.crossfit[f"{name}_{average}"].value == pytest.approx(value, abs=1e-12)
    assert tuple(metrics.crossfit) == CROSSFIT_NAMES[Task.CLASSIFICATION]


def test_numbers_of_decisions_are_scikit_learns():
    """Several labels an image: averages over images, exact sets and wrong decisions, too."""
    truth, scores = make_scores(80, seed=2, several=True)
    evaluation = build(truth, scores, several=True)

    found = compute_metrics(evaluation, intervals=False).crossfit

    decided = decide(evaluation, scores, deal_folds(evaluation.images))
    of_images = precision_recall_fscore_support(truth, decided, average="samples", zero_division=0)
    expected = {
        "precision_samples": of_images[0],
        "recall_samples": of_images[1],
        "f1_samples": of_images[2],
        **{
            f"jaccard_{average}": jaccard_score(truth, decided, average=average, zero_division=0)
            for average in ("micro", "macro", "weighted", "samples")
        },
        "subset_accuracy": accuracy_score(truth, decided),
        "hamming_loss": hamming_loss(truth, decided),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(found) == set(expected) | set(CROSSFIT_NAMES[Task.CLASSIFICATION])


def test_labels_have_their_own_numbers():
    """Precision, recall and F1 of each label are scikit-learn's of the decisions."""
    truth, scores = make_scores(90, seed=3)
    evaluation = build(truth, scores)

    found = compute_metrics(evaluation, intervals=False).crossfit_per_label

    decided = decide(evaluation, scores, deal_folds(evaluation.images))
    expected = precision_recall_fscore_support(truth, decided, zero_division=0)
    assert found.precision.tolist() == pytest.approx(expected[0].tolist(), abs=1e-12)
    assert found.recall.tolist() == pytest.approx(expected[1].tolist(), abs=1e-12)
    assert found.f1.tolist() == pytest.approx(expected[2].tolist(), abs=1e-12)
    assert np.all(found.recall_low < found.recall)
    assert np.all(found.precision <= found.precision_high)


def test_no_order_of_images_changes_a_number():
    """Values and intervals depend on which images there are, not on their order."""
    truth, scores = make_scores(70, seed=4, several=True)
    evaluation = build(truth, scores, several=True)
    turned = build(truth[::-1], scores[::-1], several=True, images=evaluation.images[::-1])

    found = compute_metrics(turned, intervals=False).crossfit

    for name, number in compute_metrics(evaluation, intervals=False).crossfit.items():
        other = found[name]
        assert [other.value, other.low, other.high] == pytest.approx(
            [number.value, number.low, number.high], abs=1e-12
        )


def test_leaving_out_a_part_is_computing_without_its_images():
    """Averages over images without a part are those of the decisions on the other images."""
    truth, scores = make_scores(60, seed=5, several=True)
    evaluation = build(truth, scores, several=True)
    folds = deal_folds(evaluation.images)

    found = fit_evaluation(evaluation, rank_pairs(evaluation))

    for part in range(20):
        kept = np.flatnonzero(folds.part != part)
        rest = Folds(part=folds.part[kept], n_keys=len(kept))
        some = build(truth[kept], scores[kept], several=True)
        decided = decide(some, scores[kept], rest)
        assert found.values["subset_accuracy"][1 + part] == accuracy_score(truth[kept], decided)
        assert found.values["hamming_loss"][1 + part] == pytest.approx(
            hamming_loss(truth[kept], decided), abs=1e-12
        )


def test_partial_records_have_no_cross_fitted_value():
    """Where not every label has a confidence on every image, the doubt says that nothing helps."""
    evaluation = build_evaluation(
        [[0], [1]], [[(0, 0.9)], [(0, 0.2), (1, 0.8)]], n_labels=2, thresholds=[0.5, 0.5]
    )

    metrics = compute_metrics(evaluation, intervals=False)

    assert metrics.crossfit == {}
    assert metrics.crossfit_per_label is None
    assert "as records are partial" in metrics.doubts[0].text
    assert "mlrek evaluate --on" in metrics.doubts[0].text


def test_without_thresholds_there_is_nothing_to_fit():
    """A provider that publishes no threshold has chosen none."""
    truth, scores = make_scores(30, seed=6)

    metrics = compute_metrics(build(truth, scores, thresholds=np.nan), intervals=False)

    assert metrics.crossfit == {}


def test_a_group_is_set_aside_as_a_whole():
    """Groups in place of images: folds are those of the groups' names."""
    truth, scores = make_scores(80, seed=7)
    evaluation = build(truth, scores)
    groups = [f"object-{i // 2}" for i in range(80)]

    found = estimate_crossfit(fit_evaluation(evaluation, rank_pairs(evaluation), groups=groups))

    decided = decide(evaluation, scores, deal_folds(groups))
    expected = precision_recall_fscore_support(truth, decided, average="macro", zero_division=0)
    assert found.numbers["f1_macro"].value == pytest.approx(expected[2], abs=1e-12)


def test_the_interval_is_a_delete_a_group_jackknife_on_the_logit_scale():
    """Ten values without a part; the logit has the slope 1 / (x (1 - x)), Student 9 degrees."""
    without = np.array([0.78, 0.82, 0.8, 0.79, 0.81, 0.8, 0.83, 0.77, 0.8, 0.8])

    low, high = find_interval(np.array([0.8, *without]), np.ones(10, dtype=bool), 100)

    error = sqrt(9 / 10 * ((without - without.mean()) ** 2).sum()) / (0.8 * 0.2)
    ends = np.log(0.8 / 0.2) + np.array([-1, 1]) * t.ppf(0.975, 9) * error
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))), abs=1e-12)


def test_a_perfect_score_has_wilsons_bound():
    """All of 40 images right: the lower end is that of 40 of 40."""
    low, high = find_interval(np.ones(21), np.ones(20, dtype=bool), 40)

    z = norm.ppf(0.975)
    assert (low, high) == pytest.approx((40 / (40 + z**2), 1.0), abs=1e-12)


def test_under_ten_parts_give_no_interval():
    """Nine parts with images are too few."""
    filled = np.arange(20) < 9

    assert np.isnan(find_interval(np.full(21, 0.8), filled, 100)).all()


def test_counts_alone_give_the_narrowest_interval():
    """Mean recall of 8 of 10 and 3 of 6: the variance from Wilson's ends (Zou and Donner 2008)."""
    counts = LabelCounts(tp=np.array([8, 3]), predicted=np.array([9, 5]), support=np.array([10, 6]))

    low, high = count_interval(counts, "recall_macro")

    first = proportion_confint(8, 10, method="wilson")
    second = proportion_confint(3, 6, method="wilson")
    below = sqrt((0.8 - first[0]) ** 2 + (0.5 - second[0]) ** 2) / 2
    above = sqrt((first[1] - 0.8) ** 2 + (second[1] - 0.5) ** 2) / 2
    assert (low, high) == pytest.approx((0.65 - below, 0.65 + above), abs=1e-9)


def test_f1_of_counts_has_the_interval_of_its_jaccard_index():
    """F1 of 6 found, 8 predicted and 10 true is 12 / 18; its Jaccard index is 6 of 12."""
    counts = LabelCounts(tp=np.array([6]), predicted=np.array([8]), support=np.array([10]))

    low, high = count_interval(counts, "f1_micro")

    ends = proportion_confint(6, 12, method="wilson")
    assert (low, high) == pytest.approx(tuple(2 * j / (1 + j) for j in ends), abs=1e-9)


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        (Task.CLASSIFICATION, "at_threshold/f1_macro", "crossfit/f1_macro"),
        (Task.CLASSIFICATION, "label_at_threshold_recall", "crossfit/label_recall"),
        (Task.CLASSIFICATION, "aggregate/f1_macro", ""),
        (Task.CLASSIFICATION, "label_recall", ""),
        (Task.CLASSIFICATION, "reported/f1", ""),
        (Task.MULTILABEL, "at_threshold/f1_macro", "crossfit/f1_macro"),
        (Task.MULTILABEL, "aggregate/subset_accuracy", "crossfit/subset_accuracy"),
        (Task.MULTILABEL, "aggregate/jaccard_samples", "crossfit/jaccard_samples"),
        (Task.MULTILABEL, "aggregate/roc_auc_macro", ""),
        (Task.MULTILABEL, "label_f1", "crossfit/label_f1"),
        (Task.MULTILABEL, "label_ap", ""),
        (Task.DETECTION, "at_threshold/f1_macro", ""),
    ],
)
def test_what_is_read_in_place_of_a_number(task, name, expected):
    """Numbers at the thresholds have a cross-fitted one; of several labels all decisions have."""
    assert find_crossfit(task, name) == expected


def test_at_most_ten_keys_are_logged():
    """The others stand in evaluation.json."""
    assert len(LOGGED_NAMES) == 10
    assert set(LOGGED_NAMES) <= set(CROSSFIT_NAMES[Task.MULTILABEL])


def test_cross_fitted_f1_is_that_of_new_images():
    """Thresholds of best F1 look better on their own images than on new ones, cross-fitted do not.

    50 labels, 300 images; means of 24 seeded test sets, within 0.02.
    """
    rng = np.random.default_rng(20)
    own, crossfit, new = zip(*(_simulate(rng, i) for i in range(24)), strict=True)

    assert np.mean(own) > np.mean(new) + 0.12
    assert np.mean(crossfit) == pytest.approx(np.mean(new), abs=0.02)


def _simulate(rng, number):
    """F1 macro at thresholds of best F1: on their own images, cross-fitted, and on new images."""
    n_labels = 50
    (truth, scores), (new_truth, new_scores) = (_draw(rng, n, n_labels) for n in (300, 2000))
    best = np.full(n_labels, 0.5)
    for label in np.flatnonzero(truth.any(axis=0)):
        positive = np.sort(scores[truth[:, label], label])[::-1]
        predicted = (scores[:, label] >= positive[:, np.newaxis]).sum(axis=1)
        tp = (scores[truth[:, label], label] >= positive[:, np.newaxis]).sum(axis=1)
        best[label] = positive[np.argmax(2 * tp / (predicted + truth[:, label].sum()))]
    evaluation = build_evaluation(
        [np.flatnonzero(row).tolist() for row in truth],
        [list(enumerate(row)) for row in scores.tolist()],
        labels=[f"label {i}" for i in range(n_labels)],
        thresholds=best,
        images=[f"s3://bucket/{number}/{i}.jpg" for i in range(300)],
    )
    ranked = rank_pairs(evaluation)
    found = estimate_crossfit(fit_evaluation(evaluation, ranked)).numbers["f1_macro"].value
    return _score(truth, scores >= best), found, _score(new_truth, new_scores >= best)


def _draw(rng, n, n_labels):
    true = rng.integers(0, n_labels, n)
    logits = rng.normal(size=(n, n_labels))
    logits[np.arange(n), true] += 2.1
    scores = np.exp(2 * logits)
    return np.eye(n_labels, dtype=bool)[true], scores / scores.sum(axis=1, keepdims=True)


def _score(truth, decided):
    return precision_recall_fscore_support(truth, decided, average="macro", zero_division=0)[2]
