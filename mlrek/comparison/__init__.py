"""Two versions, paired image by image -> what differs, how surely, and why. Pure.

This module holds the types of the results, which `compare_versions` of `mlrek.comparison.compare`
makes, and the one rule that says better, worse, undecided or unchanged, to people and the gate.

A number of all labels is judged by its 95 % interval. Numbers of labels are judged together, so
that many labels do not make one of them look better by chance (Holm 1979): by the adjusted p where
the number has one; by that of the label's decisions where it has none of its own, if both went the
same way; else by intervals at the confidences of Holm's steps.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isnan, nan
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Doubt, IntArray, Task, Version
from mlrek.metrics.intervals import CONFIDENCE
from mlrek.metrics.paired_tests import ImagesNeeded

LESS_IS_BETTER = frozenset({"hamming_loss", "log_loss", "ece", "ece_debiased"})
"""Names (after the last slash) of numbers that are better when smaller."""

LABEL_DECISIONS: Final = "label_decisions"
"""The share of images on which a label is rightly predicted or rightly not."""

ALPHA: Final = round(1 - CONFIDENCE, 9)

_OF_DECISIONS: Final = frozenset({"label_f1", "label_precision", "label_recall"})
_WORSE_NAMES: Final = (
    "label_recall",
    LABEL_DECISIONS,
    "label_f1",
    "label_iou",
    "label_ap",
    "label_roc_auc",
)
"""The numbers of labels that a check names, the plainest first."""
_HALVINGS: Final = 40


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
    """What a difference says of the candidate; `mlrek.comparison` holds the rule."""

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

    @property
    def is_lost_to_adjustment(self) -> bool:
        """Whether a label's own interval leaves 0 out, but not all labels taken together."""
        is_open = bool(self.label) and self.judgement is Judgement.UNDECIDED
        return is_open and _judge_ends(self, (self.low, self.high)) is not Judgement.UNDECIDED


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
class ImageAnswer:
    """What a version said of an image; `confidence` NaN where it has none."""

    labels: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChange:
    """A shared image that the versions do not judge alike."""

    image: str
    truth: tuple[str, ...]
    baseline: ImageAnswer
    candidate: ImageAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionDifference:
    """Counts of the candidate minus those of the baseline on shared images, rows true.

    `counts` (n, n) int64, signed; `baseline` (n, n) int64 are the baseline's own. `labels` are the
    rows and the columns; the last `n_own` of them are our own (`(none)`, `(background)`). `moves`
    (n_moves, 4) are the images behind the counts: place in `images`, row, column, and the change of
    the count on that image.
    """

    counts: NDArray[np.int64]
    baseline: NDArray[np.int64]
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
class SliceDifference:
    """One slice of the shared images, in both versions.

    Attributes:
        names: Of slices that hold the very same images, which are one; the first speaks for it.
        images: Their URIs.
        score: What every slice is judged by, the share of its images that are right, with p
            adjusted over all slices tried (Holm).
        numbers: The headline numbers of the task on these images.
        part_of: Name of the slice that it is shown with, as in `SliceRow`.
    """

    names: tuple[str, ...]
    images: tuple[str, ...]
    score: Difference
    numbers: tuple[Difference, ...] = ()
    part_of: str = ""

    @property
    def name(self) -> str:
        """The name that speaks for it."""
        return self.names[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that tells a candidate from a baseline.

    `fixed` are shared images that only the candidate has right, `broken` those that only the
    baseline has, `changed` those that both have wrong in different ways. `settling` is there where
    the difference of accuracy (or of images wholly right) is undecided. `slices` are those of the
    shared images, worst first, of `n_slices_tried` in all. `doubts` are those of both
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
    slices: tuple[SliceDifference, ...] = ()
    n_slices_tried: int = 0
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


def judge_differences(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """The same differences with the judgement of each."""
    found = list(differences)
    families: dict[tuple[str, Scope], list[int]] = defaultdict(list)
    for place, difference in enumerate(found):
        if difference.label:
            families[difference.name, difference.scope].append(place)
        else:
            found[place] = replace(difference, judgement=_judge_alone(difference))
    decisions = {(d.label, d.scope): d for d in found if d.name == LABEL_DECISIONS}
    for (name, _), places in families.items():
        followed = decisions if name in _OF_DECISIONS else {}
        judged = _judge_labels([found[place] for place in places], followed)
        for place, judgement in zip(places, judged, strict=True):
            found[place] = replace(found[place], judgement=judgement)
    return tuple(found)


def find_worse_labels(comparison: Comparison) -> tuple[tuple[str, str, Difference], ...]:
    """The labels that got significantly worse, all taken together, in label order.

    Each with the name of the plainest number that shows it, and that number's difference; on shared
    images where there are any.
    """
    worse = {
        (d.label, d.name): d
        for d in comparison.differences
        if d.label and d.scope is comparison.scope and d.judgement is Judgement.WORSE
    }
    named = []
    for label in comparison.labels:
        name = next((name for name in _WORSE_NAMES if (label, name) in worse), "")
        if name:
            named.append((label, name, worse[label, name]))
    return tuple(named)


def _judge_alone(difference: Difference) -> Judgement:
    if _is_unchanged(difference):
        return Judgement.UNCHANGED
    return _judge_ends(difference, (difference.low, difference.high))


def _judge_labels(
    family: Sequence[Difference], decisions: Mapping[tuple[str, Scope], Difference]
) -> list[Judgement]:
    """One number of all labels, in their order."""
    judged = [Judgement.UNCHANGED if _is_unchanged(d) else Judgement.UNDECIDED for d in family]
    open_: list[int] = []
    for i, difference in enumerate(family):
        if judged[i] is Judgement.UNCHANGED:
            continue
        leader = decisions.get((difference.label, difference.scope))
        if not isnan(difference.p_adjusted):
            judged[i] = _judge_by_p(difference, difference)
        elif leader is not None and not isnan(leader.p_adjusted):
            judged[i] = _judge_by_p(difference, leader)
        elif not isnan(difference.low):
            open_.append(i)
    for i, judgement in _step_down(family, open_).items():
        judged[i] = judgement
    return judged


def _judge_by_p(difference: Difference, leader: Difference) -> Judgement:
    """By the adjusted p of `leader`, where the number itself went that way, too."""
    if not leader.p_adjusted < ALPHA:
        return Judgement.UNDECIDED
    ways = {_way(difference), _way(leader)}
    return ways.pop() if len(ways) == 1 else Judgement.UNDECIDED


def _step_down(family: Sequence[Difference], places: Sequence[int]) -> dict[int, Judgement]:
    """Holm's steps by intervals: the i-th surest of m is held to 1 - alpha / (m - i + 1)."""
    apart = [
        i
        for i in places
        if _judge_ends(family[i], (family[i].low, family[i].high)) is not Judgement.UNDECIDED
    ]
    m = len(places)
    found: dict[int, Judgement] = {}
    for i in sorted(apart, key=lambda i: _find_p(family[i].evidence)):
        evidence = family[i].evidence
        if evidence is None:
            break
        ends = evidence.interval(1 - ALPHA / (m - len(found)))
        judgement = _judge_ends(family[i], ends)
        if judgement is Judgement.UNDECIDED:
            break
        found[i] = judgement
    return found


def _find_p(evidence: Evidence | None) -> float:
    """The smallest alpha whose interval leaves 0 out, to tell which is the surest."""
    if evidence is None:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ends = evidence.interval(1 - middle)
        if ends[0] > 0 or ends[1] < 0:
            high = middle
        else:
            low = middle
    return high


def _is_unchanged(difference: Difference) -> bool:
    """Whether nothing moved: the same value, and no image that could have moved it."""
    if difference.difference != 0:
        return False
    if difference.evidence is None:
        return difference.name.startswith(("reported/", "label_reported_"))
    return difference.evidence.standard_error == 0 or difference.p == 1


def _judge_ends(difference: Difference, ends: tuple[float, float]) -> Judgement:
    low, high = (-ends[1], -ends[0]) if difference.less_is_better else ends
    if low > 0:
        return Judgement.BETTER
    return Judgement.WORSE if high < 0 else Judgement.UNDECIDED


def _way(difference: Difference) -> Judgement:
    """Which way the number itself went."""
    return _judge_ends(difference, (difference.difference, difference.difference))
