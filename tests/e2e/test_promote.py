"""`mlrek promote` as a process, against a real server and a database file."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

POLICY = """
[baseline]
version = "models:/{name}@champion"

[test_set]
same = "required"
min_images = 200

[[floor]]
metric = "aggregate/f1_macro"
min = 0.80

[[no_worse]]
metric = "aggregate/accuracy"
margin = 0.005
"""


ON_BOTH = pytest.mark.parametrize("uri", ["database", "mlflow_server"], indirect=True)


@pytest.fixture(scope="module")
def sync_registered(digits, tmp_path_factory, warm):
    """Register the digits under a name of their own; a function gives the model afresh."""
    done = []

    def sync(name: str, tracking_uri: str) -> None:
        if (name, tracking_uri) in done:
            return
        args = ["--tracking-uri", tracking_uri, "--experiment", name, "--quiet"]
        folder = tmp_path_factory.mktemp("sync")
        synced = warm.run("sync", digits, f"--register={name}", *args, cwd=folder)
        assert synced.returncode == 0, synced.stderr
        done.append((name, tracking_uri))

    return sync


@pytest.fixture(scope="module")
def database(tmp_path_factory, empty_store) -> str:
    """A database file for all tests here."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('promote'))}"


@pytest.fixture
def uri(request) -> str:
    """A store: the database, or the kind that the test names."""
    return request.getfixturevalue(getattr(request, "param", "database"))


@pytest.fixture
def name(uri, sync_registered) -> str:
    """The digits, registered, without a champion: versions 1 to 4 by age."""
    name = f"promote-{os.getpid()}"
    sync_registered(name, uri)
    client = MlflowClient(uri)
    model = client.get_registered_model(name)
    for alias in model.aliases:
        client.delete_registered_model_alias(name, alias)
    for tag in model.tags:
        if tag.startswith(("mlrek.promoted.", "mlrek.previous.")):
            client.delete_registered_model_tag(name, tag)
    for version in client.search_model_versions(f"name = '{name}'"):
        client.set_model_version_tag(name, version.version, "validation_status", "pending")
        for tag in version.tags:
            if tag.startswith("mlrek.previous."):
                client.delete_model_version_tag(name, version.version, tag)
    return name


@pytest.fixture
def policy(tmp_path, name) -> Path:
    """A policy that compares with the champion."""
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.format(name=name))
    return path


@pytest.fixture
def promote(run_mlrek, uri, policy):
    """Promote as a process: the exit code, what was printed, and the JSON if there is one."""

    def run(candidate: str, *args: str, yes: bool = True):
        asked = () if "--rollback" in args else ("--policy", policy)
        done = run_mlrek(
            *("promote", candidate, "--tracking-uri", uri, *asked, *args),
            *(("--yes",) if yes else ()),
            check=False,
        )
        document = json.loads(done.stdout) if "--json" in args and done.stdout else None
        return done.returncode, done, document

    return run


def champion(uri: str, name: str) -> int | None:
    """What the alias stands for, by MLflow's own client."""
    number = MlflowClient(uri).get_registered_model(name).aliases.get("champion")
    return number if number is None else int(number)


def status(uri: str, name: str, number: int) -> str:
    """The tag that the gate sets."""
    return MlflowClient(uri).get_model_version(name, str(number)).tags["validation_status"]


@ON_BOTH
def test_a_champion_is_found_defended_and_replaced(promote, uri, name):
    """The first, a better one, a worse one (3), one on another test set (4), then a rollback."""
    first = promote(f"models:/{name}/2", "--json")
    better = promote(f"models:/{name}/3", "--json")
    worse = promote(f"models:/{name}/1", "--json")
    elsewhere = promote(f"models:/{name}/4", "--json")
    kept = champion(uri, name)
    statuses = [status(uri, name, number) for number in (1, 2, 3, 4)]
    back = promote(f"models:/{name}", "--rollback", "--json")

    assert [code for code, _, _ in (first, better, worse, elsewhere, back)] == [0, 0, 3, 4, 0]
    assert [d["promotion"]["outcome"] for _, _, d in (first, better, worse, elsewhere, back)] == [
        *("moved", "moved", "refused", "undecided", "moved")
    ]
    assert kept == 3
    assert statuses == ["rejected", "approved", "approved", "undecided"]
    assert champion(uri, name) == 2
    assert back[2]["promotion"] | {"version_arn": ""} == {
        "model": name,
        "alias": "champion",
        "version": 2,
        "version_arn": "",
        "before": 3,
        "now": 2,
        "outcome": "moved",
        "decision": None,
        "reason": None,
    }


