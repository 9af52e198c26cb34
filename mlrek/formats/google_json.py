"""What Google's services write in JSON, field by field, in one spelling; only what is read.

The REST API writes camelCase and the client libraries snake_case: whatever is read is brought to
camelCase first. Only the fields below are respelled, never the keys of a user's own.
"""

import re
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import field as key

Number: TypeAlias = float | None
"""As REST writes it (int64 as a string), as a client library does (all floats), or "NaN"."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | None


class Shape(Struct, rename="camel"):
    """A JSON object of Google's; a field that is left out or null says nothing."""


# ---- a line of batch predictions -----------------------------------------------------------


class Instance(Shape):
    """The image that Vertex AI was asked about."""

    content: str = ""


class Prediction(Shape):
    """As Vertex AI writes it. Boxes are xMin, xMax, yMin, yMax."""

    ids: list[str | int] | None = None
    display_names: list[str] | None = None
    confidences: list[float] | None = None
    bboxes: list[list[float]] | None = None


class Corner(Shape):
    """A coordinate of 0 is left out."""

    x: float = 0.0
    y: float = 0.0


class Polygon(Shape):
    """Two corners of a box, or all four."""

    normalized_vertices: list[Corner] | None = None


class Scored(Shape):
    """How sure a label is, and where its box is."""

    score: float = 0.0
    bounding_box: Polygon | None = None


class Annotation(Shape):
    """As the legacy service writes it."""

    display_name: str = ""
    annotation_spec_id: str | int = ""
    classification: Scored | None = None
    image_object_detection: Scored | None = None


class PredictionLine(Shape):
    """A line of either service; of an image that failed there is an error, or a status."""

    instance: Instance | str | None = None
    prediction: Prediction | list[Any] | str | float | None = None
    image: str = key(name="ID", default="")
    annotations: list[Annotation] | None = None
    error: Any = None
    status: Any = None


# ---- a line of ground truth ----------------------------------------------------------------


class TrueLabel(Shape):
    """A label, or a box with its label; coordinates may be strings, and one of 0 may be missing."""

    display_name: str = ""
    x_min: float | str = 0.0
    x_max: float | str = 0.0
    y_min: float | str = 0.0
    y_max: float | str = 0.0


class TruthLine(Shape):
    """The true labels of one image, as Vertex AI exports them."""

    image_gcs_uri: str = ""
    classification_annotation: TrueLabel | None = None
    classification_annotations: list[TrueLabel] | None = None
    bounding_box_annotations: list[TrueLabel] | None = None
    polygon_annotations: Raw | UnsetType = UNSET
    segmentation_annotation: Raw | UnsetType = UNSET
    data_item_resource_labels: dict[str, str] | None = None


# ---- one spelling --------------------------------------------------------------------------

_CAMEL = {
    snake.encode(): camel.encode()
    for shape in Shape.__subclasses__()
    for snake, camel in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
    if "_" in snake
}
_SNAKE_KEY = re.compile(rb'(?<!\\)"(%b)"(?=\s*:)' % b"|".join(sorted(_CAMEL)))
_LINE_MARKS = (b"display_name", b"annotation_spec_id", b"image_gcs_uri")


def to_camel_case(text: bytes) -> bytes:
    """The same JSON, be it cut somewhere, with its field names as the REST API spells them.

    >>> to_camel_case(b'{"display_name": "display_name", "labels": {"my_team": 1}}')
    b'{"displayName": "display_name", "labels": {"my_team": 1}}'
    """
    return _SNAKE_KEY.sub(lambda match: b'"%b"' % _CAMEL[match[1]], text)


def respell_lines(text: bytes) -> bytes:
    """The same for many lines with images: one of these marks is in each that needs it."""
    return to_camel_case(text) if any(mark in text for mark in _LINE_MARKS) else text
