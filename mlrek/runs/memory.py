"""Memory that the C library keeps for later, though nothing is in it."""

import contextlib
import ctypes


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can be told to (glibc).

    Without it the peak of one stage is carried through all that follow, since many small pieces
    were freed between those that stay.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
