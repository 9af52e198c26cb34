"""Which images a page knows of: all of few, else mistakes first and every kind of them."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, Task
from mlrek.figures.pictures import ReadImages, Unread, use_picture
from mlrek.metrics import Predictions
from mlrek.metrics.counts import find_codes, pair_codes
from mlrek.render import Json
from mlrek.render.tables import LabelOutcome, LabelOutcomes
from mlrek.text import escape_unencodable, hide_secrets

if TYPE_CHECKING:
    from PIL.Image import Image


MAX_SUSPECTS: Final = 60
_RIGHT_COSTS: Final = 3
"""So many mistakes of a kind are kept for each right image of a label."""
_SUSPECT_THUMBNAILS: Final = 36
_FIRST_THUMBNAILS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of the images fits on a page; `pairs` are wrong labels with their confidence."""

    images: int = 5_000
    name_bytes: int = 500_000
    rows: int = 30_000
    pairs: int = 45_000

    def scale(self, share: float) -> "Budget":
        """A share of it."""
        return Budget(
            images=int(self.images * share),
            name_bytes=int(self.name_bytes * share),
            rows=int(self.rows * share),
            pairs=int(self.pairs * share),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecords:
    """By image, then label, all (n,): `image_place` among the images, `confidence` NaN: none.

    `left_out` is how many records of labels that are not true were too many.
    """

    image_place: IntArray
    label_idx: IntArray
    confidence: FloatArray
    is_true: BoolArray
    left_out: int


MAX_PIXELS: Final = 8192 * 8192
MAX_TOTAL_BYTES: Final = 1_200_000
_LIMITS: Final = {Task.DETECTION: (120, 288), Task.SEGMENTATION: (120, 288)}
_LIMIT: Final = (240, 96)
"""How many, and the longer side in pixels."""
_DRAWN: Final = frozenset(_LIMITS)
"""Tasks whose boxes or masks are drawn on the pixels as they are."""
_QUALITY: Final = 68
_MAX_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture and the size of its image in pixels."""

    data_uri: str
    width: int
    height: int

    @property
    def content(self) -> bytes:
        """The file."""
        return b64decode(self.data_uri.partition(",")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnails:
    """Small pictures by image, `asked` for so many; the others could not be read.

    `refused` says why one may not be read, '' where all that lack are not there.
    """

    by_image: Mapping[int, Thumbnail] = field(default_factory=dict)
    asked: int = 0
    refused: str = ""

    def scale(self, share: float) -> "Thumbnails":
        """The first ones."""
        kept = islice(self.by_image.items(), round(len(self.by_image) * share))
        return replace(self, by_image=dict(kept))


_PARTS: Final = 1000
_MARGIN: Final = 1.05
"""Where the size of an image is unknown, its boxes fill it but for a margin."""

MAX_MASK_BYTES: Final = 500_000

# By `MaskPixel`; what agrees blue, predicted alone orange, missed purple: Okabe and Ito's.
_COLOURS: Final = (0, 0, 0, 0, 114, 178, 213, 94, 0, 204, 121, 167)
_OPACITY: Final = bytes((0, 150, 190, 210))


def choose_images(evaluation: Evaluation, predictions: Predictions, budget: Budget) -> IntArray:
    """Images in the order of their interest, as many as the budget allows.

    Of each pair of a true and a predicted label the first few come first: of mistakes the surest,
    of what is right the least sure.
    """
    n_images = len(evaluation.images)
    priority = np.full(n_images, np.inf)
    np.minimum.at(priority, predictions.image_idx, _rank_rows(evaluation, predictions))
    order = np.argsort(priority, kind="stable")[: budget.images]
    sizes = np.array([len(evaluation.images[i]) for i in order.tolist()], dtype=np.int64)
    n_rows = np.bincount(predictions.image_idx, minlength=n_images)[order]
    fits = (np.cumsum(sizes) <= budget.name_bytes) & (np.cumsum(n_rows) <= budget.rows)
    return order[fits]


def find_suspects(predictions: Predictions, task: Task, images: IntArray) -> IntArray:
    """Rows that may be mistakes of the truth, the surest first, of the images shown.

    A prediction against the truth that is as sure as right predictions of its label are on average
    (after Northcutt, Jiang and Chuang 2021, whose threshold is the mean confidence of the label).
    A box on a true box of its label, badly placed or found twice, says nothing of the label.
    """
    y_true, y_pred, confidence = predictions.y_true, predictions.y_pred, predictions.confidence
    if task == Task.SEGMENTATION or not len(y_pred):
        return np.empty(0, dtype=np.int64)
    n_labels = int(max(y_pred.max(), y_true.max(), -1)) + 1
    right = (y_true == y_pred) & (y_pred >= 0)
    wrong = (y_true != y_pred) & (y_pred >= 0)
    if task == Task.CLASSIFICATION:
        wrong &= y_true >= 0
    if predictions.error:
        about_label = np.isin(np.array(predictions.error), ("classification", "background"))
        wrong &= about_label
    n_right = np.bincount(y_pred[right], minlength=n_labels)
    sums = np.bincount(y_pred[right], weights=confidence[right], minlength=n_labels)
    usual = np.where(n_right > 0, sums / np.maximum(n_right, 1), np.inf)
    rows = np.flatnonzero(wrong & np.isin(predictions.image_idx, images))
    rows = rows[confidence[rows] >= usual[y_pred[rows]]]
    order = np.argsort(-confidence[rows], kind="stable")
    return np.asarray(rows[order][:MAX_SUSPECTS])


def order_for_thumbnails(images: IntArray, outcomes: LabelOutcomes, suspects: IntArray) -> IntArray:
    """The images in the order in which a page shows them.

    Those of `suspects` first, then what the gallery of all labels begins with, then each label's.
    """
    group = outcomes.label_idx.astype(np.int64) * len(LabelOutcome) + outcomes.outcome
    rank = _count_within(group)
    by_rank = outcomes.image_idx[np.argsort(rank, kind="stable")]
    first = _find_first(outcomes, images)
    wanted = np.concatenate([suspects[:_SUSPECT_THUMBNAILS], first, by_rank, images])
    _, first = np.unique(wanted, return_index=True)
    ordered = wanted[np.sort(first)]
    return np.asarray(ordered[np.isin(ordered, images)])


def _find_first(outcomes: LabelOutcomes, images: IntArray) -> IntArray:
    """Images of the page by outcome: those of which the version is least sure, whatever label."""
    rows = np.flatnonzero(np.isin(outcomes.image_idx, images))
    rows = rows[np.lexsort((outcomes.image_idx[rows], outcomes.confidence[rows]))]
    kinds = (rows[outcomes.outcome[rows] == kind] for kind in range(len(LabelOutcome)))
    return np.concatenate([outcomes.image_idx[kind[:_FIRST_THUMBNAILS]] for kind in kinds])


def _rank_rows(evaluation: Evaluation, predictions: Predictions) -> IntArray:
    """The place of each row among those of its true and predicted label, (n_rows,)."""
    y_true, y_pred = predictions.y_true.astype(np.int64), predictions.y_pred
    right = y_true == y_pred
    cell = (y_true + 1) * (len(evaluation.labels) + 1) + y_pred + 1
    confidence = np.nan_to_num(predictions.confidence, nan=-1.0)
    order = np.lexsort((np.where(right, confidence, -confidence), cell))
    rank = np.empty(len(cell), dtype=np.int64)
    rank[order] = _count_within(cell[order])
    return np.where(right, rank * _RIGHT_COSTS + _RIGHT_COSTS - 1, rank)


def _count_within(sorted_groups: IntArray) -> IntArray:
    """The place of each entry within its group, (n,)."""
    n = len(sorted_groups)
    starts = np.flatnonzero(np.diff(sorted_groups, prepend=-1))
    return np.arange(n) - np.repeat(starts, np.diff(starts, append=n))


def select_rows(predictions: Predictions, n_images: int, images: IntArray) -> IntArray:
    """The rows of the predictions on these images."""
    return np.flatnonzero(_mask(n_images, images)[predictions.image_idx])


def _mask(n: int, places: IntArray) -> BoolArray:
    mask = np.zeros(n, dtype=np.bool_)
    mask[places] = True
    return mask


def find_records(evaluation: Evaluation, images: IntArray, max_false: int) -> FoundRecords:
    """True labels with a record or without, and the surest `max_false` records of other labels.

    In classification images without truth count for nothing.

    Args:
        evaluation: What was read.
        images: Positions of images, rising.
        max_false: The most records of labels that are not true.
    """
    n_labels = max(len(evaluation.labels), 1)
    if evaluation.task == Task.CLASSIFICATION:
        counted = evaluation.truth.counts[images] > 0
    else:
        counted = np.ones(len(images), dtype=np.bool_)
    true_place, true_rows = _rows_of(evaluation.truth.offsets, images, counted)
    place, rows = _rows_of(evaluation.records.offsets, images, counted)
    true_codes = pair_codes(true_place, evaluation.truth.label_idx[true_rows], n_labels)
    codes = pair_codes(place, evaluation.records.label_idx[rows], n_labels)
    confidence = evaluation.records.confidence[rows]
    is_true = find_codes(codes, true_codes)
    kept = is_true | _is_among_surest(np.where(is_true, -1.0, confidence), max_false)
    unrecorded = true_codes[~find_codes(true_codes, codes)]
    all_codes = np.concatenate([codes[kept], unrecorded])
    order = np.argsort(all_codes, kind="stable")
    return FoundRecords(
        image_place=(all_codes // n_labels)[order],
        label_idx=(all_codes % n_labels)[order],
        confidence=np.concatenate([confidence[kept], np.full(len(unrecorded), np.nan)])[order],
        is_true=np.concatenate([is_true[kept], np.ones(len(unrecorded), dtype=np.bool_)])[order],
        left_out=int(np.count_nonzero(~kept)),
    )


def _rows_of(offsets: IntArray, images: IntArray, counted: BoolArray) -> tuple[IntArray, IntArray]:
    """For each row of these images: the image's place, and the row."""
    starts, counts = offsets[images], (offsets[images + 1] - offsets[images]) * counted
    place = np.repeat(np.arange(len(images)), counts)
    within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place, np.asarray(np.repeat(starts, counts) + within)


def _is_among_surest(confidence: FloatArray, most: int) -> BoolArray:
    """Which are among the `most` greatest, ties to the first; what is negative never is."""
    chosen = np.zeros(len(confidence), dtype=np.bool_)
    chosen[np.argsort(-confidence, kind="stable")[:most]] = True
    return np.asarray(chosen & (confidence >= 0))


def read_thumbnails(evaluation: Evaluation, order: IntArray, read_images: ReadImages) -> Thumbnails:
    """Read and shrink the first few hundred images of `order`; what cannot be read is counted."""
    most, side = _LIMITS.get(evaluation.task, _LIMIT)
    wanted = order[:most].tolist()
    contents = read_images([evaluation.images[i] for i in wanted])
    by_image: dict[int, Thumbnail] = {}
    n_bytes, refused = 0, ""
    for i, content in zip(wanted, contents, strict=True):
        if isinstance(content, Unread):
            refused = refused or _say_refused(content.reason)
        thumbnail = _shrink(content, side, turns=evaluation.task not in _DRAWN)
        if thumbnail is None:
            continue
        n_bytes += len(thumbnail.data_uri)
        if n_bytes > MAX_TOTAL_BYTES:
            return Thumbnails(by_image=by_image, asked=len(by_image), refused=refused)
        by_image[i] = thumbnail
    return Thumbnails(by_image=by_image, asked=len(wanted), refused=refused)


def _say_refused(reason: str) -> str:
    """Why, without what a service says in brackets: it names who asked."""
    return escape_unencodable(hide_secrets(reason.partition(" [")[0]))[:_MAX_REASON]


def _shrink(content: bytes, side: int, *, turns: bool) -> Thumbnail | None:
    """The small picture; None of what is no image, or one of absurd size.

    With `turns` the picture stands as a camera held it; boxes are drawn on pixels as they are.
    """

    def shrink(image: "Image") -> Thumbnail:
        from PIL import ImageOps

        width, height = image.size
        image.thumbnail((side, side))
        small = ImageOps.exif_transpose(image) if turns else image
        buffer = BytesIO()
        small.convert("RGB").save(buffer, "webp", quality=_QUALITY, method=2)
        return Thumbnail(
            data_uri=f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}",
            width=width,
            height=height,
        )

    return use_picture(content, shrink, max_pixels=MAX_PIXELS) if content else None


