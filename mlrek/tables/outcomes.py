"""Which images each label is right, missed or wrong on."""

from mlrek.evaluation import Evaluation
from mlrek.label_keys import display_label
from mlrek.metrics.outcomes import LabelOutcome, LabelOutcomes
from mlrek.tables.csv_text import number_cells, text_cells, write_long_csv


def write_outcomes(evaluation: Evaluation, outcomes: LabelOutcomes) -> bytes:
    """By label, then TP, FN and FP, the least sure first; no confidence is an empty cell."""
    labels = text_cells(map(display_label, evaluation.labels))
    names = [outcome.name for outcome in LabelOutcome]

    def cells(block: slice) -> list[list[str]]:
        return [
            [labels[i] for i in outcomes.label_idx[block].tolist()],
            text_cells(evaluation.images[i] for i in outcomes.image_idx[block].tolist()),
            [names[i] for i in outcomes.outcome[block].tolist()],
            number_cells(outcomes.confidence[block]),
        ]

    header = ("label", "image", "outcome", "confidence")
    return write_long_csv(header, len(outcomes.label_idx), cells)
