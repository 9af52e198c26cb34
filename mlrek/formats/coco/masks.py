"""COCO's segmentations -> compressed RLE, with area and box, by pycocotools itself."""

import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from msgspec import Raw, Struct
from msgspec.json import Decoder

from mlrek.evaluation import FloatArray
from mlrek.formats.json_text import decode_json, quoted

_BOX: Final = 4  # numbers; pycocotools takes a first polygon of so many for a box
_POLYGON: Final = 6  # numbers of a triangle
_MAX_SIDE: Final = 2**16 - 1  # of an image: pycocotools counts its pixels in 32 bits
_FAR: Final = 10  # images away from the image
_RLE_TEXT: Final = re.compile(r"[0-o]*[0-O]")  # the last character ends a number


class Rle(Struct, gc=False):
    """Pixels column by column: lengths of runs, as numbers or packed in a text."""

    size: tuple[int, int]
    counts: str | list[int]


Polygons: TypeAlias = list[list[float]]

_SEGMENTATION: Final = Decoder(Rle | Polygons)


def is_mask(segmentation: Raw) -> bool:
    """Whether there is anything in a segmentation; `[]` and null are none."""
    text = bytes(segmentation)
    return len(text) > _POLYGON or text.translate(None, b" \t\r\n") not in {
        b"",
        b"[]",
        b"[[]]",
        b"{}",
        b"null",
    }


def encode_masks(segmentations: Sequence[Raw], sizes: FloatArray) -> tuple[bytes, ...]:
    """Segmentations of any kind as the `counts` of compressed RLE.

    Args:
        segmentations: Polygons or RLE.
        sizes: Width and height of the image of each, (n, 2).

    Raises:
        ValueError: One is malformed or of another size than its image; which one, from 1.
    """
    shapes = np.nan_to_num(sizes[:, ::-1], nan=-1).astype(np.int64).tolist()
    masks = []
    for i, (segmentation, (height, width)) in enumerate(zip(segmentations, shapes, strict=True)):
        try:
            value = decode_json(_SEGMENTATION, bytes(segmentation))
            masks.append(_encode(value, height, width))
        except ValueError as exc:
            raise ValueError(f"annotation {i + 1}: its segmentation {exc}") from exc
    return tuple(masks)


def _encode(value: Rle | Polygons, height: int, width: int) -> bytes:
    from pycocotools import mask  # 30 ms, for masks alone

    if height < 0 or width < 0:
        raise ValueError("is of an image whose width and height the file does not tell")
    _check_size(height, width)
    if isinstance(value, Rle):
        if value.size != (height, width):
            raise ValueError(
                f"has the size {list(value.size)}, its image {[height, width]} (height, width)"
            )
        return encode_rle(value)
    if len(value[0]) != _BOX and any(len(one) < _POLYGON or len(one) % 2 for one in value):
        raise ValueError("is no list of polygons: each needs three corners or more, x and y")
    reach = _FAR * max(height, width, 1)
    if any(abs(side) > reach for one in value for side in one):
        raise ValueError("lies far outside its image")
    counts: bytes = mask.merge(mask.frPyObjects(value, height, width))["counts"]
    return counts


def _check_size(height: int, width: int) -> None:
    """Refuse what would fill the memory, or overflow in pycocotools.

    Raises:
        ValueError: A side is that long.
    """
    if not 0 <= min(height, width) <= max(height, width) <= _MAX_SIDE:
        raise ValueError(f"is of an image of {width} x {height} pixels, which is absurd")


def encode_rle(value: Rle) -> bytes:
    """The `counts` of compressed RLE.

    Raises:
        ValueError: It is malformed.
    """
    from pycocotools import mask  # 30 ms, for masks alone

    height, width = value.size
    _check_size(height, width)
    if isinstance(value.counts, str):
        if not _RLE_TEXT.fullmatch(value.counts):
            raise ValueError(f"is no compressed RLE of COCO: {quoted(value.counts)}")
        return value.counts.encode()
    if min(value.counts, default=-1) < 0 or sum(value.counts) != height * width:
        raise ValueError(
            f"is no RLE of {height} x {width} pixels: its counts sum to {sum(value.counts)}"
        )
    packed: dict[str, Any] = mask.frPyObjects(
        {"size": [height, width], "counts": value.counts}, height, width
    )
    counts: bytes = packed["counts"]
    return counts


def measure_masks(masks: Sequence[bytes], sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The box around each mask, left, top, width and height (n, 4), and its pixels, (n,).

    Args:
        masks: `counts` of compressed RLE.
        sizes: Width and height of the image of each, (n, 2).

    Raises:
        ValueError: One has more pixels than its image; which one, from 1.
    """
    from pycocotools import mask  # 30 ms, for masks alone

    if not masks:
        return np.zeros((0, 4)), np.zeros(0)
    shapes = sizes[:, ::-1].astype(np.int64).tolist()
    framed = [{"size": size, "counts": counts} for size, counts in zip(shapes, masks, strict=True)]
    areas = np.asarray(mask.area(framed), dtype=np.float64)
    if (too_large := areas > sizes.prod(axis=1)).any():
        raise ValueError(
            f"annotation {int(np.argmax(too_large)) + 1}: its mask has more pixels than its size"
        )
    return np.asarray(mask.toBbox(framed), dtype=np.float64).reshape(-1, 4), areas
