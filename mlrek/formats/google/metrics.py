"""What Google published of one evaluation, overall and per label -> the provider's own numbers.

The numbers stand in lists over confidence thresholds. A number that is 0 is left out of the JSON;
what is undefined looks the same, and is told from 0 by the counts next to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import NamedTuple

import numpy as np
from msgspec.json import Decoder
from msgspec.structs import astuple

from mlrek.errors import ParseError
from mlrek.evaluation import BoolArray, FloatArray, Reported, ReportedCurve, Task
from mlrek.formats.google.documents import ModelKey
from mlrek.formats.google.json import (
    Count,
    GoogleMetrics,
    GridEntry,
    IouEntry,
    Matrix,
    MatrixRow,
    Number,
)
from mlrek.formats.json_text import decode_json, quoted
from mlrek.metrics.reported import SAME_THRESHOLD, nearest_index

_METRICS = Decoder(GoogleMetrics, strict=False)
_READ_SCHEMAS = ("classification_metrics", "object_detection_metrics")
_N_NAMED = 3
_ONE_LABEL = 1e-4  # how far the mean number of labels an image may be from 1 by rounding
_RATES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "f1_score",
    "false_positive_rate": "false_positive_rate",
    "precision_at_1": "precision_at1",
    "recall_at_1": "recall_at1",
    "f1_at_1": "f1_score_at1",
}
_COUNTS = {
    "tp": "true_positive_count",
    "fp": "false_positive_count",
    "fn": "false_negative_count",
    "tn": "true_negative_count",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleSettings:
    """Where the published numbers are read: at the nearest threshold on Google's own lists."""

    threshold: float = 0.5
    iou_threshold: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPart:
    """The overall part of an evaluation, or the part of one label (`label`, `label_id`)."""

    file: str
    id: str
    metrics: bytes
    is_legacy: bool
    schema: str = ""
    label: str = ""
    label_id: str = ""
    created_ms: int | None = None
    test_images: int | None = None

    def name_by(self, names: Mapping[str, str]) -> str:
        """The label's name, or by its id in `names`, or that id."""
        return self.label or names.get(self.label_id, self.label_id)

    def parse(self) -> "PublishedMetrics":
        """Its metrics.

        Raises:
            ParseError: They are not what the format says, or metrics of another kind of model.
        """
        schema = self.schema.rpartition("/")[2]
        if schema and not any(known in schema for known in _READ_SCHEMAS):
            reason = (
                f"evaluation {quoted(self.id)} holds {quoted(schema)}, not those of an image model"
            )
            raise ParseError(self.file, 0, reason)
        try:
            return parse_metrics(self.metrics, is_legacy=self.is_legacy)
        except ValueError as exc:
            raise ParseError(self.file, 0, f"evaluation {quoted(self.id)}: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEvaluation:
    """An evaluation and the version it is of; `key` is None where nothing tells the model.

    `file` is the document of its overall part, or of its first label; `overall` may be missing.
    """

    key: ModelKey | None
    number: str
    file: str
    id: str
    overall: PublishedPart | None
    labels: tuple[PublishedPart, ...] = ()
    created_ms: int | None
    is_legacy: bool
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All documents that it stands in."""
        return tuple(dict.fromkeys((self.file, *(part.file for part in self.labels))))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNumbers:
    """The numbers of a published evaluation, read at one threshold.

    `label_names` are the labels by Google's ids. Unless `is_task_known` the task is a guess.
    """

    reported: Reported
    labels: tuple[str, ...]
    label_names: Mapping[str, str]
    task: Task
    is_task_known: bool
    warnings: tuple[str, ...] = ()


# ---- the metrics of one part ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Numbers over rising thresholds, (n,) each; NaN where undefined or not published.

    `columns` are `precision`, `recall`, `f1`, `false_positive_rate`, the same three with `_at_1`
    (an image's top label only), and `tp`, `fp`, `fn`, `tn`. `position` is the largest number of
    labels an image that was counted (0: not told). `n_beyond` entries had thresholds above 1 and
    are left out.
    """

    thresholds: FloatArray
    columns: Mapping[str, FloatArray]
    position: float = 0.0
    n_beyond: int = 0


class PublishedMatrix(NamedTuple):
    """A confusion matrix of counts, rows true, columns predicted; `ids` go with `names`."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMetrics:
    """What Google publishes of one model, or of one of its labels.

    `scores` need no threshold. `grids` are one for classification (at IoU NaN), one for each IoU
    threshold of a detection, rising. `boxes` counts true boxes.
    """

    is_detection: bool
    scores: Mapping[str, float]
    grids: tuple[tuple[float, Grid], ...] = ()
    boxes: int | None = None
    label_ids: tuple[str, ...] = ()
    matrix: PublishedMatrix | None = None


def parse_metrics(data: bytes, *, is_legacy: bool) -> PublishedMetrics:
    """The metrics object of an evaluation or a slice, with keys in camelCase.

    Args:
        data: The JSON object.
        is_legacy: Whether the legacy service wrote it: its client library writes a number that was
            left out as 0, so a 0 says nothing there.

    Raises:
        ValueError: It is not JSON, a field is of another kind, a rate is not between 0 and 1, or
            the confusion matrix is not square.
    """
    metrics = decode_json(_METRICS, data)
    by_iou = metrics.bounding_box_metrics_entries or metrics.bounding_box_metrics
    if by_iou or metrics.evaluated_bounding_box_count is not None:
        return _read_detection(metrics, by_iou or [], is_legacy=is_legacy)
    return _read_classification(metrics, is_legacy=is_legacy)


def name_of_iou(iou: float) -> str:
    """The name of the average precision at an IoU threshold.

    >>> name_of_iou(0.5), name_of_iou(0.05)
    ('average_precision_50', 'average_precision_05')
    """
    return f"average_precision_{f'{round(iou * 100, 4):g}'.zfill(2).replace('.', '_')}"


def _read_classification(metrics: GoogleMetrics, *, is_legacy: bool) -> PublishedMetrics:
    named = {
        "average_precision": finite(metrics.au_prc),
        "roc_auc": finite(metrics.au_roc),
        "log_loss": finite(metrics.log_loss),
    }
    scores = {name: _shorten(value) for name, value in named.items() if value is not None}
    _check_rates((name, scores[name]) for name in scores if name != "log_loss")
    entries = metrics.confidence_metrics_entry or metrics.confidence_metrics or []
    grid = _read_grid(entries, boxes=None, is_legacy=is_legacy)
    return PublishedMetrics(
        is_detection=False,
        scores={name: value for name, value in scores.items() if value or not is_legacy},
        grids=((nan, grid),) if len(grid.thresholds) else (),
        label_ids=tuple(map(str, metrics.annotation_spec_id or ())),
        matrix=_read_matrix(metrics.confusion_matrix),
    )


def _read_detection(
    metrics: GoogleMetrics, by_iou: Sequence[IouEntry], *, is_legacy: bool
) -> PublishedMetrics:
    boxes = metrics.evaluated_bounding_box_count or 0
    left_out = 0.0 if boxes and by_iou else None  # an average over no box is undefined
    mean = finite(metrics.bounding_box_mean_average_precision)
    averages = {"average_precision": mean or left_out}
    grids: dict[float, Grid] = {}
    for entry in sorted(by_iou, key=_iou):
        average = finite(entry.mean_average_precision)
        averages.setdefault(name_of_iou(_iou(entry)), average or left_out)
        entries = entry.confidence_metrics_entries or entry.confidence_metrics or []
        grid = _read_grid(entries, boxes=boxes, is_legacy=is_legacy)
        if len(grid.thresholds):
            grids.setdefault(_iou(entry), grid)
    scores = {name: _shorten(value) for name, value in averages.items() if value is not None}
    _check_rates(scores.items())
    return PublishedMetrics(
        is_detection=True, scores=scores, grids=tuple(grids.items()), boxes=boxes
    )


def _iou(entry: IouEntry) -> float:
    iou = _shorten(entry.iou_threshold or 0.0)
    _check_rates([("IoU threshold", iou)])
    return iou


def _read_matrix(matrix: Matrix | None) -> PublishedMatrix | None:
    if matrix is None:
        return None
    if matrix.annotation_specs:
        ids = [str(spec.id) for spec in matrix.annotation_specs]
        names = [spec.display_name for spec in matrix.annotation_specs]
    else:
        ids = list(map(str, matrix.annotation_spec_id or ()))
        names = matrix.display_name or []
    rows = [_read_row(row) for row in matrix.row or matrix.rows or ()]
    n = len(rows)
    if odd := {len(ids), len(names), *map(len, rows)} - {0, n}:
        raise ValueError(f"the confusion matrix has {n} rows, but a list of {min(odd)} in it")
    if not rows:
        return None
    return PublishedMatrix(
        ids=tuple(ids) or ("",) * n,
        names=tuple(names) or ("",) * n,
        rows=tuple(tuple(row) or (0,) * n for row in rows),
    )


def _read_row(row: list[Count] | MatrixRow) -> list[int]:
    counts = row if isinstance(row, list) else row.example_count or row.row or []
    return [count or 0 for count in counts]


# ---- numbers over thresholds ---------------------------------------------------------------


def _read_grid(entries: Sequence[GridEntry], *, boxes: int | None, is_legacy: bool) -> Grid:
    """The entries of one list, in any order, over thresholds.

    Of entries at one threshold the first counts. A threshold below 0 stands for "everything" and
    repeats the one at 0. Entries that count fewer labels an image than others are another table,
    which the service mixes in. `boxes` is how many true boxes a detection was tested on.
    """
    fields = GridEntry.__struct_fields__
    table = np.array([astuple(entry) for entry in entries], dtype=np.float64)  # None becomes NaN
    columns = dict(zip(fields, table.reshape(len(entries), len(fields)).T, strict=True))
    missing = [entry.confidence_threshold is None for entry in entries]
    thresholds = _shorten_all(np.where(missing, 0.0, columns["confidence_threshold"]))
    wide = np.fmax(columns["max_predictions"], columns["position_threshold"])
    position = np.where(np.isfinite(wide), wide, 0.0)
    widest = float(np.max(position, initial=0.0))
    within = np.flatnonzero((thresholds >= 0) & (thresholds <= 1) & (position == widest))
    rising, first = np.unique(thresholds[within], return_index=True)
    kept = within[first]
    chosen = {name: _read_rates(name, columns[field][kept]) for name, field in _RATES.items()}
    if is_legacy:
        chosen = {name: np.where(rates == 0, nan, rates) for name, rates in chosen.items()}
    chosen |= {name: columns[field][kept] for name, field in _COUNTS.items()}
    _tell_zeros(chosen, boxes)
    n_beyond = int(np.sum(~(thresholds <= 1)))
    return Grid(thresholds=rising, columns=chosen, position=widest, n_beyond=n_beyond)


def _read_rates(name: str, rates: FloatArray) -> FloatArray:
    _check_rates((name, float(rate)) for rate in rates[(rates < 0) | (rates > 1)])
    return _shorten_all(rates)


def _tell_zeros(columns: dict[str, FloatArray], boxes: int | None) -> None:
    """Tell, of the numbers that are left out, which are 0, undefined, or never published at all."""
    has_counts = any(np.any(columns[name] > 0) for name in _COUNTS)
    for name in _COUNTS:
        columns[name] = np.nan_to_num(columns[name]) if has_counts else columns[name] * nan
    tp, fp, fn, tn = (columns[name] for name in _COUNTS)  # NaN is equal to nothing below
    no_truth = (tp + fn == 0) | (boxes == 0)
    is_published = has_counts or bool(boxes)
    columns["recall"] = _fill(columns["recall"], no_truth, is_published=is_published)
    columns["recall_at_1"] = _fill(columns["recall_at_1"], no_truth)
    columns["false_positive_rate"] = _fill(columns["false_positive_rate"], fp + tn == 0)
    if has_counts:
        columns["precision"] = _fill(columns["precision"], tp + fp == 0, is_published=True)
    for suffix in ("", "_at_1"):
        precision, recall = columns[f"precision{suffix}"], columns[f"recall{suffix}"]
        neither = (precision != 0) & (recall != 0)
        columns[f"f1{suffix}"] = _fill(columns[f"f1{suffix}"], neither)


def _fill(column: FloatArray, undefined: BoolArray, *, is_published: bool = False) -> FloatArray:
    """A column that is published somewhere is 0 where it is left out, unless it is undefined."""
    if not is_published and not np.any(column > 0):
        return column
    filled = np.nan_to_num(column)
    return np.where((filled == 0) & undefined, nan, filled)


def finite(value: Number) -> float | None:
    """The number, unless it is none."""
    return value if value is not None and isfinite(value) else None


def _shorten(value: float) -> float:
    """A 32-bit number that was widened to 64 (0.05000000074505806) as REST writes it (0.05)."""
    return float(_shorten_all(np.array([value]))[0])


def _shorten_all(values: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    widened = np.flatnonzero(narrow.astype(np.float64) == values)
    short = values.copy()
    short[widened] = [float(str(value)) for value in narrow[widened]]
    return short


def _check_rates(rates: Iterable[tuple[str, float]]) -> None:
    """Raise ValueError where a rate is not between 0 and 1; NaN passes."""
    for name, value in rates:
        if value < 0 or value > 1:
            raise ValueError(f"{name.replace('_', ' ')} is {value}, which is not from 0 to 1")


# ---- the evaluation as a whole -------------------------------------------------------------


class _Chosen(NamedTuple):
    """Where on the published lists the numbers are read: one grid, one threshold of it."""

    iou: float
    grid: Grid
    at: int

    @property
    def threshold(self) -> float:
        return float(self.grid.thresholds[self.at])

    @property
    def n_true(self) -> float:
        """What is true, predicted or not: the same at each threshold; NaN where not counted."""
        return float(self.grid.columns["tp"][self.at] + self.grid.columns["fn"][self.at])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """All metrics of an evaluation; `chosen` is where they are read, '' for all labels together.

    `test_images` are those of labels, where told; `names` the labels by Google's ids; `matrix` the
    cells (true, predicted, count).
    """

    overall: PublishedMetrics
    by_label: Mapping[str, PublishedMetrics]
    test_images: Mapping[str, int]
    names: Mapping[str, str]
    labels: tuple[str, ...]
    matrix: tuple[tuple[str, str, float], ...]
    chosen: Mapping[str, _Chosen | None]

    @property
    def n_missing(self) -> int:
        """How many labels the matrix lacks: Google may publish the ten most confused ones only."""
        return len(self.by_label.keys() - {true for true, _, _ in self.matrix})


def read_published(
    evaluation: PublishedEvaluation,
    settings: GoogleSettings,
    *,
    task: Task | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
) -> PublishedNumbers:
    """The provider's own numbers of an evaluation.

    `average_precision` is the area under the precision-recall curve; for detection it is Google's
    mean over all its IoU thresholds (0.05 to 0.99; COCO's is another), and `average_precision_50`
    … stand for one IoU each. `precision`, `recall`, `f1`, `false_positive_rate` and, for an image's
    top label alone, `precision_at_1` … hold at `threshold` (and `iou_threshold`). `test_boxes`
    counts true boxes.

    Args:
        evaluation: What was published.
        settings: Where it is read.
        task: What the data set or the training says of it.
        train_images: Likewise.
        test_images: What the model says, which is believed last.

    Raises:
        ParseError: A part of it is not what the format says.
    """
    parsed = _parse(evaluation, settings)
    known_task = _infer_task(evaluation, parsed, task)
    per_label = {label: _read_label_scores(label, parsed) for label in parsed.labels}
    counted = _count_test_images(parsed, known_task) or test_images or None
    if evaluation.overall and evaluation.overall.test_images is not None:
        counted = evaluation.overall.test_images
    return PublishedNumbers(
        reported=Reported(
            aggregate=_read_scores(parsed.overall, parsed.chosen[""]),
            per_label={label: scores for label, scores in per_label.items() if scores},
            confusion=parsed.matrix,
            curves={
                label: _make_curve(choice.grid) for label, choice in parsed.chosen.items() if choice
            },
            test_images=counted,
            train_images=train_images,
        ),
        labels=parsed.labels,
        label_names=parsed.names,
        task=known_task or Task.CLASSIFICATION,
        is_task_known=known_task is not None,
        warnings=(
            *_warn_labels(evaluation, parsed),
            *_warn_thresholds(parsed, settings),
            *_warn_matrix(parsed, counted),
        ),
    )


def _parse(evaluation: PublishedEvaluation, settings: GoogleSettings) -> _Parsed:
    """All metrics of an evaluation.

    Labels stand in the order of the evaluation's own list of them, then of its confusion matrix,
    then of their parts.
    """
    overall = evaluation.overall.parse() if evaluation.overall else None
    names = _read_names(overall.matrix if overall else None, evaluation.labels)
    parts = [(part.name_by(names), part) for part in evaluation.labels]
    by_label = {label: part.parse() for label, part in parts}
    if overall is None:
        is_detection = any(metrics.is_detection for metrics in by_label.values())
        overall = PublishedMetrics(is_detection=is_detection, scores={})
    listed = [names[label_id] for label_id in overall.label_ids if label_id in names]
    matrix = _name_matrix(overall.matrix, names)
    labels = tuple(dict.fromkeys((*listed, *(true for true, _, _ in matrix), *by_label)))
    if any(not label or "\0" in label for label in labels):
        file = (evaluation.overall or evaluation.labels[0]).file
        raise ParseError(file, 0, f"evaluation {quoted(evaluation.id)} has a label without a name")
    return _Parsed(
        overall=overall,
        by_label=by_label,
        test_images={
            label: part.test_images for label, part in parts if part.test_images is not None
        },
        names=names,
        labels=labels,
        matrix=matrix,
        chosen={
            label: _choose_grid(metrics, settings)
            for label, metrics in {"": overall, **by_label}.items()
        },
    )


def _read_names(
    matrix: PublishedMatrix | None, labels: Iterable[PublishedPart]
) -> Mapping[str, str]:
    """The labels' names by their ids."""
    names = dict(zip(matrix.ids, matrix.names, strict=True)) if matrix else {}
    names |= {part.label_id: part.label for part in labels}
    return {label_id: name for label_id, name in names.items() if label_id and name}


def _name_matrix(
    matrix: PublishedMatrix | None, names: Mapping[str, str]
) -> tuple[tuple[str, str, float], ...]:
    """The cells; what two labels of one name were counted with is added up."""
    if matrix is None:
        return ()
    labels = [
        name or names.get(label_id, label_id)
        for label_id, name in zip(matrix.ids, matrix.names, strict=True)
    ]
    cells: dict[tuple[str, str], float] = {}
    for true, row in zip(labels, matrix.rows, strict=True):
        for predicted, count in zip(labels, row, strict=True):
            cells[true, predicted] = cells.get((true, predicted), 0.0) + count
    return tuple((true, predicted, count) for (true, predicted), count in cells.items())


def _choose_grid(metrics: PublishedMetrics, settings: GoogleSettings) -> _Chosen | None:
    """The grid of the nearest IoU, and the position of the nearest threshold there."""
    if not metrics.grids:
        return None
    ious = np.array([iou for iou, _ in metrics.grids])
    i = (nearest_index(ious, settings.iou_threshold) or 0) if metrics.is_detection else 0
    iou, grid = metrics.grids[i]
    at = nearest_index(grid.thresholds, settings.threshold)
    return None if at is None else _Chosen(iou, grid, at)


def _infer_task(evaluation: PublishedEvaluation, parsed: _Parsed, told: Task | None) -> Task | None:
    """What the model answers; None where nothing tells whether an image has one label or several.

    A matrix is published for one label an image only, but not for more than ten labels: that there
    is none says nothing. The mean number of labels an image does.
    """
    if parsed.overall.is_detection:
        return Task.DETECTION
    if told or parsed.matrix:
        return told or Task.CLASSIFICATION
    mean = _mean_labels(evaluation, parsed)
    if mean > 1 + _ONE_LABEL:
        return Task.MULTILABEL
    return Task.CLASSIFICATION if mean >= 1 - _ONE_LABEL else None  # fewer: a label is missing here


def _mean_labels(evaluation: PublishedEvaluation, parsed: _Parsed) -> float:
    """The mean number of true labels an image; NaN where nothing tells.

    At threshold 0 every label is predicted on every image, so that the precision is this number
    divided by the number of labels.
    """
    n_images = evaluation.overall and evaluation.overall.test_images
    if n_images and parsed.by_label and parsed.test_images.keys() == parsed.by_label.keys():
        return sum(parsed.test_images.values()) / n_images
    for _, grid in parsed.overall.grids:
        if grid.thresholds[0] == 0 and parsed.by_label:
            return float(grid.columns["precision"][0]) * len(parsed.labels)
    return nan


def _read_scores(metrics: PublishedMetrics, chosen: _Chosen | None) -> dict[str, float]:
    scores = dict(metrics.scores)
    if metrics.boxes is not None:
        scores["test_boxes"] = float(metrics.boxes)
    if chosen is None:
        return scores
    at = {name: float(chosen.grid.columns[name][chosen.at]) for name in _RATES}
    at |= {"threshold": chosen.threshold, "iou_threshold": chosen.iou}
    return scores | {name: value for name, value in at.items() if not isnan(value)}


def _make_curve(grid: Grid) -> ReportedCurve:
    names = ("precision", "recall", "f1", *_COUNTS)
    return ReportedCurve(thresholds=grid.thresholds, **{name: grid.columns[name] for name in names})


def _read_label_scores(label: str, parsed: _Parsed) -> dict[str, float]:
    """A label's numbers, with how many test images have it in truth."""
    known = parsed.by_label.get(label)
    scores = _read_scores(known, parsed.chosen[label]) if known else {}
    scores = {name: value for name, value in scores.items() if not name.endswith("_at_1")}
    n_images = _count_label_images(label, parsed)
    return scores if n_images is None else scores | {"test_images": n_images}


def _count_label_images(label: str, parsed: _Parsed) -> float | None:
    """As told; else true positives and false negatives at any threshold; else the matrix row."""
    if label in parsed.test_images:
        return float(parsed.test_images[label])
    chosen = parsed.chosen.get(label)
    if chosen is not None and not isnan(chosen.n_true):
        return chosen.n_true
    row = [count for true, _, count in parsed.matrix if true == label]
    return sum(row) if row and not parsed.n_missing else None


def _count_test_images(parsed: _Parsed, known_task: Task | None) -> int:
    """Of one label an image the sum of the matrix, or TP + FN; else 0.

    The matrix may leave out labels that nothing else names: then TP + FN is more.
    """
    if known_task is not Task.CLASSIFICATION:
        return 0
    chosen = parsed.chosen[""]
    n_true = 0 if chosen is None or isnan(chosen.n_true) else chosen.n_true
    return int(max(0 if parsed.n_missing else sum(n for _, _, n in parsed.matrix), n_true))


def _warn_labels(evaluation: PublishedEvaluation, parsed: _Parsed) -> Iterator[str]:
    if evaluation.overall is None:
        yield (
            f"evaluation {quoted(evaluation.id)}: only its labels are here, not the evaluation "
            "itself; save it too, for the numbers of the whole model"
        )
    if repeated := len(evaluation.labels) - len(parsed.by_label):
        yield f"{repeated} labels have the name of another label; the last numbers of a name count"
    unnamed = [p for p in evaluation.labels if not (p.label or p.label_id in parsed.names)]
    if unnamed:
        yield f"{len(unnamed)} labels have no name, so their ids stand for it"


def _warn_matrix(parsed: _Parsed, test_images: int | None) -> Iterator[str]:
    total = int(sum(count for _, _, count in parsed.matrix))
    n_labels = len({true for true, _, _ in parsed.matrix})
    if parsed.matrix and parsed.n_missing:
        yield (
            f"the published confusion matrix holds {n_labels} of {n_labels + parsed.n_missing} "
            "labels, so it is not the whole test set"
        )
    elif parsed.matrix and test_images is not None and total != test_images:
        yield f"the published confusion matrix holds {total} images, the test set {test_images}"


def _warn_thresholds(parsed: _Parsed, settings: GoogleSettings) -> Iterator[str]:
    """Say which threshold stands for the one asked for, where Google publishes no numbers at it."""
    found = {label: choice for label, choice in parsed.chosen.items() if choice is not None}
    for what, asked, used in (
        ("threshold", settings.threshold, {k: c.threshold for k, c in found.items()}),
        ("IoU threshold", settings.iou_threshold, {k: c.iou for k, c in found.items()}),
    ):
        labels_by_value: dict[float, list[str]] = {}
        for label, value in used.items():
            if abs(value - asked) > SAME_THRESHOLD:  # never where there is no IoU (NaN)
                labels_by_value.setdefault(value, []).append(label)
        if labels_by_value:
            said = [_say_labels(value, labels) for value, labels in labels_by_value.items()]
            more = f" and {len(said) - _N_NAMED} more" if len(said) > _N_NAMED else ""
            yield (
                f"Google publishes no numbers at {what} {asked:g}; the nearest published ones "
                f"stand for it: {', '.join(said[:_N_NAMED])}{more}"
            )
    if n_beyond := sum(choice.grid.n_beyond for choice in found.values()):
        yield f"{n_beyond} published points have no threshold from 0 to 1 and are left out"


def _say_labels(value: float, labels: list[str]) -> str:
    named = [quoted(label) for label in labels if label]
    of_labels = named[0] if len(named) == 1 else f"{len(named)} labels"
    parts = (["all labels together"] if "" in labels else []) + ([of_labels] if named else [])
    return f"{value:g} ({' and '.join(parts)})"
