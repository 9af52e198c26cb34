"""Batch predictions of Google's image models: lines of JSON -> plain columns.

The legacy service and Vertex AI write other keys, and clients other spellings; one file may hold
shards of either. What a line means is told by its keys.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.columns import BadLines, read_lines
from mlrek.formats.google_columns import (
    Box,
    DataInput,
    ImageColumns,
    check_image,
    make_box,
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


class _Found(NamedTuple):
    """What was predicted of one image; `boxes` is None where labels of the whole image were."""

    labels: list[str]
    confidences: list[float]
    boxes: list[Box] | None


def parse_predictions(
    inputs: Iterable[DataInput], *, label_names: Mapping[str, str], skip_bad_lines: bool = False
) -> PredictionColumns:
    """The batch predictions of all files.

    Args:
        inputs: The files, shards of one job in order.
        label_names: Labels by Google's ids, for predictions that give ids alone.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        ParseError: A line is malformed, or all files together hold none.
    """
    reader = _Reader(label_names)
    bad_lines, n_read, last = BadLines(skip=skip_bad_lines), 0, ""
    for data in inputs:
        n_read += read_lines(_DECODER, data.chunks, data.name, reader.read_line, bad_lines)
        last = data.name
    found = reader.columns
    found.doubts += bad_lines.doubt(n_read, "lines of the batch predictions")
    if last and not (found.images or found.failed or found.doubts):
        raise ParseError(last, 0, "is empty: there is no prediction in it")
    return found


class _Reader:
    """Fills the columns line by line; a line that raises leaves no trace in them."""

    def __init__(self, label_names: Mapping[str, str]) -> None:
        self.columns = PredictionColumns()
        self._label_names = label_names
        self._is_decided = False

    def read_line(self, _number: int, line: _Line) -> None:
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
        found = self._read(line)
        if not all(0 <= confidence <= 1 for confidence in found.confidences):
            raise ValueError(f"a confidence is not from 0 to 1: {show(found.confidences)}")
        self._decide(found)
        self.columns.append_image(image, found.labels, found.boxes or ())
        self.columns.confidence.extend(found.confidences)

    def _read(self, line: _Line) -> _Found:
        if line.annotations is not None:
            return self._read_annotations(line.annotations)
        if not isinstance(line.prediction, _Prediction):
            raise ValueError(  # noqa: TRY004 (the line is malformed, not the program)
                "prediction is not that of an image model trained by AutoML, which has "
                f"displayNames and confidences: {show(line.prediction)}"
            )
        return self._read_prediction(line.prediction)

    def _read_prediction(self, prediction: _Prediction) -> _Found:
        labels = prediction.display_names or prediction.snake_names
        if not labels:
            labels = [self._name_of(label_id) for label_id in prediction.ids or ()]
        confidences, bboxes = prediction.confidences or [], prediction.bboxes
        if len(labels) != len(confidences) or (bboxes is not None and len(bboxes) != len(labels)):
            raise ValueError(
                f"prediction holds {len(labels)} labels, {len(confidences)} confidences"
                + (f" and {len(bboxes)} boxes" if bboxes is not None else "")
            )
        boxes = None if bboxes is None else list(map(_read_box, bboxes))
        return _Found(labels, confidences, boxes)

    def _read_annotations(self, annotations: list[_Annotation]) -> _Found:
        """As the legacy service writes them; none at all may be of either kind."""
        labels: list[str] = []
        confidences: list[float] = []
        boxes: list[Box] = []
        for annotation in annotations:
            label_id = annotation.id or annotation.snake_id
            name = annotation.display_name or annotation.snake_name or self._name_of(label_id)
            detection = annotation.detection or annotation.snake_detection
            score = detection or annotation.classification
            if score is None:
                raise ValueError("an annotation is neither a classification nor a box")
            labels.append(name)
            confidences.append(score.score)
            if detection is not None:
                boxes.append(_read_polygon(detection))
        return _Found(labels, confidences, boxes or None)

    def _name_of(self, label_id: str | int) -> str:
        return self._label_names.get(str(label_id), str(label_id))

    def _decide(self, found: _Found) -> None:
        """Tell boxes from labels by the first line that has either; all others must agree."""
        if not found.labels and found.boxes != []:
            return
        has_boxes = found.boxes is not None
        if (found.boxes and len(found.boxes) < len(found.labels)) or (
            self._is_decided and has_boxes != self.columns.has_boxes
        ):
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


def _read_box(bbox: list[float]) -> Box:
    """Vertex AI's order is xMin, xMax, yMin, yMax."""
    if len(bbox) != _N_COORDINATES or bbox[0] > bbox[1] or bbox[2] > bbox[3]:
        raise ValueError(f"a box is not xMin, xMax, yMin, yMax: {show(bbox)}")
    return make_box(bbox[:2], bbox[2:])


def _read_polygon(detection: _Detected) -> Box:
    polygon = detection.box or detection.snake_box or _Polygon()
    corners = polygon.normalized or polygon.snake_normalized or []
    return make_box([corner.x for corner in corners], [corner.y for corner in corners])
