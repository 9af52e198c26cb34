"""Lookout for Vision's masks: PNG bytes -> label maps -> pixel counts. Experimental, see below.

The service never documented how its evaluation manifests name predicted masks; the names read here
are those of its successor on the edge. A mask that a normal image does not have marks nothing.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError, SourceError
from mlrek.evaluation import Doubt, DoubtKind, IntArray, MaskCounts
from mlrek.formats.doubts import doubt_unanswered
from mlrek.formats.json_text import join_some, quoted, say_first
from mlrek.formats.lookout.manifest import (
    CLASSES,
    NO_CLASS,
    NORMAL,
    LookoutManifest,
    MaskRef,
    ReadMasks,
)
from mlrek.metrics.segmentation import BACKGROUND, count_masks, decode_mask, sketch_masks
from mlrek.metrics.test_set import doubt_images

PIXEL_NUMBERS: Final = ("aggregate/mean_*", "aggregate/pixel_*", "label_*", "extra/*")
"""The numbers that are computed from masks."""

MAX_MASK_PIXELS: Final = 4096 * 4096
"""The largest image that the service took."""

MAX_SKETCHES: Final = 400
"""Of so many images with anything marked the masks are kept small, to look at."""

_PNG_HEAD: Final = struct.Struct(">16sII")
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_WHITE: Final = (255, 255, 255)  # the background of the service's masks that do not name one
_NORMAL: Final = CLASSES.index(NORMAL)
_NOTHING: IntArray = np.full((1, 1), BACKGROUND)
_BROKEN: Final = (  # what Pillow raises of broken files
    *(OSError, SyntaxError, TypeError, ValueError, IndexError, OverflowError),
    *(struct.error, zlib.error),
)
_UNMARKED: Final = (
    "images are labelled as anomalies, but nobody has marked the pixels: they are no part of the "
    "pixel numbers"
)
_NO_MASKS: Final = "no mask was read, so nothing is computed from pixels"
_NO_PREDICTED_MASKS: Final = (
    "the manifest names no predicted mask, so nothing is computed from pixels"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskPair:
    """The true and the predicted mask of an image; None marks nothing, and is not to be read."""

    image_idx: int
    truth: MaskRef | None
    predicted: MaskRef | None

    @property
    def uris(self) -> tuple[str, ...]:
        """What is to be read, the true mask first."""
        return tuple(ref.uri for ref in (self.truth, self.predicted) if ref is not None)


def list_mask_pairs(manifest: LookoutManifest) -> list[MaskPair]:
    """The masks of each image where both are known.

    A true mask that is not named marks nothing where the image is normal, else it is unknown; a
    predicted one that is not named marks nothing. Where no predicted mask stands in the whole
    manifest, all are unknown.
    """
    if not has_predicted_masks(manifest):
        return []
    masks = enumerate(zip(manifest.true_masks, manifest.predicted_masks, strict=True))
    return [
        MaskPair(image_idx=i, truth=_marking(truth), predicted=_marking(predicted))
        for i, (truth, predicted) in masks
        if truth is not None or manifest.y_true[i] == _NORMAL
    ]


def has_predicted_masks(manifest: LookoutManifest) -> bool:
    """Whether the manifest is of a model that marks pixels."""
    return any(ref is not None for ref in manifest.predicted_masks)


def find_mask_labels(manifest: LookoutManifest) -> set[str]:
    """What the colours of all masks stand for; the background is no label."""
    refs = (*manifest.true_masks, *manifest.predicted_masks)
    return {label for ref in refs if ref is not None for label in ref.labels}


def count_mask_pairs(
    manifest: LookoutManifest, codes: Mapping[str, int], read_masks: ReadMasks | None
) -> tuple[MaskCounts, list[Doubt], list[str]]:
    """The pixels of all images whose two masks are known and can be read, and what could not be.

    Args:
        manifest: The images and where their masks are.
        codes: The code of each label, from 0.
        read_masks: Reads masks; without it none is.
    """
    pairs = list_mask_pairs(manifest)
    counts = _Counts(len(manifest.images), len(codes))
    if not manifest.images:
        return counts.finish(), [], []
    if not pairs or read_masks is None:
        return counts.finish(), [], [_NO_MASKS if pairs else _NO_PREDICTED_MASKS]
    refused: list[str] = []
    contents = iter(read_masks([uri for pair in pairs for uri in pair.uris]))
    for pair in pairs:
        files = [next(contents) for _ in pair.uris]
        try:
            counts.add(pair, parse_mask_pair(pair, files, codes))
        except (SourceError, EvaluationError) as exc:
            refused.append(f"{quoted(manifest.images[pair.image_idx])}: {exc}")
    if len(refused) == len(pairs):
        return counts.finish(), [], list(_warn_refused(refused))
    doubts = (*_doubt_unknown(manifest, pairs), *_doubt_refused(refused, pairs))
    return counts.finish(), list(doubts), []


def parse_mask_pair(
    pair: MaskPair, contents: Sequence[bytes | SourceError], codes: Mapping[str, int]
) -> tuple[IntArray, IntArray]:
    """The label of each pixel of an image, by its true and by its predicted mask.

    Args:
        pair: Its masks.
        contents: The PNG files, as many as `pair.uris`, or why they cannot be read.
        codes: The code of each label, from 0.

    Returns:
        (height, width) each, -1 for the background.

    Raises:
        SourceError: A mask cannot be read, is no PNG image, broken, or too large.
        EvaluationError: Both mark something, and differ in size.
    """
    files = iter(contents)
    truth = parse_mask(pair.truth, next(files), codes) if pair.truth else _NOTHING
    predicted = parse_mask(pair.predicted, next(files), codes) if pair.predicted else _NOTHING
    # One dummy of any size serves for all normal images.
    if not np.any(truth != BACKGROUND):
        truth = np.full_like(predicted, BACKGROUND)
    if not np.any(predicted != BACKGROUND):
        predicted = np.full_like(truth, BACKGROUND)
    return truth, predicted


def parse_mask(ref: MaskRef, content: bytes | SourceError, codes: Mapping[str, int]) -> IntArray:
    """The label of each pixel of a mask: (height, width), -1 for the background.

    Raises:
        SourceError: The file cannot be read, is no PNG image, broken, or too large.
    """
    if isinstance(content, SourceError):
        raise content
    # A colour may stand for the background, and two for one label: each has a code of its own.
    own = [codes.get(name, BACKGROUND) for name, _ in ref.colors]
    label_of = np.array([*own, BACKGROUND], dtype=np.int32)
    colors = {i: rgb for i, (_, rgb) in enumerate(ref.colors)}
    names_background = len(ref.labels) < len(ref.colors) or _WHITE in colors.values()
    place = decode_mask(_read_rgba(ref.uri, content), colors, None if names_background else _WHITE)
    return np.asarray(label_of[place])


def _read_rgba(uri: str, data: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG image, (height, width, 4)."""
    from PIL import Image

    if len(data) < _PNG_HEAD.size or not data.startswith(_PNG_SIGNATURE):
        raise SourceError(uri, "is no PNG image, as masks are")
    _, width, height = _PNG_HEAD.unpack_from(data)
    if width * height > MAX_MASK_PIXELS:
        reason = f"is {width} x {height} pixels; masks are of at most {MAX_MASK_PIXELS} pixels"
        raise SourceError(uri, reason)
    try:
        with Image.open(BytesIO(data), formats=("PNG",)) as image:
            if image.size != (width, height):
                raise SourceError(uri, "is a broken PNG image of several sizes")
            image.verify()  # its checksums, which decoding passes over; it cannot be used after
        with Image.open(BytesIO(data), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGBA"))
    except (*_BROKEN, Image.DecompressionBombError) as exc:
        raise SourceError(uri, "is a broken PNG image") from exc


class _Counts:
    """Pixel counts of images, as they come."""

    def __init__(self, n_images: int, n_labels: int) -> None:
        self._readable = np.zeros(n_images, dtype=np.bool_)
        self._image_idx: list[int] = []
        self._columns: list[NDArray[np.int64]] = [np.zeros((3, 0, n_labels), dtype=np.int64)]
        self._sketches: dict[int, NDArray[np.uint8]] = {}
        self._n_labels = n_labels

    def add(self, pair: MaskPair, masks: tuple[IntArray, IntArray]) -> None:
        """One more image.

        Raises:
            EvaluationError: The masks differ in size.
        """
        counts = count_masks(*masks, self._n_labels)
        if len(self._sketches) < MAX_SKETCHES and any(column.any() for column in counts):
            self._sketches[pair.image_idx] = sketch_masks(*masks)
        self._readable[pair.image_idx] = True
        self._image_idx.append(pair.image_idx)
        self._columns.append(np.stack(counts)[:, np.newaxis])

    def finish(self) -> MaskCounts:
        """All of them, without labels that neither mask of an image has."""
        columns = np.concatenate(self._columns, axis=1)
        rows, label_idx = np.nonzero(columns.any(axis=0))
        tp, fp, fn = columns[:, rows, label_idx]
        return MaskCounts(
            image_idx=np.array(self._image_idx, dtype=np.int64)[rows],
            label_idx=label_idx,
            tp=tp,
            fp=fp,
            fn=fn,
            readable=self._readable,
            sketches=self._sketches,
        )


def _marking(ref: MaskRef | None) -> MaskRef | None:
    """A mask, unless the classes of its colours say that it marks nothing."""
    return ref if ref is not None and ref.labels else None


def _doubt_unknown(manifest: LookoutManifest, pairs: Sequence[MaskPair]) -> Iterator[Doubt]:
    """Images whose true mask is unknown, and anomalies whose predicted one is not there."""
    known = {pair.image_idx for pair in pairs}
    is_labelled = manifest.y_true != NO_CLASS
    if unknown := [i for i in range(len(manifest.images)) if i not in known and is_labelled[i]]:
        yield Doubt(
            kind=DoubtKind.TRUTH_UNKNOWN,
            text=say_first(
                len(unknown), len(manifest.images), _UNMARKED, manifest.images[unknown[0]]
            ),
            count=len(unknown),
            of=len(manifest.images),
            touches=PIXEL_NUMBERS,
        )
    missed = [
        quoted(manifest.images[i])
        for i in sorted(known)
        if manifest.predicted_masks[i] is None and manifest.y_pred[i] not in {_NORMAL, NO_CLASS}
    ]
    yield from doubt_unanswered(missed, len(pairs), how="have no predicted mask")


def _doubt_refused(refused: Sequence[str], pairs: Sequence[MaskPair]) -> Iterator[Doubt]:
    text = (
        f"the masks of {len(refused)} of {len(pairs)} images cannot be compared, which are no part "
        f"of the pixel numbers: {join_some(refused)}"
    )
    yield from doubt_images(DoubtKind.IMAGES_MISSING, refused, len(pairs), text, PIXEL_NUMBERS)


def _warn_refused(refused: Sequence[str]) -> Iterator[str]:
    """No mask could be read at all, so that no number can be wrong for it."""
    yield f"no mask can be compared, so nothing is computed from pixels: {join_some(refused)}"
