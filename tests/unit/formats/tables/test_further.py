"""Further columns of tables: what they say of each image, whatever the form of the table."""

import pyarrow as pa
import pytest
from builders.columns import list_columns
from builders.tables import answer, tell_truth, write_parquet, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

FORMS = pytest.mark.parametrize("form", ["csv", "parquet", "json"])
HEADER = ("image", "label", "site", "lux")
ROWS = [("a.jpg", "cat", "north", 1.5), ("b.jpg", "dog", "south", 20.0)]


def _tell(cells: list[object], form: str = "csv") -> list[object]:
    """What is read of a column with these cells, one an image."""
    rows = [(f"{i}.jpg", "cat", cell) for i, cell in enumerate(cells)]
    answers = answer(write_rows(form, ("image", "label", "spot"), rows))
    return list_columns(answers).get("spot", [])


@FORMS
def test_further_columns_say_something_of_images(form):
    """Columns of texts and of numbers that mean nothing else are columns of the images."""
    answers = answer(write_rows(form, HEADER, ROWS))
    assert list_columns(answers) == {"site": ["north", "south"], "lux": [1.5, 20]}
    assert not answers.warnings


@FORMS
def test_columns_of_a_truth_are_read_too(form):
    """A table of truth says as much of its images."""
    truth = tell_truth(write_rows(form, HEADER, ROWS))
    assert list_columns(truth) == {"site": ["north", "south"], "lux": [1.5, 20]}


@FORMS
def test_rows_of_one_image_agree(form):
    """In a table with a row for each label, a column that is equal in all rows is the image's."""
    rows = [("b.jpg", "dog", "south", 2.0), ("a.jpg", "cat", "north", 1.5)]
    rows += [("b.jpg", "cat", "south", 2.0)]
    answers = answer(write_rows(form, HEADER, rows))
    assert answers.images == ("b.jpg", "a.jpg")
    assert list_columns(answers) == {"site": ["south", "north"], "lux": [2, 1.5]}


@FORMS
def test_a_column_that_differs_within_an_image_is_named_and_left_out(form):
    """What differs between the rows of one image says nothing of it; that image is named."""
    rows = [("a.jpg", "cat", "north", 1.5), ("b.jpg", "dog", "south", 2.0)]
    rows += [("b.jpg", "cat", "east", 3.0)]
    answers = answer(write_rows(form, HEADER, rows))
    assert list_columns(answers) == {}
    (said,) = answers.warnings
    assert "'site' ('b.jpg'), 'lux' ('b.jpg')" in said


def test_an_empty_cell_contradicts_nothing():
    """Of several rows of an image one may leave the cell empty."""
    answers = answer("image,label,site,lux\na.jpg,cat,,7\na.jpg,dog,north,\n")
    assert list_columns(answers) == {"site": ["north"], "lux": [7]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "-3e2"], [1, 2.5, -300]),
        (["1", "", "NaN"], [1, None, None]),
        (["1", "NA", "None"], [1, None, None]),
        (["007", "12", "13"], ["007", "12", "13"]),
        (["0", "1", "1"], [0, 1, 1]),
        (["true", "false", "true"], ["true", "false", "true"]),
        (["2024-01-02", "2024-01-03", ""], ["2024-01-02", "2024-01-03", None]),
        (["1", "b", "null"], ["1", "b", None]),
        (["EU", "NA", "NA"], ["EU", "NA", "NA"]),
        (["12345678901234567890", "1", "1"], ["12345678901234567890", "1", "1"]),
        (["1e999", "1", "1"], ["1e999", "1", "1"]),
        (["inf", "1", "1"], ["inf", "1", "1"]),
        (["1_000", "1", "1"], ["1_000", "1", "1"]),
        (["\u0661", "1", "1"], ["\u0661", "1", "1"]),
        (["", "nan", "null"], []),
    ],
)
def test_numbers_are_told_from_texts_by_content(cells, expected):
    """A column is of numbers only where all its values are; what holds no value is none."""
    assert _tell(cells) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([1, None, 3], pa.int8()), [1, None, 3]),
        (pa.array([1.5, float("nan"), float("inf")]), [1.5, None, None]),
        (pa.array(["spot", "y", None]).dictionary_encode(), ["spot", "y", None]),
        (pa.array([2**60, 2**60 + 1, 1]), [str(2**60), str(2**60 + 1), "1"]),
        (pa.array([0, 1, 2], pa.date32()), [f"1970-01-0{i}" for i in (1, 2, 3)]),
        (pa.array(["a", "b", "b"], pa.large_string()), ["a", "b", "b"]),
    ],
)
def test_types_of_parquet(column, expected):
    """Typed columns are numbers where they hold numbers, and texts elsewhere."""
    table = {"image": ["0.jpg", "1.jpg", "2.jpg"], "label": ["cat"] * 3, "spot": column}
    assert list_columns(answer(write_parquet(table)))["spot"] == expected


def test_lists_are_no_property():
    """A column of lists is named in a warning, and is none of the images'."""
    table = {"image": ["0.jpg"], "label": ["cat"], "spot": [[1.5, 2]], "s": ["a"]}
    answers = answer(write_parquet(table))
    assert list_columns(answers) == {"s": ["a"]}
    assert answers.warnings == (
        "columns that hold lists, objects or bytes are passed over: 'spot'",
    )


