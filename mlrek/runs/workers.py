"""Reading and computing: here, in processes where a version is large enough, or on a Dask cluster.

What a cluster's worker makes of a version is logged from here. So one login to MLflow is enough, a
database file on this machine works, and one writer keeps the rule that leaves one run a version.
What travels back is a few megabytes; what a worker reads may be a thousand times as much. A lost
worker costs nothing but time: the scheduler gives its versions to another one.
"""

import logging
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar
from uuid import uuid4

from mlrek import __version__
from mlrek.errors import ClusterError, EvaluationError, SourceNotFoundError, UsageError
from mlrek.evaluation import Evaluation
from mlrek.formats.dealing import CAN_FORK
from mlrek.formats.memory import release_memory
from mlrek.runs.meanwhile import WORTH_SHARING, has_one_thread, make_context
from mlrek.sources.any_storage import open_storage
from mlrek.sources.aws import AwsClients, AwsOptions, HandedOver, hand_over, take_over
from mlrek.sources.contents import add_found, keep_contents
from mlrek.sources.entries import OnBytes, Source, VersionEntry
from mlrek.sources.images import read_images_below
from mlrek.sources.slices import add_asked_columns, read_slices_state
from mlrek.tracking import AUTO_IMAGES, NO_IMAGES
from mlrek.tracking.description import (
    Options,
    RunDescription,
    compute_evaluation_key,
    describe_state,
)

if TYPE_CHECKING:
    from distributed import Client

    from mlrek.figures.pictures import ReadImages


WORTH_A_PROCESS = 4_000_000
"""Bytes of evaluation files from which on a process of its own pays for its start."""
FEW = 6
"""So many smaller versions are described right here; for more of them processes pay too."""
AHEAD = 32
"""So many smaller versions are begun before anything is logged: what is made of them is held."""
BEHIND = 3
"""By so much a process that describes is nicer: two of them weigh as much as the one that logs."""

T = TypeVar("T")
W = TypeVar("W")

CONNECT_TIMEOUT_S = 10
MIN_AT_ONCE = 8
"""Versions handed out even to a small cluster, which may grow when there is work."""
MAX_AT_ONCE = 64
"""Versions handed out at once: what comes back waits in memory until it is logged."""
NO_WORKERS_S = 600
"""So long a cluster may have no worker at all: one that grows on demand takes minutes."""
LOOK_AGAIN_S = 10

_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One version to read and describe: all that is needed, and it travels to any process.

    `state` is '' where what is read will tell it. `is_dry`: nothing will be logged. `logged_key` is
    the evaluation key of the run that there is already, '' without one or where it is to be
    replaced in any case; `earlier` is that run's `evaluation.parquet`, b'' where it cannot be read.
    `is_drawn_known`: nobody has to choose the labels that matrices are drawn with. `is_shared`: a
    second process may help.
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
    is_drawn_known: bool = True
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchosen:
    """A version with so many labels that those of its project have to be chosen first.

    `choice` are those that it would choose; `evaluation` is what was read of it, None if that lies
    on a cluster.
    """

    choice: tuple[str, ...]
    evaluation: Evaluation | None


