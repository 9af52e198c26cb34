"""What tells a version's files from others, where they were just read."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mlrek.evaluation import SourceFile
from mlrek.runs.workers import Work, describe_work
from mlrek.sources import VersionEntry, open_source
from mlrek.sources.entries import Source
from mlrek.sources.storage import LocalStorage
from mlrek.tracking import NO_IMAGES
from mlrek.tracking.description import Options, describe_state

EXAMPLES = Path(__file__).parents[3] / "examples"
FOLDERS = [
    "automl-flowers",
    "detection",
    "digits",
    "lookout-classification",
    "lookout-segmentation",
    "multilabel",
    "vertex",
]
OPTIONS = Options(images=NO_IMAGES)


def open_example(folder: str) -> tuple[Source, VersionEntry]:
    """A source, and its first version that can be read."""
    source = open_source(str(EXAMPLES / folder))
    return source, next(e for e in source.list_versions() if not (e.refused or e.skipped))


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_just_read_have_the_state_that_they_have_for_themselves(folder: str) -> None:
    """A new version's run holds the state that the next sync finds, so that it stays unchanged."""
    source, entry = open_example(folder)
    work = Work(source=source, entry=entry, options=OPTIONS, state="", logged_at="t")

    described = describe_work(work)

    expected = describe_state(source.read_state(entry), OPTIONS)
    assert described.tags["mlrek.source_state"].partition(" drawn:")[0] == expected


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_local_file_of_a_new_version_is_read_once(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads a large file a second time to tell it from others."""
    source, entry = open_example(folder)
    opened = Counter[str]()
    read = LocalStorage.read

    def count(self: LocalStorage, uri: str, *args: str, **options: int | None):
        opened[uri] += 1
        return read(self, uri, *args, **options)

    monkeypatch.setattr(LocalStorage, "read", count)
    assert source.count_local_bytes(entry)
    describe_work(Work(source=source, entry=entry, options=OPTIONS, state="", logged_at="t"))

    main = [part.uri for part in entry.parts if part.role in {"summary", "manifest"}]
    assert {uri: opened[uri] for uri in main} == dict.fromkeys(main, 1)


def test_a_file_that_was_not_read_is_asked_for_its_state() -> None:
    """What another file says of itself is not taken for this one's state."""
    source, entry = open_example("digits")
    other = SourceFile(role="manifest", uri="s3://other/file", size=1, sha256="ab")

    assert source.read_state(entry, [other]) == source.read_state(entry)


def test_what_is_not_all_here_has_no_local_size(tmp_path: Path) -> None:
    """Where a file is missing, or lies elsewhere, its state is asked for first, as ever."""
    source, entry = open_example("digits")
    gone = [
        replace(part, uri=str(tmp_path / "gone")) if part.role == "manifest" else part
        for part in entry.parts
    ]
    far = [replace(part, uri=f"s3://bucket/{part.role}") for part in entry.parts]

    for parts in (gone, far):
        assert source.count_local_bytes(replace(entry, parts=tuple(parts))) is None
