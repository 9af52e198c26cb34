"""`mlflow.models.evaluate(…, evaluators=["mlrek"])` logs our numbers into MLflow's own run."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pandas as pd
import pytest
from fakes.tracking_uri import use_store
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

import mlrek
from mlrek.errors import TrackingError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow warns of much, its own code included

ROOT = Path(__file__).parents[2]
POLICY = """
[test_set]
same = "required"

[[floor]]
metric = "aggregate/accuracy"
min = 0.8

[[no_worse]]
metric = "aggregate/f1_macro"
margin = 0.05

[baseline]
version = "{baseline}"
"""


def read_entry_point() -> str:
    """Where MLflow finds the evaluator, as the project says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["entry-points"]["mlflow.model_evaluator"]["mlrek"]


@pytest.fixture
def mlflow(new_store, tmp_path, monkeypatch):
    """MLflow with a fresh store, and the evaluator registered as an installed mlrek has it."""
    import mlflow
    from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

    module, _, name = read_entry_point().partition(":")
    _model_evaluation_registry.register("mlrek", getattr(importlib.import_module(module), name))
    monkeypatch.chdir(tmp_path)
    with use_store(new_store):
        mlflow.create_experiment("digits", artifact_location=(tmp_path / "artifacts").as_uri())
        mlflow.set_experiment("digits")
        yield mlflow


@pytest.fixture(scope="module")
def data():
    """Training and test images of the digits as frames, the test ones with truth and names."""
    x, y = load_digits(return_X_y=True, as_frame=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    test = x_test.assign(digit=y_test, image=[f"digits/{i}.png" for i in x_test.index])
    return x_train, y_train, test


def evaluate(mlflow, estimator, data, **config):
    """Train, log and evaluate a model; gives the run and what `evaluate` returned."""
    x_train, y_train, test = data
    with mlflow.start_run(run_name=type(estimator).__name__) as run:
        mlflow.log_param("labels", "of somebody else")
        model = mlflow.sklearn.log_model(
            estimator.fit(x_train, y_train), name="model", pip_requirements=[]
        )
        result = mlflow.models.evaluate(
            model.model_uri,
            test,
            targets="digit",
            model_type="classifier",
            evaluators=["mlrek"],
            evaluator_config={"mlrek": {"images": "image", "project": "digits", **config}},
        )
    return mlflow.get_run(run.info.run_id), result


def test_a_model_is_evaluated_into_its_run(mlflow, data, tmp_path):
    """Numbers, intervals, files and tags are in the run, whose name and parameters stay."""
    *_, test = data
    model = GaussianNB()
    run, result = evaluate(mlflow, model, data, version="bayes")
    features = test.drop(columns=["digit", "image"])
    y_true, y_pred = test["digit"], model.predict(features)

    numbers = run.data.metrics
    assert numbers["aggregate/accuracy"] == metrics.accuracy_score(y_true, y_pred)
    assert numbers["aggregate/log_loss"] == pytest.approx(
        metrics.log_loss(y_true, model.predict_proba(features)), abs=1e-12
    )
    assert numbers["interval/accuracy_low"] < numbers["aggregate/accuracy"]
    assert result.metrics["aggregate/accuracy"] == numbers["aggregate/accuracy"]
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"report.html", "evaluation.parquet", "evaluation.json", "confusion_matrix.png"} <= files
    assert result.artifacts["report.html"].content.startswith(b"<!")
    result.save(tmp_path / "saved")
    again = type(result).load(tmp_path / "saved")
    assert again.metrics == result.metrics
    assert again.artifacts["labels.json"].content == result.artifacts["labels.json"].content
    assert run.data.tags["version_arn"] == "mlrek:project/digits/custom/bayes"
    assert run.data.tags["test_set_digest"]
    assert run.data.tags["mlrek.complete"] == "true"
    assert run.info.run_name == "GaussianNB"
    assert run.info.status == "FINISHED"
    assert run.data.params["labels"] == "of somebody else"
    assert run.data.params["test_images"] == str(len(test))


def test_evaluated_runs_are_compared_and_checked(mlflow, data, run_mlrek, new_store, tmp_path):
    """`mlrek compare` and `mlrek check` read such runs, and find one test set."""
    bayes, _ = evaluate(mlflow, GaussianNB(), data)
    linear, _ = evaluate(mlflow, LogisticRegression(max_iter=2000), data)
    baseline, candidate = (f"runs:/{run.info.run_id}" for run in (bayes, linear))
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.format(baseline=baseline))

    compared = run_mlrek("compare", baseline, candidate, "--json", "--tracking-uri", new_store)
    checked = run_mlrek(
        "check", candidate, "--policy", policy, "--json", "--tracking-uri", new_store
    )

    document = json.loads(compared.stdout)
    assert document["candidates"][0]["test_set"]["verdict"] == "same"
    (row,) = [
        row
        for row in document["candidates"][0]["metrics"]
        if (row["name"], row["scope"]) == ("aggregate/accuracy", "shared")
    ]
    accuracies = [run.data.metrics["aggregate/accuracy"] for run in (bayes, linear)]
    assert [row["baseline"], row["candidate"]] == accuracies
    assert json.loads(checked.stdout)["verdict"] == "passed"


