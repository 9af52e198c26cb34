"""MLflow's pages: the charts that an experiment shows, links, files that a run needs."""

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from mlrek.evaluation import Task
from mlrek.figures.pictures import PALETTE
from mlrek.render import write_json
from mlrek.render.slices import KEY_GROUP
from mlrek.tracking import STEPS_TAG, LoggedRun
from mlrek.tracking.description import (
    GRID_KEY,
    HEAT_MAP,
    LABEL_IOU,
    GridPicture,
    MetricPoint,
    RunDescription,
)
from mlrek.tracking.notes import IMAGES_TAG, list_shown

MAIN_PICTURES: Final[Mapping[str, str]] = {
    Task.CLASSIFICATION: HEAT_MAP,
    Task.MULTILABEL: HEAT_MAP,
    Task.DETECTION: HEAT_MAP,
    Task.SEGMENTATION: LABEL_IOU,
}
"""Which picture of a run stands on the charts page, by task: its artifact path."""

PICTURE_FOLDER: Final = "images"

_SAMPLE: Final = re.compile(
    rf"{PICTURE_FOLDER}/charts(?P<slash>.)confusion_matrix(?P<sign>.)step(?P=sign)0(?P=sign)"
    r"timestamp(?P=sign)\d+(?P=sign)[0-9a-z-]+\.png"
)


class PictureLayout(NamedTuple):
    """What stands in file names for a slash of the key, and between their parts.

    Both have changed with versions of MLflow, and its pages follow the client's.
    """

    slash: str = "~"
    sign: str = "+"


COLOUR_TAG: Final = "mlflow.runColor"

# The first screen: the headline numbers of all versions as bars; then curves; then pictures.
_PICTURES: Final = "charts"
_SECTIONS: Final = (
    *("score", "curve", _PICTURES, "reported_curve", "label_f1", KEY_GROUP),
    *("aggregate", "at_threshold", "crossfit", "reported", "errors"),
    *("label_precision", "label_recall", "label_ap", "base_model"),
)
_ALWAYS: Final = ("interval", "training", "Model metrics", "System metrics")
_FOLDED: Final = frozenset((*_SECTIONS[6:], *_ALWAYS))
MAX_OPEN_CHARTS: Final = 30
"""More charts than these make a page slow: their section is folded."""
_TITLES: Final = {"curve": "curve to threshold 100 %"}
"""What a section says besides its name: elsewhere MLflow shows a curve's value at the last step."""
_SIZES: Final = {
    "score": {"columns": 2, "cardHeight": 280},
    "curve": {"columns": 2, "cardHeight": 320},
    "label_f1": {"columns": 2, "cardHeight": 280},
    KEY_GROUP: {"columns": 2, "cardHeight": 280},
    "aggregate": {"columns": 2, "cardHeight": 280},
    _PICTURES: {"columns": 1, "cardHeight": 430},
}
PICTURES_HEIGHT: Final = 660
"""Pixels of a card in which two rows of pictures fit."""
_COLUMNS: Final = ("attributes.`Created`", "attributes.`Duration`", "attributes.`Dataset`")

IDENTITY_TAGS: Final = frozenset({"project_arn", "version_arn", "source_version_arn"})
LABELS_PATH: Final = "labels.json"
REFUSED: Final = "Incorrect string value"


class Charset(IntEnum):
    """What a database is known to hold; a later one holds less."""

    ANY = 0
    BMP = 1  # nothing past U+FFFF
    LATIN = 2
    ASCII = 3

    @property
    def less(self) -> "Charset | None":
        """The next smaller one."""
        return None if self is Charset.ASCII else Charset(self + 1)


_LACKING: Final = {
    Charset.BMP: re.compile("[\U00010000-\U0010ffff]"),
    Charset.LATIN: re.compile(r"[^\x00-\xff]"),
    Charset.ASCII: re.compile(r"[^\x00-\x7f]"),
}

OLD_AFTER_S: Final = 24 * 60 * 60
"""Nobody needs a folder that is so old, unless its process still runs."""
_PREFIX: Final = "mlrek-of-"
_NAMED: Final = re.compile(rf"{_PREFIX}(\d+)-\w+")


