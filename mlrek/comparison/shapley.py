"""What each of several causes adds to a change, whichever of them comes first.

Walk from one state to the other, one cause after the other, and note what each step adds; what a
cause adds on average over all orders is its part (Shapley 1953; for numbers that are no sums:
Shorrocks, Journal of Economic Inequality 11, 99-126, 2013). The parts add up to the change, and are
mirrored where both states are exchanged.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise, permutations
from typing import TypeVar

import numpy as np

from mlrek.evaluation import FloatArray

CauseT = TypeVar("CauseT")


def share_out(
    causes: Sequence[CauseT],
    measure: Callable[[frozenset[CauseT]], FloatArray],
    before: Sequence[tuple[CauseT, CauseT]] = (),
) -> dict[CauseT, FloatArray]:
    """The part of each cause.

    Args:
        causes: All there are.
        measure: The number where these causes have already come, (n,).
        before: Pairs of which the first always comes before the second.
    """
    measure = cache(measure)
    parts: dict[CauseT, FloatArray] = {
        cause: np.zeros_like(measure(frozenset())) for cause in causes
    }
    orders = [
        order
        for order in permutations(causes)
        if all(order.index(one) < order.index(other) for one, other in before)
    ]
    for order in orders:
        states = [frozenset(order[:i]) for i in range(len(order) + 1)]
        for cause, (was, now) in zip(order, pairwise(states), strict=True):
            parts[cause] += (measure(now) - measure(was)) / len(orders)
    return parts
