"""The numbers of a slice are those of the evaluation on its images, however they are computed."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from builders.detections import build_detection, draw_random_scenes
from builders.evaluations import build_evaluation
from builders.masks import build_segmentation
from sklearn import metrics as sk

from mlrek.evaluation import SliceColumn, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.counts import compute_mcc, count_labels, count_pairs
from mlrek.metrics.estimates import estimate_number
from mlrek.metrics.intervals import LeftOut, leave_out_cells
from mlrek.metrics.left_out import MAX_KINDS, Sampling
from mlrek.metrics.numbers import HEADLINES
from mlrek.metrics.slice_counts import CellCounter, compute_cell_numbers
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.test_set import take_images


def add_sites(evaluation, n_sites=3, seed=0):
    """The evaluation with a column of random sites."""
    codes = np.random.default_rng(seed).integers(n_sites, size=len(evaluation.images))
    values = tuple(f"site {i}" for i in range(n_sites))
    return replace(
        evaluation, slice_columns=(SliceColumn(name="site", values=values, codes=codes),)
    )


def draw_one_label(n_images=120, n_labels=3, *, accuracy=0.8, seed=0):
    """Complete records; some images have no truth, and some no records."""
    rng = np.random.default_rng(seed)
    truth, records = [], []
    for _ in range(n_images):
        label = int(
            rng.choice(n_labels, p=np.arange(n_labels, 0, -1) / np.arange(n_labels + 1).sum())
        )
        top = label if rng.random() < accuracy else int(rng.integers(n_labels))
        scores = rng.random(n_labels) / 3 + 0.6 * (np.arange(n_labels) == top)
        truth.append([label] if rng.random() < 0.95 else [])
        records.append(
            [(i, float(score)) for i, score in enumerate(scores)] if rng.random() < 0.95 else []
        )
    return build_evaluation(truth, records, n_labels=n_labels, thresholds=[0.5] * n_labels)


def draw_several_labels(seed=0):
    """Complete records of images with any of three labels."""
    rng = np.random.default_rng(seed)
    is_true = rng.random((120, 3)) < 0.4
    scores = np.clip(rng.random((120, 3)) * 0.6 + 0.4 * is_true, 0, 1)
    return build_evaluation(
        [np.flatnonzero(row).tolist() for row in is_true],
        [list(enumerate(row.tolist())) for row in scores],
        task=Task.MULTILABEL,
    )


def draw_boxes(seed=0):
    """Random boxes on 75 images, some found."""
    return build_detection(
        *draw_random_scenes(seed, n_images=75, n_true=300, n_found=400), n_labels=3
    )


def draw_masks(seed=0):
    """Counts of pixels of two labels on 75 images, of which some were not read."""
    rng = np.random.default_rng(seed)
    areas = [
        {code: tuple(rng.integers(1, 100, 3).tolist()) for code in range(2) if rng.random() < 0.8}
        for _ in range(75)
    ]
    return build_segmentation(areas, readable=rng.random(75) < 0.95, n_labels=2)


def check(evaluation, *, rule=PredictionRule.TOP1, groups=None, by=("site",)):
    """Each number of each slice against that of the images taken out of the evaluation."""
    report = compute_slices(evaluation, rule, by=by, groups=groups)
    assert report.singles
    are_counts = evaluation.task is Task.CLASSIFICATION and rule is not PredictionRule.NOTEBOOK
    pairs = report.pairs if are_counts else ()
    for row in (*report.singles, *pairs):
        expected = compute_metrics(
            take_images(evaluation, row.images),
            prediction_rule=rule,
            groups=None if groups is None else groups[row.images],
        ).aggregate
        assert tuple(row.numbers) == HEADLINES[evaluation.task]
        for name, number in row.numbers.items():
            same = expected[name]
            assert number.reason == same.reason
            assert (number.value, number.low, number.high) == pytest.approx(
                (same.value, same.low, same.high), abs=1e-9, nan_ok=True
            )


@pytest.mark.parametrize(
    ("n_labels", "accuracy", "rule"),
    [
        *product((2, 3, 12), (0.5, 0.9, 1.0), (PredictionRule.TOP1,)),
        (3, 0.8, PredictionRule.THRESHOLD),
        (3, 0.8, PredictionRule.NOTEBOOK),
    ],
)
def test_the_numbers_of_a_slice_of_one_label_images_are_those_of_its_images(
    n_labels, accuracy, rule
):
    """With images that have no truth or no prediction, and slices of a single label."""
    evaluation = draw_one_label(150, n_labels, accuracy=accuracy, seed=n_labels)
    check(add_sites(evaluation), rule=rule, by=("site", "label"))


def test_the_numbers_of_a_slice_of_several_labels_are_those_of_its_images():
    """Average precision too, whose intervals leave out one image after the other."""
    check(add_sites(draw_several_labels()), by=("site", "label"))


def test_the_numbers_of_a_slice_of_boxes_are_those_of_its_images():
    """COCO's averages."""
    check(add_sites(draw_boxes()))


def test_the_numbers_of_a_slice_of_masks_are_those_of_its_images():
    """Images whose masks were not read are in no slice."""
    check(add_sites(draw_masks()))


def test_the_numbers_of_a_slice_of_groups_are_those_of_its_images():
    """Also where each group is a single image of the slice."""
    evaluation = add_sites(draw_one_label(150))
    check(evaluation, groups=np.arange(150) // 2)
    check(evaluation, groups=np.arange(150))


def test_numbers_of_undecided_pairs_are_made_of_counts_alone_and_that_is_said():
    """Several labels: the pairs have their scores and tests, and the reason why nothing else."""
    report = compute_slices(add_sites(draw_several_labels()), by=("site", "label"), min_images=10)
    reasons = {number.reason for row in report.pairs for number in row.numbers.values()}

    assert len(report.pairs) == 9
    assert [reason[:9] for reason in reasons] == ["not made:"]


def test_numbers_that_take_long_are_made_of_the_worst_slices_and_that_is_said(monkeypatch):
    """Of three sites two are allowed."""
    monkeypatch.setattr("mlrek.metrics.slice_headlines.MAX_SLICES", 2)
    report = compute_slices(add_sites(draw_several_labels()), by=("site",))

    values = [row.numbers["subset_accuracy"] for row in report.singles]
    assert [number.is_defined for number in values] == [True, True, False]
    assert values[2].reason.startswith("not made: where images have several labels")


def test_many_labels_have_intervals_without_each_image_in_turn():
    """Of a whole evaluation so many images are dealt into groups; here each is left out."""
    rng = np.random.default_rng(2)
    y_true = np.repeat(np.arange(250), 14)
    y_pred = np.where(rng.random(3_500) < 0.7, y_true, rng.integers(250, size=3_500))
    counter = CellCounter(y_true, y_pred, 250)
    (found,) = compute_cell_numbers(counter.count(np.zeros(3_500, dtype=np.int64), 1), 0.95)
    matrix = count_pairs(y_true, y_pred, 250)
    cells, units = leave_out_cells(matrix), Sampling().find_units(3_500)
    without, value = compute_mcc(cells.counts), float(compute_mcc(count_labels(matrix)))
    expected = estimate_number("mcc", value, LeftOut(values=without, times=cells.times), units)

    assert np.count_nonzero(matrix) * len(matrix) > MAX_KINDS
    assert (found["mcc"].low, found["mcc"].high) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )
    assert found["mcc"].value == pytest.approx(sk.matthews_corrcoef(y_true, y_pred))
