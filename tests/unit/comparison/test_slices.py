"""Two versions in each slice of their shared images."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score
from statsmodels.stats.multitest import multipletests

from mlrek.comparison import Judgement, slices
from mlrek.evaluation import SliceColumn
from mlrek.metrics.test_set import take_images

Y_TRUE = np.arange(400) % 2
SITES = np.repeat([0, 1, 2, 3], 100)
SITE = SliceColumn(name="site", values=("A", "B", "C", "D"), codes=SITES)


def answer(wrong):
    """Right everywhere but on these images."""
    return np.where(np.isin(np.arange(400), wrong), 1 - Y_TRUE, Y_TRUE)


WRONG_BEFORE = [*range(10), *range(100, 130), *range(200, 220)]
WRONG_AFTER = [*range(5, 15), *range(100, 105), *range(210, 255)]
"""On A 5 for 5, on B 25 fewer, on C 10 fewer and 35 more, on D none at all."""


@pytest.fixture
def pair(build_top):
    """Both versions with a column; the candidate is as good in all, and worse on C."""
    return [
        replace(build_top(Y_TRUE, answer(wrong), n_labels=2), slice_columns=(SITE,))
        for wrong in (WRONG_BEFORE, WRONG_AFTER)
    ]


def by_name(comparison):
    """The rows of slices by name."""
    return {row.name: row for row in comparison.slices}


def mid_p(only_baseline, only_candidate):
    """McNemar's mid-p, two-sided (Fagerland 2013)."""
    n, less = only_baseline + only_candidate, min(only_baseline, only_candidate)
    if only_baseline == only_candidate:
        return 1 - binom.pmf(less, n, 0.5) / 2 if n else 1.0
    return 2 * binom.cdf(less, n, 0.5) - binom.pmf(less, n, 0.5)


def test_each_slice_is_judged_by_mcnemar_adjusted_over_all_slices(compare, pair):
    """By hand: of B 25 only the candidate has right, of C 35 only the baseline and 10 the other."""
    comparison = compare(*pair, slices=True)
    found = by_name(comparison)
    p = [mid_p(5, 5), mid_p(0, 25), mid_p(35, 10), mid_p(0, 0)]

    assert comparison.n_slices_tried == 4
    assert [row.score.p for row in map(found.get, ("site=A", "site=B", "site=C", "site=D"))] == (
        pytest.approx(p)
    )
    assert [found[f"site={x}"].score.p_adjusted for x in "ABCD"] == pytest.approx(
        multipletests(p, method="holm")[1]
    )
    assert found["site=C"].score.baseline == 0.8
    assert found["site=C"].score.candidate == 0.55


def test_the_worse_slice_stands_first_although_the_mean_is_what_it_was(compare, pair):
    """Then what is undecided or unchanged, the better one last."""
    comparison = compare(*pair, slices=True)

    assert comparison.find("aggregate/accuracy").difference == 0
    assert [(row.name, row.score.judgement) for row in comparison.slices] == [
        ("site=C", Judgement.WORSE),
        ("site=A", Judgement.UNDECIDED),
        ("site=D", Judgement.UNCHANGED),
        ("site=B", Judgement.BETTER),
    ]


def test_headline_numbers_of_a_slice_are_those_of_its_images(compare, pair):
    """Macro F1 as scikit-learn has it of the 100 images, and the interval of comparing these."""
    row = by_name(compare(*pair, slices=True, intervals=True))["site=C"]
    alone = compare(
        *(take_images(side, np.flatnonzero(SITES == 2)) for side in pair), intervals=True
    )
    f1 = next(d for d in row.numbers if d.name == "aggregate/f1_macro")
    mine = slice(200, 300)

    assert f1.candidate == pytest.approx(
        f1_score(Y_TRUE[mine], answer(WRONG_AFTER)[mine], average="macro")
    )
    assert (f1.low, f1.high) == (
        alone.find("aggregate/f1_macro").low,
        alone.find("aggregate/f1_macro").high,
    )
    assert (row.score.low, row.score.high) == (
        alone.find("aggregate/accuracy").low,
        alone.find("aggregate/accuracy").high,
    )


def test_slices_of_the_same_images_are_one_and_count_once(compare, pair):
    """The camera that stands only at site C tells nothing more."""
    camera = SliceColumn(name="camera", values=("7",), codes=np.where(SITES == 2, 0, -1))
    comparison = compare(
        *(replace(side, slice_columns=(SITE, camera)) for side in pair), slices=True
    )

    assert comparison.n_slices_tried == 4
    assert comparison.slices[0].names == ("site=C", "camera=7")


