"""Evaluations written down as plain lists."""

import numpy as np
import pytest
from builders.evaluations import build_evaluation


@pytest.fixture(scope="session")
def build():
    """Make an evaluation of lists: per image its true codes and (code, confidence[, flag])."""
    return build_evaluation


@pytest.fixture(scope="session")
def build_scores(build):
    """Make an evaluation with complete records: `scores` (images, labels), true codes per image."""

    def build_complete(truth, scores, **options):
        records = [list(enumerate(row)) for row in np.asarray(scores).tolist()]
        return build(truth, records, n_labels=np.shape(scores)[1], **options)

    return build_complete


@pytest.fixture(scope="session")
def list_intervals():
    """All intervals of metrics by name, (low, high) each, NaN where there is none."""
    return list_all_intervals


def list_all_intervals(metrics):
    """Those of aggregates, of extra numbers, and of the labels' precision and recall."""
    numbers = metrics.aggregate | metrics.at_threshold | metrics.extra
    intervals = {name: (number.low, number.high) for name, number in numbers.items()}
    for kind in ("per_label", "at_threshold_per_label"):
        scores = getattr(metrics, kind)
        for name in ("precision", "recall") if scores is not None else ():
            ends = (getattr(scores, f"{name}_{end}") for end in ("low", "high"))
            intervals |= {(kind, name, i): both for i, both in enumerate(zip(*ends, strict=True))}
    return intervals
