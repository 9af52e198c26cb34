"""The gate decides on the version, the model and the predictions that were asked about, no others."""

import json
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

BASELINE = '[baseline]\nversion = "models:/{}@champion"\n'
NO_WORSE = '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.01\n'
FLOOR = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = {}\n'


def write_table(path, accuracy: float, n: int = 200, prefix: str = "i") -> None:
    """Images of two labels, of which the first ones are predicted wrongly."""
    wrong = round(n * (1 - accuracy))
    rows = [f"{prefix}{i:04}.jpg,{'ab'[i % 2]},{'ab'[(i + (i < wrong)) % 2]}\n" for i in range(n)]
    path.write_text("".join(("image,truth,predicted\n", *rows)))


@pytest.fixture
def place(run_mlrek, new_store, tmp_path):
    """A store with what logs versions of a project and asks the gate."""
    client = MlflowClient(new_store, registry_uri=new_store)
    policy = tmp_path / "policy.toml"

    def sync(version: str, accuracy: float, *args: str) -> str:
        write_table(tmp_path / f"{version}.csv", accuracy)
        done = run_mlrek(
            *("sync", f"{version}.csv", "--project", "p", "--version", version, *args),
            *("--tracking-uri", new_store, "--json"),
        )
        return json.loads(done.stdout)["versions"][0]["run_id"]

    def ask(command: str, candidate: str, *args: str):
        done = run_mlrek(
            *(command, candidate, "--policy", policy, "--tracking-uri", new_store, "--json", *args),
            check=False,
        )
        found = json.loads(done.stdout) if done.stdout else {}
        return SimpleNamespace(code=done.returncode, found=found, said=done.stderr)

    return SimpleNamespace(
        client=client, sync=sync, ask=ask, policy=policy, uri=new_store, folder=tmp_path
    )


def test_the_champion_of_another_model_is_none_of_the_baselines(place):
    """Whoever names the version by its run or its ARN asks about the model of the baseline."""
    place.sync("v1", 0.95, "--register=main")
    run_id = place.sync("v2", 0.6, "--register=main")
    place.sync("v2", 0.6, "--register=trial")
    place.client.set_registered_model_alias("main", "champion", "1")
    place.client.set_registered_model_alias("trial", "champion", "1")
    place.policy.write_text(BASELINE.format("main") + NO_WORSE + FLOOR.format(0.9))

    for named in (f"runs:/{run_id}", "mlrek:project/p/custom/v2", "models:/trial/1"):
        asked = place.ask("check", named)
        assert (asked.code, asked.found["already_champion"]) == (3, False), named
    for named in ("runs:/{}", "models:/main/1"):
        champion = named.format(place.client.get_model_version("main", "1").run_id)
        asked = place.ask("check", champion)
        assert (asked.code, asked.found["already_champion"]) == (0, True), named


def test_a_promotion_to_what_is_set_already_stays_done(place):
    """Also where the policy compares with the champion of another model."""
    place.sync("v1", 0.95, "--register=main")
    place.sync("v2", 0.6, "--register=trial")
    place.client.set_registered_model_alias("main", "champion", "1")
    place.client.set_registered_model_alias("trial", "champion", "1")
    place.policy.write_text(BASELINE.format("main") + NO_WORSE + FLOOR.format(0.5))

    asked = place.ask("promote", "models:/trial/1", "--yes")

    assert (asked.code, asked.found["already_champion"]) == (0, True)


def test_who_is_champion_of_one_of_two_models_is_checked_where_neither_is_named(place):
    """Which of them is meant nobody has said; the champion of both has nothing to decide."""
    place.sync("v2", 0.6, "--register=main")
    run_id = place.sync("v2", 0.6, "--register=trial")
    place.client.set_registered_model_alias("trial", "champion", "1")
    place.policy.write_text(FLOOR.format(0.9))

    of_one = place.ask("check", f"runs:/{run_id}")
    place.client.set_registered_model_alias("main", "champion", "1")
    of_both = place.ask("check", f"runs:/{run_id}")

    assert (of_one.code, of_one.found["already_champion"]) == (3, False)
    assert (of_both.code, of_both.found["already_champion"]) == (0, True)
