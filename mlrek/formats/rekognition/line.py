"""One line of a Rekognition manifest: its type, and which of its keys carry labels."""

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import nan
from typing import Annotated, Any, TypeAlias, TypeGuard, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.formats.columns import RefusedError, malformed
from mlrek.formats.json_text import quoted

# The bits of the column `flags`: what the service says of a record.
IS_TRUE_POSITIVE = 1
IS_FALSE_POSITIVE = 2
IS_FALSE_NEGATIVE = 4
IS_TRUE_NEGATIVE = 8
IS_PRESENT = 16  # in the truth of the image
IS_ABSENT = 32

_MODERATION_REASON = (
    "belongs to a custom moderation adapter, whose lines do not stand with those of Custom Labels"
)
DETAILS_KEY = "rekognition-custom-labels-evaluation-details"
SOURCE_KEY = "source-ref"
STATE_KEY = "cl-metadata"
"""Holds what the service knows of a data set's entry: whether somebody has labelled it."""
_METADATA = "-metadata"
_NAMED = re.compile(r"rekognition-custom-labels-(training|evaluation)(?:-[0-9]+)?(?:-metadata)?")
_MODERATION = re.compile(r"content-moderation-groundtruth|detect-moderation-labels(-base-model)?")
_CLASSIFICATION = "groundtruth/image-classification"
_DETECTION = "groundtruth/object-detection"
_VERIFICATION = "groundtruth/label-verification"


class Details(Struct, gc=False, frozen=True, rename=lambda name: "is-" + name.replace("_", "-")):
    """What the service says of a record."""

    true_positive: bool | None = None
    false_positive: bool | None = None
    false_negative: bool | None = None
    true_negative: bool | None = None
    present_in_ground_truth: bool | None = None


class Attribute(Struct, gc=False, rename="kebab"):
    """Any object on a line: metadata of a label attribute, boxes, or what has no meaning here.

    Nothing is known of the types: in an object without meaning they do no harm.
    """

    class_name: Any = None
    confidence: Any = None
    type: Any = None
    human_annotated: Any = None
    details: Details | None = key(name=DETAILS_KEY, default=None)
    annotations: Raw | UnsetType = UNSET
    objects: Raw | UnsetType = UNSET
    image_size: Raw | UnsetType = key(name="image_size", default=UNSET)
    class_map: Any = None
    is_labeled: Any = key(name="is_labeled", default=None)
    failure_reason: Any = None


Value: TypeAlias = Attribute | list[Any] | str | int | float | bool | None
Line: TypeAlias = dict[str, Value]
LINE_DECODER = Decoder(Line)
NUMBERS = frozenset((float, int))  # no bool, which Python takes for one

