"""What pictures are made of: types, images of a test set decoded with care, and colours."""

import struct
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


FORMATS: Final = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO")
"""What the services take (Google the last four). Pillow knows more, also some that run programs."""

MAX_PIXELS: Final = 4096 * 4096
PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE: Final = struct.Struct(">II")  # width and height, after the head and the chunk's own 8

T = TypeVar("T")

Pixels: TypeAlias = NDArray[np.uint8]
"""A picture: (height, width, 3), red, green and blue."""


class GridFiles(NamedTuple):
    """One picture as MLflow's picture grid keeps it: the whole, and the small one that it shows."""

    png: bytes
    webp: bytes


ReadImages: TypeAlias = Callable[[Sequence[str]], Iterable[bytes]]
"""Images by URI in order; b'' for one that is not there, `Unread` for one that may not be read."""


class Unread(bytes):
    """No content, because an image may not be read: `reason` says why, in plain words."""

    reason: str

    def __new__(cls, reason: str) -> Self:
        """Without a byte, so that it counts as false."""
        made = super().__new__(cls)
        made.reason = reason
        return made


# Okabe and Ito's colours without yellow, which is too pale on white, and one of Tol's. Ordered so
# that the first ones differ most to an eye that cannot tell red from green: four versions do.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#661100")


def use_picture(content: bytes, use: Callable[["Image"], T], *, max_pixels: int) -> T | None:
    """What `use` makes of an image that is opened, but not decoded yet.

    Args:
        content: A file that should be an image of one of `FORMATS`.
        use: Decodes the image; whatever goes wrong in there is the fault of the file.
        max_pixels: Of width x height, checked before anything is decoded.

    Returns:
        None for what is no such image, is damaged, or is larger.
    """
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if not 0 < image.width * image.height <= max_pixels:
                return None
            if image.format == "ICO" and _holds_large_png(content, max_pixels):
                return None
            return use(image)
    except Exception:  # noqa: BLE001 - decoders raise whatever they like on damaged bytes
        return None


def decode_picture(content: bytes) -> Pixels | None:
    """The image's pixels; None for what is no image, or one of absurd size."""
    return use_picture(content, _decode, max_pixels=MAX_PIXELS)


def _decode(image: "Image") -> Pixels:
    return np.asarray(image.convert("RGB"))


def _holds_large_png(icon: bytes, max_pixels: int) -> bool:
    """Whether a PNG in an icon is larger than the icon says: Pillow decodes it all the same."""
    start = icon.find(PNG_HEAD)
    while start >= 0:
        size = icon[start + 16 : start + 24]
        if len(size) == _PNG_SIZE.size and np.prod(_PNG_SIZE.unpack(size)) > max_pixels:
            return True
        start = icon.find(PNG_HEAD, start + 1)
    return False
