"""What the bytes behind the names of test images tell: other pictures, and copies of trained ones.

What is not known is no evidence: two contents differ only where their sizes do, or where both have
a digest of the bytes themselves and these differ. They are equal only where sizes and digests are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np

from mlrek.distinct import doubt_images
from mlrek.evaluation import (
    BoolArray,
    Contents,
    Doubt,
    DoubtKind,
    Evaluation,
    IntArray,
)
from mlrek.formats.doubts import complete_doubts
from mlrek.formats.json_text import show_some

Print: TypeAlias = tuple[int, str]
"""Size and digest of some bytes: equal ones are of equal bytes."""


def describe_prints(contents: Contents) -> list[tuple[Print, ...]]:
    """By what each image's bytes are known again, none where they are not known or there are none.

    Equal ETags of equal sizes are of equal bytes whatever they are made of.
    """
    columns = zip(contents.sizes.tolist(), contents.etags, contents.sha256, strict=True)
    return [
        tuple((size, digest) for digest in (etag, sha256) if digest) if size > 0 else ()
        for size, etag, sha256 in columns
    ]


def find_different(
    first: Contents, first_idx: IntArray, second: Contents, second_idx: IntArray
) -> tuple[BoolArray, int]:
    """Whether two contents of each image differ for certain, and of how many both are known.

    Args:
        first: Contents of some images.
        first_idx: The places of the n shared images in them, (n,).
        second: Contents of other images.
        second_idx: The places of the same images there, (n,).
    """
    sizes = first.sizes[first_idx], second.sizes[second_idx]
    is_known = (sizes[0] >= 0) & (sizes[1] >= 0)
    differs = is_known & (sizes[0] != sizes[1])
    are_md5 = (first.is_md5[first_idx] & second.is_md5[second_idx]).tolist()
    places = zip(first_idx.tolist(), second_idx.tolist(), are_md5, strict=True)
    for n, (i, j, is_md5) in enumerate(places):
        one, other = first.sha256[i], second.sha256[j]
        if (one and other and one != other) or (is_md5 and first.etags[i] != second.etags[j]):
            differs[n] = True
    return differs, int(np.count_nonzero(is_known))


def add_contents(evaluation: Evaluation, contents: Contents, *, is_services: bool) -> Evaluation:
    """The evaluation with what is known of its images' bytes, and the doubt that this raises.

    Args:
        evaluation: What was read.
        contents: Of its images.
        is_services: Whether the service itself tested these images, at the end of the training.
    """
    doubts = doubt_modified(evaluation, contents) if is_services else ()
    return replace(evaluation, contents=contents, doubts=(*evaluation.doubts, *doubts))


def add_copies(evaluation: Evaluation, copied: BoolArray) -> Evaluation:
    """The evaluation with images known as trained on whose bytes were, under whatever name.

    Args:
        evaluation: With its doubts.
        copied: Which images have the bytes of one that was trained on, (n_images,).
    """
    by_name = evaluation.seen_in_training
    seen = copied if by_name is None else by_name | copied
    if by_name is not None and np.array_equal(seen, by_name):
        return evaluation
    kept = tuple(d for d in evaluation.doubts if d.kind is not DoubtKind.SEEN_IN_TRAINING)
    return complete_doubts(replace(evaluation, seen_in_training=seen, doubts=kept))


def doubt_modified(evaluation: Evaluation, contents: Contents) -> Iterator[Doubt]:
    """That images were written after the service had tested the version on them."""
    end_ms = evaluation.version.training_end_ms
    if end_ms is None:
        return
    late = sorted({evaluation.images[i] for i in np.flatnonzero(contents.modified_ms > end_ms)})
    total, ended = len(set(evaluation.images)), datetime.fromtimestamp(end_ms / 1000, UTC)
    text = (
        f"{len(late):,} of {total:,} test images were written after {evaluation.version.name} was "
        f"trained and tested ({ended:%Y-%m-%d %H:%M} UTC): its numbers may be of other pictures: "
        f"{show_some(late)}"
    )
    yield from doubt_images(DoubtKind.PICTURES_CHANGED, late, total, text)


def doubt_different(images: Sequence[str], n_known: int) -> Iterator[Doubt]:
    """That two versions were tested on other pictures of the same names.

    Args:
        images: These.
        n_known: Of how many shared images the bytes are known for both versions.
    """
    text = (
        f"{len(images):,} of {n_known:,} shared images whose content is known held another picture "
        "when the other version was logged (size or digest differ): the versions were not tested "
        f"on the same pictures: {show_some(images)}"
    )
    yield from doubt_images(DoubtKind.PICTURES_CHANGED, images, n_known, text)
