"""The forms in which people keep truth and predictions: one table, a row a form, by content.

`read_truth` and `read_answers` try the rows from the top; the first that a file seems to be counts.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from mlrek.errors import EvaluationError, ParseError, UsageError
from mlrek.evaluation import Boxes, Doubt, DoubtKind, Outcome, Task
from mlrek.formats.coco import (
    read_coco_answers,
    read_coco_truth,
    seems_coco_answers,
    seems_coco_truth,
)
from mlrek.formats.columns import ManifestInput, find_offsets, keep_most_confident
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.folders import read_label_folders, seems_label_folders
from mlrek.formats.json_text import join_some, peek_inside, quoted, say_spoilt
from mlrek.formats.predictions import Answers
from mlrek.formats.predictions.responses import Responses, parse_responses
from mlrek.formats.tables import (
    explain_no_table,
    list_column_names,
    read_table_answers,
    read_table_truth,
    seems_own_table,
    seems_table,
)
from mlrek.formats.truth import GroundTruth, parse_ground_truth
from mlrek.formats.yolo import read_yolo_answers, read_yolo_truth, seems_yolo

if TYPE_CHECKING:
    from mlrek.evaluation import Evaluation

HELP: Final = "`mlrek sync --help-formats` lists what is read"

WIDTH: Final = 92
_INDENT: Final = " " * 6

_PARQUET: Final = b"PAR1"
_OF_MLREK: Final = re.compile(rb'\x05mlrek\x18.{1,5}\{"schema_version"', re.DOTALL)
_TAIL: Final = 64 << 20  # bytes at the end of a Parquet file among which its metadata are
_ANSWERS: Final = re.compile(
    rb'"CustomLabels"\s*:|"response"\s*:\s*\{'
    rb'|"\s*:\s*\[\s*\{\s*"(?:Name|Confidence|Geometry)"\s*:'
)
_ENTRIES: Final = re.compile(rb'"DatasetEntries"\s*:')
_PLACE: Final = re.compile(rb'\\?"source-ref\\?"\s*:')
_METADATA: Final = re.compile(rb'-metadata\\?"\s*:\s*\{')
_ONLY_PLACE: Final = re.compile(rb'\{\s*"source-ref"\s*:\s*"[^"]*"\s*\}')
_BEGIN: Final = 60

_OF_TRUTH: Final = frozenset(
    (
        DoubtKind.TRUTH_UNKNOWN,
        DoubtKind.IMAGES_REPEATED,
        DoubtKind.IMAGES_MISSING,
        DoubtKind.LINES_SKIPPED,
    )
)
"""Doubts of an evaluation that are about its truth."""
_OF_ANSWERS: Final = frozenset((DoubtKind.RECORDS_PARTIAL, DoubtKind.UNANSWERED))
"""Those that are about its predictions, and do not show in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for besides the files; see `parse_ground_truth` and `parse_responses`."""

    attributes: tuple[str, ...] = ()
    version_arns: tuple[str, ...] = ()
    skip_bad_lines: bool = False


TruthReader: TypeAlias = Callable[[Files, Asked], GroundTruth]
AnswersReader: TypeAlias = Callable[[Files, Asked], Answers]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    """A form that files may have. `truth` and `answers` read it, None where it holds no such.

    `name` is how a sentence names it; `looks` is what a person sees of it.
    """

    name: str
    looks: str
    seems: Callable[[Files], bool]
    truth: TruthReader | None = None
    answers: AnswersReader | None = None
    has_attributes: bool = False


def read_truth(
    files: Files, *, attributes: Sequence[str] = (), skip_bad_lines: bool = False
) -> GroundTruth:
    """What files say is true of their images, whatever their form.

    Args:
        files: One file, or all below a folder.
        attributes: Of a Ground Truth manifest only these label attributes count; none: all.
        skip_bad_lines: Leave malformed lines out, counted in a doubt, instead of failing.

    Raises:
        ParseError: It is of no form that is read, holds predictions alone, or is malformed.
        UsageError: It holds several kinds of truth, or not the attribute that was asked for.
    """
    form = recognise(files)
    if form.truth is None:
        reason = f"is {form.name}: predictions, not truth; give the truth of the images instead"
        raise ParseError(files.uri, 0, reason)
    if attributes and not form.has_attributes:
        raise UsageError(
            f"{files.uri}: is {form.name}, which has no label attributes; leave --attribute out"
        )
    asked = Asked(attributes=tuple(attributes), skip_bad_lines=skip_bad_lines)
    return form.truth(files, asked)


def read_answers(
    files: Files, *, version_arns: Sequence[str] = (), skip_bad_lines: bool = False
) -> Answers:
    """What a model said of images, whatever the form of the files.

    Args:
        files: One file, or all below a folder.
        version_arns: Whose answers they may be, where saved answers tell; none: anybody's.
        skip_bad_lines: Leave malformed lines out, counted in a doubt, instead of failing.

    Raises:
        ParseError: It is of no form that is read, holds truth alone, or is malformed.
    """
    form = recognise(files)
    if form.answers is None:
        reason = (
            f"is {form.name}: truth, not predictions; give it as the truth (--truth, with "
            "`mlrek evaluate` --on) and name the file that the model wrote"
        )
        raise ParseError(files.uri, 0, reason)
    return form.answers(
        files, Asked(version_arns=tuple(version_arns), skip_bad_lines=skip_bad_lines)
    )


def recognise(files: Files) -> FileForm:
    """The first form of the table that files seem to have.

    Raises:
        ParseError: They have none.
    """
    found = next((form for form in FORMS if form.seems(files)), None)
    if found is None and _PLACE.search(peek_inside(files.head)):
        return _MANIFEST  # whose reader says what is wrong with it
    if found is None:
        raise ParseError(files.uri, 0, f"{_say_unknown(files)}; {HELP}")
    return found


def may_hold_both(files: Files) -> bool:
    """Whether files are of a form that can hold predictions together with their truth."""
    found = next((form for form in FORMS if form.seems(files)), None)
    return found is not None and None not in {found.truth, found.answers}


def is_stored(files: Files) -> bool:
    """Whether they are an `evaluation.parquet` of mlrek's."""
    return files.head.startswith(_PARQUET) and bool(_OF_MLREK.search(_read_tail(files)))


