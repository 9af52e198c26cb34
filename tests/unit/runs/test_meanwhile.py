"""What another process computes is what this one would have."""

import os
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from multiprocessing import context
from typing import Any

import pytest
from builders.evaluations import build_evaluation

from mlrek.formats.dealing import CAN_FORK
from mlrek.runs import content, workers
from mlrek.runs.content import describe_run
from mlrek.runs.meanwhile import Meanwhile, has_one_thread
from mlrek.tracking.description import Options

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="nothing is shared here")


def test_another_process_computes() -> None:
    """What is shared is computed in another process, of what this one holds."""
    held = bytes(3_000_000)
    pid, size = Meanwhile(lambda: (os.getpid(), len(held)), is_shared=True).result()
    assert pid != os.getpid()
    assert size == 3_000_000


def test_files_come_one_by_one() -> None:
    """Of several files never two copies of all are held: one comes after the other."""
    held = {"a": bytes(3_000_000), "none": b"", "b": b"b" * 3_000_000, "c": b"c" * 3_000_000}
    made = Meanwhile(lambda: held, is_shared=True)
    tracemalloc.start()
    try:
        found = made.result()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == held
    assert peak < 15_000_000


def test_alone_it_is_computed_here() -> None:
    """Without a processor for it nothing is started."""
    assert Meanwhile(os.getpid, is_shared=False).result() == os.getpid()


def test_what_a_killed_process_had_is_computed_here() -> None:
    """A process that is killed, as when memory is out, costs nothing but time."""
    here = os.getpid()

    def die() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), 9)
        return os.getpid()

    assert Meanwhile(die, is_shared=True).result() == here


def test_an_error_is_that_of_this_process() -> None:
    """What fails in the other process fails here with the same error."""
    with pytest.raises(ZeroDivisionError):
        Meanwhile(lambda: 1 // 0, is_shared=True).result()


def test_without_a_process_it_is_computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started, this one does everything."""

    def refuse(_: object) -> None:
        raise OSError

    monkeypatch.setattr(context.ForkProcess, "start", refuse)
    assert Meanwhile(os.getpid, is_shared=True).result() == os.getpid()


def test_a_thread_forbids_to_fork() -> None:
    """A process with a further thread is not forked: the thread may hold a lock."""
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    assert not has_one_thread()
    ends.set()
    thread.join()


def test_two_processes_make_the_same_run() -> None:
    """Every file, number and tag of a run is the same with a second process."""
    evaluation = build_evaluation(
        [[0], [1], [0], [2]], [[(0, 0.9), (1, 0.2)], [(1, 0.6)], [(2, 0.5)], [(2, 0.4)]]
    )
    alone, shared = (
        describe_run(evaluation, Options(), state="", logged_at="2026-01-02", is_shared=is_shared)
        for is_shared in (False, True)
    )
    assert dict(alone.files) == dict(shared.files)
    assert [*alone.files] == [*shared.files]
    assert alone.metrics == shared.metrics
    assert alone.tags == shared.tags


def test_the_other_process_is_waited_for_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process makes the tables, this one makes all that does not need them."""
    steps, result = list[str](), Meanwhile.result

    def note(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: [steps.append(name), make(*args, **kwargs)][1]

    for name in ("render_report", "list_doubts", "describe_dataset", "compute_knowledge"):
        monkeypatch.setattr(content, name, note(name, getattr(content, name)))
    monkeypatch.setattr(Meanwhile, "result", note("result", result))
    evaluation = build_evaluation([[0], [1]], [[(0, 0.9)], [(1, 0.6)]])
    describe_run(evaluation, Options(), state="", logged_at="2026-01-02")
    assert sorted(steps[:-1]) == [
        *("compute_knowledge", "describe_dataset", "list_doubts", "render_report", "result")
    ]
    assert (steps[0], steps[-1]) == ("result", "result")


class Read:
    """Stands for what is read of a version."""


def test_what_was_read_is_gone_before_the_run_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process gives back the memory of what it read before it packs what it made of that."""
    read, is_gone = list[weakref.ref[Read]](), list[bool]()

    def read_version(*_: object) -> Read:
        found = Read()
        read.append(weakref.ref(found))
        return found

    monkeypatch.setattr(workers, "read_version", read_version)
    monkeypatch.setattr(workers, "describe_read", lambda _work, _read: "run")
    monkeypatch.setattr(workers, "release_memory", lambda: is_gone.append(read[0]() is None))
    work: Any = None
    assert workers.describe_work(work) == "run"
    assert is_gone == [True]
