"""A folder per label with the images of that label -> truth (`root/cat/1.jpg`)."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mlrek.errors import ParseError
from mlrek.evaluation import LabelSets, Task
from mlrek.formats.files import Files
from mlrek.formats.json_text import join_some, quoted, quoted_some, say_first
from mlrek.formats.pictures_below import find_file_name, is_left_behind, list_pictures
from mlrek.formats.truth import GroundTruth
from mlrek.formats.yolo import seems_yolo

_PARTS = ("test", "testing", "val", "valid", "validation", "train", "training")
_MOST_OTHERS = 0.5


def seems_label_folders(files: Files) -> bool:
    """Whether a folder holds images, mostly in folders below it, and no boxes of YOLO."""
    if not files.is_folder:
        return False
    names = [name for name in files.names if not is_left_behind(name)]
    pictures = [name for name in list_pictures(names) if "/" in name]
    is_most = len(pictures) > _MOST_OTHERS * len(names)
    return is_most and not seems_yolo(files)


def read_label_folders(files: Files) -> GroundTruth:
    """The images of each folder, whose name is their label; labels in alphabetical order.

    Raises:
        ParseError: Images lie in fewer than two folders.
    """
    part, of_parts = _choose_part(files)
    names = [name for name in files.names if name.startswith(part)]
    pictures = list_pictures(names)
    labelled = {
        name: name[len(part) :].split("/")[0] for name in pictures if "/" in name[len(part) :]
    }
    labels = tuple(sorted(set(labelled.values())))
    if len(labels) <= 1:
        there = f"only the folder {quoted(labels[0])}" if labels else "no folder with images"
        raise ParseError(
            files.uri, 0, f"holds {there}; a folder per label needs two labels or more"
        )
    places = {label: code for code, label in enumerate(labels)}
    root = files.uri.rstrip("/")
    return GroundTruth(
        task=Task.CLASSIFICATION,
        labels=labels,
        images=tuple(f"{root}/{name}" for name in labelled),
        truth=LabelSets(
            offsets=np.arange(len(labelled) + 1),
            label_idx=np.array([places[label] for label in labelled.values()], dtype=np.int32),
        ),
        warnings=(
            *of_parts,
            *_warn_stray(names, [name for name in pictures if name not in labelled], labelled),
            *_warn_nested(labelled, part),
            *_warn_empty(names, part, labels),
            *_warn_repeated(labelled),
        ),
    )


def _choose_part(files: Files) -> tuple[str, tuple[str, ...]]:
    """Where folders of labels begin: in the test part where the folder has parts; and what is said.

    A folder is made of parts when each folder in it is called like one.
    """
    tops = {name.split("/")[0] for name in list_pictures(files.names) if "/" in name}
    parts = [part for part in _PARTS for top in tops if top.casefold() == part]
    if not tops or len(parts) != len(tops):
        return "", ()
    chosen = next(top for top in sorted(tops) if top.casefold() == parts[0])
    others = sorted(tops - {chosen})
    if not others:
        return f"{chosen}/", ()
    said = f"the folder has parts: {quoted(chosen)} counts, not {quoted_some(others)}"
    return f"{chosen}/", (said,)


def _warn_stray(
    names: Sequence[str], loose: Sequence[str], labelled: Mapping[str, str]
) -> Iterator[str]:
    if loose:
        what = "images lie in no folder of a label, and are left out"
        yield say_first(len(loose), len(loose) + len(labelled), what, loose[0])
    pictures = {*loose, *labelled}
    others = [name for name in names if name not in pictures and not is_left_behind(name)]
    if others:
        yield say_first(len(others), len(names), "files are no images and are left out", others[0])


def _warn_nested(labelled: Mapping[str, str], part: str) -> Iterator[str]:
    nested = [name for name in labelled if name[len(part) :].count("/") > 1]
    if nested:
        what = "images lie in folders within the folder of a label, and have the outer one's label"
        yield say_first(len(nested), len(labelled), what, nested[0])


def _warn_empty(names: Sequence[str], part: str, labels: Sequence[str]) -> Iterator[str]:
    """Folders with files, but no image; a folder without files is none for a store of objects."""
    tops = {name[len(part) :].split("/")[0] for name in names if "/" in name[len(part) :]}
    if empty := sorted(top for top in tops - {*labels} if not is_left_behind(top)):
        yield f"folders hold no image and are no labels: {join_some([*map(quoted, empty)], ', ')}"


def _warn_repeated(labelled: Mapping[str, str]) -> Iterator[str]:
    first: dict[str, str] = {}
    repeated = [name for name in labelled if first.setdefault(find_file_name(name), name) != name]
    if repeated:
        what = "images have a file name that another folder has too: they are different images"
        yield say_first(len(repeated), len(labelled), what, repeated[0])
