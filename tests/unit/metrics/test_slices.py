"""Which images are a slice: by columns of files, and by what is derived."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation

from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import SliceColumn
from mlrek.metrics.slices import check_columns, list_slices, select_slices
from mlrek.metrics.test_set import take_images


def make(*columns, truth=((0,), (1,), (1,), (2,))):
    """One image a label, with columns."""
    evaluation = build_evaluation(truth, [[(0, 0.9)] for _ in truth])
    return replace(evaluation, slice_columns=columns)


def say(listed):
    """Names of slices with the images in them."""
    return {one.name: one.images.tolist() for one in listed.slices}


def test_each_value_of_a_column_is_a_slice_and_an_image_without_a_value_is_in_none():
    """The order is that of the values; a value without images is no slice."""
    site = SliceColumn(name="site", values=("B", "A", "C"), codes=np.array([1, -1, 0, 1]))

    assert say(list_slices(make(site), ["site"])) == {"site=B": [2], "site=A": [0, 3]}


def test_numbers_are_cut_into_quarters_by_quantile_and_that_is_said():
    """100 numbers in four parts of 25, each with its upper end."""
    numbers = SliceColumn(name="lux", numbers=np.arange(1.0, 101.0)[::-1])
    listed = list_slices(make(numbers, truth=[(0,)] * 100), ["lux"])

    assert {name: len(images) for name, images in say(listed).items()} == {
        "lux=1 to 25": 25,
        "lux=25 to 50": 25,
        "lux=50 to 75": 25,
        "lux=75 to 100": 25,
    }
    assert say(listed)["lux=1 to 25"][0] == 75
    assert listed.notes == ("the numbers of 'lux' are cut into 4 parts by quantile",)


def test_a_number_that_is_very_common_joins_two_quarters():
    """Of 40 zeros and 20 others no part is empty, and no image is in two."""
    lux = SliceColumn(name="lux", numbers=np.r_[np.zeros(40), np.arange(1.0, 21.0)])
    listed = list_slices(make(lux, truth=[(0,)] * 60), ["lux"])

    assert {name: len(images) for name, images in say(listed).items()} == {
        "lux=0 to 5": 45,
        "lux=5 to 20": 15,
    }


def test_few_distinct_numbers_are_values_and_an_unknown_one_is_in_no_slice():
    """A floor of a house is not cut."""
    floor = SliceColumn(name="floor", numbers=np.array([2.0, np.nan, 1.5, 2.0]))
    listed = list_slices(make(floor), ["floor"])

    assert say(listed) == {"floor=1.5": [2], "floor=2": [0, 3]}
    assert listed.notes == ()


def test_numbers_that_differ_in_a_late_digit_have_different_names():
    """Four digits are not always enough."""
    floor = SliceColumn(name="t", numbers=np.array([1.00001, 1.00002, 1.0, np.nan]))

    assert list(say(list_slices(make(floor), ["t"]))) == ["t=1", "t=1.00001", "t=1.00002"]


def test_large_numbers_are_written_without_a_power_of_ten():
    """The light of an image is 13240 lux, not 1.324e+04; a number that nobody could count is."""
    lux = SliceColumn(name="lux", numbers=np.array([6016.0, 13240.2, 1e6, 2.5e20]))

    assert list(say(list_slices(make(lux), ["lux"]))) == [
        "lux=6016",
        "lux=13240",
        "lux=1000000",
        "lux=2.5e+20",
    ]


def test_the_true_label_is_a_column_and_an_image_with_two_is_in_both():
    """Derived from the truth, after the columns of files."""
    site = SliceColumn(name="site", values=("A",), codes=np.array([0, 0]))
    listed = list_slices(make(site, truth=[(0, 2), (2,)]))

    assert listed.columns == ("site", "label")
    assert say(listed) == {"site=A": [0, 1], "label=a": [0], "label=c": [0, 1]}


def test_a_column_of_a_file_goes_before_the_derived_one_of_its_name():
    """Nobody asked for two columns of one name."""
    label = SliceColumn(name="label", values=("easy",), codes=np.array([0, -1, -1, -1]))

    assert say(list_slices(make(label))) == {"label=easy": [0]}


def test_the_size_of_true_boxes_and_of_images_are_columns_of_a_detection():
    """COCO's sizes; an image is in the slice of each size that it has a box of."""
    small, large = (0, (0, 0, 10, 10)), (0, (0, 0, 100, 100))
    evaluation = build_detection([[small, large], [large], []], [[], [], []])
    found = say(list_slices(evaluation, ["box_size"]))

    assert found == {"box_size=small": [0], "box_size=large": [0, 1]}


