"""May a version be promoted? A policy, a version's numbers, a comparison -> a decision. Pure.

This module holds the types. `parse_policy` of `mlrek.policy.parsing` reads a policy file, `decide`
of `mlrek.policy.deciding` applies it.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from msgspec import Meta

from mlrek.kinds import Doubt, DoubtKind, Task

if TYPE_CHECKING:  # a policy is read without numbers
    from mlrek.comparison import Comparison, Leakage

ANY_LABEL: Final = "*"
DEFAULT_CONFIDENCE: Final = 0.95
MIN_CONFIDENCE: Final = 0.5
"""Below one half an interval would be no reason for anything."""
EXIT_PASSED, EXIT_FAILED, EXIT_UNDECIDED = 0, 3, 4

Forgive = Literal["", "pass", "fail"]
"""What an undecided verdict is taken for, '' for neither (`--undecided`)."""


_LARGEST: Final = sys.float_info.max
_Limit = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST, description="a finite number")]
_Margin = Annotated[float, Meta(ge=0, le=_LARGEST, description="a finite number from 0 (as 0.005)")]
_Confidence = Annotated[
    float,
    Meta(
        ge=MIN_CONFIDENCE, lt=1, description=f"a number from {MIN_CONFIDENCE} to below 1 (as 0.95)"
    ),
]
_Count = Annotated[int, Meta(ge=0, description="a whole number of images from 0")]
Text = Annotated[str, Meta(pattern=r"\S", description="a text that is not empty")]
_Slice = Annotated[
    str,
    Meta(
        pattern=r"^[^=]*[^\s=][^=]*=[\s\S]*\S",
        description="COLUMN=VALUE or COLUMN=* (as site=A, site=*)",
    ),
]
_Columns = Annotated[
    dict[Text, Text],
    Meta(description="a table with a pattern for each column (as { site = '/(s[0-9])/' })"),
]
_Flag = Annotated[bool, Meta(description="true or false")]


class LeakageRule(StrEnum):
    """What a policy says of test images that a version was trained on."""

    FORBIDDEN = "forbidden"
    ALLOWED = "allowed"


class SameTestSet(StrEnum):
    """Which pairs of test sets relative checks accept."""

    REQUIRED = "required"  # the same images with the same truth
    OVERLAPPING = "overlapping"  # some images in common: compared on these
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number by its name in `evaluation.json`; `label` '' for none, `*` for each label.

    `name` is `aggregate/f1_macro`, or `label_recall` with a label. `slice` is the slice of the test
    images that it is of, '' for all of them.
    """

    name: str
    label: str = ""
    slice: str = ""

    def __str__(self) -> str:
        number = f"{self.name}/{self.label}" if self.label else self.name
        return f"{number} in {self.slice}" if self.slice else number


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSetPolicy:
    """The table `[test_set]`: what a test set must be; 0 asks for no number of images.

    `leakage` None says nothing of images that a version was trained on. `accept` are kinds of
    doubts that stop nothing. `group_by` finds the object that an image shows, '' where each is its
    own. `slice_by` finds the value of further columns, by their name, in the URI of an image.
    `adjust_for_looks`: of many candidates checked on one test set a later one must show more.
    """

    __test__ = False  # no test class, whatever its name says to pytest

    same: SameTestSet = SameTestSet.REQUIRED
    min_images: _Count = 0
    min_images_per_label: _Count = 0
    min_images_per_slice: _Count = 0
    leakage: LeakageRule | None = None
    accept: frozenset[DoubtKind] = frozenset()
    group_by: Text = ""
    slice_by: _Columns = field(default_factory=dict)
    adjust_for_looks: _Flag = False


