"""The files of MLflow's picture grid, several at once: `log_image` sends them one by one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import uuid4

from mlrek.evaluation import Task
from mlrek.tracking.description import HEAT_MAP, LABEL_IOU, GridPicture
from mlrek.tracking.runs import LoggedRun

IMAGES_TAG: Final = "mlflow.loggedImages"
"""MLflow's own mark of a run that has pictures for its grid."""

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


def find_layout(paths: Iterable[str]) -> PictureLayout:
    """The layout that `log_image` uses, by the files it made of `PICTURE_KEY` at step 0."""
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
