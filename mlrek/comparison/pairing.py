"""Which images two versions have in common, with the same truth or not, and of which object."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlrek.comparison import TestSets, Verdict
from mlrek.errors import UsageError
from mlrek.evaluation import BoolArray, DoubtKind, Evaluation, IntArray, order_labels
from mlrek.identity import digest_images


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """The fields of `Pairing`; `is_same` tells whether `test_set_digest` is that of both."""

    images: tuple[str, ...]
    baseline_idx: IntArray
    candidate_idx: IntArray
    relabelled: BoolArray
    is_same: bool


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
    digests = digest_images(baseline), digest_images(candidate)
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
