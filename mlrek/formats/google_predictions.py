"""Batch predictions of Google's image models: lines of JSON -> plain columns.

The legacy service and Vertex AI write other keys, and clients other spellings; one file may hold
shards of either. What a line means is told by its keys.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.formats.google_columns import (
    BadLines,
    Box,
    DataInput,
    ImageColumns,
    check_image,
    check_label,
    make_box,
    read_json_lines,
)
from mlrek.formats.json_text import show

_N_COORDINATES = 4


@dataclass(slots=True, kw_only=True)
class PredictionColumns(ImageColumns):
    """What was predicted; an image may stand there twice.

    `confidence` goes with `label`; `failed` are images that could not be predicted, with what the
    service says.
    """

    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    failed: dict[str, str] = field(default_factory=dict)


class _Instance(Struct):
    content: str = ""


class _Prediction(Struct):
    """As Vertex AI writes it. Boxes are xMin, xMax, yMin, yMax."""

    ids: list[str | int] | None = None
    confidences: list[float] | None = None
    bboxes: list[list[float]] | None = None
    display_names: list[str] | None = key(name="displayNames", default=None)
    snake_names: list[str] | None = key(name="display_names", default=None)


class _Score(Struct):
    score: float = 0.0


class _Vertex(Struct):
    x: float = 0.0
    y: float = 0.0


class _Polygon(Struct):
    normalized: list[_Vertex] | None = key(name="normalizedVertices", default=None)
    snake_normalized: list[_Vertex] | None = key(name="normalized_vertices", default=None)


class _Detected(_Score):
    box: _Polygon | None = key(name="boundingBox", default=None)
    snake_box: _Polygon | None = key(name="bounding_box", default=None)


class _Annotation(Struct):
    """As the legacy service writes it."""

    classification: _Score | None = None
    display_name: str = key(name="displayName", default="")
    snake_name: str = key(name="display_name", default="")
    id: str | int = key(name="annotationSpecId", default="")
    snake_id: str | int = key(name="annotation_spec_id", default="")
    detection: _Detected | None = key(name="imageObjectDetection", default=None)
    snake_detection: _Detected | None = key(name="image_object_detection", default=None)


class _Line(Struct):
    instance: _Instance | str | None = None
    prediction: _Prediction | list[Any] | str | float | None = None
    image: str = key(name="ID", default="")
    annotations: list[_Annotation] | None = None
    error: Any = None
    status: Any = None


_DECODER = Decoder(_Line)

_Record: TypeAlias = tuple[str, float, Box | None]


def parse_predictions(
    inputs: Iterable[DataInput], *, label_names: Mapping[str, str], skip_bad_lines: bool = False
) -> PredictionColumns:
    """The batch predictions of all files.

    Args:
        inputs: The files, shards of one job in order.
        label_names: Labels by Google's ids, for predictions that give ids alone.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        ParseError: A line is malformed.
    """
    reader = _Reader(label_names)
    bad_lines = BadLines("the batch predictions", skip=skip_bad_lines)
    for data in inputs:
        read_json_lines(data, _DECODER, reader.read_line, bad_lines)
    reader.columns.warnings += bad_lines.warn()
    return reader.columns


class _Reader:
    """Fills the columns line by line; a line that raises leaves no trace in them."""

    def __init__(self, label_names: Mapping[str, str]) -> None:
        self.columns = PredictionColumns()
        self._label_names = label_names
        self._is_decided = False

    def read_line(self, line: _Line) -> None:
        """Append what one line says.

        Raises:
            ValueError: The line is malformed.
        """
        image = check_image(_image_of(line))
        if line.prediction is None and line.annotations is None:
            if line.error is None and line.status is None:
                raise ValueError("holds neither a prediction nor an error")
            self.columns.failed.setdefault(image, _message_of(line))
            return
        records = self._read_records(line)
        self._decide(line, records)
        self.columns.append_image(
            image, (label for label, _, _ in records), (box for _, _, box in records if box)
        )
        self.columns.confidence.extend([confidence for _, confidence, _ in records])

    def _read_records(self, line: _Line) -> list[_Record]:
        if line.annotations is not None:
            return [self._read_annotation(annotation) for annotation in line.annotations]
        if not isinstance(line.prediction, _Prediction):
            raise ValueError(  # noqa: TRY004 (the line is malformed, not the program)
                "prediction is not that of an image model trained by AutoML, which has "
                f"displayNames and confidences: {show(line.prediction)}"
            )
        return self._read_prediction(line.prediction)

    def _read_prediction(self, prediction: _Prediction) -> list[_Record]:
        ids = prediction.ids or []
        names = prediction.display_names or prediction.snake_names
        labels = names or [self._name_of(label_id) for label_id in ids]
        confidences = prediction.confidences or []
        boxes: list[Box | None] = [None] * len(labels)
        if prediction.bboxes is not None:
            boxes = list(map(_read_box, prediction.bboxes))
        if not len(labels) == len(confidences) == len(boxes):
            raise ValueError(
                f"prediction holds {len(labels)} labels, {len(confidences)} confidences"
                + (f" and {len(boxes)} boxes" if prediction.bboxes is not None else "")
            )
        return [
            (check_label(label), _check_confidence(confidence), box)
            for label, confidence, box in zip(labels, confidences, boxes, strict=True)
        ]

    def _read_annotation(self, annotation: _Annotation) -> _Record:
        label_id = annotation.id or annotation.snake_id
        label = annotation.display_name or annotation.snake_name or self._name_of(label_id)
        detection = annotation.detection or annotation.snake_detection
        if detection is not None:
            polygon = detection.box or detection.snake_box or _Polygon()
            corners = polygon.normalized or polygon.snake_normalized or []
            box = make_box([corner.x for corner in corners], [corner.y for corner in corners])
            return check_label(label), _check_confidence(detection.score), box
        if annotation.classification is None:
            raise ValueError("an annotation is neither a classification nor a box")
        return check_label(label), _check_confidence(annotation.classification.score), None

    def _name_of(self, label_id: str | int) -> str:
        return self._label_names.get(str(label_id), str(label_id))

    def _decide(self, line: _Line, records: list[_Record]) -> None:
        """Tell boxes from labels by the first line that has either; all others must agree."""
        says_boxes = isinstance(line.prediction, _Prediction) and line.prediction.bboxes is not None
        if not records and not says_boxes:
            return
        has_boxes = says_boxes or records[0][2] is not None
        kinds = {box is not None for _, _, box in records} | {has_boxes}
        if len(kinds) > 1 or (self._is_decided and has_boxes != self.columns.has_boxes):
            raise ValueError("boxes stand beside labels of whole images: these are two models'")
        self.columns.has_boxes, self._is_decided = has_boxes, True


def _image_of(line: _Line) -> str:
    if isinstance(line.instance, _Instance):
        return line.instance.content
    return line.instance or line.image


def _message_of(line: _Line) -> str:
    said = line.status if line.error is None else line.error
    message = said.get("message") if isinstance(said, dict) else said
    return show(message)


def _check_confidence(confidence: float) -> float:
    if not 0 <= confidence <= 1:
        raise ValueError(f"a confidence is {confidence}, not a number from 0 to 1")
    return confidence


def _read_box(bbox: list[float]) -> Box:
    """Vertex AI's order is xMin, xMax, yMin, yMax."""
    if len(bbox) != _N_COORDINATES or bbox[0] > bbox[1] or bbox[2] > bbox[3]:
        raise ValueError(f"a box is not xMin, xMax, yMin, yMax: {show(bbox)}")
    return make_box(bbox[:2], bbox[2:])
