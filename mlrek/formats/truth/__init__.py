"""A manifest of true labels (SageMaker Ground Truth's augmented manifest): lines -> truth.

One JSON object a line; `source-ref` is the image's place. What is read:

| on the line | means |
| --- | --- |
| `"ATTR": 1, "ATTR-metadata": {"class-name": "cat", …}` | one label of the image; several such pairs are several labels. The number (or text) has no meaning |
| `"ATTR": [0, 8], "ATTR-metadata": {"class-map": {"0": "cat", "8": "dog"}, …}` | all labels of the image |
| `"ATTR": {"annotations": [{"class_id", "left", "top", "width", "height"}], "image_size": [{"width", "height"}]}, "ATTR-metadata": {"class-map": {…}, …}` | boxes in pixels |
| `rekognition-custom-labels-training-N` | the same in the service's own evaluation manifests, whose predictions are passed over |

ATTR is any name. What `ListDatasetEntries` of Rekognition gives, one entry a line, is such a
manifest too. Where labels were adjusted, `adjusted-ATTR` counts instead of `ATTR`. Verifications
of labels (`groundtruth/label-verification`) are no labels; masks are refused. Lines with which the
service itself found something wrong (`errors`, `cl-errors`) are left out, as it does, and so are
those that nobody has labelled. Whatever is passed over is counted in a warning or a doubt. The lines
may stand in an array, in answers of ListDatasetEntries as the AWS CLI prints them, in gzip or UTF-16.
"""  # noqa: E501 (a table)

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from msgspec import Raw
from msgspec.json import Decoder

from mlrek.errors import ParseError, UsageError
from mlrek.evaluation import Boxes, Doubt, FloatArray, LabelSets, SliceColumn, Task
from mlrek.formats.columns import BadLines, ManifestInput, RefusedError, read_values, warn_first
from mlrek.formats.json_text import decode_json, join_some, quoted
from mlrek.formats.lines import BlockDecoder, iter_blocks, unfold_lines
from mlrek.formats.rekognition import find_used_labels, gather_objects, sort_truth
from mlrek.formats.rekognition.line import LabelKeys, find_boxes
from mlrek.formats.rekognition.manifest import ManifestColumns
from mlrek.formats.truth.line import (
    ADJUSTED,
    LINE_DECODER,
    TRAINING,
    TRUTH,
    Kind,
    Line,
    LineAttributes,
    Unlabelled,
    find_attributes,
    find_class,
    find_classes,
    find_image,
    find_reason,
    list_errors,
)

