"""The numbers of one version in resamples: images drawn again, scikit-learn on what was drawn."""

import numpy as np
import pytest
from builders.resamples import draw_units
from sklearn.metrics import average_precision_score, f1_score

from mlrek.comparison.resampled_numbers import resample_numbers
from mlrek.evaluation import Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.resampling import Bootstrap

NAMES = [f"s3://bucket/{i:03}.jpg" for i in range(60)]
THRESHOLDS = [0.3, 0.5, 0.7, 0.4]


def resample(evaluation):
    """Twelve resamples of one seed."""
    return resample_numbers(evaluation, PredictionRule.TOP1, Bootstrap(seed=5, resamples=12))


@pytest.mark.parametrize("several", [False, True])
def test_labels_and_thresholds_are_scored_on_the_images_drawn(
    build_scores, draw_pair, shuffle, several
):
    """In order of URIs, whatever the order of lines."""
    truth, scores, _ = draw_pair(2, several=several)
    order = shuffle(60, 1)
    evaluation = build_scores(
        [truth[i] for i in order],
        scores[order],
        images=[NAMES[i] for i in order],
        task=Task.MULTILABEL if several else Task.CLASSIFICATION,
        thresholds=THRESHOLDS,
    )

    found = resample(evaluation)

    is_true = np.array([np.isin(range(4), codes) for codes in truth])
    predicted = scores >= THRESHOLDS
    top = np.arange(4) == scores.argmax(axis=1)[:, None]
    options = {"average": None, "zero_division": np.nan}
    for i, drawn in enumerate(draw_units([60], resamples=12, seed=5)):
        y_true, y_pred = is_true[drawn], (predicted if several else top)[drawn]
        f1 = f1_score(y_true, y_pred, **options)
        ap = [average_precision_score(y_true[:, c], scores[drawn, c]) for c in range(4)]
        at_threshold = f1_score(y_true, predicted[drawn], average="macro", zero_division=0)
        assert [found["label_f1", c][i] for c in "abcd"] == pytest.approx(list(f1), abs=1e-12)
        assert [found["label_ap", c][i] for c in "abcd"] == pytest.approx(ap, abs=1e-9)
        assert found["at_threshold/f1_macro", ""][i] == pytest.approx(at_threshold, abs=1e-12)


def test_images_without_truth_are_never_drawn(build_top):
    """Of a one-label classification: each resample has as many images as count."""
    y_true, y_pred = [0, 0, 1, 1, 1, -1, -1], [0, 1, 1, 1, 0, 2, 2]

    found = resample(build_top(y_true, y_pred))

    for i, drawn in enumerate(draw_units([5], resamples=12, seed=5)):
        right = np.array(y_true)[drawn] == np.array(y_pred)[drawn]
        assert found["aggregate/accuracy", ""][i] == pytest.approx(right.mean(), abs=1e-12)


def test_what_is_no_sample_has_no_resamples(build_top):
    """No image with truth; rows of the notebook rule; none asked for."""
    bootstrap = Bootstrap(resamples=12)
    one = build_top([0, 1], [0, 0])

    assert not resample(build_top([-1, -1], [0, 1]))
    assert not resample_numbers(one, PredictionRule.NOTEBOOK, bootstrap)
    assert not resample_numbers(one, PredictionRule.TOP1, Bootstrap(resamples=0))
