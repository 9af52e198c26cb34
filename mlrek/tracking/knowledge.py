"""How much a run knows: so that a good run is never replaced by a poorer one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlrek.errors import EvaluationError, TrackingError
from mlrek.evaluation import DoubtKind, Evaluation
from mlrek.tracking.runs import LoggedRun

if TYPE_CHECKING:
    from mlrek.tracking.store import Store

_SAID = re.compile(r"(\d+) of \d+ images (?:have no response|could not be answered)\b")
"""How runs of earlier versions tell of images without an answer: in their warnings."""
STORED_PATH = "evaluation.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What an evaluation's numbers rest on.

    `images` are distinct ones, `unanswered` those of them without a prediction; `files` are role
    and SHA-256 of what was read.
    """

    images: int = 0
    unanswered: int = 0
    files: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    @property
    def roles(self) -> frozenset[str]:
        """Which kinds of files were read."""
        return frozenset(role for role, _ in self.files)


def compute_knowledge(evaluation: Evaluation) -> Knowledge:
    """What the numbers of an evaluation rest on."""
    told = [d.count or 0 for d in evaluation.doubts if d.kind is DoubtKind.UNANSWERED]
    said = sum(int(n) for line in evaluation.warnings for n in _SAID.findall(line))
    unread = int((~evaluation.masks.readable).sum()) if evaluation.masks else 0
    return Knowledge(
        images=len(set(evaluation.images)),
        unanswered=max(unread, said, *told),
        files=frozenset((file.role, file.sha256) for file in evaluation.files),
    )


def say_loss(old: Knowledge, new: Knowledge) -> str:
    """What `new` lacks of what `old` knows, in words; '' where it knows as much.

    Files that are read in another way than before, but are the same, are no loss; nor is one where
    `old` knows no images.
    """
    if not old.images or old.files <= new.files:
        return ""
    return "; ".join(_list_losses(old, new))


def _list_losses(old: Knowledge, new: Knowledge) -> Iterator[str]:
    if not new.images:
        yield f"no test image can be read any more, and the run was computed from {old.images:,}"
        return
    if new.images < old.images:
        yield f"{new.images:,} images are there now, and the run was computed from {old.images:,}"
    answered, before = new.images - new.unanswered, old.images - old.unanswered
    if answered < before and new.images >= old.images:
        yield f"{answered:,} images have an answer now, and {before:,} had one in the run"
    if gone := sorted(old.roles - new.roles):
        yield f"what the run was read from is gone: {', '.join(gone)}"


def find_loss(store: "Store", run: LoggedRun, new: Knowledge) -> str:
    """What a new evaluation lacks of what a complete run of its version knows, '' for nothing.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    return say_loss(_read_knowledge(store, run), new) if run.has_images else ""


def say_kept(loss: str, command: str = "mlrek sync") -> str:
    """Why a run was not replaced, and what would replace it all the same."""
    return f"the run stays as it was logged before: {loss}; `{command} --force` replaces it"


def read_earlier(store: "Store | None", run: LoggedRun | None) -> bytes:
    """The `evaluation.parquet` of the run that counts, b'' where none is needed or to be had."""
    if store is None or run is None or not run.has_images:
        return b""
    try:
        return store.read_artifact(run.run_id, STORED_PATH)
    except TrackingError:
        return b""


def _read_knowledge(store: "Store", run: LoggedRun) -> Knowledge:
    """What a run knows by its own file; by its params where that cannot be read."""
    from mlrek.formats.stored import load_evaluation  # heavy, and rarely needed

    try:
        return compute_knowledge(load_evaluation(store.read_artifact(run.run_id, STORED_PATH)))
    except (TrackingError, EvaluationError):
        images = run.params.get("test_images", "")
        return Knowledge(images=int(images) if images.isascii() and images.isdigit() else 1)