def test_a_slice_within_one_that_tells_the_same_is_shown_with_it(compare, pair):
    """The surer one speaks: 35 against 10 here, 30 against 0 on the camera."""
    codes = np.where(np.isin(np.arange(400), range(225, 255)), 0, -1)
    camera = SliceColumn(name="camera", values=("7",), codes=codes)
    comparison = compare(
        *(replace(side, slice_columns=(SITE, camera)) for side in pair), slices=True
    )

    assert by_name(comparison)["site=C"].part_of == "camera=7"
    assert by_name(comparison)["camera=7"].part_of == ""


def test_a_slice_of_fewer_than_20_images_is_not_tried(compare, pair):
    """19 images are too few, 20 are enough."""
    sizes = SliceColumn(name="s", values=("19", "20"), codes=np.repeat([0, 1, -1], [19, 20, 361]))
    comparison = compare(*(replace(side, slice_columns=(sizes,)) for side in pair), slices=True)

    assert [row.name for row in comparison.slices] == ["s=20"]


def test_a_column_that_only_the_baseline_has_makes_slices_too(compare, pair):
    """The images are the same, so what is known of them holds for both."""
    baseline, candidate = pair
    comparison = compare(baseline, replace(candidate, slice_columns=()), slices=True)

    assert comparison.slices[0].name == "site=C"


def test_values_that_differ_between_the_versions_are_counted_and_said(compare, pair):
    """The candidate's count; an image without a value differs from one with a value."""
    other = SliceColumn(
        name="site", values=("D", "C", "B", "A"), codes=np.r_[-1, 3 - SITES[1:]].astype(int)
    )
    baseline, candidate = pair
    comparison = compare(replace(baseline, slice_columns=(other,)), candidate, slices=True)

    (warning,) = (w for w in comparison.warnings if "site" in w)
    assert warning == (
        "column 'site': 1 of 400 shared images have another value in the baseline; slices are made "
        "by the candidate's"
    )


def test_images_of_one_object_give_no_p_and_no_judgement(compare, build_top):
    """Ten pictures of an object are no ten trials: the interval is over objects."""
    images = [f"s3://b/{i // 10}/{i}.png" for i in range(400)]
    baseline, candidate = (
        replace(build_top(Y_TRUE, answer(wrong), n_labels=2, images=images), slice_columns=(SITE,))
        for wrong in (WRONG_BEFORE, WRONG_AFTER)
    )
    alone = compare(baseline, candidate, slices=True)
    grouped = compare(baseline, candidate, slices=True, group_by=r"b/(\d+)/")
    score = by_name(grouped)["site=C"].score

    assert np.isnan(score.p)
    assert score.judgement is Judgement.UNDECIDED
    assert score.low < by_name(alone)["site=C"].score.low


def test_without_columns_nothing_is_cut_into_slices(compare, build_top):
    """The labels have a family of their own."""
    one, other = (build_top(Y_TRUE, answer(wrong), n_labels=2) for wrong in (WRONG_BEFORE, []))

    assert compare(one, other, slices=True).slices == ()


def test_slices_that_got_worse_are_found_and_none_where_none_did(compare, build_top, monkeypatch):
    """Of pairs without a worse slice at most 5 % name one; of 15 points worse 80 % are found.

    3,000 images, ten columns of ten values, both versions right on 90 %, errors half in common.
    """
    monkeypatch.setattr(slices, "MAX_NUMBERED", 0)  # what it costs is no part of the question
    rng = np.random.default_rng(7)
    n, n_sets = 3000, 25
    false, found = 0, 0
    for _ in range(n_sets):
        columns = tuple(
            SliceColumn(name=f"c{k}", values=tuple("0123456789"), codes=rng.integers(0, 10, n))
            for k in range(10)
        )
        y_true = rng.integers(0, 2, n)
        common = rng.random(n) < 0.05
        wrong = [common | (rng.random(n) < 0.05) for _ in range(2)]
        worse = wrong[1] | ((columns[3].codes == 4) & (rng.random(n) < 0.15))
        sides = [
            replace(
                build_top(y_true, np.where(w, 1 - y_true, y_true), n_labels=2),
                slice_columns=columns,
            )
            for w in (wrong[0], wrong[1], worse)
        ]
        same = compare(sides[0], sides[1], slices=True)
        hidden = compare(sides[0], sides[2], slices=True)
        false += any(row.score.judgement is Judgement.WORSE for row in same.slices)
        found += hidden.slices[0].name == "c3=4" and (
            hidden.slices[0].score.judgement is Judgement.WORSE
        )

    assert false <= binom.ppf(0.999, n_sets, 0.05)
    assert found >= binom.ppf(0.001, n_sets, 0.8)
