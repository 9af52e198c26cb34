"""Long tables, of many parts: each is gone through once, and read as short ones are."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from builders.answers import VERSION
from builders.tables import answer, list_answers, tell_truth, write_parquet

from mlrek.errors import ParseError
from mlrek.evaluation import Outcome
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.tables import read_table_answers

N_ROWS = 60_000
"""More than are read at once from CSV, which is parted at a mebibyte."""
CHUNK = 1 << 16
OTHERWISE = {" 0.5": 0.5, '"0.25"': 0.25, "1e-1": 0.1}


def draw_rows(seed, n=N_ROWS, n_images=20_000):
    """Rows of images in any order, some of them in runs, each with a label and a confidence."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(n_images * 4)[:n]
    pairs[: n // 2].sort()
    images = [f"s3://bucket/folder/image {pair // 4:06}.jpg" for pair in pairs.tolist()]
    labels = [("cat", "dog", "fox", "owl")[pair % 4] for pair in pairs.tolist()]
    return images, labels, rng.random(n).tolist()


def write_csv(images, labels, confidences):
    """The rows as text."""
    lines = [f"{i},{one},{c}\n" for i, one, c in zip(images, labels, confidences, strict=True)]
    return "".join(["image,label,confidence\n", *lines])


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_in_any_order_belong_to_their_images(seed):
    """Of many thousands of rows in any order, CSV and Parquet give each image its own ones."""
    images, labels, confidences = draw_rows(seed)
    expected = {}
    for image, label, confidence in zip(images, labels, confidences, strict=True):
        expected.setdefault(image, {})[label] = confidence
    columns = {"image": images, "label": labels, "confidence": confidences}

    for table in (write_csv(images, labels, confidences), write_parquet(columns)):
        found = list_answers(answer(table))
        assert found == expected
        assert [*found] == [*expected]


@pytest.mark.parametrize("cell", OTHERWISE)
def test_number_far_down_may_be_written_otherwise(cell):
    """Blanks, quotes and exponents are read also where all rows before do without."""
    images, labels, confidences = draw_rows(0)
    place = N_ROWS - 10
    changed = [*confidences[:place], OTHERWISE[cell], *confidences[place + 1 :]]
    written = [*confidences[:place], cell, *confidences[place + 1 :]]

    assert list_answers(answer(write_csv(images, labels, written))) == list_answers(
        answer(write_csv(images, labels, changed))
    )


def test_row_far_down_without_a_number_is_named():
    """The row of a word among numbers is named as in the file, however far down it is."""
    images, labels, confidences = draw_rows(0)
    confidences[N_ROWS - 10] = "high"

    with pytest.raises(ParseError, match=f"row {N_ROWS - 9}: 'confidence' is 'high', not a number"):
        answer(write_csv(images, labels, confidences))


def test_names_in_a_dictionary_that_no_row_has_are_no_labels():
    """Categories of a Parquet file that no row uses are left out; an empty cell is no label."""
    labels = pa.DictionaryArray.from_arrays(pa.array([2, 0, None]), ["dog", "unused", "cat"])
    table = write_parquet({"image": ["a", "b", "c"], "label": labels})

    assert answer(table).labels == ("cat", "dog")
    assert tell_truth(table).labels == ("cat", "dog")


def test_a_table_is_gone_through_once():
    """Of CSV and Parquet alike, all bytes are read once, and beyond it only the head."""
    images, labels, confidences = draw_rows(0)
    columns = {"image": images, "label": labels, "confidence": confidences}
    for data in (write_csv(images, labels, confidences).encode(), write_parquet(columns)):
        read = []

        def read_chunks(_name, data=data, read=read):
            for start in range(0, len(data), CHUNK):
                read.append(start)
                yield data[start : start + CHUNK]

        read_table_answers(Files(uri="table", names=(ITSELF,), read=read_chunks))
        n_chunks = -(-len(data) // CHUNK)
        assert len(read) - read.count(0) == n_chunks - 1


def test_a_long_table_takes_thirty_bytes_a_row():
    """While it is read and joined with its truth, names in it; of them an evaluation keeps 20."""
    rng, n = np.random.default_rng(0), 10_000
    images = [f"s3://b/{i:07}.jpg" for i in range(n)]
    long = {
        "image": np.repeat(images, 10).tolist(),
        "label": [*map(str, range(10))] * n,
        "confidence": rng.dirichlet(np.ones(10), n).ravel().tolist(),
    }
    files = write_parquet(long), write_parquet({"image": images, "label": long["label"][:n]})
    del long
    tracemalloc.start()
    try:
        answers, truth = answer(files[0]), tell_truth(files[1])
        evaluation = join_answers(VERSION, truth, answers, JoinOptions())
        del answers, truth
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(evaluation.records.confidence) == 10 * n
    assert held / (10 * n) < 20
    assert most / (10 * n) < 30


def test_what_no_service_says_of_records_takes_no_memory():
    """The outcome of a record is unknown for all, so that it is kept once."""
    truth = tell_truth("image,label\na,cat\nb,dog\n")
    answers = answer("image,label,score\na,cat,0.5\na,dog,0.5\nb,cat,1\nb,dog,0\n")
    outcome = join_answers(VERSION, truth, answers, JoinOptions()).records.outcome

    assert outcome.tolist() == [Outcome.UNKNOWN] * 4
    assert outcome.strides == (0,)
