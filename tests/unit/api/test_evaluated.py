"""One version in Python: its numbers are those of `show --json`, its tables are as documented."""

import copy
import functools
import html
import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from math import isnan

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn import metrics as sk

import mlrek
from mlrek.api.evaluated import view_evaluation

VERSIONS = (
    "digits#v2-linear",
    "digits#v4-new-split",
    "multilabel#v2-halves",
    "detection#v1-linear",
    "lookout-classification#2",
    "lookout-segmentation#1",
    "automl-flowers",
    "vertex#1",
)
OTHERS = (
    "digits#v1-naive-bayes",
    "digits#v3-neighbours",
    "multilabel#v1-linear",
    "detection#v2-neighbours",
    "lookout-classification#1",
    "lookout-segmentation#2",
    "vertex#2",
)
GROUPS = ("aggregate", "at_threshold", "crossfit", "base_model", "extra")
ALONE = ("errors", "reported", "training")
LISTED = {"image": "object", "truth": "object", "predicted": "object", "right": "boolean"}
BOXES = dict.fromkeys(("x_min", "y_min", "x_max", "y_max", "confidence"), "float64")


@pytest.fixture(params=VERSIONS)
def version(request, examples):
    """Each shipped example."""
    return f"{examples}/{request.param}"


@pytest.fixture(scope="module")
def ev(examples):
    """A classification."""
    return mlrek.read(f"{examples}/digits#v2-linear")


@functools.cache
def read(version):
    """An evaluation that several tests look at."""
    return mlrek.read(version)


def read_json(done):
    """What a command printed."""
    return json.loads(done.stdout)


def none_for_nan(value):
    """A number as JSON has it."""
    return None if isnan(value) else value


@pytest.mark.parametrize("name", VERSIONS + OTHERS)
def test_the_document_is_that_of_the_command(name, examples, run_mlrek):
    """`to_dict` is `mlrek show --json`, of each version of the examples."""
    version = f"{examples}/{name}"
    assert read(version).to_dict() == read_json(run_mlrek("show", version, "--json"))


def test_numbers_are_those_of_the_command(version, run_mlrek):
    """Each number of all labels, with its interval and reason, under its group and name."""
    shown = read_json(run_mlrek("show", version, "--json"))
    numbers = read(version).metrics

    for group in GROUPS:
        for name, expected in (shown[group] or {}).items():
            number = numbers[f"{group}/{name}"]
            found = (number.value, number.low, number.high)
            assert tuple(map(none_for_nan, found)) == tuple(
                expected[end] for end in ("value", "low", "high")
            )
            assert (number.reason or None) == expected["reason"]
    for group in ALONE:
        for name, expected in (shown[group] or {}).items():
            assert numbers[f"{group}/{name}"].value == expected


def test_numbers_of_labels_are_those_of_the_command(version, run_mlrek):
    """In `metrics` under raw names, and in the table, all the same."""
    shown = read_json(run_mlrek("show", version, "--json"))["labels"]
    ev = read(version)

    assert ev.labels["label"].tolist() == [entry["label"] for entry in shown]
    for entry in shown:
        row = ev.labels.loc[entry["label"]]
        for name, expected in (entry["computed"] or {}).items():
            assert none_for_nan(row[name]) == expected
        for name in ("precision", "recall", "f1"):
            number = ev.metrics[f"label_{name}/{entry['label']}"]
            assert none_for_nan(number.value) == none_for_nan(row[name])
            assert number.reason or not isnan(number.value)


def test_columns_of_labels_have_their_types(version):
    """Names are objects, counts int64, all other numbers float64."""
    types = read(version).labels.dtypes.astype(str).to_dict()

    assert types.pop("label") == "object"
    assert {types.pop(name) for name in ("support", "tp", "fp", "fn")} == {"int64"}
    assert set(types.values()) == {"float64"}


def test_columns_of_predictions_have_their_types(version):
    """Of boxes a row each, of others a row an image, with as many columns as documented."""
    ev = read(version)
    types = ev.predictions.dtypes.astype(str).to_dict()
    confidence = "float64" if ev.task == "classification" else "object"
    expected = LISTED | {"confidence": confidence}
    if ev.task == "detection":
        expected |= {"outcome": "object", "error": "object", **BOXES}

    assert types == expected
    if ev.task != "detection":
        assert len(ev.predictions) == ev.test_images


def test_the_share_of_right_images_is_the_accuracy(ev):
    """The table of predictions and the numbers speak of the same images."""
    assert ev.predictions["right"].mean() == ev.metrics["aggregate/accuracy"].value


