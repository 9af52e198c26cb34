"""The matrices at rising thresholds that a page holds."""

import numpy as np
import pytest
from fakes.large_evaluation import make_large_evaluation

from mlrek.metrics.matrix_steps import compute_matrix_steps
from mlrek.render import matrix_data
from mlrek.render.matrix_data import build_steps_json


def decode(steps, percent):
    """The counts of a page's text at one threshold, by another reader than the page's."""
    n, place = len(steps["sums"]), steps["percents"].index(percent)
    counts = np.zeros((n + 1, n + 1), dtype=int)
    for row, text in enumerate(steps["rows"]):
        for cell in filter(None, text.split(";")):
            column, *entries = cell.split(",")
            step = 0
            for entry in entries:
                distance, _, change = entry.partition(":")
                step += int(distance or "0", 36)
                counts[row, int(column or "0", 36)] += (step >= place) * int(change or "1", 36)
    counts[:n, n] = steps["sums"] - counts[:n, :n].sum(axis=1)
    return counts.tolist()


def test_the_pets_matrix_at_thresholds(pets, page_of, data_of):
    """Cat at 0.9; dogs at 0.8 and 0.55, and one taken for a cat at 0.7: what falls is (none)."""
    steps = data_of(page_of(pets))["matrix_steps"]

    assert steps["percents"] == [*range(101)]
    assert decode(steps, 0) == decode(steps, 55) == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert decode(steps, 56) == decode(steps, 70) == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert decode(steps, 71) == [[1, 0, 0], [0, 1, 2], [0, 0, 0]]
    assert decode(steps, 91) == [[0, 0, 1], [0, 0, 3], [0, 0, 0]]


@pytest.mark.parametrize("most", [10**6, 700])
def test_many_matrices_are_told_at_fewer_thresholds_but_not_less_exactly(monkeypatch, most):
    """At each threshold that is left the counts are numpy's own; 11 of them where 101 are many."""
    monkeypatch.setattr(matrix_data, "MAX_ENTRIES", most)
    evaluation = make_large_evaluation(1_000, 8, 3)
    steps = build_steps_json(compute_matrix_steps(evaluation))
    records = evaluation.records
    image = np.repeat(np.arange(1_000), np.diff(records.offsets))
    order = np.lexsort((records.label_idx, -records.confidence, image))
    first = order[np.flatnonzero(np.diff(image[order], prepend=-1))]
    top, sure = records.label_idx[first], records.confidence[first]

    assert len(steps["percents"]) == (101 if most > 700 else 11)
    for percent in steps["percents"]:
        expected = np.zeros((9, 9), dtype=int)
        shown = np.where(sure >= percent / 100, top, 8)
        np.add.at(expected, (evaluation.truth.label_idx, shown), 1)
        assert decode(steps, percent) == expected.tolist()


def test_too_many_matrices_are_left_out(monkeypatch):
    """Nothing stands for them."""
    monkeypatch.setattr(matrix_data, "MAX_ENTRIES", 10)
    assert build_steps_json(compute_matrix_steps(make_large_evaluation(1_000, 8, 3))) is None
