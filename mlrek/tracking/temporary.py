"""Folders for files on their way to or from MLflow; what a killed process left goes later."""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

OLD_AFTER_S: Final = 24 * 60 * 60
"""Nobody needs a folder that is so old, unless its process still runs."""
_PREFIX: Final = "mlrek-of-"
_NAMED: Final = re.compile(rf"{_PREFIX}(\d+)-\w+")


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for this user alone, that is gone after the block."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def remove_old_folders() -> None:
    """Take away the folders of this user's processes that were killed a day ago or earlier.

    The day is for processes in other containers, whose numbers tell nothing here.
    """
    for folder in _list_folders(Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if is_own and time.time() - found.st_mtime > OLD_AFTER_S and not _is_running(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _list_folders(place: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if _NAMED.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _is_running(folder: Path) -> bool:
    """Whether the process that a folder is named after is there."""
    named = _NAMED.fullmatch(folder.name)
    if named is None or os.name == "nt":
        return named is None
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
