"""How each slice does against the rest."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mlrek.evaluation import SliceColumn, Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slices import SliceJudgement
from mlrek.metrics.test_set import take_images

WORSE, BETTER, UNDECIDED = SliceJudgement.WORSE, SliceJudgement.BETTER, SliceJudgement.UNDECIDED


def make_column(name, texts):
    """A column of texts, '' where an image has none."""
    values = tuple(sorted(set(texts) - {""}))
    codes = np.array([values.index(text) if text else -1 for text in texts])
    return SliceColumn(name=name, values=values, codes=codes)


def make(is_right, **columns):
    """One image each, true label a; wrong ones are predicted b."""
    records = [[(0, 0.9 if right else 0.1), (1, 0.1 if right else 0.9)] for right in is_right]
    evaluation = build_evaluation([[0]] * len(records), records, n_labels=2)
    return replace(
        evaluation,
        slice_columns=tuple(make_column(name, texts) for name, texts in columns.items()),
    )


def test_a_slice_is_compared_with_all_other_images():
    """30 of 60 right at site A, 140 of 140 elsewhere: the difference is -1/2."""
    is_right = [i % 2 for i in range(60)] + [1] * 140
    report = compute_slices(make(is_right, site=["A"] * 60 + ["B"] * 140), by=["site"])
    worst, best = report.singles

    assert report.score == "accuracy"
    assert (worst.name, worst.n_images, worst.score, worst.rest) == ("site=A", 60, 0.5, 1.0)
    assert (worst.difference, worst.judgement) == (-0.5, WORSE)
    assert (best.name, best.difference, best.judgement) == ("site=B", 0.5, BETTER)
    assert (report.n_tried, report.weak) == (2, (worst,))


def test_p_is_adjusted_for_all_slices_tried():
    """By Holm over all three, as statsmodels does it."""
    is_right = [1] * 13 + [0] * 7 + [1] * 18 + [0] * 2 + [1] * 60
    sites = ["A"] * 20 + ["B"] * 20 + ["C"] * 60
    report = compute_slices(make(is_right, site=sites), by=["site"])
    drawn = stats.hypergeom(100, 91, 20)
    adjusted = multipletests([row.p for row in report.singles], method="holm")[1]

    assert report.singles[0].name == "site=A"
    assert report.singles[0].p == pytest.approx(2 * (drawn.cdf(13) - drawn.pmf(13) / 2))
    assert [row.p_adjusted for row in report.singles] == pytest.approx(adjusted.tolist())


def test_a_value_with_too_few_images_is_counted_and_left_out():
    """19 images are no slice."""
    report = compute_slices(make([1, 0] * 50, site=["A"] * 19 + ["B"] * 81), by=["site"])

    assert [row.name for row in report.singles] == ["site=B"]
    assert (report.n_small, report.n_tried) == (1, 1)


def test_slices_with_the_same_images_are_one_row_and_count_once():
    """Each site has its own camera."""
    site = ["A"] * 30 + ["B"] * 30
    camera = ["x"] * 30 + ["y"] * 30
    report = compute_slices(make([1, 0] * 30, site=site, camera=camera), by=["site", "camera"])

    assert {row.names for row in report.singles} == {
        ("site=A", "camera=x"),
        ("site=B", "camera=y"),
    }
    assert report.n_tried == 2


def test_a_slice_of_all_images_is_left_out_and_said():
    """There is no rest."""
    report = compute_slices(make([1, 0] * 30, site=["A"] * 60), by=["site"])

    assert (report.singles, report.n_tried) == ((), 0)
    assert report.notes == ("'site=A' has all images: there is no rest to compare with",)


def test_of_nested_slices_that_are_both_worse_the_surer_one_speaks():
    """Room 1 is a part of site A; all its errors are in it, so that it is the surer one."""
    is_right = [0] * 25 + [1] * 25 + [1] * 450
    site, room = ["A"] * 50 + ["B"] * 450, ["1"] * 25 + ["2"] * 25 + ["3"] * 450
    report = compute_slices(make(is_right, site=site, room=room), by=["site", "room"])

    assert {row.name: row.part_of for row in report.weak} == {"room=1": "", "site=A": "room=1"}


def test_images_without_truth_are_in_no_slice():
    """Of 25 images 5 have no truth: 20 count."""
    evaluation = build_evaluation(
        [[0]] * 20 + [[]] * 5 + [[0]] * 40, [[(0, 0.9), (1, 0.1)]] * 65, n_labels=2
    )
    column = make_column("site", ["A"] * 25 + ["B"] * 40)
    report = compute_slices(replace(evaluation, slice_columns=(column,)), by=["site"])

    assert {row.name: row.images.tolist() for row in report.singles} == {
        "site=A": list(range(20)),
        "site=B": list(range(25, 65)),
    }


def test_an_image_without_a_prediction_is_a_miss():
    """Of 20 images at A none is answered."""
    evaluation = build_evaluation([[0]] * 60, [[]] * 20 + [[(0, 0.9), (1, 0.1)]] * 40, n_labels=2)
    column = make_column("site", ["A"] * 20 + ["B"] * 40)
    report = compute_slices(replace(evaluation, slice_columns=(column,)), by=["site"])

    assert [(row.name, row.score) for row in report.singles] == [("site=A", 0.0), ("site=B", 1.0)]


def test_with_groups_there_is_no_test_and_that_is_said():
    """Ten images show one object."""
    evaluation = make([1, 0] * 100, site=["A"] * 100 + ["B"] * 100)
    report = compute_slices(evaluation, by=["site"], groups=np.arange(200) // 10)
    row = report.singles[0]

    assert (report.n_tried, row.judgement) == (0, UNDECIDED)
    assert np.isnan([row.p, row.low, row.high]).all()
    assert row.reason.startswith("no test: images of one group go together")


def test_a_repeated_image_counts_once():
    """Each image stands in two lines."""
    once = make([1, 0] * 30, site=["A"] * 30 + ["B"] * 30)
    twice = take_images(once, np.repeat(np.arange(60), 2))

    assert [row.n_images for row in compute_slices(twice, by=["site"]).singles] == [30, 30]


def test_the_numbers_are_those_of_the_evaluation_on_the_images_of_the_slice():
    """Value, interval and reason of each headline number."""
    rng = np.random.default_rng(3)
    evaluation = make(rng.random(300) < 0.8, site=rng.choice(["A", "B", "C"], 300))
    for row in compute_slices(evaluation, by=["site"]).singles:
        part = compute_metrics(take_images(evaluation, row.images)).aggregate
        assert list(row.numbers) == ["accuracy", "f1_macro", "balanced_accuracy", "mcc"]
        for name, number in row.numbers.items():
            expected = part[name]
            assert (number.value, number.low, number.high) == pytest.approx(
                (expected.value, expected.low, expected.high), abs=1e-9, nan_ok=True
            )
            assert number.reason == expected.reason


def test_boxes_are_compared_by_the_mean_f1_of_images():
    """At A nothing is found, elsewhere everything."""
    box = (0, 0, 10, 10)
    truth = [[(0, box)]] * 60
    found = [[]] * 20 + [[(0, box, 0.9)]] * 40
    evaluation = replace(
        build_detection(truth, found),
        slice_columns=(make_column("site", ["A"] * 20 + ["B"] * 40),),
    )
    report = compute_slices(evaluation, by=["site"])

    assert report.score == "f1_samples"
    assert [(row.name, row.score, row.rest) for row in report.singles] == [
        ("site=A", 0.0, 1.0),
        ("site=B", 1.0, 0.0),
    ]


def test_a_difference_of_means_has_an_interval_from_50_images_on():
    """Of 49 none, with the count that is needed; the test is there for both."""
    box = (0, 0, 10, 10)
    rows = []
    for n in (49, 50):
        evaluation = build_detection([[(0, box)]] * 150, [[]] * n + [[(0, box, 0.9)]] * (150 - n))
        column = make_column("site", ["A"] * n + ["B"] * (150 - n))
        report = compute_slices(replace(evaluation, slice_columns=(column,)), by=["site"])
        rows.append(next(row for row in report.singles if row.name == "site=A"))

    assert [bool(np.isnan(row.low)) for row in rows] == [True, False]
    assert [row.judgement for row in rows] == [WORSE, WORSE]
    assert rows[0].reason == (
        "no interval of the difference: of 49 images in it and 101 others, "
        "and 50 of both are needed"
    )


def test_several_labels_are_compared_by_images_wholly_right():
    """At A one of two labels is missed on every image."""
    evaluation = build_evaluation(
        [[0, 1]] * 60,
        [[(0, 0.9), (1, 0.1 if i < 20 else 0.9)] for i in range(60)],
        n_labels=2,
        task=Task.MULTILABEL,
    )
    column = make_column("site", ["A"] * 20 + ["B"] * 40)
    report = compute_slices(replace(evaluation, slice_columns=(column,)), by=["site"])

    assert report.score == "subset_accuracy"
    assert [(row.name, row.score) for row in report.weak] == [("site=A", 0.0)]
