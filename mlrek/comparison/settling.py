"""How many images would decide what is undecided."""

from collections.abc import Sequence
from math import nan

from mlrek.comparison import Difference, Settling
from mlrek.comparison.exams import Measured
from mlrek.comparison.judgements import IMAGES_RIGHT, RIGHT_NAMES, count_right
from mlrek.metrics.paired_tests import PairedCounts
from mlrek.metrics.power import (
    find_spread_range,
    range_for_shares,
    range_to_decide,
    smallest_decidable,
    smallest_decidable_share,
)
from mlrek.metrics.resampling import CONFIDENCE


def settle(
    differences: Sequence[Difference], shared: tuple[Measured, Measured], *, grouped: bool
) -> Settling | None:
    """What would decide a difference of images wholly right that is undecided.

    Images that show one object are no independent trials: there the spread is that between objects.
    """
    names = (*RIGHT_NAMES.get(shared[0].metrics.task, ()), IMAGES_RIGHT)
    difference = next((d for d in differences if d.name in names), None)
    if difference is None or not difference.low <= 0 <= difference.high:
        return None
    counted = shared[0].rows.counted & shared[1].rows.counted
    counts = count_right(*(version.rows.is_right[counted] for version in shared))
    if grouped:
        spread = difference.evidence.standard_error if difference.evidence else nan
        return Settling(
            needed=range_to_decide(round(counts.n), spread, _range_discordance(counts, spread)),
            smallest_difference=smallest_decidable(spread),
        )
    return Settling(
        needed=range_for_shares(counts, confidence=CONFIDENCE),
        smallest_difference=smallest_decidable_share(counts, confidence=CONFIDENCE),
    )


def _range_discordance(counts: PairedCounts, error: float) -> tuple[float, float, float]:
    """The interval of the discordance of so many independent images as tell the same."""
    n_changed = counts.only_baseline + counts.only_candidate
    variance = (n_changed / counts.n - counts.difference**2) / counts.n
    effect = max(error * error / variance, 1.0) if variance > 0 and error > 0 else 1.0
    return find_spread_range(n_changed / effect, counts.n / effect)
