"""The errors mlrek raises; each message says what, where, and what to do next.

MlrekError
├── SourceError(uri, reason)              an evaluation cannot be read
│   ├── SourceNotFoundError               what is named is not there (404)
│   ├── SourceInterruptedError            it cannot be read just now; later it may be
│   └── ParseError(uri, line, reason)     it is there, but is not what it should be
├── EvaluationError                       what was read contradicts itself or cannot answer
│   └── OtherVersionError                 a run holds what another version's run should
├── IncomparableError                     two versions cannot be compared
├── TrackingError                         MLflow cannot be reached, or refuses
│   ├── ModelNotFoundError                the registry has no such model, version or alias
│   └── RunNotFoundError                  the store has no such run
├── ClusterError                          a Dask cluster cannot be reached, or cannot do the work
├── CommentError                          GitHub or GitLab takes no comment
├── PolicyError                           a policy file is not valid
└── UsageError                            the command asks for something that does not exist
"""

import os
import signal
from types import FrameType
from typing import NoReturn

from mlrek.text import hide_secrets


class MlrekError(Exception):
    """Base of every error that mlrek raises on purpose; its message holds no secret of a URL."""

    def __init__(self, message: str = "") -> None:
        super().__init__(hide_secrets(message))


class SourceError(MlrekError):
    """An evaluation, or a part of it, cannot be read."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri}: {reason}")
        self.uri = uri
        self.reason = reason

    def __reduce__(self) -> tuple[type["SourceError"], tuple[str, ...]]:
        """Pickle by the arguments of `__init__`, so that errors cross process boundaries."""
        return type(self), (self.uri, self.reason)


class SourceNotFoundError(SourceError):
    """What a source names is not there."""


class SourceInterruptedError(SourceError):
    """What is named cannot be read just now: the network, a login that expired, a busy service."""


class ParseError(SourceError):
    """A file does not hold what its format says; `line` counts from 1, 0 is the whole file."""

    def __init__(self, uri: str, line: int, reason: str) -> None:
        super().__init__(f"{uri}:{line}" if line else uri, reason)
        self.uri = uri
        self.line = line

    def __reduce__(self) -> tuple[type["ParseError"], tuple[str, int, str]]:  # type: ignore[override]
        """Pickle by the three arguments, so that errors cross process boundaries."""
        return type(self), (self.uri, self.line, self.reason)


class EvaluationError(MlrekError):
    """An evaluation contradicts itself, or cannot carry what was asked of it."""


class OtherVersionError(EvaluationError):
    """A run's evaluation is of another version, or project, than the run says that it is of."""


class IncomparableError(MlrekError):
    """Two versions cannot be compared; the exit code is 4."""


class TrackingError(MlrekError):
    """MLflow cannot be reached or refuses the request."""


class ModelNotFoundError(TrackingError):
    """The registry has no such model, version or alias (yet)."""


class RunNotFoundError(TrackingError):
    """The store has no such run."""


class ClusterError(MlrekError):
    """A Dask cluster cannot be reached, or cannot do the work."""


class CommentError(MlrekError):
    """GitHub or GitLab cannot be reached, or takes no comment."""


class PolicyError(MlrekError):
    """A policy file is not valid.

    Attributes:
        mistakes: A line for each thing that is wrong; the error's own text is all of them.
    """

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class UsageError(MlrekError):
    """A command asks for something that does not exist; the exit code is 2."""


EXIT_INTERRUPTED = 130
SAID = "interrupted; what is complete stays"


def end_at_once() -> None:
    """Let Ctrl-C end the process with one line, unless it is ignored (`nohup`, `&` in a script)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def begin_command() -> bool:
    """Let Ctrl-C raise, as in any program; False where nobody has changed that."""
    changed = signal.getsignal(signal.SIGINT) is _end
    if changed:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return changed


def end_command(*, said: bool) -> None:
    """Let Ctrl-C end the process again; without a line where one was `said` already."""
    signal.signal(signal.SIGINT, _end_silently if said else _end)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, f"mlrek: {SAID}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def _end_silently(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(EXIT_INTERRUPTED)
