"""The headline numbers are the same in terminal, note, charts and metrics."""

import json
import re

import pytest
from mlflow import MlflowClient

from mlrek.metrics.numbers import HEADLINES

EXPERIMENT = "mlrek/digits"


@pytest.fixture
def store(digits_store):
    """The digits, logged, as a client of their store."""
    return MlflowClient(digits_store)


def test_change_is_that_of_one_number_and_named_by_it_everywhere(
    run_mlrek, digits, digits_store, store
):
    """The terminal's column and the note's have the same title and the same values."""
    printed = run_mlrek("sync", digits, "--tracking-uri", digits_store).stdout
    note = store.get_experiment_by_name(EXPERIMENT).tags["mlflow.note.content"]
    rows = [line.split("|") for line in note.splitlines() if line.startswith("| v")]
    place = [cell.strip() for cell in rows[0]].index("change in accuracy")
    noted = [row[place].strip() for row in rows[1:] if row[place].strip()]
    accuracy = {
        run.info.run_name: run.data.metrics["aggregate/accuracy"]
        for run in store.search_runs([store.get_experiment_by_name(EXPERIMENT).experiment_id])
    }
    steps = (("v1-naive-bayes", "v2-linear"), ("v2-linear", "v3-neighbours"))
    expected = [f"{accuracy[after] - accuracy[before]:+.3f}" for before, after in steps]
    assert noted == expected
    assert re.findall(r"(?<= )[+-]0\.\d{3}(?= )", printed) == expected
    assert re.search(r"change in +\|?service", printed.replace("|", " "))
    assert "service F1" in note


def test_charts_begin_with_the_headline_numbers_under_short_keys(store):
    """`score/` repeats at most six numbers of `aggregate/`, and is the first section."""
    experiment = store.get_experiment_by_name(EXPERIMENT)
    view = json.loads(experiment.tags["mlflow.sharedViewState.mlrek"])
    metrics = store.search_runs([experiment.experiment_id])[0].data.metrics
    scores = {key: value for key, value in metrics.items() if key.startswith("score/")}
    assert scores == {
        f"score/{name}": metrics[f"aggregate/{name}"] for name in HEADLINES["classification"]
    }
    assert view["compareRunSections"][0]["name"] == "score"


def test_stdout_has_an_ascii_minus(run_mlrek, digits):
    """A difference below zero can be read by any program."""
    printed = run_mlrek("compare", f"{digits}#v3-neighbours", f"{digits}#v1-naive-bayes").stdout
    assert "−" not in printed
    assert re.search(r"-0\.\d{4}", printed)


def test_a_stdout_without_utf8_gets_no_dash_that_it_cannot_show(run_mlrek, examples):
    """What does not exist is a hyphen there."""
    env = {"PYTHONIOENCODING": "ascii"}
    printed = run_mlrek("show", f"{examples}/detection#v1-linear", env=env, cold=True).stdout
    assert "\\u" not in printed
    assert re.search(r"average recall\W+0\.9279\W+-\s", printed)
