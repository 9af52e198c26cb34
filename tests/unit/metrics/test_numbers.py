"""One list of numbers: what it holds stands on every surface, or on none."""

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from mlrek.comparison.measured import list_values
from mlrek.metrics import LabelScores, Number
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.crossfit import LOGGED_NAMES
from mlrek.metrics.numbers import find_definition, list_numbers
from mlrek.metrics.numbers import list_definitions as describe_definitions
from mlrek.policy import Metric
from mlrek.policy.reading import collect_numbers
from mlrek.render.document import describe_evaluation, write_per_label
from mlrek.render.report import build_facts
from mlrek.render.version import Shown, build_shown_json
from mlrek.sources import AwsOptions, open_source
from mlrek.text import metric_key_labels
from mlrek.tracking.description import describe_metrics

EXAMPLES = (
    "digits",
    "detection",
    "multilabel",
    "lookout-classification",
    "lookout-segmentation",
    "automl-flowers",
    "vertex",
)
PLAIN = ("reported", "training")
"""Groups whose numbers stand in a document without interval and reason."""


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request, examples):
    """The first version of an example with its numbers, without intervals."""
    source = open_source(str(examples / request.param), AwsOptions())
    evaluation = source.load(source.list_versions()[0])
    return evaluation, compute_metrics(evaluation, intervals=False)


@pytest.fixture(scope="module")
def digits_numbers(examples):
    """The first version of the digits with its numbers, without intervals."""
    source = open_source(str(examples / "digits"), AwsOptions())
    evaluation = source.load(source.list_versions()[0])
    return evaluation, compute_metrics(evaluation, intervals=False)


def names_listed(evaluation, metrics):
    """Name and label of each number of the list."""
    return {(row.name, row.label) for row in list_numbers(evaluation, metrics)}


def names_of_document(evaluation, metrics):
    """The same of `evaluation.json`."""
    document = describe_evaluation(
        evaluation, metrics, test_set_digest="", settings={}, warnings=()
    )
    groups = ("aggregate", "at_threshold", "crossfit", "base_model", "extra", "errors")
    names = {(f"{group}/{name}", "") for group in groups for name in document[group]}
    names |= {(f"reported/{name}", "") for name in document["reported"]["aggregate"]}
    base = document["reported"]["base_model"] or {}
    names |= {(f"reported/base_{name}", "") for name in base}
    if document["version"]["billable_minutes"] is not None:
        names.add(("training/billable_minutes", ""))
    for row in document["per_label"]:
        scores = set(row) - {"label", "metric_key"}
        ends = {end for name in scores for end in (f"{name}_low", f"{name}_high")}
        crossfit = {name for name in scores - ends if name.startswith("crossfit_")}
        names |= {(name.replace("_", "/label_"), row["label"]) for name in crossfit}
        names |= {(f"label_{name}", row["label"]) for name in scores - ends - crossfit}
    return names


def names_of_show(evaluation, metrics):
    """The same of `show --json`, without single labels."""
    shown = build_shown_json(Shown(evaluation=evaluation, metrics=metrics))
    groups = ("aggregate", "at_threshold", "crossfit", "base_model", "extra", "errors", *PLAIN)
    return {(f"{group}/{name}", "") for group in groups for name in shown[group] or {}}


def test_document_holds_each_number_that_is_listed_and_no_other(example):
    """`evaluation.json` of every task has just the numbers of the list, under raw label names."""
    assert names_of_document(*example) == names_listed(*example)


def test_policies_can_name_each_number_that_is_listed(example):
    """A limit can be set for whatever stands in the document."""
    figures = collect_numbers(*example).figures
    assert {(metric.name, metric.label) for metric in figures} == names_listed(*example)


def test_show_holds_each_number_of_all_labels_together(example):
    """`show --json` has just the numbers of the list, those of labels label by label."""
    assert names_of_show(*example) == {pair for pair in names_listed(*example) if not pair[1]}


def test_mlflow_gets_each_number_but_those_of_the_document_alone(example):
    """A number is logged under its name when it is defined, all but `extra/` and some cross-fitted.

    Of those the averages at the thresholds are, and `subset_accuracy`: at most ten keys.
    """
    evaluation, metrics = example
    points = {point.key: point.value for point in describe_metrics(evaluation, metrics)}
    rows = [row for row in list_numbers(evaluation, metrics) if not row.label]
    defined = {row.name: row.number.value for row in rows if row.number.is_defined}
    crossfit = {name: value for name, value in defined.items() if name.startswith("crossfit/")}
    logged = {f"crossfit/{name}" for name in LOGGED_NAMES} & defined.keys()
    expected = {name: value for name, value in defined.items() if not name.startswith("extra/")}
    expected = {name: expected[name] for name in expected.keys() - crossfit.keys() | logged}
    assert expected.items() <= points.items()
    assert {name for name in points if name.startswith("crossfit/")} == logged


