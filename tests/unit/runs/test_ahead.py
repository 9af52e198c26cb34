"""When the process that workers are forked from is started, before it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlrek.runs import meanwhile
from mlrek.runs.meanwhile import WORTH_SHARING, start_ahead

STORE = "sqlite:///new.db"


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is started instead, in a folder without a store."""
    monkeypatch.chdir(tmp_path)
    started: list[str] = []

    def make_context(*, of_aws: bool) -> None:
        started.append("process of AWS" if of_aws else "process")

    monkeypatch.setattr(meanwhile, "make_context", make_context)
    return started


def make_folder(place: Path, size: int, name: str = "versions/v1/manifest.json") -> str:
    """A folder with a file of so many bytes, none of which is on the disk."""
    file = place / "project" / name
    file.parent.mkdir(parents=True)
    with file.open("wb") as sink:
        sink.truncate(size)
    return str(place / "project")


@pytest.mark.parametrize("name", ["versions/v1/manifest.json", "predictions.PARQUET"])
def test_a_large_folder_starts_it(tmp_path: Path, started: list[str], name: str) -> None:
    """Where a new store meets much to read, the process is started at once."""
    start_ahead([make_folder(tmp_path, WORTH_SHARING, name)], STORE, 2, {})
    assert started == ["process"]


def test_a_large_file_starts_it(tmp_path: Path, started: list[str]) -> None:
    """A file of predictions counts as a folder does."""
    folder = make_folder(tmp_path, WORTH_SHARING, "predictions.csv")
    start_ahead([f"{folder}/predictions.csv"], STORE, 2, {})
    assert started == ["process"]


@pytest.mark.parametrize("size", [0, WORTH_SHARING - 1])
def test_a_small_folder_starts_nothing(tmp_path: Path, started: list[str], size: int) -> None:
    """What one process reads soon takes no second one."""
    start_ahead([make_folder(tmp_path, size)], STORE, 2, {})
    assert started == []


def test_images_start_nothing(tmp_path: Path, started: list[str]) -> None:
    """Images that lie next to a manifest are not what is read."""
    start_ahead([make_folder(tmp_path, WORTH_SHARING, "images/1.jpg")], STORE, 2, {})
    assert started == []


def test_one_processor_starts_nothing(tmp_path: Path, started: list[str]) -> None:
    """Where one version is worked on at a time, there is no process to fork."""
    start_ahead([make_folder(tmp_path, WORTH_SHARING)], STORE, 1, {})
    assert started == []


def test_a_store_that_is_there_starts_nothing(tmp_path: Path, started: list[str]) -> None:
    """A second sync may have nothing to read: it finds that out first."""
    Path("new.db").write_bytes(b"")
    start_ahead([make_folder(tmp_path, WORTH_SHARING)], STORE, 2, {})
    assert started == []


@pytest.mark.parametrize("source", ["s3://bucket/project", "arn:aws:rekognition:eu-west-1:1:p/x"])
def test_what_is_in_the_cloud_starts_it(started: list[str], source: str) -> None:
    """It imports while the versions are listed, and what asks AWS besides."""
    start_ahead([source], STORE, 2, {})
    assert started == ["process of AWS"]


@pytest.mark.parametrize("source", ["a-project", "no\0file", "absent"])
def test_what_may_be_small_or_nothing_starts_nothing(started: list[str], source: str) -> None:
    """Nothing is asked of a name that is no file here, and nothing is said of a strange one."""
    start_ahead([source], STORE, 2, {})
    assert started == []


def test_it_is_started_before_what_takes_long() -> None:
    """The command starts it before it imports its own slower parts."""
    code = """if True:
        import sys
        from mlrek.cli import make_app
        from mlrek.runs import meanwhile
        def note(*_):
            print([name for name in sys.modules if name in
                   ("pyarrow", "mlrek.runs.sync", "mlrek.sources", "mlrek.metrics")])
            raise SystemExit
        meanwhile.start_ahead = note
        make_app()(["sync", "folder"])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
