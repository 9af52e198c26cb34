"""An image of a test set, to be drawn on."""

from io import BytesIO
from typing import Final

import numpy as np

from mlrek.figures import Pixels

MAX_PIXELS: Final = 4096 * 4096


def decode_picture(content: bytes) -> Pixels | None:
    """The image's pixels; None for what is no image, or one of absurd size."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
