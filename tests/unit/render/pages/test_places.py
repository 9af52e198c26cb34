"""Where MLflow shows what a page is about, written into a page that is finished."""

import json
import re
from html import unescape

import pytest

from mlrek.render.places import Place, fill_places

HERE = (Place("this run", "#/experiments/1/runs/a1?workflowType=machine_learning&workspace=team"),)


@pytest.fixture
def page(pets, page_of):
    """A report without a run."""
    return page_of(pets).encode()


def _read(page):
    return unescape(re.search(rb'name="mlrek-places" content="(.*?)">', page)[1].decode())


def test_a_page_gets_its_places_without_a_change_of_size(page):
    """And holds none before."""
    placed = fill_places(page, "http://host:5000", HERE)

    assert _read(page).strip() == ""
    assert json.loads(_read(placed)) == {
        "base": "http://host:5000",
        "places": [["this run", HERE[0].place]],
    }
    assert len(placed) == len(page)


def test_what_stands_in_a_place_ends_no_element(page):
    """A workspace may have any name."""
    placed = fill_places(page, "http://host", (Place("run", '#/"><script>alert(1)</script>'),))

    assert b"<script>alert" not in placed
    assert placed.count(b"<script") == page.count(b"<script")


@pytest.mark.parametrize(
    ("base", "places"),
    [("", HERE), ("http://host", ()), ("http://host", (Place("run", "#" * 4_001),))],
)
def test_a_page_without_places_stays_as_it_is(page, base, places):
    """A managed service has no address; more than the slot holds is nothing that we write."""
    assert fill_places(page, base, places) == page


def test_a_page_is_filled_once(page):
    """What is there already was written with it."""
    once = fill_places(page, "http://host", HERE)

    assert fill_places(once, "http://other", HERE) == once
