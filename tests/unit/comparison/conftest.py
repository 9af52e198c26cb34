"""Two versions written down as plain lists, and random ones that resemble each other."""

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.comparison import Scope
from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.metrics import PredictionRule


@pytest.fixture(scope="session")
def build():
    """Make an evaluation of lists: per image its true codes and (code, confidence[, flag])."""
    return build_evaluation


@pytest.fixture(scope="session")
def build_scores():
    """Make an evaluation with complete records: `scores` (images, labels), true codes per image."""

    def build_complete(truth, scores, **options):
        records = [list(enumerate(row)) for row in np.asarray(scores).tolist()]
        options.setdefault("n_labels", np.shape(scores)[1])
        return build_evaluation(truth, records, **options)

    return build_complete


@pytest.fixture(scope="session")
def build_top():
    """Make an evaluation of one record an image; codes, -1 for no record."""

    def build_top1(y_true, y_pred, **options):
        truth = [[code] if code >= 0 else [] for code in y_true]
        records = [[(code, 0.9)] if code >= 0 else [] for code in y_pred]
        return build_evaluation(truth, records, **options)

    return build_top1


@pytest.fixture(scope="session")
def compare():
    """Compare two evaluations, with settings by name, and the rule of both; fast intervals only."""

    def compare_two(baseline, candidate, *, rule=PredictionRule.TOP1, **options):
        options.setdefault("intervals", False)
        sides = (Side(evaluation=side, rule=rule) for side in (baseline, candidate))
        return compare_versions(*sides, CompareSettings(**options))

    return compare_two


@pytest.fixture(scope="session")
def draw_pair():
    """Truth and the scores of two versions (images, labels), which are alike but not the same."""

    def draw(seed, *, n=60, n_labels=4, several=False, sharpness=2.0):
        rng = np.random.default_rng(seed)
        is_true = np.zeros((n, n_labels), dtype=bool)
        is_true[np.arange(n), rng.integers(n_labels, size=n)] = True
        if several:
            is_true |= rng.random((n, n_labels)) < 0.25
        noise = rng.normal(size=(n, n_labels))
        logits = [sharpness * is_true + noise + 0.7 * rng.normal(size=noise.shape) for _ in "bc"]
        scores = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logits]
        if several:
            scores = [1 / (1 + np.exp(1 - one)) for one in logits]
        return [np.flatnonzero(row).tolist() for row in is_true], *scores

    return draw


@pytest.fixture(scope="session")
def values():
    """The numbers of a comparison in a scope: name and label to (baseline, candidate)."""

    def list_values(comparison, scope=Scope.SHARED):
        return {
            (d.name, d.label): (d.baseline, d.candidate)
            for d in comparison.differences
            if d.scope is scope
        }

    return list_values


@pytest.fixture(scope="session")
def shuffle():
    """The places of `n` images in another order, by seed."""

    def permute(n, seed=0):
        return np.random.default_rng(seed).permutation(n).tolist()

    return permute
