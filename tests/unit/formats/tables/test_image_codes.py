"""The images of rows as codes: as a dictionary of Python would number them, with few look-ups."""

import numpy as np
import pyarrow as pa
import pytest
from builders.answers import VERSION
from builders.tables import answer, tell_truth
from hypothesis import example, given
from hypothesis import strategies as st

from mlrek.evaluation import Names
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.tables import growing
from mlrek.formats.tables.growing import ImageCodes, join_names

NAMES = ["a", "b", "ab", "a\n", "B", "é", "e\u0301", "𝒜", "\uffff", "a" * 300]


def number(batches):
    """The images in the order in which they come up, and the place of each row's among them."""
    known = {}
    places = [known.setdefault(name, len(known)) for batch in batches for name in batch]
    return tuple(known), places


def code(batches, kind=None):
    """The same by `ImageCodes`."""
    codes = ImageCodes()
    for batch in batches:
        assert codes.add(pa.array(batch, kind or pa.string())) == -1
    images, image_idx = codes.finish()
    return tuple(images), image_idx.tolist()


def draw_batches(seed, n_images, order):
    """Batches of rows whose images follow each other or not."""
    rng = np.random.default_rng(seed)
    images = [f"{i:05}.jpg" for i in range(n_images)]
    if order != "rising":
        rng.shuffle(images)
    rows = np.repeat(images, rng.integers(1, 5, size=n_images)).tolist()
    if order == "mixed":
        rng.shuffle(rows)
    ends = np.sort(rng.integers(len(rows), size=9)).tolist()
    return [rows[i:j] for i, j in zip([0, *ends], [*ends, len(rows)], strict=True)]


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=6), max_size=6))
@example([["a", "b"], ["b", "a"]])  # a run that goes on, and then names fall
def test_images_are_numbered_as_they_come_up(batches):
    """Whatever the order of rows and where batches end, an image has one code, from 0 on."""
    assert code(batches) == number(batches)


@pytest.mark.parametrize("order", ["rising", "runs", "mixed"])
def test_batches_that_are_looked_up_in_between_are_numbered_alike(order, monkeypatch):
    """Also where images are looked up many times before the last batch."""
    monkeypatch.setattr(growing, "_IMAGES_AT_ONCE", 50)
    batches = draw_batches(0, 400, order)

    assert code(batches) == number(batches)
    assert code(batches, pa.large_string()) == number(batches)


@pytest.mark.parametrize(
    ("order", "least", "most"), [("rising", 0, 0), ("runs", 1, 2), ("mixed", 1, 5)]
)
def test_names_that_rise_are_never_looked_up(order, least, most, monkeypatch):
    """Names that rise are not looked up at all, others a few times each, run by run."""
    monkeypatch.setattr(growing, "_IMAGES_AT_ONCE", 50)
    codes = ImageCodes()
    for batch in draw_batches(1, 2_000, order):
        codes.add(pa.array(batch))
    codes.finish()

    assert least * 2_000 <= codes.n_looked_up <= most * 2_000


def test_first_row_without_an_image_is_found():
    """Neither an empty cell nor none names an image; the first of them is told."""
    codes = ImageCodes()

    assert codes.add(pa.array(["", "a"])) == 0
    assert codes.add(pa.array(["a", "a", "b", None, ""])) == 3
    assert codes.add(pa.array(["a", "a", "b", "", None])) == 3


@given(st.lists(st.sampled_from(NAMES)), st.integers(0, 9))
def test_names_of_several_batches_are_one_piece(texts, place):
    """Names are the same, wherever one batch of them ended and the next began."""
    names = hold(texts, place)

    assert tuple(names) == tuple(texts)
    assert names == hold(texts, 0)
    assert names != hold([*texts, "a"], place)


def hold(texts, place):
    """Texts that came up in two batches."""
    parts = [pa.array(part, pa.large_string()) for part in (texts[:place], texts[place:])]
    return join_names(parts)


def test_a_join_of_the_same_names_in_the_same_order_makes_no_texts(monkeypatch):
    """Nor does the evaluation hold any: a million texts of Python take 100 MB."""
    made = []
    monkeypatch.setattr(Names, "_list", lambda *given: made.append(given))
    truth = tell_truth("image,label\na,cat\nb,dog\n")
    answers = answer("image,label,score\na,cat,0.5\na,dog,0.5\nb,cat,1\nb,dog,0\n")
    evaluation = join_answers(VERSION, truth, answers, JoinOptions())

    assert not made
    assert evaluation.images is truth.images
    assert [evaluation.images[i] for i in range(2)] == ["a", "b"]
