"""Scores are sorted once, and all that needs their order starts from there."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics, compute_numbers
from mlrek.metrics.counts import find_codes
from mlrek.metrics.falling import pool_places, sort_scores

SCORES = st.one_of(st.floats(0, 1), st.sampled_from([-0.0, 0.0, 0.25, 0.5, 1.0]))
N_IMAGES, N_LABELS = 300, 4


@given(st.lists(st.tuples(SCORES, st.booleans()), max_size=30))
def test_places_of_scores_are_those_of_a_plain_count(images):
    """At each distinct score: how many there, and how many as high, with and without the label."""
    scores = np.array([score for score, _ in images], dtype=np.float64)
    is_true = np.array([true for _, true in images], dtype=np.bool_)
    distinct = sorted(set(scores.tolist()), reverse=True)
    expected = [
        [int((is_true & (scores == score)).sum()) for score in distinct],
        [int((~is_true & (scores == score)).sum()) for score in distinct],
        [int((is_true & (scores >= score)).sum()) for score in distinct],
        [int((scores >= score).sum()) for score in distinct],
    ]

    for places in (pool_places(scores, is_true), sort_scores(scores, is_true).count_places()):
        columns = places.positive, places.negative, places.tp, places.predicted
        assert [column.tolist() for column in columns] == expected


@given(
    st.lists(st.tuples(st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 40)), max_size=60),
    st.booleans(),
)
def test_scores_that_differ_in_their_last_bits_fall(parts, is_true):
    """Whatever place they had before, and rows tell where each score stood."""
    scores = np.array([score - steps * 2**-54 for score, steps in parts], dtype=np.float64)

    falling = sort_scores(scores, np.full(len(scores), is_true))

    assert falling.confidence.tolist() == sorted(scores.tolist(), reverse=True)
    assert scores[falling.image_idx].tolist() == falling.confidence.tolist()
    assert sorted(falling.image_idx.tolist()) == list(range(len(scores)))


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_codes_are_found_among_fewer_and_among_more(codes, among):
    """As by Python's own sets, whichever of the two is longer."""
    found = find_codes(np.array(sorted(codes), dtype=np.int64), np.array(sorted(among), dtype=int))

    assert found.tolist() == [code in among for code in sorted(codes)]


@pytest.fixture
def sorts(monkeypatch):
    """How often each function that sorts was called with as many numbers as images, or more."""
    called = Counter()

    def count(name):
        plain = getattr(np, name)

        def counted(values, *args, **options):
            called[name] += np.size(values[0] if name == "lexsort" else values) >= N_IMAGES
            return plain(values, *args, **options)

        monkeypatch.setattr(np, name, counted)

    for name in ("argsort", "sort", "unique", "lexsort"):
        count(name)
    return called


def test_the_scores_of_a_label_are_sorted_once(build_scores, sorts):
    """All numbers of a version, with intervals and curves, sort each label's scores one time.

    Besides: all scores together once, predictions by bin, two means of areas and the log loss
    (twice) without each image, and kinds of images. Digests of names are sorted fold by fold.
    """
    rng = np.random.default_rng(0)
    y_true, scores = rng.integers(N_LABELS, size=N_IMAGES), rng.random((N_IMAGES, N_LABELS))
    scores /= scores.sum(axis=1, keepdims=True)
    evaluation = build_scores([[code] for code in y_true], scores, thresholds=[0.3] * N_LABELS)

    compute_metrics(evaluation)

    assert sorts == {"argsort": 1, "sort": 5 + N_LABELS, "unique": 1}


def test_numbers_without_intervals_are_the_same_and_leave_no_image_out(build_scores, sorts):
    """The scores of each label are sorted one time, and nothing else that is as long."""
    rng = np.random.default_rng(0)
    y_true, scores = rng.integers(N_LABELS, size=N_IMAGES), rng.random((N_IMAGES, N_LABELS))
    scores /= scores.sum(axis=1, keepdims=True)
    evaluation = build_scores([[code] for code in y_true], scores, thresholds=[0.3] * N_LABELS)
    whole = compute_metrics(evaluation)
    sorts.clear()

    found = compute_numbers(evaluation, PredictionRule.TOP1)

    assert +sorts == {"sort": N_LABELS}
    for group in ("aggregate", "at_threshold", "crossfit"):
        ours, theirs = getattr(found, group), getattr(whole, group)
        assert {n: v.value for n, v in ours.items()} == {n: v.value for n, v in theirs.items()}


def test_numbers_take_forty_bytes_a_record(build_scores):
    """At the peak of all numbers, with intervals and curves, above the columns as they are read.

    Scores in order are those of one label, and no column holds the image of each record.
    """
    rng = np.random.default_rng(0)
    n, n_labels = 20_000, 6
    y_true, scores = rng.integers(n_labels, size=n), rng.random((n, n_labels))
    scores /= scores.sum(axis=1, keepdims=True)
    thresholds = [0.3] * n_labels
    compute_metrics(build_scores([[0], [1]], scores[:2], thresholds=thresholds))  # its imports
    evaluation = build_scores([[code] for code in y_true], scores, thresholds=thresholds)

    tracemalloc.start()
    try:
        compute_metrics(evaluation)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak / (n * n_labels) < 40
