"""A table that cannot be read as it is ends in one line: what is wrong, where, what to do."""

import pyarrow as pa
import pytest
from builders.tables import answer, make_files, tell_truth, write_parquet

from mlrek.errors import ParseError
from mlrek.formats.forms import read_answers

HEADER = "image,label,confidence\n"
BOXES = "image,label,confidence,xmin,ymin,xmax,ymax\n"

ANSWERS = {
    "two labels": (
        "image,label,class\na,cat,cat\n",
        "two columns mean the same: 'label' and 'class'",
    ),
    "two images": (
        "image,filename,label\na,a,cat\n",
        "two columns mean the same: 'image' and 'filename'",
    ),
    "one score twice": (
        "image,score_cat,score_cat\na,1,0\n",
        "two columns are both named 'score_cat'",
    ),
    "three kinds of label": (
        "image,label,truth,predicted\na,b,c,d\n",
        "columns 'label', 'truth', 'predicted' are one too many",
    ),
    "empty confidence": (
        f"{HEADER}a,cat,0.9\nb,dog,\n",
        r"row 2 \('b'\): 'confidence' is empty or NaN, which is not 0",
    ),
    "NaN": (f"{HEADER}a,cat,nan\n", r"row 1 \('a'\): 'confidence' is empty or NaN"),
    "NaN in Parquet": (
        write_parquet({"image": ["a", "b"], "label": ["x", "y"], "score": [0.5, float("nan")]}),
        r"row 2 \('b'\): 'score' is empty or NaN",
    ),
    "null in JSON": (
        '{"image": "a", "label": "x", "score": 1}\n{"image": "b", "label": "y", "score": null}\n',
        r"row 2 \('b'\): 'score' is empty or NaN",
    ),
    "confidence without a label": (f"{HEADER}a,,0.5\n", r"row 1 \('a'\): has a confidence \(0.5\)"),
    "negative": (f"{HEADER}a,cat,-1.5\n", "'confidence' is -1.5, which is negative.*softmax"),
    "above 100": (f"{HEADER}a,cat,0.5\nb,cat,250\n", r"row 2 \('b'\): .* 250, .* above 100"),
    "infinite": (f"{HEADER}a,cat,inf\n", r"row 1 \('a'\): 'confidence' is inf"),
    "logits": (f"{HEADER}a,cat,3.2\na,dog,1.5\n", "3.2, the highest of the file: neither"),
    "mixture": (
        f"{HEADER}a,cat,0.93\nb,dog,87.5\n",
        r"mixes fractions \(row 1 \('a'\): 0.93\) and percent \(row 2 \('b'\): 87.5\)",
    ),
    "text for a number": (f"{HEADER}a,cat,0.5\nb,dog,high\n", "row 2: 'confidence' is 'high', not"),
    "percent sign": (f"{HEADER}a,cat,93%\n", "row 1: 'confidence' is '93%', not a number"),
    "two confidences": (
        f"{HEADER}a,cat,0.9\na,cat,0.8\n",
        r"row 2 \('a'\): gives label 'cat' confidence 0.8, but row 1 \('a'\) gives it 0.9",
    ),
    "two predictions": (
        "image,truth,predicted\na,cat,dog\nb,cat,cat\na,cat,cat\n",
        r"row 3 \('a'\): differs from row 1 \('a'\)",
    ),
    "two truths": (
        "image,truth,label,score\na,cat,cat,0.5\na,dog,dog,0.5\n",
        r"row 2 \('a'\): its truth is 'dog', but 'cat' in row 1",
    ),
    "empty score": (
        "image,score_cat,score_dog\na,1,0\nb,0.5,\n",
        r"row 2 \('b'\): 'score_dog' is empty or NaN",
    ),
    "two thresholds": (
        "image,label,score,threshold\na,cat,1,0.5\nb,dog,1,0.2\nc,cat,1,0.7\n",
        r"row 3 \('c'\): 'threshold' is 0.7, but 0.5 before",
    ),
    "no image": (f"{HEADER}a,cat,0.9\n,dog,0.5\n", "row 2: names no image"),
    "too few cells of no text": (b"image,label,score\na,cat,1\n\xff,c\n", "row 2: has 2 cells"),
    "too few cells": (
        f"{HEADER}a,cat,0.9\nb,dog\n",
        "row 2: has 2 cells where the header has 3: 'b,dog'",
    ),
    "lists of unequal length": (
        write_parquet({"image": ["a", "b"], "label": [["x", "y"], ["y"]], "conf": [[0.5], [1.0]]}),
        r"row 1 \('a'\): has a list of confidences of another length",
    ),
    "objects": (
        write_parquet({"image": ["a"], "label": [{"name": "cat"}]}),
        "'label' holds struct",
    ),
    "bytes": (
        write_parquet({"image": [b"\xff"], "label": ["cat"]}),
        "'image' holds bytes that are no UTF-8",
    ),
    "texts that are bytes": (
        write_parquet({"image": pa.array([b"a", b"\xff"]).view(pa.string()), "label": ["x", "y"]}),
        "'image' holds bytes that are no UTF-8",
    ),
    "labels that are bytes": (
        write_parquet({"image": ["a", "b"], "label": pa.array([b"x", b"\xff"]).view(pa.string())}),
        "'label' holds bytes that are no UTF-8",
    ),
    "truth values as confidences": (
        write_parquet({"image": ["a"], "label": ["cat"], "score": [True]}),
        "row 1: 'score' is True, not a number",
    ),
    "truth alone": ("image,truth\na,cat\n", r"holds the truth \('truth'\), but no predictions"),
    "only a header": (HEADER, "has a header, but not one row"),
    "not UTF-8": (b"image,label\na,caf\xe9\n", "is no text in UTF-8"),
    "damaged Parquet": (b"PAR1 damaged", "is a Parquet file that cannot be read"),
    "damaged name in Parquet": (
        write_parquet({"image": ["a"], "label": ["cat"], "caf\u00e9": ["x"]}).replace(
            "caf\u00e9".encode(), b"caf\xe5\xa9"
        ),
        "is a Parquet file that cannot be read",
    ),
    "turned box": (
        f"{BOXES}a,cat,1,10,10,5,20\n",
        r"row 1 \('a'\): its box has no area: x from 10",
    ),
    "flat boxes": (
        f"{BOXES}a,cat,1,10,10,10,20\nb,cat,1,1,1,9,9\n",
        r"row 1 \('a'\): its box has no area \(1 of 2 boxes\)",
    ),
    "half a box": (f"{BOXES}a,cat,1,10,10,50,\n", r"part of a box only: 'ymax' is empty"),
    "half the columns of a box": (
        "image,label,xmin,ymin\na,cat,1,2\n",
        r"has a part of a box only \('xmin', 'ymin'\)",
    ),
    "a box in a cell": ('image,label,bbox\na,cat,"[1,2,3,4]"\n', "'bbox' holds whole boxes"),
    "a label without a box": (f"{BOXES}a,cat,1,,,,\nb,cat,1,1,1,9,9\n", "has a label, but no box"),
    "boxes twice": (f"{BOXES}a,cat,1,1,1,9,9\na,cat,1,1,1,9,9\n", "everything twice"),
    "shares and pixels": (
        f"{BOXES}a,cat,1,0.1,0.1,0.5,0.5\nb,cat,1,10,10,90,90\n",
        r"mixes boxes in shares of the image \(row 1 \('a'\)\) and in pixels \(row 2",
    ),
}


