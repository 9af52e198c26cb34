"""Intervals of differences: scikit-learn without each image, and MOVER by hand."""

from dataclasses import replace

import numpy as np
import pytest
from builders.left_out import assert_interval, find_interval, imagine, leave_out
from scipy.special import expit, logit
from scipy.stats import norm
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


def _mean_area(area, one_hot, scores):
    """Over the labels that are true on some images, and not on others."""
    kept = one_hot.any(axis=0) & ~one_hot.all(axis=0)
    return np.mean([area(one_hot[:, c], scores[:, c]) for c in np.flatnonzero(kept)])


def _score_one_label(y_true, scores):
    """Numbers that need scores, by our names."""
    one_hot = np.eye(scores.shape[1], dtype=bool)[y_true]
    return {
        "aggregate/log_loss": log_loss(y_true, scores, labels=range(scores.shape[1])),
        "aggregate/roc_auc_macro": _mean_area(roc_auc_score, one_hot, scores),
        "aggregate/average_precision_macro": _mean_area(average_precision_score, one_hot, scores),
    }


def _score_several(y_true, scores):
    return {
        "aggregate/f1_samples": f1_score(y_true, scores >= 0.5, average="samples", zero_division=0),
        "aggregate/hamming_loss": hamming_loss(y_true, scores >= 0.5),
        "aggregate/roc_auc_macro": _mean_area(roc_auc_score, y_true, scores),
        "aggregate/average_precision_macro": _mean_area(average_precision_score, y_true, scores),
        "aggregate/average_precision_micro": average_precision_score(
            y_true.ravel(), scores.ravel()
        ),
    }


def _count_one_label(y_true, y_pred, weight, labels):
    """Numbers that follow from counts."""
    options = {"labels": labels, "zero_division": 0, "sample_weight": weight}
    return {
        "aggregate/f1_macro": f1_score(y_true, y_pred, average="macro", **options),
        "aggregate/precision_macro": precision_score(y_true, y_pred, average="macro", **options),
        "aggregate/f1_weighted": f1_score(y_true, y_pred, average="weighted", **options),
        "aggregate/mcc": matthews_corrcoef(y_true, y_pred, sample_weight=weight),
        "aggregate/cohen_kappa": cohen_kappa_score(y_true, y_pred, sample_weight=weight),
    }


def _count_several(y_true, y_pred, weight, labels):
    options = {"labels": labels, "zero_division": 0, "sample_weight": weight}
    return {
        "aggregate/f1_macro": f1_score(y_true, y_pred, average="macro", **options),
        "aggregate/f1_micro": f1_score(y_true, y_pred, average="micro", **options),
        "aggregate/recall_macro": recall_score(y_true, y_pred, average="macro", **options),
    }


def _scale(name):
    last = name.rpartition("/")[2]
    return {"mcc": "fisher", "cohen_kappa": "fisher", "log_loss": "log"}.get(last, "logit")


def _predict(several, scores):
    return (scores >= 0.5) if several else scores.argmax(axis=1)


def _find_labels(several, y_true, scores):
    """The labels that are true, or predicted by either version."""
    if several:
        either = np.any([y_true, *(s >= 0.5 for s in scores)], axis=(0, 1))
        return np.flatnonzero(either)
    return sorted({*y_true, *(c for s in scores for c in s.argmax(axis=1))})


def _draw(build_scores, draw_pair, *, several, seed=1, n=60):
    """Two versions on `n` images, the true labels as an array, and their scores."""
    truth, *scores = draw_pair(seed, n=n, several=several)
    y_true = np.array([np.isin(range(4), t) for t in truth])
    options = {"task": Task.MULTILABEL if several else Task.CLASSIFICATION}

    def make(side, images, names=NAMES):
        mine = [truth[i] for i in images]
        return build_scores(
            mine, scores[side][images], images=[names[i] for i in images], **options
        )

    return make, y_true if several else y_true.argmax(axis=1), scores


