"""Which files of a folder are pictures, and how large each is, by its first bytes."""

from collections.abc import Iterable
from io import BytesIO
from typing import Final

from mlrek.formats.files import Files

ENDINGS: Final = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".mpo", ".pgm"}
    | {".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_MARKS: Final = ("/.", "/__MACOSX/", "/@eaDir/")
_LEFT_BEHIND: Final = frozenset({"thumbs.db", "desktop.ini"})
_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "MPO", "PPM", "JPEG2000")
_ORIENTATION: Final = 0x0112  # of EXIF
_TURNED: Final = frozenset({5, 6, 7, 8})


def is_left_behind(name: str) -> bool:
    """Whether a system or an editor left the file there: `.DS_Store`, `Thumbs.db` and the like."""
    below = f"/{name}"
    return any(mark in below for mark in _MARKS) or find_file_name(name).casefold() in _LEFT_BEHIND


def find_file_name(name: str) -> str:
    """The name of a file without its folders; `PurePosixPath` is many times slower."""
    return name.rpartition("/")[2]


def is_picture(name: str) -> bool:
    """Whether a name ends like that of a picture."""
    return name[name.rfind(".") :].casefold() in ENDINGS


def list_pictures(names: Iterable[str]) -> list[str]:
    """The pictures among names, without hidden ones."""
    return [name for name in names if is_picture(name) and not is_left_behind(name)]


def read_size(files: Files, name: str) -> tuple[float, float] | None:
    """Width and height of a picture in pixels, as it is shown; None: it cannot be read."""
    return _find_size(files.read_head(name)) or _find_size(files.read_whole(name))


def _find_size(content: bytes) -> tuple[float, float] | None:
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
            is_turned = image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # noqa: BLE001 - decoders raise whatever they like on damaged bytes
        return None
    return (height, width) if is_turned else (width, height)
