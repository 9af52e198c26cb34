"""One table in any form, order and spelling of columns reads the same."""

import gzip
from decimal import Decimal

import pyarrow as pa
import pytest
from builders.tables import (
    answer,
    list_answers,
    list_truth,
    make_files,
    tell_truth,
    write_parquet,
    write_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.evaluation import Task
from mlrek.formats.tables import list_column_names, seems_table

LONG = "image,label,confidence\na.jpg,cat,0.75\nb.jpg,dog,0.5\na.jpg,dog,0.25\n"
SAID = {"a.jpg": {"cat": 0.75, "dog": 0.25}, "b.jpg": {"dog": 0.5}}


@pytest.mark.parametrize(
    "image",
    ["filename", "File Name", "path", "image_path", "URI", "source-ref", "img", "imagePath"],
)
@pytest.mark.parametrize("label", ["class", "Category", "name", "class_name", "Label"])
@pytest.mark.parametrize("confidence", ["score", "Probability", "prob", "conf"])
def test_columns_have_any_usual_name(image, label, confidence):
    """Columns of images, labels and confidences may have any of the names that people use."""
    header = f"{image},{label},{confidence}"

    assert list_answers(answer(LONG.replace("image,label,confidence", header))) == SAID


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_recognised(delimiter):
    """Columns may be parted by comma, semicolon, tab or bar."""
    assert list_answers(answer(LONG.replace(",", delimiter))) == SAID


def test_decimal_comma_is_read_where_semicolons_part_the_columns():
    """A table of a European spreadsheet has `0,75` for three quarters."""
    table = "image;label;confidence\na.jpg;cat;0,75\nb.jpg;dog;0,5\na.jpg;dog;0,25\n"

    assert list_answers(answer(table)) == SAID


@pytest.mark.parametrize(
    "pack",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: gzip.compress(text.encode()),
        lambda text: b"\n\n" + text.encode() + b"\n\n",
    ],
    ids=["mark", "utf-16", "crlf", "gzip", "blank lines"],
)
def test_text_may_be_written_in_any_usual_way(pack):
    """Byte-order marks, UTF-16, line ends of Windows, gzip and blank lines do not matter."""
    files = make_files(pack(LONG))

    assert seems_table(files)
    assert list_answers(answer(pack(LONG))) == SAID


def test_blanks_after_delimiters_are_no_part_of_cells():
    """Where each delimiter of the header is followed by a blank, those of the rows are as well."""
    assert list_answers(answer(LONG.replace(",", ", "))) == SAID


def test_line_that_names_the_delimiter_is_passed_over():
    """Spreadsheets write `sep=;` above the header."""
    assert list_answers(answer("sep=;\n" + LONG.replace(",", ";"))) == SAID


def test_parquet_columns_may_have_any_type_of_text_and_number():
    """Categories, long strings, lists of labels with their confidences, and exact decimals."""
    text, large = ["a.jpg", "b.jpg", "a.jpg"], pa.large_string()
    labels, scores = ["cat", "dog", "dog"], [0.75, 0.5, 0.25]
    tables = [
        {
            "image": pa.array(text).dictionary_encode(),
            "label": pa.array(labels).dictionary_encode(),
        },
        {"image": pa.array(text, large), "label": pa.array(labels, large)},
    ]
    tables = [table | {"score": scores} for table in tables]
    tables.append({"image": text, "label": labels, "score": [Decimal(str(s)) for s in scores]})
    lists = {"image": ["a.jpg", "b.jpg"], "label": [["cat", "dog"], ["dog"]]}
    tables.append(lists | {"score": [[0.75, 0.25], [0.5]]})

    assert [list_answers(answer(write_parquet(table))) for table in tables] == [SAID] * 4


def test_quoted_cells_hold_anything():
    """A cell in quotes may hold the delimiter, quotes and line ends."""
    table = 'image,label\n"a,b.jpg","big\ncat"\n"c.jpg","""x"""\n'

    assert list_answers(answer(table)) == {"a,b.jpg": {"big\ncat": 1.0}, "c.jpg": {'"x"': 1.0}}


def test_array_of_objects_reads_as_lines():
    """`DataFrame.to_json(orient="records")` writes one array; it is a table as well."""
    table = '[{"image": "a.jpg", "label": 1}, {"image": "b.jpg", "label": 0}]'

    assert list_answers(answer(table)) == {"a.jpg": {"1": 1.0}, "b.jpg": {"0": 1.0}}


