"""What was freed is given back to the system, where it is much."""

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlrek.formats.memory import release_memory

MIB = 1 << 20


@pytest.mark.parametrize(("freed", "calls"), [(20 * MIB, 0), (40 * MIB, 1), (None, 1)])
def test_little_memory_is_kept(
    freed: int | None, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 MiB are kept for the next version; 40 are given back, and so is what nobody can count."""
    given: list[int] = []
    library = SimpleNamespace(malloc_trim=given.append)
    if freed is not None:
        library.mallinfo2 = lambda: SimpleNamespace(all=[0] * 8 + [freed, 0])
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    release_memory()
    assert given == [0] * calls


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="no glibc, or an older one")
def test_much_memory_is_given_back() -> None:
    """Of 120 MiB in small pieces, of which each 16th stays, half at least goes back."""
    pieces = [bytes(8_000) for _ in range(120 * MIB // 8_000)]
    kept = pieces[::16]
    del pieces
    before = _read_resident()
    release_memory()
    assert len(kept) > 0
    assert before - _read_resident() > 60 * MIB


def _read_resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
