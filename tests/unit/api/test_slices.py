"""Slices in Python: the rows of `show --slices --json`, by columns that a caller names."""

import json
from dataclasses import replace
from math import isnan

import numpy as np
import pytest

import mlrek
from mlrek.api.evaluated import view_evaluation
from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import SliceColumn

TEXTS = ("column", "value")
NUMBERS = ("score", "rest", "difference", "low", "high", "p", "p_adjusted")


@pytest.fixture(scope="module")
def ev(examples):
    """The digits with a column of a file: site C is half wrong."""
    evaluation = mlrek.read(f"{examples}/digits#v2-linear").evaluation
    sites = np.arange(len(evaluation.images)) % 3
    site = SliceColumn(name="site", values=("A", "B", "C"), codes=sites)
    return view_evaluation(replace(evaluation, slice_columns=(site,)))


def _none(value):
    return None if isnan(value) else value


@pytest.mark.parametrize("name", ["digits#v1-naive-bayes", "detection#v1-linear"])
def test_the_rows_are_those_of_the_command(name, examples, run_mlrek):
    """Every cell of every slice; None for NaN."""
    version = f"{examples}/{name}"
    frame = mlrek.read(version).slices()
    document = json.loads(run_mlrek("show", version, "--slices", "--json").stdout)["slices"]
    rows = [*document["singles"], *document["pairs"]]

    assert frame["slice"].tolist() == [row["name"] for row in rows]
    assert frame["same_images"].tolist() == [row["names"][1:] for row in rows]
    assert frame["images"].tolist() == [row["images"] for row in rows]
    for key in TEXTS:
        assert frame[key].tolist() == [row[key] for row in rows]
    for key in NUMBERS:
        assert [_none(value) for value in frame[key]] == [row[key] for row in rows]
    for key in rows[0]["numbers"]:
        values = [_none(value) for value in frame[key]]
        assert values == [row["numbers"][key]["value"] for row in rows]
    assert frame["judgement"].tolist() == [row["judgement"] for row in rows]


def test_columns_have_their_types(ev):
    """Texts as objects, numbers as floats, also where there is no slice at all."""
    few = view_evaluation(ev.evaluation).slices(by=[])
    for frame in (ev.slices(), few):
        assert frame.dtypes["slice"] == "object"
        assert frame.dtypes["images"] == "int64"
        assert frame.dtypes["p_adjusted"] == "float64"


@pytest.mark.parametrize(
    ("by", "columns"),
    [
        ("site", {"site"}),
        (["site", "label"], {"site", "label"}),
        (("label",), {"label"}),
        (None, {"site", "label"}),
    ],
)
def test_columns_are_chosen_by_name(ev, by, columns):
    """One, several, or all that there are."""
    singles = ev.slices(by=by).query("family == 'single'")

    assert set(singles["column"]) == columns


def test_an_unknown_column_is_an_error_with_those_like_it(ev):
    """As the command says it."""
    with pytest.raises(UsageError, match=r"no column 'sit'; did you mean site\?"):
        ev.slices(by="sit")


def test_without_images_there_are_no_slices(ev):
    """What is published of labels alone is of no image."""
    none = np.zeros(0, dtype=np.int64)
    old = ev.evaluation
    reported = replace(
        old,
        images=(),
        truth=replace(old.truth, offsets=np.zeros(1, dtype=np.int64), label_idx=none),
        records=replace(
            old.records,
            offsets=np.zeros(1, dtype=np.int64),
            label_idx=none,
            confidence=np.zeros(0),
            outcome=none.astype(np.uint8),
        ),
        seen_in_training=None,
        contents=None,
        slice_columns=(),
    )

    with pytest.raises(EvaluationError, match="nothing is published of its images"):
        view_evaluation(reported).slices()
