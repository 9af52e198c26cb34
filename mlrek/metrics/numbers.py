"""All numbers of a version in one list: how each is called, what it means, and which say most."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from math import isnan, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, Task
from mlrek.kinds import BOX_ERRORS, CROSSFIT_OF_LABELS
from mlrek.metrics import LabelScores, Metrics, Number
from mlrek.metrics.positive_class import define_positive_class

MAIN_SCORES: Final = ("precision", "recall", "f1")
NO_REPORTED_INTERVAL: Final = "the service reports no interval of its numbers"
NO_IMAGE: Final = "undefined: the test set has nothing of this label; add images of it"
UNDEFINED_LABEL: Final = "undefined for this label: see the warnings of its evaluation.json"

CROSSFIT_COLUMN: Final = "crossfit_"

_THRESHOLD: Final = "threshold"
_ENDS: Final = ("_low", "_high")
_Group = Callable[[Metrics], Mapping[str, Number]]
_GROUPS: Mapping[str, _Group] = MappingProxyType(
    {
        "aggregate": lambda metrics: metrics.aggregate,
        "at_threshold": lambda metrics: metrics.at_threshold,
        "crossfit": lambda metrics: metrics.crossfit,
        "base_model": lambda metrics: metrics.baseline,
        "extra": lambda metrics: metrics.extra,
        "errors": lambda metrics: {n: Number(value=count) for n, count in metrics.errors.items()},
    }
)
"""What is computed of all labels together, by the group that begins its name."""
NUMBER_GROUPS: Final = tuple(_GROUPS)

_COCO: Final = (
    "COCO's average precision: mean over labels with a true box of the greatest precision at "
    "recall 0, 0.01 … 1 or more; at most 100 detections of an image and label"
)
_MEAN_IOU: Final = "mean over IoU 0.50, 0.55 … 0.95"
_AREA_AVERAGES: Final = MappingProxyType(
    {
        "micro": "of the boxes of all labels together",
        "macro": "unweighted mean over the labels that are true or predicted; 0 where undefined",
        "weighted": "mean over labels, weighted by their true boxes; 0 where undefined",
    }
)
_AREA_SCORES: Final = MappingProxyType(
    {
        "precision": "TP / (TP + FP)",
        "recall": "TP / (TP + FN)",
        "f1": "2 TP / (2 TP + FP + FN)",
    }
)
_ERRORS: Final = MappingProxyType(
    {
        "classification": "at the place of a true box of another label (IoU 0.5 or more)",
        "localization": "on a true box of the label, with IoU 0.1 to 0.5",
        "both": "on a true box of another label, with IoU 0.1 to 0.5",
        "duplicate": "on a true box of the label that a surer prediction has found",
        "background": "on no true box (IoU 0.1 at most)",
        "missed": "true boxes that no prediction finds, nor would but for its label or place",
    }
)
_PIXELS: Final = "counts are of the pixels of all labels on all images; the background is no label"
_IMAGES: Final = "mean over the images where truth or prediction has the label, then over labels"

_AGGREGATES: Final = {
    "ap": f"{_COCO}; {_MEAN_IOU}",
    "ap_50": f"{_COCO}; at IoU 0.50",
    "ap_75": f"{_COCO}; at IoU 0.75",
    "ar_100": f"COCO's average recall, at most 100 detections of an image and label; {_MEAN_IOU}",
    "ap_small": f"{_COCO}; {_MEAN_IOU}; boxes of at most 32² pixels",
    "ap_medium": f"{_COCO}; {_MEAN_IOU}; boxes of 32² to 96² pixels",
    "ap_large": f"{_COCO}; {_MEAN_IOU}; boxes of 96² pixels or more",
}
_LABEL_BOXES: Final = {
    "precision": "share of the predicted boxes that have found a true box of the label",
    "recall": "share of the label's true boxes that a prediction has found",
    "f1": "2 TP / (2 TP + FP + FN) of the label",
    "ap": f"COCO's average precision of the label; {_MEAN_IOU}",
}
_DETECTION: Final = {
    **{f"aggregate/{name}": text for name, text in _AGGREGATES.items()},
    **{
        f"at_threshold/{score}_{average}": (
            "boxes at or above the assumed threshold of their label, right or wrong by the "
            f"provider's own flags: {formula}, {how}"
        )
        for score, formula in _AREA_SCORES.items()
        for average, how in _AREA_AVERAGES.items()
    },
    **{
        f"curve/{score}": (
            "predicted is every box with confidence >= step / 100, right when it has found a true "
            f"box of its label by greedy matching at IoU 0.5: {formula} of all labels together"
        )
        for score, formula in _AREA_SCORES.items()
    },
    **{
        f"label_{name}": f"{text}; found by greedy matching at IoU 0.5" if name != "ap" else text
        for name, text in _LABEL_BOXES.items()
    },
    **{
        f"extra/{name}_optimistic": (
            f"{name} with the matched boxes below the threshold among the detections, although "
            "the unmatched ones there were not published: too high"
        )
        for name in ("ap", "ap_50", "ap_75", "ar_100")
    },
    **{
        f"errors/{kind}": f"predictions of the kind of error that TIDE names: {_ERRORS[kind]}"
        for kind in BOX_ERRORS
        if kind != "missed"
    },
    "errors/missed": _ERRORS["missed"],
    "interval": (
        "95 % interval over images (or groups of them): of average precision and recall the "
        "jackknife of value and bias on the logit scale, without each of 20 random parts, in five "
        "dealings; of a label's boxes Wilson's at as many boxes as they are worth, since those of "
        "an image go together"
    ),
}
_SEGMENTATION: Final = {
    "aggregate/mean_iou": f"intersection over union, {_IMAGES}",
    "aggregate/mean_dice": f"2 TP / (2 TP + FP + FN) of pixels, {_IMAGES}",
    **{f"aggregate/pixel_{score}": f"{text}; {_PIXELS}" for score, text in _AREA_SCORES.items()},
    "extra/mean_iou_pooled": (
        "mean over labels of intersection over union, the pixels of all images together"
    ),
    "extra/mean_iou_all_images": (
        "mean over all images of intersection over union, 1 where neither truth nor prediction "
        "has the label, then over labels"
    ),
    **{f"label_{score}": f"{text} of the label's pixels" for score, text in _AREA_SCORES.items()},
    "label_iou": "intersection over union, mean over the images where truth or prediction has it",
    "label_dice": "2 TP / (2 TP + FP + FN) of pixels, mean over the same images",
    "interval": (
        "95 % interval over images (or groups of them), of single labels too: jackknife of value "
        "and bias on the logit scale, without each image, of many without each of 200 random parts"
    ),
}
AREA_DEFINITIONS: Mapping[Task, Mapping[str, str]] = MappingProxyType(
    {Task.DETECTION: _DETECTION, Task.SEGMENTATION: _SEGMENTATION}
)

_SCORES: Final = MappingProxyType(
    {
        "precision": "TP / (TP + FP)",
        "recall": "TP / (TP + FN)",
        "f1": "2 TP / (2 TP + FP + FN)",
        "jaccard": "TP / (TP + FP + FN)",
    }
)
_AVERAGES: Final = MappingProxyType(
    {
        "micro": "of the counts of all labels together",
        "macro": "unweighted mean over the labels that are true or predicted; 0 where undefined",
        "weighted": "mean over labels, weighted by their true images; 0 where undefined",
        "samples": "mean over images of the score of each image's own labels; 0 where undefined",
    }
)
_AREAS: Final = MappingProxyType(
    {
        "average_precision_macro": (
            "mean over labels that are true on some image of Σ (R_k - R_(k-1)) P_k over falling "
            "distinct confidences, without interpolation; complete records only"
        ),
        "roc_auc_macro": (
            "mean of the areas under the ROC curves of one label against the rest, over labels "
            "that are true on some images and not on others; complete records only"
        ),
    }
)
_CLASSIFICATION: Final = MappingProxyType(
    {
        "accuracy": "share of images with truth whose prediction is the true label",
        "balanced_accuracy": "mean recall of the labels that are true on some image",
        "hamming_loss": "1 - accuracy",
        "mcc": (
            "Matthews correlation of many classes (Gorodkin 2004); no prediction is one more class"
        ),
        "cohen_kappa": "Cohen's kappa; no prediction is one more class",
        "ece": (
            "expected calibration error over images with a prediction: Σ n_b / n |accuracy_b - "
            "mean confidence_b| over 15 equal bins of the predicted confidence, closed on the "
            "right, the first also on the left"
        ),
        "ece_debiased": (
            "calibration error without what chance adds to it: of models whose gaps in the bins of "
            "ece are c times those seen, the error of the one that gives ece on average, with "
            "normal errors of gaps as Kumar et al. 2019; 0 where a calibrated model gives as much"
        ),
        "log_loss": (
            "mean of -ln of the true label's confidence, the confidences of each image scaled to "
            "sum to 1; complete records that sum to 1 within 0.001 only"
        ),
        **_AREAS,
    }
)
_MULTILABEL: Final = MappingProxyType(
    {
        "subset_accuracy": "share of images whose predicted labels are exactly the true ones",
        "hamming_loss": "share of wrong decisions among all images x labels",
        "average_precision_micro": (
            "Σ (R_k - R_(k-1)) P_k over falling distinct confidences of all (image, label) pairs "
            "together, without interpolation; complete records only"
        ),
        **_AREAS,
    }
)
_LABEL: Final = MappingProxyType(
    {
        "precision": "share of the images predicted as the label where it is true",
        "recall": "share of the images where the label is true that are predicted as it",
        "f1": "2 TP / (2 TP + FP + FN) of the label",
        "ap": "average precision of the label against the rest; complete records only",
    }
)
_INTERVAL: Final = (
    "95 % interval over images (or groups of them): Wilson's for plain shares, and for the F1 of a "
    "label by way of the share of right ones among images with the label or predicted as it; for "
    "all else the leave-one-out jackknife of value and bias, on the logit scale (mcc and "
    "cohen_kappa: Fisher's, log_loss: logarithm), Student's quantile at the degrees of freedom "
    "of the error; balanced_accuracy and recall_macro no narrower than MOVER of Wilson's intervals "
    "(Zou, Donner 2008); at a perfect or wholly wrong score what goes with Wilson's bound on the "
    "share of images with any error; ece_debiased: models whose gaps are a multiple of those seen"
)
_CONSISTENCY: Final = (
    "p of a test that the model is calibrated: the share of simulated test sets with these "
    "confidences, each prediction right with its own, whose ece is no less (Broecker, Smith 2007)"
)


REPORTED: Final = "as the provider published it"
_AT_THRESHOLD: Final = "at the assumed threshold of the label"
_CROSSFIT: Final = (
    "at the threshold of each label that has the best F1 on the other four fifths of the images"
)
_ANY_TASK: Final = MappingProxyType(
    {
        "training/billable_minutes": "training time that the provider bills, in minutes",
        "label_support": "how often the label is true: images, boxes, or pixels of masks",
        "label_tp": "how often the label is predicted and true",
        "label_fp": "how often the label is predicted and not true",
        "label_fn": "how often the label is true and not predicted",
        "label_roc_auc": "area under the ROC curve of the label against the rest",
        "label_ap": "average precision of the label",
        "label_threshold": "the threshold that the provider assumes for the label",
    }
)
"""Numbers that mean the same for every task."""


_TASKS: Mapping[Task, tuple[tuple[str, ...], Mapping[str, str]]] = MappingProxyType(
    {
        Task.CLASSIFICATION: (("micro", "macro", "weighted"), _CLASSIFICATION),
        Task.MULTILABEL: (("micro", "macro", "weighted", "samples"), _MULTILABEL),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRow:
    """One number by its name: `aggregate/f1_macro`, or `label_recall` with a raw label."""

    name: str
    number: Number
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumn:
    """One number of each label in label order, (n_labels,), NaN where undefined.

    `low` and `high` are the ends of intervals, None for a number that never has one.
    """

    values: FloatArray | IntArray
    low: FloatArray | None = None
    high: FloatArray | None = None


_OPTIONAL: Final = frozenset(field.name for field in fields(LabelScores) if field.default is None)
"""Scores that only some tasks have."""

HEADLINES: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        Task.CLASSIFICATION: ("accuracy", "f1_macro", "balanced_accuracy", "mcc"),
        Task.MULTILABEL: ("subset_accuracy", "f1_macro", "f1_micro", "average_precision_macro"),
        Task.DETECTION: ("ap", "ap_50", "ap_75", "ar_100"),
        Task.SEGMENTATION: ("mean_iou", "mean_dice", "pixel_f1", "pixel_recall"),
    }
)
"""Names of `aggregate/` by task, at most 6, the one that stands for the version first.

