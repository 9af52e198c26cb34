"""How many images would decide what is undecided."""

from collections.abc import Sequence
from math import nan

from mlrek.comparison import Difference, Settling
from mlrek.comparison.exams import Exam
from mlrek.comparison.judgements import IMAGES_RIGHT, RIGHT_NAMES, count_right
from mlrek.metrics.power import (
    images_to_decide,
    images_to_decide_shares,
    smallest_decidable,
    smallest_decidable_share,
)
from mlrek.metrics.resampling import CONFIDENCE


def settle(
    differences: Sequence[Difference], shared: tuple[Exam, Exam], *, grouped: bool
) -> Settling | None:
    """What would decide a difference of images wholly right that is undecided.

    Images that show one object are no independent trials: there the spread is that between objects.
    """
    names = (*RIGHT_NAMES.get(shared[0].metrics.task, ()), IMAGES_RIGHT)
    difference = next((d for d in differences if d.name in names), None)
    if difference is None or not difference.low <= 0 <= difference.high:
        return None
    counted = shared[0].rows.counted & shared[1].rows.counted
    counts = count_right(*(exam.rows.is_right[counted] for exam in shared))
    if grouped:
        spread = difference.evidence.standard_error if difference.evidence else nan
        return Settling(
            images_needed=images_to_decide(round(counts.n), difference.difference, spread),
            smallest_difference=smallest_decidable(spread),
        )
    return Settling(
        images_needed=images_to_decide_shares(counts, confidence=CONFIDENCE),
        smallest_difference=smallest_decidable_share(counts, confidence=CONFIDENCE),
    )
