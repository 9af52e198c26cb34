"""Memory that is given back to the system."""

import contextlib
import ctypes
import sys
from typing import Final

_WORTH_RELEASING: Final = 32 << 20
"""Freed bytes from which on they are given back: to take a page again costs more than it holds."""


class _Numbers(ctypes.Structure):
    """What the C library says of its memory, `struct mallinfo2`; the ninth: bytes that are free."""

    _fields_ = (("all", ctypes.c_size_t * 10),)


def release_memory() -> None:
    """Give freed memory back to the system: Arrow's, and where it can be told to (glibc) Python's.

    Little of Python's stays where it is. Without it the peak of one stage is carried through all
    that follow, since many small pieces were freed between those that stay.
    """
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        if hasattr(library, "mallinfo2"):  # older ones cannot say how much it is
            library.mallinfo2.restype = _Numbers
            if library.mallinfo2().all[8] < _WORTH_RELEASING:
                return
        library.malloc_trim(0)
