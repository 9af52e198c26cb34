"""MLflow's own pages of a local store, served for as long as a person looks at them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlrek.errors import TrackingError
from mlrek.tracking.temporary import temporary_folder

HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 5000
PORTS_TRIED: Final = 100
STARTED_WITHIN_S: Final = 120
STOPPED_WITHIN_S: Final = 10
_LOG_LINES: Final = 5


class PageServer:
    """A server that runs; `address` is where its pages are."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
        self.address = address
        self._process = process
        self._log = log

    def wait(self) -> None:
        """Return never but by an error: the server ends with this process.

        Raises:
            TrackingError: It ended by itself.
        """
        self._process.wait()
        raise self._explain("ended by itself")

    def wait_until_it_answers(self) -> None:
        """Wait for its first answer.

        Raises:
            TrackingError: It ended, or does not answer in two minutes.
        """
        deadline = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._explain("did not start")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()  # noqa: S310 http
                return
            time.sleep(0.1)
        raise self._explain("does not answer")

    def _explain(self, what: str) -> TrackingError:
        said = self._log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
        return TrackingError(
            f"MLflow's server at {self.address} {what}: {' / '.join(said) or 'it said nothing'}; "
            "another --port?"
        )


@contextlib.contextmanager
def serve_pages(tracking_uri: str, port: int = 0) -> Iterator[PageServer]:
    """Serve the pages of a local store; with the block all processes of the server end.

    Args:
        tracking_uri: Of a database or folder here.
        port: Where to; 0: 5000, or the next one that is free.

    Raises:
        TrackingError: The port is taken, or the server does not start.
    """
    port = choose_port(port)
    # not on the command line, where everybody could read a password in it
    env = os.environ | {"MLFLOW_BACKEND_STORE_URI": tracking_uri}
    env.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    with temporary_folder() as folder:
        log = folder / "server.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [*command, "--workers", "1"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            server = PageServer(process, f"http://{HOST}:{port}", log)
            server.wait_until_it_answers()
            yield server
        finally:
            _stop(process)


def choose_port(port: int) -> int:
    """The port that was asked for, or the first free one from 5000 on.

    Raises:
        TrackingError: It is taken.
    """
    wanted = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    for candidate in wanted:
        if _is_free(candidate):
            return candidate
    taken = f"port {port} is" if port else f"ports {FIRST_PORT} to {wanted[-1]} are"
    raise TrackingError(f"{taken} taken; name another one with --port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server with all its processes."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(OSError):
            _send(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPED_WITHIN_S)
            break
    with contextlib.suppress(OSError):  # a worker that outlived the first process
        _send(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _send(process: "subprocess.Popen[bytes]", number: int) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, number)  # start_new_session made it a group of its own
    else:
        process.send_signal(number)
