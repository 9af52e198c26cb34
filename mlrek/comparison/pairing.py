"""Which images two versions have in common, with the same truth or not, and of which object."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrek.comparison import TestSets, Verdict
from mlrek.comparison.selection import select_images
from mlrek.errors import UsageError
from mlrek.evaluation import BoolArray, Evaluation, IntArray, digest_images


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The shared images, in order of their URIs.

    `baseline_idx` and `candidate_idx` (n_shared,) are their places in the two evaluations;
    `relabelled` (n_shared,) tells whose truth differs. `is_exact`: the test sets are the same, and
    no image stands in them twice.
    """

    test_sets: TestSets
    images: tuple[str, ...]
    baseline_idx: IntArray
    candidate_idx: IntArray
    relabelled: BoolArray

    @property
    def is_exact(self) -> bool:
        """Whether what is shared is all there is."""
        return self.test_sets.verdict is Verdict.SAME and not self.test_sets.duplicated


def pair_images(baseline: Evaluation, candidate: Evaluation) -> Pairing:
    """Pair the images of two evaluations by URI.

    An image that stands more than once in a test set counts once among the shared ones. Where its
    lines differ, the one that counts does not depend on the order of lines.
    """
    digests = digest_images(baseline), digest_images(candidate)
    places = [_choose_places(e, d) for e, d in zip((baseline, candidate), digests, strict=True)]
    shared = tuple(sorted(places[0].keys() & places[1].keys()))
    idx = [np.array([p[image] for image in shared], dtype=np.int64) for p in places]
    relabelled = np.array(
        [digests[0][i] != digests[1][j] for i, j in zip(*idx, strict=True)], dtype=np.bool_
    )
    return Pairing(
        test_sets=TestSets(
            verdict=_judge(digests, len(shared)),
            shared=len(shared),
            only_baseline=len(places[0]) - len(shared),
            only_candidate=len(places[1]) - len(shared),
            relabelled=int(np.count_nonzero(relabelled)),
            duplicated=len(_find_duplicates(baseline) | _find_duplicates(candidate)),
            labels_only_baseline=_only(baseline.labels, candidate.labels),
            labels_only_candidate=_only(candidate.labels, baseline.labels),
        ),
        images=shared,
        baseline_idx=idx[0],
        candidate_idx=idx[1],
        relabelled=relabelled,
    )


def group_images(images: Sequence[str], group_by: str) -> tuple[list[str], int]:
    """The object that each image shows, by its URI.

    Args:
        images: URIs.
        group_by: A prefix of URIs that ends in `/`: the next part of the path names the object. Or
            a regular expression: its first group, or without one the whole match, names it.

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
    if group_by.endswith("/"):
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


def _choose_places(evaluation: Evaluation, digests: Sequence[bytes]) -> dict[str, int]:
    """The place of each image; of one that stands there twice, that with the first content."""
    places = {image: i for i, image in enumerate(evaluation.images)}
    again = _find_duplicates(evaluation)
    if again:
        rows = [i for i, image in enumerate(evaluation.images) if image in again]
        content = _describe_lines(select_images(evaluation, np.array(rows)))
        falling = sorted(zip(rows, content, strict=True), key=lambda r: (digests[r[0]], r[1]))[::-1]
        places |= {evaluation.images[i]: i for i, _ in falling}
    return places


def _describe_lines(evaluation: Evaluation) -> list[list[str]]:
    """What each line says besides the truth, whatever the order of labels and boxes."""
    lines: list[list[str]] = [[] for _ in evaluation.images]

    def describe(image_idx: IntArray, label_idx: IntArray, *columns: NDArray[Any]) -> None:
        for image, code, *row in zip(
            *(column.tolist() for column in (image_idx, label_idx, *columns)), strict=True
        ):
            lines[image].append(repr((evaluation.labels[code], *row)))

    records, detections, masks = evaluation.records, evaluation.detections, evaluation.masks
    describe(records.image_idx, records.label_idx, records.confidence, records.outcome)
    if detections is not None:
        boxes = detections.records
        columns = boxes.boxes_xyxy, boxes.confidence, boxes.outcome
        describe(boxes.image_idx, boxes.label_idx, *columns)
    if masks is not None:
        describe(masks.image_idx, masks.label_idx, masks.tp, masks.fp, masks.fn)
    return [sorted(line) for line in lines]


def _find_duplicates(evaluation: Evaluation) -> set[str]:
    if len(set(evaluation.images)) == len(evaluation.images):
        return set()
    return {image for image, n in Counter(evaluation.images).items() if n > 1}


def _judge(digests: tuple[list[bytes], list[bytes]], n_shared: int) -> Verdict:
    if sorted(digests[0]) == sorted(digests[1]):
        return Verdict.SAME
    return Verdict.OVERLAPPING if n_shared else Verdict.DISJOINT


def _only(labels: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    known = set(others)
    return tuple(label for label in labels if label not in known)