def test_the_label_of_true_boxes_is_a_column_of_a_detection():
    """An image with two boxes of one label is in its slice once."""
    box = (0, 0, 10, 10)
    evaluation = build_detection([[(1, box), (1, box), (0, box)], [(1, box)]], [[], []])

    assert say(list_slices(evaluation, ["label"])) == {"label=a": [0], "label=b": [0, 1]}


def test_one_slice_is_selected_by_its_name_and_all_of_a_column_by_a_star():
    """An equals sign in a value changes nothing; what is not there selects nothing."""
    site = SliceColumn(name="a=b", values=("x=*", "y"), codes=np.array([0, 1, 1, -1]))
    slices = list_slices(make(site)).slices

    def names(pattern):
        return [one.name for one in select_slices(slices, pattern)]

    assert names("a=b=*") == ["a=b=x=*", "a=b=y"]
    assert names("a=b=y") == ["a=b=y"]
    assert names("site=*") == []


def test_the_columns_go_along_with_a_part_of_the_images():
    """In the order that was asked for."""
    site = SliceColumn(name="site", values=("B", "A"), codes=np.array([1, -1, 0, 1]))
    lux = SliceColumn(name="lux", numbers=np.array([1.0, 2.0, 3.0, 4.0]))
    part = take_images(make(site, lux), np.array([3, 2]))

    assert part.slice_columns[0].codes.tolist() == [1, 0]
    assert part.slice_columns[1].numbers.tolist() == [4.0, 3.0]


@pytest.mark.parametrize(
    "column",
    [
        {"values": ("A",), "codes": np.array([0, 1])},
        {"values": ("A", "A"), "codes": np.array([0, 1])},
        {"values": ("A",), "codes": np.array([0, -2])},
        {"values": ("A",)},
        {"numbers": np.array([np.inf])},
        {"codes": np.array([0]), "values": ("A",), "numbers": np.array([1.0])},
    ],
)
def test_a_column_that_contradicts_itself_is_refused(column):
    """Once it is built, nobody checks it again."""
    with pytest.raises(EvaluationError):
        SliceColumn(name="site", **column)


def test_columns_of_another_length_or_of_one_name_are_refused():
    """An evaluation holds one value an image, and one column a name."""
    short = SliceColumn(name="site", values=("A",), codes=np.array([0]))
    site = SliceColumn(name="site", numbers=np.zeros(4))

    with pytest.raises(EvaluationError, match="differ in number"):
        make(short)
    with pytest.raises(EvaluationError, match="one name"):
        make(site, site)


def test_a_column_that_is_not_there_is_an_error_with_those_that_may_be_meant():
    """Those of files and derived ones are there, also one in which no image has a value."""
    site = SliceColumn(name="site", values=("A",), codes=np.array([0, 0, 0, -1]))
    empty = SliceColumn(name="light", numbers=np.full(4, np.nan))
    evaluation = make(site, empty)

    check_columns(["site", "light", "label"], evaluation)
    with pytest.raises(UsageError, match=r"^no column 'sites'; did you mean site\? there are: "):
        check_columns(["sites"], evaluation)


@pytest.mark.parametrize("seed", range(4))
def test_each_number_is_in_the_part_of_its_quantiles(seed):
    """Of numbers that repeat, and some that are missing, each is in the part that holds it."""
    rng = np.random.default_rng(seed)
    numbers = np.round(rng.normal(0, 4, 500), seed % 2)
    numbers[rng.random(500) < 0.1] = np.nan
    edges = np.unique(
        np.quantile(numbers[~np.isnan(numbers)], [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf")
    )
    evaluation = make(SliceColumn(name="lux", numbers=numbers), truth=[(0,)] * 500)
    parts = [one.images for one in list_slices(evaluation, ["lux"]).slices]

    assert len(parts) == len(edges) - 1
    for images, low, high in zip(parts, edges[:-1], edges[1:], strict=True):
        above = numbers >= low if low == edges[0] else numbers > low
        assert images.tolist() == np.flatnonzero(above & (numbers <= high)).tolist()
