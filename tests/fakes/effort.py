"""How often a test tries what depends on chance: a few times, or all of them on request."""

import os
from typing import TypeVar

T = TypeVar("T")


def choose(usual: T, *, whole: T) -> T:
    """What a test takes on every push, or all of it where `MLREK_WHOLE=1` asks for that."""
    return whole if os.environ.get("MLREK_WHOLE") == "1" else usual