_MAX_NAMES = 10
_ENTRIES = re.compile(rb'\{\s*"(?:DatasetEntries|NextToken)"\s*:')
_ITEMS = Decoder(list[Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """What files say is true of their images, in file order.

    Labels stand in the order of a list in the file, else alphabetically. `boxes` and `image_sizes`
    (n_images, 2), width and height in pixels, NaN where not told, are there for detection;
    `normalized` tells whether corners are shares of these. `unlabelled` are further images of the
    file, of which nobody knows what is true; `doubts` count them. `lacks_ending`: images are named
    without the ending of their file. `image_ids` and `label_ids` are the ids by which answers may
    name an image or a label instead. `find_masks` gives the masks of `boxes`, where each has one:
    they are encoded only where answers have masks too. `class_names` are labels by the number that
    YOLO writes for them. `columns` are what files say of each image besides.
    """

    task: Task
    labels: tuple[str, ...]
    images: Sequence[str]
    truth: LabelSets
    boxes: Boxes | None = None
    image_sizes: FloatArray | None = None
    find_masks: Callable[[], tuple[bytes, ...]] | None = None
    unlabelled: frozenset[str] = frozenset()
    normalized: bool = False
    lacks_ending: bool = False
    image_ids: Mapping[str, str] = field(default_factory=dict)
    label_ids: Mapping[str, str] = field(default_factory=dict)
    class_names: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[SliceColumn, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_ground_truth(
    manifest: ManifestInput, *, attributes: Sequence[str] = (), skip_bad_lines: bool = False
) -> GroundTruth:
    """Every image of a ground-truth manifest with its truth.

    Args:
        manifest: The manifest as it is read.
        attributes: Only these label attributes count; none: all that there are.
        skip_bad_lines: Leave malformed lines out, counted in a warning, instead of failing.

    Raises:
        ParseError: A line is malformed, the file is empty, or it holds masks or no labels at all.
        UsageError: It holds several kinds of truth, or not the attribute that was asked for.
    """
    bad_lines = BadLines(manifest.uri, skip=skip_bad_lines)
    reader = _Reader(wanted=frozenset(attributes))
    unfold = partial(_list_entries, reader.pages)
    chunks = unfold_lines(manifest.chunks, manifest.uri, unfold, _ENTRIES)
    decoder, images = BlockDecoder(LINE_DECODER), reader.columns.images
    for block in iter_blocks(chunks, manifest.uri):
        start = len(images)
        read_values(decoder.iter_values(block, bad_lines.add), reader.read, bad_lines.add)
        reader.columns.told.look(block, start, images)
    return _finish(manifest.uri, reader, bad_lines)


@dataclass(slots=True)
class _Reader:
    """Fills the columns line by line, and counts what is passed over."""

    wanted: frozenset[str]
    columns: ManifestColumns = field(default_factory=ManifestColumns)
    known: dict[str, Kind] = field(default_factory=dict)  # truth by attribute
    passed: dict[Kind | str, set[str]] = field(default_factory=dict)  # attributes by reason
    n_passed: "Counter[Kind | str]" = field(default_factory=Counter)  # lines by reason
    errors: "Counter[str]" = field(default_factory=Counter)
    n_wrong: int = 0
    unlabelled: Unlabelled = field(default_factory=Unlabelled)
    pages: list[bool] = field(default_factory=list)  # whether more follow, by answer in the file

    def read(self, _number: int, line: Line) -> None:
        """Append one line, or nothing of it.

        Raises:
            ValueError: It is malformed, or of a kind that is not read.
        """
        image, found = find_image(line), find_attributes(line)
        if errors := list(list_errors(line)):
            self.n_wrong += 1
            self.errors.update(set(errors))
            return
        truth = {name: kind for name, kind in self._choose(found).items() if kind in TRUTH}
        if reason := find_reason(line, truth, self.wanted):
            self._count(found, truth)
            self.unlabelled.add(image, line, reason)
            return
        codes = self.columns.label_codes
        labels = [codes[label] for label in _find_labels(line, truth)]
        names = tuple(f"{name}-metadata" for name, kind in truth.items() if kind == Kind.BOXES)
        boxes, _ = find_boxes(dict(line), LabelKeys(truth=names), codes)
        self._count(found, truth)
        self.columns.told.add_line(len(self.columns.images), line)
        self.columns.images.append(image)
        self.columns.true_counts.append(len(labels))
        self.columns.true_label.extend(labels)
        self.columns.boxes.add(len(self.columns.images) - 1, boxes, ())

    def _choose(self, found: LineAttributes) -> dict[str, Kind]:
        """The attributes that count.

        Raises:
            RefusedError: They are masks.
        """
        chosen = {
            name: kind
            for name, kind in found.kinds.items()
            if not self.wanted or name in self.wanted
        }
        masks = [name for name, kind in chosen.items() if kind == Kind.MASKS]
        if masks:
            others = [name for name, kind in found.kinds.items() if kind in TRUTH]
            hint = f"; --attribute {others[0]} reads its other labels" if others else ""
            raise RefusedError(
                f"{quoted(masks[0])} are masks, which your own test set cannot hold{hint}"
            )
        return chosen

    def _count(self, found: LineAttributes, truth: Collection[str]) -> None:
        passed = [("adjusted", name) for name in found.superseded]
        for name, kind in found.kinds.items():
            if kind in TRUTH:
                self.known[name] = kind
            if name not in truth:
                passed.append(("not asked for" if kind in TRUTH else kind, name))
        for reason, name in passed:
            self.passed.setdefault(reason, set()).add(name)
        self.n_passed.update({reason for reason, _ in passed})


def _find_labels(line: Line, truth: dict[str, Kind]) -> Iterator[str]:
    for name, kind in truth.items():
        if kind == Kind.LABEL:
            yield find_class(line, name)
        elif kind == Kind.LABELS:
            yield from find_classes(line, name)


def _finish(uri: str, reader: _Reader, bad_lines: BadLines) -> GroundTruth:
    columns, n_images = reader.columns, len(reader.columns.images)
    kind = _choose_kind(uri, reader, bad_lines)
    n_lines = n_images + reader.n_wrong + len(reader.unlabelled.images)
    doubts = (*bad_lines.doubt(n_lines), *reader.unlabelled.list_doubts(n_images))
    unlabelled = frozenset(reader.unlabelled.images)
    told, of_told = columns.told.finish(columns.images)
    warnings = (
        *_warn_pages(reader.pages),
        *_warn_wrong(reader),
        *_warn_passed(reader),
        *_warn_unlabeled(columns, kind),
        *of_told,
    )
    if kind == Kind.BOXES:
        objects = gather_objects(columns, ())
        return GroundTruth(
            task=Task.DETECTION,
            labels=objects.labels,
            images=objects.images,
            truth=objects.truth,
            boxes=objects.detections.truth,
            image_sizes=objects.detections.image_sizes,
            unlabelled=unlabelled,
            columns=told,
            doubts=doubts,
            warnings=warnings,
        )
    labels = tuple(sorted(find_used_labels(columns)))
    truth = sort_truth(columns, labels)
    is_several = kind == Kind.LABELS or bool(np.any(truth.counts > 1))
    return GroundTruth(
        task=Task.MULTILABEL if is_several else Task.CLASSIFICATION,
        labels=labels,
        images=tuple(columns.images),
        truth=truth,
        unlabelled=unlabelled,
        columns=told,
        doubts=doubts,
        warnings=warnings,
    )


def _choose_kind(uri: str, reader: _Reader, bad_lines: BadLines) -> Kind:
    """The one kind of truth of the manifest.

    Raises:
        ParseError: There is none.
        UsageError: There are several, or not what was asked for.
    """
    n_unlabelled = len(reader.unlabelled.images)
    if not reader.columns.images and not n_unlabelled:
        if bad_lines.first:
            raise bad_lines.first
        reason = "each line carries an error of the service" if reader.n_wrong else "not one line"
        raise ParseError(uri, 0, f"holds no image that can be used: {reason}")
    if missing := sorted(reader.wanted - reader.known.keys()):
        there = _list_names(reader.known)
        raise UsageError(f"{uri}: no line has the attribute {missing[0]!r}; there are: {there}")
    chosen = {n: k for n, k in reader.known.items() if not reader.wanted or n in reader.wanted}
    if not chosen:
        raise ParseError(uri, 0, f"holds no true labels: {_explain_none(reader)}")
    if not reader.columns.images:
        reasons = ", ".join(reader.unlabelled.reasons)
        raise ParseError(uri, 0, f"holds no labelled image: of all {n_unlabelled} lines {reasons}")
    sets = {(kind, _name_set(name, kind)) for name, kind in chosen.items()}
    if len(sets) > 1:
        listed = ", ".join(f"{quoted(name)} ({kind})" for name, kind in chosen.items())
        raise UsageError(
            f"{uri}: holds several kinds of truth; say which counts with --attribute NAME: {listed}"
        )
    return next(iter(sets))[0]


def _explain_none(reader: _Reader) -> str:
    """Why no line has a label: half an attribute, one of a kind that is not read, or none."""
    halves = "; ".join(reader.unlabelled.say_halves())
    kinds = _list_names(reader.passed.get(Kind.UNKNOWN, ()))
    others = f"{kinds} are of another kind (of videos, texts, a task of your own?)" if kinds else ""
    said = "no attribute with metadata of a known kind"
    return ": ".join(filter(None, (said, "; ".join(filter(None, (halves, others))))))


def _name_set(name: str, kind: Kind) -> str:
    """What attributes that belong together have in common: one is a label, or adjusts another."""
    if kind == Kind.LABEL:
        return ""
    while name.startswith(ADJUSTED):
        name = name.removeprefix(ADJUSTED)
    return TRAINING if name.startswith(TRAINING) else name


def _warn_wrong(reader: _Reader) -> Iterator[str]:
    if reader.n_wrong:
        n_lines = len(reader.columns.images) + reader.n_wrong
        yield (
            f"{reader.n_wrong} of {n_lines} manifest lines carry errors that the service found, "
            f"and are left out as it does: {_list_names(reader.errors)}"
        )


def _warn_passed(reader: _Reader) -> Iterator[str]:
    reasons = {
        "adjusted": "lines have an adjusted label, which counts instead of the old one",
        "not asked for": "lines have labels that were not asked for with --attribute",
        Kind.MASKS: "lines have masks besides, which are not read",
        Kind.PREDICTION: "lines hold predictions of a model besides; only their truth is read",
        Kind.VERIFICATION: "lines have verifications of labels, which are no labels",
        Kind.UNKNOWN: "lines have attributes of another kind, which are not read",
    }
    n_images = len(reader.columns.images)
    for reason, said in reasons.items():
        if names := reader.passed.get(reason):
            yield f"{reader.n_passed[reason]} of {n_images} {said}: {_list_names(names)}"


def _warn_unlabeled(columns: ManifestColumns, kind: Kind) -> Iterator[str]:
    """Images whose list of labels is empty; of boxes that is nothing to speak of."""
    if kind != Kind.BOXES:
        has_none = np.asarray(columns.true_counts) == 0
        yield from warn_first(columns.images, has_none, "images are labelled as having no label")


def _list_entries(pages: list[bool], document: Mapping[str, Raw]) -> Iterable[bytes] | None:
    """The lines in an answer of ListDatasetEntries; None: it is a line itself."""
    if "DatasetEntries" not in document:
        return None
    token = bytes(document.get("NextToken", Raw(b"null"))).strip()
    pages.append(token not in {b"null", b'""'})
    entries = decode_json(_ITEMS, bytes(document["DatasetEntries"]))
    return [bytes(entry) for entry in entries]


def _warn_pages(pages: Sequence[bool]) -> Iterator[str]:
    if pages and pages[-1]:
        yield (
            "the last answer of ListDatasetEntries in the file has a NextToken: more images follow "
            "that are not here"
        )


def _list_names(names: Iterable[str]) -> str:
    return join_some([quoted(name) for name in sorted(names)], ", ", _MAX_NAMES)
