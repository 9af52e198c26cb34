"""Numbers as functions of how often each image counts: of all images, or of all but some."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray

Weights: TypeAlias = NDArray[np.float32]
"""How often each image counts: whole numbers, a column for each value, (n_images, n)."""

Statistic: TypeAlias = Callable[[Weights], Mapping[str, FloatArray]]
"""Image weights (n_images, n) -> values by name, each (n,)."""

CONFIDENCE: Final = 0.95
"""Of an interval, unless another one is asked for."""

MAX_BLOCK: Final = 3 * 2**19
"""Most numbers held at once for a block of weights: 6 MiB in single precision."""

EXACT_FLOAT32: Final = 2**24
"""Whole numbers below it are exact in single precision."""


def count_drawn(weights: NDArray[Any]) -> NDArray[Any]:
    """How many images each column counts, (n,), added up in a type that holds whole numbers."""
    small = len(weights) < EXACT_FLOAT32
    return np.asarray(weights.sum(axis=0, dtype=np.float32 if small else np.float64))


def evaluate(statistic: Statistic, n_images: int) -> dict[str, FloatArray]:
    """The values of a statistic on the images as they are, each of shape ()."""
    return {
        name: value[0]
        for name, value in statistic(np.ones((n_images, 1), dtype=np.float32)).items()
    }