Terminal, notes, pages, comparison and charts show these.
"""
SERVICE_F1: Final = "reported/f1"
"""Shown with them where the service reports it, and in their place where nothing is computed."""

_WORDS: Final = MappingProxyType(
    {
        "f1": "F1",
        "ece": "calibration error (ECE)",
        "mcc": "Matthews correlation",
        "cohen_kappa": "Cohen's kappa",
        "ap": "AP",
        "ap_50": "AP at IoU 0.50",
        "ap_75": "AP at IoU 0.75",
        "ar_100": "AR, 100 detections",
        "auc": "AUC",
        "roc": "ROC",
        "iou": "IoU",
        "dice": "Dice",
        "tp": "TP",
        "fp": "FP",
        "fn": "FN",
    }
)
_PARTS: Final = MappingProxyType(
    {
        "aggregate": "{}",
        "extra": "{}",
        "score": "{}",
        "at_threshold": "{} at the assumed thresholds",
        "base_model": "{} of the base model",
        "reported": "service {}",
        "crossfit": "{}, cross-fitted",
        "errors": "{} errors",
        "training": "{}",
        "curve": "{} over thresholds",
        "interval": "interval of {}",
    }
)
"""How a number of a group is called."""
_LABEL_PARTS: Final = (
    ("label_reported_", "service {}"),
    ("label_at_threshold_", "{} at the assumed threshold"),
    ("label_", "{}"),
)


def list_numbers(evaluation: Evaluation, metrics: Metrics) -> Iterator[NumberRow]:
    """Every number of a version, undefined ones with their reason.

    Of all labels together: `aggregate/…`, `at_threshold/…`, `crossfit/…`, `base_model/…`,
    `extra/…`, `errors/…`, `reported/…` (`reported/base_…` of the model that this one was adapted
    from) and `training/billable_minutes`. Then those of each label with the raw label: `label_…`
    and `crossfit/label_…`.
    """
    for group, find in _GROUPS.items():
        for name, number in find(metrics).items():
            yield NumberRow(name=f"{group}/{name}", number=number)
    yield from _list_reported(evaluation)
    minutes = evaluation.version.billable_minutes
    if minutes is not None:
        yield NumberRow(name="training/billable_minutes", number=Number(value=minutes))
    yield from _list_labels(evaluation, metrics)


def list_label_columns(evaluation: Evaluation, metrics: Metrics) -> dict[str, LabelColumn]:
    """The numbers of labels by name, without `label_` before it.

    `threshold` is the provider's assumed one, `at_threshold_…` what is computed there,
    `crossfit_…` what thresholds give that the other images chose, where there is such a number,
    `reported_…` what the provider published.
    """
    columns = _list_scores(metrics.per_label, len(metrics.labels))
    columns[_THRESHOLD] = LabelColumn(values=evaluation.thresholds)
    for name in MAIN_SCORES:
        columns[f"at_threshold_{name}"] = LabelColumn(
            values=_column(metrics.at_threshold_per_label, name, len(metrics.labels))
        )
    if metrics.crossfit_per_label is not None:
        fitted = _list_scores(metrics.crossfit_per_label, len(metrics.labels))
        columns |= {f"{CROSSFIT_COLUMN}{name}": fitted[name] for name in MAIN_SCORES}
    per_label = evaluation.reported.per_label
    for name in reported_names(per_label):
        values = [per_label.get(label, {}).get(name, nan) for label in metrics.labels]
        columns[f"reported_{name}"] = LabelColumn(values=np.array(values, dtype=np.float64))
    return columns


def reported_names(per_label: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The scores that every run has a column for, then whatever else a provider reports."""
    found = dict.fromkeys(name for numbers in per_label.values() for name in numbers)
    return (*MAIN_SCORES, *(name for name in found if name not in (*MAIN_SCORES, _THRESHOLD)))


