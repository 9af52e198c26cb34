"""Small pictures: of what can be read, small in all, and never a reason to fail."""

import struct
import zlib
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from builders.detections import build_detection
from PIL import Image

from mlrek.evaluation import Task
from mlrek.figures.pictures import Unread


def encode(pixels, kind="png", **options):
    """A file of pixels."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def claim_size(width, height):
    """A PNG of a few bytes that says it is so large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.fixture
def read(page_of, data_of):
    """A function: the images that a page asks for, and the pictures it shows, by image.

    `contents` are those of the first images; of the others nothing can be read.
    """

    def show(evaluation, *contents):
        asked, known = [], dict(zip(evaluation.images, contents, strict=False))

        def read_images(uris):
            asked.extend(uris)
            return [known.get(uri, b"") for uri in uris]

        images = data_of(page_of(evaluation, read_images=read_images))["images"]
        return asked, {int(i): picture for i, picture in images["thumbnails"].items()}

    return show


@pytest.fixture(scope="module")
def many(evaluate):
    """A thousand images of one label."""
    return evaluate([[0]] * 1000, [[(0, 0.9)]] * 1000, ("cat",))


def test_pictures_are_small_webp(pets, read):
    """The longer side is 96 pixels, the shape of the image is kept."""
    wide = encode(np.full((100, 200, 3), 90, dtype=np.uint8))
    _, pictures = read(pets, wide)
    head, _, body = pictures[0].partition(",")

    assert head == "data:image/webp;base64"
    with Image.open(BytesIO(b64decode(body))) as small:
        assert (small.format, small.size) == ("WEBP", (96, 48))


def test_the_size_of_a_picture_is_that_of_its_image(page_of, data_of):
    """Boxes in pixels are drawn on a picture that is smaller, where nothing else tells the size."""
    box = (0, (10, 20, 60, 80))
    evaluation = build_detection([[box]], [[(*box, 0.9)]])
    wide = encode(np.full((100, 200, 3), 90, dtype=np.uint8))
    rows = data_of(page_of(evaluation, read_images=lambda _: [wide]))["rows"]

    assert rows["frames"] == [200, 100]
    assert rows["boxes"] == [50, 200, 300, 800]  # in thousandths of width and height


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        b"GIF89a\xff\xff\xff\xff",
        encode(np.zeros((40, 40, 3), dtype=np.uint8))[:-30],
        claim_size(60_000, 60_000),
        claim_size(2_000_000_000, 2),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_image_has_no_picture(pets, read, content):
    """Denied, broken, or a bomb that would fill the memory."""
    good = encode(np.zeros((4, 4, 3), dtype=np.uint8))
    asked, pictures = read(pets, content, good)

    assert list(pictures) == [1]
    assert len(asked) == 4


def icon_with_png(width, height):
    """An icon of 16 x 16 pixels whose one picture is a PNG that says it is so large."""
    png = claim_size(width, height)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n%%EOF\n",
        encode(np.zeros((4, 4, 3), dtype=np.uint8), "tiff"),
        encode(np.zeros((4, 4, 3), dtype=np.uint8), "ppm"),
        struct.pack(">I", 24) + b"ftypavif" + bytes(40),
        b"DDS " + struct.pack("<I", 124) + bytes(200),
        icon_with_png(40_000, 40_000),
    ],
    ids=["postscript", "tiff", "ppm", "avif", "dds", "icon"],
)
def test_only_formats_of_the_services_are_decoded(pets, read, content, monkeypatch):
    """Pillow would start Ghostscript for PostScript; some decoders raise what they like."""
    monkeypatch.setattr("subprocess.Popen", None)

    assert read(pets, content)[1] == {}


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp", "ico"])
def test_each_format_of_a_service_has_a_picture(pets, read, kind):
    """Amazon takes JPEG and PNG, Google the others too."""
    content = encode(np.zeros((16, 16, 3), dtype=np.uint8), kind)

    assert 0 in read(pets, content)[1]


def test_whatever_a_decoder_raises_is_the_fault_of_the_file(pets, read, monkeypatch):
    """One damaged image never ends a sync."""
    good = encode(np.zeros((4, 4, 3), dtype=np.uint8))
    for error in (RuntimeError, NotImplementedError, MemoryError, struct.error, AssertionError):
        monkeypatch.setattr(
            Image.Image, "convert", lambda *_, error=error: (_ for _ in ()).throw(error)
        )
        assert read(pets, good)[1] == {}


def test_only_so_many_are_asked_for(many, read):
    """240 of a thousand images, each once."""
    asked, pictures = read(many)

    assert pictures == {}
    assert len(asked) == len(set(asked)) == 240


def test_all_together_stay_small(many, read):
    """Noise hardly shrinks; pictures are left out before they are too much."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    _, pictures = read(many, *[encode(noise)] * 1000)

    assert sum(map(len, pictures.values())) <= 1_200_000
    assert 0 < len(pictures) <= 240


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_all_kinds_of_pixels_are_drawn(pets, read, mode):
    """Grey, transparent, indexed, for print, 16 bits."""
    buffer = BytesIO()
    Image.new(mode, (20, 20)).save(buffer, "jpeg" if mode == "CMYK" else "png")

    assert 0 in read(pets, buffer.getvalue())[1]


def test_the_page_says_what_could_not_be_read(pets, page_of, data_of):
    """How many pictures were wanted, and which are there."""
    good = encode(np.zeros((4, 4, 3), dtype=np.uint8))

    def read_images(uris):
        return [good if uri.endswith("2.png") else b"" for uri in uris]

    images = data_of(page_of(pets, read_images=read_images))["images"]
    assert images["asked"] == 4
    assert [images["names"][int(i)] for i in images["thumbnails"]] == ["/2.png"]


def test_suspects_come_first_then_what_the_gallery_begins_with(evaluate, read):
    """Of each outcome of all labels the least sure twelve, before what single labels begin with."""
    n = 20
    truth = [[0]] * n + [[1]] * n + [[1]]
    sure = [[(0, 0.9 - i / 100)] for i in range(n)] + [[(1, 0.6 - i / 100)] for i in range(n)]
    evaluation = evaluate(truth, [*sure, [(0, 0.95)]], ("cat", "dog"))
    order = [evaluation.images.index(uri) for uri in read(evaluation)[0]]

    assert order[0] == 2 * n  # a dog that is surely called a cat
    assert order[1:13] == list(range(2 * n - 1, 2 * n - 13, -1))  # the least sure are dogs
    assert order[13] == n - 1  # the first cat of all cats
    assert sorted(order) == list(range(2 * n + 1))


def test_the_pictures_of_suspects_are_asked_for_first(evaluate, read):
    """By their images, also where an image has several rows of predictions."""
    records = [[(0, 0.6), (1, 0.6)]] * 5 + [[(0, 0.6), (1, 0.9)]]
    evaluation = evaluate(
        [[0, 1]] * 5 + [[0]], records, ("cat", "dog"), task=Task.MULTILABEL, thresholds=[0.5, 0.5]
    )

    assert read(evaluation)[0][0] == evaluation.images[5]


def test_the_page_says_why_pictures_were_refused(pets, page_of, data_of):
    """In the words of who refuses, without what a service says of who asked."""
    reason = "access denied; this needs s3:GetObject [AccessDenied: arn:aws:iam::1:user/me may not]"

    def read_images(uris):
        return [b"" if uri.endswith("1.png") else Unread(reason) for uri in uris]

    images = data_of(page_of(pets, read_images=read_images))["images"]
    assert images["refused"] == "access denied; this needs s3:GetObject"
    assert images["thumbnails"] == {}
