"""Which versions the files with a line per image belong to, by where they lie."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mlrek.formats.google_identity import folders_above

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a version is at home: folders with its evaluation, and those that describe it alone.

    Its batch predictions are written to a folder named one of `outputs`, or beginning with
    `output_prefix`.
    """

    evaluated: Collection[str]
    described: Collection[str]
    outputs: Collection[str] = ()
    output_prefix: str = ""


def assign_truth(files: Iterable[str], homes: Mapping[str, Home]) -> dict[str, list[str]]:
    """The ground truth of each version: the nearest files; versions may share them."""
    found = {file: _find_near(file, homes) for file in files}
    return _keep_nearest({file: (depth, near) for file, (depth, near) in found.items()})


def assign_predictions(
    files: Iterable[str], homes: Mapping[str, Home]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The predictions of each version, and the versions that an ambiguous file may belong to."""
    found = {file: _find_near(file, homes) for file in files}
    sure = {file: (depth, near) for file, (depth, near) in found.items() if len(near) == 1}
    return _keep_nearest(sure), {file: near for file, (_, near) in found.items() if len(near) > 1}


def _find_near(file: str, homes: Mapping[str, Home]) -> tuple[int, list[str]]:
    """The versions whose evaluation is nearest, and how deep the folder is that holds both."""
    folders = list(folders_above(file))
    if named := _named_by_output(folders, homes):
        return len(folders), named
    for depth, folder in zip(range(len(folders), 0, -1), folders, strict=True):
        near = [who for who, home in homes.items() if _is_below(home.evaluated, folder)]
        near = near or [who for who, home in homes.items() if _is_below(home.described, folder)]
        if near:
            return depth, _narrow(near, folders, homes)
    return 0, []


def _named_by_output(folders: Iterable[str], homes: Mapping[str, Home]) -> list[str]:
    """The one version whose job wrote to a folder of this name."""
    names = {folder.rpartition("/")[2] for folder in folders}
    named = [who for who, home in homes.items() if names.intersection(home.outputs)]
    return named if len(named) == 1 else []


def _narrow(near: list[str], folders: Iterable[str], homes: Mapping[str, Home]) -> list[str]:
    """Of several versions the one that the nearest folder describes, or names, alone."""
    if len(near) == 1:
        return near
    for folder in folders:
        name = folder.rpartition("/")[2]
        for chosen in (
            [who for who in near if folder in homes[who].described],
            [who for who in near if _begins(name, homes[who].output_prefix)],
        ):
            if len(chosen) == 1:
                return chosen
    return near


def _begins(name: str, prefix: str) -> bool:
    return bool(prefix) and name.startswith(prefix)


def _is_below(places: Iterable[str], folder: str) -> bool:
    return any(not folder or place == folder or place.startswith(f"{folder}/") for place in places)


def _keep_nearest(found: Mapping[str, tuple[int, list[str]]]) -> dict[str, list[str]]:
    """For each version the files of the deepest folder, in the order of their numbers."""
    depths: dict[str, int] = {}
    for depth, near in found.values():
        depths |= {who: max(depth, depths.get(who, 0)) for who in near}
    return {
        who: sorted(
            (file for file, at in found.items() if at[0] == depth and who in at[1]), key=_natural
        )
        for who, depth in depths.items()
    }


def _natural(file: str) -> list[tuple[int, str]]:
    """Sort `…_2.jsonl` before `…_10.jsonl`."""
    return [(int(text), "") if text.isdecimal() else (-1, text) for text in _DIGITS.split(file)]
