"""The boxes on a line of a Rekognition manifest: JSON -> plain columns."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Annotated, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.formats.columns import malformed
from mlrek.formats.json_text import show
from mlrek.formats.rekognition_line import (
    DETAILS_KEY,
    FLAGS,
    Attribute,
    Details,
    LabelKeys,
    Line,
    get_metadata,
    get_value,
    has_boxes,
    is_label,
)

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
            raise malformed(f"class {show(class_id)} in the class-map of {name}", label, "a label")
        by_id[class_id] = codes[label]
    return by_id


def _find_size(raw: Raw | UnsetType, name: str) -> tuple[float, float]:
    sizes = _decode(_SIZES, raw, name, "image_size") or [_Size()]
    return sizes[0].width or nan, sizes[0].height or nan
