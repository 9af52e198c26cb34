"""Columns that were asked for: `--slice-by NAME=REGEX`, and `--slices FILE`."""

from dataclasses import replace

import numpy as np
import pytest
from builders.columns import list_columns
from builders.tables import make_files, write_parquet, write_rows

from mlrek.errors import EvaluationError, ParseError, UsageError
from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    SliceColumn,
    Task,
    Version,
)
from mlrek.formats.image_columns import limit_columns, merge_columns, parse_patterns
from mlrek.formats.predictions import Match
from mlrek.formats.slicing import add_columns
from mlrek.formats.tables.rows import read_image_table

IMAGES = ("s3://b/north/1.jpg", "s3://b/south/2.jpg", "s3://b/3.jpg")


def make_evaluation(images):
    """An evaluation of these images, all of one label."""
    n = len(images)
    sets = {"offsets": np.arange(n + 1), "label_idx": np.zeros(n, dtype=np.int32)}
    project = Project(provider=Provider.CUSTOM, arn="mlrek:project/p", name="p")
    return Evaluation(
        version=Version(project=project, arn="mlrek:project/p/custom/v", name="v"),
        task=Task.CLASSIFICATION,
        labels=("cat",),
        images=tuple(images),
        truth=LabelSets(**sets),
        records=Records(**sets, confidence=np.ones(n), outcome=np.zeros(n, dtype=np.uint8)),
        thresholds=np.array([np.nan]),
    )


def cut_by_uri(evaluation, patterns):
    """The evaluation with columns by patterns alone."""
    return add_columns(evaluation, patterns, None, Match.URI)


def _table(text):
    return read_image_table(make_files(text, uri="slices.csv"))


def _texts(name, *cells):
    """A column with these texts, None for none."""
    values = tuple(sorted({cell for cell in cells if cell is not None}))
    codes = [-1 if cell is None else values.index(cell) for cell in cells]
    return SliceColumn(name=name, values=values, codes=np.array(codes, dtype=np.int32))


def _join(text, match=Match.URI, images=IMAGES):
    return add_columns(make_evaluation(images), {}, _table(text), match)


def test_first_group_is_the_value():
    """The value is the first group that is there, else the whole match; no match is no value."""
    patterns = {"site": "/(north)/|/(south)/", "number": "[0-9](?=[.])"}
    found = list_columns(cut_by_uri(make_evaluation(IMAGES), patterns))
    assert found == {"site": ["north", "south", None], "number": ["1", "2", "3"]}


def test_a_pattern_that_finds_nothing_is_warned_of():
    """A regular expression without one match is said, with an image that it should have matched."""
    cut = cut_by_uri(make_evaluation(IMAGES), {"site": "/(west)/"})
    (said,) = cut.warnings
    assert said.startswith("--slice-by: the pattern of 'site' is found in no image's URI")
    assert "s3://b/north/1.jpg" in said


def test_what_is_asked_for_takes_the_place_of_a_column_of_that_name():
    """A column of the files gives way to one that was asked for."""
    evaluation = replace(make_evaluation(IMAGES), slice_columns=(_texts("site", "a", "b", "c"),))
    cut = cut_by_uri(evaluation, {"site": "/(north)/"})
    assert list_columns(cut) == {"site": ["north", None, None]}


def test_images_and_truth_stay_as_they_are():
    """Further columns change nothing else of an evaluation."""
    evaluation = make_evaluation(IMAGES)
    cut = cut_by_uri(evaluation, {"site": "/(north)/"})
    assert cut.images == evaluation.images
    assert cut.truth is evaluation.truth
    assert cut.records is evaluation.records


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["/(a)/"], "is no NAME=REGEX"),
        (["=a"], "is no NAME=REGEX"),
        ([" =a"], "is no NAME=REGEX"),
        (["site="], "is no NAME=REGEX"),
        (["site=("], "is no regular expression"),
        (["site=a", "site=b"], "names the column 'site' twice"),
        (["a\nb=a"], "no control character"),
        (["n" * 201 + "=a"], "at most 200 characters"),
        ([f"c{i}=a" for i in range(51)], "at most 50"),
    ],
)
def test_wrong_patterns_are_refused_in_one_line(texts, said):
    """A missing NAME, a NAME twice and what is no regular expression are mistakes of usage."""
    with pytest.raises(UsageError, match=said) as caught:
        parse_patterns(texts)
    assert "\n" not in str(caught.value)


