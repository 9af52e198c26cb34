"""A version on your own test set: truth and answers -> an evaluation like any other."""

import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Annotated

import numpy as np
from msgspec import Meta, Raw, Struct
from msgspec import field as key
from msgspec.json import Decoder, encode

from mlrek.errors import EvaluationError, ParseError
from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Detections,
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    FloatArray,
    IntArray,
    Outcome,
    Records,
    Reported,
    SourceFile,
    Task,
    order_labels,
)
from mlrek.formats.columns import (
    BadLines,
    ManifestInput,
    RefusedError,
    find_offsets,
    keep_most_confident,
    make_label_sets,
    place_labels,
    read_lines,
)
from mlrek.formats.doubts import doubt_unanswered, find_decided, show_spellings
from mlrek.formats.json_text import LabelName, quoted, quoted_some, say_first
from mlrek.formats.lines import unfold_lines
from mlrek.formats.truth import GroundTruth
from mlrek.metrics.decisions import DEFAULT_THRESHOLD
from mlrek.metrics.doubts import BOX_AREAS, doubt_shared
from mlrek.metrics.test_set import take_rows

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Recorded labels by image of the truth: `offsets` (n_images + 1,), the others a row each.

    `corners` (n, 4) are there only where each row has a box.
    """

    offsets: IntArray
    code: IntArray
    confidence: FloatArray
    has_box: BoolArray
    corners: FloatArray

    @property
    def image_idx(self) -> IntArray:
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def join_own_test_set(
    version: Evaluation,
    truth: GroundTruth,
    responses: Responses,
    files: Sequence[SourceFile] = (),
) -> Evaluation:
    """The evaluation of a version on your own test set.

    Labels stand in the version's order, then further ones alphabetically; its assumed thresholds
    count. Its reported numbers are of another test set and do not come along. An image without an
    answer has no prediction: a miss.

    Args:
        version: Its evaluation by the provider: tells labels, thresholds and task.
        truth: The images and what is true of them.
        responses: What it answered.
        files: What truth and answers were read from.

    Raises:
        EvaluationError: Version, truth and answers are not of one task, or not one answer is of an
            image of the manifest.
    """
    task = _choose_task(version, truth)
    _check_common(truth, responses)
    rows = _place_rows(truth.images, responses)
    used = np.bincount(rows.code, minlength=len(responses.labels)) > 0
    answered = {label for label, code in responses.labels.items() if used[code]}
    labels = order_labels(version.labels, {*truth.labels, *answered})
    rows = replace(rows, code=place_labels(responses.labels, labels)[rows.code])
    true_codes = place_labels(truth.labels, labels)
    is_detection = task == Task.DETECTION
    thresholds = _place_thresholds(version, labels)
    records, repeated = _sort_rows(rows, len(labels), keep=not is_detection)
    return Evaluation(
        version=version.version,
        task=task,
        labels=labels,
        images=truth.images,
        truth=make_label_sets(
            truth.truth.image_idx,
            true_codes[truth.truth.label_idx],
            n_images=len(truth.images),
            n_labels=len(labels),
        ),
        records=records,
        thresholds=thresholds,
        detections=_place_boxes(truth, rows, true_codes) if is_detection else None,
        pos_label=version.pos_label,
        reported=Reported(train_images=version.reported.train_images),
        files=(*files, *(file for file in version.files if file.role == "summary")),
        doubts=(
            *truth.doubts,
            *responses.doubts,
            *_doubt_unanswered(truth.images, responses),
            *_doubt_cut(responses, task, thresholds),
            *doubt_shared(version, truth.images, task),
        ),
        warnings=(
            *truth.warnings,
            *_warn_strangers({*truth.images, *truth.unlabelled}, responses),
            *_warn_labels(version, truth.labels),
            *repeated,
        ),
    )


def _check_common(truth: GroundTruth, responses: Responses) -> None:
    """Refuse answers of other images, which are no proof that a model is always wrong."""
    answered = [*responses.images, *responses.errors]
    if not answered:
        raise EvaluationError("there is not one answer in the file of responses")
    if set(truth.images).isdisjoint(answered):
        raise EvaluationError(
            "not one answer is of an image of the manifest: answers and manifest write "
            f"{show_spellings(answered, truth.images)}; give the answers of this test set, with "
            "`image` exactly as the manifest writes `source-ref`"
        )


def _choose_task(version: Evaluation, truth: GroundTruth) -> Task:
    """The task, where version and truth agree on one.

    Raises:
        EvaluationError: They do not.
    """
    if version.task == Task.SEGMENTATION:
        raise EvaluationError(
            f"{version.version.arn}: finds areas of pixels, which no answer of an endpoint holds; "
            "evaluate versions that name labels or find objects"
        )
    finds_boxes, has_boxes = (task == Task.DETECTION for task in (version.task, truth.task))
    if finds_boxes != has_boxes:
        found, true = (
            "boxes" if one else "labels of the whole image" for one in (finds_boxes, has_boxes)
        )
        raise EvaluationError(
            f"{version.version.arn}: gives {found}, but the manifest has {true}; name an "
            f"attribute with {found} by --attribute, or another manifest"
        )
    is_multilabel = Task.MULTILABEL in {version.task, truth.task}
    return Task.MULTILABEL if is_multilabel else truth.task


def _place_rows(images: Sequence[str], responses: Responses) -> _Rows:
    """The answer of each image, in the order of the images; codes are those of the responses."""
    place = {image: i for i, image in enumerate(responses.images)}
    answer = np.array([place.get(image, -1) for image in images], dtype=np.int64)
    starts = np.asarray(responses.offsets, dtype=np.int64)
    rows, offsets = take_rows(np.append(starts, starts[-1]), answer)  # the last, empty, for -1
    has_box = np.asarray(responses.has_box, dtype=np.bool_)
    boxes = (np.cumsum(has_box) - 1)[rows] if has_box[rows].all() else np.zeros(0, dtype=np.int64)
    return _Rows(
        offsets=offsets,
        code=np.asarray(responses.label, dtype=np.int64)[rows],
        confidence=np.asarray(responses.confidence)[rows],
        has_box=has_box[rows],
        corners=np.asarray(responses.corners).reshape(-1, 4)[boxes],
    )


def _sort_rows(rows: _Rows, n_labels: int, *, keep: bool) -> tuple[Records, tuple[str, ...]]:
    """The records of each image in label order, of several of one label the most confident.

    Raises:
        EvaluationError: There are boxes among them.
    """
    n_images = len(rows.offsets) - 1
    if keep and np.any(rows.has_box):
        raise EvaluationError(
            "the responses hold boxes, but the version and the manifest have labels of the whole "
            "image: they are of another version"
        )
    keys = rows.image_idx * max(n_labels, 1) + rows.code
    kept = keep_most_confident(keys, rows.confidence) if keep else np.zeros(0, dtype=np.int64)
    n_repeated = len(keys) - len(kept) if keep else 0
    said = f"{n_repeated} of {len(keys)} labels stand twice in an answer; the most confident counts"
    records = Records(
        offsets=find_offsets(rows.image_idx[kept], n_images),
        label_idx=rows.code[kept].astype(np.int32),
        confidence=rows.confidence[kept],
        outcome=np.full(len(kept), Outcome.UNKNOWN, dtype=np.uint8),
    )
    return records, (said,) if n_repeated else ()


def _place_thresholds(version: Evaluation, labels: Sequence[str]) -> FloatArray:
    """The version's assumed thresholds; NaN for a label that it does not know."""
    known = dict(zip(version.labels, version.thresholds.tolist(), strict=True))
    return np.array([known.get(label, np.nan) for label in labels], dtype=np.float64)