def name_label_number(column: str) -> str:
    """The name of a number of labels from that of its column.

    >>> name_label_number("recall"), name_label_number("crossfit_recall")
    ('label_recall', 'crossfit/label_recall')
    """
    if column.startswith(CROSSFIT_COLUMN):
        return CROSSFIT_OF_LABELS + column.removeprefix(CROSSFIT_COLUMN)
    return f"label_{column}"


def list_headlines(metrics: "Metrics") -> dict[str, "Number"]:
    """The headline numbers that a version has, by name, the most telling first."""
    names = [name for name in HEADLINES[metrics.task] if name in metrics.aggregate]
    return {name: metrics.aggregate[name] for name in names if metrics.aggregate[name].is_defined}


def name_metric(name: str) -> str:
    """A number's name as people write it.

    >>> name_metric("aggregate/f1_macro"), name_metric("reported/f1"), name_metric("label_recall")
    ('F1 macro', 'service F1', 'recall')
    >>> name_metric("at_threshold/precision_micro")
    'precision micro at the assumed thresholds'
    """
    group, slash, rest = name.partition("/")
    if slash:
        rest = rest.removeprefix("label_")
        return _PARTS.get(group, f"{group} {{}}").format(_spell(rest))
    for prefix, words in _LABEL_PARTS:
        if name.startswith(prefix):
            return words.format(_spell(name.removeprefix(prefix)))
    return _spell(name)


