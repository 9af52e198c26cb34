"""Lookout for Vision's evaluation manifest (`EvaluationManifest-….json`): JSON lines -> columns."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeAlias, TypeVar

import numpy as np

from mlrek.errors import SourceError
from mlrek.evaluation import Doubt, FloatArray, IntArray
from mlrek.formats.columns import BadLines, ManifestInput, read_lines
from mlrek.formats.json_text import show
from mlrek.formats.lookout_line import (
    CLASSES,
    LINE_DECODER,
    Line,
    LineContent,
    MaskRef,
    Scalar,
    read_line,
)

NO_CLASS = -1

_INPUT_MANIFEST_REASON = (
    "holds no predictions (no attribute that ends in -detected): it is probably the manifest of a "
    "data set; the predictions are in EvaluationManifest-….json"
)

T = TypeVar("T")

ReadMasks: TypeAlias = Callable[[Sequence[str]], Iterable[bytes | SourceError]]
"""Reads masks: for each URI as it stands in the manifest, in order, the bytes of the PNG file or
why there are none. What it raises ends the reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutInput(ManifestInput):
    """A manifest, and how the masks are read that it names; without that none is."""

    read_masks: ReadMasks | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutManifest:
    """A manifest in file order, one entry an image.

    `y_true` and `y_pred` (n_images,) are positions in `CLASSES`, -1 for none; `confidence`
    (n_images,) is that of the predicted class, NaN without one. Masks are None where none is named.
    `model_arns` are those of the models that answered.
    """

    images: tuple[str, ...]
    y_true: IntArray
    y_pred: IntArray
    confidence: FloatArray
    true_masks: tuple[MaskRef | None, ...]
    predicted_masks: tuple[MaskRef | None, ...]
    model_arns: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()


EMPTY_MANIFEST = LookoutManifest(
    images=(),
    y_true=np.zeros(0, dtype=np.int64),
    y_pred=np.zeros(0, dtype=np.int64),
    confidence=np.zeros(0),
    true_masks=(),
    predicted_masks=(),
)


def parse_manifest(manifest: ManifestInput, *, skip_bad_lines: bool = False) -> LookoutManifest:
    """Every line of an evaluation manifest.

    Raises:
        ParseError: A line is malformed (not with `skip_bad_lines`: then it is left out and counted
            in a warning), or the file is empty or holds no predictions.
    """
    bad_lines, lines = BadLines(manifest.uri, skip=skip_bad_lines), list[LineContent]()

    def read(_number: int, line: Line) -> None:
        lines.append(read_line(line))

    read_lines(LINE_DECODER, manifest.chunks, manifest.uri, read, bad_lines)
    if not any(line.prediction for line in lines):
        raise bad_lines.explain_no_prediction(_INPUT_MANIFEST_REASON, is_empty=not lines)
    names = {line.true_name for line in lines}
    mask_names = {line.true_mask_name for line in lines}
    classes = [_choose(line.classes, line.true_name, names) for line in lines]
    masks = [_choose(line.true_masks, line.true_mask_name, mask_names) for line in lines]
    answers = [line.prediction for line in lines]
    return LookoutManifest(
        images=tuple(line.image for line in lines),
        y_true=_encode(classes),
        y_pred=_encode(answer.class_name if answer else None for answer in answers),
        confidence=np.array([answer.confidence if answer else nan for answer in answers]),
        true_masks=tuple(masks),
        predicted_masks=tuple(line.predicted_mask for line in lines),
        model_arns=tuple(dict.fromkeys(a.model_arn for a in answers if a and a.model_arn)),
        doubts=tuple(bad_lines.doubt(len(lines))),
        warnings=tuple(_warn_other_classes(lines, classes)),
    )


def _choose(candidates: Mapping[str, T], name: str, names: Collection[str]) -> T | None:
    """The truth among what a line holds: what the model's answer is named after.

    On a line without an answer, what other lines' answers are named after, or the only candidate.
    """
    if name:
        return candidates.get(name)
    known = [each for name, each in candidates.items() if name in names]
    if known or len(candidates) == 1:
        return (known or list(candidates.values()))[0]
    return None


def _encode(classes: Iterable[Scalar]) -> IntArray:
    codes = {label: code for code, label in enumerate(CLASSES)}
    return np.array(
        [codes.get(each, NO_CLASS) if isinstance(each, str) else NO_CLASS for each in classes],
        dtype=np.int64,
    )


def _warn_other_classes(lines: Sequence[LineContent], classes: Sequence[Scalar]) -> Iterator[str]:
    others = [i for i, each in enumerate(classes) if each is not None and each not in CLASSES]
    if others:
        first = f"{show(classes[others[0]])} of {show(lines[others[0]].image)}"
        yield (
            f"{len(others)} of {len(lines)} images have a true class that is neither normal nor "
            f"anomaly and count as unlabelled, as with the service; first: {first}"
        )
