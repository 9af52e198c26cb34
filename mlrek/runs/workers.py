"""Reading and computing: here, in processes where a version is large enough, or on a cluster."""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlrek.errors import EvaluationError
from mlrek.evaluation import Evaluation
from mlrek.runs.cluster import Cluster
from mlrek.runs.memory import release_memory
from mlrek.sources.aws import AwsClients, AwsOptions, HandedOver, hand_over, take_over
from mlrek.sources.contents import add_found, keep_contents
from mlrek.sources.entries import OnBytes, Source, VersionEntry
from mlrek.sources.images import read_images_below
from mlrek.sources.s3 import open_storage
from mlrek.tracking.description import (
    AUTO_IMAGES,
    NO_IMAGES,
    Options,
    RunDescription,
    compute_evaluation_key,
)

if TYPE_CHECKING:
    from mlrek.figures.pictures import ReadImages

WORTH_A_PROCESS = 4_000_000
"""Bytes of evaluation files from which on a process of its own pays for its start."""
FEW = 6
"""So many smaller versions are described right here; for more of them processes pay too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One version to read and describe: all that is needed, and it travels to any process.

    `is_dry`: nothing will be logged. `logged_key` is the evaluation key of the run that there is
    already, '' without one or where it is to be replaced in any case; `earlier` is that run's
    `evaluation.parquet`, b'' where it cannot be read.
    """

    source: Source
    entry: VersionEntry
    options: Options
    state: str
    logged_at: str
    aws: AwsOptions = field(default_factory=AwsOptions)
    is_dry: bool = False
    logged_key: str = ""
    earlier: bytes = b""