Choose: TypeAlias = Callable[[Work, tuple[str, ...]], Work]
"""What gives a version the labels that all versions of the project are drawn with."""


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
        self._begun: dict[tuple[str, str], Callable[[], RunDescription | Unchosen]] = {}
        self._expected = self._submitted = 0
        self._has_spare = False
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
        """Know how many versions there are: for one alone no process pays if it is not large."""
        self._has_spare = self.jobs > max(versions, 1)
        self.jobs = min(self.jobs, max(versions, 1))
        self._expected = versions

    def describe(
        self, work: Work, choose: Choose, *, size: int, on_bytes: OnBytes
    ) -> RunDescription:
        """Read one version and describe its run; `size` are the bytes to read.

        Where labels have to be chosen first, `choose` is asked, which may wait for other versions.

        Raises:
            MlrekError: The version cannot be read or computed.
        """
        found = self._describe(work, size=size, on_bytes=on_bytes)
        if isinstance(found, RunDescription):
            return found
        chosen = choose(work, found.choice)
        if found.evaluation is None:
            described = self._describe(chosen, size=size, on_bytes=on_bytes)
        else:
            described = self._describe_read(chosen, found.evaluation, size=size)
        assert isinstance(described, RunDescription)  # noqa: S101 - for the type checker
        return described

    def _describe(self, work: Work, *, size: int, on_bytes: OnBytes) -> RunDescription | Unchosen:
        if self._cluster is not None:
            return self._cluster.run(work.entry.version.arn, describe_far, work)
        begun = self._begun.pop(_identify(work), None)
        if begun is None and not self._pays(size):
            self._described_here += 1
            return describe_work(work, on_bytes)
        try:
            return (begun or self._submit(work, size=size))()
        except BrokenProcessPool:  # all versions under way meet this; one of them is the cause
            return _describe_alone(work)

    def _describe_read(
        self, work: Work, evaluation: Evaluation, *, size: int
    ) -> RunDescription | Unchosen:
        """Describe what was read already, where it would have been described at once."""
        if not self._pays(size):
            return describe_read(work, evaluation)
        try:
            return self._start_pool().submit(describe_read, work, evaluation).result()
        except BrokenProcessPool:
            return _describe_alone(work)

    def begin(self, work: Work, *, size: int) -> None:
        """Begin what `describe` will be asked for; only where it is worth a process."""
        are_many = self._expected > FEW and len(self._begun) < AHEAD
        pays = self.jobs > 1 and (size >= WORTH_A_PROCESS or are_many)
        if self._cluster is None and (pays or self._is_shared(size)):
            self._begun[_identify(work)] = self._submit(work, size=size)

    def _submit(self, work: Work, *, size: int) -> Callable[[], RunDescription | Unchosen]:
        """Give a version to the processes; calling what is returned waits for its run."""
        pool = self._start_pool()
        work = replace(work, is_shared=self._is_shared(size))
        with self._lock:
            self._submitted += 1
            in_parts = is_in_parts(self._submitted, self._expected, self.jobs)
        if not in_parts:
            return pool.submit(describe_work, work).result
        return partial(_describe_when_read, pool, work, pool.submit(read_version, work))

    def _pays(self, size: int) -> bool:
        """Whether a process is worth its start, if none has started yet."""
        is_started = self._pool is not None or self._described_here >= FEW
        pays = self.jobs > 1 and (size >= WORTH_A_PROCESS or is_started)
        return pays or self._is_shared(size)

    def _is_shared(self, size: int) -> bool:
        """Whether a processor without a version helps with this one."""
        return self._has_spare and CAN_FORK and size >= WORTH_SHARING

    def _start_pool(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = _make_pool(self.jobs)
            return self._pool


class Cluster:
    """A Dask cluster. Safe to use from several threads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = _connect(address)
        _check_versions(address, self._client)
        self._executor = self._client.get_executor(pure=False)

    @property
    def at_once(self) -> int:
        """How many versions keep the cluster busy."""
        threads: int = sum(self._client.nthreads().values())
        return min(max(threads + 2, MIN_AT_ONCE), MAX_AT_ONCE)

    def run(self, name: str, function: Callable[[W], T], work: W) -> T:
        """What `function` makes of `work` on some worker; `name` is what messages call it.

        Raises:
            MlrekError: What the function raised, or the cluster could not do it.
        """
        key = f"{function.__name__}-{uuid4().hex}"  # Dask's pages group by what is before the dash
        packed = pickle.dumps((function, work))  # another mlrek may not even be able to unpack it
        future: Future[T] = self._executor.submit(run_packed, packed, __version__, key=key)
        return self._wait(name, future)

    def close(self, *, wait: bool) -> None:
        """Leave the cluster; what is still under way there is waited for, or given up."""
        self._executor.shutdown(wait=wait)
        self._client.close(timeout=CONNECT_TIMEOUT_S)

    def _wait(self, name: str, future: Future[T]) -> T:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        try:
            self._wait_for_workers(name, future)
            return future.result()
        except SourceNotFoundError as exc:
            if "://" in exc.uri:
                raise
            reason = f"{exc.reason} (on a worker of {self.address}; is it there on all of them?)"
            raise SourceNotFoundError(exc.uri, reason) from exc
        except KilledWorker as exc:
            raise ClusterError(
                f"{name}: the Dask workers that tried it were lost one after the other; out of "
                "memory? give them more, or fewer threads each"
            ) from exc
        except (CancelledError, CommClosedError) as exc:
            raise ClusterError(
                f"{name}: the Dask scheduler {self.address} went away; run the command again, what "
                "is complete stays"
            ) from exc
        except (ImportError, AttributeError) as exc:  # it cannot even unpack the task
            raise ClusterError(f"{name}: a Dask worker lacks what it needs: {exc}") from exc

    def _wait_for_workers(self, name: str, future: Future[T]) -> None:
        """Wait until the work is done.

        Raises:
            ClusterError: For long there has been nobody to do it.
        """
        lonely_s = 0.0
        while not wait([future], LOOK_AGAIN_S).done:
            lonely_s = 0.0 if self._client.nthreads() else lonely_s + LOOK_AGAIN_S
            if lonely_s >= NO_WORKERS_S:
                future.cancel()
                raise ClusterError(
                    f"{name}: the Dask cluster has no workers; start some with "
                    f"`dask worker {self.address}`"
                )


def is_in_parts(number: int, versions: int, jobs: int) -> bool:
    """Whether the version of this number, from 1, is read in one step and described in another.

    Where the versions do not come out even, the last ones are: so all processes have work up to the
    end, where else some would wait for a whole version.

    >>> [is_in_parts(number, 5, 2) for number in range(1, 6)]
    [False, False, True, True, True]
    """
    left_over = versions % jobs
    return left_over > 0 and number > versions - jobs - left_over


def describe_work(work: Work, on_bytes: OnBytes | None = None) -> RunDescription | Unchosen:
    """Read, compute, draw: everything the run of one version holds."""
    described = describe_read(work, read_version(work, on_bytes))
    release_memory()  # before all of it is packed, to be sent
    return described


def describe_far(work: Work) -> RunDescription | Unchosen:
    """The same on a cluster, where what was read is read again rather than sent around."""
    found = describe_work(work)
    return replace(found, evaluation=None) if isinstance(found, Unchosen) else found


def read_version(work: Work, on_bytes: OnBytes | None = None) -> Evaluation:
    """The evaluation of one version."""
    evaluation = work.source.load(
        work.entry,
        skip_bad_lines=work.options.skip_bad_lines,
        threshold=work.options.threshold,
        is_shared=work.is_shared,
        on_bytes=on_bytes,
    )
    evaluation = add_asked_columns(evaluation, work.options.slicing, AwsClients(work.aws))
    release_memory()
    return evaluation


def describe_read(work: Work, evaluation: Evaluation) -> RunDescription | Unchosen:
    """Compute and draw: everything the run of one version holds, if it is known what to draw."""
    from mlrek.runs.content import describe_run
    from mlrek.runs.drawn import choose_labels

    if not work.is_drawn_known and (choice := choose_labels(evaluation, work.options)):
        return Unchosen(choice=choice, evaluation=evaluation)
    return describe_run(
        _add_contents(work, evaluation),
        work.options,
        state=work.state or _tell_state(work, evaluation),
        logged_at=work.logged_at,
        read_images=_choose_images(work),
        is_shared=work.is_shared and has_one_thread(),
    )


def _tell_state(work: Work, evaluation: Evaluation) -> str:
    """The state of the files that an evaluation was just read from."""
    files = work.source.read_state(work.entry, evaluation.files)
    slices = read_slices_state(work.options.slicing, AwsClients(work.aws))
    return describe_state({**files, **slices}, work.options)


def count_bytes(state: Mapping[str, str]) -> int:
    """The bytes of a version's files, from their states (`size=N …`)."""
    sizes = (text.partition("size=")[2].partition(" ")[0] for text in state.values())
    return sum(int(size) for size in sizes if size.isdecimal())


def run_packed(packed: bytes, version: str) -> object:
    """Do the work that `Cluster.run` has packed, on a worker; it may have joined a moment ago.

    Raises:
        ClusterError: The mlrek here is another one.
    """
    if version != __version__:
        from distributed import get_worker

        where = get_worker().address
        raise ClusterError(
            f"the Dask worker {where} has mlrek {__version__}, not {version} as where the command "
            "runs; install the same there, and run the command again"
        )
    function, work = pickle.loads(packed)  # noqa: S301 - Dask unpacked the task itself this way
    result: object = function(work)
    return result


def read_own_version() -> str:
    """The mlrek that runs here; asked of each worker."""
    return __version__


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


def _describe_alone(work: Work) -> RunDescription | Unchosen:
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
) -> RunDescription | Unchosen:
    return pool.submit(describe_read, work, read.result()).result()


