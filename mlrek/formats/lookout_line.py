"""One line of a Lookout for Vision manifest: its type, and which of its keys say what.

A label attribute is a key and its twin with `-metadata`, under names that the customer chose. What
the model answered stands under the name of the truth with `-detected` behind it. Attributes with a
map of colours point to masks; this part is experimental, as the service never documented it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.json import Decoder

from mlrek.formats.columns import check_place, malformed
from mlrek.formats.json_text import show

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


def is_background(class_name: str) -> bool:
    """Whether a class of the service's files is what is no anomaly."""
    return class_name.casefold() == _BACKGROUND


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
        raise ValueError(f"holds the answers of two models: {show(answers[0])}, {show(answers[1])}")
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
        raise malformed(f"the colour of {show(label)}", color.hex_color, "a colour like #23a436")
    red, green, blue = bytes.fromhex(color.hex_color[1:])
    return label, (red, green, blue)
