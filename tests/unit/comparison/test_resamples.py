"""Intervals of differences: the same images drawn again, and scikit-learn on what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
from builders.resamples import assert_intervals, draw_units
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    f1_score,
    hamming_loss,
    log_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mlrek.comparison import Scope
from mlrek.evaluation import Task

NAMES = [f"s3://bucket/{i:03}.jpg" for i in range(200)]


def _ece(y_true, scores):
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == y_true
    gap = 0.0
    for i in range(15):
        mine = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if mine.any():
            gap += abs(np.sum(right[mine]) - np.sum(confidence[mine]))
    return gap / len(y_true)


def _mean_area(area, one_hot, scores):
    """Over the labels that are true on some images, and not on others."""
    kept = one_hot.any(axis=0) & ~one_hot.all(axis=0)
    return np.mean([area(one_hot[:, c], scores[:, c]) for c in np.flatnonzero(kept)])


def _score_one_label(y_true, scores, labels):
    """Numbers of scikit-learn by our names."""
    y_pred, one_hot = scores.argmax(axis=1), np.eye(scores.shape[1], dtype=bool)[y_true]
    options = {"labels": labels, "zero_division": 0}
    found = {
        "aggregate/f1_macro": f1_score(y_true, y_pred, average="macro", **options),
        "aggregate/precision_macro": precision_score(y_true, y_pred, average="macro", **options),
        "aggregate/f1_weighted": f1_score(y_true, y_pred, average="weighted", **options),
        "aggregate/mcc": matthews_corrcoef(y_true, y_pred),
        "aggregate/cohen_kappa": cohen_kappa_score(y_true, y_pred),
        "aggregate/ece": _ece(y_true, scores),
        "aggregate/log_loss": log_loss(y_true, scores, labels=range(scores.shape[1])),
        "aggregate/roc_auc_macro": _mean_area(roc_auc_score, one_hot, scores),
        "aggregate/average_precision_macro": _mean_area(average_precision_score, one_hot, scores),
    }
    f1 = f1_score(y_true, y_pred, labels=range(scores.shape[1]), average=None, zero_division=np.nan)
    return found | {f"label_f1/{code}": value for code, value in enumerate(f1)}


def _score_several(y_true, scores, labels):
    y_pred = scores >= 0.5
    options = {"labels": labels, "zero_division": 0}
    return {
        "aggregate/f1_macro": f1_score(y_true, y_pred, average="macro", **options),
        "aggregate/f1_micro": f1_score(y_true, y_pred, average="micro", **options),
        "aggregate/f1_samples": f1_score(y_true, y_pred, average="samples", zero_division=0),
        "aggregate/recall_macro": recall_score(y_true, y_pred, average="macro", **options),
        "aggregate/hamming_loss": hamming_loss(y_true, y_pred),
        "aggregate/roc_auc_macro": _mean_area(roc_auc_score, y_true, scores),
        "aggregate/average_precision_macro": _mean_area(average_precision_score, y_true, scores),
        "aggregate/average_precision_micro": average_precision_score(
            y_true.ravel(), scores.ravel()
        ),
    }


def _find_labels(several, y_true, scores):
    """The labels that are true, or predicted by either version."""
    if several:
        either = np.any([y_true, *(s >= 0.5 for s in scores)], axis=(0, 1))
        return np.flatnonzero(either)
    return sorted({*y_true, *(c for s in scores for c in s.argmax(axis=1))})


@pytest.mark.parametrize("several", [False, True])
def test_shared_images_are_drawn_for_both_versions_at_once(
    build_scores, compare, draw_pair, shuffle, several
):
    """In order of URIs, whatever the order of lines; averages over the labels of both versions."""
    truth, *scores = draw_pair(1, n=80, several=several)
    task = Task.MULTILABEL if several else Task.CLASSIFICATION
    sides = []
    for seed, one in enumerate(scores):
        order = shuffle(80, seed)
        names = [NAMES[i] for i in order]
        sides.append(build_scores([truth[i] for i in order], one[order], images=names, task=task))

    comparison = compare(*sides, resamples=24, seed=3)

    y_true = np.array([np.isin(range(4), t) for t in truth])
    y_true = y_true if several else y_true.argmax(axis=1)
    score = _score_several if several else _score_one_label
    samples = []
    for drawn in draw_units([80], resamples=24, seed=3):
        both = [one[drawn] for one in scores]
        labels = _find_labels(several, y_true[drawn], both)
        before, after = (score(y_true[drawn], one, labels) for one in both)
        samples.append({name: after[name] - before[name] for name in before})
    assert_intervals(comparison, samples, Scope.SHARED)


def _score_whole(several, y_true, scores):
    score = _score_several if several else _score_one_label
    return score(y_true, scores, _find_labels(several, y_true, [scores]))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("start", [30, 100], ids=["overlapping", "disjoint"])
def test_whole_test_sets_keep_their_sizes(build_scores, compare, draw_pair, several, start):
    """Drawn are images that one version had, and that both had, as many of each as there are."""
    truth, *scores = draw_pair(2, n=160, several=several)
    task = Task.MULTILABEL if several else Task.CLASSIFICATION
    mine = np.arange(100), np.arange(start, start + 60)
    sides = [
        build_scores([truth[i] for i in own], one[own], images=[NAMES[i] for i in own], task=task)
        for own, one in zip(mine, scores, strict=True)
    ]

    comparison = compare(*sides, resamples=24)

    y_true = np.array([np.isin(range(4), t) for t in truth])
    y_true = y_true if several else y_true.argmax(axis=1)
    only_baseline, shared = np.setdiff1d(*mine), np.intersect1d(*mine)
    only_candidate = np.setdiff1d(mine[1], mine[0])
    strata = shared, only_baseline, only_candidate  # by the first URI of what one alone has
    images = np.concatenate(strata)
    in_first = len(shared) + len(only_baseline)
    samples = []
    for drawn in draw_units(list(map(len, strata)), resamples=24):
        first = images[drawn[:in_first]]
        second = images[np.concatenate([drawn[: len(shared)], drawn[in_first:]])]
        before = _score_whole(several, y_true[first], scores[0][first])
        after = _score_whole(several, y_true[second], scores[1][second])
        samples.append({name: after[name] - before[name] for name in before})
    assert_intervals(comparison, samples, Scope.WHOLE)


@pytest.mark.parametrize("several", [False, True])
def test_groups_are_drawn_instead_of_images(build_scores, compare, draw_pair, several):
    """Objects of one to four images: a resample has as many objects, not as many images."""
    truth, *scores = draw_pair(4, n=80, several=several)
    task = Task.MULTILABEL if several else Task.CLASSIFICATION
    objects = np.sort(np.random.default_rng(0).integers(32, size=80))
    objects = np.unique(objects, return_inverse=True)[1]
    names = [f"s3://b/{o:02}/{i}.jpg" for i, o in enumerate(objects)]
    sides = [build_scores(truth, one, images=names, task=task) for one in scores]

    comparison = compare(*sides, resamples=24, group_by="s3://b/")

    y_true = np.array([np.isin(range(4), t) for t in truth])
    y_true = y_true if several else y_true.argmax(axis=1)
    score = _score_several if several else _score_one_label
    samples = []
    for drawn in draw_units([objects.max() + 1], resamples=24):
        images = np.concatenate([np.flatnonzero(objects == o) for o in drawn])
        both = [one[images] for one in scores]
        labels = _find_labels(several, y_true[images], both)
        before, after = (score(y_true[images], one, labels) for one in both)
        samples.append({name: after[name] - before[name] for name in before})
    assert_intervals(comparison, samples, Scope.SHARED)


def test_images_without_truth_are_drawn_but_do_not_count(build_scores, compare, draw_pair):
    """One label an image: an average over the images with truth that happen to be drawn."""
    truth, *scores = draw_pair(6, n=60)
    y_true = np.array(truth)[:, 0]
    has_truth = np.arange(60) % 5 > 0
    truth = [t if h else [] for t, h in zip(truth, has_truth, strict=True)]

    comparison = compare(*(build_scores(truth, s, images=NAMES[:60]) for s in scores), resamples=24)

    samples = []
    for drawn in draw_units([60], resamples=24):
        images = drawn[has_truth[drawn]]
        both = [one[images] for one in scores]
        labels = _find_labels(several=False, y_true=y_true[images], scores=both)
        before, after = (_score_one_label(y_true[images], one, labels) for one in both)
        samples.append({name: after[name] - before[name] for name in before})
    assert_intervals(comparison, samples, Scope.SHARED)


def test_a_positive_class_is_drawn_by_image(build_scores, compare, draw_pair):
    """scikit-learn's numbers of the positive class, of the images drawn."""
    truth, *scores = draw_pair(8, n=80, n_labels=2)
    options = {"images": NAMES[:80]}
    sides = (replace(build_scores(truth, s, **options), pos_label="b") for s in scores)

    comparison = compare(*sides, resamples=24)

    y_true = np.array(truth)[:, 0]
    samples = []
    for drawn in draw_units([80], resamples=24):
        before, after = (_score_positive(y_true[drawn], one[drawn]) for one in scores)
        samples.append({name: after[name] - before[name] for name in before})
    assert_intervals(comparison, samples, Scope.SHARED)
    for name, value in _score_positive(y_true, scores[0]).items():
        assert comparison.find(name).baseline == pytest.approx(value, abs=1e-12)


