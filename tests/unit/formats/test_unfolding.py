"""Test sets and answers in whatever form tools write them: the same images, or one plain line."""

import gzip
import json
import tracemalloc
import zlib
from pathlib import Path

import pytest

from mlrek.errors import ParseError
from mlrek.formats import lines as unfolding
from mlrek.formats.predictions.responses import parse_responses
from mlrek.formats.rekognition import ManifestInput
from mlrek.formats.truth import parse_ground_truth

CASES = Path(__file__).parents[2] / "data" / "cases" / "one-document-instead-of-lines"
TRUTH = ["s3://b/0.jpg", "s3://b/1.jpg", "s3://b/2.jpg"]
ANSWERED = [*TRUTH, "s3://b/9.jpg"]


def truth_of(content: bytes, size: int = 1 << 16):
    """Parse a test set that comes in chunks of some size."""
    chunks = [content[i : i + size] for i in range(0, len(content), size)]
    return parse_ground_truth(ManifestInput(uri="x", chunks=chunks))


def answers_of(content: bytes, **options):
    """Parse answers."""
    return parse_responses(ManifestInput(uri="x", chunks=[content]), **options)


def read_lines(name: str) -> list[dict]:
    """The values of a file of lines."""
    return [json.loads(line) for line in (CASES / name).read_bytes().splitlines()]


def dump(value: object, **options: object) -> bytes:
    """A document as Python's tools write it."""
    return json.dumps(value, **options).encode()


