"""Whether confidences can rank anything: the doubt `confidence_constant`."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mlrek.evaluation import Doubt, DoubtKind, Evaluation, FloatArray
from mlrek.metrics import Metrics

_TOUCHES: Final = (
    "aggregate/ap*",
    "aggregate/average_precision*",
    "aggregate/roc_auc*",
    "label_ap",
    "label_roc_auc",
    "curve/*",
)
_RANKED: Final = ("ap", "average_precision", "roc_auc")
"""What names of numbers that need an order begin with."""


def doubt_constant(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Doubts numbers that follow from an order of records which all have one confidence.

    Their order is then that of the images' names. A box that was never found (confidence 0) is
    no detection. Nothing is doubted where no number needs an order.
    """
    confidence = _list_confidences(evaluation)
    ranked = any(
        number.is_defined and name.startswith(_RANKED) for name, number in metrics.aggregate.items()
    )
    if ranked and len(confidence) > 1 and np.ptp(confidence) == 0:
        what = "boxes" if evaluation.detections is not None else "records"
        yield Doubt(
            kind=DoubtKind.CONFIDENCE_CONSTANT,
            text=(
                f"all {len(confidence):,} {what} have the same confidence "
                f"({float(confidence[0]):g}): average precision, areas under curves and curves "
                "rank nothing"
            ),
            count=len(confidence),
            of=len(confidence),
            touches=_TOUCHES,
        )


def _list_confidences(evaluation: Evaluation) -> FloatArray:
    """Of each record or box; of two classes whose confidences add up, that of the surer one."""
    if evaluation.detections is not None:
        confidence = evaluation.detections.records.confidence
        return confidence[confidence > 0]
    records = evaluation.records
    if evaluation.pos_label and len(records.confidence):
        starts = records.offsets[:-1][records.counts > 0]
        return np.asarray(np.maximum.reduceat(records.confidence, starts))
    return records.confidence