def _score_positive(y_true, scores):
    y_pred = scores.argmax(axis=1)
    return {
        "aggregate/precision": precision_score(y_true, y_pred),
        "aggregate/recall": recall_score(y_true, y_pred),
        "aggregate/f1": f1_score(y_true, y_pred),
        "aggregate/roc_auc": roc_auc_score(y_true, scores[:, 1]),
        "aggregate/average_precision": average_precision_score(y_true, scores[:, 1]),
    }


def test_wrong_cells_are_a_share_of_the_versions_own_labels(build, compare):
    """On whole test sets, where one version knows more labels than the other."""
    rng = np.random.default_rng(0)
    y_true = rng.random((40, 4)) < 0.4
    y_true[:, 2:] = False
    predicted = [y_true ^ (rng.random((40, 4)) < rate) for rate in (0.1, 0.3)]
    predicted[0][:, 2:] = False
    truth = [np.flatnonzero(row).tolist() for row in y_true]
    sides = [
        build(
            truth,
            [[(c, 0.9) for c in np.flatnonzero(row)] for row in one],
            n_labels=n_labels,
            task=Task.MULTILABEL,
            images=NAMES[:40],
        )
        for one, n_labels in zip(predicted, (2, 4), strict=True)
    ]

    comparison = compare(*sides, resamples=24)

    for scope, width in ((Scope.WHOLE, 2), (Scope.SHARED, 4)):
        samples = [
            {
                "aggregate/hamming_loss": hamming_loss(y_true[drawn], predicted[1][drawn])
                - hamming_loss(y_true[drawn, :width], predicted[0][drawn, :width])
            }
            for drawn in draw_units([40], resamples=24)
        ]
        assert_intervals(comparison, samples, scope)


