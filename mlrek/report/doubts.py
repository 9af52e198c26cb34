"""Doubts as a page shows them: in a box near its top, those that stop a check first."""

from collections.abc import Iterable

from mlrek.evaluation import Doubt, Effect
from mlrek.tables.doubts import (
    EFFECT_MEANINGS,
    EFFECT_WORDS,
    order_doubts,
    say_doubt,
    say_touched,
)


def show_doubts(doubts: Iterable[Doubt]) -> list[dict[str, str | bool]]:
    """What the template fills in, in plain words; `stops` is whether it stops any check."""
    return [
        {
            "text": say_doubt(doubt),
            "touched": say_touched(doubt.touches),
            "effect": EFFECT_WORDS[doubt.effect],
            "meaning": EFFECT_MEANINGS[doubt.effect],
            "stops": doubt.effect is not Effect.SAID,
        }
        for doubt in order_doubts(doubts)
    ]
