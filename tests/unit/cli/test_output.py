"""Where a command's words go."""

import io
import json
import sys

import pytest

from mlrek.cli.output import Output, make_streams_harmless
from mlrek.render import Note

pytestmark = pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])


def _redirect(monkeypatch, encoding):
    """Standard output in an encoding; the function that comes back tells what was written."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    make_streams_harmless({})

    def read() -> str:
        stream.flush()
        return stream.buffer.getvalue().decode(encoding)

    return read


def test_names_that_an_encoding_lacks_are_escaped(encoding, monkeypatch):
    """On Windows what is redirected to a file has the encoding of the machine's language."""
    read = _redirect(monkeypatch, encoding)
    Output().line("日本")
    Output().table(["label", "F1"], [["日本", "—"]])

    assert read().count("日本" if encoding == "utf-8" else r"\u65e5\u672c") == 2


@pytest.mark.parametrize("name", ["日本 – ä \x01", "half \udce9"])
def test_a_document_is_json_in_any_encoding(encoding, name, monkeypatch):
    r"""`\xe4` would be none."""
    read = _redirect(monkeypatch, encoding)
    Output(as_json=True).document({"label": name})

    assert json.loads(read()) == {"label": name}


def test_limits_can_be_read_in_any_encoding(encoding, monkeypatch):
    """`≥` and `≤` are two characters each where there are none such."""
    read = _redirect(monkeypatch, encoding)
    Output().show([Note("a ≥ 0.90, b ≤ 0.05", kind="✓")])

    said = "✓  a ≥ 0.90, b ≤ 0.05" if encoding == "utf-8" else "ok  a >= 0.90, b <= 0.05"
    assert read().splitlines() == [said]


def test_a_column_of_our_own_words_is_never_broken(encoding, monkeypatch):
    """Other text is, and a number's title stands on two lines where its numbers are narrow."""
    read = _redirect(monkeypatch, encoding)
    title = "F1 macro at the assumed thresholds"
    words = "points of a change"
    numeric, whole = frozenset((title,)), frozenset((words,))
    Output().table(
        [words, title, "note"], [["the model", "+1", "x" * 200]], numeric=numeric, whole=whole
    )
    lines = [line.replace("|", " ").rstrip() for line in read().splitlines()]

    assert lines[0].endswith("F1 macro at the")
    assert lines[1].split("  ")[0] == "points of a change assumed thresholds note"
    assert lines[3].startswith("the model")


def test_what_is_no_terminal_is_not_wide(encoding, monkeypatch):
    """Logs and pull requests cut or wrap what has more than 80 columns."""
    _redirect(monkeypatch, encoding)

    assert not Output().is_wide(92)
    assert not Output(as_json=True).is_wide(0)
