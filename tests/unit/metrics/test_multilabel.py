"""Several labels an image, as a whole."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.counts import pair_records
from mlrek.metrics.decisions import sum_images

NAN = float("nan")
SCORES = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "jaccard": sk.jaccard_score,
}
AVERAGES = ("micro", "macro", "weighted", "samples")
N_LABELS = 3


def _rows(matrix):
    return [np.flatnonzero(row).tolist() for row in matrix]


def _build_sets(build, y_true, y_pred):
    """Predictions as records above a threshold, with another label of each image below it."""
    records = [[(code, 0.9) for code in codes] for codes in _rows(y_pred)]
    return build(_rows(y_true), records, task=Task.MULTILABEL, thresholds=[0.5] * N_LABELS)


def _expected(y_true, y_pred):
    occurring = np.flatnonzero((y_true | y_pred).any(axis=0))
    averages = {
        f"{name}_{average}": score(
            y_true, y_pred, labels=occurring, average=average, zero_division=0
        )
        for name, score in SCORES.items()
        for average in AVERAGES
    }
    return averages | {
        "subset_accuracy": sk.accuracy_score(y_true, y_pred),
        "hamming_loss": sk.hamming_loss(y_true, y_pred),
    }


def _sets():
    rows = st.lists(st.booleans(), min_size=N_LABELS, max_size=N_LABELS)
    return st.lists(st.tuples(rows, rows), min_size=1, max_size=12).map(
        lambda pairs: tuple(np.array(column) for column in zip(*pairs, strict=True))
    )


@settings(max_examples=40)
@given(sets=_sets())
def test_numbers_are_scikit_learns(build, sets):
    """Averages over labels that are true or predicted, and over images."""
    y_true, y_pred = sets

    aggregate = compute_metrics(_build_sets(build, y_true, y_pred), intervals=False).aggregate

    ours = {name: aggregate[name].value for name in aggregate if "roc" not in name}
    if (y_true | y_pred).any():
        assert _expected(y_true, y_pred) == pytest.approx(
            {name: ours[name] for name in _expected(y_true, y_pred)}, abs=1e-12
        )
    else:
        assert (ours["subset_accuracy"], ours["hamming_loss"]) == (1, 0)
        assert isnan(ours["f1_samples"])


@settings(max_examples=40)
@given(sets=_sets(), data=st.data())
def test_numbers_of_a_resample_are_scikit_learns(build, sets, data):
    """Weights of a resample give exactly what scikit-learn gives of the images drawn."""
    y_true, y_pred = sets
    n = len(y_true)
    drawn = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n)))
    evaluation = _build_sets(build, y_true, y_pred)
    pairs = pair_records(evaluation)
    weights = np.bincount(pairs.places[drawn], minlength=n).astype(np.float32)[:, np.newaxis]

    values = sum_images(pairs, np.ones(len(pairs.label_idx), dtype=bool), evaluation.truth).compute(
        weights
    )

    if (y_true[drawn] | y_pred[drawn]).any():
        assert _expected(y_true[drawn], y_pred[drawn]) == pytest.approx(
            {name: float(value[0]) for name, value in values.items()}, abs=1e-12
        )
    else:
        assert isnan(values["f1_macro"][0])


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_complete_records_give_scikit_learns_areas(build_scores, seed):
    """Images without truth are negatives of every label."""
    rng = np.random.default_rng(seed)
    y_true = rng.random((12, N_LABELS)) < 0.4
    scores = rng.integers(0, 11, size=y_true.shape) / 10
    evaluation = build_scores(_rows(y_true), scores, task=Task.MULTILABEL)

    aggregate = compute_metrics(evaluation, intervals=False).aggregate

    has_true = y_true.any(axis=0)
    has_both = has_true & ~y_true.all(axis=0)
    expected = {
        "average_precision_macro": sk.average_precision_score(
            y_true[:, has_true], scores[:, has_true]
        )
        if has_true.any()
        else NAN,
        "average_precision_micro": sk.average_precision_score(y_true, scores, average="micro")
        if has_true.any()
        else NAN,
        "roc_auc_macro": sk.roc_auc_score(y_true[:, has_both], scores[:, has_both])
        if has_both.any()
        else NAN,
    }
    assert expected == pytest.approx(
        {name: aggregate[name].value for name in expected}, abs=1e-12, nan_ok=True
    )


@pytest.fixture
def hand(build):
    """Four images of labels a, b, c at thresholds 0.5.

    Image 0: a and b true, a predicted, b recorded below its threshold. Image 1: nothing true, c
    predicted. Image 2: b true, nothing recorded. Image 3: nothing at all.
    """
    return build(
        [[0, 1], [], [1], []],
        [[(0, 0.9), (1, 0.3)], [(2, 0.5)], [], []],
        task=Task.MULTILABEL,
        thresholds=[0.5, 0.5, 0.5],
    )


def test_matrix_shows_decisions_not_confusions(hand):
    """What is missed is in the column (none), what is wrongly predicted in the row (none)."""
    confusion = compute_metrics(hand).confusion

    assert confusion.rows == confusion.columns == ("a", "b", "c", "(none)")
    assert confusion.counts.tolist() == [[1, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_predictions_have_a_row_for_each_label_of_an_image(hand):
    """And one for an image without any, so that every image is there."""
    rows = compute_metrics(hand).predictions

    assert rows.image_idx.tolist() == [0, 0, 1, 2, 3]
    assert rows.y_true.tolist() == [0, 1, -1, 1, -1]
    assert rows.y_pred.tolist() == [0, -1, 2, -1, -1]
    assert rows.confidence.tolist() == pytest.approx([0.9, 0.3, 0.5, NAN, NAN], nan_ok=True)
    assert rows.outcome == ("TP", "FN", "FP", "FN", "TN")


def test_numbers_by_hand(hand):
    """One right, one wrong, two missed of 12 decisions; image 3 alone is exactly right."""
    aggregate = compute_metrics(hand).aggregate

    assert aggregate["precision_micro"].value == pytest.approx(1 / 2)
    assert aggregate["recall_micro"].value == pytest.approx(1 / 3)
    assert aggregate["subset_accuracy"].value == pytest.approx(1 / 4)
    assert aggregate["hamming_loss"].value == pytest.approx(3 / 12)
    assert aggregate["f1_samples"].value == pytest.approx((2 / 3) / 4)


def test_subset_accuracy_has_wilsons_interval(hand):
    """It is a plain share of images."""
    number = compute_metrics(hand).aggregate["subset_accuracy"]

    expected = proportion_confint(1, 4, method="wilson")
    assert (number.low, number.high) == pytest.approx(expected)


def test_undefined_scores_that_count_as_zero_are_told(hand):
    """Labels for averages over labels, counts for averages over images."""
    assert compute_metrics(hand).warnings[:5] == (
        "precision counts as 0 in the averages for labels never predicted: 'b'",
        "recall counts as 0 in the averages for labels true on no image: 'c'",
        "precision_samples counts as 0 on 2 of 4 images, which are without a predicted label",
        "recall_samples counts as 0 on 2 of 4 images, which are without a true label",
        "f1_samples and jaccard_samples count as 0 on 1 of 4 images, which are without any label",
    )


def test_names_of_the_contract(hand):
    """No number of one-label classification is among them."""
    assert set(compute_metrics(hand).aggregate) == {
        *(f"{score}_{average}" for score in SCORES for average in AVERAGES),
        "subset_accuracy",
        "hamming_loss",
        "average_precision_macro",
        "average_precision_micro",
        "roc_auc_macro",
    }


@pytest.mark.parametrize(
    ("thresholds", "flags", "rule", "predicted", "n_warnings"),
    [
        ([0.8, 0.8, 0.8], ("TN", "TP"), "threshold", [False, True], 0),
        (None, ("TP", "TN"), "flags", [True, False], 0),
        (None, ("UNKNOWN", "UNKNOWN"), "0.5", [False, True], 1),
    ],
)
def test_predictions_by_threshold_else_flag_else_one_half(
    build, thresholds, flags, rule, predicted, n_warnings
):
    """The last one is an assumption, and is told."""
    evaluation = build(
        [[0], [0]],
        [[(0, 0.4, flags[0])], [(0, 0.9, flags[1])]],
        task=Task.MULTILABEL,
        thresholds=thresholds,
        n_labels=3,
    )

    metrics = compute_metrics(evaluation)

    assert metrics.prediction_rule == rule
    assert [outcome == "TP" for outcome in metrics.predictions.outcome] == predicted
    assert sum("neither a published threshold" in text for text in metrics.warnings) == n_warnings


def test_intervals_do_not_depend_on_the_order_of_images(build_scores):
    """Nor do the numbers."""
    rng = np.random.default_rng(1)
    y_true = rng.random((40, N_LABELS)) < 0.4
    scores = (rng.random(y_true.shape) + y_true).clip(0, 1)
    order = rng.permutation(40)
    first, second = (
        compute_metrics(
            build_scores(
                _rows(y_true[images]),
                scores[images],
                images=[f"image {i}" for i in images],
                task=Task.MULTILABEL,
                thresholds=[0.7] * N_LABELS,
            ),
        ).aggregate
        for images in (np.arange(40), order)
    )

    for name, number in first.items():
        assert (number.value, number.low, number.high) == pytest.approx(
            (second[name].value, second[name].low, second[name].high), abs=1e-12, nan_ok=True
        )


def test_bootstrap_interval_is_that_of_images_drawn_again(build):
    """Macro F1 of 200 images: percentiles as of scikit-learn, but for the draws."""
    rng = np.random.default_rng(2)
    y_true = rng.random((200, N_LABELS)) < 0.4
    y_pred = y_true ^ (rng.random(y_true.shape) < 0.15)

    number = compute_metrics(_build_sets(build, y_true, y_pred)).aggregate["f1_macro"]

    drawn = []
    for _ in range(500):
        images = rng.integers(200, size=200)
        drawn.append(sk.f1_score(y_true[images], y_pred[images], average="macro"))
    assert (number.low, number.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.015)


def test_a_rule_for_one_label_is_not_used(hand):
    """It is said, not ignored."""
    metrics = compute_metrics(hand, prediction_rule=PredictionRule.NOTEBOOK)

    assert metrics.prediction_rule == "threshold"
    assert metrics.warnings[0].startswith("the prediction rule notebook is for one label an image")


def test_no_label_at_all(build):
    """Images without truth, records or labels: what can be defined is."""
    metrics = compute_metrics(build([[], []], [[], []], n_labels=0, task=Task.MULTILABEL))

    assert metrics.aggregate["subset_accuracy"].value == 1
    assert isnan(metrics.aggregate["hamming_loss"].value)
    assert metrics.aggregate["f1_macro"].reason == "no label is true or predicted on any test image"
    assert metrics.predictions.outcome == ("TN", "TN")
