"""Numbers as functions of image weights."""

import numpy as np

from mlrek.metrics.resampling import evaluate, merge


def test_merged_statistics_have_the_values_of_all():
    """Of the images as they are, once each."""
    images = np.arange(5.0)
    statistic = merge([lambda w: {"one": images @ w}, lambda w: {"two": 2 * images @ w}])

    assert evaluate(statistic, 5) == {"one": 10, "two": 20}