def read_stored(files: Files) -> "Evaluation":
    """The evaluation that an `evaluation.parquet` holds.

    Raises:
        ParseError: It is damaged, or a later mlrek wrote it.
    """
    from mlrek.formats.stored import load_stored

    try:
        return load_stored(files.read_whole())
    except EvaluationError as exc:
        raise ParseError(files.uri, 0, str(exc)) from exc


def doubt_chosen(stored: "Evaluation") -> Iterator[Doubt]:
    """That a service chose the thresholds on this very test set, whoever logs it now."""
    from mlrek.metrics.doubts import find_touched, is_fitted

    if is_fitted(stored):
        yield Doubt(
            kind=DoubtKind.THRESHOLDS_FITTED,
            text=f"the assumed thresholds were chosen on this test set, for {stored.version.arn}",
            touches=find_touched(stored.task, ""),
        )


def convert_responses(responses: Responses) -> Answers:
    """Saved answers of DetectCustomLabels as those of any model.

    Of several entries of one label of the whole image the most confident counts.

    Raises:
        EvaluationError: Some answers have boxes and others have none.
    """
    offsets = np.asarray(responses.offsets, dtype=np.int64)
    n_images = len(responses.images)
    image_idx = np.repeat(np.arange(n_images), np.diff(offsets))
    label_idx = np.asarray(responses.label, dtype=np.int32)
    confidence = np.asarray(responses.confidence, dtype=np.float64)
    has_box = np.asarray(responses.has_box, dtype=np.bool_)
    doubts = (*responses.doubts, *_doubt_unasked(responses))
    if has_box.any():
        if not has_box.all():
            raise EvaluationError(
                f"{np.count_nonzero(~has_box)} of {len(has_box)} labels of the answers have no "
                "box, the others have: they are of two versions"
            )
        return Answers(
            images=tuple(responses.images),
            labels=tuple(responses.labels),
            offsets=np.zeros(n_images + 1, dtype=np.int64),
            label_idx=np.zeros(0, dtype=np.int32),
            confidence=np.zeros(0),
            boxes=Boxes(
                offsets=offsets,
                label_idx=label_idx,
                boxes_xyxy=np.asarray(responses.corners).reshape(-1, 4),
                confidence=confidence,
                outcome=np.full(len(label_idx), Outcome.UNKNOWN, dtype=np.uint8),
            ),
            image_sizes=np.full((n_images, 2), np.nan),
            normalized=True,
            errors=responses.errors,
            doubts=doubts,
        )
    kept = keep_most_confident(image_idx * max(len(responses.labels), 1) + label_idx, confidence)
    n_repeated = len(label_idx) - len(kept)
    said = (
        f"{n_repeated} of {len(label_idx)} labels stand twice in an answer; the most confident "
        "counts"
    )
    return Answers(
        images=tuple(responses.images),
        labels=tuple(responses.labels),
        offsets=find_offsets(image_idx[kept], n_images),
        label_idx=label_idx[kept],
        confidence=confidence[kept],
        errors=responses.errors,
        doubts=doubts,
        warnings=(said,) if n_repeated else (),
    )


