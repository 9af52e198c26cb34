"""Rekognition's evaluation manifest (`TestingGroundTruth-….json`): lines of JSON -> plain columns.

One pass, one typed decode; only numbers and image URIs are kept. What the keys of a line mean is
worked out once for all lines that have the same keys.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.json_text import show
from mlrek.formats.lines import iter_json_lines
from mlrek.formats.rekognition_summary import MODERATION_REASON

# The bits of the column `flags`: what the service says of a record.
IS_TRUE_POSITIVE = 1
IS_FALSE_POSITIVE = 2
IS_FALSE_NEGATIVE = 4
IS_TRUE_NEGATIVE = 8
IS_PRESENT = 16  # in the truth of the image
IS_ABSENT = 32

_DETECTION_REASON = (
    "this is the evaluation of an object-detection model, which this version of mlrek does not "
    "read; it reads image classification, with one label an image or several"
)
_INPUT_MANIFEST_REASON = (
    "holds no predictions: it is probably the input manifest (TestingManifestWithValidation-…); "
    "the predictions are in TestingGroundTruth-….json, which the service names under "
    "TestingDataResult.Output"
)

_METADATA = "-metadata"
_NAMED = re.compile(r"rekognition-custom-labels-(training|evaluation)(?:-[0-9]+)?(?:-metadata)?")
_MODERATION = re.compile(r"content-moderation-groundtruth|detect-moderation-labels(-base-model)?")
_CLASSIFICATION = "groundtruth/image-classification"
_DETECTION = "groundtruth/object-detection"
_VERIFICATION = "groundtruth/label-verification"
_N_LINES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestInput:
    """A manifest as it is read: chunks of any size, used up once."""

    uri: str
    chunks: Iterable[bytes]


class _LabelCodes(dict[str, int]):
    """Label -> code; a new label gets the next one."""

    def __missing__(self, label: object) -> int:
        if not isinstance(label, str) or not label or "\0" in label:
            raise _malformed("class-name", label, "a label")
        return self.setdefault(label, len(self))


@dataclass(slots=True, kw_only=True)
class ManifestColumns:
    """A manifest in file order; label codes are the values of `label_codes`.

    Image i has the codes `true_label[true_offsets[i]:true_offsets[i + 1]]`, and likewise those of
    `record_label` with their `confidence` and `flags`, in any order; a label may repeat.
    """

    images: list[str] = field(default_factory=list)
    label_codes: dict[str, int] = field(default_factory=_LabelCodes)
    true_offsets: "array[int]" = field(default_factory=lambda: array("q", [0]))
    true_label: "array[int]" = field(default_factory=lambda: array("i"))
    record_offsets: "array[int]" = field(default_factory=lambda: array("q", [0]))
    record_label: "array[int]" = field(default_factory=lambda: array("i"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    flags: "array[int]" = field(default_factory=lambda: array("B"))
    warnings: list[str] = field(default_factory=list)


def parse_manifest(manifest: ManifestInput, *, skip_bad_lines: bool = False) -> ManifestColumns:
    """Every line of an evaluation manifest.

    Raises:
        ParseError: A line is malformed (not with `skip_bad_lines`: then it is left out and counted
            in a warning), the file is empty, holds no predictions, or those of another task.
    """
    skipped: list[tuple[int, str]] = []

    def on_bad_line(number: int, exc: ValueError) -> None:
        if not skip_bad_lines:
            raise ParseError(manifest.uri, number, str(exc)) from exc
        skipped.append((number, str(exc)))

    reader = _Reader()
    for number, line in iter_json_lines(_DECODER, manifest.chunks, manifest.uri, on_bad_line):
        try:
            reader.read_line(line)
        except _RefusedError as exc:
            raise ParseError(manifest.uri, number, str(exc)) from exc
        except ValueError as exc:
            reader.drop_unfinished()
            on_bad_line(number, exc)
    _check_predictions(manifest.uri, reader.columns, skipped)
    reader.columns.warnings += _warn_skipped(len(reader.columns.images), skipped)
    reader.columns.warnings += _warn_repeated(reader.columns.images)
    return reader.columns


_Scalar: TypeAlias = str | float | bool | None


class _Details(Struct, gc=False, frozen=True, rename=lambda name: "is-" + name.replace("_", "-")):
    true_positive: bool | None = None
    false_positive: bool | None = None
    false_negative: bool | None = None
    true_negative: bool | None = None
    present_in_ground_truth: bool | None = None


class _Attribute(Struct, gc=False, rename="kebab"):
    """Any object on a line: metadata of a label attribute, boxes, or what has no meaning here."""

    class_name: _Scalar = None
    confidence: _Scalar = None
    type: _Scalar = None
    human_annotated: _Scalar = None
    details: _Details | None = key(
        name="rekognition-custom-labels-evaluation-details", default=None
    )
    annotations: Raw | UnsetType = UNSET


_Line: TypeAlias = dict[str, _Attribute | list[Any] | str | int | float | bool | None]
_DECODER = Decoder(_Line)

_FLAGS: dict[_Details | None, int] = {None: 0} | {
    _Details(tp, fp, fn, tn, present): (
        bool(tp) * IS_TRUE_POSITIVE
        + bool(fp) * IS_FALSE_POSITIVE
        + bool(fn) * IS_FALSE_NEGATIVE
        + bool(tn) * IS_TRUE_NEGATIVE
        + {True: IS_PRESENT, False: IS_ABSENT, None: 0}[present]
    )
    for tp, fp, fn, tn, present in product((True, False, None), repeat=5)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """The keys of the metadata of a line's label attributes.

    `unnamed` are those under the customer's own names, on a line without the service's names.
    """

    truth: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()


class _RefusedError(Exception):
    """The whole file is of a kind that is not read, whatever else stands in it."""


class _Reader:
    """Fills the columns line by line."""

    def __init__(self) -> None:
        self.columns = ManifestColumns()
        self._find_keys = lru_cache(maxsize=64)(_find_keys)
        self._names: tuple[str, ...] = ()
        self._keys = _Keys()

    def read_line(self, line: _Line) -> None:
        """Append what one line says.

        Raises:
            ValueError: The line is malformed; what was appended of it is to be dropped.
        """
        image = line.get("source-ref")
        if not isinstance(image, str) or not image or "\0" in image:
            raise _malformed("source-ref", image, "the place of an image")
        names = tuple(line)
        if names != self._names:  # rarely: the next line mostly has the same keys
            self._keys, self._names = self._find_keys(names), names
        keys = _sort_unnamed(line, self._keys.unnamed) if self._keys.unnamed else self._keys
        columns = self.columns
        for name in keys.truth:
            _read_truth(line, name, columns)
        for name in keys.evaluation:
            _read_record(line, name, columns)
        columns.images.append(image)
        columns.true_offsets.append(len(columns.true_label))
        columns.record_offsets.append(len(columns.record_label))

    def drop_unfinished(self) -> None:
        """Take back what was appended of a line that is malformed."""
        columns = self.columns
        del columns.true_label[columns.true_offsets[-1] :]
        for column in (columns.record_label, columns.confidence, columns.flags):
            del column[columns.record_offsets[-1] :]


def _read_truth(line: _Line, name: str, columns: ManifestColumns) -> None:
    metadata = line[name]
    if not isinstance(metadata, _Attribute):
        raise _malformed(name, metadata, "a JSON object")
    label: Any = metadata.class_name  # `label_codes` refuses what is no label
    if label is None and _has_boxes(line, name):
        return  # the image as a whole has no label, which is no error
    columns.true_label.append(columns.label_codes[label])


def _read_record(line: _Line, name: str, columns: ManifestColumns) -> None:
    metadata = line[name]
    if not isinstance(metadata, _Attribute):
        raise _malformed(name, metadata, "a JSON object")
    label: Any = metadata.class_name
    if label is None and _has_boxes(line, name):
        raise _RefusedError(_DETECTION_REASON)
    confidence = metadata.confidence
    if not isinstance(confidence, float) or not 0 <= confidence <= 1:
        raise _malformed(f"confidence in {name}", confidence, "a number from 0 to 1")
    columns.record_label.append(columns.label_codes[label])
    columns.confidence.append(confidence)
    columns.flags.append(_FLAGS[metadata.details])


def _find_keys(names: tuple[str, ...]) -> _Keys:
    """Which keys of a line are label attributes: the service's, else any that have metadata."""
    present = frozenset(names)
    found: dict[str, list[str]] = {"training": [], "evaluation": []}
    for name in names:
        if _MODERATION.fullmatch(name):
            raise _RefusedError(MODERATION_REASON)
        if match := _NAMED.fullmatch(name):
            value_name = name.removesuffix(_METADATA)
            if not present.issuperset((value_name, value_name + _METADATA)):
                raise ValueError(f"{value_name} and {value_name}{_METADATA} do not stand together")
            if name != value_name:
                found[match[1]].append(name)
    if any(found.values()):
        return _Keys(truth=tuple(found["training"]), evaluation=tuple(found["evaluation"]))
    unnamed = (name + _METADATA for name in names if name != "source-ref")
    return _Keys(unnamed=tuple(name for name in unnamed if name in present))


