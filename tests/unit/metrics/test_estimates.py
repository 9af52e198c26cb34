"""Which interval each number has, against plain loops over scikit-learn and formulas by hand."""

from functools import partial
from math import isnan, sqrt

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from scipy import stats
from scipy.special import expit, logit
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics

N_IMAGES, N_LABELS = 80, 3
RNG = np.random.default_rng(11)
Y_TRUE = RNG.integers(N_LABELS, size=N_IMAGES)
SCORES = RNG.dirichlet(np.ones(N_LABELS), size=N_IMAGES) * 0.6
SCORES[np.arange(N_IMAGES), Y_TRUE] += 0.4
SCORES = np.round(SCORES, 2)  # with ties
SCORES[:, -1] = 1 - SCORES[:, :-1].sum(axis=1)
Y_PRED = SCORES.argmax(axis=1)
AVERAGES = [
    (f"{score}_{average}", partial(function, average=average, zero_division=0))
    for score, function in (
        ("precision", sk.precision_score),
        ("f1", sk.f1_score),
        ("jaccard", sk.jaccard_score),
    )
    for average in ("macro", "weighted")
    if (score, average) != ("precision", "macro")  # which holds MOVER's interval, too
]


def _classify(y_true, y_pred=None, scores=None, n_labels=N_LABELS, **options):
    """The numbers of images whose top label is `y_pred`, or that have scores of all labels."""
    if scores is None:
        records = [[] if code < 0 else [(int(code), 0.9)] for code in y_pred]
    else:
        records = [[(i, float(s)) for i, s in enumerate(row)] for row in scores]
    truth = [[int(code)] for code in y_true]
    return compute_metrics(build_evaluation(truth, records, n_labels=n_labels), **options)


METRICS = _classify(Y_TRUE, scores=SCORES)


def _jackknife(score, confidence=0.95, *, both=False, variance=None, n=N_IMAGES):
    """The interval as the documentation has it, in a plain loop over all samples but one.

    `score` takes the places of the `n` images (or groups) that are there. A `variance` by formula
    counts as two of them.
    """
    places = np.arange(n)
    value = score(places)
    without = np.array([score(np.delete(places, i)) for i in places])
    moves = (n - 1) * (without.mean() - without)
    bias, error = (n - 1) * (without.mean() - value), stats.sem(moves)
    degrees = min(2 * n / (stats.kurtosis(moves, fisher=False) - 1), n - 1)
    if variance is not None:
        error = sqrt((degrees * error**2 + 2 * variance) / (degrees + 2))
        degrees += 2
    quantile = partial(stats.t.ppf, 0.5 + confidence / 2)
    few, many = quantile(degrees), quantile(n - 1)
    below, above = (few, few) if both else (many, few) if value > 0.5 else (few, many)
    slope = 1 / (value * (1 - value))
    middle = logit(value) - bias * slope
    low, high = expit(middle - below * error * slope), expit(middle + above * error * slope)
    return min(low, value), max(high, value)


def _find_variance(code):
    """That of the ROC AUC of a label as if scores were normal, equally spread with and without it.

    How often one image with the label is above two without it follows from two normal variables
    that are half in common.
    """
    is_true = code == Y_TRUE
    area = sk.roc_auc_score(is_true, SCORES[:, code])
    return _find_normal_variance(area, is_true.sum(), (~is_true).sum())


def _find_normal_variance(area, m, n):
    z = stats.norm.ppf(area)
    above = stats.multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf([z, z])
    return (area * (1 - area) + (m - 1 + n - 1) * (above - area**2)) / (m * n)


@pytest.mark.parametrize(("name", "score"), AVERAGES, ids=[name for name, _ in AVERAGES])
def test_averages_are_jackknifed_on_the_logit_scale(name, score):
    """Each average of scikit-learn, computed anew without each of 80 images."""
    expected = _jackknife(lambda places: score(Y_TRUE[places], Y_PRED[places]))

    number = METRICS.aggregate[name]

    assert (number.low, number.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "score"),
    [("average_precision_macro", sk.average_precision_score), ("roc_auc_macro", sk.roc_auc_score)],
)
def test_areas_are_jackknifed_with_few_degrees_on_both_sides(name, score):
    """The mean of scikit-learn's areas of each label, without each of 80 images; ties included."""

    def compute(places):
        return np.mean(
            [score(Y_TRUE[places] == code, SCORES[places, code]) for code in range(N_LABELS)]
        )

    number = METRICS.aggregate[name]

    assert number.value == pytest.approx(compute(np.arange(N_IMAGES)), abs=1e-12)
    variance = None
    if name == "roc_auc_macro":
        variance = sum(_find_variance(code) for code in range(N_LABELS)) / N_LABELS**2
    expected = _jackknife(compute, both=True, variance=variance)
    assert (number.low, number.high) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("column", "score"), [("ap", sk.average_precision_score), ("roc_auc", sk.roc_auc_score)]
)
def test_areas_of_labels_have_intervals(column, score):
    """Those of one label, likewise."""
    expected = _jackknife(
        lambda places: score(Y_TRUE[places] == 1, SCORES[places, 1]),
        both=True,
        variance=_find_variance(1) if column == "roc_auc" else None,
    )

    scores = METRICS.per_label

    ends = getattr(scores, f"{column}_low")[1], getattr(scores, f"{column}_high")[1]
    assert ends == pytest.approx(expected, abs=1e-7)


