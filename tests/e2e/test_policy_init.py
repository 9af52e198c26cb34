"""`mlrek policy init`: a policy to start from, as a file or on stdout."""

import json

import pytest

from mlrek.policy.parsing import parse_policy

EXAMPLES = [
    *(f"digits#{name}" for name in ("v1-naive-bayes", "v2-linear", "v3-neighbours")),
    *("detection#v1-linear", "detection#v2-neighbours"),
    *("multilabel#v1-linear", "multilabel#v2-halves"),
    *("lookout-classification#1", "lookout-classification#2"),
    *("lookout-segmentation#1", "lookout-segmentation#2"),
    *("automl-flowers", "vertex#1", "vertex#2"),
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_version_of_every_example_passes_its_own_floors_or_says_why_not(
    run_mlrek, examples, tmp_path, name
):
    """Nothing fails, and what is undecided has its reason: compared with itself, for one."""
    path = tmp_path / "policy.toml"
    begun = run_mlrek("policy", "init", examples / name, "-o", path)
    assert begun.returncode == 0, begun.stderr
    done = run_mlrek("check", examples / name, "--policy", path, "--json", check=False)
    found = json.loads(done.stdout)
    relative = [c for c in found["checks"] if c["kind"] == "no_worse" or c["metric"] == "same"]

    assert done.returncode == 4
    assert not [check for check in found["checks"] if check["status"] == "failed"]
    assert all(check["reason"] for check in found["checks"] if check["status"] == "undecided")
    assert {check["status"] for check in relative} == {"undecided"}
    assert any(c["kind"] == "floor" and c["status"] == "passed" for c in found["checks"])


def test_a_successor_is_checked_by_the_policy_of_its_predecessor(run_mlrek, digits, tmp_path):
    """The first thing that people do: begin with the old version, then ask about the new one."""
    path = tmp_path / "policy.toml"
    run_mlrek("policy", "init", f"{digits}#v2-linear", "-o", path)
    better = run_mlrek("check", f"{digits}#v3-neighbours", "--policy", path, check=False)
    worse = run_mlrek("check", f"{digits}#v1-naive-bayes", "--policy", path, check=False)

    assert (better.returncode, worse.returncode) == (0, 3), better.stdout + worse.stdout


def test_a_registered_version_is_compared_with_the_champion(run_mlrek, digits, tmp_path):
    """There is none yet: its own policy lets it pass, by its floors."""
    run_mlrek("sync", digits, "--register", "parts")
    run_mlrek("policy", "init", "models:/parts/2", "-o", tmp_path / "policy.toml")
    done = run_mlrek(
        "promote", "models:/parts/2", "--policy", tmp_path / "policy.toml", "--yes", check=False
    )

    assert 'version = "models:/parts@champion"' in (tmp_path / "policy.toml").read_text()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_is_there_is_not_overwritten(run_mlrek, digits, tmp_path):
    """Somebody may have thought about its limits."""
    path = tmp_path / "policy.toml"
    path.write_text("# mine\n")
    refused = run_mlrek("policy", "init", f"{digits}#v2-linear", "-o", path, check=False)
    kept = path.read_text()
    forced = run_mlrek("policy", "init", f"{digits}#v2-linear", "-o", path, "--force")

    assert (refused.returncode, kept) == (2, "# mine\n")
    assert f"{path} is there already; --force overwrites it" in refused.stderr
    assert forced.returncode == 0
    assert parse_policy(path.read_text()).floors


def test_stdout_is_the_policy_and_nothing_else(run_mlrek, digits, tmp_path):
    """So that it can be redirected; what goes to a file is UTF-8, wherever that is made."""
    shown = run_mlrek("policy", "init", f"{digits}#v2-linear")
    as_json = run_mlrek("policy", "init", f"{digits}#v2-linear", "--json")
    ascii_ = run_mlrek("policy", "init", f"{digits}#v2-linear", env={"PYTHONIOENCODING": "ascii"})

    assert parse_policy(shown.stdout).baseline == f"{digits}#v2-linear"
    assert json.loads(as_json.stdout) == {"policy": shown.stdout, "file": None}
    assert ascii_.stdout == shown.stdout
    assert not list(tmp_path.iterdir())


def test_a_check_without_a_policy_names_the_command_that_begins_one(run_mlrek, digits):
    """As it is to be typed, for this very version."""
    done = run_mlrek("check", f"{digits} x#v2", check=False)
    missing = run_mlrek("check", f"{digits}#v2-linear", "--policy", "nowhere.toml", check=False)

    assert (done.returncode, missing.returncode) == (2, 2)
    assert done.stderr == (
        f"mlrek: name a policy: --policy FILE; `mlrek policy init '{digits} x#v2' -o policy.toml` "
        "writes one to start from (examples/policy.toml is another)\n"
    )
    assert "nowhere.toml: no such file or folder; `mlrek policy init " in missing.stderr