LINES = read_lines("ok.manifest")
PLAIN = (CASES / "ok.manifest").read_bytes()
TEXTS = [json.dumps(line) for line in LINES]
ENTRIES = {"DatasetEntries": TEXTS}
TRUTHS = {
    "array on one line": dump(LINES),
    "array over lines": dump(LINES, indent=4),
    "array with a mark": b"\xef\xbb\xbf" + dump(LINES),
    "array of texts": dump(TEXTS),
    "texts, one a line": b"\n".join(map(dump, TEXTS)),
    "one value after the other": b"\n".join(dump(line, indent=2) for line in LINES),
    "values on one line": b" ".join(map(dump, LINES)) if False else dump(LINES),
    "entries": dump(ENTRIES),
    "entries over lines": dump(ENTRIES, indent=1),
    "entries in pages": dump({"DatasetEntries": TEXTS[:2]})
    + b"\n"
    + dump({"DatasetEntries": TEXTS[2:]}),
    "pages over lines": dump({"DatasetEntries": TEXTS[:2], "NextToken": "x"}, indent=2)
    + dump({"DatasetEntries": TEXTS[2:]}, indent=2),
    "token first": dump({"NextToken": None, **ENTRIES}),
    "arrays behind each other": dump(LINES[:1]) + b"\n" + dump(LINES[1:]),
    "gzip": gzip.compress(PLAIN),
    "gzip of several members": gzip.compress(PLAIN[:300]) + gzip.compress(PLAIN[300:]),
    "gzip with padding": gzip.compress(PLAIN) + bytes(512),
    "gzip of an array": gzip.compress(dump(LINES, indent=1)),
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "UTF-16 of PowerShell": PLAIN.decode().replace("\n", "\r\n").encode("utf-16"),
    "UTF-16 without a mark": PLAIN.decode().encode("utf-16-be"),
    "UTF-32": PLAIN.decode().encode("utf-32"),
    "UTF-16 of an array, packed": gzip.compress(dump(LINES).decode().encode("utf-16")),
    "Windows line ends": PLAIN.replace(b"\n", b"\r\n"),
    "marks in the middle": PLAIN.replace(b"\n", b"\n\xef\xbb\xbf"),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize("form", TRUTHS)
def test_every_form_of_a_test_set_gives_the_same(form, size):
    """Three labelled images, and one that nobody has labelled."""
    plain, read = truth_of(PLAIN), truth_of(TRUTHS[form], size)
    assert list(read.images) == TRUTH
    assert (read.labels, read.unlabelled, read.doubts) == (
        plain.labels,
        plain.unlabelled,
        plain.doubts,
    )
    assert read.warnings == ()


@pytest.mark.parametrize("name", [path.name for path in CASES.glob("*") if path.is_file()])
def test_each_file_of_the_case_is_read_or_told(name):
    """Those that nobody can read are refused with what they are."""
    content = (CASES / name).read_bytes()
    refused = {
        "resp_pretty.json": "names no image",
        "resp_fraction.jsonl": "are fractions",
    }
    if name in refused:
        with pytest.raises(ParseError, match=refused[name]):
            answers_of(content)
    elif name.startswith(("resp", "ok.jsonl")):
        assert answers_of(content).images == ANSWERED
    else:
        assert list(truth_of(content).images) == TRUTH


BY_IMAGE = {line["image"]: line["response"] for line in read_lines("ok.jsonl")}


@pytest.mark.parametrize(
    "content",
    [
        dump(BY_IMAGE),
        dump(BY_IMAGE, indent=2),
        dump({image: answer["CustomLabels"] for image, answer in BY_IMAGE.items()}),
        dump({image: {"ResponseMetadata": {"x": 1}, **a} for image, a in BY_IMAGE.items()}),
        b"\n".join(dump({image: answer}) for image, answer in BY_IMAGE.items()),
        gzip.compress(dump(BY_IMAGE)),
        dump([{"image": image, **answer} for image, answer in BY_IMAGE.items()], indent=1),
    ],
)
def test_answers_by_image_are_read(content):
    """An object of answers tells their images as plainly as lines do."""
    responses = answers_of(content)
    assert responses.images == ANSWERED
    assert set(responses.confidence) == {0.9}


def test_an_answer_without_an_image_on_a_line_is_told():
    """The command makes a line of it."""
    with pytest.raises(ParseError, match="names no image; this makes"):
        answers_of(b'{"CustomLabels": []}\n')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (dump(LINES)[:-20], "not valid JSON: it ends within a value"),
        (dump(LINES, indent=1)[:-1] + b",]", "not valid JSON"),
        (dump(LINES[0], indent=1) + b"\noops\n" + dump(LINES[1], indent=1), "something else"),
        (dump(LINES[0], indent=1) + b"\n" + dump(LINES[1], indent=1)[:-9], "ends within a value"),
        (gzip.compress(PLAIN)[:-20], "a gzip file that is cut"),
        (gzip.compress(PLAIN)[:60] + b"x" * 60, "a damaged gzip file"),
        (gzip.compress(gzip.compress(PLAIN)), "is compressed twice"),
        (PLAIN.decode().encode("utf-16")[:-1], "UTF-16 text that is damaged or cut"),
        (b"PK\x03\x04", "is a ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"DATASETENTRIES\t{}\n", "not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_one_line(content, said):
    """A file that is whole is never called cut, one that is cut is."""
    with pytest.raises(ParseError, match=said) as caught:
        truth_of(content)
    assert "truncated" not in str(caught.value)


def test_a_last_page_with_a_token_is_told():
    """`--max-items` leaves images out, and says so in a key that nobody reads."""
    content = dump({**ENTRIES, "NextToken": "eyJ"}, indent=1)
    (warning,) = truth_of(content).warnings
    assert "has a NextToken: more images follow" in warning


def test_memory_does_not_grow_with_what_a_packed_file_holds(monkeypatch):
    """A file of 300 KB that would become 300 MB of zeros is given up at the first endless line."""
    bomb = gzip.compress(b'{"a": "' + bytes(300 << 20), compresslevel=9)
    tracemalloc.start()
    with pytest.raises(ParseError, match="longer than 16 MiB"):
        truth_of(bomb)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    monkeypatch.setattr(unfolding, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(ParseError, match="when it is unpacked"):
        truth_of(gzip.compress(b"\n" * (2 << 20)))


def test_an_endless_document_is_given_up(monkeypatch):
    """It is held whole, so it has an end."""
    monkeypatch.setattr(unfolding, "MAX_DOCUMENT", 100)
    with pytest.raises(ParseError, match="save it as JSON lines"):
        truth_of(dump(LINES))


def test_a_pending_end_of_a_packed_file_is_read():
    """What the unpacker keeps back comes with the end, at whatever size of pieces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = PLAIN * 5000
    packed = packer.compress(content) + packer.flush()
    assert len(truth_of(packed, 64).images) == 15_000


@pytest.mark.parametrize("percent", [0.9, 1.0, 1e-9])
def test_answers_in_fractions_are_refused(percent):
    """DetectCustomLabels gives percent: 0.9 for 90 would be a model that is never sure."""
    line = {"image": "a", "CustomLabels": [{"Name": "x", "Confidence": percent}]}
    with pytest.raises(ParseError, match="none is above 1"):
        answers_of(dump(line))
    sure = {"image": "b", "CustomLabels": [{"Name": "x", "Confidence": 1.1}]}
    assert len(answers_of(dump(line) + b"\n" + dump(sure)).images) == 2
    assert answers_of(dump(line), is_own=True).images == ["a"]
    assert answers_of(b'{"image": "a", "CustomLabels": []}').images == ["a"]
