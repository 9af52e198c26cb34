"""What needs the order of scores: curves, thresholds of other images, areas, one label at a time.

The scores of a label are sorted once, and let go before those of the next one are.
"""

from dataclasses import dataclass

from mlrek.evaluation import Evaluation
from mlrek.metrics import PrecisionRecallCurve, ThresholdCurves
from mlrek.metrics.areas import Areas, LabelAreas
from mlrek.metrics.crossfit import CrossFitted, EvaluationFits, estimate_crossfit
from mlrek.metrics.curves import LabelCurves
from mlrek.metrics.left_out import Sampling, Units
from mlrek.metrics.ranking import RankedPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNumbers:
    """All that is made of the order of scores; no curves where they are not asked for."""

    curves: ThresholdCurves | None
    precision_recall: tuple[PrecisionRecallCurve, ...]
    crossfit: CrossFitted
    areas: Areas


def compute_order_numbers(
    evaluation: Evaluation, ranked: RankedPairs, sampling: Sampling, units: Units, *, curves: bool
) -> OrderNumbers:
    """Read the scores of each label once.

    Args:
        evaluation: A classification.
        ranked: The recorded pairs of the images that count.
        sampling: What intervals are made over.
        units: Those of the same images.
        curves: Whether curves are asked for.
    """
    drawn = LabelCurves(evaluation, ranked.pairs) if curves else None
    fits = EvaluationFits.start(evaluation, ranked.pairs, groups=sampling.name_groups())
    areas = LabelAreas(ranked, units)
    readers = [one for one in (drawn, fits, None if ranked.missing else areas) if one is not None]
    for scores in ranked.read() if readers else ():
        for reader in readers:
            reader.add(scores)
    return OrderNumbers(
        curves=drawn.count_thresholds() if drawn else None,
        precision_recall=drawn.trace_precision() if drawn else (),
        crossfit=estimate_crossfit(fits.finish() if fits else None, sampling.confidence),
        areas=areas.finish(),
    )
