"""Small pictures of the images that a page shows, as data URIs."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Final

from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.figures.pictures import ReadImages, use_picture

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS: Final = 8192 * 8192
MAX_TOTAL_BYTES: Final = 1_200_000
_LIMITS: Final = {Task.DETECTION: (120, 288), Task.SEGMENTATION: (120, 288)}
_LIMIT: Final = (240, 96)
"""How many, and the longer side in pixels."""
_DRAWN: Final = frozenset(_LIMITS)
"""Tasks whose boxes or masks are drawn on the pixels as they are."""
_QUALITY: Final = 68


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture and the size of its image in pixels."""

    data_uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnails:
    """Small pictures by image, `asked` for so many; the others could not be read."""

    by_image: Mapping[int, Thumbnail] = field(default_factory=dict)
    asked: int = 0

    def scale(self, share: float) -> "Thumbnails":
        """The first ones."""
        kept = islice(self.by_image.items(), round(len(self.by_image) * share))
        return Thumbnails(by_image=dict(kept), asked=self.asked)


def read_thumbnails(evaluation: Evaluation, order: IntArray, read_images: ReadImages) -> Thumbnails:
    """Read and shrink the first few hundred images of `order`; what cannot be read is counted."""
    most, side = _LIMITS.get(evaluation.task, _LIMIT)
    wanted = order[:most].tolist()
    contents = read_images([evaluation.images[i] for i in wanted])
    by_image: dict[int, Thumbnail] = {}
    n_bytes = 0
    for i, content in zip(wanted, contents, strict=True):
        thumbnail = _shrink(content, side, turns=evaluation.task not in _DRAWN)
        if thumbnail is None:
            continue
        n_bytes += len(thumbnail.data_uri)
        if n_bytes > MAX_TOTAL_BYTES:
            return Thumbnails(by_image=by_image, asked=len(by_image))
        by_image[i] = thumbnail
    return Thumbnails(by_image=by_image, asked=len(wanted))


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
