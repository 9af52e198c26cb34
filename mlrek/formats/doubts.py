"""Doubts that show when an evaluation is read: each kind is put into words in one place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Final, TypeAlias
from urllib.parse import unquote_plus

import numpy as np

from mlrek.evaluation import (
    EVERYTHING,
    BoolArray,
    Contents,
    Doubt,
    DoubtKind,
    Evaluation,
    IntArray,
    Reported,
    Task,
)
from mlrek.formats.json_text import join_some, quoted, quoted_some, say_first
from mlrek.metrics import Metrics
from mlrek.metrics.decisions import AVERAGE_NAMES
from mlrek.metrics.test_set import count_images, doubt_images, take_images

_AT_THRESHOLDS: Final = ("at_threshold/*", "label_at_threshold_*")
_DECIDED: Final = (
    *(f"aggregate/{name}" for name in (*AVERAGE_NAMES, "subset_accuracy", "hamming_loss")),
    *(f"label_{name}" for name in ("precision", "recall", "f1", "tp", "fp", "fn")),
)
_EXPLAINED: Final = frozenset({DoubtKind.LINES_SKIPPED, DoubtKind.TRUTH_UNKNOWN})
"""What tells why images of the service's test set are not among those that are evaluated."""


_COUNTED: Final = frozenset({"tp", "fp", "fn", "tn", "test_images", "test_boxes", "log_loss"})
"""Reported numbers that may be more than 1."""
_UNLABELLED: Final = "images are labelled by nobody: their truth is unknown, and they are left out"
_ROUNDING: Final = 1e-6  # services calculate with 32 bits

Print: TypeAlias = tuple[int, str]
"""Size and digest of some bytes: equal ones are of equal bytes."""


def is_possible(name: str, value: float) -> bool:
    """Whether a service's number can be what its name says: a share is from 0 to 1.

    >>> is_possible("f1", 7e307), is_possible("f1", 1.0), is_possible("log_loss", 1.5)
    (False, True, True)
    """
    most = inf if name in _COUNTED else 1 + _ROUNDING
    return 0 <= value <= most and value < inf


def keep_possible(numbers: Mapping[str, float]) -> dict[str, float]:
    """A service's numbers without those that cannot be."""
    return {name: value for name, value in numbers.items() if is_possible(name, value)}


def complete_doubts(evaluation: Evaluation) -> Evaluation:
    """The evaluation with the doubts that itself shows, where no earlier one says the same.

    That images are missing, and that some were trained on, follows from its columns and from what
    the service reports. Reported numbers that cannot be are taken out.
    """
    evaluation = _take_impossible_out(evaluation)
    known = {doubt.kind for doubt in evaluation.doubts if EVERYTHING in doubt.touches}
    shown = [
        doubt
        for doubt in (*doubt_test_images(evaluation), *doubt_training(evaluation))
        if doubt.kind not in known
    ]
    return replace(evaluation, doubts=(*evaluation.doubts, *shown)) if shown else evaluation


def list_doubts(evaluation: Evaluation, metrics: Metrics) -> tuple[Doubt, ...]:
    """Every doubt of one version, each once: of its reading, then of its numbers."""
    return tuple(dict.fromkeys((*complete_doubts(evaluation).doubts, *metrics.doubts)))


def _take_impossible_out(evaluation: Evaluation) -> Evaluation:
    """The evaluation without reported numbers that cannot be, and a doubt that says which."""
    found = dict(_find_impossible(evaluation.reported))
    if not found:
        return evaluation
    named = join_some([f"{quoted(name)} {value:.6g}" for name, value in found.items()])
    doubt = Doubt(
        kind=DoubtKind.REPORTED_DIFFERS,
        text=(
            f"{len(found)} reported numbers cannot be what they are called, and are not taken "
            f"as numbers: {named}"
        ),
        count=len(found),
        touches=tuple(found),
    )
    reported = replace(
        evaluation.reported,
        aggregate=keep_possible(evaluation.reported.aggregate),
        per_label={
            label: keep_possible(numbers)
            for label, numbers in evaluation.reported.per_label.items()
        },
    )
    return replace(evaluation, reported=reported, doubts=(*evaluation.doubts, doubt))


def _find_impossible(reported: Reported) -> Iterator[tuple[str, float]]:
    """Such numbers of the whole and of labels, by the names under which they would be listed."""
    for name, value in reported.aggregate.items():
        if not is_possible(name, value):
            yield f"reported/{name}", value
    for label, numbers in reported.per_label.items():
        for name, value in numbers.items():
            if not is_possible(name, value):
                yield f"label_reported_{name}/{label}", value


