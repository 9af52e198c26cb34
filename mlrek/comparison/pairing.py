"""Which images two versions have in common, with the same truth or not, and of which object."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final

import numpy as np

from mlrek.comparison import Scope, TestSets, Verdict
from mlrek.errors import UsageError
from mlrek.evaluation import (
    BoolArray,
    DoubtKind,
    Evaluation,
    IntArray,
    LabelSets,
    Records,
    Reported,
    order_labels,
)
from mlrek.metrics.test_set import identify_images, take_images


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The shared images, in order of their URIs.

    `baseline_idx` and `candidate_idx` (n_shared,) are their places in the two evaluations;
    `relabelled` (n_shared,) tells whose truth differs. `is_exact`: the test sets are the same.
    """

    test_sets: TestSets
    images: tuple[str, ...]
    baseline_idx: IntArray
    candidate_idx: IntArray
    relabelled: BoolArray

    @property
    def is_exact(self) -> bool:
        """Whether what is shared is all there is."""
        return self.test_sets.verdict is Verdict.SAME


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """The fields of `Pairing`; `is_same` tells whether `test_set_digest` is that of both."""

    images: tuple[str, ...]
    baseline_idx: IntArray
    candidate_idx: IntArray
    relabelled: BoolArray
    is_same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUnits:
    """What is left out at once: images, or the objects that several images show.

    `sizes` are the units of each stratum, which follow each other; `baseline` and `candidate`
    (n_images,) the unit of each image of the two test sets, -1 for an image that does not count.
    """

    sizes: tuple[int, ...]
    baseline: IntArray
    candidate: IntArray

    @property
    def of_versions(self) -> tuple[IntArray, IntArray]:
        """The unit of each image of the baseline, and of the candidate."""
        return self.baseline, self.candidate

    @property
    def total(self) -> int:
        """How many units there are."""
        return sum(self.sizes)

    def deal(self, most: int) -> "PairUnits":
        """Units put together at random, stratum by stratum, so that about `most` are left."""
        if self.total <= most:
            return self
        rng = np.random.default_rng(0)
        sizes = [min(size, max(1, round(most * size / self.total))) for size in self.sizes]
        starts = np.cumsum([0, *sizes])
        dealt = np.concatenate(
            [
                start + rng.permutation(size) % max(fewer, 1)
                for start, size, fewer in zip(starts[:-1], self.sizes, sizes, strict=True)
            ]
        )
        lookup = np.append(dealt, -1)  # the last one stands for no unit
        return PairUnits(
            sizes=tuple(sizes), baseline=lookup[self.baseline], candidate=lookup[self.candidate]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the differences of one scope are of. `paired`: image i is the same of both versions.

    `grouped`: units are objects, so that images are not independent of each other.
    """

    scope: Scope
    labels: tuple[str, ...]
    units: PairUnits
    paired: bool
    grouped: bool


MAX_NAMED: Final = 5


def pair_images(baseline: Evaluation, candidate: Evaluation) -> Pairing:
    """Pair the images of two evaluations by URI; in each of them an image must stand once."""
    names_alone = all(_is_plain(evaluation) for evaluation in (baseline, candidate))
    compare = _compare_names if names_alone else _compare_digests
    matched = compare(baseline, candidate)
    n_images = [len(evaluation.images) for evaluation in (baseline, candidate)]
    n_shared = len(matched.images)
    verdict = Verdict.OVERLAPPING if n_shared else Verdict.DISJOINT
    return Pairing(
        test_sets=TestSets(
            verdict=Verdict.SAME if matched.is_same else verdict,
            shared=n_shared,
            only_baseline=n_images[0] - n_shared,
            only_candidate=n_images[1] - n_shared,
            relabelled=int(np.count_nonzero(matched.relabelled)),
            duplicated=_count_duplicates(baseline, candidate),
            labels_only_baseline=_only(baseline.labels, candidate.labels),
            labels_only_candidate=_only(candidate.labels, baseline.labels),
        ),
        images=matched.images,
        baseline_idx=matched.baseline_idx,
        candidate_idx=matched.candidate_idx,
        relabelled=matched.relabelled,
    )


def group_images(images: Sequence[str], group_by: str) -> tuple[list[str], int]:
    """The object that each image shows, by its URI.

    Args:
        images: URIs.
        group_by: A regular expression: its first group, or without one the whole match, names the
            object. Or what ends in `/` and some URIs begin with: the next part of the path does.

    Returns:
        The name of each image's object (an image that shows none is an object of its own), and how
        many images show none.

    Raises:
        UsageError: It is no regular expression.

    >>> group_images(["s3://b/cup/1.jpg", "s3://b/cup/2.jpg", "s3://b/3.jpg"], "s3://b/")
    (['s3://b/cup/', 's3://b/cup/', 's3://b/3.jpg'], 1)
    >>> group_images(["s3://b/cup-1.jpg", "s3://b/cup-2.jpg"], r"([a-z]+)-[0-9]")
    (['cup', 'cup'], 0)
    """
    if group_by.endswith("/") and any(image.startswith(group_by) for image in images):
        pattern = re.compile("^" + re.escape(group_by) + "[^/]+/")
    else:
        try:
            pattern = re.compile(group_by)
        except re.error as exc:
            raise UsageError(
                f"--group-by {group_by!r} is no regular expression: {exc}; "
                "for a prefix of image URIs, end it with /"
            ) from exc
    matches = [pattern.search(image) for image in images]
    names = [
        "" if match is None else next(filter(None, match.groups()), match[0]) for match in matches
    ]
    groups = [name or image for name, image in zip(names, images, strict=True)]
    return groups, names.count("")


def _is_plain(evaluation: Evaluation) -> bool:
    """Whether names of labels are all its truth."""
    return evaluation.detections is None and evaluation.masks is None


def _compare_names(baseline: Evaluation, candidate: Evaluation) -> _Matched:
    """Without a digest of each image: the true labels of the shared ones as numbers."""
    places = [{image: i for i, image in enumerate(e.images)} for e in (baseline, candidate)]
    shared = _share(*places)
    idx = [np.array([p[image] for image in shared], dtype=np.int64) for p in places]
    labels = order_labels(baseline.labels, set(candidate.labels))
    first, second = (
        _code_truth(evaluation, image_idx, labels)
        for evaluation, image_idx in zip((baseline, candidate), idx, strict=True)
    )
    relabelled = np.zeros(len(shared), dtype=np.bool_)
    changed = np.setxor1d(first, second, assume_unique=True)
    relabelled[changed // max(len(labels), 1)] = True
    return _Matched(
        images=shared,
        baseline_idx=idx[0],
        candidate_idx=idx[1],
        relabelled=relabelled,
        is_same=len(shared) == len(places[0]) == len(places[1]) and not len(changed),
    )


def _code_truth(evaluation: Evaluation, image_idx: IntArray, labels: tuple[str, ...]) -> IntArray:
    """Place among `image_idx` times the number of labels, plus the true label's, (n,), distinct."""
    codes = {label: code for code, label in enumerate(labels)}
    own = np.array([codes[label] for label in evaluation.labels], dtype=np.int64)
    place = np.full(len(evaluation.images), -1, dtype=np.int64)
    place[image_idx] = np.arange(len(image_idx))
    places, true = place[evaluation.truth.image_idx], own[evaluation.truth.label_idx]
    return np.asarray((places * len(labels) + true)[places >= 0])


def _compare_digests(baseline: Evaluation, candidate: Evaluation) -> _Matched:
    """By the digest of each image with its truth."""
    digests = identify_images(baseline), identify_images(candidate)
    places = [{image: i for i, image in enumerate(e.images)} for e in (baseline, candidate)]
    shared = _share(*places)
    idx = [np.array([p[image] for image in shared], dtype=np.int64) for p in places]
    relabelled = np.array(
        [digests[0][i] != digests[1][j] for i, j in zip(*idx, strict=True)], dtype=np.bool_
    )
    return _Matched(
        images=shared,
        baseline_idx=idx[0],
        candidate_idx=idx[1],
        relabelled=relabelled,
        is_same=sorted(digests[0]) == sorted(digests[1]),
    )


def _share(baseline: Mapping[str, int], candidate: Mapping[str, int]) -> tuple[str, ...]:
    """The images that both have, in order of their URIs."""
    return tuple(sorted(baseline.keys() & candidate.keys()))


def _count_duplicates(baseline: Evaluation, candidate: Evaluation) -> int:
    """Images that stood in several lines of a test set, and were counted once."""
    first, second = (
        max((d.count or 0 for d in e.doubts if d.kind is DoubtKind.IMAGES_REPEATED), default=0)
        for e in (baseline, candidate)
    )
    is_apart = first and second and not set(baseline.images) & set(candidate.images)
    return first + second if is_apart else max(first, second)


def _only(labels: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    known = set(others)
    return tuple(label for label in labels if label not in known)


def select_images(evaluation: Evaluation, image_idx: IntArray) -> Evaluation:
    """The evaluation of the images at `image_idx`, in that order, without reported numbers."""
    return replace(
        take_images(evaluation, image_idx),
        baseline=None,
        seen_in_training=None,
        reported=Reported(),
        warnings=(),
    )


def rename_labels(evaluation: Evaluation, names: Mapping[str, str]) -> Evaluation:
    """The evaluation with labels renamed; labels that `names` does not hold keep theirs.

    Raises:
        UsageError: Two labels would share a name.
    """
    labels = tuple(names.get(label, label) for label in evaluation.labels)
    if len(set(labels)) < len(labels):
        again = next(label for label in labels if labels.count(label) > 1)
        raise UsageError(
            f"the label map gives two labels of {evaluation.version.arn} the name {again!r}; "
            "labels can be renamed, not merged"
        )
    reported = evaluation.reported
    per_label = {names.get(name, name): scores for name, scores in reported.per_label.items()}
    return replace(
        evaluation,
        labels=labels,
        pos_label=names.get(evaluation.pos_label, evaluation.pos_label),
        reported=replace(reported, per_label=per_label),
    )


def recode_labels(evaluation: Evaluation, labels: tuple[str, ...]) -> Evaluation:
    """The evaluation with its labels in the order of `labels`, which must hold all of them."""
    places = {label: code for code, label in enumerate(labels)}
    codes = np.array([places[label] for label in evaluation.labels], dtype=np.int64)
    thresholds = np.full(len(labels), np.nan)
    thresholds[codes] = evaluation.thresholds
    detections, masks = evaluation.detections, evaluation.masks
    if detections is not None:
        detections = replace(
            detections,
            truth=replace(detections.truth, label_idx=codes[detections.truth.label_idx]),
            records=replace(detections.records, label_idx=codes[detections.records.label_idx]),
        )
    if masks is not None:
        masks = replace(masks, label_idx=codes[masks.label_idx])
    return replace(
        evaluation,
        labels=labels,
        thresholds=thresholds,
        truth=_recode_sets(evaluation.truth, codes),
        records=_recode_records(evaluation.records, codes),
        detections=detections,
        masks=masks,
        baseline=None,
        reported=Reported(),
    )


def with_truth_of(evaluation: Evaluation, other: Evaluation) -> Evaluation:
    """The evaluation with the truth of another one of the same images and label codes."""
    detections = evaluation.detections
    if detections is not None and other.detections is not None:
        truth, records = other.detections.truth, detections.records
        if truth.masks is None or records.masks is None:  # then boxes are what can be compared
            truth, records = replace(truth, masks=None), replace(records, masks=None)
        detections = replace(detections, truth=truth, records=records)
    return replace(evaluation, truth=other.truth, detections=detections)


def _recode_sets(truth: LabelSets, codes: IntArray) -> LabelSets:
    order = np.lexsort((codes[truth.label_idx], truth.image_idx))
    return LabelSets(offsets=truth.offsets, label_idx=codes[truth.label_idx][order])


def _recode_records(records: Records, codes: IntArray) -> Records:
    order = np.lexsort((codes[records.label_idx], records.image_idx))
    return Records(
        offsets=records.offsets,
        label_idx=codes[records.label_idx][order],
        confidence=records.confidence[order],
        outcome=records.outcome[order],
    )


def set_shared(images: Sequence[str], labels: tuple[str, ...], group_by: str) -> Setting:
    """Images that both versions were tested on, in the order that both have."""
    groups = group_images(images, group_by)[0] if group_by else images
    units = number_groups(groups)
    return Setting(
        scope=Scope.SHARED,
        labels=labels,
        units=PairUnits(sizes=(int(units.max()) + 1,), baseline=units, candidate=units),
        paired=True,
        grouped=bool(group_by),
    )


def set_whole(
    images: tuple[Sequence[str], Sequence[str]],
    labels: tuple[str, ...],
    group_by: str,
    left_out: frozenset[str] = frozenset(),
) -> Setting:
    """Strata of units that both versions were tested on, and of those that only one was.

    Their order tells nothing of which is the baseline: swapped versions have the same units.
    Images of `left_out`, whose truth differs, tell of no version how good it is.
    """
    groups = [group_images(own, group_by)[0] if group_by else own for own in images]
    counts = [[image not in left_out for image in own] for own in images]
    members = [set(compress(*pair)) for pair in zip(groups, counts, strict=True)]
    alone = sorted(sorted(mine - other) for mine, other in (members, members[::-1]))
    strata = sorted(members[0] & members[1]), *alone
    names = [name for stratum in strata for name in stratum]
    places = {name: i for i, name in enumerate(names)}
    baseline, candidate = (
        np.array(
            [places[name] if is_in else -1 for name, is_in in zip(*pair, strict=True)],
            dtype=np.int64,
        )
        for pair in zip(groups, counts, strict=True)
    )
    return Setting(
        scope=Scope.WHOLE,
        labels=labels,
        units=PairUnits(sizes=tuple(map(len, strata)), baseline=baseline, candidate=candidate),
        paired=False,
        grouped=bool(group_by),
    )


def number_groups(groups: Sequence[str]) -> IntArray:
    """The place of each group in alphabetical order, so that lines may stand in any order."""
    places = {name: i for i, name in enumerate(sorted(set(groups)))}
    return np.array([places[name] for name in groups], dtype=np.int64)


def warn(pairing: Pairing, *, group_by: str) -> Iterator[str]:
    """One sentence on each thing that makes a comparison less than it seems.

    Args:
        pairing: The shared images.
        group_by: How images were grouped, '' for not at all.
    """
    yield from _warn_test_sets(pairing)
    yield from _warn_labels(pairing)
    if group_by and (n := group_images(pairing.images, group_by)[1]):
        yield f"--group-by finds no object in the URIs of {n} shared images: each is its own"


def name_some(names: Sequence[str]) -> str:
    """The first few of untrusted names, escaped as Python would."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(map(repr, names[:MAX_NAMED])) + more


def _warn_test_sets(pairing: Pairing) -> Iterator[str]:
    sets = pairing.test_sets
    if sets.verdict is not Verdict.SAME:
        yield (
            "the test sets differ: numbers of the whole test sets compare only in part; evaluate "
            "both versions on one test set of your own with `mlrek evaluate VERSION --on MANIFEST`"
        )


def _warn_labels(pairing: Pairing) -> Iterator[str]:
    sets = pairing.test_sets
    for names, which in (
        (sets.labels_only_baseline, "baseline"),
        (sets.labels_only_candidate, "candidate"),
    ):
        if names:
            yield f"labels that only the {which} knows: {name_some(names)}"
