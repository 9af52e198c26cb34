"""Doubts: what they touch and what they do."""

import pytest

from mlrek.evaluation import EFFECTS, Doubt, DoubtKind, Effect


def _doubt(*touches, **fields):
    return Doubt(kind=DoubtKind.GROUPED, text="", touches=touches, **fields)


@pytest.mark.parametrize(
    ("pattern", "name", "label", "expected"),
    [
        ("*", "aggregate/ap", "", True),
        ("aggregate/*", "aggregate/ap", "", True),
        ("aggregate/*", "at_threshold/f1_macro", "", False),
        ("aggregate/ap", "aggregate/ap", "", True),
        ("aggregate/ap", "aggregate/ap_50", "", False),
        ("label_*", "label_recall", "cat", True),
        ("label_recall/cat", "label_recall", "cat", True),
        ("label_recall/cat", "label_recall", "cats", False),
        ("label_recall", "label_recall", "cat", True),
        ("label_recall/a*b", "label_recall", "aXb", False),
    ],
)
def test_touches_numbers_by_name_and_raw_label(pattern, name, label, expected):
    """A star stands for the rest of a name only at its end; a bare name for all its labels."""
    assert _doubt(pattern).touches_number(name, label) is expected


def test_every_kind_has_an_effect():
    """No kind of doubt is without its answer to the gate."""
    assert set(EFFECTS) == set(DoubtKind)


def test_own_effect_wins():
    """A doubt may stop more, or less, than its kind does mostly."""
    assert _doubt("*").effect is Effect.STOPS_INTERVALS
    assert _doubt("*", own_effect=Effect.STOPS).effect is Effect.STOPS
