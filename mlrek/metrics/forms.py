"""The form of each number's interval: its scale, its ends, and what holds at a perfect score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.jackknife import Scale, Tails

MIN_DEGREES: Final = 7.0
"""Degrees of freedom that the error of a number must have by the images of each label."""

MAX_SINGLES: Final = 0.1
"""Most labels with one image or none, as a share: with more, the mean is of other labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the interval of a number is made.

    `at_share` gives the worst number that goes with a share of images with any error, where all
    others are right: it is the end at a perfect score.
    """

    scale: Scale = Scale.LOGIT
    tails: Tails = Tails.NEAR
    at_share: Callable[[float], float] = lambda wrong: 1 - wrong


LOGIT: Final = Form()
AREA: Final = Form(tails=Tails.BOTH)
"""Of areas a few positives carry the error, of masks a few large ones, on both sides."""

_CORRELATIONS: Final = ("mcc", "cohen_kappa")
_FISHER: Final = Form(scale=Scale.FISHER, at_share=lambda wrong: 1 - 2 * wrong)
_JACCARD: Final = Form(at_share=lambda wrong: (1 - wrong) / (1 + wrong))
_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        **dict.fromkeys(_CORRELATIONS, _FISHER),
        **dict.fromkeys(("jaccard_micro", "jaccard_macro", "jaccard_weighted"), _JACCARD),
        **dict.fromkeys(
            (
                "roc_auc_macro",
                "average_precision_macro",
                "average_precision_micro",
                "roc_auc",
                "average_precision",
                "mean_iou",
                "mean_dice",
                "mean_iou_pooled",
                "mean_iou_all_images",
                "pixel_precision",
                "pixel_recall",
                "pixel_f1",
            ),
            AREA,
        ),
    }
)


def find_form(name: str) -> Form:
    """The form of a number by its short name (`f1_macro`, `iou/<code>` of a label's masks)."""
    return AREA if "/" in name else _FORMS.get(name, LOGIT)


def find_degrees(support: IntArray, moves: FloatArray) -> float:
    """Degrees of freedom of an error that images of all labels make alike often.

    Satterthwaite's (1946) for a sum over labels with variances in proportion to n_l moves_l²; few
    degrees tell that a few images of a rare label decide.

    Args:
        support: Images (or groups) of each label, (n_labels,); labels without any say nothing.
        moves: How far one wrong image of each label moves the number, (n_labels,).

    >>> round(find_degrees(np.array([97, 3]), 1 / np.array([97, 3])), 1)
    2.1
    """
    known = support > 0
    variances = support[known] * np.square(moves[known])
    spread = np.square(variances) / np.maximum(support[known] - 1, 1)
    return float(variances.sum() ** 2 / spread.sum()) if spread.sum() > 0 else nan


def explain_few(name: str, support: IntArray, n_units: int, what: str = "images") -> str:
    """Why a number that weighs labels has no interval; '' where its labels have enough images.

    Args:
        name: Of the number.
        support: Images (or groups) of each label, (n_labels,).
        n_units: All of them.
        what: What the units are.
    """
    moves = find_moves(name, support)
    if moves is None:
        return ""
    degrees = find_degrees(support, moves)
    is_open = isnan(degrees) or may_lack_labels(name, support)
    factor = max(2.0 if is_open else 0.0, 0.0 if isnan(degrees) else MIN_DEGREES / max(degrees, 1))
    if factor <= 1:
        return ""
    needed = int(np.ceil(n_units * factor))
    return (
        f"no interval: the rarest labels have too few {what}; with labels as frequent as here "
        f"about {needed:,} {what} are needed"
    )


def may_lack_labels(name: str, support: IntArray) -> bool:
    """Whether a mean over labels may lack some that the population has.

    So it is where more than a tenth of the labels have no image here, or a single one.
    """
    if name in _CORRELATIONS:
        return False
    return bool(np.count_nonzero(support <= 1) > MAX_SINGLES * len(support))


def find_moves(name: str, support: IntArray) -> FloatArray | None:
    """How far one wrong image of each label moves a number, up to a factor, (n_labels,).

    None for numbers in which every image weighs alike. The correlations weigh labels by the
    variance of having them, so that of two labels both weigh alike.
    """
    if name in _CORRELATIONS:
        return np.asarray(support.sum() - support, dtype=np.float64)
    if name == "balanced_accuracy" or name.endswith("_macro"):
        moves = np.zeros(len(support))
        np.divide(1.0, support, out=moves, where=support > 0)
        return moves
    return None
