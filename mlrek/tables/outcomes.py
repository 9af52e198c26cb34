"""Which images each label is right, missed or wrong on."""

from mlrek.evaluation import Evaluation
from mlrek.label_keys import display_label
from mlrek.metrics.outcomes import LabelOutcome, LabelOutcomes
from mlrek.tables.csv_text import number_cells, text_cells, write_csv


def write_outcomes(evaluation: Evaluation, outcomes: LabelOutcomes) -> bytes:
    """By label, then TP, FN and FP, the least sure first; no confidence is an empty cell."""
    labels = text_cells(map(display_label, evaluation.labels))
    images = text_cells(evaluation.images)
    names = [outcome.name for outcome in LabelOutcome]
    return write_csv(
        ("label", "image", "outcome", "confidence"),
        (
            [labels[i] for i in outcomes.label_idx.tolist()],
            [images[i] for i in outcomes.image_idx.tolist()],
            [names[i] for i in outcomes.outcome.tolist()],
            number_cells(outcomes.confidence),
        ),
    )
