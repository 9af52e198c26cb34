"""The gate decides on the version, model and predictions that were asked about, no others."""

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


@pytest.fixture
def evaluate(run_mlrek, place):
    """Evaluate a version on 100 images of your own: its run."""
    (place.folder / "own.csv").write_text(
        "".join(("image,label\n", *(f"e{i:04}.jpg,{'ab'[i % 2]}\n" for i in range(100))))
    )

    def run(version: str, accuracy: float) -> str:
        answers = place.folder / "answers.csv"
        write_table(answers, accuracy, 100, "e")
        rows = (line.split(",") for line in answers.read_text().splitlines()[1:])
        said = (f"{image},{predicted}\n" for image, _, predicted in rows)
        answers.write_text("".join(("image,label\n", *said)))
        done = run_mlrek(
            *("evaluate", version, "--on", "own.csv", "--predictions", answers),
            *("--tracking-uri", place.uri, "--json"),
        )
        return json.loads(done.stdout)["versions"][0]["run_id"]

    return run


def test_your_own_test_set_promotes_the_predictions_that_met_it_alone(place, evaluate):
    """Others that got the version's name since must meet it too; that is all that it takes."""
    place.sync("v1", 0.9, "--register=pm")
    place.sync("v2", 0.95, "--register=pm")
    evaluate("models:/pm/1", 0.85)
    before = evaluate("models:/pm/2", 0.97)
    place.client.set_registered_model_alias("pm", "champion", "1")
    place.policy.write_text(BASELINE.format("pm") + NO_WORSE + FLOOR.format(0.9))
    place.sync("v2", 0.3, "--register=pm")

    checked = place.ask("check", f"runs:/{before}")
    advised = place.ask("check", "models:/pm/3")
    refused = place.ask("promote", f"runs:/{before}", "--yes")

    assert [(d["kind"], d["side"]) for d in checked.found["doubts"]] == [
        ("superseded", "candidate")
    ]
    assert advised.code == 3
    assert (refused.code, refused.found) == (2, {})
    assert "predictions of v2 that were replaced since" in refused.said
    assert "mlrek evaluate models:/pm/3 --on MANIFEST" in refused.said
    assert int(place.client.get_registered_model("pm").aliases["champion"]) == 1

    after = evaluate("models:/pm/3", 0.97)  # the same answers, of the new one
    promoted = place.ask("promote", f"runs:/{after}", "--yes")

    assert after != before
    assert (promoted.code, promoted.found["promotion"]["outcome"]) == (0, "moved")
    assert int(place.client.get_registered_model("pm").aliases["champion"]) == 3


def test_a_baseline_is_not_held_to_what_others_of_its_name_said(place, evaluate):
    """The champion's predictions were replaced: the run of those before counts for neither side."""
    place.sync("v1", 0.9, "--register=pm")
    before = evaluate("models:/pm/1", 0.5)
    place.sync("v1", 0.95, "--register=pm")
    place.sync("v2", 0.9, "--register=pm")
    candidate = evaluate("models:/pm/3", 0.9)
    place.client.set_registered_model_alias("pm", "champion", "2")
    place.policy.write_text(BASELINE.format("pm") + NO_WORSE + FLOOR.format(0.4))

    asked = place.ask("check", f"runs:/{candidate}")
    of_replaced = place.ask("check", f"runs:/{before}")

    assert asked.code == 4
    assert "evaluate the baseline on 'own', too" in asked.found["checks"][0]["reason"]
    assert not of_replaced.found["already_champion"]
    evaluate("models:/pm/2", 0.97)
    assert place.ask("check", f"runs:/{candidate}").code == 3


def test_a_project_that_has_a_champion_has_no_first_promotion_elsewhere(place):
    """Whatever the policy calls its model: undecided, with the model that was meant."""
    place.sync("v1", 0.95, "--register=parts")
    run_id = place.sync("v2", 0.6)
    place.policy.write_text(BASELINE.format("widgets") + NO_WORSE + FLOOR.format(0.5))
    named = f"runs:/{run_id}", "mlrek:project/p/custom/v2"

    assert [place.ask("check", one).code for one in named] == [0, 0]  # nobody is champion yet
    place.client.set_registered_model_alias("parts", "champion", "1")
    found = [place.ask("check", one) for one in named]
    place.client.create_registered_model("widgets")  # of nobody, so not of this project
    found.append(place.ask("check", named[0]))

    assert [one.code for one in found] == [4, 4, 4]
    for one in found:
        assert "did you mean models:/parts@champion?" in one.found["checks"][0]["reason"]


def test_a_run_with_the_file_of_another_version_is_refused(place, run_mlrek):
    """Whatever asks for it: one line names both versions; a sealed decision does not hold."""
    for version, accuracy in (("v1", 0.9), ("v2", 0.97), ("v3", 0.5)):
        place.sync(version, accuracy, "--register=pm")
    place.client.set_registered_model_alias("pm", "champion", "1")
    place.policy.write_text(BASELINE.format("pm") + NO_WORSE + FLOOR.format(0.4))
    assert place.ask("promote", "models:/pm/2", "--yes").code == 0
    runs = [place.client.get_model_version("pm", one).run_id for one in "123"]
    other = place.client.download_artifacts(runs[1], "evaluation.parquet")
    place.client.log_artifact(runs[2], other)

    commands = [
        ("check", "models:/pm/3", "--policy", place.policy),
        ("promote", "models:/pm/3", "--policy", place.policy, "--yes"),
        ("compare", "models:/pm/1", f"runs:/{runs[2]}"),
        ("compare", f"runs:/{runs[2]}", "models:/pm/1"),
        ("show", f"runs:/{runs[2]}"),
    ]
    for command in commands:
        done = run_mlrek(*command, "--tracking-uri", place.uri, check=False)
        assert (done.returncode, done.stdout) == (1, ""), command
        (line,) = done.stderr.strip().splitlines()
        assert f"runs:/{runs[2]} is of mlrek:project/p/custom/v3" in line
        assert "evaluation.parquet is of mlrek:project/p/custom/v2" in line
    assert int(place.client.get_registered_model("pm").aliases["champion"]) == 2

    place.client.set_tag(runs[1], "version_arn", "mlrek:project/p/custom/v3")
    verified = run_mlrek("verify", "models:/pm@champion", "--tracking-uri", place.uri, check=False)
    assert verified.returncode == 3
    assert "evaluation.parquet is of mlrek:project/p/custom/v2" in " ".join(verified.stdout.split())
