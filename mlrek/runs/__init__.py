"""From a source to complete runs: read, compute, draw, log, one version at a time."""

import contextlib
import ctypes


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can be told to (glibc).

    Without it the peak of one stage is carried through all that follow, since many small pieces
    were freed between those that stay.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
