"""`mlrek sync --scheduler`: a real Dask scheduler and two workers, in processes of their own."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import clean_env
from fakes.s3_proxy import S3Fault
from fakes.said import list_said

pytestmark = pytest.mark.server
PATIENCE_S = 600
BUCKET = "kept"
VERSIONS = ("v1-naive-bayes", "v2-linear", "v3-neighbours", "v4-new-split")
NO_MLREK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mlrek":
            raise ModuleNotFoundError("No module named 'mlrek'", name="mlrek")

sys.meta_path.insert(0, Blocker())
"""


class Cluster:
    """A scheduler and the workers that were started, each one a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.address = self._wait_for("scheduler", r"Scheduler at:\s*tcp://\S+\s")

    def add_worker(self, *args: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        """Start a worker with one thread, and wait until the scheduler knows it."""
        name = f"worker-{len(self.workers)}"
        options = ["--nthreads", "1", "--host", "127.0.0.1", *args]
        self.workers.append(self._start(name, self.address, *options, what="worker", env=env))
        self._wait_for(name, "Registered to")
        return self.workers[-1]

    def stop(self) -> None:
        """End every process that is left."""
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, *args: str, what: str = "", env=None) -> subprocess.Popen:
        place = self.folder / name
        place.mkdir()
        with (place / "log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what or name, "--no-dashboard", *args],
                cwd=place,
                env=clean_env() | (env or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_for(self, name: str, words: str) -> str:
        log = self.folder / name / "log"
        wait_until(lambda: re.search(words, log.read_text()), lambda: log.read_text()[-2000:])
        return re.search(words, log.read_text())[0].split()[-1]


def wait_until(condition, explain=lambda: "") -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    started = Cluster(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def kept(digits, s3_server) -> str:
    """The digits project in a bucket."""
    for path in digits.glob("versions/*/*"):
        s3_server.put(BUCKET, path.relative_to(digits).as_posix(), path.read_bytes())
    s3_server.put(BUCKET, "project.json", (digits / "project.json").read_bytes())
    return f"s3://{BUCKET}"


def start_sync(cluster: Cluster, source: str, store: str, env: dict[str, str]) -> subprocess.Popen:
    """`mlrek sync` on the cluster, under way."""
    command = [sys.executable, "-m", "mlrek", "sync", source, "--tracking-uri", store, "--json"]
    return subprocess.Popen(
        [*command, "--scheduler", cluster.address],
        cwd=cluster.folder,
        env=clean_env() | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(sync: subprocess.Popen) -> tuple[int, dict[str, dict]]:
    """The exit code of a sync, and what it says of each version."""
    out, err = sync.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    return sync.returncode, {v["version"]: v for v in json.loads(out)["versions"]}


def read_runs(store: str) -> dict[str, dict]:
    """What each complete run holds, by version."""
    from mlflow import MlflowClient

    client = MlflowClient(store)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids, "tags.`mlrek.complete` = 'true'")
    assert len(runs) == len({run.info.run_name for run in runs})
    return {
        run.info.run_name: {
            "metrics": run.data.metrics,
            "key": run.data.tags["mlrek.evaluation_key"],
            "warnings": run.data.tags.get("mlrek.warnings"),
            "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        }
        for run in runs
    }


def count_reads(s3_server) -> int:
    """How often a manifest was asked for."""
    return sum(
        "TestingGroundTruth" in path for m, path, _ in s3_server.proxy.requests if m == "GET"
    )


def test_a_lost_worker_costs_nothing(cluster, kept, s3_server, run_mlrek, tmp_path):
    """One of two workers is killed while both read: the runs are those of a sync at home."""
    killed = threading.Event()
    slow = S3Fault(key="TestingGroundTruth-digits-v1-naive-bayes.json", until=killed)
    s3_server.proxy.faults += [slow, replace(slow, key="TestingGroundTruth-digits-v2-linear.json")]
    first, _ = (cluster.add_worker("--no-nanny", env=s3_server.env) for _ in range(2))
    store = f"sqlite:///{tmp_path}/far.db"
    sync = start_sync(cluster, kept, store, s3_server.env)
    wait_until(lambda: count_reads(s3_server) == 2)
    first.kill()
    first.wait()
    killed.set()
    code, versions = finish(sync)

    assert code == 0
    assert {name: v["action"] for name, v in versions.items()} == dict.fromkeys(VERSIONS, "created")
    assert count_reads(s3_server) == len(VERSIONS) + 1
    at_home = f"sqlite:///{tmp_path}/near.db"
    run_mlrek("sync", kept, "--tracking-uri", at_home, env=s3_server.env)
    assert read_runs(store) == read_runs(at_home)


def test_what_fails_on_a_worker_fails_that_version_alone(cluster, kept, s3_server, tmp_path):
    """Errors and warnings come back from the workers, with their places."""
    (good,) = (Path(key) for key in list_keys(s3_server) if "TestingGroundTruth-digits-v2" in key)
    s3_server.put(BUCKET, good.as_posix(), b'{"half":\n')
    cluster.add_worker("--no-nanny", env=s3_server.env)
    store = f"sqlite:///{tmp_path}/far.db"
    code, versions = finish(start_sync(cluster, kept, store, s3_server.env))

    assert code == 1
    assert versions["v2-linear"]["action"] == "failed"
    assert f"s3://{BUCKET}/{good}:1:" in versions["v2-linear"]["reason"]
    assert versions["v1-naive-bayes"]["action"] == "created"
    assert any("split this version's test set" in w for w in versions["v4-new-split"]["warnings"])


def list_keys(s3_server) -> list[str]:
    """All keys of the bucket."""
    listed = s3_server.client.list_objects_v2(Bucket=BUCKET)
    return [item["Key"] for item in listed["Contents"]]


def test_a_lost_scheduler_is_told(cluster, kept, s3_server, tmp_path):
    """The command ends, says why, and what is logged stays."""
    told = threading.Event()
    slow = S3Fault(key="TestingGroundTruth-digits-v4-new-split.json", until=told)
    s3_server.proxy.faults.append(slow)
    cluster.add_worker("--no-nanny", env=s3_server.env)
    cluster.add_worker("--no-nanny", env=s3_server.env)
    store = f"sqlite:///{tmp_path}/far.db"
    sync = start_sync(cluster, kept, store, s3_server.env)
    wait_until(lambda: count_reads(s3_server) == len(VERSIONS))
    cluster.scheduler.kill()
    code, versions = finish(sync)
    told.set()

    assert code == 1
    assert versions["v4-new-split"]["action"] == "failed"
    assert "scheduler" in versions["v4-new-split"]["reason"]
    assert "went away" in versions["v4-new-split"]["reason"]
    created = {name for name, version in versions.items() if version["action"] == "created"}
    assert created == set(read_runs(store))


def test_workers_with_another_mlrek_are_refused(cluster, run_mlrek, digits, tmp_path):
    """Nothing is computed by somebody else's rules."""
    (tmp_path / "sitecustomize.py").write_text(NO_MLREK)
    cluster.add_worker("--no-nanny", env={"PYTHONPATH": str(tmp_path)})
    done = run_mlrek("sync", digits, "--scheduler", cluster.address, check=False)

    assert done.returncode == 1
    assert "1 of 1 workers do not have mlrek" in done.stderr
    assert "has no mlrek; install the same on all of them" in done.stderr


