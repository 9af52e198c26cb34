"""The slices of a version in a terminal, as JSON, CSV and metric keys: from results by hand."""

import csv
import io
import json
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from mlrek.evaluation import SliceColumn
from mlrek.metrics import Number
from mlrek.metrics.slices import SliceJudgement, SliceReport, SliceRow
from mlrek.render import Line, Table
from mlrek.render.document import describe_tables
from mlrek.render.slices import (
    MAX_LOGGED,
    build_slices_json,
    list_logged_numbers,
    list_slice_columns,
    slice_blocks,
    write_slices,
)
from mlrek.render.version import build_shown_json, choose_shown, list_version_blocks

WORSE, BETTER = SliceJudgement.WORSE, SliceJudgement.BETTER
HOSTILE = ('<script>="x\n\x1b[31m', "=cmd|' /C calc'!A0=*1*", "note=" + "x" * 10_000)


def _row(*names, n=40, score=0.8, rest=0.8, p=1.0, **parts):
    """A slice of n images, its interval 0.05 to both sides."""
    difference = score - rest
    values = {
        "images": np.arange(n),
        "numbers": {
            "accuracy": Number(value=score, low=score - 0.05, high=score + 0.05),
            "mcc": Number(value=nan, reason="only one label is true"),
        },
        "low": difference - 0.05,
        "high": difference + 0.05,
        "p": p / 2,
        "p_adjusted": p,
    }
    return SliceRow(names=names, score=score, rest=rest, **(values | parts))


def _report(*singles, **parts):
    parts = {"n_tried": len(singles), "columns": ("site", "camera", "light")} | parts
    return SliceReport(score="accuracy", singles=singles, **parts)


@pytest.fixture
def report():
    """One weak slice that another name shares and a third stands in, one like the rest."""
    return _report(
        _row("site=C", "camera=7", n=300, score=0.71, rest=0.83, p=0.0004, judgement=WORSE),
        _row("light=dark", n=280, score=0.72, p=0.001, judgement=WORSE, part_of="site=C"),
        _row("site=A", n=4_000),
        n_tried=100,
        n_small=12,
        notes=("the numbers of 'lux' are cut into 4 parts by quantile",),
    )


def _lines(blocks):
    return [block.strong + block.text for block in blocks if isinstance(block, Line)]


def _tables(blocks):
    return [block for block in blocks if isinstance(block, Table)]


def test_the_first_sentence_names_the_weak_slice_and_how_surely_it_is(report):
    """Its score, how far below the rest, and over how many slices p is adjusted."""
    first = next(slice_blocks(report, 120))

    assert first.strong == "weak"
    assert first.text == (
        ": site=C (accuracy 0.710 of 300 images, 12 points below the rest, p 0.0004 after Holm "
        "over 100 slices)"
    )


def test_without_a_weak_slice_the_first_sentence_says_so():
    """With the number of slices that were tried; one is not called many."""
    none = _report(_row("site=A"), _row("site=B"), n_tried=100)
    one = _report(_row("site=A"))

    assert _lines(slice_blocks(none, 120))[0] == (
        "no slice of 100 tried is significantly weaker than the rest"
    )
    assert _lines(slice_blocks(one, 120))[0] == (
        "the one slice that was tried is not significantly weaker than the rest"
    )


def test_where_no_slice_was_tried_the_reason_is_said_and_nothing_passes():
    """Too few images of each value, or no test that holds: never "none is weaker"."""
    small = _report(n_small=3)
    grouped = _report(_row("site=A", p=nan, reason="no test: images go together"), n_tried=0)

    assert _lines(slice_blocks(small, 120))[0] == (
        "no slice was tried: no value of a column has 20 images and leaves a rest"
    )
    assert _lines(slice_blocks(grouped, 120))[0] == "no slice was tried: images go together"


def test_slices_of_the_same_images_are_one_row_and_nested_ones_are_named_below(report):
    """A slice within another that tells the same has no row of its own."""
    blocks = list(slice_blocks(report, 120))
    (table,) = _tables(blocks)

    assert [row[0] for row in table.rows] == ["site=C (also camera=7)", "site=A"]
    assert "shown as one with site=C: light=dark (280)" in _lines(blocks)


def test_a_wide_terminal_has_both_intervals_and_a_narrow_one_the_numbers_alone(report):
    """What is worse or better is a word, p is that after Holm."""
    wide, middle, narrow = (_tables(slice_blocks(report, w))[0] for w in (120, 80, 60))

    assert wide.columns == ["slice", "images", "accuracy", "to the rest", "p (Holm)", ""]
    assert list(wide.rows[0][1:]) == [
        *("300", "0.710 (0.66–0.76)", "-0.120 (-0.17 to -0.07)", "0.0004", "worse")
    ]
    assert list(middle.rows[0][2:4]) == ["0.710", "-0.120 (-0.17 to -0.07)"]
    assert list(narrow.rows[0][2:4]) == ["0.710", "-0.120"]
    assert wide.rows[1][-1] == ""


