"""File names that are safe on every disk, whatever a key holds."""

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.sources.tree import MAX_BYTES, fold_file_name, make_safe_name, name_files

EVIL = [
    "../../x",
    "..",
    ".",
    "",
    "/",
    "/etc/passwd",
    "C:\\x",
    "..\\..\\x",
    "a\0b",
    "\n",
    "x/",
    "\ud800",
]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("EvaluationResultSummary-p-v 1.json", "EvaluationResultSummary-p-v 1.json"),
        ("dög 猫+1.json", "dög 猫+1.json"),
        (".", "_"),
        ("..", "__"),
        (".hidden", "_hidden"),
        ("", "_"),
        ("C:\\x", "C__x"),
        ("a\0b\nc\x7f", "a_b_c_"),
        ('<>:"/|?*', "________"),
        ("trailing. ", "trailing._"),
        ("con", "_con"),
        ("NUL.json", "_NUL.json"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console", "console"),
        ("\ud800", "_"),
    ],
)
def test_unsafe_characters_and_names_are_replaced(name, safe):
    """By an underscore each; what is safe stays as it is."""
    assert make_safe_name(name) == safe


def test_a_long_name_is_cut_and_stays_distinct():
    """The suffix stays, and a digest tells two long names apart."""
    one, other = (make_safe_name("ü" * 300 + end + ".json") for end in "ab")
    assert one != other
    assert (len(one.encode()) <= MAX_BYTES, one[-5:]) == (True, ".json")


def test_a_key_gives_its_last_part():
    """Folders of a key are no folders of the archive."""
    assert name_files(["evaluation/arn:aws:x/Summary.json"]) == ("Summary.json",)


def test_equal_names_are_numbered():
    """Also names that differ in case or in how a character is composed."""
    keys = ["a/x.json", "b/x.json", "c/X.JSON", "d/x-2.json", "e/\u00fc", "e/u\u0308"]
    expected = ("x.json", "x-2.json", "X-3.JSON", "x-2-2.json", "\u00fc", "u\u0308-2")
    assert name_files(keys) == expected


def test_taken_names_are_not_given():
    """A key cannot take the place of the archive's own file."""
    assert name_files(["a/version.json"], taken=("version.json",)) == ("version-2.json",)


@given(st.lists(st.one_of(st.text(), st.sampled_from(EVIL))))
def test_no_key_leaves_the_folder(keys):
    """Every name is one part, of Linux and of Windows paths, not hidden, and there only once."""
    names = name_files(keys)
    assert len({fold_file_name(name) for name in names}) == len(keys)
    for name in names:
        assert Path("folder", name).parent == Path("folder")
        assert PureWindowsPath("folder", name).parent == PureWindowsPath("folder")
        assert name not in ("", ".", "..")
        assert name[0] != "."
        assert len(name.encode()) <= MAX_BYTES + 20
