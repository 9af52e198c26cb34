"""Whatever goes wrong inside one version or one source, the others are logged."""

import json
import os
import signal

import pytest
from fakes.evaluations import PROJECT_ARN, save_archive
from typer.testing import CliRunner

from mlrek.cli import make_app
from mlrek.errors import EvaluationError
from mlrek.runs import workers


@pytest.fixture
def saved(tmp_path):
    """An archive of two versions."""
    save_archive(tmp_path / "saved", "v1")
    return save_archive(tmp_path / "saved", "v2")


def sync(saved, store, jobs):
    """Sync the archive in this process; the action and reason of each version."""
    words = ["sync", str(saved), "--tracking-uri", store, "--jobs", str(jobs), "--json"]
    result = CliRunner().invoke(make_app(), words)
    versions = json.loads(result.stdout)["versions"]
    return {one["version"]: (one["action"], one["reason"]) for one in versions}


def test_a_fault_inside_one_version_is_that_version_s(saved, new_store, monkeypatch):
    """No error of mlrek's own: a library met bytes that it did not expect."""
    describe = workers.describe_work

    def fail_one(work, *rest):
        if work.entry.version.name == "v1":
            raise NotImplementedError("a DDS\npicture at https://user:secret@host/")
        return describe(work, *rest)

    monkeypatch.setattr(workers, "describe_work", fail_one)
    done = sync(saved, new_store, jobs=1)
    assert done["v2"] == ("created", None)
    action, reason = done["v1"]
    assert action == "failed"
    assert reason.startswith("unexpected NotImplementedError: a DDS picture at https://")
    assert "secret" not in reason
    assert "\n" not in reason


def kill_one(work, *_rest):
    """In the process of v1: end it as the system does when memory is out."""
    if work.entry.version.name == "v1":
        os.kill(os.getpid(), signal.SIGKILL)
    raise EvaluationError("described")


def test_a_process_that_is_killed_takes_no_other_version_with_it(saved, new_store, monkeypatch):
    """Both are under way when one kills the pool; the other is described again, alone."""
    monkeypatch.setattr(workers, "WORTH_A_PROCESS", 0)
    monkeypatch.setattr(workers, "describe_work", kill_one)
    monkeypatch.setattr(workers, "is_in_parts", lambda *_: False)
    done = sync(saved, new_store, jobs=2)
    assert done["v2"] == ("failed", "described")
    assert done["v1"][0] == "failed"
    assert "the process that read it was killed" in done["v1"][1]


def test_a_large_version_whose_process_is_killed_says_so(tmp_path, new_store, monkeypatch):
    """A large version is read in a process of its own; where that is killed twice it has failed."""
    monkeypatch.setattr(workers, "WORTH_SHARING", 0)
    monkeypatch.setattr(workers, "describe_work", kill_one)
    done = sync(save_archive(tmp_path / "alone", "v1"), new_store, jobs=2)
    assert done["v1"][0] == "failed"
    assert "the process that read it was killed" in done["v1"][1]


def test_a_source_that_cannot_be_listed_stops_no_other(run_mlrek, saved, new_store, tmp_path):
    """It is one failed entry, and the document is whole."""
    (tmp_path / "empty").mkdir()
    args = ["sync", tmp_path / "empty", saved, "--tracking-uri", new_store, "--json"]
    done = run_mlrek(*args, check=False)
    assert done.returncode == 1
    actions = {one["version_arn"]: one["action"] for one in json.loads(done.stdout)["versions"]}
    assert actions.pop(str(tmp_path / "empty")) == "failed"
    assert list(actions.values()) == ["created", "created"]
    assert all(arn.startswith(PROJECT_ARN.rpartition("/")[0]) for arn in actions)


def test_a_source_alone_that_cannot_be_listed_is_an_error(run_mlrek, tmp_path):
    """One line, as ever."""
    (tmp_path / "empty").mkdir()
    done = run_mlrek("sync", tmp_path / "empty", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there are no files; " in done.stderr
