"""The numbers of each label, and what the averages over labels had to leave undefined."""

from collections.abc import Iterator, Sequence

from mlrek.evaluation import FloatArray
from mlrek.metrics import LabelScores
from mlrek.metrics.counts import FRACTIONS, LabelCounts, divide
from mlrek.metrics.naming import name_labels, select_labels
from mlrek.metrics.resampling import CONFIDENCE
from mlrek.metrics.shares import Shares


def score_labels(
    counts: LabelCounts,
    ap: FloatArray,
    roc_auc: FloatArray,
    confidence: float = CONFIDENCE,
    by_group: LabelCounts | None = None,
    *,
    are_groups: bool = True,
) -> LabelScores:
    """Counts, precision, recall and F1 of each label, undefined where the denominator is 0.

    The intervals are Wilson's, of F1 by way of the share of right images among those that have the
    label or are predicted as it, J: F1 = 2 J / (1 + J).

    Args:
        counts: Of each label, (n_labels,).
        ap: Average precision of each, (n_labels,).
        roc_auc: ROC AUC of each, (n_labels,).
        confidence: Of the intervals.
        by_group: The counts of each unit, (n_units, n_labels), where one may count several times.
        are_groups: Whether these are groups of images, or images with boxes.
    """
    ends = {
        name: _list_shares(score, counts, by_group, are_groups).compute_ends(confidence)
        for name, score in (("precision", "precision"), ("recall", "recall"), ("f1", "jaccard"))
    }
    f1_low, f1_high = (2 * end / (1 + end) for end in ends["f1"])
    return LabelScores(
        support=counts.support,
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        precision=divide(*FRACTIONS["precision"](counts)),
        precision_low=ends["precision"][0],
        precision_high=ends["precision"][1],
        recall=divide(*FRACTIONS["recall"](counts)),
        recall_low=ends["recall"][0],
        recall_high=ends["recall"][1],
        f1=divide(*FRACTIONS["f1"](counts)),
        f1_low=f1_low,
        f1_high=f1_high,
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


def _list_shares(
    score: str,
    counts: LabelCounts,
    by_group: LabelCounts | None,
    are_groups: bool,
) -> Shares:
    successes, n = FRACTIONS[score](counts)
    if by_group is None:
        return Shares(successes=successes, n=n)
    group_successes, group_n = FRACTIONS[score](by_group)
    return Shares(
        successes=successes,
        n=n,
        group_successes=group_successes,
        group_n=group_n,
        are_groups=are_groups,
    )
