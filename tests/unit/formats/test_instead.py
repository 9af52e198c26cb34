"""What bytes are instead of JSON, in words."""

import gzip
import json

import pytest

from mlrek.formats.json_text import peek_inside, say_bytes, say_lines, say_other

LINE = b'{"source-ref": "s3://b/1.jpg", "a": 1}'


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n ", "is empty but for blanks"),
        (b"\xff\xfe\0\0{\0\0\0", "is UTF-32 text"),
        (b"\0{\0\n", "is UTF-16 text"),
        (b"{\0\n\0", "is UTF-16 text"),
        (b"\x1f\x8b\x08", "is compressed (gzip)"),
        (b"BZh91AY", "is compressed (bzip2)"),
        (b"PAR1", "is a Parquet file"),
        (bytes(257) + b"ustar", "is a tar archive"),
        (b"/annex/objects/MD5E-s1--0.json", "is a git-annex pointer"),
        (b"outs:\n- md5: " + b"0" * 32, "is a DVC pointer"),
        (b"\n<?xml version='1.0'?><Error><Code>NoSuchKey</Code>", "(XML, NoSuchKey)"),
        (b"<?xml version='1.0'?><x/>", "is XML"),
        (b"<HTML>", "is a web page"),
        (b"a\0b", "is binary data"),
        (b"gr\xf6sse", "is no text in UTF-8"),
        (b"image,label", "is text, not JSON; it begins with 'image,label'"),
    ],
)
def test_each_kind_has_its_words(head, said):
    """One function names what is found, for all readers."""
    assert said in say_bytes(head)


@pytest.mark.parametrize("head", [LINE, b"\xef\xbb\xbf" + LINE, b" [1]", b'"x"', b"{\n"])
def test_what_may_be_json_is_not_described(head):
    """Whoever reads it says what is wrong with it."""
    assert say_bytes(head) == ""


@pytest.mark.parametrize(
    ("head", "command"),
    [
        (b"[" + LINE + b"]", "jq -c '.[]' FILE"),
        (b"[\n " + LINE + b",\n" + LINE + b"]", "jq -c '.[]' FILE"),
        (json.dumps({"DatasetEntries": ["{}"]}).encode(), "jq -r '.DatasetEntries[]' FILE"),
        (json.dumps({"DatasetEntries": []}, indent=2).encode(), "jq -r '.DatasetEntries[]' FILE"),
        (json.dumps(json.loads(LINE), indent=4).encode(), "jq -c . FILE"),
        (b'{"a": [\n  1\n ]}', "jq -c . FILE"),
    ],
)
def test_one_document_is_told_with_the_command_that_makes_lines_of_it(head, command):
    """A file that is whole is never called cut."""
    assert f"`{command}` makes lines of it" in say_lines(head)


@pytest.mark.parametrize(
    "head", [b"", b"\n\n", LINE, b"{\n" + LINE, b"[1]\n" + LINE, LINE[:9] + b"\n" + LINE, b"oops"]
)
def test_lines_of_which_some_are_bad_are_lines(head):
    """They can be left out, one by one."""
    assert say_lines(head) == ""


def test_looking_inside_is_bounded():
    """A file of a few bytes may hold gigabytes; its head is enough to know it by."""
    assert len(peek_inside(gzip.compress(bytes(50 << 20)))) == 64 * 1024
    assert peek_inside(gzip.compress(LINE)) == LINE
    assert peek_inside(LINE.decode().encode("utf-16")) == LINE
    assert peek_inside(b"\x1f\x8b not gzip") == b"\x1f\x8b not gzip"


@pytest.mark.parametrize(
    ("head", "of_lines", "said"),
    [
        (b'[{"source-ref": "s3://b/1.jpg"}]', True, "is a JSON array, where"),
        (b'[{"source-ref": "s3://b/1.jpg"}]', False, "is JSON of another kind"),
        (b"[InternetShortcut]\r\nURL=https://x\r\n", True, "is text, not JSON"),
        (b'{"message": "Forbidden"}', True, "is JSON of another kind"),
        (b"", True, "is empty"),
    ],
)
def test_a_file_of_another_kind_is_told_by_what_it_should_be(head, of_lines, said):
    """An array is no file of lines, and there is a command that makes lines of it."""
    assert say_other(head, of_lines=of_lines).startswith(said)
