"""Lines of a test set that nobody has labelled: what is true of their images is unknown, not empty.

Custom Labels ignores such lines too (WARNING_UNANNOTATED_RECORD, WARNING_NO_ATTRIBUTE_ANNOTATIONS).
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from mlrek.evaluation import Doubt, DoubtKind
from mlrek.formats.ground_truth_line import METADATA, Line, TrueAttribute
from mlrek.formats.json_text import say_first, show

_IMAGE = "source-ref"
_OF_THE_LINE = frozenset(("cl-metadata", f"{_IMAGE}{METADATA}"))
_VERIFICATION = "groundtruth/label-verification"
_N_NAMED = 3


class Reason(StrEnum):
    """Why nothing is known of an image."""

    TOLD = "`is_labeled` is false"
    FAILED = "its labelling failed (`failure-reason`)"
    BARE = "no label attribute"


@dataclass(slots=True)
class Unlabelled:
    """The images of lines that nobody has labelled, and attributes that lack their other half.

    Attributes are counted by name: `alone` is metadata without its attribute, `bare` an attribute
    without its metadata.
    """

    images: list[str] = field(default_factory=list)
    reasons: "Counter[Reason]" = field(default_factory=Counter)
    alone: "Counter[str]" = field(default_factory=Counter)
    bare: "Counter[str]" = field(default_factory=Counter)

    def add(self, image: str, line: Line, reason: Reason) -> None:
        """Take note of a line that is left out."""
        self.images.append(image)
        self.reasons[reason] += 1
        if reason is Reason.BARE:
            self.alone.update(name.removesuffix(METADATA) for name in _list_alone(line))
            self.bare.update(name for name in line if _is_bare(line, name))

    def list_doubts(self, n_labelled: int) -> Iterator[Doubt]:
        """Yield the doubt about a test set of so many further lines."""
        if not self.images:
            return
        n, of = len(self.images), n_labelled + len(self.images)
        reasons = ", ".join(f"{reason}: {count}" for reason, count in self.reasons.items())
        what = (
            f"lines of the test set are of images that nobody has labelled ({reasons}), and are "
            "left out"
        )
        halves = "".join(f"; {said}" for said in self.describe_halves())
        yield Doubt(
            kind=DoubtKind.TRUTH_UNKNOWN,
            text=say_first(n, of, what, self.images[0]) + halves,
            count=n,
            of=of,
        )

    def describe_halves(self) -> Iterator[str]:
        """Say which attributes lack their metadata, or the other way round, the most frequent."""
        for name, n in self.alone.most_common(_N_NAMED):
            yield (
                f"{show(name + METADATA)} stands alone on {self._count(n)}: its attribute "
                f"{show(name)} is missing"
            )
        for name, n in self.bare.most_common(_N_NAMED):
            yield f"{show(name)} has no {show(name + METADATA)} on {self._count(n)}"

    def _count(self, n: int) -> str:
        return "all lines" if n == len(self.images) else f"{n} lines"


def find_reason(line: Line, truth: Collection[str], wanted: Collection[str]) -> Reason | None:
    """Why the truth of a line is unknown; None where it is known.

    Args:
        line: The line.
        truth: Its attributes that hold truth and count.
        wanted: The attributes that were asked for; none: all.
    """
    told = line.get("cl-metadata")
    if isinstance(told, TrueAttribute) and told.is_labeled is False:
        return Reason.TOLD
    if any(_has_failed(line, name, wanted) for name in line):
        return Reason.FAILED
    return None if truth else Reason.BARE


def _has_failed(line: Line, name: str, wanted: Collection[str]) -> bool:
    metadata = line[name]
    if not name.endswith(METADATA) or not isinstance(metadata, TrueAttribute):
        return False
    counts = not wanted or name.removesuffix(METADATA) in wanted
    return counts and bool(metadata.failure_reason) and metadata.type != _VERIFICATION


def _list_alone(line: Line) -> Iterator[str]:
    for name, value in line.items():
        is_metadata = name.endswith(METADATA) and isinstance(value, TrueAttribute)
        if is_metadata and name not in _OF_THE_LINE and name.removesuffix(METADATA) not in line:
            yield name


def _is_bare(line: Line, name: str) -> bool:
    """Whether something that might be an attribute has no metadata."""
    is_value = isinstance(line[name], int | list | TrueAttribute) and not isinstance(
        line[name], bool
    )
    is_other = name in {_IMAGE, "errors", "cl-errors", "warnings"} or name.endswith(METADATA)
    return is_value and not is_other and name + METADATA not in line
