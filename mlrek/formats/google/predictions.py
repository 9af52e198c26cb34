"""Google's files with a line per image, batch predictions and ground truth -> plain columns.

The legacy service and Vertex AI write other keys; one file may hold shards of either. What a line
means is told by its keys. Ground truth is JSON lines as Vertex AI exports them, or CSV.
"""

import csv
import re
from array import array
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from math import isfinite
from typing import NamedTuple, TypeAlias, TypeVar

from msgspec import UNSET
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Doubt
from mlrek.formats.columns import BadLines, read_lines
from mlrek.formats.google.json import (
    Annotation,
    Instance,
    Polygon,
    Prediction,
    PredictionLine,
    Scored,
    TrueLabel,
    TruthLine,
    respell_lines,
)
from mlrek.formats.json_text import quoted, say_spoilt
from mlrek.formats.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, iter_blocks

T = TypeVar("T")

DataInput: TypeAlias = tuple[str, Iterable[bytes]]
"""The name of a file with a line per image, and its chunks, which are used up once."""

Box: TypeAlias = tuple[float, float, float, float]
"""xMin, yMin, xMax, yMax as shares of the image's width and height, from its upper left corner."""

_ML_USE = "aiplatform.googleapis.com/ml_use"
_N_BOX_CELLS = 8
_N_COORDINATES = 4
_UNDECODABLE = re.compile("[\udc80-\udcff]")
_PREDICTIONS = Decoder(PredictionLine)
_TRUTH = Decoder(TruthLine)


class MlUse(IntEnum):
    """Which part of the data an image belongs to."""

    UNKNOWN = 0
    TEST = 1
    OTHER = 2  # training or validation


_USES = {"": MlUse.UNKNOWN, "unassigned": MlUse.UNKNOWN, "test": MlUse.TEST}


@dataclass(slots=True, kw_only=True)
class ImageColumns:
    """Labels, or boxes with labels, of images in file order; codes are positions in `label_codes`.

    Image i has the next `counts[i]` of `label`, and four numbers each of `boxes` where `has_boxes`.
    """

    images: list[str] = field(default_factory=list)
    label_codes: dict[str, int] = field(default_factory=dict)
    counts: "array[int]" = field(default_factory=lambda: array("i"))
    label: "array[int]" = field(default_factory=lambda: array("i"))
    boxes: "array[float]" = field(default_factory=lambda: array("d"))
    has_boxes: bool = False
    doubts: list[Doubt] = field(default_factory=list)

    def append_image(self, image: str, labels: Iterable[str], boxes: Iterable[Box]) -> None:
        """One more image with its labels, and as many boxes or none.

        Raises:
            ValueError: A label has no name; nothing is appended then.
        """
        known = self.label_codes
        codes = [known[label] if label in known else self._add_label(label) for label in labels]
        self.label.extend(codes)
        self.images.append(image)
        self.counts.append(len(codes))
        for box in boxes:
            self.boxes.extend(box)

    def _add_label(self, label: str) -> int:
        return self.label_codes.setdefault(_check_label(label), len(self.label_codes))


@dataclass(slots=True, kw_only=True)
class PredictionColumns(ImageColumns):
    """What was predicted; an image may stand there twice.

    `confidence` goes with `label`; `failed` are images that could not be predicted, with what the
    service says.
    """

    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class TruthColumns(ImageColumns):
    """The true labels or boxes of images, each once; `use` (codes of `MlUse`) goes with `images`.

    So does `is_labelled` (0 or 1): whether anything is said of the truth, be it that there is none.
    `says_several` tells that the file is one of several labels an image. `repeated` are images that
    stand there more than once; `contradicted` those whose lines differ in the truth, which are none
    of the `images`, and the part of the data that they belong to.
    """

    use: "array[int]" = field(default_factory=lambda: array("b"))
    is_labelled: "array[int]" = field(default_factory=lambda: array("B"))
    repeated: set[str] = field(default_factory=set)
    contradicted: dict[str, MlUse] = field(default_factory=dict)
    says_several: bool = False


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
    reader = _PredictionReader(label_names)
    bad_lines, n_read, last = BadLines(skip=skip_bad_lines), 0, ""
    for last, chunks in inputs:
        n_read += _read_json_lines(last, chunks, _PREDICTIONS, reader.read_line, bad_lines)
    found = reader.columns
    found.doubts += bad_lines.doubt(n_read, "lines of the batch predictions")
    if last and not (found.images or found.failed or found.doubts):
        raise ParseError(last, 0, "is empty: there is no prediction in it")
    return found


