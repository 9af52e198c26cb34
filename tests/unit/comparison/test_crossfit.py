"""Cross-fitted numbers of two versions: values, intervals, and why they are equal."""

from math import sqrt

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from scipy.stats import t

from mlrek.comparison import Judgement, Scope
from mlrek.evaluation import DoubtKind, Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.crossfit import fit_evaluation
from mlrek.metrics.fitting import deal_folds
from mlrek.metrics.ranking import rank_pairs

N = 80
IMAGES = tuple(f"s3://bucket/{i:03}.jpg" for i in range(N))


def build(seed, *, images=IMAGES, several=False, thresholds=0.5, sharpness=0.5, labels=None):
    """A version of three labels; the truth is the same whatever the seed."""
    rng = np.random.default_rng(7)
    truth = np.eye(3, dtype=bool)[rng.integers(0, 3, len(images))]
    if several:
        truth |= rng.random(truth.shape) < 0.3
    scores = np.random.default_rng(seed).random(truth.shape) + sharpness * truth
    return build_evaluation(
        [np.flatnonzero(row).tolist() for row in truth],
        [list(enumerate(row)) for row in (scores / (1 + sharpness)).round(4).tolist()],
        labels=labels or ("a", "b", "c"),
        thresholds=[thresholds] * 3,
        task=Task.MULTILABEL if several else Task.CLASSIFICATION,
        images=images,
    )


def fit(evaluation):
    """Its cross-fitted numbers, of all images and without each part."""
    return fit_evaluation(evaluation, rank_pairs(evaluation))


@pytest.mark.parametrize("several", [False, True])
def test_values_are_those_of_each_version(compare, several):
    """Of one test set and one list of labels: as `evaluation.json` of each version has them."""
    sides = [build(seed, several=several) for seed in (1, 2)]

    comparison = compare(*sides)

    for scope in Scope:
        for name, number in compute_metrics(sides[1], intervals=False).crossfit.items():
            found = comparison.find(f"crossfit/{name}", scope=scope)
            assert found.candidate == pytest.approx(number.value, abs=1e-12)
            own = compute_metrics(sides[0], intervals=False).crossfit[name].value
            assert found.baseline == pytest.approx(own, abs=1e-12)


def test_the_interval_leaves_out_the_same_images_on_both_sides(compare):
    """The delete-a-group jackknife of the difference, with Student's quantile at 19."""
    sides = build(1), build(2)

    found = compare(*sides, intervals=True).find("crossfit/f1_macro")

    base, candidate = (fit(side).values["f1_macro"] for side in sides)
    without = (candidate - base)[1:]
    assert len(set(deal_folds(IMAGES).part.tolist())) == 20
    error = sqrt(19 / 20 * ((without - without.mean()) ** 2).sum())
    reach = t.ppf(0.975, 19) * error
    difference = candidate[0] - base[0]
    assert (found.low, found.high) == pytest.approx(
        (difference - reach, difference + reach), abs=1e-12
    )
    wider = found.evidence.interval(0.99)
    assert wider[0] < found.low < found.high < wider[1]


def test_labels_have_theirs(compare):
    """Precision, recall and F1 of each label, paired too."""
    sides = build(1), build(2)

    comparison = compare(*sides, intervals=True)

    base, candidate = (fit(side).per_label["recall"] for side in sides)
    found = comparison.find("crossfit/label_recall", label="b")
    assert (found.baseline, found.candidate) == (base[0, 1], candidate[0, 1])
    assert found.low <= found.difference <= found.high


def test_a_label_that_one_version_lacks_counts_in_the_averages(compare):
    """Three labels of four are known to each: macro averages are over all that occur."""
    sides = build(1), build(2, labels=("a", "b", "d"))

    found = compare(*sides, intervals=True).find("crossfit/recall_macro", scope=Scope.WHOLE)

    assert found.baseline == pytest.approx(fit(sides[0]).values["recall_macro"][0])
    assert compare(*sides, intervals=True).find("crossfit/label_f1", label="d") is None


def test_other_images_are_independent(compare):
    """Two test sets without an image in common: both intervals together (Zou & Donner 2008)."""
    others = tuple(f"s3://other/{i:03}.jpg" for i in range(N))
    sides = build(1), build(2, images=others, sharpness=1.0)

    found = compare(*sides, intervals=True).find("crossfit/f1_macro", scope=Scope.WHOLE)

    was, now = (compute_metrics(side, intervals=False).crossfit["f1_macro"] for side in sides)
    difference = now.value - was.value
    assert found.low == pytest.approx(
        difference - sqrt((now.value - now.low) ** 2 + (was.high - was.value) ** 2)
    )
    assert found.high == pytest.approx(
        difference + sqrt((now.high - now.value) ** 2 + (was.value - was.low) ** 2)
    )


def test_one_model_with_other_thresholds_is_named_as_such(compare):
    """Nothing differs but the thresholds, and these were chosen here."""
    comparison = compare(build(1), build(1, thresholds=0.7), intervals=True)

    found = comparison.find("crossfit/f1_macro")
    assert found.difference == 0
    assert found.reason == (
        "only thresholds differ between the versions, and they were chosen on this very test set: "
        "at thresholds that the other images choose, both versions do the same"
    )
    assert found.judgement is Judgement.UNCHANGED
    assert comparison.find("at_threshold/f1_macro").difference != 0


def test_partial_records_have_none(compare):
    """Where one version has no cross-fitted values there is nothing to compare."""
    partial = build_evaluation(
        [[0]] * N, [[(0, 0.9)]] * N, labels=("a", "b"), thresholds=[0.5, 0.5], images=IMAGES
    )

    names = {d.name for d in compare(build(1), partial).differences}

    assert not {name for name in names if name.startswith("crossfit/")}


def test_groups_that_were_named_are_no_doubt_any_more(build_top, compare):
    """Objects that are wholly right or wrong are doubted until their images are grouped."""
    images = [f"s3://bucket/object-{i // 10:02}/{i % 10}.jpg" for i in range(300)]
    truth = [i // 10 % 2 for i in range(300)]
    side = build_top(truth, [(t + (i // 30 % 2)) % 2 for i, t in enumerate(truth)], images=images)

    kinds, named = (
        {doubt.kind for doubt in compare(side, side, group_by=group_by).doubts}
        for group_by in ("", "s3://bucket/")
    )

    assert kinds - named == {DoubtKind.GROUPED}


def test_groups_are_left_out_as_a_whole(compare):
    """Pairs of images of one object: folds and parts are of objects."""
    images = tuple(f"s3://bucket/object-{i // 2:02}/{i % 2}.jpg" for i in range(N))
    sides = [build(seed, images=images) for seed in (1, 2)]

    found = compare(*sides, intervals=True, group_by="s3://bucket/").find("crossfit/f1_macro")

    groups = [f"s3://bucket/object-{i // 2:02}/" for i in range(N)]
    base, candidate = (
        fit_evaluation(side, rank_pairs(side), groups=groups).values["f1_macro"] for side in sides
    )
    assert (found.baseline, found.candidate) == pytest.approx((base[0], candidate[0]))
    assert not np.isnan(found.low)
