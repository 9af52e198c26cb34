"""Names in one piece of memory, in place of a tuple of texts."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.evaluation import Names, are_rising, keep_names

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def hold(texts, *, rises=False):
    """Texts as names."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return Names(b"".join(encoded), offsets, rises=rises)


@given(st.lists(TEXTS, max_size=8), st.slices(8))
def test_names_are_as_a_tuple_of_texts(texts, part):
    """They have its length, its items from either end, its parts, its order and its equals."""
    names, expected = hold(texts), tuple(texts)

    assert len(names) == len(expected)
    assert [names[i] for i in range(-len(expected), len(expected))] == texts + texts
    assert names[part] == expected[part]
    assert [*names] == texts
    assert names == expected
    assert expected == names
    assert names == hold(texts)
    assert names != hold([*texts, "a"])
    assert names != (*texts, "a")
    assert hash(names) == hash(expected)
    assert names != texts
    assert pickle.loads(pickle.dumps(names)) == expected  # noqa: S301 - made here


@pytest.mark.parametrize("place", [2, -3])
def test_there_is_no_name_behind_the_last(place):
    """Nor one before the first."""
    with pytest.raises(IndexError):
        hold(["a", "b"])[place]


def test_many_names_come_in_their_order():
    """Also where they are more than are made at once, and not all are ASCII."""
    texts = [f"{'é' * (i % 977 == 0)}{i}" for i in range(10_000)]

    assert [*hold(texts)] == texts


def test_names_apart_are_not_those_parted_otherwise():
    """The same letters are other names where these end elsewhere."""
    assert hold(["ab", "c"]) != hold(["a", "bc"])


@given(st.lists(TEXTS, max_size=5))
def test_names_rise_where_each_is_above_the_one_before(texts):
    """Names that say so are believed; of others each is looked at."""
    expected = all(one < other for one, other in pairwise(texts))

    assert are_rising(hold(texts)) == are_rising(texts) == expected
    assert are_rising(hold(texts, rises=True))


@given(st.lists(TEXTS, max_size=5), TEXTS)
def test_a_text_in_a_name_is_never_overlooked(texts, wanted):
    """Names that hold it nowhere can be passed over."""
    assert hold(texts).may_hold(wanted) or not any(wanted in text for text in texts)


@given(st.lists(TEXTS, max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_names_give_their_bytes(texts, start, stop):
    """In UTF-8, without a text being made of them."""
    start, stop = sorted((min(start, len(texts)), min(stop, len(texts))))

    assert hold(texts).encode(start, stop) == [text.encode() for text in texts[start:stop]]


def test_names_are_kept_as_they_are():
    """A list may change, so that it becomes a tuple."""
    names = hold(["a"])

    assert keep_names(names) is names
    assert keep_names(["a"]) == ("a",)
