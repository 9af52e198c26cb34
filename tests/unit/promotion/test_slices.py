"""Slices in a policy, from evaluations to the decision."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from builders.sliced import (
    decide_slices,
    make_sites,
    name_place,
    with_column,
    with_sites,
    without_columns,
)
from sklearn.metrics import f1_score
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import Doubt, DoubtKind, SliceColumn
from mlrek.metrics.paired_tests import PairedCounts
from mlrek.metrics.test_set import take_images

SIZES = {"A": 100, "B": 100, "C": 100}
EVEN = {"A": 95, "B": 95, "C": 95}
WHOLE = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.8\nconfidence = 0.95\n'
IN_SITES = WHOLE + 'slice = "site=*"\n'
IN_A = WHOLE + 'slice = "site=A"\n'
NO_WORSE = '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.05\nslice = "site=*"\n'
BETTER_IN_A = '[[better]]\nmetric = "aggregate/accuracy"\nslice = "site=A"\n'


def answers(decision):
    """How each check of a number ended, by slice."""
    return {c.metric.slice: c.status.value for c in decision.checks if c.kind != "test_set"}


def reason(decision, name):
    """Why the check of a slice ended so."""
    return next(c.reason for c in decision.checks if c.metric.slice == name)


def test_one_slice_refuses_a_version_whose_mean_is_good():
    """The whole passes at 0.83, the site with 55 of 100 fails; the better version passes."""
    bad = make_sites(SIZES, {"A": 98, "B": 98, "C": 55}, name="bad")
    good = make_sites(SIZES, {"A": 95, "B": 95, "C": 95}, name="good")
    policy = WHOLE.replace("0.8", "0.75") + IN_SITES

    assert decide_slices(policy, bad).exit_code() == 3
    assert answers(decide_slices(policy, bad)) == {
        "": "passed",
        "site=A": "passed",
        "site=B": "passed",
        "site=C": "failed",
    }
    assert decide_slices(policy, good).exit_code() == 0


def test_the_numbers_of_a_slice_are_those_of_its_images():
    """F1 by scikit-learn, the interval of accuracy by statsmodels, on the images of one site."""
    version = make_sites(SIZES, {"A": 97, "B": 60, "C": 88})
    floor = '[[floor]]\nmetric = "aggregate/f1_macro"\nmin = 0.5\nslice = "site=B"\n'
    decision = decide_slices(floor + IN_SITES, version)
    f1, *accuracy = [c for c in decision.checks if c.kind == "floor"]
    true = [i % 2 for i in range(100)]
    said = [t if i < 60 else 1 - t for i, t in enumerate(true)]

    assert f1.value == pytest.approx(f1_score(true, said, average="macro"), abs=1e-12)
    for check, n_right in zip(accuracy, (97, 60, 88), strict=True):
        low, high = proportion_confint(n_right, 100, method="wilson")
        assert check.value == n_right / 100
        assert (check.low, check.high) == pytest.approx((low, high), abs=1e-9)


def test_a_relative_check_in_a_slice_pairs_the_images_of_that_slice():
    """Of 100 images of a site 80 are right for both, 10 for the candidate alone."""
    candidate = make_sites(SIZES, {"A": 90, "B": 50, "C": 95})
    baseline = make_sites(SIZES, {"A": 80, "B": 95, "C": 95}, name="v1")
    check = decide_slices(BETTER_IN_A, candidate, baseline).checks[-1]
    counts = PairedCounts(both=80, only_baseline=0, only_candidate=10, neither=10)

    assert (check.status, check.baseline, check.value) == ("passed", 0.8, 0.9)
    assert (check.low, check.high) == pytest.approx(counts.interval(0.95), abs=1e-12)


def test_better_and_no_worse_are_answered_in_each_slice():
    """One site got worse, one better, one is the same."""
    candidate = make_sites(SIZES, {"A": 95, "B": 60, "C": 90})
    baseline = make_sites(SIZES, {"A": 80, "B": 80, "C": 90}, name="v1")
    found = answers(decide_slices(NO_WORSE, candidate, baseline))

    assert found == {"site=A": "passed", "site=B": "failed", "site=C": "passed"}
    assert answers(decide_slices(BETTER_IN_A, candidate, baseline)) == {"site=A": "passed"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sites=A", ["no column 'sites'", "did you mean site?"]),
        ("sites=*", ["no column 'sites'", "did you mean site?"]),
        ("site=a1", ["no test image has 'site=a1'", "site=A"]),
        ("camera=*", ["no column 'camera'", "there are: site, label"]),
        ("label=c", ["no test image has 'label=c'", "label=a"]),
        ("box_size=small", ["no column 'box_size'"]),
    ],
)
def test_a_slice_that_is_not_there_is_undecided_and_the_nearest_is_named(name, words):
    """Never passed, and nothing forgives it: a slip of the pen must not open the gate."""
    version = make_sites(SIZES, EVEN)
    decision = decide_slices(IN_A.replace("site=A", name) + WHOLE, version)

    assert answers(decision)[name] == "undecided"
    assert decision.exit_code() == decision.exit_code("pass") == 4
    for word in words:
        assert word in reason(decision, name)


@pytest.mark.parametrize(
    ("least", "n", "status"),
    [
        ("", 20, "passed"),
        ("", 19, "undecided"),
        ("min_images_per_slice = 50", 50, "passed"),
        ("min_images_per_slice = 50", 49, "undecided"),
        ("min_images_per_slice = 5", 19, "undecided"),
    ],
)
def test_a_slice_of_few_images_is_undecided(least, n, status):
    """20 always, and what the policy asks for; all of them right changes nothing."""
    version = make_sites({"A": n, "B": 100}, {"A": n, "B": 95})
    for rule in (IN_A, IN_SITES):
        decision = decide_slices(f"[test_set]\n{least}\n{rule}", version)
        assert answers(decision)["site=A"] == status
    if status == "undecided":
        assert f"this slice has {n} test images, " in reason(decision, "site=A")
        assert decision.exit_code("pass") == 4


def test_a_column_in_which_every_slice_is_small_is_undecided():
    """Sites of one image each tell nothing."""
    sizes = {f"s{i:03d}": 1 for i in range(30)}
    decision = decide_slices(WHOLE.replace("0.8", "0.5") + IN_SITES, make_sites(sizes, sizes))

    assert decision.exit_code() == 4
    assert {c.status for c in decision.checks[1:]} == {"undecided"}


def test_a_column_without_values_is_undecided():
    """`site=*` of nothing is no pass."""
    version = with_sites(make_sites(SIZES, EVEN), [None] * 300)

    assert decide_slices(IN_SITES, version).exit_code() == 4


def test_images_without_a_value_are_in_no_slice_and_counted():
    """30 of 300, in the reason of each check of the column."""
    values = ["A"] * 100 + ["B"] * 170 + [None] * 30
    decision = decide_slices(IN_SITES, with_sites(make_sites(SIZES, EVEN), values))

    assert answers(decision) == {
        "site=A": "passed",
        "site=B": "passed",
        "site=(no value)": "undecided",
    }
    for name in ("site=A", "site=B"):
        assert "30 of 300 test images have no 'site'" in reason(decision, name)


@pytest.mark.parametrize(("n", "code"), [(19, 0), (20, 4)])
def test_images_without_a_value_that_could_be_a_slice_keep_a_policy_from_passing(n, code):
    """The camera that failed may be the one that wrote no name; fewer than 20 tell nothing."""
    values = ["A"] * 150 + ["B"] * (150 - n) + [None] * n

    assert decide_slices(IN_SITES, with_sites(make_sites(SIZES, EVEN), values)).exit_code() == code


def test_a_slice_whose_images_lost_their_truth_is_undecided():
    """Images that count nowhere are no evidence."""
    version = make_sites(SIZES, EVEN, lost=("C",))
    decision = decide_slices(IN_SITES, version)

    assert answers(decision) == {"site=A": "passed", "site=B": "passed", "site=C": "undecided"}
    assert "0 test images with a truth (of 100)" in reason(decision, "site=C")


def test_a_slice_of_all_images_is_answered_as_the_whole():
    """The same number, interval, status, and the same against the baseline."""
    candidate = make_sites(SIZES, {"A": 95, "B": 90, "C": 85})
    baseline = make_sites(SIZES, {"A": 80, "B": 85, "C": 85}, name="v1")
    all_alike = [with_sites(one, ["x"] * 300) for one in (candidate, baseline)]
    rules = WHOLE + '[[better]]\nmetric = "aggregate/f1_macro"\n'
    in_slice = rules.replace("[[better]]", 'slice = "site=*"\n[[better]]') + 'slice = "site=x"\n'
    whole, sliced = (decide_slices(rule, *all_alike).checks for rule in (rules, in_slice))

    for one, other in zip(whole, sliced, strict=True):
        assert one.status == other.status
        assert [one.value, one.baseline, one.low, one.high] == pytest.approx(
            [other.value, other.baseline, other.low, other.high], abs=1e-12, nan_ok=True
        )


def test_a_star_in_a_value_is_a_letter_like_others():
    """`site=*` is every value, also the one called `*`; `site=A*` is one value, not two."""
    sizes = {"*": 60, "A*": 60, "AB": 60}
    version = make_sites(sizes, {"*": 58, "A*": 58, "AB": 10})

    assert set(answers(decide_slices(IN_SITES, version))) == {"site=*", "site=A*", "site=AB"}
    assert answers(decide_slices(IN_A.replace("site=A", "site=A*"), version)) == {
        "site=A*": "passed"
    }


def test_a_name_that_two_columns_may_mean_is_undecided():
    """Column `x` with the value `y=z`, and column `x=y` with the value `z`."""
    version = make_sites(SIZES, EVEN)
    evaluation = with_column(version.evaluation, "x", ["y=z"] * 300)
    version = replace(version, evaluation=with_column(evaluation, "x=y", ["z"] * 300))
    decision = decide_slices(IN_A.replace("site=A", "x=y=z"), version)

    assert answers(decision) == {"x=y=z": "undecided"}
    assert "several columns: 'x', 'x=y'" in reason(decision, "x=y=z")


def test_numbers_are_cut_into_quarters_and_each_is_a_slice():
    """100 images of each of 300 numbers are four slices of 75; those without one are in none."""
    version = make_sites(SIZES, EVEN)
    numbers = np.arange(300.0)
    numbers[:19] = np.nan
    column = SliceColumn(name="lux", numbers=numbers)
    evaluation = replace(version.evaluation, slice_columns=(column,))
    decision = decide_slices(
        IN_SITES.replace("site", "lux"), replace(version, evaluation=evaluation)
    )

    assert len(answers(decision)) == 4
    assert "19 of 300 test images have no 'lux'" in decision.checks[0].reason


def test_the_true_label_is_a_column_too():
    """`label=a` are the images whose truth is a."""
    version = make_sites({"A": 100}, {"A": 99})  # the wrong one is of b
    toml = IN_SITES.replace("site=*", "label=*").replace("aggregate/accuracy", "label_recall/a")
    check = decide_slices(toml, version).checks[0]

    assert (check.metric.slice, check.value) == ("label=a", 1.0)


def test_a_value_that_only_the_baseline_has_is_undecided_and_said():
    """A camera that vanished: no comparison passes over it, and floors say it."""
    baseline = make_sites(SIZES, EVEN, name="v1")
    candidate = make_sites({"A": 100, "B": 100}, {"A": 98, "B": 98})
    loose = '[test_set]\nsame = "overlapping"\n'
    compared = decide_slices(loose + NO_WORSE, candidate, baseline)
    floors = decide_slices(loose + IN_SITES, candidate, baseline)
    named = decide_slices(loose + NO_WORSE.replace("site=*", "site=C"), candidate, baseline)

    assert answers(compared) == {"site=A": "passed", "site=B": "passed", "site=C": "undecided"}
    assert "on 100 images of it, the candidate on none" in reason(compared, "site=C")
    assert floors.exit_code() == 0
    assert any("site=C (100 images)" in warning for warning in floors.warnings)
    assert answers(named) == {"site=C": "undecided"}
    assert "100 images of it" in reason(named, "site=C")


def test_a_column_that_only_the_baseline_has_is_joined_by_image():
    """And said; the answer is the same as with the column."""
    candidate = make_sites(SIZES, {"A": 98, "B": 50, "C": 98})
    baseline = make_sites(SIZES, EVEN, name="v1")
    full = decide_slices(IN_SITES + NO_WORSE, candidate, baseline)
    shuffled = np.random.default_rng(0).permutation(300)
    moved = replace(candidate, evaluation=take_images(candidate.evaluation, shuffled))
    joined = decide_slices(IN_SITES + NO_WORSE, without_columns(moved), baseline)

    assert [(c.metric, c.status, c.value) for c in full.checks] == [
        (c.metric, c.status, c.value) for c in joined.checks
    ]
    assert "the baseline's is taken, by image" in joined.checks[-1].reason


def test_a_column_that_only_the_candidate_has_is_enough():
    """Runs that were logged before had none."""
    candidate = make_sites(SIZES, {"A": 98, "B": 50, "C": 98})
    baseline = without_columns(make_sites(SIZES, EVEN, name="v1"))

    assert answers(decide_slices(NO_WORSE, candidate, baseline)) == {
        "site=A": "passed",
        "site=B": "failed",
        "site=C": "passed",
    }


def test_versions_that_disagree_about_a_column_are_not_compared_there():
    """Seven images moved from site A to B: both are undecided, C is compared."""
    candidate = make_sites(SIZES, {"A": 98, "B": 98, "C": 98})
    baseline = make_sites(SIZES, EVEN, name="v1")
    moved = ["B"] * 7 + ["A"] * 93 + ["B"] * 100 + ["C"] * 100
    decision = decide_slices(NO_WORSE, with_sites(candidate, moved), baseline)

    assert answers(decision) == {
        "site=A": "undecided",
        "site=B": "undecided",
        "site=C": "passed",
    }
    assert "another 'site' of 7 shared images" in reason(decision, "site=A")
    assert decision.exit_code("pass") == decision.exit_code("fail") == 4


def test_images_that_lost_their_value_are_a_disagreement():
    """Bad images of a site cannot leave it by a hole in the column."""
    candidate = make_sites(SIZES, {"A": 60, "B": 98, "C": 98})
    baseline = make_sites(SIZES, EVEN, name="v1")
    holes = ["A"] * 60 + [None] * 40 + ["B"] * 100 + ["C"] * 100
    decision = decide_slices(NO_WORSE, with_sites(candidate, holes), baseline)

    assert answers(decision)["site=A"] == "undecided"
    assert "of 40 shared images" in reason(decision, "site=A")


def test_disjoint_test_sets_are_compared_slice_by_slice_where_the_policy_says_any():
    """Each version on its own images of the site; without enough of the baseline's undecided."""
    loose = '[test_set]\nsame = "any"\n'
    candidate = make_sites(SIZES, {"A": 98, "B": 98, "C": 98})
    baseline = make_sites(
        {"A": 100, "B": 15, "C": 100}, {"A": 70, "B": 10, "C": 98}, name="v1", folder="s3://o"
    )
    decision = decide_slices(loose + BETTER_IN_A, candidate, baseline)
    check = decision.checks[-1]

    assert (check.status, check.baseline, check.value) == ("passed", 0.7, 0.98)
    few = decide_slices(loose + NO_WORSE, candidate, baseline)
    assert answers(few)["site=B"] == "undecided"
    assert "the baseline has 15 test images of this slice" in reason(few, "site=B")
    bare = decide_slices(loose + BETTER_IN_A, candidate, without_columns(baseline))
    assert answers(bare) == {"site=A": "undecided"}
    assert "the baseline has no column 'site'" in reason(bare, "site=A")


