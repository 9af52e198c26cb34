"""A folder of YOLO: a text file an image, a line a box -> truth or answers.

| in the folder | means |
| --- | --- |
| `labels/NAME.txt`, or `NAME.txt` next to the images | the boxes of one image; an empty file: none |
| a line `class x y width height` | a true box: its middle and size as shares of the image's |
| a line `class x y width height confidence` | a found box |
| `data.yaml` with `names`, or `classes.txt` | labels, by class number; without them numbers are labels |
| `images/NAME.jpg` | the image, whose path is its place; it tells width and height |
| `train`, `val`, `test` in paths | parts: of several the test part counts, else the validation part |
"""  # noqa: E501 (a table)

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlrek.errors import ParseError
from mlrek.evaluation import Boxes, FloatArray, Outcome, Task
from mlrek.formats.columns import find_offsets, list_box_labels
from mlrek.formats.files import Files
from mlrek.formats.json_text import quoted, quoted_some, say_first
from mlrek.formats.lines import BYTE_ORDER_MARK
from mlrek.formats.pictures_below import find_file_name, is_left_behind, list_pictures, read_size
from mlrek.formats.predictions import Answers
from mlrek.formats.truth import GroundTruth

_TRUE: Final = 5  # numbers on a line
_FOUND: Final = 6
_MOST: Final = 1.1  # boxes reach over the edge a little, pixels by far more
_LABELS: Final = "labels"
_IMAGES: Final = "images"
_PARTS: Final = {
    "test": frozenset({"test", "testing"}),
    "validation": frozenset({"val", "valid", "validation"}),
    "training": frozenset({"train", "training"}),
}
_LISTS: Final = frozenset({"classes.txt", "obj.names", "labels.txt", "predefined_classes.txt"})
_NO_BOXES: Final = _LISTS | {"train.txt", "val.txt", "valid.txt", "test.txt", "requirements.txt"}
_SETTINGS: Final = (".yaml", ".yml")
_BY_NUMBER: Final = (
    "the predictions lie without data.yaml: their class numbers are read as the truth's",
)
_MAX_SETTINGS: Final = 1 << 20  # bytes
_MAX_LISTS: Final = 1000
_LOOKED_AT: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """The boxes of all files: `image_idx` and numbers (n, 5 or 6), and how many a line has."""

    image_idx: Sequence[int]
    numbers: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Labels by class number; None where the folder does not name them."""

    by_class: Mapping[int, str] | None
    warnings: tuple[str, ...] = ()


def seems_yolo(files: Files) -> bool:
    """Whether a folder holds text files with boxes as YOLO writes them."""
    if not files.is_folder or not (names := _list_texts(files.names)):
        return False
    if any(_LABELS in name.split("/")[:-1] for name in names) and _find_settings(files.names):
        return True
    for name in names[:_LOOKED_AT]:
        lines = files.read_head(name).splitlines()
        if lines and (first := lines[0].strip()):
            return _looks_like_box(first.split())
    return any(_LABELS in name.split("/")[:-1] for name in names)  # all of them empty


def _looks_like_box(fields: Sequence[bytes]) -> bool:
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return False
    return len(values) >= _TRUE and values[0].is_integer() and values[0] >= 0


def read_yolo_truth(files: Files) -> GroundTruth:
    """The images of a folder with their true boxes, as shares of the image's size.

    Images without a file of boxes have none.

    Raises:
        ParseError: A line is malformed, or the folder holds no boxes, predictions or polygons.
    """
    texts, of_parts = _choose_part(files)
    known = {_name_stem(name): name for name in _list_images(files, texts)}
    with_boxes = dict.fromkeys(map(_name_stem, texts))
    stems = [*with_boxes, *(stem for stem in known if stem not in with_boxes)]
    lacking = [stem for stem in stems if stem not in known]
    lines = _read_boxes(files, texts, _TRUE)
    names = _read_names(files)
    labels, codes, of_labels = _place_classes(files, texts, lines, names)
    boxes = _make_boxes(lines, codes, len(stems))
    return GroundTruth(
        task=Task.DETECTION,
        labels=labels,
        images=tuple(stems if lacking else (_join(files, known[stem]) for stem in stems)),
        truth=list_box_labels(boxes, len(labels)),
        boxes=boxes,
        image_sizes=_read_sizes(files, [known.get(stem) for stem in stems]),
        normalized=True,
        lacks_ending=bool(lacking),
        class_names={str(number): name for number, name in (names.by_class or {}).items()},
        warnings=(
            *of_parts,
            *names.warnings,
            *of_labels,
            *_warn_lacking(lacking, len(stems)),
            *_warn_without_boxes(stems[len(with_boxes) :], known),
        ),
    )


def read_yolo_answers(files: Files) -> Answers:
    """The boxes that a model found, by the names of the images without their ending.

    Raises:
        ParseError: A line is malformed or has no confidence, or the folder holds no boxes.
    """
    texts, of_parts = _choose_part(files)
    lines = _read_boxes(files, texts, _FOUND)
    names = _read_names(files)
    labels, codes, of_labels = _place_classes(files, texts, lines, names)
    n_images, none = len(texts), np.zeros(0, dtype=np.int64)
    return Answers(
        images=tuple(map(_name_stem, texts)),
        labels=labels,
        offsets=np.zeros(n_images + 1, dtype=np.int64),
        label_idx=none,
        confidence=np.zeros(0),
        boxes=_make_boxes(lines, codes, n_images),
        normalized=True,
        lacks_ending=True,
        by_class=names.by_class is None,
        warnings=(*of_parts, *names.warnings, *(_BY_NUMBER if of_labels else ())),
    )


# ---- which files ---------------------------------------------------------------------------


def _list_texts(names: Iterable[str]) -> list[str]:
    """The files of boxes: those below a folder `labels`, else all but lists of classes."""
    texts = [
        name
        for name in names
        if name.endswith(".txt")
        and not is_left_behind(name)
        and (file := find_file_name(name).casefold()) not in _NO_BOXES
        and not file.startswith("readme")
    ]
    return [name for name in texts if _LABELS in name.split("/")[:-1]] or texts


def _choose_part(files: Files) -> tuple[list[str], tuple[str, ...]]:
    """The files of boxes that count, and what is said where others do not.

    Raises:
        ParseError: There are none.
    """
    texts = _list_texts(files.names) if files.is_folder else []
    if not texts:
        raise ParseError(files.uri, 0, "holds no text file with boxes of YOLO (labels/NAME.txt)")
    parts = {
        part: [name for name in texts if words & {*name.casefold().split("/")[:-1]}]
        for part, words in _PARTS.items()
    }
    there = [part for part, found in parts.items() if found]
    if len(there) < 2:  # noqa: PLR2004 - one part is no choice
        return texts, ()
    chosen = parts[there[0]]
    said = (
        f"the folder has a {', a '.join(there)} part: the {there[0]} part counts, "
        f"{len(chosen)} of {len(texts)} files"
    )
    return chosen, (said,)


def _list_images(files: Files, texts: Sequence[str]) -> list[str]:
    """The images in the folders that belong to the files of boxes."""
    folders = {_name_folder(name) for name in texts}
    return [name for name in list_pictures(files.names) if _name_folder(name) in folders]


def _name_folder(name: str) -> str:
    """The folder of a file, the same for boxes and images that belong together."""
    parts = name.split("/")[:-1]
    for i in reversed(range(len(parts))):
        if parts[i] in {_LABELS, _IMAGES}:
            return "/".join((*parts[:i], *parts[i + 1 :]))
    return "/".join(parts)


def _name_stem(name: str) -> str:
    """The name of the image of a file below its folder, without its ending."""
    return "/".join(filter(None, (_name_folder(name), find_file_name(name).rpartition(".")[0])))


def _join(files: Files, name: str) -> str:
    return f"{files.uri.rstrip('/')}/{name}"


# ---- boxes ---------------------------------------------------------------------------------


def _read_boxes(files: Files, texts: Sequence[str], n_fields: int) -> _Lines:
    """The lines of all files, each of `n_fields` numbers.

    Raises:
        ParseError: A line is malformed.
    """
    image_idx, rows = list[int](), list[list[float]]()
    for place, name in enumerate(texts):
        content = files.read_whole(name).removeprefix(BYTE_ORDER_MARK)
        for number, line in enumerate(content.splitlines(), 1):
            if fields := line.split():
                rows.append(_parse_line(fields, n_fields, _join(files, name), number))
                image_idx.append(place)
    return _Lines(image_idx=image_idx, numbers=np.array(rows).reshape(-1, n_fields))


def _parse_line(fields: Sequence[bytes], n_fields: int, uri: str, number: int) -> list[float]:
    """The numbers of a line.

    Raises:
        ParseError: They are not as many, or not what they should be.
    """
    try:
        row = [float(field) for field in fields]
    except ValueError as exc:
        text = b" ".join(fields).decode("utf-8", "replace")
        reason = f"holds {quoted(text)} where `class x y width height` belong, five numbers"
        raise ParseError(uri, number, reason) from exc
    if reason := _say_wrong(row, n_fields):
        raise ParseError(uri, number, reason)
    return row


def _say_wrong(row: Sequence[float], n_fields: int) -> str:
    """What is wrong with the numbers of a line; '' for nothing."""
    if len(row) > _FOUND:
        return (
            f"has {len(row)} numbers: polygons and turned boxes are not read; save boxes, `class x "
            "y width height`"
        )
    if len(row) == _TRUE < n_fields:
        return "has no confidence: it is truth, not predictions (save them with `save_conf=True`)"
    if len(row) == _FOUND > n_fields:
        return "has a confidence: it is a prediction, not truth"
    if len(row) != n_fields:
        return f"has {len(row)} numbers, not `class x y width height`"
    return _say_value(row)


def _say_value(row: Sequence[float]) -> str:
    if not (row[0].is_integer() and row[0] >= 0):
        return f"has the class {row[0]:g}, which is no whole number from 0 on"
    if not all(1 - _MOST <= value <= _MOST for value in row[1:_TRUE]):
        return "has a value that is no share of the image (0 to 1): YOLO writes no pixels"
    if min(row[3:_TRUE]) < 0:
        return "has a negative width or height"
    if not all(0 <= value <= 1 for value in row[_TRUE:]):
        return f"has the confidence {row[-1]:g}, which is not between 0 and 1"
    return ""


def _make_boxes(lines: _Lines, codes: Sequence[int], n_images: int) -> Boxes:
    middle, size = lines.numbers[:, 1:3], lines.numbers[:, 3:_TRUE]
    n = len(lines.numbers)
    has_confidence = lines.numbers.shape[1] > _TRUE
    return Boxes(
        offsets=find_offsets(np.array(lines.image_idx, dtype=np.int64), n_images),
        label_idx=np.array(codes, dtype=np.int32),
        boxes_xyxy=np.hstack([middle - size / 2, middle + size / 2]),
        confidence=lines.numbers[:, _TRUE] if has_confidence else np.full(n, np.nan),
        outcome=np.full(n, Outcome.UNKNOWN, dtype=np.uint8),
    )


def _read_sizes(files: Files, names: Sequence[str | None]) -> FloatArray:
    """Width and height of each image, (n_images, 2); NaN where it is not there."""
    unknown = (np.nan, np.nan)
    sizes = [(read_size(files, name) if name else None) or unknown for name in names]
    return np.array(sizes, dtype=np.float64).reshape(-1, 2)


# ---- labels --------------------------------------------------------------------------------


def _place_classes(
    files: Files, texts: Sequence[str], lines: _Lines, names: _Names
) -> tuple[tuple[str, ...], list[int], tuple[str, ...]]:
    """The labels, the code of each box, and what is said of them.

    Raises:
        ParseError: A class has no name; its file and line are named.
    """
    classes = [int(number) for number in lines.numbers[:, 0].tolist()]
    if names.by_class is None:
        used = sorted(set(classes))
        places = {number: code for code, number in enumerate(used)}
        said = "the folder has no data.yaml with names: labels are the numbers of classes"
        return tuple(map(str, used)), [places[number] for number in classes], (said,)
    places = {number: code for code, number in enumerate(names.by_class)}
    for row, number in enumerate(classes):
        if number not in places:
            raise _find_unknown(files, texts, lines, row, names.by_class)
    return tuple(names.by_class.values()), [places[number] for number in classes], ()


def _find_unknown(
    files: Files, texts: Sequence[str], lines: _Lines, row: int, names: Mapping[int, str]
) -> ParseError:
    """The error of a class that the folder does not name."""
    image = lines.image_idx[row]
    nth = row - lines.image_idx.index(image)
    content = files.read_whole(texts[image]).removeprefix(BYTE_ORDER_MARK).splitlines()
    filled = [number for number, line in enumerate(content, 1) if line.split()]
    found = int(lines.numbers[row, 0])
    reason = f"has the class {found}, but the folder names {len(names)} classes, up to {max(names)}"
    return ParseError(_join(files, texts[image]), filled[nth], reason)


def _find_settings(names: Iterable[str]) -> list[str]:
    """Files of settings, `data.yaml` first, then those that lie highest."""
    found = [name for name in names if name.endswith(_SETTINGS) and not is_left_behind(name)]
    return sorted(
        found,
        key=lambda name: (not find_file_name(name).startswith("data."), name.count("/"), name),
    )


def _read_names(files: Files) -> _Names:
    """Labels by class number, from data.yaml or a list of classes.

    Raises:
        ParseError: The file is malformed, or a name occurs twice.
    """
    for name in _find_settings(files.names):
        uri = _join(files, name)
        settings = _parse_settings(files.read_whole(name), uri)
        if "names" in settings:
            return _check_names(_number_names(settings["names"], uri), settings.get("nc"), uri)
    lists = [name for name in files.names if find_file_name(name).casefold() in _LISTS]
    for name in lists:
        text = files.read_whole(name).removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace")
        rows = [line.strip() for line in text.splitlines() if line.strip()]
        if rows:
            return _check_names(dict(enumerate(rows)), None, _join(files, name))
    return _Names(by_class=None)


def _parse_settings(content: bytes, uri: str) -> dict[str, Any]:
    import yaml

    if len(content) > _MAX_SETTINGS:
        raise ParseError(uri, 0, f"has {len(content):,} bytes, more than names of classes take")
    if content.count(b"[") + content.count(b"{") > _MAX_LISTS:  # nested, they take hours to read
        raise ParseError(uri, 0, "holds lists within lists, and no names of classes")
    try:
        settings = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 - texts and lists alone
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise ParseError(uri, 0, f"is not valid YAML: {' '.join(str(exc).split())}") from exc
    return settings if isinstance(settings, dict) else {}


def _number_names(names: object, uri: str) -> dict[int, str]:
    """Names by class number, of a list or of a map.

    Raises:
        ParseError: It is neither.
    """
    pairs = [*enumerate(names)] if isinstance(names, list) else None
    if isinstance(names, dict):
        pairs = [*names.items()]
    if not pairs or not all(isinstance(name, str) and name.strip() for _, name in pairs):
        raise ParseError(uri, 0, f"names no labels: `names` is {quoted(names)}, not a list of them")
    try:
        return {int(number): name for number, name in sorted(pairs, key=lambda pair: int(pair[0]))}
    except ValueError as exc:
        reason = f"`names` has keys that are no numbers of classes: {quoted_some([*dict(pairs)])}"
        raise ParseError(uri, 0, reason) from exc


def _check_names(names: dict[int, str], n_classes: object, uri: str) -> _Names:
    repeated = [name for name in names.values() if [*names.values()].count(name) > 1]
    if repeated:
        raise ParseError(uri, 0, f"names two classes {quoted(repeated[0])}")
    said = f"{uri}: `nc` is {quoted(n_classes)}, but `names` has {len(names)}: the names count"
    differs = n_classes is not None and str(n_classes) != str(len(names))
    return _Names(by_class=names, warnings=(said,) if differs else ())


# ---- what is said --------------------------------------------------------------------------


def _warn_lacking(lacking: Sequence[str], n_images: int) -> Iterator[str]:
    if lacking:
        what = (
            "files of boxes have no image in the folder, so images are named without ending; the "
            "average precision by size of box needs their width and height"
        )
        yield say_first(len(lacking), n_images, what, lacking[0])


def _warn_without_boxes(stems: Sequence[str], known: Mapping[str, str]) -> Iterator[str]:
    if stems:
        what = "images have no file of boxes and count as images without an object"
        yield say_first(len(stems), len(known), what, known[stems[0]])
