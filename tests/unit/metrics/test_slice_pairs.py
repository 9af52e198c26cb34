"""Common images of two slices of different columns."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation
from scipy import stats

from mlrek.evaluation import SliceColumn, Task
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slice_pairs import choose_columns
from mlrek.metrics.slice_tables import Layer
from mlrek.metrics.slices import SliceJudgement

WORSE = SliceJudgement.WORSE


def make_column(name, codes):
    """Values 0, 1, … of each image."""
    values = tuple(str(value) for value in range(max(codes) + 1))
    return SliceColumn(name=name, values=values, codes=np.array(codes))


def make(is_right, **columns):
    """One image each, true label a; wrong ones are predicted b."""
    records = [[(0, 0.9 if right else 0.1), (1, 0.1 if right else 0.9)] for right in is_right]
    evaluation = build_evaluation([[0]] * len(records), records, n_labels=2)
    made = tuple(make_column(name, codes) for name, codes in columns.items())
    return replace(evaluation, slice_columns=made)


def cross(n_right, n=50):
    """Four cells of two columns, each of n images of which so many are right."""
    is_right, site, light = [], [], []
    for (i, j), right in zip(((0, 0), (0, 1), (1, 0), (1, 1)), n_right, strict=True):
        is_right += [1] * right + [0] * (n - right)
        site += [i] * n
        light += [j] * n
    return make(is_right, site=site, light=light)


def find_p(mine, others, n, n_others):
    """Twice the smaller mid-p tail of the hypergeometric distribution."""
    drawn = stats.hypergeom(n + n_others, mine + others, n)
    half = drawn.pmf(mine) / 2
    return min(2 * min(drawn.cdf(mine) - half, drawn.sf(mine) + half), 1)


def test_a_pair_is_worse_where_it_is_worse_than_the_rest_of_each_of_its_slices():
    """20 of 50 are right where both meet, 48 of 50 in each of the other three cells."""
    report = compute_slices(cross((20, 48, 48, 48)), by=["site", "light"])
    worst = report.pairs[0]
    expected = max(find_p(20, 144, 50, 150), find_p(20, 48, 50, 50))

    assert (worst.name, worst.judgement, report.n_pairs_tried) == ("site=0 & light=0", WORSE, 4)
    assert (worst.score, worst.rest) == (0.4, 0.96)
    assert worst.p == pytest.approx(expected)


def test_a_pair_that_repeats_a_weak_slice_is_not_worse():
    """All of site 0 does badly, in whatever light: that is said of the site alone."""
    report = compute_slices(cross((20, 20, 48, 48)), by=["site", "light"])

    assert [row.name for row in report.weak] == ["site=0"]
    assert [row.name for row in report.pairs if row.judgement is WORSE] == []


def test_pairs_are_a_family_of_their_own():
    """The smallest p of four pairs is taken four times, that of four singles too."""
    report = compute_slices(cross((20, 48, 48, 48)), by=["site", "light"])

    assert (report.n_tried, report.n_pairs_tried) == (4, 4)
    assert report.pairs[0].p_adjusted == pytest.approx(4 * report.pairs[0].p)


def test_a_pair_with_the_images_of_one_of_its_slices_is_no_pair():
    """Camera 0 hangs at site 0 alone: both together are camera 0."""
    site = [0] * 60 + [1] * 60
    camera = [0] * 30 + [1] * 30 + [2] * 60
    report = compute_slices(make([1, 0] * 60, site=site, camera=camera), by=["site", "camera"])

    assert (report.pairs, report.n_pairs_tried) == ((), 0)


def test_a_pair_needs_as_many_images_as_a_slice():
    """Cells of 19 images are none, of 20 they are."""
    counts = [
        compute_slices(cross((9, 9, 9, 9), n), by=["site", "light"]).n_pairs_tried for n in (19, 20)
    ]

    assert counts == [0, 4]


def test_the_numbers_of_a_pair_are_those_of_its_images():
    """20 of 50 images are right."""
    worst = compute_slices(cross((20, 48, 48, 48)), by=["site", "light"]).pairs[0]

    assert worst.images.tolist() == list(range(50))
    assert worst.numbers["accuracy"].value == 0.4


def test_pairs_with_a_label_count_images_with_several_labels_in_each():
    """Label a stands on all images at site 0 and on half of those at site 1."""
    truth = [[0, 1]] * 30 + [[0]] * 30 + [[1]] * 30
    records = [[(0, 0.9), (1, 0.1)] for _ in truth]
    evaluation = build_evaluation(truth, records, n_labels=2, task=Task.MULTILABEL)
    column = make_column("site", [0, 1, 2] * 30)
    report = compute_slices(
        replace(evaluation, slice_columns=(column,)), by=["site", "label"], min_images=10
    )

    sizes = {row.name: row.n_images for row in report.pairs}
    assert sizes == {f"site={i} & label={label}": 20 for i in range(3) for label in "ab"}


def test_pairs_of_two_columns_with_several_values_an_image_are_counted():
    """30 images of each label and size, and one that has a small a and a large b."""
    small, large = (0, 0, 10, 10), (50, 50, 250, 250)
    kinds = [(0, small), (0, large), (1, large), (1, small)]
    truth = [[kind] for kind in kinds for _ in range(30)] + [[(0, small), (1, large)]]
    found = [[(*box, 0.9) for box in image] for image in truth]
    report = compute_slices(build_detection(truth, found), by=["label", "box_size"])

    sizes = {row.name: row.n_images for row in report.pairs}
    assert sizes == {
        f"label={label} & box_size={size}": 31 for label in "ab" for size in ("small", "large")
    }
    assert report.n_pairs_tried == 4


def test_pairs_of_too_many_columns_are_tried_of_the_first_ones_alone():
    """A quarter million images allow few pairs of columns, a thousand all."""
    layers = [
        Layer(column=str(i), parts=np.zeros(0, dtype=int), codes=np.zeros(0, dtype=int))
        for i in range(50)
    ]
    few = choose_columns(layers, 250_000)

    assert (
        len(few) * (len(few) - 1) // 2 * 250_000 <= 10**7 < len(few) * (len(few) + 1) // 2 * 250_000
    )
    assert len(choose_columns(layers, 1_000)) == 50