def test_other_test_sets_are_as_undecided_in_slices_as_in_the_whole():
    """The policy requires the same images."""
    candidate = make_sites(SIZES, EVEN)
    baseline = make_sites({"A": 100, "B": 100}, {"A": 50, "B": 50}, name="v1")
    decision = decide_slices(NO_WORSE, candidate, baseline)

    assert decision.exit_code() == decision.exit_code("pass") == 4
    assert "not comparable" in reason(decision, "site=*")


def test_on_shared_images_a_slice_needs_as_many_of_both():
    """Of 100 images of a site 10 are shared: 10 too few."""
    candidate = make_sites({"A": 100, "B": 100}, {"A": 98, "B": 98})
    baseline = make_sites({"A": 10, "B": 100}, {"A": 5, "B": 90}, name="v1")
    decision = decide_slices('[test_set]\nsame = "overlapping"\n' + NO_WORSE, candidate, baseline)

    assert answers(decision) == {"site=A": "undecided", "site=B": "passed"}
    assert "both versions have, by one truth, 10 test images" in reason(decision, "site=A")


def test_before_the_first_promotion_floors_in_slices_decide():
    """Checks against a baseline are ignored, as those of the whole are."""
    decision = decide_slices(NO_WORSE + IN_SITES, make_sites(SIZES, EVEN))

    assert decision.exit_code() == 0
    assert [c.status for c in decision.checks if c.kind == "no_worse"] == ["ignored"]
    assert decide_slices(NO_WORSE, make_sites(SIZES, EVEN)).exit_code() == 4


