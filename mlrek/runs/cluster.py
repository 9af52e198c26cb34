"""Workers of a Dask cluster: the versions of a sync, spread over machines.

They read and compute; what comes of it is logged from here. So one login to MLflow is enough, a
database file on this machine works, and one writer keeps the rule that leaves one run a version.
What travels back is a few megabytes; what a worker reads may be a thousand times as much. A lost
worker costs nothing but time: the scheduler gives its versions to another one.
"""

import logging
import pickle
import re
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, wait
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from mlrek import __version__
from mlrek.errors import ClusterError, SourceNotFoundError, UsageError

if TYPE_CHECKING:
    from distributed import Client

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
