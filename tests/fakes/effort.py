"""How often what is left to chance is tried: a few times, or, on request, as often as it may take."""

import os
from typing import TypeVar

T = TypeVar("T")


def choose(usual: T, *, whole: T) -> T:
    """What a test takes on every push, or all of it where `MLREK_WHOLE=1` asks for that."""
    return whole if os.environ.get("MLREK_WHOLE") == "1" else usual