def test_doubts_of_the_whole_hold_in_its_slices():
    """Images that are missing may be those of one site."""
    version = make_sites(SIZES, EVEN)
    doubt = Doubt(kind=DoubtKind.IMAGES_MISSING, text="9 images are missing")
    weak = replace(version, evaluation=replace(version.evaluation, doubts=(doubt,)))
    decision = decide_slices(IN_SITES, weak)

    assert set(answers(decision).values()) == {"undecided"}
    assert "9 images are missing" in reason(decision, "site=B")
    accepted = '[test_set]\naccept = ["images_missing"]\n'
    assert decide_slices(accepted + IN_SITES, weak).exit_code() == 0


def test_what_goes_together_within_a_slice_alone_stops_that_slice():
    """In site C all images of an object are right, or all wrong; of 3,160 images that is lost."""
    sizes = {"A": 1500, "B": 1500, "C": 160}
    version = make_sites(sizes, {"A": 1350, "B": 1350, "C": 160})
    images = [image.replace(".png", "/x.png") for image in version.evaluation.images]
    codes = version.evaluation.records.label_idx.copy()
    for i in range(160):
        images[3000 + i] = f"s3://b/object-{chr(ord('a') + i // 8)}/{name_place(i)}.png"
        if i // 8 in {5, 12}:  # two of twenty objects
            codes[3000 + i] = 1 - codes[3000 + i]
    records = replace(version.evaluation.records, label_idx=codes)
    evaluation = replace(version.evaluation, images=tuple(images), records=records)
    decision = decide_slices(IN_SITES, replace(version, evaluation=evaluation))

    assert answers(decision) == {"site=A": "passed", "site=B": "passed", "site=C": "undecided"}
    assert decision.doubts == ()
    assert "in site=C: right and wrong go together" in reason(decision, "site=C")


