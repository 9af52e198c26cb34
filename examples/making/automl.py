"""What Google's AutoML computes from the scores of test images, in the terms of both its APIs.

A decision is one label on one image; it is positive where the score reaches the threshold. Names
are those of Vertex AI; the older API differs in a few (`Names`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, log

import numpy as np
from files import Json
from numpy.typing import NDArray

THRESHOLDS = (*(i / 20 for i in range(20)), 0.96, 0.97, 0.98, 0.99)
ALL_POSITIONS = 2**31 - 1
LOWEST_SCORE = 1e-7  # for the logarithm
LABEL_IDS = {  # those that Google's page on Vertex AI prints
    "tulips": "216348703974227968",
    "dandelion": "1369270208581074944",
    "sunflowers": "2522191713187921920",
    "daisy": "4828034722401615872",
    "roses": "7133877731615309824",
}
LABELS = tuple(LABEL_IDS)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Names:
    """What the two APIs call differently."""

    entries: str
    position: str


LEGACY = Names("confidenceMetricsEntry", "positionThreshold")
VERTEX = Names("confidenceMetrics", "maxPredictions")


@dataclass(frozen=True, slots=True)
class Decisions:
    """All (n,): the truth, the score, and whether the label is its image's first choice."""

    is_true: Bools
    score: Floats
    is_first: Bools


@dataclass(frozen=True, slots=True)
class Scores:
    """Of each test image the true label (n,) and the score of every label (n, labels)."""

    y_true: Ints
    y_score: Floats

    @property
    def every_label(self) -> Decisions:
        """The decisions on all labels."""
        return Decisions(*(column.ravel() for column in self._tables()))

    def of_label(self, label: str) -> Decisions:
        """The decisions on one label."""
        return Decisions(*(column[:, LABELS.index(label)] for column in self._tables()))

    def count_confusion(self) -> list[list[int]]:
        """Images by true label and first choice."""
        counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
        np.add.at(counts, (self.y_true, self.y_score.argmax(axis=1)), 1)
        return counts.tolist()

    def _tables(self) -> tuple[Bools, Floats, Bools]:
        of_label = np.eye(len(LABELS), dtype=bool)
        return of_label[self.y_true], self.y_score, of_label[self.y_score.argmax(axis=1)]


def gather(truth: Mapping[str, str], scores: Mapping[str, Mapping[str, float]]) -> Scores:
    """The scores of the images in the order of the truth; both by their address."""
    return Scores(
        np.array([LABELS.index(label) for label in truth.values()]),
        np.array([[scores[image][label] for label in LABELS] for image in truth]),
    )


def describe_all(scores: Scores, names: Names) -> Json:
    """The metrics over all labels; the loss is that of the true label."""
    sure = scores.y_score[np.arange(len(scores.y_true)), scores.y_true]
    return _describe(scores.every_label, names, _mean_loss(sure.tolist()))


def describe_label(scores: Scores, label: str, names: Names) -> Json:
    """The metrics of one label against the rest; the loss is that of yes or no."""
    decisions = scores.of_label(label)
    sure = np.where(decisions.is_true, decisions.score, 1 - decisions.score)
    return _describe(decisions, names, _mean_loss(sure.tolist()))


def to_number(value: float) -> float | int:
    """A number as the services print it: in single precision, whole ones without a point."""
    single = float(str(np.float32(value)))
    return int(single) if single.is_integer() else single


def _describe(decisions: Decisions, names: Names, loss: float) -> Json:
    return {
        "auPrc": to_number(_compute_average_precision(decisions)),
        "auRoc": to_number(_compute_roc_auc(decisions)),
        "logLoss": to_number(loss),
        names.entries: [_describe_entry(decisions, t, names) for t in THRESHOLDS],
    }


def _describe_entry(decisions: Decisions, threshold: float, names: Names) -> Json:
    """The numbers at a threshold; what is 0 is left out, as the services do."""
    said = decisions.score >= threshold
    counts = _count(decisions.is_true, said)
    first = _count(decisions.is_true, said & decisions.is_first)
    outcomes = ("truePositive", "falsePositive", "falseNegative", "trueNegative")
    entry = {
        "confidenceThreshold": threshold,
        names.position: ALL_POSITIONS,
        **dict(_list_rates(counts, "")),
        **dict(_list_rates(first, "At1")),
        **{f"{outcome}Count": str(n) for outcome, n in zip(outcomes, counts, strict=True) if n},
    }
    return {name: value for name, value in entry.items() if value}


def _count(is_true: Bools, said: Bools) -> tuple[int, int, int, int]:
    """True and false positives, false and true negatives."""
    cells = (is_true & said, ~is_true & said, is_true & ~said, ~is_true & ~said)
    tp, fp, fn, tn = (int(cell.sum()) for cell in cells)
    return tp, fp, fn, tn


def _list_rates(counts: Sequence[int], suffix: str) -> Iterator[tuple[str, float]]:
    tp, fp, fn, tn = counts
    fractions = {
        "recall": (tp, tp + fn),
        "precision": (tp, tp + fp),
        "falsePositiveRate": (fp, fp + tn),
        "f1Score": (2 * tp, 2 * tp + fp + fn),
    }
    for name, (part, whole) in fractions.items():
        yield f"{name}{suffix}", to_number(part / whole) if whole else 0


def _compute_roc_auc(decisions: Decisions) -> float:
    """How many pairs of a true and an untrue decision stand in the right order."""
    positive, negative = decisions.score[decisions.is_true], decisions.score[~decisions.is_true]
    higher = np.sign(positive[:, None] - negative)
    return float((higher.sum() + higher.size) / 2 / higher.size)


def _compute_average_precision(decisions: Decisions) -> float:
    """The precision at each score of a true decision, averaged."""
    own = decisions.score[decisions.is_true]
    at = own[:, None]
    return fsum(((own >= at).sum(axis=1) / (decisions.score >= at).sum(axis=1)).tolist()) / len(own)


def _mean_loss(sure: list[float]) -> float:
    return -fsum(log(max(score, LOWEST_SCORE)) for score in sure) / len(sure)
