"""mlrek's own `predictions.csv` -> answers and truth: all numbers made from decisions.

The file has a row for each image, or of several labels an image one for each label that is true or
predicted. `labels.json`, next to it in every run, has the order of labels and their own names.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import FloatArray, IntArray, Task
from mlrek.formats.columns import find_offsets, make_label_sets
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.json_text import quoted
from mlrek.formats.lines import decode_document
from mlrek.formats.predictions import Answers
from mlrek.formats.tables.batches import open_table, parse_column, peek_names
from mlrek.formats.tables.columns import OWN_LABELS, OWN_TABLE
from mlrek.formats.tables.contents import leave_unknown
from mlrek.formats.tables.rows import NONE, TextCodes
from mlrek.formats.truth import GroundTruth
from mlrek.text import BACKGROUND_LABEL, NONE_LABEL

OWN_NAMES: Final = ("image", "predicted", "truth", "confidence", "outcome")

_IMAGE, _PREDICTED, _TRUTH, _CONFIDENCE, _OUTCOME = range(5)
_OF_PAIRS: Final = frozenset(("TP", "FP", "FN", "TN"))
_QUOTED: Final = re.compile(r'"("*\(.*\)"*)"', re.DOTALL)


class _Named(Struct):
    index: int
    display: str


_LABELS_DECODER = Decoder(dict[str, _Named])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decisions:
    """The rows: image, true and predicted label (-1: none) and confidence (NaN: none), all (n,)."""

    images: tuple[str, ...]
    labels: tuple[str, ...]
    image_idx: IntArray
    y_true: IntArray
    y_pred: IntArray
    confidence: FloatArray
    is_of_pairs: bool
    warnings: tuple[str, ...]


def find_own_table(files: Files) -> str | None:
    """The name of mlrek's own table of predictions; None where there is none."""
    name = OWN_TABLE if files.is_folder else ITSELF
    if name in files.names and peek_names(files, name)[: len(OWN_NAMES)] == OWN_NAMES:
        return name
    return None


def read_own_answers(files: Files, name: str) -> Answers:
    """What was predicted, with the truth.

    Raises:
        ParseError: It is of boxes or areas, or a row is not as mlrek writes it.
    """
    own = _read(files, name)
    found = np.flatnonzero(own.y_pred != NONE)
    confidence = own.confidence[found]
    is_scored = not (own.is_of_pairs or np.isnan(confidence).any())
    is_every = own.is_of_pairs or len(found) == len(own.y_pred)
    return Answers(
        images=own.images,
        labels=own.labels,
        offsets=find_offsets(own.image_idx[found], len(own.images)),
        label_idx=own.y_pred[found],
        confidence=confidence if is_scored else np.ones(len(found)),
        is_scored=is_scored,
        predicted=None if own.is_of_pairs else own.y_pred,
        is_answered=None if is_every else own.y_pred != NONE,
        truth=_make_truth(own),
        warnings=own.warnings,
    )


def read_own_truth(files: Files, name: str) -> GroundTruth:
    """What is true of the images.

    Raises:
        ParseError: As of `read_own_answers`.
    """
    return _make_truth(_read(files, name))


def _make_truth(own: _Decisions) -> GroundTruth:
    rows = np.flatnonzero(own.y_true != NONE)
    sets = make_label_sets(
        own.image_idx[rows], own.y_true[rows], n_images=len(own.images), n_labels=len(own.labels)
    )
    truth = GroundTruth(
        task=Task.MULTILABEL if own.is_of_pairs else Task.CLASSIFICATION,
        labels=own.labels,
        images=own.images,
        truth=sets,
        warnings=own.warnings,
    )
    return truth if own.is_of_pairs else leave_unknown(truth, own.y_true != NONE)


