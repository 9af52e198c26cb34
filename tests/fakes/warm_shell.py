"""A terminal in which somebody pastes one command after the other, and `mlrek` starts at once.

`mlrek` and `warm-python FILE` are forked from a process that has all imports behind it, with the
terminal's own streams, folder and variables: pipes, redirections and exit codes are those of bash.
"""

import array
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
said = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
streams = array.array("i", [0, 1, 2])
asked.sendmsg([len(said).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
asked.sendall(said)
sys.exit(int(asked.recv(8) or 70))
"""
"""What is found under the name of the command: hands all to the process, waits for its code."""
BASH = """
trap 'failed="$failed $?"' ERR
"""
BLOCK = """
failed=
{{
{block}
}} </dev/null
printf '\\036%s\\036' "$failed"
"""
NAMES = ("mlrek", "warm-python")


@dataclass(frozen=True)
class Printed:
    """What the commands of a block printed, both streams in one, and their codes but for 0."""

    text: str
    codes: tuple[int, ...]


class WarmShell:
    """Bash in a folder, with the variables given alone; a context manager."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "OMP")}
        self._env = env | threads | {"MLFLOW_DISABLE_TELEMETRY": "true"}

    def __enter__(self):
        self._place = TemporaryDirectory()
        address = f"{self._place.name}/asked"
        bin_folder = Path(self._place.name, "bin")
        bin_folder.mkdir()
        for name in NAMES:
            client = bin_folder / name
            client.write_text(CLIENT.format(python=sys.executable, address=address))
            client.chmod(0o755)
        self._server = subprocess.Popen(
            [sys.executable, "-P", __file__, address],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._server.stdout.readline() != b"ready\n":  # it has said why
            self._server.communicate()
            self._place.cleanup()
            raise RuntimeError("the warm process did not start")
        environment = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self._folder,
            env=self._env | {"PATH": f"{bin_folder}{os.pathsep}{environment}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._write(BASH)
        return self

    def __exit__(self, *_error):
        self._bash.communicate()
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGTERM)
        self._server.communicate()
        self._place.cleanup()

    def run(self, block: str) -> Printed:
        """Paste a block and wait until its last command has ended."""
        self._write(BLOCK.format(block=block))
        text = self._read()
        return Printed(text, tuple(map(int, self._read().split())))

    def _write(self, text: str) -> None:
        self._bash.stdin.write(text.encode())
        self._bash.stdin.flush()

    def _read(self) -> str:
        found = bytearray()
        while (one := self._bash.stdout.read(1)) != b"\x1e":
            assert one, f"bash ended: {found.decode()}"
            found += one
        return found.decode()


def _serve(address: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from fakes.warm import import_all

    import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    waiting = socket.socket(socket.AF_UNIX)
    waiting.bind(address)
    waiting.listen()
    os.write(1, b"ready\n")
    while True:
        asked, _ = waiting.accept()
        if os.fork() == 0:
            waiting.close()
            _run(asked)
        asked.close()


def _run(asked: socket.socket) -> None:
    """One command, in the child; it never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 70
    try:
        (name, *words), folder, env = _take_over(asked)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        _start(name, words)
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        asked.send(str(code).encode())
        os._exit(code)


def _take_over(asked: socket.socket) -> list:
    """Have the streams of who asks; the words, the folder and the variables come back."""
    streams = array.array("i")
    size, sent, _, _ = asked.recvmsg(8, socket.CMSG_LEN(3 * streams.itemsize))
    streams.frombytes(sent[0][2])
    said = b""
    while len(said) < int.from_bytes(size, "big"):
        said += asked.recv(1 << 16)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stdout, sys.stderr = (
        open(number, "w", buffering=1, closefd=False, encoding="utf-8")  # noqa: SIM115
        for number in (1, 2)
    )  # by line, as in a terminal: what goes to both keeps its order
    return json.loads(said)


def _start(name: str, words: list[str]) -> None:
    if name == "mlrek":
        sys.argv = ["mlrek", *words]
        runpy.run_module("mlrek", run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, "")
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
