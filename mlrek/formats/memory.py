"""Memory that is given back to the system."""

import contextlib
import ctypes
import sys


def release_memory() -> None:
    """Give freed memory back to the system: Arrow's, and where it can be told to (glibc) Python's.

    Without it the peak of one stage is carried through all that follow, since many small pieces
    were freed between those that stay.
    """
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