FLAGS: dict[Details | None, int] = {None: 0} | {
    Details(tp, fp, fn, tn, present): (
        bool(tp) * IS_TRUE_POSITIVE
        + bool(fp) * IS_FALSE_POSITIVE
        + bool(fn) * IS_FALSE_NEGATIVE
        + bool(tn) * IS_TRUE_NEGATIVE
        + {True: IS_PRESENT, False: IS_ABSENT, None: 0}[present]
    )
    for tp, fp, fn, tn, present in product((True, False, None), repeat=5)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelKeys:
    """The keys of the metadata of a line's label attributes.

    `unnamed` are those under the customer's own names, on a line without the service's names.
    """

    truth: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()


T = TypeVar("T")

_Pixels: TypeAlias = Annotated[float, Meta(ge=-(2**31), le=2**31)]
_Extent: TypeAlias = Annotated[float, Meta(ge=0, le=2**31)]


class _Box(Struct, gc=False):
    class_id: int | str
    left: _Pixels
    top: _Pixels
    width: _Extent
    height: _Extent


class _Object(Struct, gc=False):
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    details: Details | None = key(name=DETAILS_KEY, default=None)


class _Size(Struct, gc=False):
    width: _Extent | None = None
    height: _Extent | None = None


_BOXES = Decoder(list[_Box])
_OBJECTS = Decoder(list[_Object])
_SIZES = Decoder(list[_Size] | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineBoxes:
    """The boxes of one attribute: label codes, corners one after the other, confidence, flags.

    `size` is width and height of the image, NaN where not told.
    """

    label: Sequence[int]
    corners: Sequence[float]
    confidence: Sequence[float]
    flags: Sequence[int]
    size: tuple[float, float]


@dataclass(slots=True, kw_only=True)
class BoxRows:
    """Boxes in file order: the image of each, its label code, its corners left, top, right, bottom.

    True boxes have no `confidence` and `flags`. `attributes` are the images with such an attribute,
    be it empty; one that stands twice has two.
    """

    attributes: "array[int]" = field(default_factory=lambda: array("i"))
    image: "array[int]" = field(default_factory=lambda: array("i"))
    label: "array[int]" = field(default_factory=lambda: array("i"))
    corners: "array[float]" = field(default_factory=lambda: array("d"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    flags: "array[int]" = field(default_factory=lambda: array("B"))

    def add(self, image: int, boxes: LineBoxes) -> None:
        """Append the boxes of one attribute of an image."""
        self.attributes.append(image)
        self.image.extend([image] * len(boxes.label))
        self.label.extend(boxes.label)
        self.corners.extend(boxes.corners)
        self.confidence.extend(boxes.confidence)
        self.flags.extend(boxes.flags)


@dataclass(slots=True, kw_only=True)
class BoxColumns:
    """All boxes of a manifest. `sizes` are width and height of the image of each attribute."""

    truth: BoxRows = field(default_factory=BoxRows)
    records: BoxRows = field(default_factory=BoxRows)
    size_image: "array[int]" = field(default_factory=lambda: array("i"))
    sizes: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, image: int, truth: Sequence[LineBoxes], records: Sequence[LineBoxes]) -> None:
        """Append the boxes of one image."""
        for rows, attributes in ((self.truth, truth), (self.records, records)):
            for boxes in attributes:
                rows.add(image, boxes)
                self.size_image.append(image)
                self.sizes.extend(boxes.size)


def find_keys(names: tuple[str, ...]) -> LabelKeys:
    """Which keys of a line are label attributes: the service's, else any that have metadata."""
    present = frozenset(names)
    found: dict[str, list[str]] = {"training": [], "evaluation": []}
    for name in names:
        if _MODERATION.fullmatch(name):
            raise RefusedError(_MODERATION_REASON)
        if match := _NAMED.fullmatch(name):
            value_name = name.removesuffix(_METADATA)
            if not present.issuperset((value_name, value_name + _METADATA)):
                raise ValueError(f"{value_name} and {value_name}{_METADATA} do not stand together")
            if name != value_name:
                found[match[1]].append(name)
    if any(found.values()):
        return LabelKeys(truth=tuple(found["training"]), evaluation=tuple(found["evaluation"]))
    unnamed = (name + _METADATA for name in names if name != SOURCE_KEY)
    return LabelKeys(unnamed=tuple(name for name in unnamed if name in present))


def find_label_keys(line: Line) -> LabelKeys:
    """Which keys of a line of any kind are true labels and which are records, none left unnamed.

    Raises:
        ValueError: The line is malformed.
        RefusedError: It is of a kind that is not read.
    """
    keys = find_keys(tuple(line))
    return _sort_unnamed(line, keys.unnamed) if keys.unnamed else keys


def find_labels(line: Line, keys: LabelKeys) -> tuple[list[Attribute], list[Attribute]]:
    """The metadata of the true labels and of the records that are of the image as a whole.

    Raises:
        ValueError: The line is malformed.
    """
    truth = [_get_labelled(line, name) for name in keys.truth if not has_boxes(line, name)]
    records = [_get_record(line, name) for name in keys.evaluation if not has_boxes(line, name)]
    return truth, records


def is_unlabelled(line: Line) -> bool:
    """Whether a line says that nobody has labelled its image, or that labelling it failed."""
    state = line.get(STATE_KEY)
    if isinstance(state, Attribute) and state.is_labeled is False:
        return True
    return any(
        isinstance(value, Attribute) and value.failure_reason and value.type != _VERIFICATION
        for value in line.values()
    )


def get_metadata(line: Line, name: str) -> Attribute:
    """The metadata that a key holds.

    Raises:
        ValueError: It holds something else.
    """
    metadata = line[name]
    if not isinstance(metadata, Attribute):
        raise malformed(name, metadata, "a JSON object")
    return metadata


def get_value(line: Line, name: str) -> object:
    """The value that the metadata under `name` is of."""
    return line[name.removesuffix(_METADATA)]


def has_boxes(line: Line, name: str) -> bool:
    """Whether the label attribute whose metadata stands under `name` is boxes."""
    metadata = get_metadata(line, name)
    if metadata.class_name is not None:
        return False
    value = get_value(line, name)
    has_annotations = isinstance(value, Attribute) and value.annotations is not UNSET
    return has_annotations or metadata.type == _DETECTION


def is_label(name: object) -> TypeGuard[str]:
    """Whether a class-name names a class; no store takes a NUL."""
    return isinstance(name, str) and name != "" and "\0" not in name


def _sort_unnamed(line: Line, names: tuple[str, ...]) -> LabelKeys:
    """What a machine wrote, with details of its evaluation, is a record; other labels are truth."""
    truth, evaluation = [], []
    for name in names:
        metadata = line[name]
        if not isinstance(metadata, Attribute) or metadata.type == _VERIFICATION:
            continue
        is_boxes = has_boxes(line, name)
        if metadata.human_annotated == "no" and _has_details(metadata):
            evaluation.append(name)
        elif is_boxes or metadata.class_name is not None or metadata.type == _CLASSIFICATION:
            truth.append(name)
    return LabelKeys(truth=tuple(truth), evaluation=tuple(evaluation))


def _has_details(metadata: Attribute) -> bool:
    """Whether the service says what it made of the label, or of some box."""
    return metadata.details is not None or DETAILS_KEY.encode() in bytes(metadata.objects or b"")


def _get_record(line: Line, name: str) -> Attribute:
    metadata = _get_labelled(line, name)
    confidence = metadata.confidence
    if type(confidence) not in NUMBERS or not 0 <= confidence <= 1:
        raise malformed(f"confidence in {name}", confidence, "a number from 0 to 1")
    return metadata


def _get_labelled(line: Line, name: str) -> Attribute:
    metadata = get_metadata(line, name)
    if not is_label(metadata.class_name):
        raise malformed(f"class-name in {name}", metadata.class_name, "a label")
    return metadata


def find_boxes(
    line: Line, keys: LabelKeys, codes: Mapping[str, int]
) -> tuple[list[LineBoxes], list[LineBoxes]]:
    """The true boxes and the recorded ones, attribute by attribute.

    Args:
        line: A line of any kind.
        keys: Its label attributes.
        codes: Label -> code; gives a new label the next one.

    Raises:
        ValueError: Boxes are malformed, or not as many as there are objects.
    """
    truth = [_parse(line, name, codes) for name in keys.truth if has_boxes(line, name)]
    records = [
        _parse(line, name, codes, is_record=True)
        for name in keys.evaluation
        if has_boxes(line, name)
    ]
    return truth, records


def _parse(
    line: Line, name: str, codes: Mapping[str, int], *, is_record: bool = False
) -> LineBoxes:
    value, metadata = get_value(line, name), get_metadata(line, name)
    if not isinstance(value, Attribute):
        raise malformed(name.removesuffix("-metadata"), value, "an object with annotations")
    boxes = _decode(_BOXES, value.annotations, name, "annotations")
    objects: list[_Object] = []
    if metadata.objects is not UNSET or is_record:
        objects = _decode(_OBJECTS, metadata.objects, name, "objects")
        if len(objects) != len(boxes):
            many = f"{len(boxes)} annotations, but {len(objects)} objects"
            raise ValueError(f"{name} does not match its annotations: {many}")
    by_id = _find_classes({str(box.class_id) for box in boxes}, metadata.class_map, name, codes)
    return LineBoxes(
        label=[by_id[str(box.class_id)] for box in boxes],
        corners=[x for b in boxes for x in (b.left, b.top, b.left + b.width, b.top + b.height)],
        confidence=[nan if o.confidence is None else o.confidence for o in objects if is_record],
        flags=[FLAGS[o.details] for o in objects if is_record],
        size=_find_size(value.image_size, name),
    )


def _decode(decoder: Decoder[T], raw: Raw | UnsetType, name: str, what: str) -> T:
    try:
        return decoder.decode(b"[]" if isinstance(raw, UnsetType) else raw)
    except ValueError as exc:
        raise ValueError(f"{what} of {name}: {exc}") from exc


def _find_classes(
    class_ids: Iterable[str], class_map: object, name: str, codes: Mapping[str, int]
) -> Mapping[str, int]:
    """Label codes of this attribute's classes; the next line may number them in another way."""
    if not isinstance(class_map, dict):
        class_map = {}
    by_id = {}
    for class_id in class_ids:
        label = class_map.get(class_id)
        if not is_label(label):
            raise malformed(
                f"class {quoted(class_id)} in the class-map of {name}", label, "a label"
            )
        by_id[class_id] = codes[label]
    return by_id


def _find_size(raw: Raw | UnsetType, name: str) -> tuple[float, float]:
    sizes = _decode(_SIZES, raw, name, "image_size") or [_Size()]
    return sizes[0].width or nan, sizes[0].height or nan
