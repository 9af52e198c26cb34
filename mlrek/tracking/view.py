"""How MLflow's pages of an experiment look without a click: its sections, columns and colours.

MLflow keeps a shared view of an experiment in a tag, which a link names. A reader's own settings
stay as they are. Colours of runs are tags too; those that MLflow picks may be alike.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mlrek.palette import PALETTE
from mlrek.tracking.description import GRID_KEY, STEPS_TAG
from mlrek.tracking.notes import list_shown
from mlrek.tracking.pictures import find_main_pictures, picture_key
from mlrek.tracking.runs import LoggedRun

VIEW_KEY: Final = "mlrek"
VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW_KEY}"
COLOUR_TAG: Final = "mlflow.runColor"

# The first screen: the headline numbers of all versions as bars; then curves; then pictures.
_SECTIONS: Final = (
    *("score", "curve", "charts", "reported_curve", "aggregate", "at_threshold", "crossfit"),
    *("reported", "errors"),
    *("label_f1", "label_precision", "label_recall", "label_ap", "base_model"),
)
_FOLDED: Final = ("interval", "training", "Model metrics", "System metrics")
_SIZES: Final = {
    "score": {"columns": 2, "cardHeight": 280},
    "aggregate": {"columns": 3, "cardHeight": 280},
    "charts": {"columns": 1, "cardHeight": 430},
}
_COLUMNS: Final = ("attributes.`Created`", "attributes.`Duration`", "attributes.`Dataset`")


def describe_view(runs: Sequence[LoggedRun]) -> str:
    """The view as MLflow's pages read it; what it does not name they add by themselves."""
    metrics = list_shown(runs)
    pictures = list(_describe_pictures(runs))
    groups = {key.rpartition("/")[0] for run in runs for key in run.metrics}
    groups |= {"charts"} if pictures else set()
    columns = [*_COLUMNS, *(f"metrics.`{name}`" for name in metrics), "params.`test_images`"]
    view = {
        "compareRunSections": [
            *(_describe_section(name, display=True) for name in _SECTIONS if name in groups),
            *(_describe_section(name, display=False) for name in _FOLDED),
        ],
        "compareRunCharts": pictures,
        "isAccordionReordered": True,
        "selectedColumns": columns,
    }
    return json.dumps(view, separators=(",", ":"))


def choose_colours(runs: Sequence[LoggedRun]) -> Iterator[tuple[LoggedRun, str]]:
    """A colour for each run that has none yet: the one that is used least, the first of those."""
    used = [run.tags[COLOUR_TAG] for run in runs if COLOUR_TAG in run.tags]
    for run in runs:
        if COLOUR_TAG not in run.tags:
            colour = min(PALETTE, key=used.count)
            used.append(colour)
            yield run, colour


def _describe_section(name: str, *, display: bool) -> dict[str, Any]:
    return {
        "uuid": f"mlrek-{name}",
        "name": name,
        "display": display,
        "isReordered": False,
        "deleted": False,
        "isGenerated": True,
        **_SIZES.get(name, {}),
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
