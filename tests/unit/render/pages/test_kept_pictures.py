"""Pictures out of a page that was written before, which anybody may have replaced."""

import json
from base64 import b64encode
from io import BytesIO

import pytest
from PIL import Image

from mlrek.render.kept_pictures import parse_pictures

URI = "data:image/png;base64," + b64encode(b"a picture").decode()
GOOD = {"images": {"prefix": "s3://pets", "names": ["/0.png", "/1.png"], "thumbnails": {"1": URI}}}


def make_page(text):
    """A page that embeds a text."""
    return f'<html><script type="application/json" id="data">{text}</script></html>'.encode()


def change_images(**changed):
    """The text of a document with other images."""
    return json.dumps({"images": {**GOOD["images"], **changed}})


def test_pictures_of_a_report_are_found_by_their_images(pets, page_of):
    """Those that could be read, by their whole URIs, as pictures."""
    buffer = BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "png")

    def read_images(uris):
        return [buffer.getvalue() if uri.endswith(("0.png", "2.png")) else b"" for uri in uris]

    found = parse_pictures(page_of(pets, read_images=read_images).encode())
    assert found.keys() == {"s3://pets/0.png", "s3://pets/2.png"}
    assert {Image.open(BytesIO(content)).size for content in found.values()} == {(30, 20)}


def test_a_picture_is_found_by_its_place():
    """The one that stands there, and no other."""
    assert parse_pictures(make_page(json.dumps(GOOD))) == {"s3://pets/1.png": b"a picture"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        '{"images": []}',
        '{"images": {}}',
        change_images(prefix=None),
        change_images(names={"0": "/0.png"}),
        change_images(names=[{}, ["/1.png"]]),
        change_images(names=[]),
        change_images(thumbnails=[URI]),
        change_images(thumbnails={"7": URI, "-1": URI, "x": URI, "01": URI}),
        change_images(thumbnails={"1": None}),
        change_images(thumbnails={"1": {"src": URI}}),
        change_images(thumbnails={"1": "https://example.org/1.png"}),
        change_images(thumbnails={"1": "data:image/svg+xml;base64,PHN2Zz4="}),
        change_images(thumbnails={"1": "data:text/html;base64,PHN2Zz4="}),
        change_images(thumbnails={"1": "javascript:alert(1)"}),
        change_images(thumbnails={"1": URI + '" onerror="alert(1)'}),
        change_images(thumbnails={"1": "data:image/png;base64,A"}),
        change_images(thumbnails={"1": URI + "A" * 300_000}),
    ],
)
def test_what_is_no_report_of_ours_has_no_pictures(text):
    """Damaged, older or hostile: nothing is found, and nothing raises."""
    assert parse_pictures(make_page(text)) == {}


@pytest.mark.parametrize("page", [b"", b"<html>", b"\xff" * 100, make_page("{}")[:-20]])
def test_what_is_no_page_has_no_pictures(page):
    """Nothing is embedded in it, or it was cut."""
    assert parse_pictures(page) == {}


def test_a_page_that_is_too_large_is_not_looked_into():
    """No report of ours has so many bytes."""
    assert parse_pictures(make_page(json.dumps(GOOD)) + b" " * 3_000_000) == {}
