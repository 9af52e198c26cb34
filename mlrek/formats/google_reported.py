"""What Google published of one evaluation, overall and per label -> the provider's own numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan

import numpy as np

from mlrek.evaluation import Reported, Task
from mlrek.formats.google_grid import RATES, Grid
from mlrek.formats.google_metrics import PublishedMetrics
from mlrek.formats.google_published import (
    ParsedEvaluation,
    PublishedEvaluation,
    parse_published,
)
from mlrek.formats.json_text import show
from mlrek.reported import SAME_THRESHOLD, nearest_index

_N_NAMED = 3
_ONE_LABEL = 1e-4  # how far the mean number of labels an image may be from 1 by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleSettings:
    """Where the published numbers are read: at the nearest threshold on Google's own lists."""

    threshold: float = 0.5
    iou_threshold: float = 0.5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
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


def read_published(evaluation: PublishedEvaluation, settings: GoogleSettings) -> PublishedNumbers:
    """The provider's own numbers of an evaluation.

    `average_precision` is the area under the precision-recall curve; for detection it is Google's
    mean over all its IoU thresholds (0.05 to 0.99; COCO's is another), and `average_precision_50`
    … stand for one IoU each. `precision`, `recall`, `f1`, `false_positive_rate` and, for an image's
    top label alone, `precision_at_1` … hold at `threshold` (and `iou_threshold`). `test_boxes`
    counts true boxes.

    Raises:
        ParseError: A part of it is not what the format says.
    """
    parsed = parse_published(evaluation)
    known_task = _infer_task(evaluation, parsed)
    task = known_task or Task.CLASSIFICATION
    chosen = {"": _choose_grid(parsed.overall, settings)}
    chosen |= {label: _choose_grid(part, settings) for label, part in parsed.by_label.items()}
    per_label = {label: _read_label_scores(label, parsed, chosen) for label in parsed.labels}
    test_images = _count_test_images(evaluation, parsed, known_task, chosen[""])
    return PublishedNumbers(
        reported=Reported(
            aggregate=_read_scores(parsed.overall, chosen[""]),
            per_label={label: scores for label, scores in per_label.items() if scores},
            confusion=parsed.matrix,
            curves={label: choice.grid.to_curve() for label, choice in chosen.items() if choice},
            test_images=test_images,
            train_images=evaluation.train_images,
        ),
        labels=parsed.labels,
        label_names=parsed.names,
        task=task,
        is_task_known=known_task is not None,
        warnings=(
            *_warn_labels(evaluation, parsed),
            *_warn_thresholds(chosen, settings),
            *_warn_matrix(parsed, test_images),
        ),
    )


def _infer_task(evaluation: PublishedEvaluation, parsed: ParsedEvaluation) -> Task | None:
    """What the model answers; None where nothing tells whether an image has one label or several.

    A matrix is published for one label an image only, but not for more than ten labels: that there
    is none says nothing. The mean number of labels an image does.
    """
    if parsed.overall.is_detection:
        return Task.DETECTION
    if evaluation.task or parsed.matrix:
        return evaluation.task or Task.CLASSIFICATION
    mean = _mean_labels(evaluation, parsed)
    if mean > 1 + _ONE_LABEL:
        return Task.MULTILABEL
    return Task.CLASSIFICATION if mean >= 1 - _ONE_LABEL else None  # fewer: a label is missing here


def _mean_labels(evaluation: PublishedEvaluation, parsed: ParsedEvaluation) -> float:
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


def _choose_grid(metrics: PublishedMetrics, settings: GoogleSettings) -> _Chosen | None:
    """The grid of the nearest IoU, and the position of the nearest threshold there."""
    ious = np.array([iou for iou, _ in metrics.grids])
    i = (nearest_index(ious, settings.iou_threshold) or 0) if metrics.is_detection else 0
    if not metrics.grids:
        return None
    iou, grid = metrics.grids[i]
    at = nearest_index(grid.thresholds, settings.threshold)
    return None if at is None else _Chosen(iou=iou, grid=grid, at=at)


