"""Ctrl-C at moments that only a real process has: first imports, last breath, helpers."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from conftest import REPOSITORY, clean_env
from fakes.evaluations import save_archive

LINE = "mlrek: interrupted; what is complete stays\n"
INTERRUPT = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
AT_THE_END = "import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
PATIENCE_S = 600


@pytest.fixture(params=["module", "script"])
def command(request) -> list[str]:
    """`python -m mlrek`, and what the installed script calls."""
    if request.param == "module":
        return [sys.executable, "-m", "mlrek"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["mlrek"].partition(":")
    return [sys.executable, "-c", f"from {module} import {function}; {function}()"]


@pytest.fixture
def interrupt(command, tmp_path):
    """A function: run a command that is interrupted where it imports a module of that name."""

    def run(name: str, content: str, *args: object, before=None):
        (tmp_path / f"{name}.py").write_text(content)
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        return subprocess.run(
            [*command, *map(str, args)],
            cwd=tmp_path,
            env=clean_env() | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=before,
        )

    return run


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("typer", ["--version"]),  # before there is a command line
        ("shlex", ["--help"]),  # while it is read
        ("mlflow", ["sync", "{digits}"]),  # in the first imports of a command
    ],
)
def test_from_the_first_import_on_it_is_one_line(interrupt, digits, name, args):
    """No traceback of Python's, no exit code 1 of Typer's."""
    done = interrupt(name, INTERRUPT, *(arg.format(digits=digits) for arg in args))

    assert (done.returncode, done.stdout, done.stderr) == (130, "", LINE)


def test_while_the_interpreter_ends_it_is_one_line(interrupt):
    """What was to be said has been said."""
    done = interrupt("sitecustomize", AT_THE_END, "--version")

    assert (done.returncode, done.stderr) == (130, LINE)
    assert done.stdout.startswith("mlrek ")


def test_where_it_is_ignored_it_stays_so(interrupt):
    """As `nohup` and a shell's `&` ask for."""
    done = interrupt(
        "sitecustomize",
        AT_THE_END,
        "--version",
        before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_helping_processes_say_nothing(tmp_path):
    """At a terminal Ctrl-C meets them too, here in their first imports."""
    saved = save_archive(tmp_path / "saved", "v1", "v2")
    for path in saved.rglob("TestingGroundTruth*"):  # large enough for processes
        first, *rest = path.read_text().splitlines(keepends=True)
        path.write_text(
            json.dumps(json.loads(first) | {"x": "x" * 5_000_000}) + "\n" + "".join(rest)
        )
    sync = subprocess.Popen(
        [sys.executable, "-m", "mlrek", "sync", saved, "--jobs", "2", "--json"],
        cwd=tmp_path,
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not any("forkserver" in command for command in list_commands(sync.pid)):
        assert sync.poll() is None
        assert time.monotonic() < deadline
    os.killpg(sync.pid, signal.SIGINT)
    out, err = sync.communicate(timeout=PATIENCE_S)

    assert (sync.returncode, out, err) == (130, "", LINE)


def list_commands(group: int) -> list[str]:
    """The command lines of the processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.getpgid(int(folder.name)) == group:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found
