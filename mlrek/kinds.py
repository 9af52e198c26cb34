"""What a model answers, what weakens its numbers, and signs in names: nothing here needs an array.

Who reads a policy needs no more. `mlrek.evaluation` has these names, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

ANY_VALUE: Final = "*"
"""Of a slice: each value of its column."""
CROSSFIT_OF_LABELS: Final = "crossfit/label_"
"""How names of cross-fitted numbers of labels begin."""

MAX_COLUMNS: Final = 50
"""Columns by which images are sliced."""
MAX_VALUES: Final = 1_000
"""Of all columns together."""
MAX_WHOLE: Final = 10
"""A column with no more distinct numbers is not cut: each is a value."""


class Task(StrEnum):
    """What a model answers about an image."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    DETECTION = "detection"
    SEGMENTATION = "segmentation"


class BoxError(IntEnum):
    """Why a prediction is wrong, or a true box missed. `NONE`: it is right, or told elsewhere."""

    NONE = 0
    CLASSIFICATION = 1  # at the place of a true box of another label
    LOCALIZATION = 2  # on a true box of its label, but with too little overlap
    BOTH = 3  # with too little overlap on a true box of another label
    DUPLICATE = 4  # on a true box of its label that a surer prediction has found
    BACKGROUND = 5  # on no true box at all
    MISSED = 6  # a true box that no prediction finds, nor would but for its label or place


BOX_ERRORS: Final = tuple(kind.name.lower() for kind in BoxError if kind != BoxError.NONE)


class DoubtKind(StrEnum):
    """What weakens a number or a comparison: the complete table of the contract, section 7."""

    IMAGES_MISSING = "images_missing"
    LINES_SKIPPED = "lines_skipped"
    FOREIGN_SUMMARY = "foreign_summary"
    TRUTH_UNKNOWN = "truth_unknown"
    IMAGES_REPEATED = "images_repeated"
    UNANSWERED = "unanswered"
    TRUTH_CHANGED = "truth_changed"
    PICTURES_CHANGED = "pictures_changed"
    SEEN_IN_TRAINING = "seen_in_training"
    OTHER_RULE = "other_rule"
    THRESHOLDS_FITTED = "thresholds_fitted"
    GROUPED = "grouped"
    CONFIDENCE_CONSTANT = "confidence_constant"
    RECORDS_PARTIAL = "records_partial"
    REPORTED_DIFFERS = "reported_differs"
    INTERVAL_SHORT = "interval_short"
    SUPERSEDED = "superseded"
    DOUBTS_UNKNOWN = "doubts_unknown"


class Effect(StrEnum):
    """What a doubt does to checks that read a number which it touches."""

    STOPS = "stops"  # what would pass is undecided
    STOPS_RELATIVE = "stops_relative"  # the same, for checks against a baseline alone
    STOPS_INTERVALS = "stops_intervals"  # the same, for checks that read an interval
    SAID = "said"  # it is shown, and changes nothing


EFFECTS: Mapping[DoubtKind, Effect] = MappingProxyType(
    {
        DoubtKind.IMAGES_MISSING: Effect.STOPS,
        DoubtKind.LINES_SKIPPED: Effect.STOPS,
        DoubtKind.FOREIGN_SUMMARY: Effect.STOPS,
        DoubtKind.TRUTH_UNKNOWN: Effect.SAID,
        DoubtKind.IMAGES_REPEATED: Effect.SAID,
        DoubtKind.UNANSWERED: Effect.SAID,
        DoubtKind.TRUTH_CHANGED: Effect.SAID,
        DoubtKind.PICTURES_CHANGED: Effect.STOPS_RELATIVE,
        DoubtKind.SEEN_IN_TRAINING: Effect.STOPS,
        DoubtKind.OTHER_RULE: Effect.STOPS_RELATIVE,
        DoubtKind.THRESHOLDS_FITTED: Effect.STOPS,
        DoubtKind.GROUPED: Effect.STOPS_INTERVALS,
        DoubtKind.CONFIDENCE_CONSTANT: Effect.STOPS,
        DoubtKind.RECORDS_PARTIAL: Effect.STOPS_RELATIVE,
        DoubtKind.REPORTED_DIFFERS: Effect.STOPS,
        DoubtKind.INTERVAL_SHORT: Effect.STOPS_INTERVALS,
        DoubtKind.SUPERSEDED: Effect.SAID,
        DoubtKind.DOUBTS_UNKNOWN: Effect.SAID,
    }
)
"""The effect of each kind, where the doubt does not say another one itself."""

EVERYTHING: Final = "*"

Side: TypeAlias = Literal["candidate", "baseline", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A fact that weakens numbers, made where it is noticed and carried to the decision.

    `text` says it in one line. `count` of `of` things (images, lines, records) show it; None where
    nothing is counted.
    `touches` are numbers by name and raw label (`aggregate/ap`, `label_recall/cat`); a name that
    ends with `*` stands for all that begin so. `side` tells whose doubt it is once there are a
    candidate and a baseline. `own_effect` is there where it is another than the kind's.
    """

    kind: DoubtKind
    text: str
    count: int | None = None
    of: int | None = None
    touches: tuple[str, ...] = (EVERYTHING,)
    side: Side | None = None
    own_effect: Effect | None = None

    @property
    def effect(self) -> Effect:
        """What it does to checks that read a touched number."""
        return self.own_effect or EFFECTS[self.kind]

    def touches_number(self, name: str, label: str = "") -> bool:
        """Whether it weakens the number of that name, of that raw label where it has one."""
        whole = f"{name}/{label}" if label else name
        return any(
            whole.startswith(pattern[:-1]) if pattern.endswith("*") else pattern in {whole, name}
            for pattern in self.touches
        )
