"""Saved answers of DetectCustomLabels: lines -> `Responses`."""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Annotated

from msgspec import Meta, Raw, Struct
from msgspec import field as key
from msgspec.json import Decoder, encode

from mlrek.errors import ParseError
from mlrek.evaluation import (
    Doubt,
)
from mlrek.formats.columns import (
    BadLines,
    ManifestInput,
    RefusedError,
    read_lines,
)
from mlrek.formats.json_text import LabelName, quoted
from mlrek.formats.lines import unfold_lines

_Percent = Annotated[float, Meta(ge=0, le=100.001)]  # 32-bit numbers may end a little above 100
_Edge = Annotated[float, Meta(ge=-10, le=10)]  # boxes may reach over the edge
_Place = Annotated[str, Meta(min_length=1, pattern=r"\A[^\0]+\Z")]


class _Box(Struct, rename="pascal", gc=False):
    left: _Edge
    top: _Edge
    width: Annotated[float, Meta(ge=0, le=10)]
    height: Annotated[float, Meta(ge=0, le=10)]


class _Geometry(Struct, rename="pascal", gc=False):
    bounding_box: _Box | None = None


class _Label(Struct, rename="pascal", gc=False):
    name: LabelName
    confidence: _Percent
    geometry: _Geometry | None = None


class _Response(Struct, rename="pascal", gc=False):
    custom_labels: list[_Label]


class _Line(Struct, gc=False):
    image: _Place | None = None
    source_ref: _Place | None = key(name="source-ref", default=None)
    response: _Response | None = None
    custom_labels: list[_Label] | None = key(name="CustomLabels", default=None)
    error: str | None = None
    min_confidence: _Percent | None = None
    version_arn: str | None = None


_DECODER = Decoder(_Line)

_ONE_ANSWER = (
    "is an answer of DetectCustomLabels that names no image; this makes a line of it: "
    "`jq -c '{image: \"s3://BUCKET/KEY\", response: .}' FILE`"
)
_IN_FRACTIONS = (
    "its confidences are fractions (none is above 1), but DetectCustomLabels gives percent; "
    "multiply them by 100: "
    "`jq -c '(.. | objects | select(has(\"Confidence\")).Confidence) *= 100' FILE`"
)
_HIGHEST_FRACTION = 1.0001 / 100  # of 32-bit numbers
_BY_IMAGE = re.compile(
    rb'\{\s*"(?!(?:response|CustomLabels)")[^"\\]+"\s*:\s*'
    rb'(?:\{\s*"(?:CustomLabels|ResponseMetadata)"|\[\s*(?:\]|\{\s*"(?:Name|Confidence|Geometry)"))'
)