def test_what_slices_are_compared_by_has_a_column_where_it_is_no_headline_number():
    """Boxes have AP, which is of no single image: slices are compared by the F1 of an image."""
    row = _row("site=A", score=0.55, numbers={"ap": Number(value=0.3, low=0.2, high=0.4)})
    (table,) = _tables(slice_blocks(replace(_report(row), score="f1_samples"), 120))

    assert table.columns[2:4] == ["AP", "mean F1 of an image"]
    assert list(table.rows[0][2:4]) == ["0.300 (0.20–0.40)", "0.550"]


def test_what_was_tried_left_out_and_cut_is_said(report):
    """How many slices of how many columns, how many values are too small, what was done."""
    assert _lines(slice_blocks(report, 120))[-2:] == [
        "100 slices of 3 columns tried; 12 values with fewer than 20 images left out",
        "the numbers of 'lux' are cut into 4 parts by quantile",
    ]


def test_a_slice_without_a_test_says_why():
    """It is undecided, with its reason below the table."""
    row = _row("size=small", p=nan, reason="no test: 4 images are not in it, and 20 are needed")
    blocks = list(slice_blocks(_report(row, _row("site=A"), n_tried=1), 120))

    assert list(_tables(blocks)[0].rows[0][-2:]) == ["—", ""]
    assert "size=small: no test: 4 images are not in it, and 20 are needed" in _lines(blocks)


def test_of_many_slices_the_worst_are_shown_and_the_others_counted():
    """25 rows; of weak ones three sentences."""
    weak = [_row(f"site={i}", score=0.5, p=0.01, judgement=WORSE) for i in range(30)]
    blocks = list(slice_blocks(_report(*weak), 120))

    assert [line.partition(" (")[0] for line in _lines(blocks)[:4]] == [
        *("weak: site=0", "weak: site=1", "weak: site=2", "and 27 more weak slices")
    ]
    assert len(_tables(blocks)[0].rows) == 25
    assert "and 5 more slices: `--json` has them" in _lines(blocks)


def test_pairs_are_a_table_of_their_own_where_one_differs_for_sure(report):
    """Else one line says how many were tried; without any tried there is none."""
    pair = _row("site=C & light=dark", score=0.4, p=1e-7, judgement=WORSE)
    like = _row("site=A & light=dark")
    found = list(slice_blocks(replace(report, pairs=(pair, like), n_pairs_tried=2), 120))
    none = list(slice_blocks(replace(report, pairs=(like,), n_pairs_tried=400), 120))

    assert [row[0] for row in _tables(found)[1].rows] == ["site=C & light=dark"]
    assert len(_tables(none)) == 1
    assert (
        "400 pairs of slices tried: none is significantly weaker or better than the rest"
        in _lines(none)
    )
    assert not any("pairs" in line for line in _lines(slice_blocks(report, 120)))


def test_json_has_every_slice_and_null_for_what_does_not_exist(report):
    """Also nested ones, with the name that speaks for them."""
    document = build_slices_json(report)
    first, nested, _ = document["singles"]

    assert {key: first[key] for key in ("name", "names", "column", "value", "images")} == {
        "name": "site=C",
        "names": ["site=C", "camera=7"],
        "column": "site",
        "value": "C",
        "images": 300,
    }
    assert first["numbers"]["mcc"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "only one label is true",
    }
    assert (first["p_adjusted"], first["judgement"], first["part_of"]) == (0.0004, "worse", None)
    assert nested["part_of"] == "site=C"
    assert {key: document[key] for key in ("score", "tried", "pairs_tried", "small")} == {
        "score": "accuracy",
        "tried": 100,
        "pairs_tried": 0,
        "small": 12,
    }
    json.dumps(document, allow_nan=False)


