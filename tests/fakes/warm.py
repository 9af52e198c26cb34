"""A process that has all imports behind it and forks the command from itself, many times.

A cold `mlrek sync` spends seconds on imports; a test that kills fifty of them wants none of that.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

PRELOADED = (
    "alembic.config",
    "matplotlib.backends.backend_agg",
    "mlflow",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking._tracking_service.client",
    "mlrek.cli.sync_report",
    "mlrek.pipeline",
    "mlrek.run_content",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.metrics",
    "sqlalchemy.dialects.sqlite",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended; minus the signal's number where one killed it."""

    returncode: int
    stdout: str
    stderr: str


class WarmProcess:
    """Starts `mlrek …` in no time, also from several threads; a context manager."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        self._lock = Lock()

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._folder = tempfile.TemporaryDirectory()
        self._ask({"ready": True})
        return self

    def __exit__(self, *_error):
        self._process.communicate(timeout=30)
        self._folder.cleanup()

    def start(self, *args: object, cwd: Path, env: dict[str, str] | None = None) -> int:
        """Start a command; its process id comes back."""
        words = [str(arg) for arg in args]
        out = tempfile.mkdtemp(dir=self._folder.name)
        return self._ask({"args": words, "cwd": str(cwd), "env": env or {}, "out": out})

    def wait(self, pid: int) -> Ended:
        """Wait until a command that was started has ended."""
        while not (ended := self._ask({"ended": pid})):
            time.sleep(0.01)
        code, out = ended
        return Ended(code, Path(out, "1").read_text(), Path(out, "2").read_text())

    def signal_after(self, delay: float, number: int, *args: object, cwd: Path) -> Ended:
        """Start a command, send it a signal after so many seconds, and wait for it."""
        pid = self.start(*args, cwd=cwd)
        time.sleep(delay)
        os.kill(pid, number)  # it stays a process until `wait` has seen its end
        return self.wait(pid)

    def run(self, *args: object, cwd: Path, env: dict[str, str] | None = None) -> Ended:
        """Start a command and wait for it."""
        return self.wait(self.start(*args, cwd=cwd, env=env))

    def _ask(self, request: dict):
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


def _serve() -> None:
    import importlib

    answers = os.fdopen(os.dup(1), "w")
    for name in PRELOADED:
        importlib.import_module(name)
    places: dict[int, str] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: object = True
        if "args" in request:
            answer = pid = os.fork()
            if pid == 0:
                _run(request)
            places[pid] = request["out"]
        elif "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = pid and (os.waitstatus_to_exitcode(status), places.pop(pid))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(request: dict) -> None:
    """The command, in the child; it never returns."""
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (1, 2):
            file = os.open(f"{request['out']}/{number}", os.O_WRONLY | os.O_CREAT)
            os.dup2(file, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        os.environ.update(request["env"])
        sys.argv = ["mlrek", *request["args"]]
        from mlrek.cli import main

        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