def write_help() -> str:
    """The table of forms, and that of column names, for a terminal."""
    lines = ["Forms of predictions and truth, recognised by content:", ""]
    for form in FORMS:
        readers = {"truth": form.truth, "predictions": form.answers}
        sides = " and ".join(side for side, reads in readers.items() if reads)
        lines += [f"  {form.name}: {sides}", f"      {form.looks}"]
    lines += ["", "Columns of tables, in any order; case, blanks, _ and - do not count:", ""]
    for means, names in list_column_names().items():
        said = fill(", ".join(names), WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
        lines += [f"  {means}", said]
    return "\n".join(lines)


def _read_tail(files: Files) -> bytes:
    """The last bytes of a file."""
    kept, size = deque[bytes](), 0
    for chunk in files.read(ITSELF):
        kept.append(chunk)
        size += len(chunk)
        while size - len(kept[0]) >= _TAIL:
            size -= len(kept.popleft())
    return b"".join(kept)


def _doubt_unasked(responses: Responses) -> Iterator[Doubt]:
    """What was not asked for is not there."""
    cut = max((c for c in responses.min_confidence if c is not None), default=0.0)
    if cut > 0:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=f"answers below {cut:g} % were not asked for (min_confidence)",
        )


def _say_unknown(files: Files) -> str:
    if files.is_folder:
        named = join_some([*map(quoted, files.names[:4])], ", ")
        return (
            f"is a folder with {len(files.names):,} files of no form that is read: {named or '–'}"
        )
    if said := say_spoilt(files.head):
        return said.removesuffix(", not JSON")
    if said := explain_no_table(files):
        return said
    begin = peek_inside(files.head).decode("utf-8", "replace")[:_BEGIN]
    return f"is of no form that is read; it begins with {quoted(begin)}"


# ---- forms that other rooms' readers know --------------------------------------------------


def _seems_responses(files: Files) -> bool:
    return bool(_ANSWERS.search(peek_inside(files.head)))


def _seems_manifest(files: Files) -> bool:
    head = peek_inside(files.head)
    if _ENTRIES.search(head):
        return True
    is_marked = _METADATA.search(head) or _ONLY_PLACE.search(head)
    return bool(_PLACE.search(head) and is_marked)


def _input(files: Files) -> ManifestInput:
    return ManifestInput(uri=files.uri, chunks=files.read(ITSELF))


def _read_responses(files: Files, asked: Asked) -> Answers:
    responses = parse_responses(
        _input(files), version_arns=asked.version_arns, skip_bad_lines=asked.skip_bad_lines
    )
    return convert_responses(responses)


def _read_manifest(files: Files, asked: Asked) -> GroundTruth:
    return parse_ground_truth(
        _input(files), attributes=asked.attributes, skip_bad_lines=asked.skip_bad_lines
    )


def _read_stored_truth(files: Files, _asked: Asked) -> GroundTruth:
    return _take_truth(files, read_stored(files))