def _choose_images(work: Work) -> "ReadImages | None":
    """How test images are read, if at all."""
    images = work.options.images
    if images == NO_IMAGES:
        return None
    if images == AUTO_IMAGES:
        return partial(work.source.read_images, work.entry)
    return partial(read_images_below, open_storage(images, AwsClients(work.aws)), images)


def _identify(work: Work) -> tuple[str, str]:
    return work.entry.version.arn, work.state


def _make_pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        jobs, mp_context=make_context(), initializer=_start_worker, initargs=(hand_over(),)
    )


def _start_worker(credentials: Mapping[str, HandedOver]) -> None:
    """Leave Ctrl-C to the parent, and ask nobody for a code that somebody typed already.

    Where all processors are busy, what logs goes first: it is one process, which all others feed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        os.nice(BEHIND)
    take_over(credentials)


def _connect(address: str) -> "Client":
    """A client of the scheduler.

    Raises:
        UsageError: There is no such address, or Dask is not installed.
        ClusterError: Nobody answers.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"--scheduler {address}: is no address; give tcp://HOST:8786")
    try:
        from distributed import Client
    except ImportError as exc:
        raise UsageError(
            f"--scheduler needs Dask, and {exc.name!r} is not installed: pip install 'mlrek[dask]'"
        ) from exc
    for name in ("distributed", "distributed.client"):  # what matters is told by results
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except OSError as exc:  # also what it raises when time is up
        raise ClusterError(
            f"{address}: no Dask scheduler answers; is `dask scheduler` running there, and is "
            "--scheduler right?"
        ) from exc


def _check_versions(address: str, client: "Client") -> None:
    """See that every worker has this mlrek: another one may compute other numbers.

    Raises:
        ClusterError: One has another, or none.
    """
    answers: Mapping[str, object] = client.run(read_own_version, on_error="return")
    others = {
        worker: f"mlrek {said}" if isinstance(said, str) else "no mlrek"
        for worker, said in answers.items()
        if said != __version__
    }
    if others:
        client.close()
        told = ", ".join(f"{worker} has {said}" for worker, said in list(others.items())[:3])
        raise ClusterError(
            f"{address}: {len(others)} of {len(answers)} workers do not have mlrek {__version__} "
            f"as here: {told}; install the same on all of them"
        )