def test_each_number_has_a_definition(example):
    """Whatever is listed is defined in plain words."""
    evaluation, metrics = example
    definitions = describe_definitions(metrics.task, evaluation.pos_label)
    names = {row.name for row in list_numbers(evaluation, metrics)}
    assert {name for name in names if not find_definition(name, definitions)} == set()


def test_a_new_number_stands_on_every_surface(digits_numbers):
    """A metric that somebody adds is logged, documented, shown, printed and compared at once."""
    evaluation, metrics = digits_numbers
    metrics = replace(metrics, aggregate={**metrics.aggregate, "made_up": Number(value=0.125)})
    points = {point.key: point.value for point in describe_metrics(evaluation, metrics)}
    facts = build_facts(evaluation, metrics, remarks=(), digest="", logged_at="")
    surfaces = {
        "document": ("aggregate/made_up", "") in names_of_document(evaluation, metrics),
        "show": ("aggregate/made_up", "") in names_of_show(evaluation, metrics),
        "mlflow": points.get("aggregate/made_up") == 0.125,
        "report": "made up" in {number.name for number in facts["numbers"]},
        "policy": Metric(name="aggregate/made_up") in collect_numbers(evaluation, metrics).figures,
        "comparison": ("aggregate/made_up", "", 0.125, "") in list_values(metrics, evaluation),
    }
    assert surfaces == dict.fromkeys(surfaces, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresAndMore(LabelScores):
    """Scores of labels with one that no version of mlrek has."""

    made_up: np.ndarray | None = None
    made_up_low: np.ndarray | None = None
    made_up_high: np.ndarray | None = None


def test_a_new_number_of_labels_stands_on_every_surface(digits_numbers):
    """A score of labels that somebody adds is in document, table, `show` and comparison."""
    evaluation, metrics = digits_numbers
    n = len(metrics.labels)
    own = {field.name: getattr(metrics.per_label, field.name) for field in fields(LabelScores)}
    values, low, high = np.full(n, 0.25), np.full(n, 0.125), np.full(n, 0.5)
    scores = ScoresAndMore(**own, made_up=values, made_up_low=low, made_up_high=high)
    metrics = replace(metrics, per_label=scores)
    label = metrics.labels[0]
    document = describe_evaluation(
        evaluation, metrics, test_set_digest="", settings={}, warnings=()
    )
    shown = build_shown_json(Shown(evaluation=evaluation, metrics=metrics))["labels"][0]["computed"]
    header = write_per_label(evaluation, metrics).decode("utf-8-sig").splitlines()[0].split(",")
    expected = {"made_up": 0.25, "made_up_low": 0.125, "made_up_high": 0.5}
    assert expected.items() <= document["per_label"][0].items()
    assert expected.items() <= shown.items()
    assert expected.keys() <= set(header)
    assert ("label_made_up", label, 0.25, "") in list_values(metrics, evaluation)
    figures = collect_numbers(evaluation, metrics).figures
    figure = figures[Metric(name="label_made_up", label=label)]
    assert (figure.value, figure.low, figure.high) == (0.25, 0.125, 0.5)


def test_interval_and_reason_come_with_the_number(digits_numbers):
    """Each row has the whole number: its value, the ends of its interval, or why it has none."""
    evaluation, metrics = digits_numbers
    rows = {(row.name, row.label): row.number for row in list_numbers(evaluation, metrics)}
    scores, label = metrics.per_label, metrics.labels[3]
    assert rows["aggregate/accuracy", ""] == metrics.aggregate["accuracy"]
    assert rows["label_recall", label] == Number(
        value=scores.recall[3], low=scores.recall_low[3], high=scores.recall_high[3]
    )
    assert rows["reported/f1", ""].reason == "the service reports no interval of its numbers"


def test_metric_keys_stay_below_their_limit_with_any_number_of_labels(digits_numbers):
    """However many numbers and labels there are, at most 400 keys are logged."""
    evaluation, metrics = digits_numbers
    more = {f"made_up_{i}": Number(value=0.5) for i in range(300)}
    metrics = replace(metrics, aggregate={**metrics.aggregate, **more})
    keys = {point.key for point in describe_metrics(evaluation, metrics)}
    assert len(keys) <= 400
    assert f"label_f1/{metric_key_labels(metrics.labels)[0]}" in keys
