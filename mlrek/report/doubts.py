"""Doubts as a page shows them: in a box near its top, those that stop a check first."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlrek.evaluation import Doubt, Effect
from mlrek.printable import escape_unencodable
from mlrek.tables.doubts import (
    EFFECT_MEANINGS,
    EFFECT_WORDS,
    order_doubts,
    say_doubt,
    say_touched,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDoubt:
    """A doubt in plain words; `stops` is whether it stops any check."""

    kind: str
    text: str
    touched: str
    effect: str
    meaning: str
    stops: bool


def show_doubts(doubts: Iterable[Doubt]) -> list[ShownDoubt]:
    """What the template fills in, as plain text that UTF-8 can hold."""
    return [
        ShownDoubt(
            kind=doubt.kind.value,
            text=escape_unencodable(say_doubt(doubt)),
            touched=escape_unencodable(say_touched(doubt.touches)),
            effect=EFFECT_WORDS[doubt.effect],
            meaning=EFFECT_MEANINGS[doubt.effect],
            stops=doubt.effect is not Effect.SAID,
        )
        for doubt in order_doubts(doubts)
    ]