def test_the_share_of_wholly_right_images_is_the_subset_accuracy(examples):
    """Of several labels an image the lists of what is true and what is predicted are equal."""
    ev = mlrek.read(f"{examples}/multilabel#v2-halves")
    table = ev.predictions

    assert ((table["truth"] == table["predicted"]) == table["right"]).all()
    assert table["right"].mean() == ev.metrics["aggregate/subset_accuracy"].value
    assert [len(sure) for sure in table["confidence"]] == [len(p) for p in table["predicted"]]


def test_an_image_without_truth_is_neither_right_nor_wrong(ev):
    """It is there, with <NA>."""
    evaluation = ev.evaluation
    offsets = np.concatenate([[0, 0], evaluation.truth.offsets[2:] - 1])
    truth = replace(evaluation.truth, offsets=offsets, label_idx=evaluation.truth.label_idx[1:])
    table = view_evaluation(replace(evaluation, truth=truth)).predictions

    assert table.loc[0, "truth"] is None
    assert table["right"].isna().tolist() == [True] + [False] * (len(table) - 1)


def test_masks_that_cannot_be_read_are_there(examples):
    """An image whose masks were not readable has no answer instead of an empty one."""
    evaluation = mlrek.read(f"{examples}/lookout-segmentation#1").evaluation
    readable = evaluation.masks.readable.copy()
    readable[1] = False
    table = view_evaluation(
        replace(evaluation, masks=replace(evaluation.masks, readable=readable))
    ).predictions

    assert table["right"].isna().tolist() == [i == 1 for i in range(len(table))]
    assert table.loc[1, "truth"] is None


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_the_confusion_matrix_is_scikit_learns(ev, normalize):
    """Counts and each kind of share."""
    table = ev.predictions
    expected = sk.confusion_matrix(
        table["truth"], table["predicted"], labels=ev.labels["label"], normalize=normalize
    )
    found = ev.confusion_matrix(normalize)

    assert (found.to_numpy() == expected).all()
    assert found.index.tolist() == found.columns.tolist() == ev.labels["label"].tolist()
    assert (found.index.name, found.columns.name) == ("true", "predicted")
    assert set(found.dtypes.astype(str)) == {"int64" if normalize is None else "float64"}


def test_what_was_missed_has_a_column_of_its_own(examples):
    """Boxes that nothing was predicted for, and predictions of nothing."""
    found = mlrek.read(f"{examples}/detection#v1-linear").confusion_matrix()

    assert found.index[-1] == found.columns[-1] == "(background)"


def test_no_confusion_matrix_is_an_error(examples):
    """Masks have none."""
    ev = mlrek.read(f"{examples}/lookout-segmentation#1")

    with pytest.raises(mlrek.MlrekError, match="allows no confusion matrix"):
        ev.confusion_matrix()
    with pytest.raises(mlrek.MlrekError, match="nothing to draw as confusion matrix"):
        ev.plot_confusion_matrix()


@pytest.mark.parametrize("wrong", ["rows", 1, ""])
def test_an_unknown_normalization_is_wrong_usage(ev, wrong):
    """The message lists what there is."""
    with pytest.raises(mlrek.MlrekError, match="none of None, 'true', 'pred', 'all'"):
        ev.confusion_matrix(wrong)


@pytest.mark.parametrize("threshold", [0, 0.25, 0.7, 1])
def test_numbers_at_a_threshold_are_those_of_the_command(ev, run_mlrek, digits, threshold):
    """Of all labels together, and of one."""
    done = run_mlrek(
        *("show", f"{digits}#v2-linear", "--threshold", threshold, "--label", "eight", "--json")
    )
    shown = read_json(done)["threshold"]
    found = ev.at(threshold)

    for name in ("precision", "recall", "f1", "tp", "fp", "fn"):
        assert none_for_nan(found[name].value) == shown[name]
        assert none_for_nan(found[f"label_{name}/eight"].value) == shown["label"][name]
    assert found.threshold == shown["threshold"]