@dataclass(slots=True, kw_only=True)
class Responses:
    """The answers, in file order; label codes are positions in `labels`.

    Answer i is of image `images[i]` and has the rows `offsets[i]:offsets[i + 1]` of `label`,
    `confidence` (0 to 1) and `has_box` (0 or 1). `corners` are those of all boxes, four each:
    left, top, right, bottom as shares of the image's size. `errors` are images without an answer,
    and why.
    """

    images: list[str] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    offsets: "array[int]" = field(default_factory=lambda: array("q", [0]))
    label: "array[int]" = field(default_factory=lambda: array("i"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    has_box: "array[int]" = field(default_factory=lambda: array("B"))
    corners: "array[float]" = field(default_factory=lambda: array("d"))
    errors: dict[str, str] = field(default_factory=dict)
    min_confidence: set[float | None] = field(default_factory=set)
    doubts: tuple[Doubt, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Fills the columns."""

    version_arns: frozenset[str]
    responses: Responses = field(default_factory=Responses)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)  # answer and line by image

    def read(self, number: int, line: _Line) -> None:
        """Append one line.

        Raises:
            ValueError: It is malformed.
            RefusedError: It is of another version, or contradicts an earlier line.
        """
        image = line.image or line.source_ref
        if image is None:
            answers = line.custom_labels is not None
            raise ValueError(_ONE_ANSWER if answers else "names no image: `image` is missing")
        self._check_version(line)
        labels = line.custom_labels if line.response is None else line.response.custom_labels
        if labels is None:
            if line.error is None:
                raise ValueError("has neither a `response` nor an `error`")
            if image not in self.places:
                self.responses.errors[image] = line.error
            return
        self.responses.errors.pop(image, None)
        if image in self.places:
            self._check_same(image, labels)
            return
        self.places[image] = len(self.responses.images), number
        self._append(image, labels)
        self.responses.min_confidence.add(line.min_confidence)

    def _append(self, image: str, labels: Sequence[_Label]) -> None:
        columns, codes = self.responses, self.responses.labels
        columns.images.append(image)
        columns.label.extend([codes.setdefault(label.name, len(codes)) for label in labels])
        columns.confidence.extend([_share(label) for label in labels])
        boxes = [_corners(label) for label in labels]
        columns.has_box.extend(map(bool, boxes))
        columns.corners.extend(chain.from_iterable(boxes))
        columns.offsets.append(len(columns.label))

    def _check_same(self, image: str, labels: Sequence[_Label]) -> None:
        """Whether a second answer is the first once more, in whatever order."""
        i, earlier = self.places[image]
        codes = self.responses.labels
        rows = ((codes.get(label.name), _share(label), _corners(label)) for label in labels)
        if sorted(map(repr, rows)) != sorted(map(repr, self._read_rows(i))):
            raise RefusedError(
                f"answers {quoted(image)} in another way than line {earlier}: keep one of them"
            )

    def _read_rows(self, i: int) -> Iterator[tuple[int, float, tuple[float, ...]]]:
        """What answer i says: code, confidence and corners of each label."""
        columns, start = self.responses, self.responses.offsets[i]
        n_boxes = sum(columns.has_box[:start])
        for k in range(start, columns.offsets[i + 1]):
            corners = columns.corners[4 * n_boxes : 4 * n_boxes + 4] if columns.has_box[k] else ()
            n_boxes += columns.has_box[k]
            yield columns.label[k], columns.confidence[k], tuple(corners)

    def _check_version(self, line: _Line) -> None:
        arn = line.version_arn
        if arn and self.version_arns and arn not in self.version_arns:
            raise RefusedError(f"is the answer of another version: {quoted(arn)}; use its own file")


def parse_responses(
    file: ManifestInput,
    *,
    version_arns: Sequence[str] = (),
    skip_bad_lines: bool = False,
    is_own: bool = False,
) -> Responses:
    """Every answer of a file; an image has at most one.

    Args:
        file: The file as it is read.
        version_arns: Whose answers they may be, where a line tells; none: anybody's.
        skip_bad_lines: Leave malformed lines out, counted in a warning, instead of failing.
        is_own: The file is one that mlrek writes itself, as the service answers: lines, in percent.

    Raises:
        ParseError: A line is malformed, of another version, or answers anew in another way; or no
            confidence is above 1, as where somebody made fractions of them.
    """
    bad_lines = BadLines(file.uri, skip=skip_bad_lines)
    reader = _Reader(version_arns=frozenset(version_arns))
    chunks = file.chunks
    if not is_own:
        chunks = unfold_lines(chunks, file.uri, _list_by_image, _BY_IMAGE)
    read_lines(_DECODER, chunks, file.uri, reader.read, bad_lines)
    responses = reader.responses
    n_read = len(responses.images) + len(responses.errors)
    if not is_own and max(responses.confidence, default=1) <= _HIGHEST_FRACTION:
        raise ParseError(file.uri, 0, _IN_FRACTIONS)
    responses.doubts = tuple(bad_lines.doubt(n_read, "lines of answers"))
    return responses


def _list_by_image(document: Mapping[str, Raw]) -> Iterable[bytes] | None:
    """The lines that an object of answers by image stands for; None: it is a line itself.

    Raises:
        ValueError: It is one answer, of which image nobody knows.
    """
    if document.keys() & {"image", "source-ref"}:
        return None
    if "CustomLabels" in document:
        raise ValueError(_ONE_ANSWER)
    if not all(bytes(answer).lstrip()[:1] in {b"{", b"["} for answer in document.values()):
        return None
    return [
        encode({"image": image, _find_place(answer): answer}) for image, answer in document.items()
    ]


def _find_place(answer: Raw) -> str:
    """The key of a line that an answer belongs under: the whole of it, or its labels alone."""
    return "CustomLabels" if bytes(answer).lstrip().startswith(b"[") else "response"


def _share(label: _Label) -> float:
    return min(label.confidence / 100, 1.0)


def _corners(label: _Label) -> tuple[float, ...]:
    """Left, top, right, bottom; nothing for a label of the whole image."""
    box = label.geometry.bounding_box if label.geometry else None
    return (box.left, box.top, box.left + box.width, box.top + box.height) if box else ()