def test_groups_that_each_hold_a_label_and_others_have_areas():
    """40 groups with the label and 40 without it, the same ones: the formula has 40 of both."""
    n_groups, rng = 40, np.random.default_rng(3)
    y_true = np.tile([0, 1], n_groups)
    first = expit(rng.normal(size=2 * n_groups) + 0.9 * (y_true == 0)).round(2)
    groups = np.repeat(np.arange(n_groups), 2)

    def score(kept):
        rows = np.isin(groups, kept)
        return sk.roc_auc_score(y_true[rows] == 0, first[rows])

    scores = _classify(
        y_true, scores=np.stack([first, 1 - first], axis=1), n_labels=2, groups=groups
    ).per_label

    variance = _find_normal_variance(score(np.arange(n_groups)), n_groups, n_groups)
    expected = _jackknife(score, both=True, variance=variance, n=n_groups)
    assert (scores.roc_auc_low[0], scores.roc_auc_high[0]) == pytest.approx(expected, abs=1e-7)


def test_correlations_are_jackknifed_on_fishers_scale():
    """Of Matthews' correlation artanh, by a plain loop over scikit-learn."""
    places = np.arange(N_IMAGES)
    value = sk.matthews_corrcoef(Y_TRUE, Y_PRED)
    without = np.array(
        [sk.matthews_corrcoef(np.delete(Y_TRUE, i), np.delete(Y_PRED, i)) for i in places]
    )
    moves = (N_IMAGES - 1) * (without.mean() - without)
    slope = 1 / (1 - value**2)
    middle = np.arctanh(value) - (N_IMAGES - 1) * (without.mean() - value) * slope
    reach = stats.t.ppf(0.975, N_IMAGES - 1) * stats.sem(moves) * slope

    number = METRICS.aggregate["mcc"]

    assert number.low == pytest.approx(np.tanh(middle - reach), abs=1e-9)


def test_log_loss_allows_for_skew():
    """Hall's transformation of t has the ends at the quantiles: its formula, written out."""
    losses = -np.log(SCORES[np.arange(N_IMAGES), Y_TRUE])
    degrees = min(2 * N_IMAGES / (stats.kurtosis(losses, fisher=False) - 1), N_IMAGES - 1)
    skew, deviation = stats.skew(losses), losses.std(ddof=1)
    number = METRICS.aggregate["log_loss"]

    def transform(end):
        t = (losses.mean() - end) / deviation
        return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / (6 * N_IMAGES)

    reach = stats.t.ppf(0.975, degrees) / sqrt(N_IMAGES)
    assert transform(number.low) == pytest.approx(reach, abs=1e-9)
    assert transform(number.high) == pytest.approx(-reach, abs=1e-9)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("name", ["accuracy", "recall_micro", "recall_weighted", "f1_micro"])
def test_plain_shares_have_wilsons_interval(name, confidence):
    """One label an image and one predicted: the micro averages are the accuracy."""
    number = _classify(Y_TRUE, Y_PRED, confidence=confidence).aggregate[name]

    n_right = np.count_nonzero(Y_TRUE == Y_PRED)
    expected = proportion_confint(n_right, N_IMAGES, alpha=1 - confidence, method="wilson")
    assert (number.low, number.high) == pytest.approx(expected, abs=1e-12)


def test_hamming_loss_of_one_label_is_a_plain_share():
    """That of the wrong images."""
    number = METRICS.aggregate["hamming_loss"]

    n_wrong = np.count_nonzero(Y_TRUE != Y_PRED)
    assert (number.low, number.high) == pytest.approx(
        proportion_confint(n_wrong, N_IMAGES, method="wilson"), abs=1e-12
    )


def test_jaccard_micro_follows_from_the_accuracy():
    """Of every image one is wrong twice: J = a / (2 - a), and so its ends."""
    ends = proportion_confint(np.count_nonzero(Y_TRUE == Y_PRED), N_IMAGES, method="wilson")

    number = METRICS.aggregate["jaccard_micro"]

    assert (number.low, number.high) == pytest.approx([a / (2 - a) for a in ends], abs=1e-12)


