"""Tables in which all images have the same labels in one order are read as any others are."""

import numpy as np
import pytest
from builders.tables import answer, list_answers, write_parquet
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlrek.errors import ParseError
from mlrek.formats.tables import contents

LABELS = ("cat", "dog", "10", "9", "Übel", "a,b", "a\nb")
IMAGES = ("1.jpg", "2.jpg", "10.jpg", "é.jpg", "s3://b/x y.png", 'a"b', "a\nb", "2.0", "x" * 300)

CHANGES = ("none", "missing", "again", "other", "swapped", "moved", "given", "blank")


@st.composite
def draw_table(draw):
    """Rows that are regular but for one thing, perhaps: image, label and confidence each."""
    images = draw(st.lists(st.sampled_from(IMAGES), min_size=1, max_size=6, unique=True))
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=5, unique=True))
    scale = draw(st.sampled_from([1, 100]))
    shares = st.integers(0, 64).map(lambda share: scale * share / 64)
    rows = [[image, label, draw(shares)] for image in images for label in labels]
    place = draw(st.integers(0, len(rows) - 1))
    match draw(st.sampled_from(CHANGES)):
        case "missing":
            del rows[place]
        case "again":
            rows.append([*rows[place]])
        case "other":
            rows[place][2] = draw(st.sampled_from([None, float("nan"), -1.0, 101.0, float("inf")]))
        case "swapped":
            rows[place][1], rows[0][1] = rows[0][1], rows[place][1]
        case "moved":
            rows.insert(0, rows.pop(place))
        case "given":
            rows[place][0] = draw(st.sampled_from(images))
        case "blank":
            rows[place][draw(st.sampled_from([0, 1]))] = draw(st.sampled_from(["", None]))
    return rows


def say(table):
    """What is read of a table, or why it is refused."""
    try:
        found = answer(table)
    except ParseError as exc:
        return str(exc)
    return list_answers(found), found.labels, found.images, found.warnings, found.offsets.tolist()


def write(rows):
    """The rows as a Parquet file."""
    names = ("image", "label", "confidence")
    return write_parquet({name: [row[i] for row in rows] for i, name in enumerate(names)})


@settings(max_examples=200)
@given(draw_table())
@example([["A", "c", 0.5], ["B", "d", 0.25], ["B", "c", 0.5], ["B", "d", 0.75]])
@example([["A", "c", 0.5], ["A", "c", 0.5], ["B", "c", 0.5], ["B", "c", 0.5]])
def test_regular_tables_are_read_as_others_are(rows):
    """Answers, order, warnings and refusals are those of the way that looks at each row."""
    table = write(rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(contents, "_find_regular", lambda _rows, _found: None)
        expected = say(table)

    assert say(table) == expected


def test_rows_of_a_regular_table_are_neither_sorted_nor_searched(monkeypatch):
    """Of 2,000 rows of ten labels in one order, no row is looked at by itself."""
    for name in ("_has_repeats", "find_offsets"):
        monkeypatch.setattr(contents, name, pytest.fail)
    rng = np.random.default_rng(0)
    confidences = rng.random((200, 10)).tolist()
    rows = [[f"{i:03}", f"{j}", c] for i, row in enumerate(confidences) for j, c in enumerate(row)]

    found = answer(write(rows))

    assert found.confidence.tolist() == [row[2] for row in rows]
    assert found.labels == tuple(map(str, range(10)))
    assert found.label_idx.tolist() == [*range(10)] * 200