def list_definitions(task: Task, pos_label: str = "") -> dict[str, str]:
    """The definition of every number of a task, by the key it is logged under.

    Groups of keys that mean the same stand once: `label_<name>`, `interval`, `reported`. Where the
    provider names a positive class, `pos_label`, its numbers stand there too.
    """
    own = define_positive_class(pos_label) if pos_label else {}
    positive = {f"aggregate/{name}": text for name, text in own.items()}
    if task in AREA_DEFINITIONS:
        return {**AREA_DEFINITIONS[task], **positive, "reported": REPORTED}
    definitions = {f"aggregate/{name}": text for name, text in _define_aggregate(task)}
    for score, average in _combine(("precision", "recall", "f1"), ("micro", "macro", "weighted")):
        definitions[f"at_threshold/{score}_{average}"] = (
            "predicted is every label whose confidence reaches its assumed threshold, one label "
            f"against the rest: {_SCORES[score]}, {_AVERAGES[average]}"
        )
    for score in ("precision", "recall", "f1"):
        definitions[f"curve/{score}"] = (
            "predicted is every recorded (image, label) with confidence >= step / 100: "
            f"{_SCORES[score]} of all labels together"
        )
    definitions |= {f"label_{name}": text for name, text in _LABEL.items()}
    if task == Task.CLASSIFICATION:
        definitions["extra/ece_consistency_p"] = _CONSISTENCY
    return definitions | positive | {"interval": _INTERVAL, "reported": REPORTED}


