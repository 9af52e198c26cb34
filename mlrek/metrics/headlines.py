"""The few numbers that say most of a version, one list a task, and what numbers are called."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlrek.evaluation import Task

if TYPE_CHECKING:
    from mlrek.metrics import Metrics, Number

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
"""What stands beside them where the service reports it, and for them where nothing is computed."""

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


def _spell(name: str) -> str:
    """The words of a name without its group."""
    if name in _WORDS:
        return _WORDS[name]
    return " ".join(_WORDS.get(word, word) for word in name.split("_"))