def _take_truth(files: Files, evaluation: "Evaluation") -> GroundTruth:
    """The truth of an evaluation, each image once.

    Raises:
        ParseError: It is of masks.
    """
    from mlrek.metrics.test_set import count_once

    if evaluation.task is Task.SEGMENTATION:
        raise ParseError(files.uri, 0, "holds counts of pixels, no masks that could be compared")
    if not evaluation.has_images:
        raise ParseError(files.uri, 0, "holds reported numbers alone, and nothing of any image")
    once = count_once(evaluation)
    boxes = once.detections
    return GroundTruth(
        task=once.task,
        labels=once.labels,
        images=once.images,
        truth=once.truth,
        boxes=boxes.truth if boxes else None,
        image_sizes=boxes.image_sizes if boxes else None,
        normalized=bool(boxes and boxes.normalized),
        columns=once.slice_columns,
        doubts=tuple(doubt for doubt in once.doubts if doubt.kind in _OF_TRUTH),
    )


def _read_stored_answers(files: Files, _asked: Asked) -> Answers:
    from mlrek.metrics.test_set import count_once

    evaluation = read_stored(files)
    truth = _take_truth(files, evaluation)
    once = count_once(evaluation)
    known = zip(once.labels, once.thresholds.tolist(), strict=True)
    boxes = once.detections
    return Answers(
        images=once.images,
        labels=once.labels,
        offsets=once.records.offsets,
        label_idx=once.records.label_idx,
        confidence=once.records.confidence,
        is_scored=once.is_scored,
        boxes=boxes.records if boxes else None,
        image_sizes=boxes.image_sizes if boxes else None,
        normalized=bool(boxes and boxes.normalized),
        thresholds={label: value for label, value in known if not np.isnan(value)},
        truth=truth,
        columns=once.slice_columns,
        doubts=(
            *(d for d in once.doubts if d.kind in _OF_ANSWERS),
            *doubt_chosen(evaluation),
        ),
    )


_MANIFEST: Final = FileForm(
    name="a Ground Truth manifest",
    looks='{"source-ref": "s3://…", "A": …, "A-metadata": {…}} a line; ListDatasetEntries',
    seems=_seems_manifest,
    truth=_read_manifest,
    has_attributes=True,
)

FORMS: Final[tuple[FileForm, ...]] = (
    FileForm(
        name="an evaluation.parquet of mlrek's",
        looks="evaluation.parquet of any run: all its numbers come out again",
        seems=is_stored,
        truth=_read_stored_truth,
        answers=_read_stored_answers,
    ),
    FileForm(
        name="a predictions.csv of mlrek's",
        looks="predictions.csv of any run, with labels.json next to it, or the run's whole folder",
        seems=seems_own_table,
        truth=lambda files, _: read_table_truth(files),
        answers=lambda files, _: read_table_answers(files),
    ),
    FileForm(
        name="saved answers of DetectCustomLabels",
        looks='{"image": "s3://…", "response": {"CustomLabels": […]}} a line',
        seems=_seems_responses,
        answers=_read_responses,
    ),
    _MANIFEST,
    FileForm(
        name="COCO instances",
        looks='{"images": […], "annotations": […], "categories": […]}: boxes, crowds, masks',
        seems=seems_coco_truth,
        truth=lambda files, _: read_coco_truth(files),
    ),
    FileForm(
        name="COCO results",
        looks='[{"image_id": …, "category_id": …, "bbox": […], "score": …}]: boxes, RLE masks',
        seems=seems_coco_answers,
        answers=lambda files, _: read_coco_answers(files),
    ),
    FileForm(
        name="a YOLO folder",
        looks="labels/NAME.txt with class x y width height [confidence]; data.yaml; images/",
        seems=seems_yolo,
        truth=lambda files, _: read_yolo_truth(files),
        answers=lambda files, _: read_yolo_answers(files),
    ),
    FileForm(
        name="a folder per label",
        looks="cat/1.jpg, dog/2.jpg",
        seems=seems_label_folders,
        truth=lambda files, _: read_label_folders(files),
    ),
    FileForm(
        name="a table (CSV, Parquet, JSON Lines)",
        looks="long: image,label[,confidence][,x_min,y_min,x_max,y_max]; wide: "
        "image,truth,predicted,score_<label>",
        seems=seems_table,
        truth=lambda files, _: read_table_truth(files),
        answers=lambda files, _: read_table_answers(files),
    ),
)
"""Each form once; the first that files seem to have counts."""
