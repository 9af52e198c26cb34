"""Thresholds that the other folds choose, and the counts at them."""

from hashlib import sha256

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.evaluation import Names
from mlrek.metrics.counts import pair_records
from mlrek.metrics.fitting import N_PARTS, PARTS, deal_folds, fit_across
from mlrek.metrics.ranking import RankedPairs


def make_case(n, n_labels, *, seed, digits=3, share=0.2):
    """An evaluation with the confidence of every label on every image, and the same as arrays."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, n_labels)) < share
    scores = np.clip(rng.random((n, n_labels)) * 0.7 + 0.3 * truth, 0, 1).round(digits)
    evaluation = build_evaluation(
        [np.flatnonzero(row).tolist() for row in truth],
        [list(enumerate(row)) for row in scores.tolist()],
        n_labels=n_labels,
        thresholds=[0.5] * n_labels,
        images=[f"s3://bucket/{i}.jpg" for i in range(n)],
    )
    return evaluation, scores, truth


def find_fold(image):
    """The fold of an image as it is defined: its SHA-256 as a whole number, modulo 5."""
    return int(sha256(image.encode()).hexdigest(), 16) % 5


def fit_slowly(images, scores, truth, assumed):
    """Thresholds by (fold, label), and decisions, one image and one threshold at a time."""
    folds = [find_fold(image) for image in images]
    decided = np.zeros(scores.shape, dtype=bool)
    thresholds = {}
    for fold in range(5):
        others = [i for i, other in enumerate(folds) if other != fold]
        for label in range(scores.shape[1]):
            best, threshold = 0.0, assumed
            for t in sorted({scores[i, label] for i in others}, reverse=True):
                tp = sum(truth[i, label] and scores[i, label] >= t for i in others)
                predicted = sum(scores[i, label] >= t for i in others)
                f1 = 2 * tp / (predicted + sum(truth[i, label] for i in others))
                if f1 > best:
                    best, threshold = f1, t
            thresholds[fold, label] = threshold
            for i, other in enumerate(folds):
                if other == fold:
                    decided[i, label] = scores[i, label] >= threshold
    return thresholds, decided


@pytest.mark.parametrize(("n", "n_labels", "digits"), [(60, 4, 1), (25, 6, 3), (80, 2, 2)])
def test_counts_are_those_of_a_plain_loop(n, n_labels, digits):
    """Thresholds and counts are those of trying each threshold on the images of other folds."""
    evaluation, scores, truth = make_case(n, n_labels, seed=n, digits=digits)

    fit = fit_across(
        RankedPairs(pairs=pair_records(evaluation)),
        evaluation.thresholds,
        deal_folds(evaluation.images),
    )

    thresholds, decided = fit_slowly(evaluation.images, scores, truth, 0.5)
    assert fit.counts.tp[0].tolist() == (decided & truth).sum(axis=0).tolist()
    assert fit.counts.predicted[0].tolist() == decided.sum(axis=0).tolist()
    assert fit.counts.support[0].tolist() == truth.sum(axis=0).tolist()
    assert fit.thresholds[:, 0].tolist() == [
        [thresholds[fold, label] for fold in range(5)] for label in range(n_labels)
    ]


def test_each_part_is_left_out_and_the_rest_fitted_anew():
    """Row 1 + p is what the images without part p give, by the same plain loop."""
    evaluation, scores, truth = make_case(50, 3, seed=3, digits=2)
    folds = deal_folds(evaluation.images)

    fit = fit_across(RankedPairs(pairs=pair_records(evaluation)), evaluation.thresholds, folds)

    for part in range(N_PARTS):
        kept = np.flatnonzero(folds.part != part)
        images = [evaluation.images[i] for i in kept]
        _, decided = fit_slowly(images, scores[kept], truth[kept], 0.5)
        assert fit.counts.tp[1 + part].tolist() == (decided & truth[kept]).sum(axis=0).tolist()
        assert fit.counts.predicted[1 + part].tolist() == decided.sum(axis=0).tolist()
        assert fit.counts.support[1 + part].tolist() == truth[kept].sum(axis=0).tolist()


@pytest.mark.parametrize("digits", [2, 3, 10])
@pytest.mark.parametrize(
    "kind", ["telling", "random", "misleading", "equal", "rare", "always", "cliff"]
)
def test_of_many_thresholds_the_best_is_found_without_trying_each(kind, digits):
    """Thousands of positives, of scores with ties and without: as when every threshold is tried."""
    rng = np.random.default_rng(digits)
    n, share = 4000, {"rare": 0.002, "always": 1.0}.get(kind, 0.45)
    is_true = rng.random(n) < share
    shift = {"random": 0.0, "misleading": -0.3}.get(kind, 0.3)
    scores = np.clip(rng.random(n) * 0.7 + shift * is_true, 0, 1).round(digits)
    scores = np.full(n, 0.25) if kind == "equal" else scores
    if kind == "cliff":  # the best is the lowest of the surer positives, whatever is left out
        is_true = np.repeat([True, False, True], [905, 2795, 300])
        scores = np.linspace(1, 0, n)
    images = [f"s3://bucket/{i}.jpg" for i in range(n)]
    evaluation = build_evaluation(
        [[0] if true else [1] for true in is_true],
        [[(0, score), (1, 0.5)] for score in scores.tolist()],
        n_labels=2,
        thresholds=[0.4, 0.5],
        images=images,
    )
    folds = deal_folds(images)

    fit = fit_across(RankedPairs(pairs=pair_records(evaluation)), evaluation.thresholds, folds)

    for row, left_out in enumerate(range(-1, N_PARTS)):
        kept = folds.part != left_out
        thresholds = [
            find_best(scores, is_true, kept & (folds.fold != fold), assumed=0.4)
            for fold in range(5)
        ]
        predicted = kept & (scores >= np.array(thresholds)[folds.fold])
        assert fit.thresholds[0, row].tolist() == thresholds
        assert fit.counts.predicted[row, 0] == predicted.sum()
        assert fit.counts.tp[row, 0] == (predicted & is_true).sum()


def find_best(scores, is_true, kept, *, assumed):
    """The highest threshold of best F1 on the images that are kept, by trying each score."""
    falling = np.unique(scores[kept])[::-1]
    right, predicted = (
        len(own) - np.searchsorted(own, falling)
        for own in (np.sort(scores[kept & is_true]), np.sort(scores[kept]))
    )
    f1 = 2 * right / (predicted + np.count_nonzero(kept & is_true))
    return falling[f1.argmax()] if right.any() else assumed


def test_a_label_that_others_do_not_have_keeps_its_assumed_threshold():
    """One true image of a label: its own fold learns nothing of it and reads the assumed one."""
    images = [f"s3://bucket/{i}.jpg" for i in range(12)]
    evaluation = build_evaluation(
        [[0]] + [[1]] * 11,
        [[(0, 0.4), (1, 0.1)]] + [[(0, 0.2), (1, 0.9)]] * 11,
        n_labels=2,
        thresholds=[0.3, 0.5],
        images=images,
    )

    fit = fit_across(
        RankedPairs(pairs=pair_records(evaluation)), evaluation.thresholds, deal_folds(images)
    )

    own = find_fold(images[0])
    expected = [0.3 if fold == own else 0.4 for fold in range(5)]
    assert fit.thresholds[0, 0].tolist() == expected


def test_folds_are_by_digest_and_parts_of_equal_size():
    """The fold is the digest modulo 5, its keys are dealt out evenly, whatever their order."""
    images = [f"s3://bucket/folder/{i:03}.jpg" for i in range(203)]

    folds = deal_folds(images)

    assert folds.fold.tolist() == [find_fold(image) for image in images]
    sizes = np.bincount(folds.part, minlength=N_PARTS).reshape(5, PARTS)
    assert (sizes.max(axis=1) - sizes.min(axis=1)).max() <= 1
    assert deal_folds(images[::-1]).part.tolist() == folds.part[::-1].tolist()


def test_folds_of_names_in_one_piece_of_memory_are_those_of_texts():
    """The digest is of the same bytes."""
    images = [f"s3://bucket/é/{i}.jpg" for i in range(203)]
    parts = [image.encode() for image in images]
    held = Names(b"".join(parts), np.cumsum([0, *map(len, parts)]))

    assert deal_folds(held).part.tolist() == deal_folds(images).part.tolist()


def test_an_image_that_comes_twice_has_one_part_and_changes_no_other():
    """In whatever order the names come, and however often."""
    images = [f"s3://bucket/folder/{i:03}.jpg" for i in range(203)]
    folds = deal_folds(images)

    twice = deal_folds([*images[5:], *images])

    assert twice.n_keys == 203
    assert twice.part.tolist() == [*folds.part[5:].tolist(), *folds.part.tolist()]


def test_images_of_a_group_stay_together():
    """Keys that are groups: every image of one is in the same part."""
    groups = [f"object-{i // 4}" for i in range(100)]

    folds = deal_folds(groups)

    assert folds.n_keys == 25
    assert folds.part.tolist() == np.repeat(folds.part[::4], 4).tolist()
