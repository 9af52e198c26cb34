"""A policy file is read strictly: every mistake has its line and says what was probably meant."""

from math import isnan
from pathlib import Path

import pytest

from mlrek.errors import PolicyError
from mlrek.policy import Better, Metric, NoWorse, SameTestSet
from mlrek.policy.parsing import parse_policy, write_policy

EXAMPLES = Path(__file__).parents[3] / "examples"
FLOOR = '[[floor]]\nmetric = "aggregate/f1_macro"\nmin = 0.9\n'


def test_a_whole_policy():
    """Every table and key arrives where it belongs."""
    policy = parse_policy((EXAMPLES / "policy.toml").read_text(), uri="policy.toml")
    f1, accuracy = Metric(name="aggregate/f1_macro"), Metric(name="aggregate/accuracy")
    first, second, third = policy.floors

    assert policy.baseline == "models:/digits@champion"
    assert policy.test_set.same == SameTestSet.REQUIRED
    assert (policy.test_set.min_images, policy.test_set.min_images_per_label) == (200, 10)
    assert policy.test_set.leakage == "allowed"
    assert (first.metric, first.min, first.confidence) == (f1, 0.9, 0.95)
    assert isnan(first.max)
    assert second.metric == Metric(name="label_recall", label="*")
    assert (third.max, isnan(third.confidence)) == (0.05, True)
    assert policy.relative == (
        NoWorse(metric=accuracy, margin=0.005, confidence=0.95),
        Better(metric=f1, confidence=0.95),
    )


def test_what_is_left_out_has_its_default():
    """The same test set is required, nothing may be lost, at 95 %."""
    policy = parse_policy('[[no_worse]]\nmetric = "aggregate/ap"\n', baseline="models:/m/1")

    assert policy.test_set.same == SameTestSet.REQUIRED
    assert policy.test_set.leakage is None
    assert policy.relative == (
        NoWorse(metric=Metric(name="aggregate/ap"), margin=0.0, confidence=0.95),
    )


def test_a_label_may_hold_slashes_and_spaces():
    """All after the first slash is the label's own name."""
    policy = parse_policy('[[floor]]\nmetric = "label_recall/a/b c"\nmin = 1\n')

    assert policy.floors[0].metric == Metric(name="label_recall", label="a/b c")


