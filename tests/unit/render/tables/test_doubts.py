"""The JSON form of a doubt."""

import pytest

from mlrek.evaluation import Doubt, DoubtKind, Effect
from mlrek.render.doubts import build_doubt_json, order_doubts, parse_doubt, say_touched


def test_a_doubt_has_its_count_its_side_and_what_it_touches():
    """With raw label names, and the effect of its kind."""
    doubt = Doubt(
        kind=DoubtKind.LINES_SKIPPED,
        text="3 of 40 lines were left out",
        count=3,
        of=40,
        touches=("aggregate/*", "label_recall/a/b"),
        side="candidate",
    )

    assert build_doubt_json(doubt) == {
        "kind": "lines_skipped",
        "side": "candidate",
        "count": 3,
        "of": 40,
        "touches": ["aggregate/*", "label_recall/a/b"],
        "text": "3 of 40 lines were left out",
        "effect": "stops",
    }


def test_what_is_not_counted_is_null():
    """And so is whose it is; an effect of its own goes before that of its kind."""
    doubt = Doubt(kind=DoubtKind.UNANSWERED, text="x", own_effect=Effect.STOPS_RELATIVE)

    described = build_doubt_json(doubt)

    assert (described["side"], described["count"], described["of"]) == (None, None, None)
    assert described["touches"] == ["*"]
    assert described["effect"] == "stops_relative"


def test_a_doubt_comes_back_from_its_json():
    """Whatever stands in its text and labels; the effect is then its own."""
    doubt = Doubt(
        kind=DoubtKind.UNANSWERED,
        text="7 \udce4 images\n",
        count=7,
        of=9,
        touches=("label_recall/a/b*",),
        side="both",
        own_effect=Effect.STOPS_RELATIVE,
    )

    assert parse_doubt(build_doubt_json(doubt)) == doubt


def test_what_stops_is_shown_first_and_each_doubt_once():
    """Stopping everything, then comparisons, then intervals, then what is only said."""
    kinds = (
        DoubtKind.UNANSWERED,
        DoubtKind.GROUPED,
        DoubtKind.OTHER_RULE,
        DoubtKind.LINES_SKIPPED,
        DoubtKind.IMAGES_MISSING,
    )
    doubts = [Doubt(kind=kind, text="x") for kind in kinds]

    assert [doubt.kind for doubt in order_doubts([*doubts, doubts[0]])] == [
        DoubtKind.LINES_SKIPPED,
        DoubtKind.IMAGES_MISSING,
        DoubtKind.OTHER_RULE,
        DoubtKind.GROUPED,
        DoubtKind.UNANSWERED,
    ]


@pytest.mark.parametrize(
    ("touches", "words"),
    [
        (("*",), "every number"),
        (("aggregate/*", "interval/*"), "the computed numbers, the intervals"),
        (("aggregate/f1_macro",), "F1 macro"),
        (("at_threshold/f1_macro",), "F1 macro at the assumed thresholds"),
        (("reported/f1",), "service F1"),
        (("label_recall/cat", "label_recall/(none)"), 'recall of cat, recall of "(none)"'),
        (("label_f1/*",), "F1 of each label"),
        (("label_f1",), "F1 of each label"),
        (("crossfit/label_f1/a/b",), "F1 of a/b, cross-fitted"),
        (("crossfit/f1_macro",), "F1 macro, cross-fitted"),
        (
            tuple(f"label_ap/{i}" for i in range(8)),
            "AP of 0, AP of 1, AP of 2, AP of 3, AP of 4, AP of 5 and 2 more",
        ),
    ],
)
def test_what_is_touched_stands_in_plain_words(touches, words):
    """Families of numbers by what they are, single ones by their names."""
    assert say_touched(touches) == words