def find_definition(name: str, definitions: Mapping[str, str]) -> str:
    """What the number of that name means, '' where nothing says so.

    >>> find_definition("base_model/accuracy", {"aggregate/accuracy": "share of images"})
    'share of images'
    """
    group, slash, rest = name.partition("/")
    if group == "base_model":
        return definitions.get(f"aggregate/{rest}", "")
    if group == "crossfit":
        number = rest if rest.startswith("label_") else f"aggregate/{rest}"
        own = definitions.get(number, "")
        return f"{own}; {_CROSSFIT}" if own else ""
    if group == "reported" or name.startswith("label_reported_"):
        return REPORTED
    if not slash and name.startswith("label_at_threshold_"):
        own = definitions.get(f"label_{name.removeprefix('label_at_threshold_')}", "")
        return f"{own}; {_AT_THRESHOLD}" if own else ""
    return definitions.get(name) or _ANY_TASK.get(name, "")


def _list_reported(evaluation: Evaluation) -> Iterator[NumberRow]:
    reported = evaluation.reported
    base = reported.baseline.aggregate if reported.baseline else {}
    for prefix, numbers in (("", reported.aggregate), ("base_", base)):
        for name, value in numbers.items():
            number = Number(value=value, reason=NO_REPORTED_INTERVAL)
            yield NumberRow(name=f"reported/{prefix}{name}", number=number)