def parse_truth(
    inputs: Iterable[DataInput], *, has_boxes: bool, skip_bad_lines: bool = False
) -> TruthColumns:
    """The ground truth of all files, each image once.

    Rows of CSV that name one image are one image: each box and, at Google's import, each label may
    have its row. Lines of JSON that name one image must agree about its truth; else it is left out.

    Args:
        inputs: The files, JSON lines or CSV.
        has_boxes: Whether the true boxes are wanted, or the labels of whole images.
        skip_bad_lines: Leave malformed lines out and count them in a warning.

    Raises:
        ParseError: A line is malformed, or of the other kind.
    """
    reader = _TruthReader(has_boxes=has_boxes)
    bad_lines, n_read = BadLines(skip=skip_bad_lines), 0
    for name, all_chunks in inputs:
        head, chunks = _peek(all_chunks)
        if head and (said := say_spoilt(head)):
            raise ParseError(name, 0, said)
        if head.startswith(b"{"):
            n_read += _read_json_lines(name, chunks, _TRUTH, reader.read_line, bad_lines)
        else:
            n_read += _read_csv_rows(name, chunks, reader.read_row, bad_lines)
    return reader.make_columns([*bad_lines.doubt(n_read, "lines of the ground truth")])


# ---- lines and rows ------------------------------------------------------------------------


def _read_json_lines(
    name: str,
    chunks: Iterable[bytes],
    decoder: Decoder[T],
    read_line: Callable[[int, T], None],
    bad_lines: BadLines,
) -> int:
    """Read every line of a file, a malformed one into `bad_lines`; how many could be read."""
    blocks = (respell_lines(block.text) + b"\n" for block in iter_blocks(chunks, name))
    return read_lines(decoder, blocks, name, read_line, bad_lines)


def _read_csv_rows(
    name: str,
    chunks: Iterable[bytes],
    read_row: Callable[[Sequence[str]], None],
    bad_lines: BadLines,
) -> int:
    """Read every row that is not blank of a CSV file in UTF-8, as `_read_json_lines` does."""
    rows, n_read = csv.reader(_iter_text(name, chunks), strict=True), 0
    while True:
        try:
            row = next(rows)
            if any(map(_UNDECODABLE.search, row)):
                raise ValueError("is not valid UTF-8")  # noqa: TRY301 (as all that ails a row)
            if any(cell.strip() for cell in row):
                read_row(row)
                n_read += 1
        except StopIteration:
            return n_read
        except csv.Error as exc:
            bad_lines.add(rows.line_num, ValueError(f"is not valid CSV: {exc}"), name)
        except ValueError as exc:
            bad_lines.add(rows.line_num, exc, name)


def _peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes that are not blank, and all chunks again."""
    rest, seen, head = iter(chunks), list[bytes](), b""
    while not head and (chunk := next(rest, None)) is not None:
        seen.append(chunk)
        head = b"".join(seen).removeprefix(BYTE_ORDER_MARK).lstrip()
    return head, chain(seen, rest)


def _iter_text(name: str, chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends; bytes that are no UTF-8 become lone surrogates."""
    decoder = getincrementaldecoder("utf-8-sig")("surrogateescape")
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        if len(rest) > MAX_LINE_BYTES:
            raise ParseError(name, 0, "has an endless line: this is no CSV file")
        yield from (f"{line}\n" for line in lines)
    yield rest + decoder.decode(b"", final=True)


def _check_image(image: str) -> str:
    if not image or "\0" in image:
        raise ValueError(f"names no image: {quoted(image)}")
    return image


def _check_label(label: str) -> str:
    if not label or "\0" in label:
        raise ValueError(f"holds a label without a name: {quoted(label)}")
    return label


def _make_box(xs: Sequence[float], ys: Sequence[float]) -> Box:
    """The box around some corners."""
    if min(len(xs), len(ys)) < 2 or not all(map(isfinite, (*xs, *ys))):  # noqa: PLR2004 (corners)
        raise ValueError(
            f"holds a box of no two corners: x {quoted(list(xs))}, y {quoted(list(ys))}"
        )
    return min(xs), min(ys), max(xs), max(ys)


# ---- batch predictions ---------------------------------------------------------------------


class _Predicted(NamedTuple):
    """What was predicted of one image; `boxes` is None where labels of the whole image were."""

    labels: list[str]
    confidences: list[float]
    boxes: list[Box] | None


