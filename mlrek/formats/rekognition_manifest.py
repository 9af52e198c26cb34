"""Rekognition's evaluation manifest (`TestingGroundTruth-….json`): lines of JSON -> plain columns.

One pass over typed values, a block of lines at a time; only numbers and image URIs are kept. What
the keys of a line mean is worked out once for all lines that have the same keys.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from mlrek.evaluation import Doubt
from mlrek.formats.columns import BadLines, ManifestInput, check_place, malformed
from mlrek.formats.lines import Block, BlockDecoder, OnBadLine, iter_blocks
from mlrek.formats.rekognition_alike import AlikeLines, Rows, find_alike
from mlrek.formats.rekognition_boxes import BoxColumns, find_boxes
from mlrek.formats.rekognition_line import (
    FLAGS,
    LINE_DECODER,
    NUMBERS,
    SOURCE_KEY,
    STATE_KEY,
    Line,
    find_keys,
    find_label_keys,
    find_labels,
    is_label,
    is_unlabelled,
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
    `boxes`. `unlabelled` are images of lines which say that nobody has labelled them; nothing else
    of these lines is kept.
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
    unlabelled: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def has_found_boxes(self) -> bool:
        """Whether what is evaluated finds objects; it may have found none."""
        return bool(self.boxes.records.attributes)


def parse_manifest(manifest: ManifestInput, *, skip_bad_lines: bool = False) -> ManifestColumns:
    """Every line of an evaluation manifest.

    Raises:
        ParseError: A line is malformed (not with `skip_bad_lines`: then it is left out and counted
            in a warning), the file is empty or holds no predictions.
    """
    bad_lines, reader = BadLines(manifest.uri, skip=skip_bad_lines), _Reader()
    for block in iter_blocks(manifest.chunks, manifest.uri):
        reader.read(block, bad_lines.add)
    columns = reader.columns
    if not columns.record_label and not columns.has_found_boxes:
        is_empty = not columns.images
        raise bad_lines.explain_no_prediction(_INPUT_MANIFEST_REASON, is_empty=is_empty)
    columns.doubts += bad_lines.doubt(len(columns.images) + len(columns.unlabelled))
    return columns


class _Reader:
    """Fills the columns."""

    def __init__(self) -> None:
        self.columns = ManifestColumns()
        self._decoder = BlockDecoder(LINE_DECODER)
        self._alike: AlikeLines | None = None
        self._find_keys = lru_cache(maxsize=64)(find_keys)

    def read(self, block: Block, on_bad_line: OnBadLine) -> None:
        """Append the lines of a block; mostly they have the keys of the lines before them."""
        if self._alike is not None and self._read_alike(self._alike, block):
            return
        self._alike = None
        for number, lines in self._decoder.iter_values(block, on_bad_line):
            try:
                self._append(self._gather(lines))
            except (ValueError, TypeError, AttributeError):
                self._read_each(number, lines, on_bad_line)
            else:
                self._alike = find_alike(lines)

    def _read_alike(self, alike: AlikeLines, block: Block) -> bool:
        """Append all lines of a block, or none where some line is not like those."""
        try:
            self._append(alike.decode(block))
        except ValueError:
            return False
        return True

    def _gather(self, lines: Sequence[Line]) -> Rows:
        """What counts on lines of the usual kind.

        Raises:
            ValueError, TypeError, AttributeError: Some line is of another kind, or malformed;
                `_read_each` finds it.
        """
        rows = Rows()
        for names, group in groupby(lines, key=tuple):
            keys, alike = self._find_keys(names), list(group)
            if keys.unnamed or STATE_KEY in names:
                raise ValueError("labels under other names, or perhaps none")
            rows.images += [line.get(SOURCE_KEY) for line in alike]
            rows.true_counts += [len(keys.truth)] * len(alike)
            rows.truth += [line[name] for line in alike for name in keys.truth]
            rows.record_counts += [len(keys.evaluation)] * len(alike)
            rows.records += [line[name] for line in alike for name in keys.evaluation]
        confidence = [metadata.confidence for metadata in rows.records]
        if not NUMBERS.issuperset(map(type, confidence)):
            raise ValueError("no number")
        if confidence and not 0 <= min(confidence) <= max(confidence) <= 1:
            raise ValueError("no confidence")
        return rows

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
                self._append(Rows(image, [len(truth)], truth, [len(records)], records))
                self.columns.boxes.add(len(self.columns.images) - 1, *boxes)
            except ValueError as exc:
                on_bad_line(line_number, exc)

    def _append(self, rows: Rows) -> None:
        """Append all rows, or none when a class name or an image is not what it should be."""
        columns, codes = self.columns, self.columns.label_codes
        true_label = [codes[metadata.class_name] for metadata in rows.truth]
        record_label = [codes[metadata.class_name] for metadata in rows.records]
        if not all(rows.images) or "\0" in "".join(rows.images):
            raise ValueError("no image")
        columns.images += rows.images
        columns.true_counts.fromlist(rows.true_counts)
        columns.true_label.fromlist(true_label)
        columns.record_counts.fromlist(rows.record_counts)
        columns.record_label.fromlist(record_label)
        columns.confidence.fromlist([metadata.confidence for metadata in rows.records])
        columns.flags.fromlist([FLAGS[metadata.details] for metadata in rows.records])