def _assert_scored(comparison, scope, sides, units, *, several, degrees):
    """`sides`: true labels and scores of both versions; `units` the unit of each image."""
    score = _score_several if several else _score_one_label
    (first, before), (second, after) = (
        leave_out(lambda kept, y=y, s=s: score(y[kept], s[kept]), own)
        for (y, s), own in zip(sides, units, strict=True)
    )
    for name in first:
        ends = find_interval(
            second[name] - first[name],
            (first[name], before[name]),
            (second[name], after[name]),
            scale=_scale(name),
            degrees=degrees,
        )
        assert_interval(comparison, scope, name, ends)


def _one_hot(codes):
    return np.eye(4, dtype=bool)[codes]


def _assert_counted(comparison, y_true, scores, units, *, several, degrees=None):
    """Of paired images, with imagined ones of the labels that occur."""
    labels = list(_find_labels(several, y_true, scores))
    true, *answers, weight, place = imagine(labels)
    encode = _one_hot if several else np.asarray
    all_true = np.concatenate([y_true, encode(true)])
    n_units, n_imagined = units.max() + 1, place.max() + 1
    unit = np.concatenate([units, n_units + place])
    share = np.concatenate([np.ones(n_units), np.full(n_imagined, 4 / n_imagined)])
    weights = np.concatenate([np.ones(len(units)), weight])
    count = _count_several if several else _count_one_label
    found = []
    for one, added in zip(scores, answers, strict=True):
        y_pred = np.concatenate([_predict(several, one), encode(added)])
        whole = count(all_true, y_pred, weights, labels)
        left = [
            count(all_true, y_pred, weights * (unit != i), labels)
            for i in range(n_units + n_imagined)
        ]
        plain = count(y_true, _predict(several, one), np.ones(len(units)), labels)
        found.append((plain, whole, left))
    (before, first, first_left), (after, second, second_left) = found
    for name in first:
        ends = find_interval(
            after[name] - before[name],
            (first[name], np.array([one[name] for one in first_left])),
            (second[name], np.array([one[name] for one in second_left])),
            shares=share,
            scale=_scale(name),
            degrees=degrees,
        )
        assert_interval(comparison, Scope.SHARED, name, ends)


@pytest.mark.parametrize("several", [False, True])
def test_each_shared_image_is_left_out_of_both_versions(
    build_scores, compare, draw_pair, shuffle, several
):
    """Whatever the order of lines; averages are over the labels of both versions."""
    make, y_true, scores = _draw(build_scores, draw_pair, several=several)

    comparison = compare(*(make(i, shuffle(60, i)) for i in range(2)), intervals=True)

    units = np.arange(60)
    sides = [(y_true, one) for one in scores]
    _assert_scored(comparison, Scope.SHARED, sides, (units, units), several=several, degrees=59)
    _assert_counted(comparison, y_true, scores, units, several=several)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("start", [30, 60], ids=["overlapping", "disjoint"])
def test_whole_test_sets_go_together_as_far_as_they_share_images(
    build_scores, compare, draw_pair, several, start
):
    """An image that one version alone was tested on moves that version alone."""
    make, y_true, scores = _draw(build_scores, draw_pair, several=several, seed=2, n=110)
    mine = np.arange(60), np.arange(start, start + 50)

    comparison = compare(*(make(i, own) for i, own in enumerate(mine)), intervals=True)

    units = [np.where(np.isin(np.arange(110), own), np.arange(110), -1) for own in mine]
    known = np.unique(np.concatenate(mine))  # images that nobody was tested on are no units
    units = [np.where(one >= 0, np.searchsorted(known, one), -1) for one in units]
    sides = [(y_true, one) for one in scores]
    found = [one[one >= -1] for one in units]
    _assert_scored_whole(comparison, sides, found, len(known), several=several)


def _assert_scored_whole(comparison, sides, units, n_units, *, several):
    score = _score_several if several else _score_one_label
    found = []
    for (y_true, scores), own in zip(sides, units, strict=True):
        mine = np.flatnonzero(own >= 0)
        whole = score(y_true[mine], scores[mine])
        left = []
        for unit in range(n_units):
            kept = mine[own[mine] != unit]
            left.append(whole if len(kept) == len(mine) else score(y_true[kept], scores[kept]))
        found.append((whole, {n: np.array([one[n] for one in left]) for n in whole}))
    (first, before), (second, after) = found
    for name in first:
        ends = find_interval(
            second[name] - first[name],
            (first[name], before[name]),
            (second[name], after[name]),
            scale=_scale(name),
            degrees=n_units - 1,
        )
        assert_interval(comparison, Scope.WHOLE, name, ends)


