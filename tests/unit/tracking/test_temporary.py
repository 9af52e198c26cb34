"""Temporary folders, and those of processes that were killed."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from mlrek.tracking.view import OLD_AFTER_S, remove_old_folders, temporary_folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def make_old(folder) -> None:
    """As if nobody had touched it for more than a day."""
    long_ago = time.time() - OLD_AFTER_S - 60
    os.utime(folder, (long_ago, long_ago))


def test_a_folder_is_ones_own_and_goes(place):
    """Nobody else can look into it."""
    with temporary_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o077 == 0

    assert list(place.iterdir()) == []


def test_what_killed_processes_left_goes_after_a_day(place, ended):
    """With its files."""
    left = place / f"mlrek-of-{ended}-abc"
    left.mkdir()
    (left / "file").touch()
    remove_old_folders()
    assert left.exists()

    make_old(left)
    remove_old_folders()
    assert not left.exists()


def test_what_may_be_in_use_or_is_another_programs_stays(place, ended):
    """A running process's folder, a file, a link, other names."""
    outside = place / "outside"
    outside.mkdir()
    for name in (f"mlrek-of-{os.getpid()}-abc", f"mlrek-off-{ended}-abc", "mlrek-abc"):
        (place / name).mkdir()
        make_old(place / name)
    (place / f"mlrek-of-{ended}-file").touch()
    (place / f"mlrek-of-{ended}-link").symlink_to(outside)
    before = sorted(place.iterdir())
    remove_old_folders()

    assert sorted(place.iterdir()) == before