def _place_boxes(truth: GroundTruth, rows: _Rows, true_codes: IntArray) -> Detections:
    """True and recorded boxes, all in pixels; `true_codes` are the new codes of true labels.

    Raises:
        EvaluationError: A record has no box, or the size of its image is not known.
    """
    assert truth.boxes is not None  # noqa: S101 - for the type checker: `_choose_task` saw to it
    assert truth.image_sizes is not None  # noqa: S101 - same
    image_idx = rows.image_idx
    _check(~rows.has_box, truth, image_idx, "an answer without a box, of a version that finds them")
    unknown = np.asarray(np.isnan(truth.image_sizes[image_idx]).any(axis=1))
    _check(unknown, truth, image_idx, "no image_size in the manifest: found boxes have no place")
    corners = rows.corners * np.tile(truth.image_sizes, 2)[image_idx]
    return Detections(
        truth=Boxes(
            offsets=truth.boxes.offsets,
            label_idx=true_codes[truth.boxes.label_idx].astype(np.int32),
            boxes_xyxy=truth.boxes.boxes_xyxy,
            confidence=truth.boxes.confidence,
            outcome=truth.boxes.outcome,
        ),
        records=Boxes(
            offsets=rows.offsets,
            label_idx=rows.code.astype(np.int32),
            boxes_xyxy=corners,
            confidence=rows.confidence,
            outcome=np.full(len(rows.code), Outcome.UNKNOWN, dtype=np.uint8),
        ),
        image_sizes=truth.image_sizes,
    )