@pytest.mark.parametrize("several", [False, True])
def test_groups_are_left_out_instead_of_images(build_scores, compare, draw_pair, several):
    """Objects of one to four images; also imagined images do not make their spread normal."""
    make, y_true, scores = _draw(build_scores, draw_pair, several=several, seed=4, n=60)
    objects = np.sort(np.random.default_rng(0).integers(24, size=60))
    objects = np.unique(objects, return_inverse=True)[1]
    names = [f"s3://b/{o:02}/{i}.jpg" for i, o in enumerate(objects)]

    comparison = compare(
        *(make(i, np.arange(60), names) for i in range(2)), intervals=True, group_by="s3://b/"
    )

    degrees = objects.max()
    sides = [(y_true, one) for one in scores]
    _assert_scored(
        comparison, Scope.SHARED, sides, (objects, objects), several=several, degrees=degrees
    )
    _assert_counted(comparison, y_true, scores, objects, several=several, degrees=degrees)


def test_images_without_truth_move_nothing(build_scores, compare, draw_pair):
    """One label an image: leaving one of them out changes no number."""
    truth, *scores = draw_pair(6, n=60)
    y_true = np.array(truth)[:, 0]
    has_truth = np.arange(60) % 5 > 0
    truth = [t if h else [] for t, h in zip(truth, has_truth, strict=True)]

    sides = (build_scores(truth, s, images=NAMES[:60]) for s in scores)
    comparison = compare(*sides, intervals=True)

    def score(one):
        def of(kept):
            kept = kept[has_truth[kept]]
            return _score_one_label(y_true[kept], one[kept])

        return of

    (first, before), (second, after) = (leave_out(score(one), np.arange(60)) for one in scores)
    for name in first:
        ends = find_interval(
            second[name] - first[name],
            (first[name], before[name]),
            (second[name], after[name]),
            scale=_scale(name),
            degrees=59,
        )
        assert_interval(comparison, Scope.SHARED, name, ends)


def test_a_positive_class_is_left_out_by_image(build_scores, compare, draw_pair):
    """scikit-learn's numbers of the positive class, without each image."""
    truth, *scores = draw_pair(8, n=80, n_labels=2)
    options = {"images": NAMES[:80]}
    sides = (replace(build_scores(truth, s, **options), pos_label="b") for s in scores)

    comparison = compare(*sides, intervals=True)

    y_true = np.array(truth)[:, 0]
    (first, before), (second, after) = (
        leave_out(lambda kept, s=one: _score_positive(y_true[kept], s[kept]), np.arange(80))
        for one in scores
    )
    for name in first:
        ends = find_interval(
            second[name] - first[name],
            (first[name], before[name]),
            (second[name], after[name]),
            degrees=79,
        )
        assert_interval(comparison, Scope.SHARED, name, ends)
        assert comparison.find(name).baseline == pytest.approx(first[name], abs=1e-12)


def test_each_label_gets_imagined_images_of_its_own(build_top, compare):
    """F1 of one label: each pair of found, missed and falsely predicted counts half an image."""
    y_true = np.array([0] * 12 + [1] * 8)
    preds = np.array([0] * 12 + [1] * 5 + [0] * 3), np.array([0] * 10 + [1] * 10)

    comparison = compare(*(build_top(y_true, one) for one in preds), intervals=True)

    hit, miss, false = (True, True), (True, False), (False, True)
    pairs = [(hit, hit), (miss, hit), (hit, miss), (miss, miss)]
    pairs += [(hit, hit), (false, hit), (hit, false), (false, false)]
    found = []
    for side, y_pred in enumerate(preds):
        true = [y_true == 1, [pair[side][0] for pair in pairs]]
        predicted = [y_pred == 1, [pair[side][1] for pair in pairs]]
        true, predicted = np.concatenate(true), np.concatenate(predicted)
        weight = np.concatenate([np.ones(20), np.full(8, 0.5)])
        left = [
            f1_score(true, predicted, sample_weight=weight * (np.arange(28) != i))
            for i in range(28)
        ]
        found.append((f1_score(true, predicted, sample_weight=weight), np.array(left)))
    shown = f1_score(y_true, preds[1]) - f1_score(y_true, preds[0])
    shares = np.concatenate([np.ones(20), np.full(8, 0.5)])
    ends = find_interval(shown, *found, shares=shares)
    assert_interval(comparison, Scope.SHARED, "label_f1", ends, label="b")