class CheckKind(StrEnum):
    """What a check asks."""

    TEST_SET = "test_set"
    FLOOR = "floor"
    NO_WORSE = "no_worse"
    BETTER = "better"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A table `[[floor]]`: a number must lie within limits; with a confidence its interval must.

    `slice` are the slices that it is asked of, '' for all test images.
    """

    kind: ClassVar = CheckKind.FLOOR
    metric: Metric
    slice: _Slice = ""
    min: _Limit = nan
    max: _Limit = nan
    confidence: _Confidence = nan


@dataclass(frozen=True, slots=True, kw_only=True)
class NoWorse:
    """A table `[[no_worse]]`: the candidate may lose at most `margin` on the baseline."""

    kind: ClassVar = CheckKind.NO_WORSE
    metric: Metric
    slice: _Slice = ""
    margin: _Margin = 0.0
    confidence: _Confidence = DEFAULT_CONFIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Better:
    """A table `[[better]]`: the candidate must be better than the baseline."""

    kind: ClassVar = CheckKind.BETTER
    margin: ClassVar[float] = 0.0
    metric: Metric
    slice: _Slice = ""
    confidence: _Confidence = DEFAULT_CONFIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy file. `uri` is where it was read, for messages; `text` is all of it."""

    uri: str
    text: str = field(default="", compare=False, repr=False)
    baseline: str = ""
    test_set: TestSetPolicy = field(default_factory=TestSetPolicy)
    floors: tuple[Floor, ...] = ()
    relative: tuple[NoWorse | Better, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its interval; NaN: undefined, `reason` says why."""

    value: float
    low: float = nan
    high: float = nan
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Every number of a version, as its `evaluation.json` has them, under raw label names."""

    figures: Mapping[Metric, Figure]
    labels: tuple[str, ...]
    task: Task = Task.CLASSIFICATION


@dataclass(frozen=True, slots=True, kw_only=True)
class TestImages:
    """How many test images there are, and of each label; None where nothing tells."""

    __test__ = False  # no test class, whatever its name says to pytest

    total: int | None
    per_label: Mapping[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionIdentity:
    """A version; `run_id` '' when it was read from a source.

    `model` and `number` are what the registry calls it where it was so named. The digests are
    SHA-256 in hexadecimal digits: of the run's `evaluation.parquet`, and of the test set.
    """

    version: str
    version_arn: str
    run_id: str = ""
    model: str = ""
    number: int | None = None
    evaluation_sha256: str = ""
    test_set_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The version to be promoted. `numbers_at` gives its numbers with intervals at a confidence.

    `doubts` weaken its numbers. `is_champion`: it has the alias already that is to be moved.
    `is_grouped`: its intervals are over the groups of `group_by`; in the URIs of `n_alone` of
    `n_images` test images that finds no object.
    """

    identity: VersionIdentity
    numbers: Numbers
    numbers_at: Callable[[float], Numbers]
    test_images: TestImages
    leakage: "Leakage"
    doubts: tuple[Doubt, ...] = ()
    is_champion: bool = False
    is_grouped: bool = False
    n_alone: int = 0
    n_images: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opponent:
    """What relative checks compare with: `comparison`, or why there is none.

    `absent`: there need be none, as this is a first promotion, or the candidate is the champion.
    `missing`: one is named that is not there. `incomparable`: there is one, but it cannot be
    compared. `shared_images` are the test images that both versions have; where these are not all
    of them, `advice` may say how the two get on one test set. `differs_in_thresholds`: that is all
    that the versions differ in. `is_ungrouped`: `group_by` finds no object in any image that is
    compared, or in any of one version; `n_alone` counts those of the baseline where its own test
    set is compared. `gone` counts the baseline's test images of each label of which the candidate
    was tested on none.
    """

    identity: VersionIdentity | None = None
    comparison: "Comparison | None" = None
    shared_images: TestImages | None = None
    absent: str = ""
    missing: str = ""
    incomparable: str = ""
    advice: str = ""
    differs_in_thresholds: bool = False
    is_ungrouped: bool = False
    n_alone: int = 0
    gone: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """One slice that a policy names, with the versions on its images alone.

    `missing` says why nothing can be judged there; then there is no `candidate`. `incomparable`
    says why the versions cannot be compared there, '' where they can, or where the policy compares
    nothing in it. `note` is to be known of the slice.
    """

    name: str
    n_images: int = 0
    candidate: Candidate | None = None
    opponent: Opponent | None = None
    missing: str = ""
    incomparable: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portions:
    """The slices that `COLUMN=VALUE` or `COLUMN=*` of a policy stands for.

    `missing` says why there are none. `gone` are those that only the baseline was tested on.
    """

    portions: tuple[Portion, ...] = ()
    missing: str = ""
    gone: tuple[Portion, ...] = ()


class Status(StrEnum):
    """How a check ended, or all of them together."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    IGNORED = "ignored"  # a check against a baseline where there need be none


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question of the policy and its answer.

    Of a floor `low` and `high` are the ends of the number's interval, of a relative check those of
    candidate minus baseline; `limit` is what they are held against, `is_maximum` whether they must
    lie below it. `is_comparable` is False where the versions cannot be compared at all.
    `is_doubted`: a doubt keeps it from passing, whatever the numbers say, or what it asks for is
    not there: more images alone would not decide it. `images_needed_range` is
    an estimate of the test images that would decide it.
    """

    kind: CheckKind
    metric: Metric
    status: Status
    value: float = nan
    baseline: float = nan
    limit: float = nan
    is_maximum: bool = False
    low: float = nan
    high: float = nan
    reason: str = ""
    is_comparable: bool = True
    is_doubted: bool = False
    images_needed_range: tuple[int, int] | None = None

    @property
    def images_needed(self) -> int | None:
        """The most of them."""
        return self.images_needed_range[1] if self.images_needed_range else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How many versions were checked on one test set against one run of a baseline.

    `count` is how many runs tell of, None where none can; `k` is the candidate's place among them,
    0 where none is kept of it, and `unknown` says why. `chance` is that of at least one false
    "better" among all of them if none were better, NaN where the policy does not ask for better.
    `adjusted`: the k-th is held to a smaller part of it.
    """

    count: int | None
    k: int = 0
    unknown: str = ""
    chance: float = nan
    adjusted: bool = False

    @property
    def total(self) -> int:
        """How many there are with the candidate, counted or not."""
        return (self.count or 0) + (not self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All checks with their answers, and what follows.

    `already_champion`: the candidate has the alias already, so that nothing is to be decided.
    `looks` is None where the candidate was compared with no baseline.
    """

    candidate: VersionIdentity
    baseline: VersionIdentity | None
    checks: tuple[Check, ...]
    already_champion: bool = False
    looks: Looks | None = None
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Status:
        """Failed if any check is, else undecided if any is; passed only if a number passed.

        A test set may be as it should be, and checks may be ignored: neither shows a good version.
        """
        if self.already_champion:
            return Status.PASSED
        found = {check.status for check in self.checks}
        for status in (Status.FAILED, Status.UNDECIDED):
            if status in found:
                return status
        return Status.PASSED if self.has_passed_number else Status.UNDECIDED

    @property
    def has_passed_number(self) -> bool:
        """Whether any check of a number passed."""
        return any(c.kind in NUMBER_KINDS and c.status == Status.PASSED for c in self.checks)

    @property
    def images_needed_range(self) -> tuple[int, int] | None:
        """The test images that would decide every undecided check for which that can be told."""
        undecided = (check for check in self.checks if check.status == Status.UNDECIDED)
        ranges = [check.images_needed_range for check in undecided if check.images_needed_range]
        if not ranges:
            return None
        return max(low for low, _ in ranges), max(high for _, high in ranges)

    @property
    def images_needed(self) -> int | None:
        """The most of them."""
        return self.images_needed_range[1] if self.images_needed_range else None

    def exit_code(self, forgive: Forgive = "") -> int:
        """0, 3 or 4.

        `pass` forgives too little evidence, never a doubt, nor a number, label or slice that is not
        there, nor a test set that the policy does not accept, nor that no number was checked;
        neither `pass` nor `fail` changes the answer where the versions cannot be compared.
        """
        if self.verdict != Status.UNDECIDED or not forgive:
            return _EXIT_CODES[self.verdict]
        undecided = [check for check in self.checks if check.status == Status.UNDECIDED]
        if not all(check.is_comparable for check in undecided):
            return EXIT_UNDECIDED
        if forgive == "fail":
            return EXIT_FAILED
        is_forgiven = bool(undecided) and all(map(_wants_evidence, undecided))
        return EXIT_PASSED if is_forgiven else EXIT_UNDECIDED


def _wants_evidence(check: Check) -> bool:
    """Whether all that an undecided check wants is more evidence."""
    return check.kind in NUMBER_KINDS and not check.is_doubted


NUMBER_KINDS: Final = frozenset({CheckKind.FLOOR, CheckKind.NO_WORSE, CheckKind.BETTER})
_EXIT_CODES: Final = {
    Status.PASSED: EXIT_PASSED,
    Status.FAILED: EXIT_FAILED,
    Status.UNDECIDED: EXIT_UNDECIDED,
}
