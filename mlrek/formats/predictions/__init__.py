"""What a model said of test images, in any form that people keep it: files -> `Answers`.

`join_answers` of `mlrek.formats.predictions.join` makes an evaluation of them and the truth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from mlrek.evaluation import BoolArray, Boxes, Doubt, FloatArray, IntArray, SliceColumn, Task

if TYPE_CHECKING:
    from mlrek.formats.truth import GroundTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model said of images, in file order; label codes are positions in `labels`.

    Image i, `images[i]`, has the rows `offsets[i]:offsets[i + 1]` of `label_idx` and `confidence`
    (both (n,); 0 to 1), each label at most once, in any order. `is_scored` tells whether the file
    gives confidences at all; where it does not they are 1. Of boxes there are the rows of `boxes`
    instead, and `image_sizes` (n_images, 2), width and height in pixels, NaN where not told;
    `normalized` tells whether corners are shares of these. `predicted` (n_images,) is the label
    that the file itself names as an image's prediction, -1 where it names none; None where it has
    no such column. `thresholds` are those of the file, by label. `errors` are images without an
    answer, and why; `is_answered` (n_images,) tells which of `images` have one, be it that nothing
    is there: None, all. `lacks_ending`: images are named without the ending of their file; `by_id`:
    images and labels are ids of the truth (`image_ids`, `label_ids`); `by_class`: labels are its
    class numbers (`class_names`). `truth` is there where the file holds it too. `columns` are what
    it says of each image besides.
    """

    images: Sequence[str]
    labels: tuple[str, ...]
    offsets: IntArray
    label_idx: IntArray
    confidence: FloatArray
    is_scored: bool = True
    boxes: Boxes | None = None
    image_sizes: FloatArray | None = None
    normalized: bool = False
    predicted: IntArray | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    is_answered: BoolArray | None = None
    lacks_ending: bool = False
    by_id: bool = False
    by_class: bool = False
    truth: "GroundTruth | None" = None
    columns: tuple[SliceColumn, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def image_idx(self) -> IntArray:
        """The image of each row, (n,)."""
        return np.repeat(np.arange(len(self.images)), np.diff(self.offsets))


class Match(StrEnum):
    """By what images of answers and truth are the same."""

    URI = "uri"
    NAME = "name"  # the name of the file, where that is unique on both sides


class Unmatched(StrEnum):
    """What images mean that only one of truth and answers has."""

    ERROR = "error"
    DROP = "drop"  # they are left out, and counted
    MISS = "miss"  # those of the truth have no prediction; other answers are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOptions:
    """What decides how answers and truth come together, besides their files.

    `task` None: as the data say. `label_map` gives labels of the answers other names. `thresholds`
    are by label, and count before those of the answers.
    """

    task: Task | None = None
    match: Match = Match.URI
    unmatched: Unmatched = Unmatched.ERROR
    label_map: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