def _read_csv(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_the_file_has_a_row_for_each_slice_and_pair(report):
    """With column and value apart, each number with its ends, and empty cells for no number."""
    pair = _row("site=C & light=dark", score=0.4, p=1e-7, judgement=WORSE)
    rows = _read_csv(write_slices(replace(report, pairs=(pair,), n_pairs_tried=1)))

    assert [(row["family"], row["column"], row["value"]) for row in rows] == [
        ("single", "site", "C"),
        ("single", "light", "dark"),
        ("single", "site", "A"),
        ("pair", "site & light", "C & dark"),
    ]
    assert {name: rows[0][name] for name in ("slice", "same_images", "images", "score")} == {
        "slice": "site=C",
        "same_images": "camera=7",
        "images": "300",
        "score": "0.71",
    }
    assert float(rows[0]["difference"]) == pytest.approx(-0.12)
    assert (rows[0]["accuracy"], rows[0]["mcc"], rows[0]["mcc_low"]) == ("0.71", "", "")
    assert (rows[1]["judgement"], rows[1]["part_of"]) == ("worse", "site=C")


def test_names_of_slices_start_no_formula_and_stay_whole_in_the_file():
    """A spreadsheet reads a text; quotes and line ends stay within their cell."""
    rows = _read_csv(
        write_slices(_report(*(_row(name) for name in HOSTILE), columns=("<script>", "note")))
    )

    assert [row["slice"].removeprefix("'") for row in rows] == list(HOSTILE)
    assert rows[1]["slice"].startswith("'=cmd")
    assert rows[0]["value"] == '"x\n\x1b[31m'


def test_hostile_names_are_cut_in_the_terminal(report):
    """After 80 characters."""
    report = _report(*(_row(name) for name in HOSTILE))
    (table,) = _tables(slice_blocks(report, 60))

    assert table.rows[2][0] == "note=" + "x" * 74 + "…"


def _with_columns(make_evaluation, *names):
    columns = tuple(
        SliceColumn(name=name, values=("x",), codes=np.zeros(1, np.int64)) for name in names
    )
    return make_evaluation(images=("1.png",), slice_columns=columns)


def test_the_largest_slices_of_the_files_columns_are_logged(make_evaluation):
    """At most 20, by images and then name; labels have keys of their own."""
    singles = [_row(f"site={i:02}", n=100 + i, score=i / 100) for i in range(30)]
    label = _row("label=a", n=5_000)
    evaluation = _with_columns(make_evaluation, "site")
    logged = dict(list_logged_numbers(_report(label, *singles), evaluation))

    assert len(logged) == MAX_LOGGED
    assert list(logged)[:2] == ["slice/site_x3D_29", "slice/site_x3D_28"]
    assert logged["slice/site_x3D_29"] == 0.29


def test_versions_with_one_test_set_log_the_same_slices(make_evaluation):
    """Whichever of them is worst."""
    rows = [_row(f"site={i:02}", n=100, score=i / 100) for i in range(30)]
    evaluation = _with_columns(make_evaluation, "site")
    one, other = (
        dict(list_logged_numbers(_report(*singles), evaluation)) for singles in (rows, rows[::-1])
    )

    assert list(one) == list(other) == [f"slice/site_x3D_{i:02}" for i in range(20)]


def test_a_slice_that_shares_its_images_with_a_label_is_logged_by_its_column(make_evaluation):
    """The name that is of a column of the files stands in the key."""
    evaluation = _with_columns(make_evaluation, "site")
    report = _report(_row("label=a", "site=A"))

    assert list(dict(list_logged_numbers(report, evaluation))) == ["slice/site_x3D_A"]


def test_names_that_databases_take_for_equal_have_different_keys(make_evaluation):
    """As labels have them."""
    evaluation = _with_columns(make_evaluation, "site")
    report = _report(_row("site=North"), _row("site=north"))
    keys = [key.casefold() for key, _ in list_logged_numbers(report, evaluation)]

    assert len(set(keys)) == 2


def test_a_number_that_is_undefined_in_a_slice_is_not_logged(make_evaluation):
    """It is left out, never 0."""
    evaluation = _with_columns(make_evaluation, "site")
    report = _report(_row("site=A", numbers={"accuracy": Number(value=nan, reason="none")}))

    assert list(list_logged_numbers(report, evaluation)) == []


def test_a_run_with_columns_has_the_file_and_every_key_in_its_document(
    make_evaluation, make_metrics, report
):
    """`evaluation.json` names each key, its slice, and what the number means."""
    evaluation = _with_columns(make_evaluation, "site", "camera")
    files = describe_tables(evaluation, make_metrics(), slices=report)
    logged = json.loads(files["evaluation.json"])["slices"]["logged"]

    assert "slices.csv" in files
    assert logged["number"] == "accuracy"
    assert logged["definition"].endswith("; of the images of the slice alone")
    assert logged["keys"] == {"slice/site_x3D_A": "site=A", "slice/site_x3D_C": "site=C"}
    assert set(logged["keys"]) == {key for key, _ in list_logged_numbers(report, evaluation)}


def test_a_run_without_columns_is_as_it_was(make_evaluation, make_metrics):
    """Neither a file nor a key of slices."""
    files = describe_tables(make_evaluation(), make_metrics())

    assert "slices.csv" not in files
    assert "slices" not in json.loads(files["evaluation.json"])


def test_a_table_of_no_slice_has_its_columns():
    """For a reader who asks for a column that nothing is in."""
    assert list(list_slice_columns(_report()))[:6] == [
        *("family", "column", "value", "slice", "same_images", "images")
    ]
    assert write_slices(_report()).decode().startswith("family,column,value,slice,")


def test_show_has_the_slices_in_place_of_other_parts(make_evaluation, make_metrics, report):
    """After title and doubts; the document has them next to everything else."""
    metrics = make_metrics()
    shown = choose_shown(make_evaluation(), metrics, slices=report)
    plain = choose_shown(make_evaluation(), metrics)

    assert [table.columns[0] for table in _tables(list_version_blocks(shown))] == ["slice"]
    assert build_shown_json(shown)["slices"] == build_slices_json(report)
    assert build_shown_json(plain)["slices"] is None