def _read(files: Files, name: str) -> _Decisions:
    table = open_table(files, name)
    if len(table.header.names) > len(OWN_NAMES):
        reason = "is a predictions.csv of boxes, which lacks most true ones; "
        raise ParseError(table.uri, 0, reason + "use the evaluation.parquet of the run instead")
    images, labels, outcomes = TextCodes(), TextCodes(), TextCodes()
    parts: list[list[np.ndarray]] = [[] for _ in OWN_NAMES]
    for columns in table.iter_batches(range(len(OWN_NAMES))):
        numbers, bad = parse_column(columns[_CONFIDENCE])
        if bad >= 0:
            raise ParseError(table.uri, 0, "has a confidence that is no number")
        parts[_IMAGE].append(images.encode(columns[_IMAGE]))
        parts[_PREDICTED].append(labels.encode(columns[_PREDICTED]))
        parts[_TRUTH].append(labels.encode(columns[_TRUTH]))
        parts[_CONFIDENCE].append(numbers.to_numpy(zero_copy_only=False))
        outcomes.encode(columns[_OUTCOME])
    if not images.codes:
        raise ParseError(table.uri, 0, "has a header, but not one row")
    image_idx, y_pred, y_true, confidence = (np.concatenate(column) for column in parts[:4])
    is_of_pairs = bool(outcomes.codes) and outcomes.codes.keys() <= _OF_PAIRS
    _check_rows(table.uri, images, image_idx, is_of_pairs=is_of_pairs)
    names, codes, warnings = _name_labels(files, table.uri, [*labels.codes])
    y_pred, y_true = codes[y_pred], codes[y_true]
    if is_of_pairs and np.any((y_pred != NONE) & np.isnan(confidence)):
        reason = "is a predictions.csv of areas of pixels, which says nothing of their size"
        raise ParseError(table.uri, 0, reason)
    return _Decisions(
        images=tuple(map(_unescape, images.codes)),
        labels=names,
        image_idx=image_idx.astype(np.int64),
        y_true=y_true,
        y_pred=y_pred,
        confidence=confidence,
        is_of_pairs=is_of_pairs,
        warnings=warnings,
    )


def _check_rows(uri: str, images: TextCodes, image_idx: IntArray, *, is_of_pairs: bool) -> None:
    """Refuse rows that mlrek does not write."""
    if np.any(image_idx == NONE):
        raise ParseError(uri, 0, f"row {int(np.argmax(image_idx == NONE)) + 1}: names no image")
    steps = np.diff(image_idx)
    if np.any(steps < 0) or (not is_of_pairs and np.any(steps == 0)):
        row = int(np.argmax(steps < 0 if is_of_pairs else steps <= 0)) + 1
        image = quoted([*images.codes][image_idx[row]])
        raise ParseError(uri, 0, f"row {row + 1}: {image} is there a second time")


def _name_labels(
    files: Files, uri: str, displays: list[str]
) -> tuple[tuple[str, ...], IntArray, tuple[str, ...]]:
    """The labels in order, the code of each display (the last of all: of none), and warnings.

    Raises:
        ParseError: A label is not in the list.
    """
    cells = [_unescape(display) for display in displays]
    nothing = {NONE_LABEL, BACKGROUND_LABEL}
    warnings: tuple[str, ...] = ()
    if OWN_LABELS in files.names:
        data = files.read_whole(OWN_LABELS)
        found = decode_document(_LABELS_DECODER, OWN_LABELS, data, "a labels.json of mlrek's")
        labels = sorted(found, key=lambda label: found[label].index)
        places = {found[label].display: i for i, label in enumerate(labels)}
    else:
        places = _name_alphabetically(cell for cell in cells if cell not in nothing)
        labels = [_strip_quotes(cell) for cell in places]
        warnings = ("there is no labels.json next to the table: labels are in alphabetical order",)
    for cell in cells:
        if cell not in places and cell not in nothing:
            raise ParseError(uri, 0, f"names the label {quoted(cell)}, which {OWN_LABELS} lacks")
    codes = [NONE if cell in nothing else places[cell] for cell in cells]
    return tuple(labels), np.array([*codes, NONE], dtype=np.int32), warnings


def _name_alphabetically(cells: Iterable[str]) -> dict[str, int]:
    return {cell: i for i, cell in enumerate(sorted(cells, key=_strip_quotes))}


def _strip_quotes(cell: str) -> str:
    """The label that is shown in quotes as it is named like one of mlrek's own rows."""
    return match[1] if (match := _QUOTED.fullmatch(cell)) else cell


def _unescape(cell: str) -> str:
    """A cell without the mark that keeps spreadsheets from taking it for a formula."""
    return cell.removeprefix("'")