def test_a_pattern_may_hold_the_sign_of_equality():
    """NAME ends at the first `=`."""
    assert parse_patterns(["site=a=(b)"]) == {"site": "a=(b)"}


def test_too_many_values_of_a_pattern_are_refused():
    """A pattern that gives each of many images a value of its own is an error with the counts."""
    images = [f"s3://b/{i}.jpg" for i in range(1_001)]
    with pytest.raises(EvaluationError, match="1,001 values, and at most 1,000"):
        cut_by_uri(make_evaluation(images), {"number": "([0-9]+)[.]"})


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_table_is_joined_by_uri(form):
    """A table of images in CSV, Parquet or JSON Lines gives its columns, whatever their names."""
    rows = [(IMAGES[1], "dog", 2.5), (IMAGES[0], "cat", 1.0), (IMAGES[2], "cat", 3.0)]
    joined = _join(write_rows(form, ("image", "label", "width"), rows))
    assert list_columns(joined) == {"label": ["cat", "dog", "cat"], "width": [1, 2.5, 3]}
    assert not joined.warnings


def test_images_without_a_row_and_rows_without_an_image_are_counted():
    """Both are said with the first of them."""
    joined = _join(f"image,site\n{IMAGES[0]},a\ns3://b/other.jpg,b\n")
    assert list_columns(joined) == {"site": ["a", None, None]}
    missing, strange = joined.warnings
    assert missing.startswith("2 of 3 images have no row in 'slices.csv'")
    assert strange.startswith("1 of 2 images of 'slices.csv' are none of the test set's")


def test_a_table_of_other_images_is_an_error():
    """A table of which no image is one of the test set joins nothing; how both write is said."""
    with pytest.raises(EvaluationError, match=r"slices\.csv: not one of its 1 images") as caught:
        _join("image,site\n1.jpg,a\n")
    assert "--match name joins by file name" in str(caught.value)


def test_file_names_join_where_that_was_asked_for():
    """With `--match name` the names of files tell which image is which, and that is said."""
    joined = _join("image,site\n1.jpg,a\n2.jpg,b\n3.jpg,b\n", Match.NAME)
    assert list_columns(joined) == {"site": ["a", "b", "b"]}
    assert joined.warnings == ("images are joined by file name (--match name)",)


def test_file_names_that_are_several_images_are_refused():
    """A file name of two images joins nothing."""
    with pytest.raises(EvaluationError, match="cannot be joined by file name"):
        _join("image,site\n1.jpg,a\n", Match.NAME, ["a/1.jpg", "b/1.jpg"])


def test_rows_of_one_image_must_agree():
    """Of a table that was asked for, a second row of an image that says something else is wrong."""
    with pytest.raises(ParseError, match=r"row 2 \('s3://b/north/1.jpg'\): 'site' is another"):
        _join(f"image,site\n{IMAGES[0]},a\n{IMAGES[0]},b\n")
    joined = _join(f"image,site\n{IMAGES[0]},a\n{IMAGES[0]},a\n")
    assert list_columns(joined) == {"site": ["a", None, None]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image\na.jpg\n", "no column besides the images"),
        ("place,site\na.jpg,a\n", "names no images: its columns are 'place', 'site'"),
        ("image,site\n", "not one row"),
        ("", "is empty"),
        ("image,site,site\na.jpg,a,b\n", "both named 'site'"),
        ("image,site\n,a\n", "names no image"),
    ],
)
def test_what_is_no_table_of_images_is_refused(text, said):
    """A table needs a column of images, another one, and a row."""
    with pytest.raises(ParseError, match=said):
        _table(text)


def test_lists_in_a_table_that_was_asked_for_are_refused():
    """A column of lists is no property of an image."""
    with pytest.raises(ParseError, match="column 'spots' holds lists"):
        read_image_table(make_files(write_parquet({"image": ["a"], "spots": [[1, 2]]})))


