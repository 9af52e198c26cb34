"""How MLflow's pages of an experiment look."""

import json

import pytest

from mlrek.tracking import LoggedRun
from mlrek.tracking.view import (
    COLOUR_TAG,
    choose_colours,
    describe_pictures_view,
    describe_view,
)


def run(name="r", metrics=(), **tags):
    """A run with those metrics and tags."""
    return LoggedRun(run_id=name, start_ms=0, metrics=dict.fromkeys(metrics, 0.5), tags=tags)


def sections(*runs):
    """Names of the open sections, in the order of the page."""
    view = json.loads(describe_view(runs))
    return [section["name"] for section in view["compareRunSections"] if section["display"]]


def cards_of(*runs, kind="IMAGE"):
    """The cards of one kind that the view names."""
    return [c for c in json.loads(describe_view(runs))["compareRunCharts"] if c["type"] == kind]


def test_numbers_come_first_then_curves_then_pictures():
    """Whatever the alphabet says; what nobody asks first is folded."""
    metrics = ("at_threshold/f1_micro", "curve/f1", "aggregate/accuracy", "interval/accuracy_low")
    metrics = (*metrics, "score/accuracy", "label_f1/cat", "label_recall/cat")

    assert sections(run(metrics=metrics, **{"mlflow.loggedImages": "True"})) == [
        *("score", "curve to threshold 100 %", "charts", "label_f1")
    ]


def test_slices_have_a_section_after_the_labels_where_there_are_any():
    """It is open: at most 20 charts."""
    metrics = ("score/accuracy", "slice/site_x3D_A", "label_f1/cat")

    assert sections(run(metrics=metrics)) == ["score", "label_f1", "slice"]
    assert sections(run(metrics=metrics[:1])) == ["score"]


def test_the_bars_stand_in_the_order_of_the_headlines():
    """MLflow would sort them by the alphabet."""
    names = ("mcc", "balanced_accuracy", "f1_macro", "accuracy")
    metrics = [f"{group}/{name}" for group in ("aggregate", "score") for name in names]

    assert [card["metricKey"] for card in cards_of(run(metrics=metrics), kind="BAR")] == [
        *("score/accuracy", "score/f1_macro", "score/balanced_accuracy", "score/mcc")
    ]


def test_curves_stand_in_the_section_that_says_where_they_end():
    """MLflow's tables show the value at the last step, the threshold 100 %."""
    view = json.loads(describe_view([run(metrics=["curve/recall", "curve/f1"])]))
    (section,) = (s for s in view["compareRunSections"] if s["name"].startswith("curve"))

    assert section["name"] == "curve to threshold 100 %"
    assert [
        (c["type"], c["metricKey"], c["metricSectionId"]) for c in view["compareRunCharts"]
    ] == [
        ("LINE", "curve/f1", section["uuid"]),
        ("LINE", "curve/recall", section["uuid"]),
    ]


def test_a_section_of_very_many_charts_is_folded():
    """A page that draws them all at once is slow."""
    metrics = ["score/accuracy", *(f"label_f1/{i}" for i in range(31))]

    assert sections(run(metrics=metrics)) == ["score"]


def test_the_view_of_pictures_folds_all_else():
    """The pictures of all versions stand first, and the list of runs makes room for them."""
    metrics = ("score/accuracy", "curve/f1", "somebodys/own")
    view = json.loads(
        describe_pictures_view([run(metrics=metrics, **{"mlflow.loggedImages": "True"})])
    )

    assert view["runListHidden"] is True
    assert [s["name"] for s in view["compareRunSections"] if s["display"]] == ["charts"]
    assert view["compareRunSections"][0]["name"] == "charts"
    assert {s["name"] for s in view["compareRunSections"]} >= {"score", "somebodys"}


def test_the_slider_starts_where_all_versions_have_a_picture():
    """At others it would say that there is none."""
    runs = [
        run(f"{i}", **{"mlflow.loggedImages": "True", "mlrek.picture_steps": steps})
        for i, steps in enumerate(("0 10 20 30", "20 30 40"))
    ]
    cards = cards_of(*runs)

    assert [(card["imageKeys"], card["step"]) for card in cards] == [
        (["charts/confusion_matrix"], 0),
        (["charts/confusion_matrix_at_threshold"], 20),
    ]


def test_areas_have_a_picture_of_their_own():
    """A segmentation has no heat map; in an experiment of both kinds each has its card."""
    logged = {"mlflow.loggedImages": "True"}
    runs = [run("a", task="segmentation", **logged), run("b", task="classification", **logged)]
    cards = cards_of(*runs)

    assert [card["imageKeys"] for card in cards] == [
        ["charts/label_iou"],
        ["charts/confusion_matrix"],
    ]


def test_the_table_has_columns_of_the_numbers_that_there_are():
    """MLflow shows none by itself."""
    columns = json.loads(describe_view([run(metrics=("aggregate/ap",), task="detection")]))[
        "selectedColumns"
    ]

    assert "metrics.`aggregate/ap`" in columns
    assert not any("accuracy" in column for column in columns)


def test_the_view_fits_into_a_tag():
    """MLflow cuts longer ones, and a cut one cannot be read."""
    names = ("score", "aggregate", "curve", "at_threshold", "reported", "label_f1", "interval")
    assert len(describe_view([run(metrics=[f"{name}/x" for name in names])])) < 5000


def test_runs_get_colours_that_differ():
    """Two of the first seven are never alike."""
    colours = [colour for _, colour in choose_colours([run(f"{i}") for i in range(7)])]

    assert len(set(colours)) == 7


@pytest.mark.parametrize("n", [1, 7, 9])
def test_a_colour_that_a_run_has_stays(n):
    """Only new runs get one, the one that is used least."""
    colours = [colour for _, colour in choose_colours([run(f"{i}") for i in range(7)])]
    old = [run(f"{i}", **{COLOUR_TAG: colours[i % 7]}) for i in range(n)]
    new = run("new")

    assert [(r.run_id, c) for r, c in choose_colours([*old, new])] == [("new", colours[n % 7])]