def test_a_perfect_ranking_gets_the_error_of_a_share(build_scores, compare, draw_pair):
    """20 images of the rarer label: (20 + 2) of (20 + 4), by Agresti and Coull."""
    y_true = np.array([0] * 28 + [1] * 20)
    perfect = np.where(y_true[:, np.newaxis] == [0, 1], 0.9, 0.1)
    perfect = perfect + np.arange(48)[:, np.newaxis] / 1000
    truth = [[code] for code in y_true]

    sides = [build_scores(truth, perfect, images=NAMES[:48]) for _ in range(2)]
    difference = compare(*sides, intervals=True).find("label_roc_auc", label="b")

    share = 22 / 24
    reach = norm.ppf(0.975) * np.sqrt(share * (1 - share) / 24) / (share * (1 - share))
    low, high = expit(logit(share) - reach), expit(logit(share) + reach)
    width = np.sqrt((share - low) ** 2 + (high - share) ** 2)
    assert (difference.low, difference.high) == pytest.approx((-width, width), abs=1e-9)
    assert difference.judgement == "unchanged"


def _draw_two_labels(build_scores, n_rare, n=60, names=NAMES):
    """Two versions on `n` images, so many of them of the label "b"; which nobody tells well."""
    rng = np.random.default_rng(0)
    truth = [[0]] * (n - n_rare) + [[1]] * n_rare
    return [build_scores(truth, rng.dirichlet([1, 1], size=n), images=names[:n]) for _ in range(2)]


@pytest.mark.parametrize(("n_rare", "n_least", "needed"), [(19, 19, 64), (41, 19, 64), (3, 3, 400)])
def test_a_ranking_of_few_images_of_a_kind_has_no_interval(
    build_scores, compare, n_rare, n_least, needed
):
    """With a label and without it there must be 20; how many images there must be is said."""
    comparison = compare(*_draw_two_labels(build_scores, n_rare), intervals=True)

    for name in ("label_roc_auc", "label_ap"):
        for label in "ab":
            difference = comparison.find(name, label=label)
            assert np.isnan(difference.low)
            assert difference.reason == (
                f"no interval: {n_least} images of the rarer kind (with or without the label), and "
                f"20 are needed: about {needed} images like these"
            )
    for name in ("aggregate/roc_auc_macro", "aggregate/average_precision_macro"):
        difference = comparison.find(name)
        assert np.isnan(difference.low)
        assert difference.reason == (
            f"no interval: {n_least} images of the rarest kind (with or without a label), and 20 "
            f"are needed: about {needed} images like these"
        )


def test_a_ranking_of_twenty_images_of_either_kind_has_an_interval(build_scores, compare):
    """Of each label, and of the mean."""
    comparison = compare(*_draw_two_labels(build_scores, 20), intervals=True)

    found = [d for d in comparison.differences if d.name.endswith(("ap", "roc_auc", "auc_macro"))]
    assert len(found) == 10  # 2 labels with 2 numbers and a mean, in both scopes
    assert not np.isnan([d.low for d in found]).any()


def test_groups_of_a_kind_are_counted_in_place_of_images(build_scores, compare):
    """25 images of the rarer label that show 5 objects are 5; of two labels and 40 objects."""
    names = [f"s3://b/{i:02}/{i}.jpg" for i in range(35)]
    names += [f"s3://b/{35 + i // 5}/{i}.jpg" for i in range(25)]

    comparison = compare(
        *_draw_two_labels(build_scores, 25, names=names), intervals=True, group_by="s3://b/"
    )

    assert comparison.find("label_roc_auc", label="b").reason == (
        "no interval: 5 groups of the rarer kind (with or without the label), and 20 are needed: "
        "about 160 groups like these"
    )


