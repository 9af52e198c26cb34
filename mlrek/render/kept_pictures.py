"""Small pictures out of a page that mlrek wrote before: for where the images are not at hand.

The page is an artifact that anybody may have replaced: nothing of it is trusted, and what is not as
it should be counts as no picture. What is found is decoded and encoded again before it is shown.
"""

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Final, TypeAlias

from mlrek.render.report import MAX_BYTES

_Parsed: TypeAlias = "dict[str, _Parsed] | list[_Parsed] | str | float | None"

MAX_PICTURES: Final = 1_000
MAX_PICTURE_CHARACTERS: Final = 200_000
_BEGIN: Final = b'<script type="application/json" id="data">'
_END: Final = b"</script>"
_PICTURE: Final = re.compile(r"data:image/(?:jpeg|png|webp);base64,([A-Za-z0-9+/]+={0,2})")


def parse_pictures(page: bytes) -> dict[str, bytes]:
    """The content of each small picture by the URI of its image, as the page names it.

    Args:
        page: A `report.html`; of anything else there are no pictures.
    """
    return dict(_list_pictures(_parse_data(page)))


def _parse_data(page: bytes) -> _Parsed:
    """The document that is embedded in the page; None where there is none."""
    if len(page) > MAX_BYTES:
        return None
    _, _, rest = page.partition(_BEGIN)
    text, end, _ = rest.partition(_END)
    if not end:
        return None
    try:
        parsed: _Parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed


def _list_pictures(data: _Parsed) -> Iterator[tuple[str, bytes]]:
    images = data.get("images") if isinstance(data, dict) else None
    if not isinstance(images, dict):
        return
    prefix, names, pictures = (images.get(key) for key in ("prefix", "names", "thumbnails"))
    if not (isinstance(prefix, str) and isinstance(names, list) and isinstance(pictures, dict)):
        return
    by_place = {str(place): name for place, name in enumerate(names)}
    for place, uri in list(pictures.items())[:MAX_PICTURES]:
        name, content = by_place.get(place), _decode(uri)
        if isinstance(name, str) and content:
            yield prefix + name, content


def _decode(uri: _Parsed) -> bytes:
    """The bytes of a picture; b'' of anything else."""
    if not isinstance(uri, str) or len(uri) > MAX_PICTURE_CHARACTERS:
        return b""
    found = _PICTURE.fullmatch(uri)
    try:
        return b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        return b""