class _PredictionReader:
    """Fills the columns line by line; a line that raises leaves no trace in them."""

    def __init__(self, label_names: Mapping[str, str]) -> None:
        self.columns = PredictionColumns()
        self._label_names = label_names
        self._is_decided = False

    def read_line(self, _number: int, line: PredictionLine) -> None:
        """Append what one line says.

        Raises:
            ValueError: The line is malformed.
        """
        image = _check_image(_image_of(line))
        if line.prediction is None and line.annotations is None:
            if line.error is None and line.status is None:
                raise ValueError("holds neither a prediction nor an error")
            self.columns.failed.setdefault(image, _message_of(line))
            return
        found = self._read(line)
        if not all(0 <= confidence <= 1 for confidence in found.confidences):
            raise ValueError(f"a confidence is not from 0 to 1: {quoted(found.confidences)}")
        self._decide(found)
        self.columns.append_image(image, found.labels, found.boxes or ())
        self.columns.confidence.extend(found.confidences)

    def _read(self, line: PredictionLine) -> _Predicted:
        if line.annotations is not None:
            return self._read_annotations(line.annotations)
        if not isinstance(line.prediction, Prediction):
            raise ValueError(  # noqa: TRY004 (the line is malformed, not the program)
                "prediction is not that of an image model trained by AutoML, which has "
                f"displayNames and confidences: {quoted(line.prediction)}"
            )
        return self._read_prediction(line.prediction)

    def _read_prediction(self, prediction: Prediction) -> _Predicted:
        labels = prediction.display_names or list(map(self._name_of, prediction.ids or ()))
        confidences, bboxes = prediction.confidences or [], prediction.bboxes
        if len(labels) != len(confidences) or (bboxes is not None and len(bboxes) != len(labels)):
            raise ValueError(
                f"prediction holds {len(labels)} labels, {len(confidences)} confidences"
                + (f" and {len(bboxes)} boxes" if bboxes is not None else "")
            )
        boxes = None if bboxes is None else list(map(_read_box, bboxes))
        return _Predicted(labels, confidences, boxes)

    def _read_annotations(self, annotations: list[Annotation]) -> _Predicted:
        """As the legacy service writes them; none at all may be of either kind."""
        found = _Predicted([], [], [])
        for annotation in annotations:
            scored = annotation.image_object_detection or annotation.classification
            if scored is None:
                raise ValueError("an annotation is neither a classification nor a box")
            found.labels.append(
                annotation.display_name or self._name_of(annotation.annotation_spec_id)
            )
            found.confidences.append(scored.score)
            if annotation.image_object_detection and found.boxes is not None:
                found.boxes.append(_read_polygon(scored))
        return found._replace(boxes=found.boxes or None)

    def _name_of(self, label_id: str | int) -> str:
        return self._label_names.get(str(label_id), str(label_id))

    def _decide(self, found: _Predicted) -> None:
        """Tell boxes from labels by the first line that has either; all others must agree."""
        if not found.labels and found.boxes != []:
            return
        has_boxes = found.boxes is not None
        if (found.boxes and len(found.boxes) < len(found.labels)) or (
            self._is_decided and has_boxes != self.columns.has_boxes
        ):
            raise ValueError("boxes are given with labels of whole images: these are two models'")
        self.columns.has_boxes, self._is_decided = has_boxes, True


def _image_of(line: PredictionLine) -> str:
    if isinstance(line.instance, Instance):
        return line.instance.content
    return line.instance or line.image


def _message_of(line: PredictionLine) -> str:
    said = line.status if line.error is None else line.error
    return quoted(said.get("message") if isinstance(said, dict) else said)


def _read_box(bbox: list[float]) -> Box:
    """Vertex AI's order is xMin, xMax, yMin, yMax."""
    if len(bbox) != _N_COORDINATES or bbox[0] > bbox[1] or bbox[2] > bbox[3]:
        raise ValueError(f"a box is not xMin, xMax, yMin, yMax: {quoted(bbox)}")
    return _make_box(bbox[:2], bbox[2:])


def _read_polygon(scored: Scored) -> Box:
    corners = (scored.bounding_box or Polygon()).normalized_vertices or []
    return _make_box([corner.x for corner in corners], [corner.y for corner in corners])


# ---- ground truth --------------------------------------------------------------------------

_Label: TypeAlias = tuple[str, Box | None]


@dataclass(slots=True)
class _Image:
    use: MlUse
    labels: list[_Label]
    is_labelled: bool = True

    def agrees(self, other: "_Image") -> bool:
        """Whether another line of the image says the same of its truth."""
        known = self.is_labelled and other.is_labelled
        return not known or sorted(self.labels, key=repr) == sorted(other.labels, key=repr)