def test_a_positive_class_of_few_images_has_no_interval(build_scores, compare):
    """As its label has none."""
    sides = [replace(side, pos_label="b") for side in _draw_two_labels(build_scores, 19)]

    comparison = compare(*sides, intervals=True)

    for name in ("aggregate/roc_auc", "aggregate/average_precision"):
        difference = comparison.find(name)
        assert np.isnan(difference.low)
        assert difference.reason.startswith("no interval: 19 images of the rarer kind")


@pytest.mark.parametrize(("per_label", "is_short"), [(5, True), (6, False)])
def test_paired_means_of_areas_are_short_where_few_images_make_them(
    build_scores, compare, per_label, is_short
):
    """Under six images a label: the doubt of one version's interval, of no side."""
    rng = np.random.default_rng(1)
    truth = [[code] for code in range(10) for _ in range(per_label)]
    sides = [build_scores(truth, rng.dirichlet(np.ones(10), size=len(truth))) for _ in range(2)]

    comparison = compare(*sides, intervals=True)

    assert not np.isnan(comparison.find("aggregate/roc_auc_macro").low)
    short = [d for d in comparison.doubts if d.kind == "interval_short"]
    names = ("interval/roc_auc_macro", "interval/average_precision_macro")
    assert [(d.side, d.touches) for d in short] == ([(None, names)] if is_short else [])


def test_nothing_is_short_where_no_interval_was_made(build_scores, compare):
    """As where a comparison is asked for without intervals."""
    rng = np.random.default_rng(1)
    truth = [[code] for code in range(10) for _ in range(5)]
    sides = [build_scores(truth, rng.dirichlet(np.ones(10), size=50)) for _ in range(2)]

    comparison = compare(*sides, intervals=False)

    assert [d for d in comparison.doubts if d.kind == "interval_short"] == []


def test_fewer_than_ten_groups_have_no_interval(build_scores, compare, draw_pair):
    """Nine objects of four images each; p is none either."""
    truth, *scores = draw_pair(9, n=36)
    names = [f"s3://b/{i // 4}/{i}.jpg" for i in range(36)]

    comparison = compare(
        *(build_scores(truth, s, images=names) for s in scores), intervals=True, group_by="s3://b/"
    )

    for difference in comparison.differences:
        assert np.isnan(difference.low), difference.name
        assert np.isnan(difference.p), difference.name
    assert comparison.find("aggregate/accuracy").reason == (
        "no interval: 9 groups of images, at least 10 are needed"
    )


def test_whole_test_sets_are_judged_on_images_with_one_truth(build_scores, compare, draw_pair):
    """An edited truth makes the shown number better, and does not make the difference sure."""
    truth, scores, _ = draw_pair(3, n=60)
    answers = scores.argmax(axis=1)
    edited = [
        [int(a)] if i < 30 else t for i, (a, t) in enumerate(zip(answers, truth, strict=True))
    ]
    sides = [build_scores(one, scores, images=NAMES[:60]) for one in (truth, edited)]

    comparison = compare(*sides, intervals=True)

    whole = comparison.find("aggregate/accuracy", scope=Scope.WHOLE)
    assert whole.difference > 0.1
    assert whole.low < 0
    assert whole.high == whole.difference  # the interval holds what is shown
    assert whole.judgement == "undecided"
    macro = comparison.find("aggregate/f1_macro", scope=Scope.WHOLE)
    assert macro.low < 0 < macro.difference <= macro.high


def _score_positive(y_true, scores):
    y_pred = scores.argmax(axis=1)
    return {
        "aggregate/precision": precision_score(y_true, y_pred),
        "aggregate/recall": recall_score(y_true, y_pred),
        "aggregate/f1": f1_score(y_true, y_pred),
        "aggregate/roc_auc": roc_auc_score(y_true, scores[:, 1]),
        "aggregate/average_precision": average_precision_score(y_true, scores[:, 1]),
    }


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