def doubt_test_images(evaluation: Evaluation) -> Iterator[Doubt]:
    """That the service tested another number of images than its manifest holds.

    Images that are left out with a doubt of their own, since their lines are malformed or nobody
    has labelled them, are no missing ones.
    """
    told, n_images = evaluation.reported.test_images, count_images(evaluation.images)
    left_out = sum(
        doubt.count or 0
        for doubt in evaluation.doubts
        if doubt.kind in _EXPLAINED and EVERYTHING in doubt.touches
    )
    if told is None or not n_images or n_images <= told <= n_images + left_out:
        return
    yield Doubt(
        kind=DoubtKind.IMAGES_MISSING,
        text=(
            f"the service tested {told} images, of which {n_images} are here: numbers computed "
            "from the images are not of its test set"
            if n_images < told
            else f"the service tested {told} images, but {n_images} are here: numbers computed "
            "from the images are not of its test set"
        ),
        count=abs(told - n_images),
        of=max(told, n_images),
    )


def doubt_training(evaluation: Evaluation) -> Iterator[Doubt]:
    """That the version was trained on images of its test set."""
    if evaluation.seen_in_training is None:
        return
    seen = sorted({evaluation.images[i] for i in np.flatnonzero(evaluation.seen_in_training)})
    total = len(set(evaluation.images))
    text = (
        f"{evaluation.version.name} was trained on {len(seen):,} of its {total:,} test images: "
        f"{quoted_some(seen)}"
    )
    yield from doubt_images(DoubtKind.SEEN_IN_TRAINING, seen, total, text)


def settle_images(
    evaluation: Evaluation,
    *,
    is_labelled: BoolArray,
    is_answered: BoolArray,
    unlabelled: Sequence[str] = (),
) -> Evaluation:
    """The evaluation without images that nobody has labelled, and doubts of these and of misses.

    Args:
        evaluation: What was read.
        is_labelled: Whether the truth of each image is known, (n_images,).
        is_answered: Whether each image has a prediction, be it of nothing, (n_images,).
        unlabelled: Further images of unknown truth, which are none of the evaluation's.
    """
    images, n_images = evaluation.images, len(evaluation.images)
    unknown = [*(images[i] for i in np.flatnonzero(~is_labelled)), *unlabelled]
    missed = [quoted(images[i]) for i in np.flatnonzero(is_labelled & ~is_answered)]
    n_known = n_images + len(unlabelled) - len(unknown)
    if n_known < n_images:
        evaluation = take_images(evaluation, np.flatnonzero(is_labelled))
    doubts = (
        *doubt_unlabelled(unknown, n_images + len(unlabelled)),
        *doubt_unanswered(missed, n_known),
    )
    return replace(evaluation, doubts=(*evaluation.doubts, *doubts))


def doubt_unlabelled(unknown: Sequence[str], n_images: int) -> Iterator[Doubt]:
    """That nobody has labelled some images, which are left out.

    Args:
        unknown: These images.
        n_images: Of how many, these included.
    """
    if unknown:
        yield Doubt(
            kind=DoubtKind.TRUTH_UNKNOWN,
            text=say_first(len(unknown), n_images, _UNLABELLED, unknown[0]),
            count=len(unknown),
            of=n_images,
        )


def doubt_foreign(what: str, named: str, task: Task) -> Doubt:
    """That a file with the service's own numbers names another version, and is not used.

    Args:
        what: Which file.
        named: The version that it names.
        task: What the version answers: numbers made from decisions at thresholds lack these.
    """
    return Doubt(
        kind=DoubtKind.FOREIGN_SUMMARY,
        text=(
            f"the {what} is of another version, {quoted(named)}: neither its numbers nor its "
            "thresholds are used"
        ),
        touches=(*find_decided(task), "reported/*", "label_reported_*"),
    )


def find_decided(task: Task) -> tuple[str, ...]:
    """The numbers made from decisions at the assumed thresholds."""
    return (*_AT_THRESHOLDS, *(_DECIDED if task is Task.MULTILABEL else ()))


def doubt_unanswered(
    images: Sequence[str], n_images: int, *, how: str = "have no prediction"
) -> Iterator[Doubt]:
    """That images of the test set have no prediction.

    Args:
        images: Those without one, perhaps with what is said of them.
        n_images: Of how many.
        how: Why there is none.
    """
    text = f"{len(images)} of {n_images} images {how} and count as misses: {join_some(images)}"
    yield from doubt_images(DoubtKind.UNANSWERED, images, n_images, text)


def show_spellings(found: Sequence[str], wanted: Sequence[str]) -> str:
    """How two files spell images of which none is the other's: two of them that look alike.

    >>> show_spellings(["1.jpg", "0.jpg"], ["s3://photos/0.jpg"])
    "'0.jpg' and 's3://photos/0.jpg'"
    """
    first = wanted[0]
    name = _last_part(first)
    alike = next((image for image in found if _last_part(image) == name), found[0])
    return f"{quoted(alike)} and {quoted(first)}"


def _last_part(image: str) -> str:
    """The file's name, however its blanks are written."""
    return unquote_plus(image).replace("\\", "/").rpartition("/")[2].casefold()


def list_prints(contents: Contents) -> list[tuple[Print, ...]]:
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
        f"{quoted_some(late)}"
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
        f"on the same pictures: {quoted_some(images)}"
    )
    yield from doubt_images(DoubtKind.PICTURES_CHANGED, images, n_known, text)