def _sort_unnamed(line: _Line, names: tuple[str, ...]) -> _Keys:
    """What a machine wrote, with details of its evaluation, is a record; other labels are truth."""
    truth, evaluation = [], []
    for name in names:
        metadata = line[name]
        if not isinstance(metadata, _Attribute) or metadata.type == _VERIFICATION:
            continue
        if metadata.human_annotated == "no" and metadata.details is not None:
            evaluation.append(name)
        elif metadata.class_name is not None or metadata.type == _CLASSIFICATION:
            truth.append(name)
    return _Keys(truth=tuple(truth), evaluation=tuple(evaluation))


def _has_boxes(line: _Line, metadata_name: str) -> bool:
    value, metadata = line[metadata_name.removesuffix(_METADATA)], line[metadata_name]
    has_annotations = isinstance(value, _Attribute) and value.annotations is not UNSET
    return has_annotations or (isinstance(metadata, _Attribute) and metadata.type == _DETECTION)


def _malformed(what: str, found: object, expected: str) -> ValueError:
    return ValueError(f"{what} is {show(found)}, not {expected}")


def _check_predictions(uri: str, columns: ManifestColumns, skipped: list[tuple[int, str]]) -> None:
    if columns.record_label:
        return
    if skipped:
        line, reason = skipped[0]
        raise ParseError(uri, line, f"{reason}; no line that could be read holds a prediction")
    reason = _INPUT_MANIFEST_REASON if columns.images else "is empty: not one line"
    raise ParseError(uri, 0, reason)


def _warn_skipped(n_read: int, skipped: list[tuple[int, str]]) -> list[str]:
    if not skipped:
        return []
    shown = "; ".join(f"line {number}: {reason}" for number, reason in skipped[:_N_LINES_SHOWN])
    more = "; …" if len(skipped) > _N_LINES_SHOWN else ""
    n = len(skipped)
    return [f"{n} of {n_read + n} manifest lines are malformed and were left out: {shown}{more}"]


def _warn_repeated(images: list[str]) -> list[str]:
    if len(set(images)) == len(images):
        return []
    repeated = [image for image, n in Counter(images).items() if n > 1]
    several = f"{len(repeated)} images stand on more than one line of the manifest"
    return [f"{several}; each line counts as an image of its own; first: {show(repeated[0])}"]