def test_group_by_makes_objects_the_units_within_a_slice():
    """Ten images of each of six objects are six units: no interval."""
    version = make_sites({"A": 60, "B": 600}, {"A": 60, "B": 590})
    images = [
        f"s3://b/object-{site}{i // 10}/{i}.png"
        for site, n in (("A", 60), ("B", 600))
        for i in range(n)
    ]
    evaluation = replace(version.evaluation, images=tuple(images))
    grouped = '[test_set]\ngroup_by = "/(object-[A-Z0-9]+)/"\n'
    decision = decide_slices(grouped + IN_SITES, replace(version, evaluation=evaluation))

    assert answers(decision) == {"site=A": "undecided", "site=B": "passed"}
    assert "group" in reason(decision, "site=A")


def test_columns_may_be_cut_from_the_names_of_images():
    """`[test_set] slice_by`: the first group of the pattern is the value."""
    candidate = without_columns(make_sites(SIZES, {"A": 98, "B": 98, "C": 40}))
    baseline = without_columns(make_sites(SIZES, EVEN, name="v1"))
    cut = '[test_set]\nslice_by = { place = "^s3://b/([A-Z])/" }\n'
    rules = (IN_SITES + NO_WORSE).replace("site=", "place=")
    decision = decide_slices(cut + rules, candidate, baseline)

    assert answers(decision) == {"place=A": "passed", "place=B": "passed", "place=C": "failed"}
    assert decide_slices(rules, candidate, baseline).exit_code() == 4