def test_without_images_the_nearest_published_threshold_counts(examples, run_mlrek):
    """It says which one that is."""
    ev = mlrek.read(f"{examples}/vertex#1")
    bare = view_evaluation(
        replace(
            ev.evaluation,
            images=(),
            truth=replace(ev.evaluation.truth, offsets=np.array([0]), label_idx=np.array([], int)),
            records=replace(
                ev.evaluation.records,
                offsets=np.array([0]),
                **{
                    name: getattr(ev.evaluation.records, name)[:0]
                    for name in ("label_idx", "confidence", "outcome")
                },
            ),
            contents=None,
            seen_in_training=None,
        )
    )
    published = ev.evaluation.reported.curves[""]
    found = bare.at(0.7)

    assert found.threshold in published.thresholds
    assert abs(found.threshold - 0.7) == np.abs(published.thresholds - 0.7).min()
    place = list(published.thresholds).index(found.threshold)
    assert found["precision"].value == published.precision[place]


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), "high", None])
def test_a_threshold_is_a_number_from_0_to_1(ev, wrong):
    """Percent are none."""
    with pytest.raises(mlrek.MlrekError, match="no number from 0 to 1"):
        ev.at(wrong)


def test_an_undefined_number_is_nan_with_a_reason(ev):
    """Of a label that is nowhere predicted there is no precision."""
    records = ev.evaluation.records
    unsure = replace(records, confidence=np.minimum(records.confidence, 0.9))
    numbers = view_evaluation(replace(ev.evaluation, records=unsure)).at(1)
    undefined = [number for number in numbers.values() if isnan(number.value)]

    assert undefined
    assert all(number.reason for number in undefined)


def test_all_numbers_are_a_table_too(version):
    """A row a number, with the same values."""
    numbers = read(version).metrics
    table = numbers.to_frame()

    assert table.index.tolist() == list(numbers)
    assert table.dtypes.astype(str).tolist() == ["float64", "float64", "float64", "object"]
    assert all(
        none_for_nan(table.loc[k, "value"]) == none_for_nan(numbers[k].value) for k in numbers
    )


def test_a_wrong_key_names_those_like_it(ev):
    """The group is easily forgotten."""
    with pytest.raises(KeyError, match="did you mean 'aggregate/accuracy'"):
        ev.metrics["accuracy"]
    assert "accuracy" not in ev.metrics
    assert ev.metrics.get("accuracy") is None


def test_the_page_is_the_report_of_a_run(ev):
    """One document with the version's name; in a notebook it is in a frame of its own."""
    page = ev.report()

    assert page.lower().startswith("<!doctype html>")
    assert "v2-linear" in page
    assert ev._repr_html_().startswith("<iframe")
    assert html.unescape(ev._repr_html_()).count(page) == 1


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("plot_confusion_matrix", "digits#v2-linear"),
        ("plot_threshold_curves", "digits#v2-linear"),
        ("plot_precision_recall", "digits#v2-linear"),
        ("plot_label_iou", "lookout-segmentation#1"),
    ],
)
def test_plots_are_figures_that_a_notebook_shows(examples, name, version):
    """Matplotlib's own, which pyplot does not know, and which show themselves as PNG."""
    others = list_pyplot_figures()
    figure = getattr(mlrek.read(f"{examples}/{version}"), name)()

    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert list_pyplot_figures() == others


def list_pyplot_figures() -> list[int]:
    """The numbers of the figures that pyplot knows of."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return [] if pyplot is None else pyplot.get_fignums()


def test_nothing_can_be_changed(ev):
    """Attributes and numbers are fixed, and who changes a table changes it alone."""
    with pytest.raises(FrozenInstanceError):
        ev.metrics = {}
    with pytest.raises(FrozenInstanceError):
        ev.metrics["aggregate/accuracy"].value = 1.0
    with pytest.raises(TypeError):
        ev.metrics["aggregate/accuracy"] = 1.0
    labels, matrix = ev.labels, ev.confusion_matrix()
    labels.loc[:, "f1"] = 0.0
    matrix.iloc[:, :] = 0
    assert ev.labels["f1"].min() > 0
    assert ev.confusion_matrix().to_numpy().sum() == ev.test_images


def test_it_travels(ev):
    """A copy, and what comes back from another process, say the same."""
    for other in (copy.deepcopy(ev), pickle.loads(pickle.dumps(ev))):  # noqa: S301 - it is our own
        assert other.to_dict() == ev.to_dict()
        pd.testing.assert_frame_equal(other.predictions, ev.predictions)


def test_threads_get_the_same(ev, digits):
    """Read and asked from eight threads at once."""

    def ask(_):
        other = mlrek.read(f"{digits}#v2-linear")
        return other.to_dict(), ev.report(), ev.labels.to_csv(), ev.plot_confusion_matrix() is None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert all(answer == answers[0] for answer in answers)