def compute_frames(
    evaluation: Evaluation, predictions: Predictions, images: IntArray, thumbnails: Thumbnails
) -> FloatArray:
    """Width and height of each image in pixels, (n_images, 2): known, read, or those of its boxes.

    Args:
        evaluation: A detection.
        predictions: Its predictions.
        images: Positions of the images, rising.
        thumbnails: What could be read of them.
    """
    assert evaluation.detections is not None  # noqa: S101 - for the type checker
    known = evaluation.detections.image_sizes[images]
    read = np.full((len(images), 2), np.nan)
    place = {image: i for i, image in enumerate(images.tolist())}
    for image, thumbnail in thumbnails.by_image.items():
        if image in place:
            read[place[image]] = thumbnail.width, thumbnail.height
    frames = np.where(known > 0, known, read)
    lacking = np.isnan(frames).any(axis=1)
    frames[lacking] = _MARGIN * _find_extents(predictions, len(evaluation.images))[images][lacking]
    if evaluation.detections.normalized:
        frames[lacking] = _PARTS
    return np.maximum(frames, 1)


def build_boxes(
    evaluation: Evaluation,
    predictions: Predictions,
    rows: IntArray,
    images: IntArray,
    frames: FloatArray,
) -> list[Json]:
    """Left, top, right, bottom of each row's box, one after the other; -1 of none.

    Args:
        evaluation: A detection.
        predictions: Its predictions.
        rows: The rows to describe.
        images: Positions of the images, rising.
        frames: Their sizes, (n_images, 2).
    """
    assert evaluation.detections is not None  # noqa: S101 - for the type checker
    assert predictions.boxes_xyxy is not None  # noqa: S101 - for the type checker
    corners = predictions.boxes_xyxy[rows]
    if not evaluation.detections.normalized:
        sizes = frames[np.searchsorted(images, predictions.image_idx[rows])]
        corners = corners / np.tile(sizes, 2)
    parts = np.clip(np.nan_to_num(corners, nan=-1.0) * _PARTS, -1, 2 * _PARTS)
    return [*np.rint(parts).astype(np.int64).ravel().tolist()]