def describe_view(runs: Sequence[LoggedRun]) -> str:
    """The view as MLflow's pages read it; what it does not name they add by themselves."""
    groups = _count_charts(runs)
    folded = _FOLDED | {name for name, n in groups.items() if n > MAX_OPEN_CHARTS}
    known = [*(name for name in _SECTIONS if name in groups), *_ALWAYS]
    sections = [_describe_section(name, display=name not in folded) for name in known]
    metrics = (f"metrics.`{name}`" for name in list_shown(runs))
    columns = [*_COLUMNS, *metrics, "params.`test_images`"]
    return _write_view(runs, sections, {"selectedColumns": columns})


def describe_pictures_view(runs: Sequence[LoggedRun]) -> str:
    """The view of the pictures of all versions side by side, with all else folded."""
    others = [name for name in _count_charts(runs) if name and name != _PICTURES]
    sections = [_describe_section(_PICTURES, display=True, height=PICTURES_HEIGHT)]
    sections += [_describe_section(name, display=False) for name in (*others, *_ALWAYS[2:])]
    return _write_view(runs, sections, {"runListHidden": True})


def choose_colours(runs: Sequence[LoggedRun]) -> Iterator[tuple[LoggedRun, str]]:
    """A colour for each run that has none yet: the one that is used least, the first of those."""
    used = Counter(run.tags[COLOUR_TAG] for run in runs if COLOUR_TAG in run.tags)
    for run in runs:
        if COLOUR_TAG not in run.tags:
            colour = min(PALETTE, key=used.__getitem__)
            used[colour] += 1
            yield run, colour


def _write_view(
    runs: Sequence[LoggedRun], sections: Sequence[Mapping[str, Any]], more: Mapping[str, Any]
) -> str:
    view = {
        "compareRunSections": sections,
        "compareRunCharts": [*_describe_charts(runs), *_describe_pictures(runs)],
        "isAccordionReordered": True,
        **more,
    }
    return json.dumps(view, separators=(",", ":"))


def _count_charts(runs: Sequence[LoggedRun]) -> Counter[str]:
    """How many charts each section has."""
    keys = dict.fromkeys(key for run in runs for key in run.metrics)
    counts = Counter(key.rpartition("/")[0] for key in keys)
    if any(IMAGES_TAG in run.tags for run in runs):
        counts[_PICTURES] += 1
    return counts


def _describe_section(name: str, *, display: bool, height: int = 0) -> dict[str, Any]:
    return {
        "uuid": f"mlrek-{name}",
        "name": _TITLES.get(name, name),
        "display": display,
        "isReordered": False,
        "deleted": False,
        "isGenerated": True,
        **_SIZES.get(name, {}),
        **({"cardHeight": height} if height else {}),
    }


def _describe_charts(runs: Sequence[LoggedRun]) -> Iterator[dict[str, Any]]:
    """Charts that MLflow would put elsewhere: by the alphabet, or under a title without words."""
    scores = [f"score/{name.partition('/')[2]}" for name in list_shown(runs)]
    keys = {key for run in runs for key in run.metrics}
    curves = (key for key in sorted(keys) if key.rpartition("/")[0] in _TITLES)
    for key in (*(key for key in scores if key in keys), *curves):
        group = key.rpartition("/")[0]
        yield {
            "uuid": f"mlrek-{key}",
            "type": "LINE" if group in _TITLES else "BAR",
            "metricSectionId": f"mlrek-{group}",
            "metricKey": key,
            "runsCountToCompare": 10,
            "deleted": False,
            "isGenerated": True,
        }


def _describe_pictures(runs: Sequence[LoggedRun]) -> Iterator[dict[str, Any]]:
    """The main one, and the one with a slider, which starts where all versions have a picture."""
    for path in find_main_pictures(runs):
        yield _describe_picture(picture_key(path), 0)
    steps = [set(map(int, run.tags[STEPS_TAG].split())) for run in runs if STEPS_TAG in run.tags]
    if steps:
        shared = set.intersection(*steps) or set.union(*steps)
        yield _describe_picture(GRID_KEY, min(shared))


def _describe_picture(key: str, step: int) -> dict[str, Any]:
    """A card of one picture of each run. The params above it would take more room than it."""
    return {
        "uuid": f"mlrek-{key}",
        "type": "IMAGE",
        "metricSectionId": "mlrek-charts",
        "imageKeys": [key],
        "showRunParams": False,
        "step": step,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": True,
    }


def find_layout(paths: Iterable[str]) -> PictureLayout:
    """The layout that `log_image` uses, by the files it makes of `PICTURE_KEY` at step 0."""
    found = next(filter(None, map(_SAMPLE.fullmatch, paths)), None)
    return PictureLayout(found["slash"], found["sign"]) if found else PictureLayout()


