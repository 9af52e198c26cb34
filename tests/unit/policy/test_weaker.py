"""Where a policy asks for less than the one before."""

import pytest

from mlrek.policy.parsing import list_weaker, parse_policy

BEFORE = """
[test_set]
same = "required"
min_images = 200
min_images_per_label = 10
min_images_per_slice = 50
leakage = "forbidden"
group_by = "/(o[0-9]+)/"
slice_by = { site = "/(s[0-9])/" }
adjust_for_looks = true
accept = ["lines_skipped"]
[[floor]]
metric = "aggregate/f1_macro"
min = 0.9
confidence = 0.95
[[floor]]
metric = "label_recall/*"
min = 0.8
[[floor]]
metric = "aggregate/ece"
max = 0.05
[[no_worse]]
metric = "aggregate/accuracy"
margin = 0.005
[[floor]]
metric = "aggregate/accuracy"
slice = "site=*"
min = 0.7
[[better]]
metric = "aggregate/mcc"
"""


def weaken(old: str, new: str) -> tuple[str, ...]:
    """What is weaker where a part of the policy is another."""
    assert old in BEFORE
    before, now = (
        parse_policy(text, baseline="models:/m@champion")
        for text in (BEFORE, BEFORE.replace(old, new, 1))
    )
    return list_weaker(before, now)


RECALL = '[[floor]]\nmetric = "label_recall/*"\nmin = 0.8\n'
NO_WORSE = '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.005\n'
BETTER = '[[better]]\nmetric = "aggregate/mcc"\n'
IN_SITES = '[[floor]]\nmetric = "aggregate/accuracy"\nslice = "site=*"\nmin = 0.7\n'
IN_SITES_NAME = "[[floor]] aggregate/accuracy in site=*"
GROUP = 'group_by = "/(o[0-9]+)/"\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("min = 0.9\n", "min = 0.85\n", "[[floor]] aggregate/f1_macro: min 0.9 is now 0.85"),
        ("max = 0.05", "max = 0.06", "[[floor]] aggregate/ece: max 0.05 is now 0.06"),
        (
            "confidence = 0.95\n",
            "confidence = 0.9\n",
            "[[floor]] aggregate/f1_macro: confidence 95 % is now 90 %",
        ),
        (
            "confidence = 0.95\n",
            "",
            "[[floor]] aggregate/f1_macro: confidence 95 % is now none",
        ),
        (RECALL, "", "[[floor]] label_recall/*: the check was removed"),
        (
            "label_recall/*",
            "label_recall/one",
            "[[floor]] label_recall/*: the check was removed; only label_recall/one is left",
        ),
        (
            "margin = 0.005",
            "margin = 0.02",
            "[[no_worse]] aggregate/accuracy: margin 0.005 is now 0.02",
        ),
        (NO_WORSE, "", "[[no_worse]] aggregate/accuracy: the check was removed"),
        (
            BETTER,
            BETTER + "confidence = 0.8\n",
            "[[better]] aggregate/mcc: confidence 95 % is now 80 %",
        ),
        (
            "[[better]]",
            "[[no_worse]]",
            "[[better]] aggregate/mcc: the check was removed, [[no_worse]] in its place",
        ),
        ("min_images = 200", "min_images = 50", "[test_set] min_images: 200 is now 50"),
        (
            "min_images_per_label = 10\n",
            "",
            "[test_set] min_images_per_label: 10 is now not asked",
        ),
        ('"required"', '"any"', '[test_set] same: "required" is now "any"'),
        (
            'leakage = "forbidden"\n',
            "",
            '[test_set] leakage: "forbidden" is now not said',
        ),
        (
            '"forbidden"',
            '"allowed"',
            '[test_set] leakage: "forbidden" is now "allowed"',
        ),
        (
            '["lines_skipped"]',
            '["lines_skipped", "grouped"]',
            '[test_set] accept: "grouped" was added',
        ),
        (
            "min_images_per_slice = 50\n",
            "",
            "[test_set] min_images_per_slice: 50 is now not asked",
        ),
        (
            'slice_by = { site = "/(s[0-9])/" }\n',
            "",
            "[test_set] slice_by: 'site' by '/(s[0-9])/' was dropped",
        ),
        (
            '"/(s[0-9])/"',
            '"/(s)/"',
            "[test_set] slice_by: 'site' by '/(s[0-9])/' is now '/(s)/'",
        ),
        (IN_SITES, "", "[[floor]] aggregate/accuracy in site=*: the check was removed"),
        (
            "min = 0.7",
            "min = 0.6",
            "[[floor]] aggregate/accuracy in site=*: min 0.7 is now 0.6",
        ),
        (
            '"site=*"',
            '"site=A"',
            f"{IN_SITES_NAME}: the check was removed; only aggregate/accuracy in site=A is left",
        ),
        (
            'slice = "site=*"\n',
            "",
            "[[floor]] aggregate/accuracy in site=*: the check was removed",
        ),
        (GROUP, "", "[test_set] group_by: '/(o[0-9]+)/' was dropped"),
        (
            "adjust_for_looks = true\n",
            "",
            "[test_set] adjust_for_looks: true is now false",
        ),
    ],
)
def test_each_rule_that_asks_for_less_is_said(old, new, said):
    """One rule at a time, in the words that a person reads."""
    assert weaken(old, new) == (said,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min = 0.9\n", "min = 0.9\n"),
        ("min = 0.9\n", "min = 0.95\n"),
        ("max = 0.05", "max = 0.01"),
        ("margin = 0.005", "margin = 0"),
        ("min_images = 200", "min_images = 500"),
        ('accept = ["lines_skipped"]\n', ""),
        ("confidence = 0.95", "confidence = 0.99"),
        (NO_WORSE, '[[better]]\nmetric = "aggregate/accuracy"\n'),
        (RECALL, RECALL + RECALL.replace("*", "one").replace("0.8", "0.5")),
        (IN_SITES, IN_SITES.replace("0.7", "0.8") + IN_SITES.replace("*", "A")),
        ("min_images_per_slice = 50", "min_images_per_slice = 60"),
    ],
)
def test_what_asks_for_as_much_or_more_is_not_said(old, new):
    """Nor is a further check, or a better in the place of a no_worse."""
    assert weaken(old, new) == ()


def test_a_column_of_which_each_slice_was_asked_covers_one_slice_of_it():
    """`site=*` is all that `site=A` was, and more; `place=*` is not."""
    now = BEFORE.replace("site=*", "site=A")
    before, wider, other = (
        parse_policy(text, baseline="models:/m@champion")
        for text in (now, BEFORE, BEFORE.replace("site=*", "place=*"))
    )

    assert list_weaker(before, wider) == ()
    assert list_weaker(before, other) == (
        "[[floor]] aggregate/accuracy in site=A: the check was removed",
    )
