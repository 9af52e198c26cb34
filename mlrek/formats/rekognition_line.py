"""One line of a Rekognition manifest: its type, and which of its keys carry labels."""

import re
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias, TypeGuard

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.formats.columns import RefusedError, malformed

# The bits of the column `flags`: what the service says of a record.
IS_TRUE_POSITIVE = 1
IS_FALSE_POSITIVE = 2
IS_FALSE_NEGATIVE = 4
IS_TRUE_NEGATIVE = 8
IS_PRESENT = 16  # in the truth of the image
IS_ABSENT = 32

_MODERATION_REASON = (
    "belongs to a custom moderation adapter, whose lines do not stand with those of Custom Labels"
)
DETAILS_KEY = "rekognition-custom-labels-evaluation-details"
SOURCE_KEY = "source-ref"
STATE_KEY = "cl-metadata"
"""Holds what the service knows of a data set's entry: whether somebody has labelled it."""
_METADATA = "-metadata"
_NAMED = re.compile(r"rekognition-custom-labels-(training|evaluation)(?:-[0-9]+)?(?:-metadata)?")
_MODERATION = re.compile(r"content-moderation-groundtruth|detect-moderation-labels(-base-model)?")
_CLASSIFICATION = "groundtruth/image-classification"
_DETECTION = "groundtruth/object-detection"
_VERIFICATION = "groundtruth/label-verification"


class Details(Struct, gc=False, frozen=True, rename=lambda name: "is-" + name.replace("_", "-")):
    """What the service says of a record."""

    true_positive: bool | None = None
    false_positive: bool | None = None
    false_negative: bool | None = None
    true_negative: bool | None = None
    present_in_ground_truth: bool | None = None


class Attribute(Struct, gc=False, rename="kebab"):
    """Any object on a line: metadata of a label attribute, boxes, or what has no meaning here.

    Nothing is known of the types: in an object without meaning they do no harm.
    """

    class_name: Any = None
    confidence: Any = None
    type: Any = None
    human_annotated: Any = None
    details: Details | None = key(name=DETAILS_KEY, default=None)
    annotations: Raw | UnsetType = UNSET
    objects: Raw | UnsetType = UNSET
    image_size: Raw | UnsetType = key(name="image_size", default=UNSET)
    class_map: Any = None
    is_labeled: Any = key(name="is_labeled", default=None)
    failure_reason: Any = None


Value: TypeAlias = Attribute | list[Any] | str | int | float | bool | None
Line: TypeAlias = dict[str, Value]
LINE_DECODER = Decoder(Line)
NUMBERS = frozenset((float, int))  # no bool, which Python takes for one

