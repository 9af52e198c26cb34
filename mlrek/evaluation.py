"""The one in-memory shape of an evaluation: what a provider published about testing one version.

Columns are numpy arrays, labels are integer codes, images are positions in `Evaluation.images`.
Everything is validated when it is built, so later code does not check again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import islice, pairwise
from operator import lt
from typing import Any, Final, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError
from mlrek.kinds import EFFECTS, EVERYTHING, Doubt, DoubtKind, Effect, Side, Task

__all__ = [
    "EFFECTS",
    "EVERYTHING",
    "BoolArray",
    "Boxes",
    "Contents",
    "Detections",
    "Doubt",
    "DoubtKind",
    "Effect",
    "Evaluation",
    "FloatArray",
    "IntArray",
    "LabelSets",
    "MaskCounts",
    "MaskPixel",
    "Names",
    "Outcome",
    "Project",
    "Provider",
    "Records",
    "RecordsKind",
    "Reported",
    "ReportedCurve",
    "Side",
    "SliceColumn",
    "SourceFile",
    "Task",
    "Version",
    "are_rising",
    "encode_names",
    "keep_names",
    "order_labels",
]

IntArray: TypeAlias = NDArray[np.integer[Any]]
FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

_NAMES_AT_ONCE: Final = 1 << 12


class Provider(StrEnum):
    """The service that trained the model; `CUSTOM` for one from anywhere else."""

    REKOGNITION = "rekognition"
    LOOKOUT = "lookoutvision"
    AUTOML = "automl-vision"
    VERTEX = "vertex-ai"
    CUSTOM = "custom"

    @property
    def author(self) -> str:
        """What people are told assumes the thresholds and publishes numbers: a service, if any."""
        return "model" if self is Provider.CUSTOM else "service"


class Outcome(IntEnum):
    """What the provider's flags say of a record, at the assumed threshold of its label."""

    UNKNOWN = 0
    TP = 1
    FP = 2
    FN = 3
    TN = 4


