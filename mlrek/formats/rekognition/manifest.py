"""Rekognition's evaluation manifest (`TestingGroundTruth-….json`): lines of JSON -> plain columns.

One pass over typed values, a block of lines at a time; only numbers and image URIs are kept. What
the keys of a line mean is worked out once for all lines that have the same keys.
"""

import re
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, groupby
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta, Struct, defstruct
from msgspec import field as key
from msgspec.json import Decoder
from numpy.typing import NDArray

from mlrek.errors import ParseError
from mlrek.evaluation import BoolArray, Doubt
from mlrek.formats.columns import BadLines, ManifestInput, check_place, malformed
from mlrek.formats.json_text import LabelName, join_some, quoted
from mlrek.formats.lines import (
    BYTE_ORDER_MARK,
    Block,
    BlockDecoder,
    OnBadLine,
    iter_blocks,
    iter_json_lines,
)
from mlrek.formats.rekognition.line import (
    DETAILS_KEY,
    FLAGS,
    LINE_DECODER,
    NUMBERS,
    SOURCE_KEY,
    STATE_KEY,
    BoxColumns,
    Details,
    LabelKeys,
    Line,
    Value,
    find_boxes,
    find_keys,
    find_label_keys,
    find_labels,
    is_label,
    is_unlabelled,
)
from mlrek.formats.told import SCALARS, Told, find_told

_MAX_KEYS = 2_000  # that a type is made for; lines with a record of each of 250 labels have 503


class _Truth(Struct, gc=False, rename="kebab"):
    """What counts of a true label, and what an `Attribute` looks at where it stands."""

    class_name: str
    type: Any = None
    human_annotated: Any = None
    class_map: Any = None
    is_labeled: Any = key(name="is_labeled", default=None)
    failure_reason: Any = None
    details: Details | None = key(name=DETAILS_KEY, default=None)


class _Record(_Truth, gc=False, kw_only=True):
    confidence: Annotated[float, Meta(ge=0, le=1)]


_SHARED = Decoder(tuple[_Truth, _Record, Value])
"""Made at import: a thread that met what another one was still making of a type would crash."""


@dataclass(slots=True)
class ManifestRows:
    """What counts on lines of a manifest; class names and images are not checked yet."""

    images: list[Any] = field(default_factory=list)
    true_counts: list[int] = field(default_factory=list)
    truth: list[Any] = field(default_factory=list)
    record_counts: list[int] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    told: dict[str, list[Any]] = field(default_factory=dict)