def _list_labels(evaluation: Evaluation, metrics: Metrics) -> Iterator[NumberRow]:
    columns = list_label_columns(evaluation, metrics)
    support = columns["support"].values
    for name, column in columns.items():
        for i, label in enumerate(metrics.labels):
            undefined = NO_IMAGE if support[i] == 0 else UNDEFINED_LABEL
            value = float(column.values[i])
            number = Number(
                value=value,
                low=nan if column.low is None else float(column.low[i]),
                high=nan if column.high is None else float(column.high[i]),
                reason=undefined if isnan(value) else "",
            )
            yield NumberRow(name=name_label_number(name), label=label, number=number)


def _list_scores(scores: LabelScores | None, n: int) -> dict[str, LabelColumn]:
    """Whatever `LabelScores` has, in its order; without images what every task has, undefined."""
    known = [field for field in fields(scores or LabelScores) if _is_there(scores, field.name)]
    names = [field.name for field in known if not field.name.endswith(_ENDS)]
    ends = {field.name for field in known if field.name.endswith(_ENDS)}
    return {
        name: LabelColumn(
            values=_column(scores, name, n),
            low=_column(scores, f"{name}_low", n) if f"{name}_low" in ends else None,
            high=_column(scores, f"{name}_high", n) if f"{name}_high" in ends else None,
        )
        for name in names
    }


def _is_there(scores: LabelScores | None, name: str) -> bool:
    """Whether a task has this score of labels at all."""
    if scores is None:
        return name not in _OPTIONAL
    return getattr(scores, name) is not None


def _column(scores: LabelScores | None, name: str, n: int) -> FloatArray:
    return np.full(n, nan) if scores is None else np.asarray(getattr(scores, name))


def _spell(name: str) -> str:
    """The words of a name without its group."""
    if name in _WORDS:
        return _WORDS[name]
    return " ".join(_WORDS.get(word, word) for word in name.split("_"))


def _define_aggregate(task: Task) -> Iterator[tuple[str, str]]:
    averages, own = _TASKS[task]
    for score, average in _combine(_SCORES, averages):
        yield f"{score}_{average}", f"{_SCORES[score]}, {_AVERAGES[average]}"
    yield from own.items()


def _combine(scores: Iterable[str], averages: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((score, average) for score in scores for average in averages)