def _read_scores(metrics: PublishedMetrics, chosen: _Chosen | None) -> dict[str, float]:
    scores = dict(metrics.scores)
    if metrics.boxes is not None:
        scores["test_boxes"] = float(metrics.boxes)
    if chosen is None:
        return scores
    at = {name: float(chosen.grid.columns[name][chosen.at]) for name in RATES}
    at |= {"threshold": chosen.threshold, "iou_threshold": chosen.iou}
    return scores | {name: value for name, value in at.items() if not isnan(value)}


def _read_label_scores(
    label: str, parsed: ParsedEvaluation, chosen: Mapping[str, _Chosen | None]
) -> dict[str, float]:
    """A label's numbers, with how many test images have it in truth."""
    scores = _read_scores(parsed.by_label[label], chosen[label]) if label in parsed.by_label else {}
    scores = {name: value for name, value in scores.items() if not name.endswith("_at_1")}
    n_images = _count_label_images(label, parsed, chosen.get(label))
    return scores if n_images is None else scores | {"test_images": n_images}


def _count_label_images(
    label: str, parsed: ParsedEvaluation, chosen: _Chosen | None
) -> float | None:
    """As told; else true positives and false negatives at any threshold; else the matrix row."""
    if label in parsed.test_images:
        return float(parsed.test_images[label])
    if chosen is not None and not isnan(chosen.n_true):
        return chosen.n_true
    row = [count for true, _, count in parsed.matrix if true == label]
    return sum(row) if row and not _missing_in_matrix(parsed) else None


def _count_test_images(
    evaluation: PublishedEvaluation,
    parsed: ParsedEvaluation,
    known_task: Task | None,
    chosen: _Chosen | None,
) -> int | None:
    """As told; else the sum of the matrix or, of one label an image, TP + FN; else the model's.

    The matrix may leave out labels that nothing else names: then TP + FN is more.
    """
    if evaluation.overall and evaluation.overall.test_images is not None:
        return evaluation.overall.test_images
    counted = [evaluation.test_images or 0]
    if known_task is Task.CLASSIFICATION:
        n_true = chosen.n_true if chosen else nan
        in_matrix = 0 if _missing_in_matrix(parsed) else sum(n for _, _, n in parsed.matrix)
        counted = [int(max(in_matrix, 0 if isnan(n_true) else n_true)), *counted]
    return next((count for count in counted if count), None)


def _missing_in_matrix(parsed: ParsedEvaluation) -> int:
    """How many labels the matrix leaves out: Google may publish the ten most confused ones only."""
    return len(parsed.by_label.keys() - {true for true, _, _ in parsed.matrix})


def _warn_labels(evaluation: PublishedEvaluation, parsed: ParsedEvaluation) -> Iterator[str]:
    if evaluation.overall is None:
        yield (
            f"evaluation {show(evaluation.id)}: only its labels are here, not the evaluation "
            "itself; save it too, for the numbers of the whole model"
        )
    if repeated := len(evaluation.labels) - len(parsed.by_label):
        yield f"{repeated} labels have the name of another label; the last numbers of a name count"
    unnamed = [
        part for part in evaluation.labels if not (part.label or part.label_id in parsed.names)
    ]
    if unnamed:
        yield f"{len(unnamed)} labels have no name, so their ids stand for it"


def _warn_matrix(parsed: ParsedEvaluation, test_images: int | None) -> Iterator[str]:
    total = int(sum(count for _, _, count in parsed.matrix))
    n_labels = len({true for true, _, _ in parsed.matrix})
    if parsed.matrix and (missing := _missing_in_matrix(parsed)):
        yield (
            f"the published confusion matrix holds {n_labels} of {n_labels + missing} labels, so "
            "it is not the whole test set"
        )
    elif parsed.matrix and test_images is not None and total != test_images:
        yield f"the published confusion matrix holds {total} images, the test set {test_images}"


def _warn_thresholds(
    chosen: Mapping[str, _Chosen | None], settings: GoogleSettings
) -> Iterator[str]:
    """Say which threshold stands for the one asked for, where Google publishes no numbers at it."""
    found = {label: choice for label, choice in chosen.items() if choice is not None}
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
    named = [show(label) for label in labels if label]
    of_labels = named[0] if len(named) == 1 else f"{len(named)} labels"
    parts = (["all labels together"] if "" in labels else []) + ([of_labels] if named else [])
    return f"{value:g} ({' and '.join(parts)})"
