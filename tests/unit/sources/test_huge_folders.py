"""`mlrek sync /` by mistake: it says where it looks, and gives up."""

import pytest

from mlrek.errors import SourceError
from mlrek.sources import storage


def fill(folder, n, name="{}.txt"):
    """A folder of empty files."""
    folder.mkdir(parents=True)
    for i in range(n):
        (folder / name.format(i)).touch()


def test_a_huge_folder_without_evaluations_is_given_up(tmp_path, monkeypatch):
    """The error names the way to go on."""
    monkeypatch.setattr(storage, "MAX_SEARCHED", 20)
    fill(tmp_path / "a", 30)
    with pytest.raises(SourceError, match="no evaluation among its first 30 files") as caught:
        list(storage.LocalStorage().list_files(str(tmp_path)))
    assert "name the folder that holds them" in str(caught.value)


def test_a_huge_folder_with_an_evaluation_is_read(tmp_path, monkeypatch):
    """Thousands of pictures lie next to many."""
    monkeypatch.setattr(storage, "MAX_SEARCHED", 20)
    fill(tmp_path / "a", 30)
    (tmp_path / "TestingGroundTruth-p-v1.json").touch()
    assert len(list(storage.LocalStorage().list_files(str(tmp_path)))) == 31


def test_a_long_search_says_where_it_looks(tmp_path, monkeypatch, caplog):
    """Once, also where nobody sits at a terminal."""
    monkeypatch.setattr(storage, "SAID_AFTER_S", -1.0)
    fill(tmp_path / "a", 3)
    list(storage.LocalStorage().list_files(str(tmp_path)))
    assert caplog.messages[0].startswith(f"looking through {tmp_path}: ")


def test_pictures_do_not_count(tmp_path, monkeypatch):
    """They may be met before the evaluation that they belong to."""
    monkeypatch.setattr(storage, "MAX_SEARCHED", 20)
    fill(tmp_path / "a", 30, "{}.JPG")
    assert len(list(storage.LocalStorage().list_files(str(tmp_path)))) == 30


def test_files_of_boxes_do_not_count(tmp_path, monkeypatch):
    """One for each image lies in a folder called labels, or below."""
    monkeypatch.setattr(storage, "MAX_SEARCHED", 20)
    fill(tmp_path / "labels" / "test", 30)
    assert len(list(storage.LocalStorage().list_files(str(tmp_path)))) == 30
