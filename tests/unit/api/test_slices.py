"""Slices in Python: the rows of `show --slices --json`, by columns that a caller names."""

import json
import re
from dataclasses import replace
from itertools import chain
from math import isnan

import numpy as np
import pandas as pd
import pytest

import mlrek
from mlrek.api.evaluated import view_evaluation
from mlrek.errors import EvaluationError, SourceError, UsageError
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


IMAGES = [f"{'north' if i % 2 else 'south'}/{i}.png" for i in range(80)]
TRUE = ["cat", "dog"] * 40
FOUND = [true if i % 2 else "cat" for i, true in enumerate(TRUE)]  # each dog of the south is missed
SITES = ["A" if i < 40 else "B" for i in range(80)]


@pytest.fixture(scope="module")
def pets():
    """80 images in two folders, without a column."""
    return mlrek.evaluate(TRUE, FOUND, images=IMAGES)


def _count(frame):
    """Images by the name of the slice."""
    return dict(zip(frame["slice"], frame["images"], strict=True))


@pytest.mark.parametrize(
    "give",
    [
        lambda: {"site": SITES},
        lambda: {"site": np.array(SITES)},
        lambda: {"site": pd.Series(SITES, index=range(80, 0, -1))},
        lambda: {"site": dict(zip(IMAGES, SITES, strict=True))},
        lambda: {"site": pd.Series(SITES, index=IMAGES)[::-1]},
        lambda: pd.DataFrame({"site": SITES}),
        lambda: pd.DataFrame({"site": SITES}, index=IMAGES)[::-1],
        lambda: pd.DataFrame({"site": pd.Categorical(SITES)}),
    ],
    ids=["list", "array", "series", "dict", "by image", "frame", "frame by image", "categories"],
)
def test_a_column_of_one_s_own_is_given_by_order_or_by_image(pets, give):
    """An index of texts names the images; one of numbers is that of a shuffled frame."""
    frame = pets.slices(by=give())
    again = mlrek.evaluate(TRUE, FOUND, images=IMAGES, slices=give()).slices(by="site")

    assert _count(frame) == {"site=A": 40, "site=B": 40}
    assert frame.equals(again)


def test_a_text_is_looked_for_in_the_names_of_images(pets):
    """The first group is the value; an image in which nothing is found is in no slice."""
    frame = pets.slices(by={"folder": r"^(north)/"})

    assert _count(frame) == {"folder=north": 40}


def test_a_missing_value_is_in_no_slice(pets):
    """None, NaN and pandas' own; a number is a value too."""
    cells = [None, np.nan, pd.NA, pd.NaT] * 10 + [7] * 40

    assert _count(pets.slices(by={"lens": cells})) == {"lens=7": 40}


def test_columns_given_to_evaluate_are_those_of_the_evaluation():
    """With further columns of a table, in whose place they come where the name is the same."""
    table = pd.DataFrame(
        {"image": IMAGES, "truth": TRUE, "predicted": FOUND, "site": "X", "lens": SITES[::-1]}
    )
    frame = mlrek.evaluate(table, slices={"site": SITES}).slices().query("family == 'single'")
    named = dict(zip(frame["slice"], frame["same_images"], strict=True))

    assert {*named, *chain.from_iterable(named.values())} == {
        *("label=cat", "label=dog", "site=A", "site=B", "lens=A", "lens=B")
    }


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ({"site": ["A"] * 79}, "column 'site' has 79 values, and there are 80 images"),
        ({"site": {"x.png": "A"}}, "column 'site' names none of the images; they are called as"),
        ({"site": 7}, "slices, 'site': is 7, not a list"),
        ({"site": "("}, "by: 'site' has no regular expression"),
        ({f"c{i}": SITES for i in range(51)}, "51 columns for slices were asked for"),
    ],
)
def test_a_wrong_column_is_one_line(pets, by, said):
    """What is wrong, and with which column."""
    with pytest.raises((EvaluationError, UsageError), match=re.escape(said)):
        pets.slices(by=by)


def test_a_run_with_other_columns_is_another():
    """The same predictions logged again with columns: the run holds them then."""
    one = mlrek.evaluate(TRUE, FOUND, images=IMAGES)
    other = mlrek.evaluate(TRUE, FOUND, images=IMAGES, slices={"site": SITES})
    digests = [{file.sha256 for file in ev.evaluation.files} for ev in (one, other)]

    assert one.version == other.version
    assert digests[0] < digests[1]


def test_the_page_shows_the_slices_of_a_version_with_columns(ev):
    """As that of its run does; a version without columns has no such part."""
    plain = view_evaluation(replace(ev.evaluation, slice_columns=()))

    assert 'id="slices"' in ev.report()
    assert '["site=A"]' in ev.report()
    assert 'id="slices"' not in plain.report()


def test_sync_takes_slices_of_a_table_and_of_uris(monkeypatch, tmp_path):
    """`slices` and `slice_by` ask for what the options of the command ask for."""
    asked = []

    def refuse(_sources, _uri, options, *_, **__):
        asked.append(options.options.slicing)
        raise SourceError("x", "stop here")

    monkeypatch.setattr("mlrek.api.logged.sync_sources", refuse)
    with pytest.raises(SourceError):
        mlrek.sync("examples/digits", slices=tmp_path / "s.csv", slice_by={"site": "/(.)/"})
    (found,) = asked
    assert (found.by, found.table) == ((("site", "/(.)/"),), str(tmp_path / "s.csv"))
