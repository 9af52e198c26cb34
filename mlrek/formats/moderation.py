"""Custom moderation adapters: the lines of their test output, with the base model's answers.

A line holds three lists of labels: the true ones, those that the adapter found, and those that the
base model found; the last two at confidence 5 and above of 100.
"""

import re
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import BoolArray
from mlrek.formats.columns import BadLines, ManifestInput
from mlrek.formats.json_text import LabelName, join_some, show
from mlrek.formats.lines import BYTE_ORDER_MARK, iter_json_lines
from mlrek.formats.rekognition_manifest import ManifestColumns

_ANSWERS = re.compile(
    rb'"(?:content-moderation-groundtruth|detect-moderation-labels(?:-base-model)?)"\s*:'
)
_N_NAMED = 5
_NO_ANSWERS = (
    "holds no answers of a moderation adapter: it is probably an input or training manifest; the "
    "answers are in the test output, which the service names under TestingDataResult.Output"
)


class _TrueLabel(Struct, gc=False, rename="pascal"):
    name: LabelName


class _Truth(Struct, rename="pascal"):
    moderation_labels: list[_TrueLabel] | None = None


class _FoundLabel(Struct, gc=False, rename="pascal"):
    name: LabelName
    confidence: Annotated[float, Meta(ge=0, le=100)]


class _Found(Struct, rename="pascal"):
    moderation_labels: list[_FoundLabel] | None = None


class _Line(Struct):
    image: LabelName = key(name="source-ref")
    truth: _Truth | None = key(name="content-moderation-groundtruth", default=None)
    adapter: _Found | None = key(name="detect-moderation-labels", default=None)
    base: _Found | None = key(name="detect-moderation-labels-base-model", default=None)


_DECODER = Decoder(_Line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Truth and answers of the adapter, and those of the base model on the same images.

    The two share their label codes and images; only `adapter` has truth, doubts and warnings.
    `is_labelled` and `is_answered` (0 or 1 an image) tell where there is truth and an answer at
    all, be it of nothing.
    """

    adapter: ManifestColumns = field(default_factory=ManifestColumns)
    base: ManifestColumns = field(default_factory=ManifestColumns)
    is_labelled: "array[int]" = field(default_factory=lambda: array("B"))
    is_answered: "array[int]" = field(default_factory=lambda: array("B"))

    def __post_init__(self) -> None:
        self.base.label_codes = self.adapter.label_codes
        self.base.images = self.adapter.images


def is_answers(head: bytes) -> bool:
    """Whether a manifest that begins like this is a moderation adapter's: its first line tells."""
    first_line = head.removeprefix(BYTE_ORDER_MARK).lstrip().partition(b"\n")[0]
    return _ANSWERS.search(first_line) is not None


def parse_answers(manifest: ManifestInput, *, skip_bad_lines: bool = False) -> Answers:
    """Every line of an adapter's test output; confidences become fractions.

    Raises:
        ParseError: A line is malformed (not with `skip_bad_lines`: then it is left out and counted
            in a warning), or no line holds an answer.
    """
    answers, bad_lines = Answers(), BadLines(manifest.uri, skip=skip_bad_lines)
    n_answered = 0
    for _, lines in iter_json_lines(_DECODER, manifest.chunks, manifest.uri, bad_lines.add):
        for line in lines:
            _append(answers, line)
            n_answered += line.adapter is not None or line.base is not None
    if not n_answered:
        raise bad_lines.first or ParseError(manifest.uri, 0, _NO_ANSWERS)
    answers.adapter.doubts += bad_lines.doubt(len(answers.adapter.images))
    return answers


def keep_labels(answers: Answers, published: Collection[str]) -> tuple[str, ...]:
    """Leave out answers of labels that the adapter was not trained on and that are never true.

    Without a published list there is nothing to leave out. Returns a warning if something was.
    """
    if not published:
        return ()
    codes = answers.adapter.label_codes
    is_kept = np.array([label in published for label in codes], dtype=np.bool_)
    is_kept[np.asarray(answers.adapter.true_label)] = True
    names = [label for label, kept in zip(codes, is_kept, strict=True) if not kept]
    n = sum(_keep(columns, is_kept) for columns in (answers.adapter, answers.base))
    return tuple(_warn_left_out(n, names))


def _append(answers: Answers, line: _Line) -> None:
    adapter, base, codes = answers.adapter, answers.base, answers.adapter.label_codes
    true = (line.truth and line.truth.moderation_labels) or []
    adapter.images.append(line.image)
    answers.is_labelled.append(line.truth is not None)
    answers.is_answered.append(line.adapter is not None)
    adapter.true_counts.append(len(true))
    adapter.true_label.extend([codes[label.name] for label in true])
    for columns, found in ((adapter, line.adapter), (base, line.base)):
        labels = (found and found.moderation_labels) or []
        columns.record_counts.append(len(labels))
        columns.record_label.extend([codes[label.name] for label in labels])
        columns.confidence.extend([label.confidence / 100 for label in labels])
        columns.flags.extend([0] * len(labels))


def _keep(columns: ManifestColumns, is_kept: BoolArray) -> int:
    """Leave out records of other labels; how many they were."""
    label = np.asarray(columns.record_label)
    kept, n_images = is_kept[label], len(columns.images)
    image_idx = np.repeat(np.arange(n_images), np.asarray(columns.record_counts))
    counts = np.bincount(image_idx[kept], minlength=n_images)
    columns.confidence = array("d", np.asarray(columns.confidence)[kept].tobytes())
    columns.flags = array("B", np.asarray(columns.flags)[kept].tobytes())
    columns.record_label = array("i", label[kept].tobytes())
    columns.record_counts = array("i", counts.astype(np.intc).tobytes())
    return int(np.count_nonzero(~kept))


def _warn_left_out(n: int, names: list[str]) -> Iterator[str]:
    if n:
        named = join_some([show(name) for name in names], ", ", _N_NAMED)
        yield (
            f"{n} answers of labels that the adapter was not trained on, and that are true on no "
            f"image, were left out: {named}"
        )
