"""Tests of shares and areas: hand counts, statsmodels, and an independent DeLong."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from mlrek.comparison import Scope
from mlrek.evaluation import Task
from mlrek.metrics.paired_tests import PairedCounts

SEEDS = range(3)


def _mid_p(only_baseline, only_candidate):
    """Fagerland 2013, from the binomial distribution."""
    n, k = only_baseline + only_candidate, min(only_baseline, only_candidate)
    if not n:
        return 1.0
    if only_baseline == only_candidate:
        return 1 - binom.pmf(k, n, 0.5) / 2
    return 2 * binom.cdf(k, n, 0.5) - binom.pmf(k, n, 0.5)


def _count(baseline, candidate):
    return PairedCounts(
        both=int(np.sum(baseline & candidate)),
        only_baseline=int(np.sum(baseline & ~candidate)),
        only_candidate=int(np.sum(~baseline & candidate)),
        neither=int(np.sum(~baseline & ~candidate)),
    )


def _assert_judged(difference, baseline, candidate):
    counts = _count(baseline, candidate)
    assert (difference.low, difference.high) == pytest.approx(counts.interval(0.95), abs=1e-12)
    expected = _mid_p(counts.only_baseline, counts.only_candidate)
    assert difference.p == pytest.approx(expected, abs=1e-12)
    assert difference.baseline == pytest.approx(baseline.mean(), abs=1e-12)
    assert difference.candidate == pytest.approx(candidate.mean(), abs=1e-12)


def _assert_holm(differences):
    expected = multipletests([d.p for d in differences], method="holm")[1]
    assert [d.p_adjusted for d in differences] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_label_an_image(build_scores, compare, draw_pair, seed):
    """Accuracy, each label's decisions, and its recall."""
    truth, *scores = draw_pair(seed)
    y_true = np.array(truth)[:, 0]
    predicted = [one.argmax(axis=1) for one in scores]

    comparison = compare(*(build_scores(truth, one) for one in scores))

    _assert_judged(comparison.find("aggregate/accuracy"), *(p == y_true for p in predicted))
    mistakes = comparison.find("aggregate/hamming_loss")
    accuracy = comparison.find("aggregate/accuracy")
    assert (mistakes.low, mistakes.high) == pytest.approx((-accuracy.high, -accuracy.low))
    for name in ("label_decisions", "label_recall"):
        differences = [comparison.find(name, label=label) for label in "abcd"]
        for code, difference in enumerate(differences):
            right = [(p == code) == (y_true == code) for p in predicted]
            kept = y_true == code if name == "label_recall" else y_true >= 0
            _assert_judged(difference, *(one[kept] for one in right))
        _assert_holm(differences)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_labels_an_image(build_scores, compare, draw_pair, seed):
    """Images wholly right, and each label's decisions."""
    truth, *scores = draw_pair(seed, several=True)
    y_true = np.array([np.isin(range(4), codes) for codes in truth])
    options = {"task": Task.MULTILABEL, "thresholds": [0.5] * 4}

    comparison = compare(*(build_scores(truth, one, **options) for one in scores))

    cells = [(one >= 0.5) == y_true for one in scores]
    _assert_judged(
        comparison.find("aggregate/subset_accuracy"), *(one.all(axis=1) for one in cells)
    )
    differences = [comparison.find("label_decisions", label=label) for label in "abcd"]
    for code, difference in enumerate(differences):
        _assert_judged(difference, *(one[:, code] for one in cells))
    _assert_holm(differences)


def _place(scores, positive):
    """DeLong 1988: of each positive the share of negatives below it, and the reverse."""
    above = scores[positive][:, np.newaxis] - scores[~positive]
    wins = (above > 0) + (above == 0) / 2
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_areas_of_each_label(build_scores, compare, draw_pair, seed):
    """By the covariance of both versions' placements, pair by pair."""
    truth, *scores = draw_pair(seed, n=120)
    y_true = np.array(truth)[:, 0]

    comparison = compare(*(build_scores(truth, one) for one in scores), intervals=True)

    differences = [comparison.find("label_roc_auc", label=label) for label in "abcd"]
    for code, difference in enumerate(differences):
        places = [_place(one[:, code].round(12), y_true == code) for one in scores]
        covariance = sum(
            np.cov([first, second]) / len(first) for first, second in zip(*places, strict=True)
        )
        error = np.sqrt(np.array([-1, 1]) @ covariance @ np.array([-1, 1]))
        change = places[1][0].mean() - places[0][0].mean()
        assert difference.p == pytest.approx(2 * norm.sf(abs(change) / error), abs=1e-9)
        assert difference.low <= change <= difference.high
    _assert_holm(differences)


def test_nothing_in_common_is_two_independent_shares(build_top, compare):
    """Newcombe's interval of unpaired shares: 30 of 40 against 45 of 50."""
    baseline = build_top([0] * 40, [0] * 30 + [1] * 10, images=[f"b{i}" for i in range(40)])
    candidate = build_top([0] * 50, [0] * 45 + [1] * 5, images=[f"c{i}" for i in range(50)])

    accuracy = compare(baseline, candidate).find("aggregate/accuracy", scope=Scope.WHOLE)

    expected = confint_proportions_2indep(45, 50, 30, 40, method="newcomb", compare="diff")
    assert (accuracy.low, accuracy.high) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(accuracy.p)


def test_images_that_stand_there_twice_count_once(build_top, compare):
    """20 images of each version in 40 lines tell as much as 20 lines."""
    right = np.random.default_rng(0).random((2, 20)) < 0.8
    several, once = [], []
    for prefix, one in zip("bc", right, strict=True):
        images = [f"{prefix}{i:02}" for i in range(20)]
        y_pred = 1 - one.astype(int)
        once.append(build_top([0] * 20, y_pred, images=images))
        several.append(build_top([0] * 40, [*y_pred, *y_pred], images=images * 2))

    found, expected = (
        compare(*sides).find("aggregate/accuracy", scope=Scope.WHOLE) for sides in (several, once)
    )

    assert (found.low, found.high) == (expected.low, expected.high)
    n, m = right[1].sum(), right[0].sum()
    ends = confint_proportions_2indep(n, 20, m, 20, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-9)


def test_equally_good_versions_are_seldom_told_apart(build_top, compare):
    """The interval of 400 data sets leaves out 0 in the nominal share."""
    rng = np.random.default_rng(0)
    names = "aggregate/accuracy", "aggregate/f1_macro"
    wrong = dict.fromkeys(names, 0)
    for _ in range(400):
        y_true = rng.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=300)
        hard = rng.random(300) < 0.25
        sides = [
            np.where(hard & (rng.random(300) < 0.5), (y_true + rng.integers(1, 4, 300)) % 4, y_true)
            for _ in range(2)
        ]
        comparison = compare(*(build_top(y_true, one, n_labels=4) for one in sides), intervals=True)
        for name in names:
            difference = comparison.find(name)
            wrong[name] += not difference.low <= 0 <= difference.high

    # Of 400 at 5 % some 20 are expected; more than 30 come by chance once in a hundred times.
    assert all(n <= 30 for n in wrong.values()), wrong
