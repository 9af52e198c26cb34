"""Two versions, paired image by image -> what differs, how surely, and why. Pure.

This module holds the results' types; `compare_versions` of `mlrek.comparison.compare` makes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Doubt, IntArray, Task, Version
from mlrek.metrics.paired_tests import ImagesNeeded

LESS_IS_BETTER = frozenset({"hamming_loss", "log_loss", "ece", "ece_debiased"})
"""Names (after the last slash) of numbers that are better when smaller."""


class Verdict(StrEnum):
    """Whether two versions have the same test set."""

    SAME = "same"  # the same images with the same truth
    OVERLAPPING = "overlapping"  # some images in common, or images whose truth was changed
    DISJOINT = "disjoint"  # no image in common


class Scope(StrEnum):
    """The images that a number is of."""

    WHOLE = "whole"  # all test images of each version
    SHARED = "shared"  # those that both versions were tested on


class Judgement(StrEnum):
    """What a difference says of the candidate; `mlrek.comparison.judging` holds the rule."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    UNCHANGED = "unchanged"  # the versions differ on no image in what makes the number


class Evidence(Protocol):
    """How surely a difference is known: gives its interval at any confidence."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end at a confidence between 0 and 1; NaN where there is none."""

    @property
    def standard_error(self) -> float:
        """The spread of the difference between samples of this size; NaN where unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSets:
    """What two test sets have in common; all but the verdict count images (distinct URIs).

    `relabelled` are shared images with another truth, which are left out of what is compared on
    shared images. `duplicated` stand more than once in a test set. `labels_only_baseline` and
    `labels_only_candidate` name labels that one version lacks.
    """

    __test__ = False  # no test class, whatever its name says to pytest

    verdict: Verdict
    shared: int
    only_baseline: int
    only_candidate: int
    relabelled: int
    duplicated: int
    labels_only_baseline: tuple[str, ...] = ()
    labels_only_candidate: tuple[str, ...] = ()

    @property
    def judged(self) -> int:
        """Shared images with one truth: those that numbers of shared images are of."""
        return self.shared - self.relabelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One number of both versions. NaN: undefined; `reason` says why something is missing.

    `name` is the number's as in `evaluation.json`: `aggregate/f1_macro`, `at_threshold/…`,
    `reported/…`, or for each `label` `label_f1`, `label_recall`, …. `low` and `high` are the ends
    of the 95 % interval of candidate minus baseline. `evidence` gives intervals at other
    confidences.
    """

    name: str
    scope: Scope
    baseline: float
    candidate: float
    label: str = ""
    low: float = nan
    high: float = nan
    p: float = nan
    p_adjusted: float = nan
    reason: str = ""
    evidence: Evidence | None = None
    judgement: Judgement = Judgement.UNDECIDED

    @property
    def difference(self) -> float:
        """Candidate minus baseline."""
        return self.candidate - self.baseline

    @property
    def less_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.name.rpartition("/")[2] in LESS_IS_BETTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The parts of a change, which add up to `total`; NaN where they cannot be told apart.

    In the unit of the number. `intervals` are the ends of the 95 % interval of each part, by its
    name; NaN, or no entry, where there is none. `note` says why a part cannot be told.
    """

    label_set: float
    test_set: float
    relabelled: float
    model: float
    threshold: float
    unexplained: float
    total: float
    note: str = ""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a version said of an image; `confidence` NaN where it has none."""

    labels: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChange:
    """A shared image that the versions do not judge alike."""

    image: str
    truth: tuple[str, ...]
    baseline: Answer
    candidate: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionDifference:
    """Counts of the candidate minus those of the baseline on shared images, rows true.

    `counts` (n, n) int64, signed. `labels` are the rows and the columns; the last `n_own` of them
    are our own (`(none)`, `(background)`). `moves` (n_moves, 4) are the images behind the counts:
    place in `images`, row, column, and the change of the count on that image.
    """

    counts: NDArray[np.int64]
    labels: tuple[str, ...]
    n_own: int
    moves: IntArray
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """Test images that a version was trained on; `known` is False where nothing tells."""

    known: bool
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """How many images would settle an undecided difference of accuracy; estimates.

    `needed` are images that would tell a small difference with 80 % power, whichever version is the
    better one; `smallest_difference` is what the present number of images could decide.
    """

    needed: ImagesNeeded | None
    smallest_difference: float

    @property
    def images_needed(self) -> int | None:
        """The most that may be needed."""
        return self.needed.high if self.needed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that tells a candidate from a baseline.

    `fixed` are shared images that only the candidate has right, `broken` those that only the
    baseline has, `changed` those that both have wrong in different ways. `settling` is there where
    the difference of accuracy (or of images wholly right) is undecided. `doubts` are those of both
    versions, each with its side, and those of the comparison itself.
    """

    baseline: Version
    candidate: Version
    task: Task
    labels: tuple[str, ...]
    test_sets: TestSets
    differences: tuple[Difference, ...] = ()
    why: Mapping[str, Why] = field(default_factory=dict)
    fixed: tuple[ImageChange, ...] = ()
    broken: tuple[ImageChange, ...] = ()
    changed: tuple[ImageChange, ...] = ()
    confusion: ConfusionDifference | None = None
    settling: Settling | None = None
    baseline_leakage: Leakage = Leakage(known=False)
    candidate_leakage: Leakage = Leakage(known=False)
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        """The scope that the versions are judged in: shared images where there are any."""
        return Scope.SHARED if self.test_sets.judged else Scope.WHOLE

    def find(self, name: str, *, label: str = "", scope: Scope = Scope.SHARED) -> Difference | None:
        """The difference of a number, None where it was not computed."""
        return next(
            (
                d
                for d in self.differences
                if d.name == name and d.label == label and d.scope == scope
            ),
            None,
        )