class Workers:
    """Describes runs; up to `jobs` at once in processes, which start when they are first needed.

    With a `scheduler` they are those of its Dask cluster.

    Raises:
        MlrekError: The cluster cannot be used.
    """

    def __init__(self, jobs: int, scheduler: str = "") -> None:
        self._cluster = Cluster(scheduler) if scheduler else None
        self.jobs = self._cluster.at_once if self._cluster else jobs
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._begun: dict[tuple[str, str], Callable[[], RunDescription]] = {}
        self._expected = self._submitted = 0
        self._described_here = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, cancel_futures=True)
        if self._cluster is not None:
            self._cluster.close(wait=error is None)

    def expect(self, versions: int) -> None:
        """Know how many versions there are: for one alone no process pays."""
        self.jobs = min(self.jobs, max(versions, 1))
        self._expected = versions

    def describe(self, work: Work, *, size: int, on_bytes: OnBytes) -> RunDescription:
        """Read one version and describe its run; `size` are the bytes to read.

        Raises:
            MlrekError: The version cannot be read or computed.
        """
        if self._cluster is not None:
            return self._cluster.run(work.entry.version.arn, describe_work, work)
        begun = self._begun.pop(_identify(work), None)
        if begun is None and not self._pays(size):
            self._described_here += 1
            return describe_work(work, on_bytes)
        try:
            return (begun or self._submit(work))()
        except BrokenProcessPool:  # all versions under way meet this; one of them is the cause
            return _describe_alone(work)

    def begin(self, work: Work, *, size: int) -> None:
        """Begin what `describe` will be asked for; only where it is worth a process."""
        if self._cluster is None and self._pays(size):
            self._begun[_identify(work)] = self._submit(work)

    def _submit(self, work: Work) -> Callable[[], RunDescription]:
        """Give a version to the processes; calling what is returned waits for its run."""
        pool = self._start_pool()
        with self._lock:
            self._submitted += 1
            in_parts = is_in_parts(self._submitted, self._expected, self.jobs)
        if not in_parts:
            return pool.submit(describe_work, work).result
        return partial(_describe_when_read, pool, work, pool.submit(read_version, work))

    def _pays(self, size: int) -> bool:
        """Whether a process is worth its start."""
        return self.jobs > 1 and (size >= WORTH_A_PROCESS or self._described_here >= FEW)

    def _start_pool(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = _make_pool(self.jobs)
            return self._pool


def is_in_parts(number: int, versions: int, jobs: int) -> bool:
    """Whether the version of this number, from 1, is read in one step and described in another.

    Where the versions do not come out even, the last ones are: so all processes have work up to the
    end, where else some would wait for a whole version.

    >>> [is_in_parts(number, 5, 2) for number in range(1, 6)]
    [False, False, True, True, True]
    """
    left_over = versions % jobs
    return left_over > 0 and number > versions - jobs - left_over


def describe_work(work: Work, on_bytes: OnBytes | None = None) -> RunDescription:
    """Read, compute, draw: everything the run of one version holds."""
    return describe_read(work, read_version(work, on_bytes))


def read_version(work: Work, on_bytes: OnBytes | None = None) -> Evaluation:
    """The evaluation of one version."""
    evaluation = work.source.load(
        work.entry,
        skip_bad_lines=work.options.skip_bad_lines,
        threshold=work.options.threshold,
        on_bytes=on_bytes,
    )
    release_memory()
    return evaluation


def describe_read(work: Work, evaluation: Evaluation) -> RunDescription:
    """Compute and draw: everything the run of one version holds."""
    from mlrek.runs.content import describe_run

    return describe_run(
        _add_contents(work, evaluation),
        work.options,
        state=work.state,
        logged_at=work.logged_at,
        read_images=_choose_images(work),
    )


def _add_contents(work: Work, evaluation: Evaluation) -> Evaluation:
    """With what the bytes of its images are, where it will be logged for the first time."""
    is_off = work.is_dry or work.options.images == NO_IMAGES or not evaluation.has_images
    if is_off or compute_evaluation_key(evaluation, work.options) == work.logged_key:
        return evaluation
    kept = keep_contents(evaluation, work.earlier, is_services=True) if work.earlier else None
    if kept is not None:
        return kept
    folder = "" if work.options.images == AUTO_IMAGES else work.options.images
    found = work.source.read_contents(work.entry, evaluation.images, folder, work.aws)
    return add_found(evaluation, found, is_services=True)


def _describe_alone(work: Work) -> RunDescription:
    """Describe a version in a process of its own, whose end harms no other version.

    Raises:
        EvaluationError: The process ends before it is done.
    """
    with _make_pool(1) as pool:
        try:
            return pool.submit(describe_work, work).result()
        except BrokenProcessPool as exc:
            raise EvaluationError(
                f"{work.entry.version.arn}: the process that read it was killed; out of memory? "
                "try --jobs 1"
            ) from exc


def _describe_when_read(
    pool: ProcessPoolExecutor, work: Work, read: Future[Evaluation]
) -> RunDescription:
    return pool.submit(describe_read, work, read.result()).result()


def _choose_images(work: Work) -> "ReadImages | None":
    """How test images are read, if at all."""
    images = work.options.images
    if images == NO_IMAGES:
        return None
    if images == AUTO_IMAGES:
        return partial(work.source.read_images, work.entry)
    return partial(read_images_below, open_storage(images, AwsClients(work.aws)), images)


def count_bytes(state: Mapping[str, str]) -> int:
    """The bytes of a version's files, from their states (`size=N …`)."""
    sizes = (text.partition("size=")[2].partition(" ")[0] for text in state.values())
    return sum(int(size) for size in sizes if size.isdecimal())


def _identify(work: Work) -> tuple[str, str]:
    return work.entry.version.arn, work.state


def _context() -> multiprocessing.context.BaseContext:
    """Processes forked from a clean one that has the imports; where there is no fork, spawned."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlrek.runs.preload"])
    _start_fork_server()
    return context


def _start_fork_server() -> None:
    """Start it deaf to Ctrl-C, which at a terminal meets it too: in its imports it would protest.

    A process inherits which signals are blocked; the tracker, started first, unblocks them again.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _make_pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        jobs, mp_context=_context(), initializer=_start_worker, initargs=(hand_over(),)
    )


def _start_worker(credentials: Mapping[str, HandedOver]) -> None:
    """Leave Ctrl-C to the parent, and ask nobody for a code that somebody typed already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_over(credentials)