class _TruthReader:
    """Gathers the images line by line; a line that raises leaves no trace."""

    def __init__(self, *, has_boxes: bool) -> None:
        self._has_boxes = has_boxes
        self._images: dict[str, _Image] = {}
        self._repeated: set[str] = set()
        self._contradicted: set[str] = set()
        self._says_several = False

    def read_line(self, _number: int, line: TruthLine) -> None:
        """Take what a line of JSON says.

        Raises:
            ValueError: The line is malformed.
        """
        name = _check_image(line.image_gcs_uri)
        labels = self._read_labels(line)
        use = _parse_use((line.data_item_resource_labels or {}).get(_ML_USE, ""))
        image = _Image(use=use, labels=labels or [], is_labelled=labels is not None)
        self._says_several |= line.classification_annotations is not None
        known = self._images.setdefault(name, image)
        if known is image:
            return
        self._repeated.add(name)
        if not known.agrees(image):
            self._contradicted.add(name)
        self._images[name] = image if image.is_labelled and not known.is_labelled else known
        self._images[name].use = _join_uses(known.use, image.use)

    def read_row(self, row: Sequence[str]) -> None:
        """Take what a row of CSV says: `[ML_USE,]gs://…,LABEL…`, or a label and a box.

        Raises:
            ValueError: The row is malformed.
        """
        cells = [cell.strip() for cell in row]
        use = "" if "://" in cells[0] else cells.pop(0)
        name = _check_image(cells.pop(0) if cells else "")
        if "://" not in name:
            raise ValueError(f"names no image: {quoted(name)}")
        if self._has_boxes:
            labels = _read_box_cells(cells)
        else:
            labels = [(_check_label(cell), None) for cell in cells if cell]
        part, is_labelled = _parse_use(use), self._has_boxes or bool(labels)
        image = self._images.setdefault(name, _Image(use=part, labels=[], is_labelled=is_labelled))
        new = [label for label in labels if label not in image.labels]
        if len(new) < len(set(labels)):
            self._repeated.add(name)
        image.labels += new
        image.is_labelled |= is_labelled
        image.use = _join_uses(image.use, part)

    def _read_labels(self, line: TruthLine) -> list[_Label] | None:
        """The labels, or boxes, that the line tells; None where it tells nothing of the truth."""
        if line.polygon_annotations is not UNSET or line.segmentation_annotation is not UNSET:
            raise ValueError("holds polygons or masks, which are not read")
        boxes, several = line.bounding_box_annotations, line.classification_annotations
        single = line.classification_annotation
        if self._has_boxes:
            if boxes is None and (several or single):
                raise ValueError("holds labels of the whole image, but the predictions are boxes")
            return None if boxes is None else [_read_true_box(label) for label in boxes]
        if boxes:
            raise ValueError("holds boxes, but the predictions are labels of whole images")
        if several is None and single and single.display_name:
            several = [single]
        if several is None:
            return None
        return [(_check_label(label.display_name), None) for label in several]

    def make_columns(self, doubts: list[Doubt]) -> TruthColumns:
        """All images in the order of their first lines."""
        columns = TruthColumns(
            has_boxes=self._has_boxes,
            says_several=self._says_several,
            repeated=self._repeated - self._contradicted,
            contradicted={name: self._images[name].use for name in sorted(self._contradicted)},
            doubts=doubts,
        )
        for name, image in self._images.items():
            if name in self._contradicted:
                continue
            labels = (label for label, _ in image.labels)
            columns.append_image(name, labels, (box for _, box in image.labels if box))
            columns.use.append(image.use)
            columns.is_labelled.append(image.is_labelled)
        return columns


def _join_uses(one: MlUse, other: MlUse) -> MlUse:
    """What several lines say of an image: it is a test image where any of them says so."""
    return MlUse.TEST if MlUse.TEST in {one, other} else max(one, other)


def _parse_use(text: str) -> MlUse:
    return _USES.get(text.lower(), MlUse.OTHER)


def _read_true_box(label: TrueLabel) -> _Label:
    name = _check_label(label.display_name)
    x_min, x_max, y_min, y_max = map(float, (label.x_min, label.x_max, label.y_min, label.y_max))
    if x_min > x_max or y_min > y_max or not (x_max or y_max):
        raise ValueError(f"a box ends before it begins: {quoted((x_min, y_min, x_max, y_max))}")
    return name, _make_box((x_min, x_max), (y_min, y_max))


def _read_box_cells(cells: Sequence[str]) -> list[_Label]:
    """A label and up to four corners; no label is an image without objects."""
    if not any(cells):
        return []
    label, *coordinates = cells
    corners = coordinates[:_N_BOX_CELLS]
    xs = [float(cell) for cell in corners[0::2] if cell]
    ys = [float(cell) for cell in corners[1::2] if cell]
    return [(_check_label(label), _make_box(xs, ys))]