def test_images_without_a_prediction_make_f1_micro_no_share():
    """Its denominator is then random: the jackknife gives the interval."""
    y_pred = np.where(np.arange(N_IMAGES) < 8, -1, Y_PRED)
    predicted = y_pred >= 0

    def score(places):
        right = np.count_nonzero(Y_TRUE[places] == y_pred[places])
        return 2 * right / (len(places) + np.count_nonzero(predicted[places]))

    number = _classify(Y_TRUE, y_pred).aggregate["f1_micro"]

    assert (number.low, number.high) == pytest.approx(_jackknife(score), abs=1e-9)


def test_f1_of_a_label_is_a_share_in_disguise():
    """Of the images with the label or predicted as it, J are right, and F1 = 2 J / (1 + J)."""
    n_right = np.count_nonzero((Y_TRUE == 0) & (Y_PRED == 0))
    n_any = np.count_nonzero((Y_TRUE == 0) | (Y_PRED == 0))
    ends = proportion_confint(n_right, n_any, method="wilson")

    scores = METRICS.per_label

    assert (scores.f1_low[0], scores.f1_high[0]) == pytest.approx([2 * j / (1 + j) for j in ends])


def test_balanced_accuracy_holds_movers_interval():
    """Two labels, of which the rare one has no wrong image: Zou and Donner's lower end by hand."""
    y_true = np.repeat([0, 1], [90, 10])
    y_pred = np.where(np.arange(100) < 9, 1, y_true)
    lows = [proportion_confint(*counts, method="wilson")[0] for counts in ((81, 90), (10, 10))]
    expected = 0.95 - sqrt((0.9 - lows[0]) ** 2 + (1 - lows[1]) ** 2) / 2

    number = _classify(y_true, y_pred, n_labels=2).aggregate["balanced_accuracy"]

    assert number.value == pytest.approx(0.95)
    assert number.low == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "worst"),
    [
        ("f1_macro", lambda wrong: 1 - wrong),
        ("precision_weighted", lambda wrong: 1 - wrong),
        ("jaccard_macro", lambda wrong: (1 - wrong) / (1 + wrong)),
        ("mcc", lambda wrong: 1 - 2 * wrong),
        ("cohen_kappa", lambda wrong: 1 - 2 * wrong),
    ],
)
def test_a_perfect_score_has_wilsons_bound(name, worst):
    """No image of 90 is wrong, so at most 4.1 % are, and the reason says where the end is from."""
    y_true = np.repeat([0, 1, 2], 30)

    number = _classify(y_true, y_true).aggregate[name]

    wrong = proportion_confint(0, 90, method="wilson")[1]
    assert (number.low, number.high) == pytest.approx((worst(wrong), 1), abs=1e-12)
    assert "Wilson's bound on the share of images with any error" in number.reason


def test_a_wholly_wrong_score_has_wilsons_bound():
    """Likewise from below."""
    y_true = np.repeat([0, 1, 2], 30)

    number = _classify(y_true, (y_true + 1) % 3).aggregate["f1_macro"]

    assert (number.low, number.high) == (
        0,
        pytest.approx(proportion_confint(0, 90, method="wilson")[1]),
    )


def test_rare_labels_leave_macro_averages_without_interval():
    """Three images of one of two labels decide half the mean: the reason says how many it takes."""
    y_true = np.repeat([0, 1], [97, 3])
    y_pred = np.where(np.arange(100) % 10 == 0, 1, y_true)

    number = _classify(y_true, y_pred, n_labels=2).aggregate["f1_macro"]

    assert isnan(number.low)
    assert "about 330 images are needed" in number.reason


@pytest.mark.parametrize("name", ["f1_macro", "balanced_accuracy", "precision_macro"])
def test_a_label_without_images_leaves_its_mean_without_interval(name):
    """The rarer of two labels is on no image: the mean is of the other one alone."""
    y_true = np.zeros(100, dtype=int)
    y_pred = np.repeat([0, 1], [95, 5])

    number = _classify(y_true, y_pred, n_labels=2).aggregate[name]

    assert number.is_defined
    assert isnan(number.low)


def test_few_positives_leave_areas_without_interval():
    """Four images of a label, where five are needed."""
    y_true = np.repeat([0, 1, 2], [40, 36, 4])

    scores = _classify(y_true, scores=SCORES).per_label

    assert np.isnan(scores.ap_low).tolist() == [False, False, True]
    assert np.isnan(scores.roc_auc_high).tolist() == [False, False, True]


