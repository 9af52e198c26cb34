"""The jackknife."""

from functools import partial
from math import isnan, log, sqrt

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import (
    cohen_kappa_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
)

from mlrek.metrics.classification import compute_aggregates
from mlrek.metrics.counts import count_labels, count_pairs
from mlrek.metrics.intervals import (
    MAX_GROUPS,
    Jackknife,
    LeftOut,
    Scale,
    Tails,
    compute_interval,
    deal_units,
    jackknife,
    leave_out_cells,
    leave_out_units,
)

N_IMAGES, N_LABELS = 60, 4
RNG = np.random.default_rng(3)
Y_TRUE = RNG.integers(N_LABELS, size=N_IMAGES)
Y_PRED = np.where(RNG.random(N_IMAGES) < 0.7, Y_TRUE, RNG.integers(N_LABELS, size=N_IMAGES))
SCORES = {
    "f1_macro": partial(f1_score, average="macro", zero_division=0),
    "precision_weighted": partial(precision_score, average="weighted", zero_division=0),
    "mcc": matthews_corrcoef,
    "cohen_kappa": cohen_kappa_score,
}


def _without_each(score):
    """The plain loop: the score of all images but one."""
    return np.array([score(np.delete(Y_TRUE, i), np.delete(Y_PRED, i)) for i in range(N_IMAGES)])


def _find_cells(y_true, y_pred, n_labels):
    """The place of each image's cell among those that are occupied, row by row."""
    codes = y_true * (n_labels + 1) + np.where(y_pred < 0, n_labels, y_pred)
    return np.unique(codes, return_inverse=True)[1]


def _leave_out_cells(name):
    cells = leave_out_cells(count_pairs(Y_TRUE, Y_PRED, N_LABELS))
    return LeftOut(
        values=compute_aggregates(cells.counts)[name],
        times=cells.times,
        kind=_find_cells(Y_TRUE, Y_PRED, N_LABELS),
    )


