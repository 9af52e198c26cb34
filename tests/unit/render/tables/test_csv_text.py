"""CSV that every reader reads alike."""

import csv
import io
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.render import number_cells, text_cells, write_csv


def test_a_table_is_lines_of_cells():
    """A header, a row for each element of the columns, a line feed after each."""
    content = write_csv(("label", "n"), (text_cells(["a", "café"]), number_cells(np.array([1, 2]))))
    assert content == "label,n\na,1\ncafé,2\n".encode()


def test_a_table_without_rows_has_its_header():
    """An empty table is read as one without rows."""
    assert write_csv(("label", "n"), ([], [])) == b"label,n\n"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain", "plain"),
        ("a,b", '"a,b"'),
        ('6" pot', '"6"" pot"'),
        ("line\nbreak", '"line\nbreak"'),
        ("carriage\rreturn", '"carriage\rreturn"'),
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        ("@here", "'@here"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ('=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'),
        ("'quoted", "''quoted"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_cells_of_untrusted_text(text, cell):
    """What a spreadsheet would run is disarmed, what CSV would misread is quoted."""
    assert text_cells([text]) == [cell]


def test_numbers_read_back_as_they_are():
    """No digit is lost, nothing of numpy's notation is left, and undefined is empty."""
    cells = number_cells(np.array([0.1, 1 / 3, 1e-17, 2.0, nan]))
    assert cells == ["0.1", "0.3333333333333333", "1e-17", "2.0", ""]
    assert number_cells(np.array([3, -1])) == ["3", "-1"]


def test_half_a_character_is_escaped():
    """A lone surrogate, which UTF-8 cannot hold, does not lose the table."""
    assert write_csv(("label",), (text_cells(["\ud800"]),)) == b"label\n\\ud800\n"


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False)), max_size=5))
def test_what_is_written_can_be_read(rows):
    """Python's reader gives back every number, and every text behind one apostrophe."""
    texts, numbers = [row[0] for row in rows], np.array([row[1] for row in rows])
    content = write_csv(("text", "number"), (text_cells(texts), number_cells(numbers)))
    read = list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]
    expected = [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    assert [row[0].removeprefix("'") for row in read] == expected
    assert [float(row[1]) for row in read] == numbers.tolist()