def test_without_a_champion_the_first_has_only_floors_to_pass(promote, uri, name):
    """What compares is ignored, and says so."""
    code, _, document = promote(f"models:/{name}/2", "--json")
    ignored = [check for check in document["checks"] if check["status"] == "ignored"]

    assert code == 0
    assert [check["kind"] for check in ignored] == ["test_set", "no_worse"]
    assert champion(uri, name) == 2


def test_a_dry_run_writes_nothing(promote, uri, name):
    """Neither the alias nor the status."""
    before = status(uri, name, 2)
    code, done, _ = promote(f"models:/{name}/2", "--dry-run")

    assert code == 0
    assert f"Would move models:/{name}@champion to version 2 (v2-linear)" in done.stdout
    assert champion(uri, name) is None
    assert status(uri, name, 2) == before


def test_nobody_to_ask_is_wrong_usage(promote, uri, name):
    """The answer of the policy is shown all the same, and nothing is moved."""
    code, done, _ = promote(f"models:/{name}/2", yes=False)

    assert code == 2
    assert "f1_macro" in done.stdout
    assert "add --yes" in done.stderr
    assert champion(uri, name) is None


def test_a_no_needs_nobody_to_ask(promote, uri, name):
    """It stays 3, so that a job can tell."""
    MlflowClient(uri).set_registered_model_alias(name, "champion", "3")

    assert promote(f"models:/{name}/1", yes=False)[0] == 3
    assert champion(uri, name) == 3


@pytest.mark.parametrize("answer", [("y", 0, 2), ("n", 1, None)], ids=["yes", "no"])
def test_a_person_at_a_terminal_is_asked(uri, name, policy, tmp_path, answer):
    """After the checks were shown."""
    key, code, number = answer
    command = [sys.executable, "-m", "mlrek", "promote", f"models:/{name}/2"]
    command += ["--policy", str(policy), "--tracking-uri", uri]
    returned, screen = run_at_terminal(command, tmp_path, key)

    assert re.search(r"f1_macro.*Move models:/\S+@champion to version 2 .*\?", screen, re.DOTALL)
    assert returned == code
    assert champion(uri, name) == number


