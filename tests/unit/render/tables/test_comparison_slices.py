"""The slices of a comparison in a terminal, in markdown and as JSON: from results by hand."""

import json
from math import nan

import pytest

from mlrek.api.compared import ComparedVersions
from mlrek.comparison import (
    Comparison,
    Difference,
    Judgement,
    Scope,
    SliceDifference,
    TestSets,
    Verdict,
)
from mlrek.evaluation import Project, Provider, Task, Version
from mlrek.promotion.compare import Compared
from mlrek.render import Line, Table
from mlrek.render.comparison import build_candidate_json, comparison_blocks, write_summary

PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:project", name="p")
OLD, NEW = (Version(project=PROJECT, arn=f"arn:{name}", name=name) for name in ("old", "new"))
WORSE, BETTER, UNDECIDED = Judgement.WORSE, Judgement.BETTER, Judgement.UNDECIDED


def _slice(*names, before=0.9, after=0.9, p=1.0, judgement=UNDECIDED, part_of="", n=40):
    ends = {"scope": Scope.SHARED, "baseline": before, "candidate": after}
    score = Difference(
        name="aggregate/accuracy",
        low=after - before - 0.05,
        high=after - before + 0.05,
        p=p / 2,
        p_adjusted=p,
        judgement=judgement,
        **ends,
    )
    return SliceDifference(
        names=names,
        images=tuple(map(str, range(n))),
        score=score,
        numbers=(Difference(name="aggregate/mcc", **ends | {"baseline": nan}),),
        part_of=part_of,
    )


def _compare(*slices, n_tried=100):
    sets = TestSets(
        verdict=Verdict.SAME,
        shared=100,
        only_baseline=0,
        only_candidate=0,
        relabelled=0,
        duplicated=0,
    )
    return Comparison(
        baseline=OLD,
        candidate=NEW,
        task=Task.CLASSIFICATION,
        labels=("a", "b"),
        test_sets=sets,
        slices=slices,
        n_slices_tried=n_tried,
    )


@pytest.fixture
def three():
    """One got worse under two names, one within it too, one better, one neither."""
    return _compare(
        _slice("site=C", "camera=7", after=0.7, p=0.001, judgement=WORSE, n=300),
        _slice("light=dark", after=0.71, p=0.01, judgement=WORSE, part_of="site=C"),
        _slice("site=A", after=0.89),
        _slice("site=B", after=0.99, p=0.02, judgement=BETTER),
    )


@pytest.fixture
def calm():
    """None got worse or better."""
    return _compare(_slice("site=A", after=0.89), _slice("site=B"))


def _tables(comparison, width=120):
    blocks = comparison_blocks(comparison, width)
    return [b for b in blocks if isinstance(b, Table) and b.columns[0] == "slice"]


def _lines(comparison):
    return [block.text for block in comparison_blocks(comparison, 120) if isinstance(block, Line)]


def test_slices_that_got_worse_come_first_then_better_ones(three):
    """Those that are neither are counted alone; a nested one is named with its slice."""
    (table,) = _tables(three)

    assert [(row[0], row[-1]) for row in table.rows] == [
        ("site=C (also camera=7)", "worse"),
        ("site=B", "better"),
    ]
    assert list(table.rows[0][1:7]) == [
        *("300", "0.9000", "0.7000", "-0.2000", "-0.2500 to -0.1500", "0.001")
    ]
    assert (
        "Slices: 1 significantly worse, 1 better, of 100 tried (p after Holm over all of them):"
        in _lines(three)
    )
    assert "shown as one with site=C: light=dark" in _lines(three)


def test_a_narrow_terminal_has_no_room_for_the_interval(three):
    """And three decimals."""
    (table,) = _tables(three, 60)

    assert "95 % interval" not in table.columns
    assert table.rows[0][2] == "0.900"


def test_where_none_changed_one_line_says_of_how_many(calm):
    """Markdown has the table folded away."""
    said = "Slices: of 100 tried none is significantly worse or better."

    assert said in _lines(calm)
    assert _tables(calm) == []
    assert f"<details><summary>{said}</summary>" in write_summary(calm)
    assert "| site=A | 40 | 0.9000 | 0.8900 |" in write_summary(calm)


def test_markdown_shows_a_slice_that_got_worse_unfolded_and_its_name_as_text(three):
    """A name with a bar, markup or a line end stays in its cell."""
    hostile = _slice("<b>=a|b\n# c", after=0.5, p=0.001, judgement=WORSE)

    assert "| site=C (also camera=7) | 300 | 0.9000 | 0.7000 |" in write_summary(three)
    assert "<details>" not in write_summary(three)
    assert "| \\<b\\>=a\\|b\\\\n\\# c | 40 |" in write_summary(_compare(hostile))


def test_of_many_slices_the_others_are_counted():
    """15 rows."""
    many = _compare(*(_slice(f"site={i}", p=0.01, judgement=WORSE) for i in range(20)))

    assert len(_tables(many)[0].rows) == 15
    assert "and 5 more of these: `--json` has them" in _lines(many)


def test_json_has_every_slice_with_its_score_and_headline_numbers(three):
    """What does not exist is null."""
    document = build_candidate_json(three)
    first, nested = document["slices"][:2]

    assert document["slices_tried"] == 100
    assert [row["name"] for row in document["slices"]] == [
        *("site=C", "light=dark", "site=A", "site=B")
    ]
    assert {name: first[name] for name in ("names", "images", "score", "judgement", "part_of")} == {
        "names": ["site=C", "camera=7"],
        "images": 300,
        "score": "aggregate/accuracy",
        "judgement": "worse",
        "part_of": None,
    }
    assert first["difference"] == pytest.approx(-0.2)
    assert (first["p"], first["p_adjusted"]) == (0.0005, 0.001)
    assert nested["part_of"] == "site=C"
    assert first["numbers"][0]["baseline"] is None
    json.dumps(document["slices"], allow_nan=False)


def test_versions_without_columns_are_compared_as_before():
    """No line, no table; an empty list in the document."""
    none = _compare(n_tried=0)

    assert not any("slice" in line.lower() for line in _lines(none))
    assert "lice" not in write_summary(none)
    assert build_candidate_json(none)["slices"] == []


def test_python_has_the_rows_of_the_document(three):
    """Each number of the score and of the headline numbers; what does not exist is NaN."""
    compared = Compared(
        evaluations=(),
        read_images=(),
        list_kept=(),
        comparisons=(three,),
        several=None,
        runs=(),
    )
    frame = ComparedVersions(compared=compared).slices
    rows = build_candidate_json(three)["slices"]

    assert frame["slice"].tolist() == [row["name"] for row in rows]
    assert frame["same_images"].tolist() == [row["names"][1:] for row in rows]
    assert frame["images"].tolist() == [row["images"] for row in rows]
    for name in ("baseline", "candidate", "difference", "low", "high", "p", "p_adjusted"):
        assert frame[name].tolist() == [row[name] for row in rows]
        assert frame[name].dtype == "float64"
    assert frame["judgement"].tolist() == [row["judgement"] for row in rows]
    assert frame["mcc_candidate"].tolist() == [row["numbers"][0]["candidate"] for row in rows]
    assert frame["mcc_baseline"].isna().all()
