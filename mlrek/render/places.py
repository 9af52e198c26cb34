"""Where MLflow shows what a page is about: written into the page once its run is there.

A page is rendered before it has a run. It holds a slot, as large empty as filled, so that neither
its size nor anything that was counted of it changes.
"""

import json
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

_NAME: Final = "mlrek-places"
_SLOT_BYTES: Final = 4_000


class Place(NamedTuple):
    """What people read, and where it is below the address of MLflow's pages (`#/…`)."""

    text: str
    place: str


def write_slot(content: str = "") -> str:
    """The element that a page holds, by itself empty."""
    return f'<meta name="{_NAME}" content="{content.ljust(_SLOT_BYTES)}">'


def fill_places(page: bytes, base: str, places: Sequence[Place]) -> bytes:
    """The page with its places; as it is where it has no slot, or there is no web page (`base` '').

    Args:
        page: One of our own pages in UTF-8.
        base: The address of MLflow's pages, without a login.
        places: What to name, in this order; the texts are our own words.
    """
    document = {"base": base, "places": [list(place) for place in places]}
    content = escape(json.dumps(document, separators=(",", ":")))
    if not base or not places or len(content) > _SLOT_BYTES:
        return page
    return page.replace(write_slot().encode(), write_slot(content).encode(), 1)