@settings(max_examples=60, deadline=None)
@given(
    said=st.dictionaries(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["cat", "Dog", "größe", "x y"])),
        st.floats(0, 1).map(lambda value: round(value, 6)),
        min_size=1,
    ),
    data=st.data(),
)
def test_order_and_form_do_not_matter(said, data):
    """Order of rows and columns, delimiter and form do not change what is read."""
    form = data.draw(st.sampled_from(["csv", "parquet", "jsonl"]))
    delimiter = data.draw(st.sampled_from(",;\t|")) if form == "csv" else ","
    rows = [(f"{image}.jpg", label, score) for (image, label), score in said.items()]
    rows = data.draw(st.permutations(rows))
    order = data.draw(st.permutations(range(3)))
    header = ["image", "label", "confidence"]
    table = write_rows(
        form, [header[i] for i in order], [[row[i] for i in order] for row in rows], delimiter
    )

    expected = {}
    for (image, label), score in said.items():
        expected.setdefault(f"{image}.jpg", {})[label] = score
    answers = answer(table)
    assert list_answers(answers) == expected
    assert answers.labels == tuple(sorted({label for _, label in said}))


@pytest.mark.parametrize(
    "index",
    ["Unnamed: 0", "", "index", "__index_level_0__"],
    ids=["unnamed", "empty", "index", "_"],
)
def test_index_column_is_passed_over_and_said(index):
    """A column that pandas added to number the rows is no column of the table."""
    answers = answer(f"{index},image,label\n0,a.jpg,cat\n1,b.jpg,dog\n")

    assert list_answers(answers) == {"a.jpg": {"cat": 1.0}, "b.jpg": {"dog": 1.0}}
    assert any(f"number the rows are passed over: {index!r}" in said for said in answers.warnings)


def test_columns_that_say_nothing_more_are_passed_over_and_said():
    """The number of an image that has a name is named in a warning."""
    answers = answer("image,label,image_id\na.jpg,cat,1\n")

    assert any("say nothing more" in said and "'image_id'" in said for said in answers.warnings)


def test_truth_has_the_same_forms():
    """A long table of images and labels is truth as well; several rows are several labels."""
    one = tell_truth("image,label\na.jpg,cat\nb.jpg,dog\n")
    several = tell_truth("image,label\na.jpg,cat\na.jpg,dog\nb.jpg,dog\n")

    assert (one.task, list_truth(one)) == (
        Task.CLASSIFICATION,
        {"a.jpg": ["cat"], "b.jpg": ["dog"]},
    )
    assert (several.task, list_truth(several)) == (
        Task.MULTILABEL,
        {"a.jpg": ["cat", "dog"], "b.jpg": ["dog"]},
    )


def test_lists_of_labels_are_several_labels():
    """A cell with a list holds several labels, in Parquet, JSON, and as JSON in CSV."""
    expected = {"a.jpg": ["cat", "dog"], "b.jpg": []}
    tables = [
        write_parquet({"image": ["a.jpg", "b.jpg"], "truth": [["dog", "cat"], []]}),
        '{"image": "a.jpg", "truth": ["dog", "cat"]}\n{"image": "b.jpg", "truth": []}\n',
        'image,truth\na.jpg,"[""dog"", ""cat""]"\nb.jpg,[]\n',
    ]

    for table in tables:
        found = tell_truth(table)
        assert (found.task, list_truth(found)) == (Task.MULTILABEL, expected)


def test_columns_of_one_and_zero_are_truth():
    """`truth_<label>` tells by 1 and 0, or true and false, whether the label is true."""
    found = tell_truth("image,truth_cat,truth_dog\na.jpg,1,0\nb.jpg,True,true\nc.jpg,0,False\n")

    assert list_truth(found) == {"a.jpg": ["cat"], "b.jpg": ["cat", "dog"], "c.jpg": []}
    assert found.task == Task.MULTILABEL


def test_numbers_as_labels_keep_their_text():
    """A label may be a number; one of a column of floats loses its `.0`."""
    csv = answer("image,label\na,0\nb,10\nc,9\n")
    floats = answer(write_parquet({"image": ["a", "b", "c"], "label": [0.0, 10.0, None]}))
    text = answer("image,label\na,007\nb,1.50\n")

    assert (csv.labels, floats.labels) == (("0", "9", "10"), ("0", "10"))
    assert list_answers(text) == {"a": {"007": 1.0}, "b": {"1.50": 1.0}}


def test_what_is_no_table_is_not_taken_for_one():
    """Files of other kinds are not recognised as tables."""
    others = [
        "",
        "hello world\n",
        "0 0.5 0.5 0.1 0.1\n",
        '{"source-ref": "s3://b/a", "label": 0, "label-metadata": {"class-name": "cat"}}\n',
        '{"image": "a", "response": {"CustomLabels": []}}\n',
        '{"images": [], "annotations": [], "categories": []}',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]',
        b"PK\x03\x04 a zip",
    ]

    assert [seems_table(make_files(other)) for other in others] == [False] * len(others)


def test_names_of_columns_can_be_listed():
    """Each name that is read stands in the list for the help text."""
    names = list_column_names()

    assert {"image", "filename"} <= {name.replace("_", "") for name in names["image"]}
    assert "score_<label>" in names["score of a label"]
