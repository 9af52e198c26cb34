"""The numbers of each label, and what the averages over labels had to leave undefined."""

from collections.abc import Iterator, Sequence

from mlrek.evaluation import FloatArray
from mlrek.metrics import LabelScores
from mlrek.metrics.counts import FRACTIONS, LabelCounts, divide
from mlrek.metrics.intervals import compute_wilson
from mlrek.metrics.naming import name_labels, select_labels
from mlrek.metrics.resampling import CONFIDENCE


def score_labels(
    counts: LabelCounts, ap: FloatArray, roc_auc: FloatArray, confidence: float = CONFIDENCE
) -> LabelScores:
    """Counts, precision, recall and F1 of each label, undefined where the denominator is 0.

    The intervals of precision and recall are Wilson's at `confidence`.
    """
    precision_low, precision_high = compute_wilson(counts.tp, counts.predicted, confidence)
    recall_low, recall_high = compute_wilson(counts.tp, counts.support, confidence)
    return LabelScores(
        support=counts.support,
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        precision=divide(*FRACTIONS["precision"](counts)),
        precision_low=precision_low,
        precision_high=precision_high,
        recall=divide(*FRACTIONS["recall"](counts)),
        recall_low=recall_low,
        recall_high=recall_high,
        f1=divide(*FRACTIONS["f1"](counts)),
        ap=ap,
        roc_auc=roc_auc,
    )


def warn_zero_division(
    counts: LabelCounts, labels: Sequence[str], *, where: str = ""
) -> Iterator[str]:
    """Names the labels whose undefined precision or recall counts as 0 in the averages."""
    for score, lacking, why in (
        ("precision", counts.predicted == 0, "never predicted"),
        ("recall", counts.support == 0, "true on no image"),
    ):
        names = select_labels(labels, lacking & counts.occurs)
        if names:
            named = name_labels(names)
            yield f"{score} counts as 0 in the averages{where} for labels {why}: {named}"