@pytest.mark.parametrize(("table", "said"), ANSWERS.values(), ids=ANSWERS)
def test_wrong_predictions_are_refused_in_one_line(table, said):
    """Each thing that may be wrong with predictions has its line, with the file and the row."""
    with pytest.raises(ParseError, match=said) as refused:
        answer(table, uri="preds.csv")

    assert str(refused.value).startswith("preds.csv: ")
    assert "\n" not in str(refused.value)


TRUTHS = {
    "confidences": ("image,label,score\na,cat,0.5\n", r"has confidences \('score'\).*not truth"),
    "predictions alone": ("image,predicted\na,cat\n", "holds predictions, but no truth"),
    "scores alone": ("image,score_cat,score_dog\na,0,1\n", "holds predictions, but no truth"),
    "neither 1 nor 0": (
        "image,truth_cat,truth_dog\na,1,0\nb,0,2\n",
        "row 2: 'truth_dog' is 2, neither 1 nor 0",
    ),
    "two sizes": (
        "image,label,xmin,ymin,xmax,ymax,width,height\na,c,1,1,2,2,9,9\na,c,1,1,3,3,8,9\n",
        r"row 2 \('a'\): has another size of the image",
    ),
}


@pytest.mark.parametrize(("table", "said"), TRUTHS.values(), ids=TRUTHS)
def test_wrong_truth_is_refused_in_one_line(table, said):
    """Each thing that may be wrong with truth has its line."""
    with pytest.raises(ParseError, match=said):
        tell_truth(table)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("a.jpg,cat,0.9\nb.jpg,dog,0.1\n", "columns are 'a.jpg', 'cat', '0.9'.*must name the"),
        ("image,cat,dog\na,0.5,0.5\n", "needed are `image` and `label`.*named 'score_cat'"),
        ("picture:kind:sure\na:cat:1\n", "it begins with 'picture:kind:sure"),
        ("", "is empty"),
    ],
    ids=["no header", "columns by label", "other delimiter", "empty"],
)
def test_file_without_known_columns_says_which_are_needed(table, said):
    """A file without a known header says what was found, and which columns belong there."""
    with pytest.raises(ParseError, match=said):
        read_answers(make_files(table))


def test_column_that_comes_late_is_refused():
    """A key that begins in the middle of JSON Lines would leave the rows before without a value."""
    lines = '{"image": "a", "label": "cat"}\n' * 8000
    late = '{"image": "b", "label": "cat", "score": 0.5}\n'

    with pytest.raises(ParseError, match="table:8001: has 'score', which the first rows"):
        answer(lines + late)


def test_tables_of_one_folder_have_the_same_columns():
    """Several files are one table where they have the same columns, else they are refused."""
    one, other = "image,label\na,cat\n", "image,label\nb,dog\n"

    assert answer({"1.csv": one, "2.csv": other}).images == ("a", "b")
    with pytest.raises(ParseError, match=r"table/2.csv: has other columns than 'table/1.csv'"):
        answer({"1.csv": one, "2.csv": "image,label,score\nb,dog,1\n"})
    with pytest.raises(ParseError, match=r"table/2.csv: row 1 \('b'\): 'score' is empty"):
        answer({"1.csv": "image,label,score\na,cat,1\n", "2.csv": "image,label,score\nb,dog,\n"})