class AlikeLines:
    """Decodes lines that have the keys `names`, in any order, and no other ones."""

    def __init__(self, names: Sequence[str], keys: LabelKeys) -> None:
        fields = {name: f"key_{number}" for number, name in enumerate(names)}
        types: dict[str, Any] = {SOURCE_KEY: str}
        types |= dict.fromkeys(keys.truth, _Truth) | dict.fromkeys(keys.evaluation, _Record)
        line_type = defstruct(
            "AlikeLine",
            [(field, types.get(name, Value), key(name=name)) for name, field in fields.items()],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = BlockDecoder(Decoder(line_type))
        self._image = fields[SOURCE_KEY]
        self._truth = [fields[name] for name in keys.truth]
        self._records = [fields[name] for name in keys.evaluation]
        self._told = {name: fields[name] for name in find_told(tuple(names))}

    def decode(self, block: Block) -> ManifestRows:
        """What counts on the lines of a block.

        Raises:
            ValueError: Some line has other keys, or is malformed.
        """
        lines = self._decoder.decode(block)
        if not lines:
            raise ValueError("other lines")
        return ManifestRows(
            images=_gather(lines, [self._image]),
            true_counts=[len(self._truth)] * len(lines),
            truth=_gather(lines, self._truth),
            record_counts=[len(self._records)] * len(lines),
            records=_gather(lines, self._records),
            told={name: _gather(lines, [key]) for name, key in self._told.items()},
        )


_INPUT_MANIFEST_REASON = (
    "holds no predictions: it is probably the input manifest (TestingManifestWithValidation-…); "
    "the predictions are in TestingGroundTruth-….json, which the service names under "
    "TestingDataResult.Output"
)


class _LabelCodes(dict[str, int]):
    """Label -> code; a new label gets the next one."""

    def __missing__(self, label: str) -> int:
        if not is_label(label):
            raise malformed("class-name", label, "a label")
        return self.setdefault(label, len(self))


@dataclass(slots=True, kw_only=True)
class ManifestColumns:
    """A manifest in file order; label codes are the values of `label_codes`.

    Image i has the next `true_counts[i]` codes of `true_label` and the next `record_counts[i]` of
    `record_label`, with their `confidence` and `flags`. Labels of an image are in any order and
    may repeat; some of `label_codes` may not occur at all. What is about a part of an image is in
    `boxes`, what else lines say of their image in `told`. `unlabelled` are images of lines which
    say that nobody has labelled them; nothing else of these lines is kept.
    """

    images: list[str] = field(default_factory=list)
    label_codes: dict[str, int] = field(default_factory=_LabelCodes)
    true_counts: "array[int]" = field(default_factory=lambda: array("i"))
    true_label: "array[int]" = field(default_factory=lambda: array("i"))
    record_counts: "array[int]" = field(default_factory=lambda: array("i"))
    record_label: "array[int]" = field(default_factory=lambda: array("i"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    flags: "array[int]" = field(default_factory=lambda: array("B"))
    boxes: BoxColumns = field(default_factory=BoxColumns)
    told: Told = field(default_factory=Told)
    unlabelled: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def has_found_boxes(self) -> bool:
        """Whether what is evaluated finds objects; it may have found none."""
        return bool(self.boxes.records.attributes)


class _CodedRows(NamedTuple):
    """What is appended to the columns of some lines; labels are codes."""

    images: list[str]
    true_counts: list[int]
    true_label: list[int]
    record_counts: list[int]
    record_label: list[int]
    confidence: list[float]
    flags: list[int]
    told: dict[str, list[Any]]


class _PackedRows(NamedTuple):
    """The same from another process, as bytes of arrays; its codes are the places in `names`."""

    images: list[str]
    true_counts: bytes
    true_label: bytes
    record_counts: bytes
    record_label: bytes
    confidence: bytes
    flags: bytes
    told: dict[str, list[Any]]
    names: tuple[str, ...]


class _Reader:
    """Fills the columns."""

    def __init__(self) -> None:
        self.columns = ManifestColumns()
        self.is_usual = False
        self._decoder = BlockDecoder(LINE_DECODER)
        self._alike: AlikeLines | None = None
        self._find_keys = lru_cache(maxsize=64)(find_keys)

    def read(self, block: Block, on_bad_line: OnBadLine) -> None:
        """Append the lines of a block."""
        start = len(self.columns.images)
        self._read_labels(block, on_bad_line)
        self.columns.told.look(block, start, self.columns.images)

    def _read_labels(self, block: Block, on_bad_line: OnBadLine) -> None:
        """Take the labels; mostly lines have the keys of those before them."""
        if self._alike is not None and self._read_alike(self._alike, block):
            return
        self._alike, self.is_usual = None, False
        for number, lines in self._decoder.iter_values(block, on_bad_line):
            try:
                self._append(self._gather(lines))
            except (ValueError, TypeError, AttributeError):
                self._read_each(number, lines, on_bad_line)
            else:
                self._alike, self.is_usual = find_alike(lines), True

    def decode(self, block: Block) -> ManifestRows | None:
        """What counts on lines of the usual kind; None where `read` has to look at each."""
        try:
            return self._decode(block)
        except (ValueError, TypeError, AttributeError):
            return None

    def pack(self, block: Block) -> _PackedRows:
        """The same for another process.

        Raises:
            ValueError, TypeError, AttributeError: Lines are of another kind, or malformed.
        """
        codes = _LabelCodes()
        rows = _code_rows(self._decode(block), codes)
        told = {
            name: [value if type(value) in SCALARS else None for value in values]
            for name, values in rows.told.items()
        }
        return _PackedRows(
            images=rows.images,
            true_counts=array("i", rows.true_counts).tobytes(),
            true_label=array("i", rows.true_label).tobytes(),
            record_counts=array("i", rows.record_counts).tobytes(),
            record_label=array("i", rows.record_label).tobytes(),
            confidence=array("d", rows.confidence).tobytes(),
            flags=bytes(rows.flags),
            told=told,
            names=tuple(codes),
        )

    def take(
        self, block: Block, found: ManifestRows | _PackedRows | None, on_bad_line: OnBadLine
    ) -> None:
        """Append the lines of a block, of which this was found."""
        start = len(self.columns.images)
        if found is None or not self._append_found(found):
            self._read_labels(block, on_bad_line)
        self.columns.told.look(block, start, self.columns.images)

    def _append_found(self, found: ManifestRows | _PackedRows) -> bool:
        """Append what was found of a block, or nothing where some line is malformed."""
        try:
            self._append(found) if isinstance(found, ManifestRows) else self._append_packed(found)
        except (ValueError, TypeError, AttributeError):
            return False
        return True

    def _decode(self, block: Block) -> ManifestRows:
        if self._alike is not None:
            with suppress(ValueError):
                return self._alike.decode(block)
        lines = self._decoder.decode(block)
        if not lines:
            raise ValueError("no lines")
        rows = self._gather(lines)
        self._alike = find_alike(lines)
        return rows

    def _read_alike(self, alike: AlikeLines, block: Block) -> bool:
        """Append all lines of a block, or none where some line is not like those."""
        try:
            self._append(alike.decode(block))
        except ValueError:
            return False
        return True

    def _gather(self, lines: Sequence[Line]) -> ManifestRows:
        """What counts on lines of the usual kind.

        Raises:
            ValueError, TypeError, AttributeError: Some line is of another kind, or malformed;
                `_read_each` finds it.
        """
        rows = ManifestRows()
        for names, group in groupby(lines, key=tuple):
            keys, alike = self._find_keys(names), list(group)
            if keys.unnamed or STATE_KEY in names:
                raise ValueError("labels under other names, or perhaps none")
            rows.images += [line.get(SOURCE_KEY) for line in alike]
            rows.true_counts += [len(keys.truth)] * len(alike)
            rows.truth += [line[name] for line in alike for name in keys.truth]
            rows.record_counts += [len(keys.evaluation)] * len(alike)
            rows.records += [line[name] for line in alike for name in keys.evaluation]
            if told := find_told(names):
                self._tell(rows, told, alike)
        confidence = [metadata.confidence for metadata in rows.records]
        if not NUMBERS.issuperset(map(type, confidence)):
            raise ValueError("no number")
        if confidence and not 0 <= min(confidence) <= max(confidence) <= 1:
            raise ValueError("no confidence")
        return rows

    def _tell(self, rows: ManifestRows, names: Sequence[str], lines: Sequence[Line]) -> None:
        """Add what the last lines say of their images; those before have no such key."""
        for name in names:
            cells = rows.told.setdefault(name, [])
            cells += [None] * (len(rows.images) - len(lines) - len(cells))
            cells += [line[name] for line in lines]

    def _read_each(self, number: int, lines: Sequence[Line], on_bad_line: OnBadLine) -> None:
        """Append lines of any kind, one by one; `number` is that of the first."""
        for line_number, line in enumerate(lines, number):
            try:
                if is_unlabelled(line):
                    self.columns.unlabelled.append(check_place(SOURCE_KEY, line.get(SOURCE_KEY)))
                    continue
                keys = find_label_keys(line)
                truth, records = find_labels(line, keys)
                boxes = find_boxes(line, keys, self.columns.label_codes)
                image = [check_place(SOURCE_KEY, line.get(SOURCE_KEY))]
                told = {name: [line[name]] for name in find_told(tuple(line))}
                counts = [len(truth)], [len(records)]
                self._append(ManifestRows(image, counts[0], truth, counts[1], records, told))
                self.columns.boxes.add(len(self.columns.images) - 1, *boxes)
            except ValueError as exc:
                on_bad_line(line_number, exc)

    def _append(self, rows: ManifestRows) -> None:
        """Append all rows, or none when a class name or an image is not what it should be."""
        self._add(_code_rows(rows, self.columns.label_codes))

    def _append_packed(self, packed: _PackedRows) -> None:
        """Append what another process has made of some lines."""
        columns = self.columns
        codes = np.array([columns.label_codes[name] for name in packed.names], dtype=np.intc)
        self._tell_images(packed.images, packed.told)
        columns.true_counts.frombytes(packed.true_counts)
        columns.true_label.frombytes(_recode(packed.true_label, codes))
        columns.record_counts.frombytes(packed.record_counts)
        columns.record_label.frombytes(_recode(packed.record_label, codes))
        columns.confidence.frombytes(packed.confidence)
        columns.flags.frombytes(packed.flags)

    def _add(self, rows: _CodedRows) -> None:
        columns = self.columns
        self._tell_images(rows.images, rows.told)
        columns.true_counts.fromlist(rows.true_counts)
        columns.true_label.fromlist(rows.true_label)
        columns.record_counts.fromlist(rows.record_counts)
        columns.record_label.fromlist(rows.record_label)
        columns.confidence.fromlist(rows.confidence)
        columns.flags.fromlist(rows.flags)

    def _tell_images(self, images: list[str], told: dict[str, list[Any]]) -> None:
        for name, values in told.items():
            self.columns.told.add(name, len(self.columns.images), values)
        self.columns.images += images


def _recode(label: bytes, codes: NDArray[np.intc]) -> bytes:
    """Other codes for the same labels."""
    return codes[np.frombuffer(label, dtype=np.intc)].tobytes()


def _code_rows(rows: ManifestRows, codes: dict[str, int]) -> _CodedRows:
    """The rows with codes for labels.

    Raises:
        ValueError: A class name or an image is not what it should be.
    """
    coded = _CodedRows(
        images=rows.images,
        true_counts=rows.true_counts,
        true_label=[codes[metadata.class_name] for metadata in rows.truth],
        record_counts=rows.record_counts,
        record_label=[codes[metadata.class_name] for metadata in rows.records],
        confidence=[metadata.confidence for metadata in rows.records],
        flags=[FLAGS[metadata.details] for metadata in rows.records],
        told=rows.told,
    )
    if not all(rows.images) or "\0" in "".join(rows.images):
        raise ValueError("no image")
    return coded


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


class _ModerationTruth(Struct, rename="pascal"):
    moderation_labels: list[_TrueLabel] | None = None


class _FoundLabel(Struct, gc=False, rename="pascal"):
    name: LabelName
    confidence: Annotated[float, Meta(ge=0, le=100)]


class _Found(Struct, rename="pascal"):
    moderation_labels: list[_FoundLabel] | None = None


class _Line(Struct):
    image: LabelName = key(name="source-ref")
    truth: _ModerationTruth | None = key(name="content-moderation-groundtruth", default=None)
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


def parse_manifest(manifest: ManifestInput, *, skip_bad_lines: bool = False) -> ManifestColumns:
    """Every line of an evaluation manifest.

    Raises:
        ParseError: A line is malformed (not with `skip_bad_lines`: then it is left out and counted
            in a warning), the file is empty or holds no predictions.
    """
    bad_lines, reader = BadLines(manifest.uri, skip=skip_bad_lines), _Reader()
    blocks = iter_blocks(manifest.chunks, manifest.uri)
    if manifest.is_shared:
        _read_shared(reader, blocks, bad_lines.add)
    for block in blocks:
        reader.read(block, bad_lines.add)
    columns = reader.columns
    if not columns.record_label and not columns.has_found_boxes:
        is_empty = not columns.images
        raise bad_lines.explain_no_prediction(_INPUT_MANIFEST_REASON, is_empty=is_empty)
    columns.doubts += bad_lines.doubt(len(columns.images) + len(columns.unlabelled))
    return columns


def _read_shared(reader: _Reader, blocks: Iterator[Block], on_bad_line: OnBadLine) -> None:
    """Read with a second process what is long enough; not where each line has to be looked at."""
    from mlrek.formats.dealing import CAN_FORK, deal, take_first  # for long files alone

    if not CAN_FORK:
        return
    for block in take_first(blocks):
        reader.read(block, on_bad_line)
    if reader.is_usual:
        for block, found in deal(blocks, reader.decode, reader.pack):
            reader.take(block, found, on_bad_line)


def find_alike(lines: Sequence[Line]) -> AlikeLines | None:
    """What decodes lines like these; None where that takes more than one type."""
    names = tuple(lines[0])
    if len(names) > _MAX_KEYS or not all(line.keys() == lines[0].keys() for line in lines):
        return None
    keys = find_keys(names)
    has_labels = SOURCE_KEY in names and STATE_KEY not in names and not keys.unnamed
    is_plain = has_labels and all(map(_can_be_field, names))
    return AlikeLines(names, keys) if is_plain else None


def _gather(lines: Sequence[Struct], fields: Sequence[str]) -> list[Any]:
    """The fields of the first line, those of the second, and so on."""
    if len(fields) < 2:  # noqa: PLR2004 - of one field it gives no tuple
        return [value for name in fields for value in map(attrgetter(name), lines)]
    return list(chain.from_iterable(map(attrgetter(*fields), lines)))


def _can_be_field(name: str) -> bool:
    """Whether msgspec takes the key for a field."""
    return name.isprintable() and not {'"', "\\"} & {*name}


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
        named = join_some([quoted(name) for name in names], ", ", _N_NAMED)
        yield (
            f"{n} answers of labels that the adapter was not trained on, and that are true on no "
            f"image, were left out: {named}"
        )