def test_the_same_evaluation_is_logged_once(mlflow, data):
    """A second time in the same run adds nothing; another evaluation takes the place of it."""
    *_, test = data
    table = test[["digit", "image"]].assign(predicted=test["digit"])
    client = mlflow.MlflowClient()

    def log(frame):
        return mlflow.models.evaluate(
            data=frame,
            targets="digit",
            predictions="predicted",
            model_type="classifier",
            evaluators=["mlrek"],
            evaluator_config={"mlrek": {"images": "image", "version": "table"}},
        )

    with mlflow.start_run(description="my own words") as run:
        log(table)
        first = client.get_metric_history(run.info.run_id, "aggregate/accuracy")
        log(table)
        again = client.get_metric_history(run.info.run_id, "aggregate/accuracy")
        log(table.assign(predicted=0))
    last = mlflow.get_run(run.info.run_id)

    assert [point.value for point in first] == [point.value for point in again] == [1.0]
    assert last.data.metrics["aggregate/accuracy"] == (test["digit"] == 0).mean()
    assert last.data.tags["mlrek.complete"] == "true"
    assert last.data.tags["mlflow.note.content"] == "my own words"


def test_a_model_need_not_know_the_labels_of_the_test_set(mlflow, data):
    """Of a label that it never saw it has no confidence; one that the test set lacks is kept."""
    x_train, y_train, test = data
    seen, tested = y_train != 9, test[test["digit"] != 3]
    names = {digit: f"digit {digit}" for digit in range(10)}
    run, _ = evaluate(mlflow, GaussianNB(), (x_train[seen], y_train[seen], tested))
    named, _ = evaluate(mlflow, GaussianNB(), (x_train[seen], y_train[seen], tested), labels=names)
    features = tested.drop(columns=["digit", "image"])
    y_pred = GaussianNB().fit(x_train[seen], y_train[seen]).predict(features)

    for logged in (run, named):
        accuracy = logged.data.metrics["aggregate/accuracy"]
        assert accuracy == metrics.accuracy_score(tested["digit"], y_pred)
        assert "aggregate/log_loss" not in logged.data.metrics
    assert "label_f1/9" in run.data.metrics
    assert "label_f1/digit 9" in named.data.metrics


def test_the_lines_of_the_documentation_run(mlflow):
    """The page's example, as it stands, evaluates a model into a run."""
    page = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
    (block,) = (
        b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "evaluators=" in b
    )
    names = {}

    exec(block, names)  # noqa: S102 - the page's own lines

    test_set, model = names["test_set"], names["model"]
    y_pred = model.predict(test_set.drop(columns=["target", "image"]))
    accuracy = names["result"].metrics["aggregate/accuracy"]
    assert accuracy == metrics.accuracy_score(test_set["target"], y_pred)


def test_a_table_of_scores_has_all_numbers(mlflow, data):
    """A static table with a column of scores for each label, and names of these."""
    x_train, y_train, test = data
    features = test.drop(columns=["digit", "image"])
    model = GaussianNB().fit(x_train, y_train)
    names = [f"p{digit}" for digit in range(10)]
    table = pd.DataFrame(model.predict_proba(features), columns=names).assign(
        digit=test["digit"].to_numpy(), predicted=model.predict(features)
    )
    labels = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

    with mlflow.start_run() as run:
        mlflow.models.evaluate(
            data=table,
            targets="digit",
            predictions="predicted",
            model_type="classifier",
            evaluators="mlrek",
            evaluator_config={"scores": names, "labels": labels, "name": "table"},
        )
    logged = mlflow.get_run(run.info.run_id)

    assert logged.data.metrics["aggregate/roc_auc_macro"] == pytest.approx(
        metrics.roc_auc_score(table["digit"], table[names], multi_class="ovr"), abs=1e-12
    )
    assert "label_f1/seven" in logged.data.metrics
    assert {given.dataset.name for given in logged.inputs.dataset_inputs} >= {"table"}


def test_a_function_and_the_default_evaluator_get_along(mlflow, data):
    """Any function is a model; MLflow's own numbers keep their values next to ours."""
    *_, test = data
    table = test[["digit", "image"]].assign(digit=(test["digit"] > 4).astype(int), size=1.0)

    def guess(frame):
        return [int(i % 3 == 0) for i in range(len(frame))]

    with mlflow.start_run() as run:
        mlflow.models.evaluate(
            guess,
            table.drop(columns=["image"]),
            targets="digit",
            model_type="classifier",
            evaluators=["default", "mlrek"],
            evaluator_config={"default": {"log_model_explainability": False}},
        )
    logged = mlflow.get_run(run.info.run_id).data.metrics
    y_pred = guess(table)

    assert logged["f1_score"] == metrics.f1_score(table["digit"], y_pred)
    assert logged["aggregate/f1_macro"] == pytest.approx(
        metrics.f1_score(table["digit"], y_pred, average="macro"), abs=1e-12
    )


