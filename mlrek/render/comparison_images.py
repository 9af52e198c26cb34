"""The images that the page of a comparison knows of, and their small pictures."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest
from os.path import commonprefix
from typing import Final

import numpy as np

from mlrek.comparison import Comparison, ImageChange
from mlrek.evaluation import Evaluation
from mlrek.figures.pictures import ReadImages
from mlrek.render import Json
from mlrek.render.report_images import Thumbnails, read_thumbnails
from mlrek.text import escape_unencodable

KINDS: Final = ("broken", "fixed", "changed")
"""What may have become of an image, each a field of a comparison."""


def read_pictures(
    comparison: Comparison,
    candidate: Evaluation,
    images: Sequence[str],
    read_images: ReadImages | None,
    kept: Mapping[str, bytes],
) -> Thumbnails:
    """Small pictures by row of the candidate, of the first images that the page shows.

    Args:
        comparison: What differs.
        candidate: Whose images they are.
        images: The images of the page.
        read_images: Reads them; without it those that are `kept` are taken.
        kept: The content of pictures by image, as pages have it.
    """
    rows = {image: i for i, image in enumerate(candidate.images)}
    wanted = (image for image in _order(comparison, images) if image in rows)
    if read_images is None:
        wanted = (image for image in wanted if escape_unencodable(image) in kept)
        read_images = partial(_take, kept)
    order = np.array([rows[image] for image in wanted], dtype=np.int64)
    return read_thumbnails(candidate, order, read_images) if len(order) else Thumbnails()


def build_images_json(
    candidate: Evaluation, images: Sequence[str], thumbnails: Thumbnails
) -> dict[str, Json]:
    """Names without what all begin with; small pictures by place among the images of the page."""
    prefix = commonprefix(images) if len(images) > 1 else ""  # noqa: RUF071 (cut at a slash)
    prefix = prefix[: prefix.rfind("/") + 1]
    places = {image: i for i, image in enumerate(images)}
    by_image = {candidate.images[row]: one.data_uri for row, one in thumbnails.by_image.items()}
    return {
        "prefix": escape_unencodable(prefix),
        "names": [escape_unencodable(image.removeprefix(prefix)) for image in images],
        "asked": thumbnails.asked,
        "refused": thumbnails.refused,
        "thumbnails": {str(places[i]): uri for i, uri in by_image.items() if i in places},
    }


def _take(kept: Mapping[str, bytes], images: Sequence[str]) -> Iterator[bytes]:
    return (kept.get(escape_unencodable(image), b"") for image in images)


def _order(comparison: Comparison, images: Sequence[str]) -> list[str]:
    """The surest of each kind of change in turn, as the page shows them; then the others."""
    turns = zip_longest(*(_list_surest(getattr(comparison, kind)) for kind in KINDS))
    known = set(images)
    first = (image for image in chain.from_iterable(turns) if image is not None and image in known)
    return list(dict.fromkeys(chain(first, images)))


def _list_surest(changes: Sequence[ImageChange]) -> list[str]:
    """Images in the order of the candidate's confidence, what has none last."""
    confidence = np.array([change.candidate.confidence for change in changes], dtype=np.float64)
    order = np.argsort(-np.nan_to_num(confidence, nan=-1.0), kind="stable")
    return [changes[i].image for i in order.tolist()]