def picture_key(path: str) -> str:
    """What a main picture is called on the charts page.

    >>> picture_key("confusion_matrix.png")
    'charts/confusion_matrix'
    """
    return f"charts/{path.removesuffix('.png')}"


def find_main_pictures(runs: Sequence[LoggedRun]) -> tuple[str, ...]:
    """The main pictures that runs have, each path once, in the order of the runs."""
    paths = (
        MAIN_PICTURES.get(run.tags.get("task", ""), HEAT_MAP)
        for run in runs
        if IMAGES_TAG in run.tags
    )
    return tuple(dict.fromkeys(paths))


def name_pictures(
    pictures: Sequence[GridPicture], layout: PictureLayout, now_ms: int
) -> dict[str, bytes]:
    """Path and content of the two files of each picture, as `log_image` would write them."""
    files: dict[str, bytes] = {}
    for picture in pictures:
        key = picture.key.replace("/", layout.slash)
        parts = (key, "step", str(picture.step), "timestamp", str(now_ms), _make_id())
        path = f"{PICTURE_FOLDER}/{layout.sign.join(parts)}"
        files[f"{path}.png"] = picture.png
        files[f"{path}{layout.sign}compressed.webp"] = picture.webp
    return files


def _make_id() -> str:
    """An id that begins with no hexadecimal digit: in a URL, % and such digits are an escape."""
    return f"v{str(uuid4())[1:]}"


def is_refused_text(exc: BaseException) -> bool:
    """Whether a database refuses a text for a character that it cannot hold."""
    return REFUSED in str(exc) or (exc.__cause__ is not None and is_refused_text(exc.__cause__))


def fit_text(text: str, charset: Charset) -> str:
    r"""A text with what the database cannot hold escaped.

    >>> fit_text("a 🌹 in Köln", Charset.BMP), fit_text("Köln", Charset.ASCII)
    ('a \\U0001f339 in Köln', 'K\\xf6ln')
    """
    if charset is Charset.ANY:
        return text
    return _LACKING[charset].sub(
        lambda found: found[0].encode("ascii", "backslashreplace").decode(), text
    )


def fit_tags(tags: Mapping[str, str], charset: Charset) -> dict[str, str]:
    """Tags with what the database cannot hold escaped, but for those that tell runs apart."""
    return {
        key: value if key in IDENTITY_TAGS else fit_text(value, charset)
        for key, value in tags.items()
    }


def fit_key(key: str, charset: Charset) -> str:
    """A metric's key, its label escaped as labels are that MLflow itself would refuse.

    >>> fit_key("label_f1/猫", Charset.ASCII)
    'label_f1/_x732B_'
    """
    if charset is Charset.ANY:
        return key
    return _LACKING[charset].sub(lambda found: f"_x{ord(found[0]):02X}_", key)


def fit_description(described: RunDescription, charset: Charset) -> RunDescription:
    """A run with what the database cannot hold escaped; its files keep every character."""
    if charset is Charset.ANY:
        return described
    dataset = described.dataset
    if dataset is not None:
        dataset = replace(dataset, name=fit_text(dataset.name, charset))
        dataset = replace(dataset, uri=fit_text(dataset.uri, charset))
    return replace(
        described,
        run_name=fit_text(described.run_name, charset),
        tags=fit_tags(described.tags, charset),
        metrics=tuple(
            MetricPoint(key=fit_key(point.key, charset), value=point.value, step=point.step)
            for point in described.metrics
        ),
        files=_fit_labels(described.files, charset),
        dataset=dataset,
    )


def _fit_labels(files: Mapping[str, bytes], charset: Charset) -> Mapping[str, bytes]:
    """The files with the true keys in the map of labels."""
    if LABELS_PATH not in files:
        return files
    labels = json.loads(files[LABELS_PATH])
    for one in labels.values():
        one["metric_key"] = fit_key(one["metric_key"], charset)
    return {**files, LABELS_PATH: write_json(labels)}


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for this user alone, that is gone after the block."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def remove_old_folders() -> None:
    """Take away the folders of this user's processes that were killed a day ago or earlier.

    The day is for processes in other containers, whose numbers tell nothing here.
    """
    for folder in _list_folders(Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if is_own and time.time() - found.st_mtime > OLD_AFTER_S and not _is_running(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _list_folders(place: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if _NAMED.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _is_running(folder: Path) -> bool:
    """Whether the process that a folder is named after is there."""
    named = _NAMED.fullmatch(folder.name)
    if named is None or os.name == "nt":
        return named is None
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
