"""A search through the wrong folder: how far it is, and how it ends."""

import pytest

from mlrek.errors import SourceNotFoundError
from mlrek.sources import open_source
from mlrek.sources.search import watch_searches


def test_a_search_says_how_many_files_it_has_found_and_looked_into(tmp_path):
    """First while they are listed, then while each is looked into, and that it is over."""
    for i in range(120):
        (tmp_path / f"{i}.json").write_text(f'{{"x": {i}}}')
    told = []
    with watch_searches(told.append), pytest.raises(SourceNotFoundError):
        open_source(str(tmp_path)).list_versions()

    listed = [(one.files, one.total) for one in told if not one.is_over]
    assert listed == [(0, 0), (50, 0), (100, 0), (50, 120), (100, 120)]
    assert [one.is_over for one in told] == [False] * 5 + [True]


def test_a_search_in_vain_says_what_it_saw_instead(tmp_path):
    """Kinds of files, the most frequent first, next to what was looked for."""
    for name in ("a.py", "b.py", "c.txt", "README"):
        (tmp_path / name).write_text("x = 1")
    with pytest.raises(SourceNotFoundError) as caught:
        open_source(str(tmp_path)).list_versions()

    said = str(caught.value)
    assert "no evaluation among its 4 files (2 .py, 1 .txt, 1 without an ending)" in said
    assert "looked for versions/*/version.json; " in said


def test_an_empty_folder_says_so(tmp_path):
    """There is nothing that could be another kind of file."""
    with pytest.raises(SourceNotFoundError, match="there are no files; name the folder"):
        open_source(str(tmp_path)).list_versions()