def _check(wrong: BoolArray, truth: GroundTruth, image_idx: IntArray, what: str) -> None:
    if n := np.count_nonzero(wrong):
        first = quoted(truth.images[image_idx[int(np.argmax(wrong))]])
        n_images = len(np.unique(image_idx[wrong]))
        raise EvaluationError(f"{n} boxes on {n_images} images: {what}; first: {first}")


def _doubt_unanswered(images: Sequence[str], responses: Responses) -> Iterator[Doubt]:
    answered, distinct = set(responses.images), dict.fromkeys(images)
    missed = [
        f"{quoted(image)}: {responses.errors[image]}"
        if image in responses.errors
        else quoted(image)
        for image in distinct
        if image not in answered
    ]
    yield from doubt_unanswered(missed, len(distinct))


def _warn_strangers(known: Collection[str], responses: Responses) -> Iterator[str]:
    strange = [i for i in (*responses.images, *responses.errors) if i not in known]
    if strange:
        n = len(responses.images) + len(responses.errors)
        what = "responses are of images that the manifest does not hold, and are left out"
        yield say_first(len(strange), n, what, strange[0])


def _warn_labels(version: Evaluation, labels: Sequence[str]) -> Iterator[str]:
    unknown = [label for label in labels if label not in version.labels]
    if unknown:
        yield (
            f"{len(unknown)} of {len(labels)} labels of the manifest are none of the version's and "
            f"can only be missed: {quoted_some(unknown)}"
        )


def _doubt_cut(responses: Responses, task: Task, thresholds: FloatArray) -> Iterator[Doubt]:
    """What was not asked for is not there: average precision then ends early, as may recall."""
    cut = max((c for c in responses.min_confidence if c is not None), default=0.0)
    if task is Task.DETECTION and cut > 0:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"boxes below {cut:g} % were not asked for (min_confidence): average precision is "
                "a lower bound"
            ),
            touches=BOX_AREAS,
        )
    lowest = np.min(np.nan_to_num(thresholds, nan=DEFAULT_THRESHOLD), initial=1.0)
    if 100 * lowest < cut:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"answers below {cut:g} % were not asked for (min_confidence), while a label "
                f"counts as predicted from {100 * lowest:g} % on: false alarms between the two are "
                "not seen"
            ),
            touches=find_decided(task),
            own_effect=Effect.STOPS,
        )


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
