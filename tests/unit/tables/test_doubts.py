"""The JSON form of a doubt."""

from mlrek.evaluation import Doubt, DoubtKind, Effect
from mlrek.tables.doubts import describe_doubt


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

    assert describe_doubt(doubt) == {
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

    described = describe_doubt(doubt)

    assert (described["side"], described["count"], described["of"]) == (None, None, None)
    assert described["touches"] == ["*"]
    assert described["effect"] == "stops_relative"