@pytest.mark.parametrize("n", [1_500, 60_000])
@FORMS
def test_many_numbers_are_numbers(form, n):
    """A column with a number of its own for each image, over many batches, is one of numbers."""
    cells = [i / 8 for i in range(n)]
    assert _tell(cells, form) == cells


def test_numbers_that_turn_out_to_be_texts_late():
    """A text in the last of many rows makes a column of few numbers one of texts."""
    cells = [str(i % 3) for i in range(60_000)] + ["dark"]
    told = _tell(cells)
    assert (told[:4], told[-1]) == (["0", "1", "2", "0"], "dark")


def test_too_many_texts_are_named_and_left_out():
    """A column with more values than are kept makes no slices; one that names images is said to."""
    rows = [("image", "label", "uid", "street", "site")]
    rows += [(f"{i}.jpg", "cat", f"u{i}", f"s{i % 2_000}", "a") for i in range(4_000)]
    answers = answer("".join(",".join(row) + "\n" for row in rows))
    assert list_columns(answers) == {"site": ["a"] * 4_000}
    naming, many = answers.warnings
    assert naming.endswith("make no slices: 'uid'")
    assert many.endswith(
        "left out, those with the most values first: 'street' (more than 1,000 values)"
    )


def test_sizes_of_images_are_columns_where_there_are_no_boxes():
    """The width and height of images are numbers by which slices can be made."""
    answers = answer("image,label,image_width,image_height\na.jpg,cat,640,480\nb.jpg,dog,320,200\n")
    assert list_columns(answers) == {"image_width": [640, 320], "image_height": [480, 200]}


def test_sizes_of_boxes_are_no_columns():
    """In a table of boxes the size of images belongs to these; areas of boxes differ by box."""
    table = "image,label,x_min,y_min,x_max,y_max,image_width,image_height,area,site\n"
    table += "a.jpg,cat,1,2,3,4,640,480,4,n\na.jpg,cat,1,2,5,6,640,480,16,n\n"
    truth = tell_truth(table)
    assert list_columns(truth) == {"site": ["n"]}
    assert any("'area' ('a.jpg')" in said for said in truth.warnings)


@pytest.mark.parametrize(
    "name", ["<script>", "a=b", "a.b", "*", "x\ty", "'; drop", "=1+1", "n" * 5_000]
)
def test_names_are_whatever_people_write(name):
    """A hostile name is a name; a long one is cut, and stays distinct."""
    data = write_parquet({"image": ["a.jpg"], "label": ["cat"], name: ["v"]})
    (found,) = list_columns(answer(data))
    assert found == name if len(name) <= 200 else (len(found) <= 200 and found[:190] == name[:190])


def test_values_are_whatever_people_write():
    """Control characters stay; what is longer than 200 characters is cut and stays distinct."""
    values = ["a\nb\x1b[31m", "<img onerror=x>", "v" * 10_000, "v" * 10_001]
    data = write_parquet({"image": list("1234"), "label": ["cat"] * 4, "spot": values})
    told = list_columns(answer(data))["spot"]
    assert told[:2] == values[:2]
    assert all(len(text) <= 200 and text.startswith("v" * 190) for text in told[2:])
    assert told[2] != told[3]


def test_secrets_in_values_and_names_are_left_out():
    """The signature of an address and a password are no part of what is kept."""
    url = "https://b.s3.amazonaws.com/1.png?X-Amz-Signature=8f2e"
    data = {
        "image": ["a"],
        "label": ["cat"],
        "spot": [url],
        "https://me:pw@host/": ["postgresql://me:pw@h/d"],
    }
    told = list_columns(answer(write_parquet(data)))
    assert told == {
        "spot": ["https://b.s3.amazonaws.com/1.png"],
        "https://host/": ["postgresql://***@h/d"],
    }


def test_only_so_many_columns_are_read():
    """Of a table with thousands of columns the first 200 are read, which is said."""
    names = [f"c{i}" for i in range(300)]
    data = write_parquet({"image": ["a"], "label": ["cat"], **{name: ["v"] for name in names}})
    answers = answer(data)
    assert len(list_columns(answers)) == 200
    assert any("of 300 further columns only the first 200" in said for said in answers.warnings)


_CELL = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@given(cells=st.lists(_CELL, min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_the_form_of_a_table_changes_nothing(cells):
    """The same cells in Parquet and in JSON Lines give the same column."""
    rows = [(f"{i}.jpg", "cat", cell) for i, cell in enumerate(cells)]
    tables = [
        answer(write_rows(form, ("image", "label", "spot"), rows)) for form in ("parquet", "json")
    ]
    assert list_columns(tables[0]) == list_columns(tables[1])


def test_duplicate_names_of_columns():
    """Of two columns of one name the first counts; the other is named in a warning."""
    answers = answer("image,label,spot,spot\na.jpg,cat,1,2\n")
    assert list_columns(answers) == {"spot": [1]}
    assert any("'spot'" in said for said in answers.warnings)