def _find_extents(predictions: Predictions, n_images: int) -> FloatArray:
    """How far the boxes of each image reach, (n_images, 2); 1 without a box."""
    extents = np.ones((n_images, 2))
    if predictions.boxes_xyxy is not None:
        np.fmax.at(extents, predictions.image_idx, predictions.boxes_xyxy[:, 2:])
    return extents


def build_masks(evaluation: Evaluation, images: IntArray) -> dict[str, Json]:
    """Data URIs by place among the images, as many as fit; none of an image without masks.

    Args:
        evaluation: What was read.
        images: Positions of the images of the page, rising.
    """
    if evaluation.masks is None:
        return {}
    described: dict[str, Json] = {}
    n_bytes = 0
    for place, image in enumerate(images.tolist()):
        sketch = evaluation.masks.sketches.get(image)
        if sketch is None:
            continue
        uri = _encode(sketch)
        n_bytes += len(uri)
        if n_bytes > MAX_MASK_BYTES:
            break
        described[str(place)] = uri
    return described


def _encode(sketch: NDArray[np.uint8]) -> str:
    """A PNG of four colours, of which the first is transparent."""
    from PIL import Image

    picture = Image.fromarray(sketch, "P")
    picture.putpalette(_COLOURS)
    buffer = BytesIO()
    picture.save(buffer, "png", transparency=_OPACITY, bits=2, optimize=True)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
