"""A process that has all imports behind it and forks the command from itself, many times.

A cold `mlrek sync` spends seconds on imports; a test that runs it for what it does wants none of
that. What the tests of imports, of signals at the start and of other environments' Python ask for
is a process of its own all the same (`run_mlrek(..., cold=True)`).
"""

import contextlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock

PRELOADED = (
    "alembic.config",
    "boto3.session",
    "botocore.httpsession",
    "matplotlib.backends.backend_agg",
    "mlflow",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.artifact.mlflow_artifacts_repo",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.rest_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.rest_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking._model_registry.client",
    "mlflow.tracking._tracking_service.client",
    "pandas",
    "PIL.Image",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.metrics",
    "sqlalchemy.dialects.sqlite",
)
"""In addition to all modules of `mlrek`: what they import where they use it."""
FIRST_LOOK_S, LAST_LOOK_S = 0.004, 0.05


@dataclass(frozen=True)
class Ended:
    """How a command ended; minus the signal's number where one killed it.

    Of `stderr` the lines are left out that a slow machine shows every ten seconds.
    """

    returncode: int
    stdout: str
    stderr: str
    cpu_s: float
    """Seconds of CPU that it took, which do not depend on what else the machine does."""


class WarmProcess:
    """Starts `mlrek …` in no time, also from several threads; a context manager."""

    def __init__(self, env: dict[str, str]) -> None:
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "OMP")}
        self._env = env | threads | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        self._lock = Lock()
        self._numbers = count()

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._folder = tempfile.TemporaryDirectory()
        self._ask({"ready": True})
        return self

    def __exit__(self, *_error):
        self._process.communicate()
        self._folder.cleanup()

    def start(self, *args: object, cwd: Path, env: dict[str, str] | None = None) -> int:
        """Start a command; its process id comes back when it is about to run."""
        words = [str(arg) for arg in args]
        out = tempfile.mkdtemp(dir=self._folder.name)
        return self._ask({"args": words, "cwd": str(cwd), "env": env or {}, "out": out})

    def wait(self, pid: int) -> Ended:
        """Wait until a command that was started has ended."""
        pause = FIRST_LOOK_S
        while not (ended := self._ask({"ended": pid})):
            time.sleep(pause)
            pause = min(2 * pause, LAST_LOOK_S)
        from fakes.said import drop_progress  # only here: the process itself has no tests

        code, cpu_s, out = ended
        stdout, stderr = (Path(out, name).read_text() for name in "12")
        return Ended(code, stdout, drop_progress(stderr), cpu_s)

    def signal_after(self, cpu_s: float, number: int, *args: object, cwd: Path) -> Ended:
        """Start a command, send it a signal when it has taken so much CPU, and wait for it."""
        pid = self.start(*args, cwd=cwd)
        while (taken := read_cpu_s(pid)) is not None and taken < cpu_s:
            time.sleep(0.001)
        os.kill(pid, number)  # it stays a process until `wait` has seen its end
        return self.wait(pid)

    def run(self, *args: object, cwd: Path, env: dict[str, str] | None = None) -> Ended:
        """Start a command and wait for it."""
        return self.wait(self.start(*args, cwd=cwd, env=env))

    def _ask(self, request: dict):
        with self._lock:
            number = next(self._numbers)
            self._process.stdin.write(json.dumps([number, request]) + "\n")
            self._process.stdin.flush()
            while True:  # an answer may be left of a test that ran out of time
                answered, answer = json.loads(self._process.stdout.readline())
                if answered == number:
                    return answer


def read_cpu_s(pid: int) -> float | None:
    """Seconds of CPU that a process has taken; None when it has ended."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            return time.clock_gettime((~pid << 3) | 2)  # Linux's number of that process's clock
    return None


def import_all() -> None:
    """Import all that a command may use, and fill what libraries fill at their first use."""
    import importlib

    import mlrek

    ours = [name for _, name, _ in pkgutil.walk_packages(mlrek.__path__, "mlrek.")]
    for name in (*PRELOADED, *(name for name in ours if not name.endswith("__main__"))):
        importlib.import_module(name)
    _prepare()


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    import_all()
    places: dict[int, str] = {}
    for line in sys.stdin:
        number, request = json.loads(line)
        answer: object = True
        if "args" in request:
            answer = pid = _fork(request, answers.fileno())
            places[pid] = request["out"]
        elif "ended" in request:
            pid, status, used = os.wait4(request["ended"], os.WNOHANG)
            cpu_s = used.ru_utime + used.ru_stime
            answer = pid and (os.waitstatus_to_exitcode(status), cpu_s, places.pop(pid))
        answers.write(json.dumps([number, answer]) + "\n")
        answers.flush()
    for pid in places:  # nobody waits for them any more
        os.kill(pid, signal.SIGKILL)


def _prepare() -> None:
    """Fill what libraries fill at their first use, and keep."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from mlflow.utils import requirements_utils
    from PIL import Image

    figure = Figure()
    figure.add_subplot().set_title("a font")
    FigureCanvasAgg(figure).draw()
    requirements_utils.warn_dependency_requirement_mismatches(["numpy"])
    Image.init()


def _fork(request: dict, answers: int) -> int:
    """Start the command in a child, and wait until it is about to run."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(answers)
        os.close(reading)
        _run(request, writing)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return pid


def _run(request: dict, ready: int) -> None:
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
        os.close(ready)
        runpy.run_module("mlrek", run_name="__main__", alter_sys=True)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
