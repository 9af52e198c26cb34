"""Asking a running version about images, and keeping each answer in a file as it comes.

The file is JSON Lines as `mlrek.formats.predictions.responses` describes it. What stands in it
already is not asked again, so that whatever stops the work, the next run goes on with what is
missing.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from mlrek.errors import SourceError
from mlrek.formats.columns import ManifestInput
from mlrek.formats.predictions.responses import parse_responses
from mlrek.sources.rekognition_now import Answered

SECONDS_A_CALL = 0.4  # of one image at one inference unit, roughly
CALLS_A_SECOND = 50  # the service allows no more, whoever makes them
USD_AN_HOUR = 4  # for each inference unit of a running version, roughly
MAX_UNREADABLE = 10
"""So many images that cannot be read, and not one that can: then it is not the images' fault."""


class Asks(Protocol):
    """An endpoint: see `mlrek.sources.rekognition_now.Endpoint`."""

    @property
    def version_arn(self) -> str:
        """The version that answers."""

    def ask(self, image: str) -> Answered:
        """What the version sees on an image."""


class Watch(Protocol):
    """Told how the calls go on."""

    def say(self, text: str) -> None:
        """Something that a person should know."""

    def start(self, calls: int) -> None:
        """So many calls will be made."""

    def advance(self) -> None:
        """One call is done; told from several threads."""


def call_missing(
    images: Sequence[str], endpoint: Asks, path: Path, *, jobs: int, watch: Watch
) -> None:
    """Ask about each image without an answer in the file yet, up to `jobs` at once.

    Raises:
        SourceError: The file cannot be written or read, the version is not running, or AWS denies
            the calls. What was answered until then stands in the file.
    """
    with _alone(path):
        answered = _read_answered(path, endpoint.version_arn, watch)
        missing = [image for image in dict.fromkeys(images) if image not in answered]
        if not missing:
            return
        watch.say(say_cost(len(missing), len(answered), jobs))
        watch.start(len(missing))
        with _appending(path) as descriptor:
            keeper = _Keeper(descriptor=descriptor, path=path, is_proven=bool(answered))
            _ask_all(missing, endpoint, keeper, jobs, watch)
            keeper.finish()


def say_cost(n_calls: int, n_answered: int, jobs: int) -> str:
    """How many calls there will be, how long they take, and what runs up meanwhile."""
    minutes = n_calls / min(CALLS_A_SECOND, jobs / SECONDS_A_CALL) / 60
    how_long = f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute"  # noqa: PLR2004 (rounded)
    kept = f" ({n_answered:,} answers are kept)" if n_answered else ""
    return (
        f"calling DetectCustomLabels {n_calls:,} times{kept}, which takes about {how_long}; a "
        f"running version bills about {USD_AN_HOUR} USD an hour for each inference unit, called or "
        "not, until you stop it"
    )


@dataclass(slots=True, kw_only=True)
class _Keeper:
    """Writes each answer as one whole line. Used from several threads.

    Until one image could be read (`is_proven`), those that could not are held back: with a wrong
    region or missing permission that is every one.
    """

    descriptor: int
    path: Path
    is_proven: bool
    held_back: list[dict[str, Any]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def keep(self, line: dict[str, Any]) -> None:
        """Write one line.

        Raises:
            SourceError: It cannot be written, or no image at all can be read.
        """
        with self._lock:
            if "response" in line:
                self.is_proven = True
            self.held_back.append(line)
            if self.is_proven:
                self._write()
            elif len(self.held_back) >= MAX_UNREADABLE:
                self._give_up()

    def finish(self) -> None:
        """Nothing more comes.

        Raises:
            SourceError: No image at all could be read.
        """
        if self.held_back:
            self._give_up()

    def _write(self) -> None:
        for line in self.held_back:
            data = json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
            try:
                while data:
                    data = data[os.write(self.descriptor, data) :]
            except OSError as exc:
                raise SourceError(str(self.path), f"cannot be written: {exc.strerror}") from exc
        self.held_back.clear()

    def _give_up(self) -> None:
        line = self.held_back[0]
        raise SourceError(
            line["image"],
            f"{line['error']}; nor could any other image be read. Images in S3 must be in the "
            "version's own region, and readable for your credentials (s3:GetObject)",
        )


def _ask_all(
    images: Iterable[str], endpoint: Asks, keeper: _Keeper, jobs: int, watch: Watch
) -> None:
    """Ask until all are answered, or something stops it; what is under way is still kept."""
    queue = _Queue(iter(images))

    def work() -> None:
        for image in queue:
            answered = endpoint.ask(image)
            line: dict[str, Any] = {"image": image, "version_arn": endpoint.version_arn}
            line["min_confidence"] = 0
            if answered.response is None:
                line["error"] = answered.error
            else:
                line["response"] = answered.response
            keeper.keep(line)
            watch.advance()

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        workers = [pool.submit(work) for _ in range(max(1, jobs))]
        try:
            done, _ = wait(workers, return_when=FIRST_EXCEPTION)
        finally:
            queue.stop()
    for worker in done:
        worker.result()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else of this machine asks for the same file meanwhile, and pays twice.

    Raises:
        SourceError: Somebody does.
    """
    from filelock import FileLock, Timeout

    place = path.resolve()
    if path.is_dir() or not place.parent.is_dir():
        raise SourceError(str(path), "cannot be written: name a file in a folder that is there")
    locked = place.with_name(f".{place.name}.lock")  # a temporary folder is anybody's
    lock = FileLock(locked)
    try:
        lock.acquire(timeout=0)
    except Timeout as exc:
        reason = "another process is asking for these answers; wait for it, or name another file"
        raise SourceError(str(path), reason) from exc
    except OSError as exc:
        raise SourceError(str(path), f"cannot be written: {exc.strerror or exc}") from exc
    try:
        yield
    finally:
        locked.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    """The file, made where it is not there, to be appended to in single writes."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as exc:
        raise SourceError(str(path), f"cannot be written: {exc.strerror or exc}") from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Queue:
    """Images handed out one by one to several threads, until it is stopped."""

    def __init__(self, images: Iterator[str]) -> None:
        self._images = images
        self._lock = Lock()
        self._stopped = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._images)

    def stop(self) -> None:
        """Hand out nothing more."""
        self._stopped = True


def _read_answered(path: Path, version_arn: str, watch: Watch) -> set[str]:
    """The images that stand in the file already; a last line that was cut off is dropped first.

    Raises:
        SourceError: It cannot be read, or holds something else.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
        end = content.rfind(b"\n") + 1
        if content[end:].strip():
            if not _is_whole(content[end:]):
                watch.say(f"{path}: its last line was cut off; it is dropped and asked again")
                os.truncate(path, end)
                content = content[:end]
            else:
                with path.open("ab") as file:
                    file.write(b"\n")
    except OSError as exc:
        raise SourceError(str(path), f"cannot be read: {exc.strerror or exc}") from exc
    if not content.strip():
        return set()
    known = parse_responses(
        ManifestInput(uri=str(path), chunks=[content]), version_arns=[version_arn], is_own=True
    )
    return {*known.images, *known.errors}


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