def test_intervals_hold_their_own_values():
    """Every number of a model on 100 labels and 150 images, however biased it is."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(26, size=60)
    y_pred = np.where(rng.random(60) < 0.3, y_true, rng.integers(26, size=60))
    records = [[(int(code), 0.9)] for code in y_pred]
    evaluation = build_evaluation([[int(c)] for c in y_true], records, n_labels=26)

    numbers = compute_metrics(evaluation).aggregate.values()

    defined = [number for number in numbers if not isnan(number.low)]
    assert len(defined) > 5
    assert all(number.low <= number.value <= number.high for number in defined)


def test_images_of_a_group_count_as_one():
    """Ten groups of eight equal images say as much as their design effect leaves of 80."""
    groups = np.repeat(np.arange(10), 8)
    y_true = np.zeros(80, dtype=int)
    y_pred = np.repeat([0, 0, 0, 1, 0, 0, 1, 0, 0, 0], 8)
    effect = 8 * (10 / 9) / (80 / 79)
    worth = 80 / effect * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 9)) ** 2

    number = _classify(y_true, y_pred, groups=groups).aggregate["accuracy"]

    expected = proportion_confint(0.8 * worth, worth, method="wilson")
    assert (number.low, number.high) == pytest.approx(expected, abs=1e-9)


def test_groups_are_left_out_whole():
    """The jackknife over 16 groups of five, by a plain loop."""
    groups = np.arange(N_IMAGES) // 5
    score = partial(sk.f1_score, average="weighted", zero_division=0)
    value = score(Y_TRUE, Y_PRED)
    without = np.array([score(Y_TRUE[groups != g], Y_PRED[groups != g]) for g in range(16)])
    slope = 1 / (value * (1 - value))
    middle = logit(value) - 15 * (without.mean() - value) * slope
    reach = stats.t.ppf(0.975, 15) * stats.sem(15 * without) * slope

    number = _classify(Y_TRUE, Y_PRED, groups=groups).aggregate["f1_weighted"]

    assert number.low == pytest.approx(expit(middle - reach), abs=1e-9)


def test_groups_that_are_images_change_nothing_of_averages():
    """Each image its own group: the same interval, but for plain shares, which allow for groups."""
    grouped = _classify(Y_TRUE, scores=SCORES, groups=np.arange(N_IMAGES))

    for name in ("f1_macro", "mcc", "log_loss", "roc_auc_macro", "average_precision_macro"):
        alone, number = METRICS.aggregate[name], grouped.aggregate[name]
        assert (number.low, number.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_fewer_than_ten_groups_tell_no_interval():
    """Nine groups: every number keeps its value, and says why it has no interval."""
    numbers = _classify(Y_TRUE, scores=SCORES, groups=np.arange(N_IMAGES) % 9).aggregate

    for name in ("accuracy", "f1_macro", "roc_auc_macro", "log_loss", "ece_debiased"):
        assert isnan(numbers[name].low), name
        assert "9 groups" in numbers[name].reason


def test_groups_hold_for_labels():
    """The recall of a label whose ten images are two groups of equal ones has a wide interval."""
    groups = np.concatenate([np.repeat([0, 1], 5), np.arange(2, 72)])
    y_true = np.repeat([0, 1], [10, 70])
    y_pred = np.where(np.arange(80) < 5, 1, y_true)

    alone = _classify(y_true, y_pred).per_label
    grouped = _classify(y_true, y_pred, groups=groups).per_label

    assert alone.recall_low[0] > 0.2
    assert grouped.recall_low[0] < 0.05


def test_averages_over_images_are_jackknifed():
    """Several labels an image: F1 of each image is a value, and their mean has an interval."""
    rng = np.random.default_rng(5)
    is_true, is_predicted = rng.random((2, N_IMAGES, N_LABELS)) < 0.6
    evaluation = build_evaluation(
        [np.flatnonzero(row).tolist() for row in is_true],
        [[(int(i), 0.9) for i in np.flatnonzero(row)] for row in is_predicted],
        n_labels=N_LABELS,
        task=Task.MULTILABEL,
    )

    def score(places):
        return sk.f1_score(
            is_true[places], is_predicted[places], average="samples", zero_division=0
        )

    def wrong(places):
        return np.mean(is_true[places] != is_predicted[places])

    def macro(places):
        return sk.f1_score(is_true[places], is_predicted[places], average="macro")

    numbers = compute_metrics(evaluation).aggregate

    for name, function in (("f1_samples", score), ("hamming_loss", wrong), ("f1_macro", macro)):
        number = numbers[name]
        assert (number.low, number.high) == pytest.approx(_jackknife(function), abs=1e-9), name
