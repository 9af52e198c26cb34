"""The images where one label is right, missed or wrongly predicted."""

from collections.abc import Iterator
from typing import Any

from mlrek.cli.output import Output
from mlrek.evaluation import Evaluation
from mlrek.formatting import fmt
from mlrek.metrics import Metrics
from mlrek.metrics.outcomes import LabelOutcome, list_outcomes

TITLES = {
    LabelOutcome.TP: "rightly predicted",
    LabelOutcome.FN: "true, but not predicted",
    LabelOutcome.FP: "predicted, but not true",
}


def print_outcome(
    evaluation: Evaluation, metrics: Metrics, label: str, outcome: LabelOutcome, output: Output
) -> None:
    """Confidence and image, the least sure first; what has no confidence last."""
    rows = [
        [fmt(confidence, 4), image]
        for image, confidence in _list_images(evaluation, metrics, label, outcome)
    ]
    output.line(f"label {label}, {TITLES[outcome]}: {len(rows):,}")
    if rows:
        output.line()
        output.table(["confidence", "image"], rows, numeric=frozenset({"confidence"}))


def describe_outcome(
    evaluation: Evaluation, metrics: Metrics, label: str, outcome: LabelOutcome
) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [
        {"image": image, "confidence": confidence}
        for image, confidence in _list_images(evaluation, metrics, label, outcome)
    ]


def _list_images(
    evaluation: Evaluation, metrics: Metrics, label: str, outcome: LabelOutcome
) -> Iterator[tuple[str, float]]:
    if metrics.predictions is None:
        return
    outcomes = list_outcomes(evaluation, metrics.predictions)
    for row in outcomes.select(evaluation.labels.index(label), outcome):
        yield evaluation.images[outcomes.image_idx[row]], float(outcomes.confidence[row])
