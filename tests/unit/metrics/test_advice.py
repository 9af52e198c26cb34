"""From which threshold on a precision can be promised, and how often that is true."""

from types import SimpleNamespace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation
from proof.advice import simulate
from scipy.stats import binomtest

from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.thresholds import Trials, advise, count_trials


def _trials(n, wrong):
    """Counts that fall with the threshold: each entry is for as many steps as it says."""
    columns = [
        np.repeat([value for value, _ in column], [k for _, k in column]) for column in (n, wrong)
    ]
    return Trials(n=columns[0], wrong=columns[1])


@pytest.mark.parametrize(("n", "is_shown"), [(58, False), (59, True)])
def test_fifty_nine_right_ones_are_the_fewest(n, is_shown):
    """0.95^59 = 0.0485 and 0.95^58 = 0.051: of 58 the reason says how many are needed."""
    found = advise(_trials([(n, 101)], [(0, 101)]), 0.95)

    assert (found.step == 0) == is_shown
    assert (found.n, found.wrong) == (n, 0)
    assert found.needed == (None if is_shown else 59)


def test_the_first_threshold_that_fails_ends_it():
    """From 90 % down: 60 and 0 wrong, 200 and 3, 300 and 14; 400 and 8 below is not looked at."""
    trials = _trials(
        [(400, 30), (300, 30), (200, 30), (60, 10), (20, 1)],
        [(8, 30), (14, 30), (3, 30), (0, 10), (0, 1)],
    )

    assert [
        binomtest(wrong, n, 0.05, alternative="less").pvalue <= 0.05
        for n, wrong in ((60, 0), (200, 3), (300, 14), (400, 8))
    ] == [True, True, False, True]
    found = advise(trials, 0.95)
    assert (found.step, found.n, found.wrong) == (60, 200, 3)


def test_where_the_surest_are_not_good_enough_it_says_how_many_would_show_it():
    """Of the 60 surest one is wrong: 98.3 %, which a hundred or so would show."""
    found = advise(_trials([(300, 50), (60, 51)], [(3, 50), (1, 51)]), 0.95)

    assert (found.step, found.n, found.wrong) == (None, 60, 1)
    shown = binomtest(int(np.ceil(found.needed / 60)), found.needed, 0.05, alternative="less")
    assert shown.pvalue <= 0.05
    assert 93 <= found.needed <= 160  # 1 of 93 shows it, 2 of 124, 3 of 153


def test_what_is_not_above_the_goal_no_number_shows():
    """Four of the 60 surest are wrong: 93.3 %."""
    found = advise(_trials([(60, 101)], [(4, 101)]), 0.95)

    assert (found.step, found.needed) == (None, None)


def test_nothing_is_looked_for_where_records_stop():
    """Below 40 % records are incomplete: what looks best there is not said."""
    trials = _trials([(500, 40), (100, 61)], [(0, 40), (0, 61)])

    assert advise(trials, 0.95, lowest=40).step == 40
    assert advise(trials, 0.99, lowest=40).needed == 299


def test_of_all_labels_together_images_are_counted():
    """Two images: on one both labels are predicted and one is wrong, on the other none reaches."""
    evaluation = build_evaluation(
        [[0], [1]],
        [[(0, 0.9), (1, 0.8)], [(0, 0.1), (1, 0.3)]],
        n_labels=2,
        task=Task.MULTILABEL,
    )
    together, by_label = count_trials(
        evaluation, compute_metrics(evaluation, intervals=False).curves
    )

    assert (together.n[50], together.wrong[50]) == (1, 1)
    assert (together.n[85], together.wrong[85]) == (1, 0)
    assert (together.n[20], together.wrong[20]) == (2, 1)
    assert [(one.n[50], one.wrong[50]) for one in by_label] == [(1, 0), (1, 1)]


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
@pytest.mark.parametrize("seed", range(20))
def test_images_are_counted_as_one_by_one(seed, task):
    """At each step those with a record that reaches it; of one label an image, those with truth."""
    rng = np.random.default_rng(seed)
    most = 1 if task is Task.CLASSIFICATION else 3
    truth = [rng.permutation(3)[: rng.integers(most + 1)].tolist() for _ in range(9)]
    records = [
        [(int(code), float(rng.choice([0, 0.29, 0.57, 1, rng.random()]))) for code in codes]
        for codes in (rng.permutation(3)[: rng.integers(4)] for _ in range(9))
    ]
    evaluation = build_evaluation(truth, records, task=task)
    curves = SimpleNamespace(tp=np.zeros((101, 3), int), fp=np.zeros((101, 3), int))
    together, _ = count_trials(evaluation, curves)
    highest = [
        max((confidence for _, confidence in image), default=-1)
        for image, labels in zip(records, truth, strict=True)
        if labels or task is Task.MULTILABEL
    ]
    assert together.n.tolist() == [
        sum(confidence >= step / 100 for confidence in highest) for step in range(101)
    ]


def test_boxes_are_counted_by_images():
    """Three boxes of one label on one image, two of them wrong, and a right one on another."""
    box, far, other = (0, 0, 10, 10), (50, 50, 60, 60), (80, 80, 90, 90)
    evaluation = build_detection(
        [[(0, box)], [(0, box)]],
        [[(0, box, 0.9), (0, far, 0.8), (0, other, 0.7)], [(0, box, 0.6)]],
        thresholds=[0.65] * 2,
    )
    metrics = compute_metrics(evaluation, intervals=False)
    together, by_label = count_trials(evaluation, metrics.curves)

    for trials in (together, by_label[0]):
        assert (trials.n[66], trials.wrong[66]) == (1, 2)
        assert (trials.n[85], trials.wrong[85]) == (1, 0)


@pytest.mark.parametrize(
    ("n", "prevalence", "signal"), [(300, 0.3, 3.5), (1000, 0.3, 2.5), (1000, 0.1, 3.5)]
)
def test_what_is_said_is_true(n, prevalence, signal):
    """In 95 of 100 test sets at least, or it is not said: within three simulation errors."""
    sets = 300
    told = simulate(n, prevalence, signal, sets)

    assert told.false / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert told.true > 100
