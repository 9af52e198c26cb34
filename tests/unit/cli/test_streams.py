"""Under GitHub Actions nothing that is printed gives the runner an order, but for our own lines."""

import io
import sys

import pytest

from mlrek.cli.output import HarmlessStream, make_streams_harmless, write_command


def write(*pieces):
    """What stands in the stream after these pieces."""
    buffer = io.BytesIO()
    stream = HarmlessStream(buffer, encoding="utf-8")
    for piece in pieces:
        stream.write(piece)
    stream.flush()
    return buffer.getvalue().decode()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["::error::x\n"], "\\::error::x\n"),
        (["  ::add-path::/x\n"], "  \\::add-path::/x\n"),
        (["a\n::error::x"], "a\n\\::error::x"),
        (["a\r::error::x"], "a\r\\::error::x"),
        (["##[error]x\n"], "\\##[error]x\n"),
        (["a ", "::error::x\n"], "a ::error::x\n"),
        (["a\n", "  ", "::error::x\n"], "a\n  \\::error::x\n"),
        ([":", ":error::x\n"], "\\::error::x\n"),
        (["a::b\n"], "a::b\n"),
        (["", "\n", "é\n"], "\né\n"),
        (["## heading\n"], "## heading\n"),
    ],
)
def test_a_line_that_would_be_a_command_gets_a_backslash(pieces, expected):
    """However it comes; everything else stays as it is."""
    assert write(*pieces) == expected


def test_our_own_annotations_stay_commands(monkeypatch):
    """They go around what makes names harmless."""
    buffer = io.BytesIO()
    stream = HarmlessStream(buffer, encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        write_command("::notice::passed")
        sys.stderr.write("::error::name\n")
    stream.flush()

    assert buffer.getvalue() == b"::notice::passed\n\\::error::name\n"


@pytest.mark.parametrize(("environ", "expected"), [({"GITHUB_ACTIONS": "true"}, True), ({}, False)])
def test_only_under_github_actions(monkeypatch, environ, expected):
    """Elsewhere what is printed is what is meant."""
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", plain)
        patched.setattr(sys, "stderr", io.StringIO())
        make_streams_harmless(environ)
        stream = sys.stdout
        stream.write("ö")
        stream.flush()

    assert isinstance(stream, HarmlessStream) is expected
    assert plain.buffer.getvalue() == b"\\xf6"