def run_at_terminal(command: list[str], folder: Path, answer: str) -> tuple[int, str]:
    """Run a command at a terminal, and answer its question."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    screen, answered = "", False
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        screen += read.decode(errors="replace")
        if "[y/N]" in screen and not answered:
            os.write(ours, f"{answer}\n".encode())
            answered = True
    os.close(ours)
    return process.wait(), screen


def test_what_is_champion_already_stays_so(promote, uri, name):
    """A job that runs twice is no failure."""
    MlflowClient(uri).set_registered_model_alias(name, "champion", "3")
    code, done, _ = promote(f"models:/{name}/3")
    last = done.stdout.splitlines()[-1]

    assert code == 0
    assert last == f"Nothing to move: models:/{name}@champion is version 3 already."
    assert status(uri, name, 3) == "pending"


def test_a_version_that_is_checked_against_itself_keeps_its_status(run_mlrek, uri, name, policy):
    """The comparison asks nothing, so its answer says nothing of the version."""
    MlflowClient(uri).set_model_version_tag(name, "3", "validation_status", "approved")
    version = f"models:/{name}/3"
    asked = ("--policy", policy, "--baseline", version, "--tracking-uri", uri)
    done = run_mlrek("check", version, *asked, check=False)

    assert done.returncode == 4
    assert status(uri, name, 3) == "approved"


def test_a_version_is_found_by_its_run_and_its_arn(promote, uri, name, digits):
    """As long as it is registered once."""
    found = MlflowClient(uri).get_model_version(name, "2")
    by_run = promote(f"runs:/{found.run_id}", "--dry-run", "--json")
    by_source = promote(f"{digits}#v2-linear", "--dry-run", "--json")

    assert by_run[2]["promotion"]["version"] == 2
    assert by_source[2]["promotion"]["version"] == 2
    assert by_source[2]["promotion"]["version_arn"] == found.tags["version_arn"]


def test_another_alias_has_its_own_history(promote, uri, name):
    """`--alias`; the policy compares with another one, and that is said."""
    MlflowClient(uri).set_registered_model_alias(name, "champion", "1")
    code, done, _ = promote(f"models:/{name}/2", "--alias", "staging")

    assert code == 0
    assert f"not with models:/{name}@staging" in done.stderr
    aliases = MlflowClient(uri).get_registered_model(name).aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {
        "champion": 1,
        "staging": 2,
    }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("models:/{name}/2",), "name a policy: --policy FILE; `mlrek policy init "),
        (("models:/{name}", "--rollback", "--policy", "p"), "leave --policy out"),
        (("models:/{name}/2", "--policy", "{policy}", "--alias", "v3"), "cannot be an alias"),
        (("models:/{name}", "--policy", "{policy}"), "names no version"),
        (
            ("models:/{name}@nobody", "--policy", "{policy}"),
            "the model has no alias yet",
        ),
        (("models:/{name}", "--rollback"), "is not set, so there is nothing to roll back"),
        (("a/b", "--rollback"), "names no registered model"),
    ],
)
def test_wrong_usage_is_named(run_mlrek, uri, name, policy, args, said):
    """With exit code 2, and nothing moved."""
    typed = [arg.format(name=name, policy=policy) for arg in args]
    done = run_mlrek("promote", *typed, "--tracking-uri", uri, check=False)

    assert done.returncode == 2
    assert said in done.stderr
    assert champion(uri, name) is None


def test_what_is_not_registered_says_how_to_register_it(run_mlrek, policy, digits, tmp_path):
    """A version that was only synced."""
    store = f"sqlite:///{tmp_path}/other.db"
    run_mlrek("sync", digits, "--version", "v2-linear", "--tracking-uri", store)
    done = run_mlrek(
        *("promote", f"{digits}#v2-linear", "--policy", policy, "--tracking-uri", store),
        check=False,
    )

    assert done.returncode == 2
    assert "mlrek sync SOURCE --register" in done.stderr


@ON_BOTH
def test_two_promotions_at_once_leave_one_champion(uri, name, policy, tmp_path, warm):
    """Two processes, two versions: one moves, and both say truly what happened."""
    policy.write_text('[[floor]]\nmetric = "aggregate/f1_macro"\nmin = 0.8\n')
    MlflowClient(uri).set_registered_model_alias(name, "champion", "1")
    rest = ["--policy", policy, "--tracking-uri", uri, "--yes", "--json"]
    both = {n: warm.start("promote", f"models:/{name}/{n}", *rest, cwd=tmp_path) for n in (2, 3)}
    both = {n: warm.wait(pid) for n, pid in both.items()}
    told = {n: json.loads(done.stdout) for n, done in both.items()}
    outcomes = {n: document["promotion"] for n, document in told.items()}
    now = champion(uri, name)

    assert {n: document["verdict"] for n, document in told.items()} == {2: "passed", 3: "passed"}
    moved = [n for n, promotion in outcomes.items() if promotion["outcome"] == "moved"]
    if len(moved) == 1:  # one found that the other had moved it
        (other,) = {2, 3} - set(moved)
        assert outcomes[other]["outcome"] == "overtaken"
        assert [outcomes[n]["now"] for n in (2, 3)] == [now, now] == [moved[0], moved[0]]
        assert (both[moved[0]].returncode, both[other].returncode) == (0, 1)
    else:  # one began when the other had moved it already: each tells what it replaced
        last = next(n for n in moved if outcomes[n]["before"] in {2, 3})
        assert {p["before"] for p in outcomes.values()} == {1, ({2, 3} - {last}).pop()}
        assert now == last
