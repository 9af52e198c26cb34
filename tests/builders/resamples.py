"""Resamples drawn one by one, and the intervals that follow from them."""

import numpy as np
import pytest


def draw_units(sizes, *, resamples, seed=0):
    """The drawn units of each resample: as many of each stratum as there are."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes])
    for _ in range(resamples):
        parts = [
            start + rng.integers(size, size=size)
            for start, size in zip(starts, sizes, strict=False)
        ]
        yield np.concatenate(parts)


def assert_intervals(comparison, samples, scope):
    """`samples`: candidate minus baseline in each resample, by name or `name/code`."""
    for name in samples[0]:
        group, _, rest = name.partition("/")
        code = "abcdefg"[int(rest)] if group == "label_f1" else ""
        difference = comparison.find(group if code else name, label=code, scope=scope)
        ends = _find_ends([sample[name] for sample in samples])
        assert (difference.low, difference.high) == pytest.approx(ends, abs=1e-9), name


def _find_ends(differences):
    return np.percentile(differences, [2.5, 97.5])
