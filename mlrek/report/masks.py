"""Masks of the images of a page, as pictures to lay over them."""

from base64 import b64encode
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Evaluation, IntArray
from mlrek.tables.json_text import Json

MAX_TOTAL_BYTES: Final = 500_000

# By `MaskPixel`; what agrees blue, predicted alone orange, missed purple: Okabe and Ito's.
_COLOURS: Final = (0, 0, 0, 0, 114, 178, 213, 94, 0, 204, 121, 167)
_OPACITY: Final = bytes((0, 150, 190, 210))


def describe_masks(evaluation: Evaluation, images: IntArray) -> dict[str, Json]:
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
        if n_bytes > MAX_TOTAL_BYTES:
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