@pytest.mark.parametrize(
    ("toml", "line", "words"),
    [
        ("[basline]\nversion = 'x'\n" + FLOOR, 1, ["'basline'", "'baseline'"]),
        ("\n[[flor]]\nmetric = 'aggregate/ap'", 2, ["'flor'", "'floor'"]),
        ("x = 1\n" + FLOOR, 1, ["unknown table 'x'"]),
        (
            FLOOR + FLOOR + "tolerance = 1\n",
            7,
            ["tolerance", "metric, slice, min, max"],
        ),
        (FLOOR + FLOOR.replace("0.9", "true"), 6, ["min", "finite number", "true"]),
        (FLOOR.replace("0.9", "nan"), 3, ["finite number"]),
        (FLOOR.replace("0.9", "1" + "0" * 400), 3, ["finite number"]),
        (FLOOR.replace("0.9", "'0.9'"), 3, ["finite number"]),
        (FLOOR + "confidence = 1\n", 4, ["0.5 to below 1"]),
        (FLOOR + "confidence = 0.4\n", 4, ["0.5 to below 1"]),
        (FLOOR + "max = 0.8\n", 3, ["above max"]),
        ("[[floor]]\nmetric = 'aggregate/ap'\n", 1, ["no limit"]),
        ("[[floor]]\nmin = 0.5\n", 1, ["no metric"]),
        ("[[floor]]\nmin = 1\nmetric = 'agregate/ap'\n", 3, ["'aggregate/ap'"]),
        ("[[floor]]\nmin = 1\nmetric = 'accuracy'\n", 3, ["no group of numbers", "aggregate"]),
        ("[[floor]]\nmin = 1\nmetric = 'aggregate'\n", 3, ["aggregate/NAME"]),
        ("[[floor]]\nmin = 1\nmetric = 'label_recall'\n", 3, ["label_recall/*"]),
        ("[[floor]]\nmin = 1\nmetric = 'aggregate/*'\n", 3, ["label_recall/*"]),
        ("[[floor]]\nmin = 1\nmetric = 3\n", 3, ["a text"]),
        ("[floor]\nmin = 1\nmetric = 'aggregate/ap'\n", 1, ["[[floor]]"]),
        ("[[baseline]]\nversion = 'x'\n" + FLOOR, 1, ["[baseline]"]),
        ("baseline = 'x'\n" + FLOOR, 1, ["[baseline]"]),
        ("[baseline]\nversion = ''\n" + FLOOR, 2, ["a text"]),
        ("[test_set]\nsame = 'require'\n" + FLOOR, 2, ["'required'"]),
        ("[test_set]\nleakage = true\n" + FLOOR, 2, ["'forbidden'"]),
        ("[test_set]\nmin_images = 2.5\n" + FLOOR, 2, ["whole number"]),
        ("[test_set]\nmin_images = -1\n" + FLOOR, 2, ["whole number"]),
        ("[test_set]\nmin_imges = 1\n" + FLOOR, 2, ["'min_images'"]),
        ("[[no_worse]]\nmetric = 'aggregate/ap'\nmargin = -0.1\n", 3, ["from 0"]),
        (
            "[[better]]\nmetric = 'aggregate/ap'\nmargin = 0.1\n",
            3,
            ["margin", "metric, slice, confidence"],
        ),
        (FLOOR + "min = 0.9\n", 4, ["TOML"]),
        ("[[floor]]\nmetric = 'x\n", 2, ["TOML"]),
    ],
)
def test_a_mistake_is_told_with_its_line(toml, line, words):
    """File, line, what is wrong and what was probably meant."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(toml, uri="p.toml")

    assert str(caught.value).startswith(f"p.toml:{line}: ")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "toml", ["", "# nothing\n", "[baseline]\nversion = 'x'\n", "[test_set]\nsame = 'any'\n"]
)
def test_a_policy_that_checks_nothing_is_no_policy(toml):
    """Otherwise every version would pass."""
    with pytest.raises(PolicyError, match="checks nothing"):
        parse_policy(toml)


def test_a_minimum_of_images_is_a_check():
    """A policy may ask for nothing but a test set."""
    assert parse_policy("[test_set]\nmin_images = 10\n").test_set.min_images == 10


def test_endless_nesting_is_a_mistake_not_a_crash():
    """TOML's reader gives up on tables within tables: so does the policy."""
    with pytest.raises(PolicyError):
        parse_policy("x = " + "[" * 20_000)


def test_a_check_may_be_of_slices_and_columns_come_from_image_uris():
    """Each kind of check; the value may hold any character."""
    policy = parse_policy(
        "[test_set]\nmin_images_per_slice = 50\nslice_by = { site = '/(s[0-9])/' }\n"
        + FLOOR
        + 'slice = "site=*"\n'
        + '[[no_worse]]\nmetric = "label_recall/*"\nslice = "a b=c=d*"\n'
        + '[[better]]\nmetric = "aggregate/ap"\nslice = "x=*"\n',
        baseline="models:/m/1",
    )

    assert policy.test_set.min_images_per_slice == 50
    assert policy.test_set.slice_by == {"site": "/(s[0-9])/"}
    assert policy.floors[0].slice == "site=*"
    assert [one.slice for one in policy.relative] == ["a b=c=d*", "x=*"]


def test_tables_of_python_write_columns_too():
    """`mlrek.check` takes a policy as dicts."""
    document = {"test_set": {"slice_by": {"a b": 'x"\n'}, "min_images": 3}}

    assert parse_policy(write_policy(document)).test_set.slice_by == {"a b": 'x"\n'}