FLAGS: dict[Details | None, int] = {None: 0} | {
    Details(tp, fp, fn, tn, present): (
        bool(tp) * IS_TRUE_POSITIVE
        + bool(fp) * IS_FALSE_POSITIVE
        + bool(fn) * IS_FALSE_NEGATIVE
        + bool(tn) * IS_TRUE_NEGATIVE
        + {True: IS_PRESENT, False: IS_ABSENT, None: 0}[present]
    )
    for tp, fp, fn, tn, present in product((True, False, None), repeat=5)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelKeys:
    """The keys of the metadata of a line's label attributes.

    `unnamed` are those under the customer's own names, on a line without the service's names.
    """

    truth: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()


def find_keys(names: tuple[str, ...]) -> LabelKeys:
    """Which keys of a line are label attributes: the service's, else any that have metadata."""
    present = frozenset(names)
    found: dict[str, list[str]] = {"training": [], "evaluation": []}
    for name in names:
        if _MODERATION.fullmatch(name):
            raise RefusedError(_MODERATION_REASON)
        if match := _NAMED.fullmatch(name):
            value_name = name.removesuffix(_METADATA)
            if not present.issuperset((value_name, value_name + _METADATA)):
                raise ValueError(f"{value_name} and {value_name}{_METADATA} do not stand together")
            if name != value_name:
                found[match[1]].append(name)
    if any(found.values()):
        return LabelKeys(truth=tuple(found["training"]), evaluation=tuple(found["evaluation"]))
    unnamed = (name + _METADATA for name in names if name != SOURCE_KEY)
    return LabelKeys(unnamed=tuple(name for name in unnamed if name in present))


def find_label_keys(line: Line) -> LabelKeys:
    """Which keys of a line of any kind are true labels and which are records, none left unnamed.

    Raises:
        ValueError: The line is malformed.
        RefusedError: It is of a kind that is not read.
    """
    keys = find_keys(tuple(line))
    return _sort_unnamed(line, keys.unnamed) if keys.unnamed else keys


def find_labels(line: Line, keys: LabelKeys) -> tuple[list[Attribute], list[Attribute]]:
    """The metadata of the true labels and of the records that are of the image as a whole.

    Raises:
        ValueError: The line is malformed.
    """
    truth = [_get_labelled(line, name) for name in keys.truth if not has_boxes(line, name)]
    records = [_get_record(line, name) for name in keys.evaluation if not has_boxes(line, name)]
    return truth, records


def is_unlabelled(line: Line) -> bool:
    """Whether a line says that nobody has labelled its image, or that labelling it failed."""
    state = line.get(STATE_KEY)
    if isinstance(state, Attribute) and state.is_labeled is False:
        return True
    return any(
        isinstance(value, Attribute) and value.failure_reason and value.type != _VERIFICATION
        for value in line.values()
    )


def get_metadata(line: Line, name: str) -> Attribute:
    """The metadata that a key holds.

    Raises:
        ValueError: It holds something else.
    """
    metadata = line[name]
    if not isinstance(metadata, Attribute):
        raise malformed(name, metadata, "a JSON object")
    return metadata


def get_value(line: Line, name: str) -> object:
    """The value that the metadata under `name` is of."""
    return line[name.removesuffix(_METADATA)]


def has_boxes(line: Line, name: str) -> bool:
    """Whether the label attribute whose metadata stands under `name` is boxes."""
    metadata = get_metadata(line, name)
    if metadata.class_name is not None:
        return False
    value = get_value(line, name)
    has_annotations = isinstance(value, Attribute) and value.annotations is not UNSET
    return has_annotations or metadata.type == _DETECTION


def is_label(name: object) -> TypeGuard[str]:
    """Whether a class-name names a class; no store takes a NUL."""
    return isinstance(name, str) and name != "" and "\0" not in name


def _sort_unnamed(line: Line, names: tuple[str, ...]) -> LabelKeys:
    """What a machine wrote, with details of its evaluation, is a record; other labels are truth."""
    truth, evaluation = [], []
    for name in names:
        metadata = line[name]
        if not isinstance(metadata, Attribute) or metadata.type == _VERIFICATION:
            continue
        is_boxes = has_boxes(line, name)
        if metadata.human_annotated == "no" and _has_details(metadata):
            evaluation.append(name)
        elif is_boxes or metadata.class_name is not None or metadata.type == _CLASSIFICATION:
            truth.append(name)
    return LabelKeys(truth=tuple(truth), evaluation=tuple(evaluation))


def _has_details(metadata: Attribute) -> bool:
    """Whether the service says what it made of the label, or of some box."""
    return metadata.details is not None or DETAILS_KEY.encode() in bytes(metadata.objects or b"")


def _get_record(line: Line, name: str) -> Attribute:
    metadata = _get_labelled(line, name)
    confidence = metadata.confidence
    if type(confidence) not in NUMBERS or not 0 <= confidence <= 1:
        raise malformed(f"confidence in {name}", confidence, "a number from 0 to 1")
    return metadata


def _get_labelled(line: Line, name: str) -> Attribute:
    metadata = get_metadata(line, name)
    if not is_label(metadata.class_name):
        raise malformed(f"class-name in {name}", metadata.class_name, "a label")
    return metadata
