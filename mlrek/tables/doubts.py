"""A doubt as JSON and in words: the one form that every document and every page shows."""

from mlrek.evaluation import Doubt
from mlrek.tables.json_text import Json


def describe_doubt(doubt: Doubt) -> dict[str, Json]:
    """The stable JSON form of a doubt; what is not counted, and whose it is not, is null."""
    return {
        "kind": doubt.kind.value,
        "side": doubt.side,
        "count": doubt.count,
        "of": doubt.of,
        "touches": list(doubt.touches),
        "text": doubt.text,
        "effect": doubt.effect.value,
    }


def say_doubt(doubt: Doubt) -> str:
    """The doubt in words, with whose it is where there are a candidate and a baseline."""
    if doubt.side is None:
        return doubt.text
    whose = "both versions" if doubt.side == "both" else f"the {doubt.side}"
    return f"{whose}: {doubt.text}"