def test_a_run_of_somebody_else_is_never_deleted(mlflow, new_store, data):
    """Logged anew, the version gets a run of its own; MLflow's run stays, and counts no more."""
    *_, test = data
    table = test[["digit"]].assign(predicted=test["digit"])
    with mlflow.start_run() as run:
        mlflow.models.evaluate(
            data=table,
            targets="digit",
            predictions="predicted",
            model_type="classifier",
            evaluators="mlrek",
            evaluator_config={"project": "digits", "version": "table"},
        )
    other = mlrek.evaluate(test["digit"], [0] * len(test), project="digits", version="table")

    logged = mlrek.log(other, experiment="digits", tracking_uri=new_store, force=True)

    hosted = mlflow.get_run(run.info.run_id)
    assert logged.run_id != run.info.run_id
    assert hosted.info.lifecycle_stage == "active"
    assert hosted.data.tags["mlrek.superseded"] == "true"


def test_nobody_need_name_an_evaluator(mlflow, data, caplog):
    """Without `evaluators` MLflow asks all, and ours says which keys and wishes it leaves out."""
    *_, test = data
    table = test[["digit"]].assign(predicted=test["digit"])
    with mlflow.start_run() as run:
        for prefix in ("validation_", "test_"):
            mlflow.models.evaluate(
                data=table if prefix == "test_" else table[:200],
                targets="digit",
                predictions="predicted",
                model_type="classifier",
                evaluator_config={"metric_prefix": prefix, "lables": ["a"]},
                custom_artifacts=[lambda *_: {"rows": [1]}],
            )
    logged = mlflow.get_run(run.info.run_id)

    assert logged.data.metrics["validation_accuracy_score"] == 1
    assert logged.data.metrics["test_accuracy_score"] == 1
    assert logged.data.metrics["aggregate/accuracy"] == 1
    said = [record.getMessage() for record in caplog.records if record.name.startswith("mlrek")]
    assert said[0].startswith("mlrek does not know the keys 'lables' of evaluator_config")
    assert said[1].startswith("mlrek computes no custom_artifacts; MLflow's own evaluator does")
    assert said[-1].startswith("the run keeps its parameters test_images, which MLflow never")


def test_what_a_promotion_rests_on_stays(mlflow, data):
    """A run that a sealed decision names takes no other evaluation."""
    *_, test = data
    table = test[["digit"]].assign(predicted=test["digit"])

    def log(frame):
        return mlflow.models.evaluate(
            data=frame,
            targets="digit",
            predictions="predicted",
            model_type="classifier",
            evaluators="mlrek",
        )

    with mlflow.start_run() as run:
        log(table)
        mlflow.set_tag("mlrek.decision", "0" * 64)
        with pytest.raises(TrackingError, match="a promotion rests on: log this one into another"):
            log(table.assign(predicted=0))

    assert mlflow.get_run(run.info.run_id).data.metrics["aggregate/accuracy"] == 1


def test_what_is_missing_is_said(mlflow, data):
    """A column that is not there ends in one line, and the run gets no tag of ours."""
    *_, test = data
    with (
        mlflow.start_run() as run,
        pytest.raises(UsageError, match="images: there is no column 'picture'; there are"),
    ):
        mlflow.models.evaluate(
            data=test.assign(predicted=0),
            targets="digit",
            predictions="predicted",
            model_type="classifier",
            evaluators=["mlrek"],
            evaluator_config={"mlrek": {"images": "picture"}},
        )

    assert "version_arn" not in mlflow.get_run(run.info.run_id).data.tags


def test_other_models_are_left_alone(mlflow, data):
    """Who evaluates a regression without naming evaluators does not meet ours."""
    *_, test = data
    with mlflow.start_run() as run:
        mlflow.models.evaluate(
            data=test[["digit"]].assign(predicted=1.5),
            targets="digit",
            predictions="predicted",
            model_type="regressor",
        )

    assert "version_arn" not in mlflow.get_run(run.info.run_id).data.tags


def test_the_entry_point_loads_little():
    """MLflow imports the class with its own evaluators: nothing comes along but that module."""
    module, _, _ = read_entry_point().partition(":")
    code = (
        "import sys, mlflow.models.evaluation.base; before = set(sys.modules); "
        f"import {module}; print(sorted(set(sys.modules) - before))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = done.stdout.strip().splitlines()[-1]
    assert loaded in {str(["mlrek", "mlrek.api", module]), "[]"}  # MLflow may have done so itself


def test_an_installed_mlrek_has_the_entry_point():
    """The project's entry point is the class; an installation from before names none."""
    module, _, name = read_entry_point().partition(":")
    found = entry_points(group="mlflow.model_evaluator", name="mlrek")

    assert hasattr(importlib.import_module(module), name)
    assert {point.value for point in found} <= {f"{module}:{name}"}