def test_images_whose_truth_was_changed_are_left_out(build_scores, compare, draw_pair):
    """All numbers of shared images are those of the 40 images with one truth."""
    truth, *scores = draw_pair(7, n=50)
    y_true = np.array(truth)[:, 0]
    changed = y_true.copy()
    changed[:10] = (changed[:10] + 1) % 4
    baseline = build_scores(truth, scores[0], images=NAMES[:50])
    candidate = build_scores([[c] for c in changed], scores[1], images=NAMES[:50])
    fewer = [build_scores(truth[10:], one[10:], images=NAMES[10:50]) for one in scores]

    comparison, expected = compare(baseline, candidate), compare(*fewer)

    for difference in expected.differences:
        if difference.scope is Scope.SHARED:
            found = comparison.find(difference.name, label=difference.label)
            ends = [(d.baseline, d.candidate, d.low, d.high, d.p) for d in (found, difference)]
            assert ends[0] == pytest.approx(ends[1], abs=1e-12, nan_ok=True), difference.name


def test_a_version_with_duplicates_draws_each_image_with_all_its_lines(build_scores, compare):
    """Units are images: two lines of one image come and go together."""
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), size=(2, 40))
    y_true = rng.integers(3, size=40)
    images = np.array([*range(30), *range(10)])  # the first ten stand there twice
    names = [NAMES[i] for i in images]
    sides = [build_scores([[c] for c in y_true], one, images=names) for one in scores]

    comparison = compare(*sides, resamples=24)

    samples = []
    for drawn in draw_units([30], resamples=24):
        rows = np.concatenate([np.flatnonzero(images == i) for i in drawn])
        before, after = (
            _score_one_label(
                y_true[rows],
                one[rows],
                _find_labels(several=False, y_true=y_true[rows], scores=[one[rows]]),
            )
            for one in scores
        )
        samples.append({name: after[name] - before[name] for name in before})
    assert_intervals(comparison, samples, Scope.WHOLE)