def test_a_column_of_too_many_values_is_refused_with_its_counts():
    """A table with a column of more than 1,000 texts says which column it is."""
    rows = "".join(f"{i}.jpg,s{i % 1_500}\n" for i in range(3_000))
    with pytest.raises(EvaluationError, match="column 'street' has more than 1,000 values"):
        _table(f"image,street\n{rows}")


def test_a_column_that_names_images_makes_no_slices():
    """An identifier in the table is left out and said, while its other columns count."""
    images = [f"{i}.jpg" for i in range(30)]
    rows = "".join(f"{image},u{image},{i},a\n" for i, image in enumerate(images))
    joined = _join(f"image,uid,row,site\n{rows}", images=images)
    assert list(list_columns(joined)) == ["site"]
    (said,) = joined.warnings
    assert said.endswith("make no slices: 'uid', 'row'")


def test_an_image_in_several_lines_has_its_value_in_each():
    """A repeated image is joined wherever it is."""
    images = (IMAGES[0], IMAGES[1], IMAGES[0])
    joined = _join(f"image,site\n{IMAGES[0]},a\n{IMAGES[1]},b\n", images=images)
    assert list_columns(joined) == {"site": ["a", "b", "a"]}


# ---- both sides, and limits -----------------------------------------------------------------


def test_columns_of_both_sides_are_one():
    """A column that truth and predictions have is one: a value of either counts."""
    truth, answers = _texts("s", "a", None, "b"), _texts("s", None, "c", "b")
    merged, said = merge_columns([truth], [answers], IMAGES)
    assert [list(column.values) for column in merged] == [["a", "b", "c"]]
    assert merged[0].codes.tolist() == [0, 2, 1]
    assert not said


def test_the_truth_counts_where_both_sides_differ():
    """Contradicting columns: that of the truth counts alone, and the first image is named."""
    truth = _texts("s", "a", None, "b")
    merged, (said,) = merge_columns([truth], [_texts("s", "a", "c", "x")], IMAGES)
    assert merged == (truth,)
    assert "different in truth and predictions for 1 images" in said
    assert IMAGES[2] in said


def test_numbers_and_texts_of_one_name():
    """A column of numbers on one side and of equal texts on the other is one."""
    numbers = SliceColumn(name="s", numbers=np.array([1, 2.5, np.nan]))
    merged, said = merge_columns([numbers], [_texts("s", "1", "2.5", "x")], IMAGES)
    assert list(merged[0].values) == ["1", "2.5", "x"]
    assert not said


def test_columns_with_the_most_values_are_left_out_first():
    """Of columns that happen to be there, those with the fewest values are kept, up to 1,000."""
    a, b = (
        _texts(name, *(f"{i % n}" for i in range(1_400))) for name, n in (("a", 700), ("b", 400))
    )
    kept, (said,) = limit_columns([a, b, _texts("c", *"xy" * 700)])
    assert [column.name for column in kept] == ["b", "c"]
    assert said.endswith("left out, those with the most values first: 'a' (700 values)")


def test_at_most_fifty_columns_are_kept():
    """Of 60 columns 50 are kept; those with the most values and the last ones go, by name."""
    few, many = ("x", "y", "y", "y"), ("x", "y", "z", "y")
    kept, (said,) = limit_columns([_texts(f"c{i}", *(many if i == 3 else few)) for i in range(60)])
    assert [column.name for column in kept] == [f"c{i}" for i in range(51) if i != 3]
    assert "'c3' (3 values), 'c59' (2 values), 'c58' (2 values)" in said


def test_asked_columns_come_first():
    """What was asked for takes the room, and what happens to be there has the rest."""
    asked = [_texts("a", *(str(i % 990) for i in range(1_500)))]
    found = [_texts("b", *(str(i % 20) for i in range(1_500))), _texts("c", *"xyz" * 500)]
    kept, _ = limit_columns(found, asked)
    assert [column.name for column in kept] == ["a", "c"]


def test_more_than_fifty_asked_columns_are_an_error():
    """What was asked for is never cut in silence."""
    asked = [_texts(f"c{i}", "x") for i in range(51)]
    with pytest.raises(EvaluationError, match=r"51 columns .* at most 50"):
        limit_columns([], asked)
