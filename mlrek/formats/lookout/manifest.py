"""Lookout for Vision's evaluation manifest (`EvaluationManifest-….json`): JSON lines -> columns."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, TypeAlias, TypeVar

import numpy as np
from msgspec import Struct
from msgspec.json import Decoder

from mlrek.errors import SourceError
from mlrek.evaluation import Doubt, FloatArray, IntArray
from mlrek.formats.columns import BadLines, ManifestInput, check_place, malformed, read_lines
from mlrek.formats.json_text import quoted

NORMAL, ANOMALY = "normal", "anomaly"
CLASSES = (NORMAL, ANOMALY)

_DETECTED = "-detected"
_METADATA = "-metadata"
_MASK = "-ref"
_BACKGROUND = "background"
_CLASSIFICATION = "groundtruth/image-classification"
_HEX_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")

Scalar: TypeAlias = str | float | bool | None


class Color(Struct, gc=False, rename="kebab"):
    """An entry of a colour map; a label is its `class-name`, in newer tools its `name`."""

    class_name: Scalar = None
    name: Scalar = None
    hex_color: Scalar = None


class Attribute(Struct, gc=False, rename="kebab"):
    """Any object on a line: metadata of an attribute, or what has no meaning here."""

    class_name: Scalar = None
    confidence: str | float | None = None
    type: Scalar = None
    human_annotated: Scalar = None
    model_arn: Scalar = None
    internal_color_map: dict[str, Color] | None = None


Line: TypeAlias = dict[str, Attribute | list[Any] | str | int | float | bool | None]
LINE_DECODER = Decoder(Line)

Rgb: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRef:
    """A mask and the class of each of its colours, in the file's order."""

    uri: str
    colors: tuple[tuple[str, Rgb], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of its colours that are labels."""
        return tuple(name for name, _ in self.colors if not is_background(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model answered: a class and how sure it is of that class, 0 to 1."""

    class_name: str
    confidence: float
    model_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineContent:
    """What a line says.

    `classes` and `true_masks` are what may be the truth, by attribute; where the model answered on
    the line, `true_name` and `true_mask_name` say which one is.
    """

    image: str
    classes: Mapping[str, Scalar] = field(default_factory=dict)
    true_masks: Mapping[str, MaskRef] = field(default_factory=dict)
    prediction: Prediction | None = None
    predicted_mask: MaskRef | None = None
    true_name: str = ""
    true_mask_name: str = ""


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
        first = f"{quoted(classes[others[0]])} of {quoted(lines[others[0]].image)}"
        yield (
            f"{len(others)} of {len(lines)} images have a true class that is neither normal nor "
            f"anomaly and count as unlabelled, as with the service; first: {first}"
        )


def is_background(class_name: str) -> bool:
    """Whether a class of the service's files is what is no anomaly."""
    return class_name.casefold() == _BACKGROUND


EMPTY_MANIFEST = LookoutManifest(
    images=(),
    y_true=np.zeros(0, dtype=np.int64),
    y_pred=np.zeros(0, dtype=np.int64),
    confidence=np.zeros(0),
    true_masks=(),
    predicted_masks=(),
)


def read_line(line: Line) -> LineContent:
    """What a line says.

    Raises:
        ValueError: The line is malformed.
    """
    image = check_place("source-ref", line.get("source-ref"))
    attributes = dict(_iter_attributes(line))
    masks = {name: each for name, each in attributes.items() if _is_mask(name, each)}
    labels = {
        name: each
        for name, each in attributes.items()
        if name not in masks and (each.class_name is not None or each.type == _CLASSIFICATION)
    }
    answer, mask_answer = _find_answer(labels), _find_answer(masks)
    refs = {name: _read_mask(name, line[name], each) for name, each in masks.items()}
    return LineContent(
        image=image,
        classes={name: each.class_name for name, each in labels.items() if name != answer},
        true_masks={name: ref for name, ref in refs.items() if name != mask_answer},
        prediction=_read_prediction(answer, labels[answer]) if answer else None,
        predicted_mask=refs.get(mask_answer),
        true_name=answer.removesuffix(_DETECTED),
        true_mask_name=mask_answer.removesuffix(_DETECTED),
    )


def _iter_attributes(line: Line) -> Iterator[tuple[str, Attribute]]:
    """The name of each attribute and its metadata, whatever it is about."""
    for name in line:
        if name == "source-ref":
            continue
        metadata_name = name + _METADATA
        if metadata_name not in line and name.endswith(_MASK):  # as adjusted masks are written
            metadata_name = name.removesuffix(_MASK) + _METADATA
        if metadata_name in line:
            metadata = line[metadata_name]
            if not isinstance(metadata, Attribute):
                raise malformed(metadata_name, metadata, "a JSON object")
            yield name, metadata


def _is_mask(name: str, metadata: Attribute) -> bool:
    is_named_so = name.endswith(_MASK + _DETECTED) and metadata.class_name is None
    return metadata.internal_color_map is not None or is_named_so


def _find_answer(attributes: Mapping[str, Attribute]) -> str:
    """The attribute that the model wrote; '' where there is none.

    A customer's own name may end in `-detected` too: then the model's has it twice.
    """
    answers = [
        name
        for name, metadata in attributes.items()
        if name.endswith(_DETECTED)
        and metadata.human_annotated != "yes"
        and name + _DETECTED not in attributes
    ]
    if len(answers) > 1:
        raise ValueError(
            f"holds the answers of two models: {quoted(answers[0])}, {quoted(answers[1])}"
        )
    return answers[0] if answers else ""


def _read_prediction(name: str, metadata: Attribute) -> Prediction:
    class_name, confidence = metadata.class_name, metadata.confidence
    if class_name not in CLASSES:
        raise malformed(f"class-name in {name}{_METADATA}", class_name, "normal or anomaly")
    if not isinstance(confidence, float) or not 0 <= confidence <= 1:
        raise malformed(f"confidence in {name}{_METADATA}", confidence, "a number from 0 to 1")
    return Prediction(
        class_name=str(class_name),
        confidence=confidence,
        model_arn=metadata.model_arn if isinstance(metadata.model_arn, str) else "",
    )


def _read_mask(name: str, uri: object, metadata: Attribute) -> MaskRef:
    place = check_place(name, uri, "the place of a mask")
    if metadata.internal_color_map is None:
        raise malformed(f"internal-color-map in {name}{_METADATA}", None, "a map of colours")
    return MaskRef(uri=place, colors=tuple(map(_read_color, metadata.internal_color_map.values())))


def _read_color(color: Color) -> tuple[str, Rgb]:
    label = color.name if color.class_name is None else color.class_name
    label = check_place("a class of internal-color-map", label, "a label")
    if not isinstance(color.hex_color, str) or not _HEX_COLOR.fullmatch(color.hex_color):
        raise malformed(f"the colour of {quoted(label)}", color.hex_color, "a colour like #23a436")
    red, green, blue = bytes.fromhex(color.hex_color[1:])
    return label, (red, green, blue)
