"""How the files of a run are sent: several at once, and no more of them than a connection each."""

import threading
import time
from pathlib import Path

import pytest

from mlrek.tracking.artifacts import AT_ONCE, ArtifactSender

PLACE = "mlflow-artifacts:/1/run/artifacts"
SERVER = "http://127.0.0.1:1"
FILES = {f"folder/{i}.csv": b"" for i in range(20)} | {"report.html": b"page"}


class Repository:
    """Takes what is sent, slowly; `refuses` is the name of a file that it does not take."""

    def __init__(self, refuses: str = "") -> None:
        self.sent = {}
        self.refuses = refuses
        self.active = self.most = 0
        self.lock = threading.Lock()

    def log_artifact(self, local_file, artifact_path=None):
        """As MLflow's own takes a file."""
        with self.lock:
            self.active += 1
            self.most = max(self.most, self.active)
        time.sleep(0.03)
        name = local_file.rpartition("/")[2]
        with self.lock:
            self.active -= 1
        if name == self.refuses:
            raise OSError(28, "No space left on device")
        path = f"{artifact_path}/{name}" if artifact_path else name
        self.sent[path] = Path(local_file).read_bytes()


@pytest.fixture
def take(monkeypatch):
    """A function: a repository in the place of MLflow's own of a server."""

    def patch(refuses=""):
        repository = Repository(refuses)
        monkeypatch.setattr(
            "mlflow.store.artifact.http_artifact_repo.HttpArtifactRepository.log_artifact",
            repository.log_artifact,
        )
        return repository

    return patch


def test_several_files_are_sent_at_once_and_all_are_there_after_the_block(take):
    """Each at its path, while the block does something else."""
    repository = take()
    with ArtifactSender(SERVER).send(PLACE, FILES):
        pass

    assert repository.sent == FILES
    assert repository.most == AT_ONCE


def test_runs_that_are_sent_at_once_share_the_connections(take):
    """MLflow keeps no more than ten of them."""
    repository = take()
    sender = ArtifactSender(SERVER)
    with sender.send(PLACE, FILES), sender.send(PLACE, FILES):
        pass

    assert repository.most == AT_ONCE


def test_where_a_file_fails_the_rest_is_left_out(take):
    """Its error is raised, and nothing is under way any more."""
    repository = take(refuses="0.csv")
    with pytest.raises(OSError, match="No space left"), ArtifactSender(SERVER).send(PLACE, FILES):
        pass

    assert repository.active == 0
    assert len(repository.sent) < len(FILES) - 1


def test_where_the_numbers_fail_no_file_is_under_way(take):
    """The run is taken back at once."""
    repository = take()
    with pytest.raises(ValueError, match="refused"), ArtifactSender(SERVER).send(PLACE, FILES):
        raise ValueError("refused")

    assert repository.active == 0
    assert len(repository.sent) < len(FILES)


def test_the_files_of_a_folder_are_copied_after_the_block(tmp_path):
    """A database file and a folder are written by one thread, as there is nothing to wait for."""
    with ArtifactSender(f"sqlite:///{tmp_path}/m.db").send((tmp_path / "run").as_uri(), FILES):
        assert not (tmp_path / "run").exists()

    kept = {
        str(p.relative_to(tmp_path / "run")): p.read_bytes() for p in tmp_path.rglob("run/**/*.*")
    }
    assert kept == FILES


def test_the_files_of_a_folder_are_written_once(tmp_path, monkeypatch):
    """They go through no temporary folder, of which each would be copied."""
    monkeypatch.setattr("mlrek.tracking.artifacts.temporary_folder", lambda: pytest.fail("copied"))
    with ArtifactSender(f"sqlite:///{tmp_path}/m.db").send((tmp_path / "run").as_uri(), FILES):
        pass

    assert (tmp_path / "run/folder/19.csv").exists()