def test_labels_in_slices_are_one_check_each():
    """Two labels in three sites are six checks."""
    toml = IN_SITES.replace("aggregate/accuracy", "label_recall/*").replace("0.8", "0.5")
    decision = decide_slices(toml, make_sites(SIZES, EVEN))

    assert {(c.metric.label, c.metric.slice) for c in decision.checks} == {
        (label, f"site={site}") for label in "ab" for site in "ABC"
    }
    assert decision.exit_code() == 0


def test_a_column_that_equals_the_prediction_is_a_column_like_others():
    """A slice of what was called a: its accuracy is the precision of a."""
    version = make_sites({"A": 200}, {"A": 150})
    codes = version.evaluation.records.label_idx.tolist()
    said = with_sites(version, [version.evaluation.labels[code] for code in codes], "said")
    decision = decide_slices(IN_SITES.replace("site", "said").replace("0.8", "0.6"), said)
    n_said = codes.count(0)
    n_right = sum(code == 0 and i < 150 for i, code in enumerate(codes))
    check = next(c for c in decision.checks if c.metric.slice == "said=a")

    assert check.value == pytest.approx(n_right / n_said)


def test_estimates_of_images_are_of_the_slice_in_words_and_of_the_whole_in_numbers():
    """A slice of a third of the images needs three times as many in all."""
    version = make_sites(SIZES, {"A": 84, "B": 99, "C": 99})
    whole = make_sites({"A": 100}, {"A": 84})
    toml = IN_A.replace("0.8", "0.80")
    check, alone = (decide_slices(toml, one).checks[0] for one in (version, whole))

    assert check.status == alone.status == "undecided"
    assert "images of this slice would tell" in check.reason
    assert check.images_needed_range == tuple(3 * n for n in alone.images_needed_range)


def test_what_a_service_gives_of_the_whole_is_no_number_of_a_slice():
    """Its own F1 is of all images, and is never taken for that of a site."""
    version = make_sites(SIZES, EVEN)
    reported = replace(version.evaluation.reported, aggregate={"f1": 0.99})
    evaluation = replace(version.evaluation, reported=reported)
    toml = '[[floor]]\nmetric = "reported/f1"\nmin = 0.5\nslice = "site=A"\n'
    decision = decide_slices(toml, replace(version, evaluation=evaluation))

    assert decision.exit_code() == 4
    assert isnan(decision.checks[0].value)
    assert "of all test images, not of slices" in decision.checks[0].reason
