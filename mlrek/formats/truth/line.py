"""One line of a ground-truth manifest: which of its attributes tell what, under whatever names."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import UNSET
from msgspec import field as key
from msgspec.json import Decoder, decode

from mlrek.evaluation import Doubt, DoubtKind
from mlrek.formats.columns import RefusedError, check_place, malformed
from mlrek.formats.json_text import quoted, say_first
from mlrek.formats.rekognition.line import DETAILS_KEY, Attribute, is_label

TRAINING = "rekognition-custom-labels-training"
"""What the service calls true labels, whatever the customer called them."""
ADJUSTED = "adjusted-"
"""Begins the name of an attribute that takes the place of the one named behind it."""
METADATA = "-metadata"
"""Ends the name of what tells of an attribute."""

_SERVICE = re.compile(r"rekognition-custom-labels-(training|evaluation)(?:-[0-9]+)?")
_MODERATION = "content-moderation-groundtruth"
_TYPE = "groundtruth/"


class Kind(StrEnum):
    """What an attribute tells of an image; the first three are truth that is read."""

    LABEL = "one label"
    LABELS = "a list of labels"
    BOXES = "boxes"
    MASKS = "masks"
    PREDICTION = "predictions"
    VERIFICATION = "verifications of labels"
    UNKNOWN = "attributes of another kind"


TRUTH = frozenset((Kind.LABEL, Kind.LABELS, Kind.BOXES))


class TrueAttribute(Attribute, gc=False, rename="kebab"):
    """Any object on a line, with what only input manifests have."""

    internal_color_map: Any = None
    model_arn: Any = None
    errors: Any = None
    failure_reason: Any = None
    is_labeled: Any = key(name="is_labeled", default=None)


Line: TypeAlias = dict[str, TrueAttribute | list[Any] | str | int | float | bool | None]
LINE_DECODER = Decoder(Line)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAttributes:
    """The attributes of a line by name, and those that an adjusted one takes the place of."""

    kinds: Mapping[str, Kind]
    superseded: Sequence[str] = field(default=())


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
        halves = "".join(f"; {said}" for said in self.say_halves())
        yield Doubt(
            kind=DoubtKind.TRUTH_UNKNOWN,
            text=say_first(n, of, what, self.images[0]) + halves,
            count=n,
            of=of,
        )

    def say_halves(self) -> Iterator[str]:
        """Say which attributes lack their metadata, or the other way round, the most frequent."""
        for name, n in self.alone.most_common(_N_NAMED):
            yield (
                f"{quoted(name + METADATA)} stands alone on {self._count(n)}: its attribute "
                f"{quoted(name)} is missing"
            )
        for name, n in self.bare.most_common(_N_NAMED):
            yield f"{quoted(name)} has no {quoted(name + METADATA)} on {self._count(n)}"

    def _count(self, n: int) -> str:
        return "all lines" if n == len(self.images) else f"{n} lines"


def find_attributes(line: Line) -> LineAttributes:
    """What each attribute of a line tells; one is whatever has metadata of its own.

    Raises:
        RefusedError: It is the line of a moderation adapter.
    """
    if _MODERATION in line:
        raise RefusedError(
            "belongs to a custom moderation adapter, which cannot be tested on your own images"
        )
    kinds = {}
    for name, value in line.items():
        metadata = line.get(name + METADATA)
        if name == "source-ref" or not isinstance(metadata, TrueAttribute):
            continue
        if name.removesuffix(METADATA) in line and name.endswith(METADATA):
            continue  # the metadata of another one
        kinds[name] = _find_kind(name, value, metadata)
    superseded = [name for name in kinds if kinds.get(ADJUSTED + name) == kinds[name]]
    kept = {name: kind for name, kind in kinds.items() if name not in superseded}
    return LineAttributes(kinds=kept, superseded=superseded)


def find_image(line: Line) -> str:
    """The place of the image.

    Raises:
        ValueError: There is none.
    """
    image = line.get("source-ref")
    if image is None and "source" in line:
        raise ValueError("has `source`, no `source-ref`: it is of a text, not of an image")
    return check_place("source-ref", image)


def find_class(line: Line, name: str) -> str:
    """The label that an attribute of one label gives; its number has no meaning.

    Raises:
        ValueError: It names none.
    """
    label = _metadata(line, name).class_name
    if not is_label(label):
        raise malformed(f"class-name in {name}{METADATA}", label, "a label")
    return label


def find_classes(line: Line, name: str) -> list[str]:
    """The labels that an attribute of several labels gives, perhaps none.

    Raises:
        ValueError: It is no list, or a number in it has no name.
    """
    numbers, names = line[name], _metadata(line, name).class_map
    if not isinstance(numbers, list):
        raise malformed(name, numbers, "a list of classes")
    labels = []
    for number in numbers:
        label = names.get(str(number)) if isinstance(names, dict) else None
        if not is_label(label):
            where = f"class {quoted(number)} in the class-map of {name}{METADATA}"
            raise malformed(where, label, "a label")
        labels.append(label)
    return labels


def list_errors(line: Line) -> Iterator[str]:
    """Yield the codes of what the service found wrong with a line, at any of its places."""
    for place in ("errors", "cl-errors"):
        yield from _name_errors(line.get(place))
    for value in line.values():
        if isinstance(value, TrueAttribute):
            yield from _name_errors(value.errors)
            if value.annotations is not UNSET and b'"errors"' in bytes(value.annotations):
                annotations = decode(value.annotations)
                for one in annotations if isinstance(annotations, list) else ():
                    yield from _name_errors(one.get("errors") if isinstance(one, dict) else None)


def _find_kind(name: str, value: object, metadata: TrueAttribute) -> Kind:
    named = _SERVICE.fullmatch(name)
    told = metadata.type.removeprefix(_TYPE) if isinstance(metadata.type, str) else ""
    has_class = metadata.class_name is not None
    tests = {
        Kind.PREDICTION: (named and named[1] == "evaluation") or _is_predicted(metadata),
        Kind.VERIFICATION: told == "label-verification",
        Kind.MASKS: told == "semantic-segmentation" or metadata.internal_color_map is not None,
        Kind.BOXES: not has_class and _is_boxes(value, told),
        Kind.LABELS: isinstance(value, list) or told == "image-classification-multilabel",
        Kind.LABEL: has_class or told == "image-classification",
    }
    return next((kind for kind, is_of_kind in tests.items() if is_of_kind), Kind.UNKNOWN)


def _is_boxes(value: object, kind: str) -> bool:
    has_annotations = isinstance(value, TrueAttribute) and value.annotations is not UNSET
    return has_annotations or kind == "object-detection"


def _is_predicted(metadata: TrueAttribute) -> bool:
    """Whether a trained model wrote it; Ground Truth's own automatic labels are truth."""
    if metadata.human_annotated != "no":
        return False
    objects = b"" if metadata.objects is UNSET else bytes(metadata.objects)
    has_details = metadata.details is not None or DETAILS_KEY.encode() in objects
    return has_details or metadata.model_arn is not None


def _metadata(line: Line, name: str) -> TrueAttribute:
    metadata = line[name + METADATA]
    assert isinstance(metadata, TrueAttribute)  # noqa: S101 - `find_attributes` saw to it
    return metadata


def _name_errors(errors: object) -> Iterator[str]:
    for error in errors if isinstance(errors, list) else [errors] if errors else ():
        code = error.get("code") if isinstance(error, dict) else None
        yield code if isinstance(code, str) else "no code"


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
