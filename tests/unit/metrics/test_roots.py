"""The root of a function, against SciPy's own search for it."""

import numpy as np
import pytest
from scipy.optimize import brentq

from mlrek.metrics.roots import find_root


def test_the_root_is_that_of_scipy_found_at_the_same_places():
    """Of 600 random functions, flat, steep, bent and with kinks, root and steps are brentq's."""
    rng = np.random.default_rng(7)
    for kind in range(600):
        where, steep, kink = rng.uniform(-3, 3), 10.0 ** rng.uniform(-3, 3), rng.uniform(0, 2)
        low, high = where - 10 ** rng.uniform(-3, 2), where + 10 ** rng.uniform(-3, 2)
        asked = []

        def function(x, where=where, steep=steep, kink=kink, kind=kind, asked=asked):
            asked.append(x)
            plain = (x - where) * steep
            return (plain + kink * max(x - where, 0), np.tanh(plain), plain + plain**3)[kind % 3]

        found = find_root(function, low, high)
        ours = asked.copy()
        asked.clear()
        assert found == pytest.approx(brentq(function, low, high), abs=1e-14)
        assert ours == pytest.approx(asked, abs=1e-12)


def test_a_root_at_an_end_is_that_end():
    """Where the function is 0 at an end already, that is the root."""
    assert find_root(lambda x: x, 0.0, 1.0) == 0.0
    assert find_root(lambda x: x - 1, 0.0, 1.0) == 1.0


def test_a_function_of_one_sign_has_no_root():
    """Where the signs at both ends are the same, nothing is found by chance."""
    with pytest.raises(ValueError, match="same sign"):
        find_root(lambda x: x**2 + 1, -1.0, 1.0)
