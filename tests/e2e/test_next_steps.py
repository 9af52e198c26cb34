"""What is not there is answered by what is, the nearest first, as it is typed."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def place(tmp_path_factory, warm):
    """A folder with the examples and a store of the registered digits; their first run's id."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("next")
    (folder / "examples").symlink_to(EXAMPLES)
    uri = f"sqlite:///{folder}/mlflow.db"
    done = warm.run(
        *("sync", "examples/digits", "--register", "--json", "--tracking-uri", uri), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    MlflowClient(uri).set_registered_model_alias("digits", "champion", "2")
    return folder, json.loads(done.stdout)["versions"][0]["run_id"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("show models:/digit@champion", "did you mean models:/digits@champion?"),
        ("show models:/digits/99", "its versions are 4, 3, 2, 1\n"),
        ("show models:/digits@champ", "did you mean models:/digits@champion?"),
        ("show models:/digits@live", "there are: models:/digits@champion; its versions are 4,"),
        ("show models:/zzz/1", "there are: models:/digits; `mlrek sync SOURCE --register`"),
        ("promote models:/digit/3 --policy examples/policy.toml", "mean models:/digits/3?"),
        ("promote models:/digit --rollback", "did you mean models:/digits?"),
        ("verify models:/digits@champ", "did you mean models:/digits@champion?"),
        ("show runs:/abc", "32 hexadecimal digits; `mlrek versions SOURCE` lists the runs"),
        ("show runs:/{beginning}", "did you mean runs:/{run_id}?"),
        ("show examples/digits#v2", "did you mean examples/digits#v2-linear? there are:"),
        ("show examples/digits#zzz", "there are: examples/digits#v1-naive-bayes, "),
        ("sync examples/digits --version v2", "did you mean v2-linear? there are: v2-linear, v1"),
        ("show examples/digits#v2-linear --label eigth", "did you mean eight? there are: eight, "),
        ("sync examples/digit", "did you mean examples/digits?"),
        ("sync exampels/digits", "did you mean examples?"),
        ("sync exampels", "there is no such folder; did you mean examples?"),
        ("check models:/digits/3 --policy examples/polcy.toml", "mean examples/policy.toml?"),
        (
            "compare models:/digits/1 models:/digits/2 --label-map examples/polcy.toml",
            "policy.toml",
        ),
        ("ui digts", "did you mean mlrek/digits? or log it: mlrek sync digts"),
        ("projects --profile visoin", "did you mean vision?"),
    ],
)
def test_what_is_not_there_is_answered_by_what_is(place, run_mlrek, typed, said):
    """Models, versions, aliases, runs, labels, files, experiments and profiles alike."""
    folder, run_id = place
    (folder / "aws").write_text("[profile vision]\nregion = eu-west-1\n")
    env = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "AWS_CONFIG_FILE": str(folder / "aws"),
    }
    names = {"run_id": run_id, "beginning": run_id[:8]}
    words = typed.format(**names).split()
    done = run_mlrek(*words, env=env, cwd=folder, check=False)

    assert done.returncode in {1, 2}
    assert said.format(**names) in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_empty_registry_says_how_a_model_comes_in(run_mlrek, digits, tmp_path):
    """Before the first `--register`."""
    store = ("--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    run_mlrek("sync", digits, "--version", "v2-linear", *store)
    done = run_mlrek("show", "models:/digits@champion", *store, check=False)

    assert "no model is registered there; `mlrek sync SOURCE --register`" in done.stderr