@pytest.mark.parametrize("name", SCORES)
def test_cells_give_the_score_without_each_image(name):
    """One evaluation for each occupied cell equals scikit-learn on all images but one."""
    left_out = _leave_out_cells(name)

    assert left_out.values[left_out.kind] == pytest.approx(_without_each(SCORES[name]), abs=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_bias_and_error_are_those_of_the_plain_loop(name):
    """Quenouille's bias and Tukey's error, from scikit-learn's scores of 60 samples of 59."""
    value, without = SCORES[name](Y_TRUE, Y_PRED), _without_each(SCORES[name])

    estimate = jackknife(value, _leave_out_cells(name))

    pseudo = N_IMAGES * value - (N_IMAGES - 1) * without
    assert estimate.value - estimate.bias == pytest.approx(pseudo.mean(), abs=1e-12)
    assert estimate.standard_error == pytest.approx(stats.sem(pseudo), abs=1e-12)
    assert estimate.n_units == N_IMAGES


def test_images_without_a_prediction_have_a_cell_of_their_own():
    """The number without such an image is that of a matrix which counts one less."""
    y_true, y_pred = np.array([0, 0, 1, 1]), np.array([0, -1, 1, 0])
    cells = leave_out_cells(count_pairs(y_true, y_pred, 2))

    counts = count_labels(count_pairs(y_true[[0, 2, 3]], y_pred[[0, 2, 3]], 2))

    kind = _find_cells(y_true, y_pred, 2)[1]
    assert cells.counts.support[kind].tolist() == counts.support.tolist()
    assert cells.counts.predicted[kind].tolist() == counts.predicted.tolist()
    assert cells.counts.tp[kind].tolist() == counts.tp.tolist()


def test_influences_give_the_covariance_of_two_numbers():
    """The products of what images do to accuracy and to itself sum to p (1 - p) / (n - 1)."""
    left_out = _leave_out_cells("accuracy")
    accuracy = np.mean(Y_TRUE == Y_PRED)

    variance = np.sum(np.square(left_out.influences)) / (N_IMAGES * (N_IMAGES - 1))

    assert variance == pytest.approx(accuracy * (1 - accuracy) / (N_IMAGES - 1), abs=1e-12)
    assert left_out.influences.sum() == pytest.approx(0, abs=1e-9)


def test_units_are_left_out_of_any_statistic():
    """A mean of weighted images without each of three groups, by hand."""
    values, unit_idx = np.array([1.0, 2, 3, 4, 5]), np.array([0, 0, 1, 2, 2])

    def mean(weights):
        return {"mean": values @ weights / weights.sum(axis=0)}

    left_out = leave_out_units(mean, unit_idx, 3)["mean"]

    assert left_out.values.tolist() == [4, 3, 2]
    assert left_out.times.tolist() == [1, 1, 1]


def test_units_beyond_the_most_are_put_together():
    """501 images become 200 groups of two or three, the same for the same seed."""
    dealt, n = deal_units(np.arange(501), 501)

    assert n == MAX_GROUPS
    assert set(np.bincount(dealt, minlength=n).tolist()) == {2, 3}
    assert dealt.tolist() == deal_units(np.arange(501), 501)[0].tolist()


def test_interval_of_a_share_is_that_of_its_logit():
    """95 of 100 by hand: logit ± t / sqrt(99 p (1 - p)); upwards t of the few degrees."""
    share = LeftOut(values=np.array([94 / 99, 95 / 99]), times=np.array([95, 5]))
    outcomes = np.repeat([1.0, 0.0], [95, 5])
    degrees = 2 * 100 / (stats.kurtosis(outcomes, fisher=False) - 1)
    quantiles = np.array([-stats.t.ppf(0.975, 99), stats.t.ppf(0.975, degrees)])

    low, high = compute_interval(jackknife(0.95, share), Scale.LOGIT, tails=Tails.NEAR)

    ends = 1 / (1 + np.exp(-(log(19) + quantiles / sqrt(99 * 0.95 * 0.05))))
    assert degrees < 12
    assert (low, high) == pytest.approx(tuple(ends), abs=1e-12)


@pytest.mark.parametrize(
    ("scale", "value", "to_scale"),
    [
        (Scale.FISHER, 0.5, np.arctanh),
        (Scale.LOG, 0.4, np.log),
        (Scale.PLAIN, -0.1, lambda x: x),
    ],
)
def test_interval_is_symmetric_on_its_scale(scale, value, to_scale):
    """About the corrected number: the bias and the error times the slope at the number."""
    step = 1e-7
    slope = (to_scale(value + step) - to_scale(value - step)) / (2 * step)
    estimate = Jackknife(value=value, bias=0.01, standard_error=0.03, n_units=20, degrees=19.0)

    ends = compute_interval(estimate, scale, 0.9)

    reach = stats.t.ppf(0.95, 19) * 0.03
    expected = to_scale(value) + slope * np.array([-0.01 - reach, -0.01 + reach])
    assert to_scale(np.array(ends)) == pytest.approx(expected, abs=1e-6)


def test_interval_holds_its_own_value():
    """A bias of three standard errors: the nearer end is extended to the value."""
    estimate = Jackknife(value=0.5, bias=0.3, standard_error=0.1, n_units=1000, degrees=999.0)

    low, high = compute_interval(estimate, Scale.LOGIT)

    assert low < 0.3
    assert high == 0.5


@pytest.mark.parametrize(
    ("value", "scale"),
    [(1.0, Scale.LOGIT), (0.0, Scale.LOGIT), (-1.0, Scale.FISHER), (0.0, Scale.LOG)],
)
def test_a_number_at_its_bound_has_no_interval_on_the_scale(value, scale):
    """The bound is infinitely far away there."""
    estimate = Jackknife(value=value, bias=0, standard_error=0.0, n_units=10, degrees=9.0)

    assert all(isnan(end) for end in compute_interval(estimate, scale))


def test_one_unit_tells_no_error():
    """Without it the number is of nothing."""
    estimate = jackknife(0.5, LeftOut(values=np.array([np.nan]), times=np.array([1])))

    assert isnan(estimate.standard_error)
    assert isnan(compute_interval(estimate, Scale.LOGIT)[0])
