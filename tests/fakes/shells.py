"""A shell at a terminal of its own, as somebody types into it."""

import contextlib
import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence

PATIENCE_S = 120
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78])"
)


class Shell:
    """An interactive shell; what it shows is read as text."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.pid, self.terminal = pty.fork()
        if not self.pid:  # pragma: no cover - the shell
            os.chdir(cwd)
            os.execvpe(command[0], [*command], {**env, "TERM": "xterm"})  # noqa: S606 - it is the shell
        self.seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern: str) -> str:
        """What is shown since the last call, up to a pattern that has to come."""
        ends = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.seen)):
            if not select.select([self.terminal], [], [], max(0, ends - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} in {self.seen!r}")
            self.seen = _ESCAPES.sub("", self.seen + os.read(self.terminal, 4096).decode())
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)
