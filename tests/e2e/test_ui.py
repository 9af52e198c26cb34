"""`mlrek ui` as a person types it: MLflow's pages of a local store, and the link of a server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.server


@pytest.fixture
def start_ui(tmp_path, clean_environment):
    """Start `mlrek ui …` in a folder; what it printed until it serves is in `printed`."""
    started = []

    def start(*args):
        process = subprocess.Popen(
            [sys.executable, "-m", "mlrek", "ui", *map(str, args)],
            cwd=tmp_path,
            env=clean_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        lines = []
        while "Ctrl-C" not in (line := process.stderr.readline()):
            assert line or process.poll() is None, "it ended before it served anything"
            lines.append(line)
        return process, lines

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def children_of(pid: int) -> set[int]:
    """All processes below one, by /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except OSError:
            continue
    found, newest = set(), {pid}
    while newest:
        newest = {child for child, parent in parents.items() if parent in newest}
        found |= newest
    return found


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answer(url: str) -> str:
    """What a page says."""
    with urllib.request.urlopen(url, timeout=120) as response:
        return response.read().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_local_store_is_served_until_it_is_interrupted(start_ui, run_mlrek, digits, number):
    """The link opens the charts of the project; afterwards no process is left."""
    run_mlrek("sync", digits, "--version", "v2-linear")
    process, _ = start_ui("--no-open")
    name, versions, charts = (process.stdout.readline() for _ in range(3))
    base = re.search(r"http://127\.0\.0\.1:\d+", charts)[0]

    assert name == "mlrek/digits:\n"
    assert "/artifacts/project.html?" in versions
    assert "/#/experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART" in charts
    assert answer(f"{base}/health") == "OK"
    assert "<html" in answer(f"{base}/")
    children = children_of(process.pid)
    assert children

    process.send_signal(number)

    assert process.wait() == 0
    while any(map(is_alive, children)):  # the test's own time limit ends this
        time.sleep(0.1)


def test_a_server_s_link_is_printed(run_mlrek, digits, mlflow_server):
    """By the name of the project, of the experiment, by the source, or for the last one written."""
    experiment = f"ui-{os.getpid()}"
    store = ("--tracking-uri", mlflow_server)
    run_mlrek("sync", digits, "--version", "v2-linear", *store, "--experiment", experiment)

    links = [
        json.loads(run_mlrek("ui", *what, *store, "--json").stdout)
        for what in ((), (experiment,), (digits,), ("digits",))
    ]

    assert links[1]["experiment"] == experiment
    charts = f"{mlflow_server}/#/experiments/{links[1]['experiment_id']}/runs?"
    assert links[1]["links"]["charts"].startswith(f"{charts}workflowType=machine_learning")
    assert [link["experiment"] for link in links] == [experiment] * 4


def test_what_is_not_logged_is_said_with_what_is(run_mlrek, digits, mlflow_server):
    """The message names what could have been meant, and the command that logs it."""
    store = ("--tracking-uri", mlflow_server)
    run_mlrek("sync", digits, "--version", "v2-linear", *store, "--experiment", "ui-known")
    done = run_mlrek("ui", "nothing", *store, check=False)

    assert done.returncode == 1
    assert "nothing: not logged here; there are: ui-known" in done.stderr
    assert "mlrek sync nothing" in done.stderr


def test_an_empty_place_is_said_to_be_empty(run_mlrek, tmp_path):
    """And nothing is made there."""
    done = run_mlrek("ui", check=False)

    assert done.returncode == 1
    assert "nothing is logged here yet: mlrek sync SOURCE" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("azureml://westeurope.api.azureml.ms/mlflow/v1.0/x", "ml.azure.com"),
        ("databricks", "Databricks shows experiments in its own pages"),
    ],
)
def test_pages_of_a_managed_service_are_explained(run_mlrek, uri, words):
    """No link can be made up for them."""
    done = run_mlrek("ui", "--tracking-uri", uri, check=False)

    assert done.returncode == 1
    assert words in done.stderr