def test_a_worker_with_another_mlrek_that_joins_later_does_no_work(cluster, digits, tmp_path):
    """There were no workers to look at when the sync began."""
    (tmp_path / "sitecustomize.py").write_text('import mlrek\n\nmlrek.__version__ = "0.0.9"\n')
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    store = f"sqlite:///{tmp_path}/far.db"
    sync = start_sync(cluster, str(digits), store, {})
    scheduler_log = tmp_path / "scheduler" / "log"
    wait_until(lambda: "Receive client connection" in scheduler_log.read_text())
    wait_until(lambda: count_experiments(tmp_path / "far.db") > 1)  # looked, and began
    cluster.add_worker("--no-nanny", env={"PYTHONPATH": path})
    code, versions = finish(sync)

    assert code == 1
    assert {v["action"] for v in versions.values()} == {"failed"}
    for version in versions.values():
        assert "has mlrek 0.0.9, not" in version["reason"]
        assert "install the same there" in version["reason"]
    assert read_runs(store) == {}


def count_experiments(database: Path) -> int:
    """How many experiments a store has; 0 as long as it is not made."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as db:
        return db.execute("SELECT COUNT(*) FROM experiments").fetchone()[0]
    return 0


def test_a_folder_that_workers_do_not_see_is_told(cluster):
    """A file of this machine is not there on another."""
    cluster.add_worker("--no-nanny")
    said = run_there(cluster, "LocalStorage().read_state", '"/nowhere/manifest.json"')

    assert said == (
        "/nowhere/manifest.json: no such file or folder (on a worker of "
        f"{cluster.address}; is it there on all of them?)"
    )


def test_a_version_that_kills_its_workers_is_given_up(cluster):
    """The scheduler tries it on some workers, not for ever."""
    cluster.add_worker()
    said = run_there(cluster, "os._exit", "1")

    assert said == (
        "a version: the Dask workers that tried it were lost one after the other; out of memory? "
        "give them more, or fewer threads each"
    )


def test_a_cluster_that_stays_without_workers_is_told(cluster):
    """A sync in the night does not wait for ever."""
    said = run_there(cluster, "len", '"abc"', patience="NO_WORKERS_S = cluster.LOOK_AGAIN_S = 0.5")

    assert said == (
        "a version: the Dask cluster has no workers; start some with "
        f"`dask worker {cluster.address}`"
    )


def run_there(
    cluster: Cluster, function: str, work: str, patience: str = "LOOK_AGAIN_S = 1"
) -> str:
    """What is said when the cluster runs a function, in a process of its own."""
    script = f"""
import os
from mlrek.runs import workers as cluster
from mlrek.errors import MlrekError
from mlrek.sources.storage import LocalStorage
cluster.{patience}
there = cluster.Cluster("{cluster.address}")
try:
    print(there.run("a version", {function}, {work}))
except MlrekError as exc:
    print(exc)
there.close(wait=False)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_env(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("tcp://127.0.0.1:1", 1, "no Dask scheduler answers"),
        ("somewhere", 2, "is no address; give tcp://HOST:8786"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_told(run_mlrek, digits, address, code, said):
    """One line, before anything is read."""
    done = run_mlrek("sync", digits, "--scheduler", address, check=False)

    assert done.returncode == code
    assert said in done.stderr
    assert len(list_said(done.stderr)) == 1


def test_dask_is_needed_for_a_scheduler_only(run_mlrek, digits, tmp_path):
    """Who has not installed it is told how."""
    blocker = NO_MLREK.replace('"mlrek"', '"distributed"').replace("'mlrek'", "'distributed'")
    (tmp_path / "sitecustomize.py").write_text(blocker)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    args = ("sync", digits, "--scheduler", "tcp://127.0.0.1:1")
    done = run_mlrek(*args, env={"PYTHONPATH": path}, check=False, cold=True)

    assert done.returncode == 2
    assert "pip install 'mlrek[dask]'" in done.stderr