class RecordsKind(StrEnum):
    """How much the provider wrote down: decides which numbers can be computed at all."""

    COMPLETE = "complete"  # every label has a confidence on every image
    TOP1 = "top1"  # one record an image, of whatever outcome
    PARTIAL = "partial"  # anything else


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What groups versions. `arn` is an AWS ARN or Google's resource name."""

    provider: Provider
    arn: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One trained model of a project. Times are milliseconds since the epoch, UTC."""

    project: Project
    arn: str
    name: str
    status: str = ""
    training_start_ms: int | None = None
    training_end_ms: int | None = None
    billable_minutes: float | None = None
    copied_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedCurve:
    """A provider's own numbers over thresholds, rising; NaN where it gives none. All (n,)."""

    thresholds: FloatArray
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    tp: FloatArray
    fp: FloatArray
    fn: FloatArray
    tn: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The provider's own numbers, never mixed with computed ones.

    `aggregate` and the inner maps of `per_label` hold the names of the contract (`f1`, `precision`,
    `recall`, `average_precision`, …; per label also `test_images`). A number the provider left
    out, or gave as null or NaN, is absent. `confusion` holds the provider's matrix as it stands:
    (true label, predicted label, value); `curves` its numbers over thresholds, '' for all labels.
    `baseline` are the same numbers of the model that this one was adapted from.
    """

    aggregate: Mapping[str, float] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: tuple[tuple[str, str, float], ...] = ()
    curves: Mapping[str, ReportedCurve] = field(default_factory=dict)
    test_images: int | None = None
    train_images: int | None = None
    baseline: "Reported | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSets:
    """The true labels of each image: image i has `label_idx[offsets[i]:offsets[i + 1]]`.

    `offsets` (n_images + 1,), `label_idx` (n,); within an image sorted and distinct.
    """

    offsets: IntArray
    label_idx: IntArray

    def __post_init__(self) -> None:
        _check_offsets(self.offsets, len(self.label_idx))
        _check_sorted_labels(self.offsets, self.label_idx)

    @property
    def counts(self) -> IntArray:
        """Labels per image, (n_images,)."""
        return np.diff(self.offsets)

    @property
    def image_idx(self) -> IntArray:
        """The image of each entry, (n,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the provider wrote for each image: one row per (image, label) with a confidence.

    `offsets` (n_images + 1,), `label_idx`, `confidence` (0 to 1) and `outcome` (codes of `Outcome`)
    all (n,); within an image sorted by label and distinct.
    """

    offsets: IntArray
    label_idx: IntArray
    confidence: FloatArray
    outcome: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check_offsets(self.offsets, len(self.label_idx))
        _check_sorted_labels(self.offsets, self.label_idx)
        if not len(self.label_idx) == len(self.confidence) == len(self.outcome):
            raise EvaluationError("records: columns of unequal length")
        low, high = np.min(self.confidence, initial=1), np.max(self.confidence, initial=0)
        if not (low >= 0 and high <= 1):  # of NaN both are NaN
            raise EvaluationError("records: a confidence is not between 0 and 1")

    @property
    def counts(self) -> IntArray:
        """Records per image, (n_images,)."""
        return np.diff(self.offsets)

    @property
    def image_idx(self) -> IntArray:
        """The image of each record, (n,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """Boxes on images: image i has rows `offsets[i]:offsets[i + 1]`, in the provider's order.

    `offsets` (n_images + 1,); `label_idx`, `confidence` (0 to 1; NaN for truth) and `outcome`
    (codes of `Outcome`) all (n,); `boxes_xyxy` (n, 4) in pixels of the image, or as shares of its
    width and height where the provider writes those (`Detections.normalized`).

    What some files tell besides, all (n,), None where they do not: `is_crowd`, a true box stands
    for many objects, so that no prediction in it counts, and neither does the box; `areas` in
    square pixels, which decide what is small and large, where it is not width times height; `sizes`
    (n, 2), width and height as the corners are, where these do not give them to the last bit;
    `masks`, the pixels of each object as the `counts` of COCO's compressed RLE, which are then
    compared instead of boxes.
    """

    offsets: IntArray
    label_idx: IntArray
    boxes_xyxy: FloatArray
    confidence: FloatArray
    outcome: NDArray[np.uint8]
    is_crowd: BoolArray | None = None
    areas: FloatArray | None = None
    sizes: FloatArray | None = None
    masks: tuple[bytes, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.label_idx)
        _check_offsets(self.offsets, n)
        further = (self.is_crowd, self.areas, self.sizes, self.masks)
        lengths = {n, *(len(column) for column in further if column is not None)}
        lengths |= {len(self.confidence), len(self.outcome)}
        if self.boxes_xyxy.shape != (n, 4) or lengths != {n}:
            raise EvaluationError("boxes: columns of unequal length")
        if not np.all(np.isfinite(self.boxes_xyxy)):
            raise EvaluationError("boxes: a coordinate is not finite")
        if n and self.label_idx.min() < 0:
            raise EvaluationError("boxes: a label code is negative")

    @property
    def image_idx(self) -> IntArray:
        """The image of each box, (n,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def counted(self) -> IntArray:
        """The rows that count, rising: all but crowds."""
        if self.is_crowd is None:
            return np.arange(len(self.label_idx))
        return np.flatnonzero(~self.is_crowd)

    def take(self, rows: IntArray, offsets: IntArray) -> "Boxes":
        """The boxes of `rows` in that order, which `offsets` divide into images."""
        return Boxes(
            offsets=offsets,
            label_idx=self.label_idx[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            confidence=self.confidence[rows],
            outcome=self.outcome[rows],
            is_crowd=None if self.is_crowd is None else self.is_crowd[rows],
            areas=None if self.areas is None else self.areas[rows],
            sizes=None if self.sizes is None else self.sizes[rows],
            masks=None if self.masks is None else tuple(self.masks[i] for i in rows.tolist()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """True and predicted boxes of a detection evaluation.

    `image_sizes` (n_images, 2) width and height in pixels, NaN where unknown.
    """

    truth: Boxes
    records: Boxes
    image_sizes: FloatArray
    normalized: bool = False

    def __post_init__(self) -> None:
        if (self.truth.masks is None) != (self.records.masks is None):
            raise EvaluationError("boxes: true and found ones have masks, or neither has")
        n_boxes = np.diff(self.truth.offsets) + np.diff(self.records.offsets)
        if self.has_masks and np.isnan(self.image_sizes[n_boxes > 0]).any():
            raise EvaluationError("boxes: masks of an image of unknown size")

    @property
    def has_masks(self) -> bool:
        """Whether masks are compared instead of boxes."""
        return self.truth.masks is not None


class MaskPixel(IntEnum):
    """What a pixel of two masks is."""

    NEITHER = 0
    AGREED = 1  # both masks have the same label here
    PREDICTED = 2  # the predicted mask alone has this label
    MISSED = 3  # the true mask alone has one


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskCounts:
    """Pixel counts of a segmentation evaluation, one row per (image, label) that either mask has.

    All (n,): `image_idx`, `label_idx`, and the pixels that are true and predicted (`tp`), predicted
    only (`fp`), true only (`fn`). `readable` (n_images,) tells which images had both masks.
    `sketches` show some images small, to look at: by image codes of `MaskPixel`, (height, width).
    """

    image_idx: IntArray
    label_idx: IntArray
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    readable: BoolArray
    sketches: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = (self.image_idx, self.label_idx, self.tp, self.fp, self.fn)
        if len({len(column) for column in columns}) != 1:
            raise EvaluationError("masks: columns of unequal length")
        if any(len(column) and column.min() < 0 for column in columns):
            raise EvaluationError("masks: a code or count is negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that an evaluation was read from; `role` is `manifest`, `summary` or the like."""

    role: str
    uri: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What tells the bytes behind each image's name from others; all (n_images,).

    `sizes` in bytes and `modified_ms` since the epoch, UTC, are -1 where unknown; `etags` (of S3)
    and `sha256` (of local files) ''. `is_md5` tells whether the ETag is the MD5 of the bytes: that
    of an object in parts or with a key of KMS is not, and may differ for the same bytes.
    """

    sizes: NDArray[np.int64]
    etags: tuple[str, ...]
    is_md5: BoolArray
    sha256: tuple[str, ...]
    modified_ms: NDArray[np.int64]

    def __post_init__(self) -> None:
        columns = (self.sizes, self.etags, self.is_md5, self.sha256, self.modified_ms)
        if len({len(column) for column in columns}) != 1:
            raise EvaluationError("contents: columns of unequal length")

    @property
    def is_known(self) -> BoolArray:
        """Whether anything is known of each image, (n_images,)."""
        return np.asarray(self.sizes >= 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceColumn:
    """What files tell of each image besides its truth and records: its site, camera or light.

    Of texts `values` are the distinct ones and `codes` (n_images,) their positions in it, -1 where
    an image has none. Of numbers there are `numbers` (n_images,) instead, NaN where it has none.
    """

    name: str
    values: tuple[str, ...] = ()
    codes: IntArray | None = None
    numbers: FloatArray | None = None

    def __post_init__(self) -> None:
        if (self.codes is None) == (self.numbers is None):
            raise EvaluationError(f"column {self.name!r}: has texts or numbers, one of the two")
        if len(set(self.values)) != len(self.values):
            raise EvaluationError(f"column {self.name!r}: a value stands twice in its list")
        codes = np.zeros(0, dtype=np.int64) if self.codes is None else self.codes
        if np.any((codes < -1) | (codes >= len(self.values))):
            raise EvaluationError(f"column {self.name!r}: a code has no value")
        if self.numbers is not None and np.isinf(self.numbers).any():
            raise EvaluationError(f"column {self.name!r}: a number is not finite")

    def __len__(self) -> int:
        return len(self.numbers if self.codes is None else self.codes)  # type: ignore[arg-type]

    def take(self, image_idx: IntArray) -> "SliceColumn":
        """The column of the images at `image_idx`, in that order; all its values stay."""
        codes = None if self.codes is None else self.codes[image_idx]
        numbers = None if self.numbers is None else self.numbers[image_idx]
        return SliceColumn(name=self.name, values=self.values, codes=codes, numbers=numbers)


class Names(Sequence[str]):
    """Texts as their bytes in UTF-8, one after the other; each is made when it is asked for.

    A million texts of Python take more than twice the memory, and most names are only compared
    with others, put in order and digested.
    """

    __slots__ = ("_data", "_offsets", "rises")

    def __init__(self, data: bytes, offsets: NDArray[np.int64], *, rises: bool = False) -> None:
        """Args: `offsets` (n + 1,) tell where in `data` each begins and ends.

        `rises`: each is known to come after the one before it.
        """
        self._data = data
        self._offsets = offsets
        self.rises = rises

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, place: SupportsIndex) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: SupportsIndex | slice) -> str | tuple[str, ...]:
        found = range(len(self))[place]
        if isinstance(found, int):
            return str(self._data[self._offsets[found] : self._offsets[found + 1]], "utf-8")
        if found.step == 1:
            return tuple(self._list(found.start, max(found.start, found.stop)))
        return tuple(self[i] for i in found)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _NAMES_AT_ONCE):
            yield from self._list(start, min(start + _NAMES_AT_ONCE, len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Names):
            same = len(self) == len(other) and np.array_equal(self._offsets, other._offsets)
            return same and self._data == other._data
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def may_hold(self, text: str) -> bool:
        """Whether a text is in one of them; perhaps only where two follow each other."""
        return text.encode() in self._data

    def encode(self, start: int, stop: int) -> list[bytes]:
        """The bytes of those from `start` to before `stop`."""
        data, offsets = self._data, self._offsets[start : stop + 1].tolist()
        return [data[begin:end] for begin, end in pairwise(offsets)]

    def _list(self, start: int, stop: int) -> list[str]:
        begin, end = self._offsets[start], self._offsets[stop]
        text = str(self._data[begin:end], "utf-8")
        if len(text) < end - begin:  # where not all is ASCII, characters have several bytes
            return [str(name, "utf-8") for name in self.encode(start, stop)]
        ends = (self._offsets[start : stop + 1] - begin).tolist()
        return [text[first:last] for first, last in pairwise(ends)]


def are_rising(names: Sequence[str]) -> bool:
    """Whether each name comes after the one before it, so that all of them differ."""
    is_known = isinstance(names, Names) and names.rises
    return is_known or all(map(lt, names, islice(names, 1, None)))


def encode_names(names: Sequence[str], start: int, stop: int) -> list[bytes]:
    """The bytes in UTF-8 of the names from `start` to before `stop`."""
    if isinstance(names, Names):
        return names.encode(start, stop)
    return [name.encode("utf-8", "surrogatepass") for name in names[start:stop]]


def keep_names(names: Sequence[str]) -> tuple[str, ...] | Names:
    """Names that do not change, as they are where they are so already."""
    return names if isinstance(names, Names) else tuple(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything a provider published about testing one version.

    `labels` in the provider's order, then further ones alphabetically. `thresholds` (n_labels,) are
    the assumed thresholds, NaN where none is published. `images` are URIs in file order; without a
    readable manifest there are none, and only `reported` speaks. `detections` and `masks` exist for
    their tasks, whose `truth` and `records` may be empty. `pos_label` is the positive class where
    the provider names one. `baseline` are the records of the model that this one was adapted from,
    on the same images, where the provider publishes them. `is_scored` tells whether records have
    confidences of their own; where not, each is 1 and says nothing. `seen_in_training` (n_images,)
    tells which test images the version was trained on, None where nothing tells; `contents` what
    the bytes of the test images were when the version was logged, None where nobody asked.
    `slice_columns` are what files tell of each image besides, by which slices are made.
    `summary` is the provider's summary file, byte for byte. `doubts` are facts that weaken its
    numbers; `warnings` are remarks that weaken none.
    """

    version: Version
    task: Task
    labels: tuple[str, ...]
    images: tuple[str, ...] | Names
    truth: LabelSets
    records: Records
    thresholds: FloatArray
    detections: Detections | None = None
    masks: MaskCounts | None = None
    baseline: Records | None = None
    is_scored: bool = True
    seen_in_training: BoolArray | None = None
    contents: Contents | None = None
    slice_columns: tuple[SliceColumn, ...] = ()
    pos_label: str = ""
    reported: Reported = field(default_factory=Reported)
    files: tuple[SourceFile, ...] = ()
    summary: bytes = b""
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise EvaluationError(f"{self.version.arn}: a label stands twice in the list of labels")
        if len(self.thresholds) != len(self.labels):
            raise EvaluationError(f"{self.version.arn}: thresholds and labels differ in number")
        if self.pos_label and self.pos_label not in self.labels:
            raise EvaluationError(f"{self.version.arn}: the positive class is no label")
        boxes = (self.detections.truth, self.detections.records) if self.detections else ()
        baseline = (self.baseline,) if self.baseline else ()
        for column in (self.truth, self.records, *boxes, *baseline):
            if len(column.offsets) != len(self.images) + 1:
                raise EvaluationError(f"{self.version.arn}: columns and images differ in number")
            if len(column.label_idx) and column.label_idx.max() >= len(self.labels):
                raise EvaluationError(f"{self.version.arn}: a label code has no label")
        if self.masks is not None:
            self._check_masks(self.masks)
        if self.seen_in_training is not None and len(self.seen_in_training) != len(self.images):
            raise EvaluationError(f"{self.version.arn}: trained and test images differ in number")
        if self.contents is not None and len(self.contents.sizes) != len(self.images):
            raise EvaluationError(f"{self.version.arn}: contents and images differ in number")
        self._check_slice_columns()

    def _check_slice_columns(self) -> None:
        names = [column.name for column in self.slice_columns]
        if len(set(names)) != len(names):
            raise EvaluationError(f"{self.version.arn}: two columns for slices have one name")
        if any(len(column) != len(self.images) for column in self.slice_columns):
            raise EvaluationError(f"{self.version.arn}: a column and images differ in number")

    def _check_masks(self, masks: MaskCounts) -> None:
        if len(masks.readable) != len(self.images):
            raise EvaluationError(f"{self.version.arn}: masks and images differ in number")
        if np.any(masks.label_idx >= len(self.labels)):
            raise EvaluationError(f"{self.version.arn}: a label code of a mask has no label")
        if np.any(masks.image_idx >= len(self.images)):
            raise EvaluationError(f"{self.version.arn}: counts of a mask have no image")

    @property
    def has_images(self) -> bool:
        """Whether there is a record of the test images, not only the provider's numbers."""
        return bool(self.images)

    @property
    def records_kind(self) -> RecordsKind:
        """How much the provider wrote down (contract, section 6)."""
        counts = self.records.counts
        if self.labels and np.all(counts == len(self.labels)):
            return RecordsKind.COMPLETE
        return RecordsKind.TOP1 if np.all(counts == 1) else RecordsKind.PARTIAL


def order_labels(published: Sequence[str], found: set[str]) -> tuple[str, ...]:
    """The label order of a run: the provider's list, then any further label alphabetically."""
    listed = dict.fromkeys(published)
    return (*listed, *sorted(found - listed.keys()))


def _check_offsets(offsets: IntArray, n: int) -> None:
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != n or np.any(np.diff(offsets) < 0):
        raise EvaluationError("offsets do not partition their column")


def _check_sorted_labels(offsets: IntArray, label_idx: IntArray) -> None:
    if len(label_idx) and label_idx.min() < 0:
        raise EvaluationError("a label code is negative")
    rises = label_idx[1:] > label_idx[:-1]
    starts = offsets[(offsets > 0) & (offsets < len(label_idx))]
    rises[starts - 1] = True  # of another image
    if not rises.all():
        raise EvaluationError("labels of an image are not sorted and distinct")
