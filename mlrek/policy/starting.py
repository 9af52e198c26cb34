"""A version's numbers -> the text of a policy to start from, with its reasons as comments. Pure.

Every limit is one that the version itself fulfils: it leaves room for the luck of a test set.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from textwrap import wrap
from typing import Final

from mlrek.evaluation import Effect, Task
from mlrek.kinds import ANY_VALUE
from mlrek.metrics.numbers import name_metric
from mlrek.metrics.slices import MIN_SLICE_IMAGES
from mlrek.policy import DEFAULT_CONFIDENCE, Candidate, Figure, Metric, TestSetPolicy
from mlrek.policy.parsing import write_text
from mlrek.policy.reading import Reading, choose_reading
from mlrek.text import escape_unencodable, escape_unprintable, fmt, say_number, span

FEW_IMAGES: Final = 10
"""Images of a label that are asked for, where the version has so many."""
MARGIN: Final = 0.01
"""How much a successor may lose; also what a floor leaves below an interval."""
LABEL_ROOM, LABEL_STEP = 0.05, 0.05
SLICE_ROOM: Final = 0.1
"""How much less is asked of a slice than of all images."""
MAX_NAMES: Final = 10

_WIDTH: Final = 98
_FLOOR: Final = {
    Task.CLASSIFICATION: ("aggregate/f1_macro", "aggregate/accuracy", "reported/f1"),
    Task.MULTILABEL: ("aggregate/f1_macro", "aggregate/f1_micro", "reported/f1"),
    Task.DETECTION: ("aggregate/ap_50", "aggregate/ap", "reported/f1"),
    Task.SEGMENTATION: ("aggregate/mean_iou", "aggregate/pixel_f1", "reported/f1"),
}
"""The number that stands for a version as a whole, the first that there is."""
_COMPARED: Final = {**_FLOOR, Task.CLASSIFICATION: ("aggregate/accuracy", "reported/f1")}
_OF_LABELS: Final = {
    Task.CLASSIFICATION: ("label_recall",),
    Task.MULTILABEL: ("label_recall", "label_f1"),
    Task.DETECTION: ("label_ap", "label_recall"),
    Task.SEGMENTATION: ("label_iou", "label_recall"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a policy is begun with.

    `baseline` is the VERSION that candidates are compared with, `champion` the alias of the
    registry that it may be later, '' where it is that. `columns` are those by which the version's
    test images fall into slices.
    """

    candidate: Candidate
    baseline: str
    champion: str = ""
    columns: tuple[str, ...] = ()


def write_starter(start: Start) -> str:
    """The text of a policy that its own version passes, or that says why it is undecided."""
    parts = [_begin, _write_baseline, _write_test_set, _write_whole]
    parts += [_write_labels, *([_write_slices] if start.columns else []), _write_relative]
    text = "\n".join("\n".join(part(start)) + "\n" for part in parts)
    return escape_unencodable(text)


def _begin(start: Start) -> Iterator[str]:
    identity, images = start.candidate.identity, start.candidate.test_images
    tested = f" and its {images.total:,} test images" if images.total else ""
    yield from _say(
        f"What a version must fulfil before it is promoted; begun with the numbers of "
        f"{identity.version}{tested}. Every limit is a proposal: make it what your use needs."
    )
    yield "#"
    yield "#   mlrek check VERSION --policy FILE"
    yield "#"
    yield from _say(
        "Exit code 0: all checks passed; 3: one failed; 4: none failed, but one is undecided, with "
        "its reason. Unknown keys are errors; `mlrek policy schema` lists all there are."
    )


def _write_baseline(start: Start) -> Iterator[str]:
    yield "[baseline]"
    yield from _say(
        "What candidates are compared with: an alias or a version of the registry, a run, or "
        "SOURCE#VERSION. --baseline comes first."
    )
    if start.champion:
        yield from _say("Once versions are registered (mlrek sync --register), their champion:")
        yield f"# version = {write_text(start.champion)}"
    else:
        yield from _say("Before the first promotion there is none: then the floors alone decide.")
    mark = "" if _can_be_written(start.baseline) else "# "
    yield f"{mark}version = {write_text(start.baseline)}"


def _write_test_set(start: Start) -> Iterator[str]:
    yield "[test_set]"
    yield from _say(
        "Compare only versions that were tested on the same images with the same truth. "
        '"overlapping" compares on the images that both have, "any" takes each version\'s own.'
    )
    yield 'same = "required"'
    yield from _write_counts(start)
    yield from _say(
        '"forbidden" fails a version that was tested on images it was trained on, "allowed" lives '
        f"with it; without this line what would pass is then undecided. {_say_leakage(start)}"
    )
    yield '# leakage = "forbidden"'
    yield from _write_accept(start)
    yield from _say(
        "Images that show one object are no independent evidence. The first group of a regular "
        "expression on image URIs names the object:"
    )
    yield '# group_by = "/(object-[0-9]+)/"'
    yield from _say(
        "Of many candidates that are no better some pass by luck. With this line each further one "
        "that is checked on this test set must show more:"
    )
    yield "# adjust_for_looks = true"


def _write_counts(start: Start) -> Iterator[str]:
    images = start.candidate.test_images
    if images.total:
        yield from _say(
            f"Fewer test images decide nothing: nine tenths of this version's {images.total:,}."
        )
        yield f"min_images = {round_count(images.total)}"
    else:
        yield "# min_images = 200"
    fewest = min((images.per_label or {}).values(), default=0)
    if fewest:
        yield from _say(
            "Nor do labels with fewer test images than this; the rarest of this version has "
            f"{fewest:,}."
        )
        yield f"min_images_per_label = {min(fewest, FEW_IMAGES)}"
    else:
        yield from _say("Labels with fewer test images than this decide nothing:")
        yield f"# min_images_per_label = {FEW_IMAGES}"


def _say_leakage(start: Start) -> str:
    leakage = start.candidate.leakage
    if not leakage.known:
        return "Of this version nothing tells."
    n = len(leakage.images)
    return f"Of this version {n:,} test image{' was' if n == 1 else 's were'} trained on."


def _write_accept(start: Start) -> Iterator[str]:
    """The kinds of doubts that the version has, which may be accepted."""
    stopping = [d for d in start.candidate.doubts if d.effect is not Effect.SAID]
    kinds = sorted({doubt.kind.value for doubt in stopping})
    yield from _say(
        "Doubts, such as images that are missing, keep checks from passing, and the answer names "
        f"them. Those listed here do not. This version has {_join(kinds) or 'none of them'}."
    )
    named = ", ".join(write_text(kind) for kind in kinds or ["images_missing"])
    yield f"# accept = [{named}]"


def _write_whole(start: Start) -> Iterator[str]:
    """The floor of the number that stands for the version, and that of its calibration."""
    name, figure = _find(start, _FLOOR)
    if not name:
        yield from _say("This version has no number of all labels that a floor could hold:")
        yield from _comment(("[[floor]]", 'metric = "aggregate/accuracy"', "min = 0.9"))
        return
    limit, said, has_interval = _choose_floor(figure)
    lines = ["[[floor]]", f"metric = {write_text(name)}", f"min = {limit:.2f}"]
    if has_interval:
        lines.append(f"confidence = {DEFAULT_CONFIDENCE}")
    comment = (
        f"{said} With a confidence the lower end of the interval must reach the limit, without one "
        "the value itself."
    )
    if limit <= 0:
        yield from _say(f"{comment} That is no number to ask for, so choose one:")
        yield from _comment(lines)
    else:
        yield lines[0]
        yield from _say(comment)
        yield from lines[1:]
    yield from _write_calibration(start)


def _write_calibration(start: Start) -> Iterator[str]:
    found = start.candidate.numbers.figures.get(Metric(name="aggregate/ece"))
    if found is None or isnan(found.value):
        return
    yield ""
    yield from _say(
        "How far confidence and truth lie apart (expected calibration error): less is better. This "
        f"version has {say_number(found.value)}."
    )
    limit = max(0.01, round_up(1.5 * found.value))
    yield from _comment(("[[floor]]", 'metric = "aggregate/ece"', f"max = {limit:.2f}"))


def _write_labels(start: Start) -> Iterator[str]:
    """One floor for all labels, or for those that have a number."""
    name, figures = _find_labels(start)
    if not name:
        yield from _say("This version has no numbers of single labels; of others:")
        yield from _comment(("[[floor]]", 'metric = "label_recall/*"', "min = 0.8"))
        return
    known = {label: one.value for label, one in figures.items() if not isnan(one.value)}
    lowest = min(known, key=lambda label: known[label])
    limit = round_down(known[lowest] - LABEL_ROOM, LABEL_STEP)
    least = f"{say_number(known[lowest])} of {_name(lowest)}"
    comment = (
        f"The {name_metric(name)} of each label must reach this: {round(100 * LABEL_ROOM)} points "
        f"below the lowest of this version, {least}, rounded down."
    )
    metrics = _name_metrics(name, figures, list(known))
    if limit <= 0:
        yield from _say(f"{comment} That is no number to ask for, so choose one:")
        yield from _comment(("[[floor]]", f"metric = {write_text(f'{name}/*')}", "min = 0.5"))
        return
    if len(known) < len(figures):
        missing = [_name(label) for label in figures if label not in known]
        said = "so undecided" if metrics[0].endswith("/*") else "so left out"
        comment += f" Undefined, {said}: {_join(missing)}."
    for i, metric in enumerate(metrics):
        yield from ["", "[[floor]]"] if i else ["[[floor]]"]
        yield from _say(comment if not i else "")
        yield f"metric = {write_text(metric)}"
        yield f"min = {limit:.2f}"
    yield from _say(
        "With a confidence a label passes where its whole interval does, and fails where chance "
        "among so many labels does not explain it (Holm), which takes many images of each label:"
    )
    yield f"# confidence = {DEFAULT_CONFIDENCE}"


def _write_slices(start: Start) -> Iterator[str]:
    """What may be asked of each slice; commented out, as a slice may be too small."""
    name, figure = _find(start, _FLOOR)
    limit = _choose_floor(figure)[0] - SLICE_ROOM if name else 0.0
    writable = [column for column in start.columns if _can_be_written(column) and "=" not in column]
    column = next((one for one in writable if one.strip()), "site")
    yield from _say(
        "A mean hides the site that failed. This asks the same of each value of a column, on its "
        f"images alone; slices of fewer than {MIN_SLICE_IMAGES} are undecided, and one of many "
        f"fails where chance does not explain it (Holm). Columns: {_join(list(start.columns))}."
    )
    yield from _comment(
        (
            "[[floor]]",
            f"metric = {write_text(name or 'aggregate/accuracy')}",
            f"slice = {write_text(f'{column}={ANY_VALUE}')}",
            f"min = {round_down(limit, LABEL_STEP) if limit > LABEL_STEP else 0.5:.2f}",
            f"confidence = {DEFAULT_CONFIDENCE}",
        )
    )


def _name_metrics(name: str, figures: dict[str, Figure], known: Sequence[str]) -> list[str]:
    """`label_recall/*`, or the labels that have the number, where some have none."""
    writable = [label for label in known if _can_be_written(label)]
    if len(known) == len(figures) or not 0 < len(writable) <= MAX_NAMES:
        return [f"{name}/*"]
    return [f"{name}/{label}" for label in writable]


def _write_relative(start: Start) -> Iterator[str]:
    name, figure = _find(start, _COMPARED)
    name = name or "aggregate/accuracy"
    lines = (
        f"metric = {write_text(name)}",
        f"margin = {MARGIN}",
        f"confidence = {DEFAULT_CONFIDENCE}",
    )
    known = ""
    if not isnan(figure.low):
        width = say_number(round((figure.high - figure.low) / 2, 3))
        known = f" This version's own number is known to ±{width}: less takes more images to tell."
    comment = (
        "A candidate may lose at most a point on the baseline, and "
        f"{round(100 * DEFAULT_CONFIDENCE)} % confidence is wanted for that.{known}"
    )
    if _can_be_written(start.baseline):
        yield "[[no_worse]]"
        yield from _say(comment)
        yield from lines
    else:
        yield from _say(comment)
        yield from _comment(("[[no_worse]]", *lines))
    yield ""
    yield from _say("And it must be better in something, if a mere successor is not enough:")
    yield from _comment(("[[better]]", lines[0], lines[2]))


def _find(start: Start, names: Mapping[Task, tuple[str, ...]]) -> tuple[str, Figure]:
    """The first number that the version has, as a check of it would read it; '' for none."""
    for name in names[start.candidate.numbers.task]:
        figure = _read(start, Metric(name=name))
        if not isnan(figure.value):
            return name, figure
    return "", Figure(value=math.nan)


def _find_labels(start: Start) -> tuple[str, dict[str, Figure]]:
    """The first number that any label has, and that of each label."""
    numbers = start.candidate.numbers
    for name in _OF_LABELS[numbers.task]:
        found = {label: _read(start, Metric(name=name, label=label)) for label in numbers.labels}
        if any(not isnan(figure.value) for figure in found.values()):
            return name, found
    return "", {}


def _read(start: Start, metric: Metric) -> Figure:
    """A number as a floor reads it: where thresholds were fitted, the cross-fitted one."""
    candidate = start.candidate
    figures = candidate.numbers.figures
    named = Reading(asked=metric, metric=metric, is_relative=False, has_interval=False)
    read = choose_reading(
        named, candidate.doubts, TestSetPolicy(), candidate.numbers.task, figures.__contains__
    )
    return figures.get(read.metric, Figure(value=math.nan))


def _choose_floor(figure: Figure) -> tuple[float, str, bool]:
    """The limit, why it is that, and whether it is one for the interval."""
    if figure.low < figure.high:
        low = min(figure.low, figure.value)
        around = span(figure.low, figure.high)
        said = f"This version has {fmt(figure.value)}, with 95 % confidence {around}"
        return round_down(low - MARGIN), f"{said}: a point below the lower end, rounded down.", True
    said = (
        f"This version has {fmt(figure.value)}, without an interval: a point below, rounded down."
    )
    return round_down(figure.value - MARGIN), said, False


def round_down(value: float, step: float = 0.01) -> float:
    """The next multiple of a step at or below a number.

    >>> round_down(0.9124), round_down(0.959 - 0.05, 0.05), round_down(0.07 * 10)
    (0.91, 0.9, 0.7)
    """
    return round(math.floor(round(value / step, 6)) * step, 6)


def round_up(value: float, step: float = 0.01) -> float:
    """The next multiple of a step at or above a number.

    >>> round_up(0.0151)
    0.02
    """
    return -round_down(-value, step)


def round_count(n: int) -> int:
    """Nine tenths of a count with two digits, rounded down, at least 1.

    >>> round_count(754), round_count(11), round_count(1), round_count(20_000)
    (670, 9, 1, 18000)
    """
    wanted = max(1, 9 * n // 10)
    unit: int = 10 ** max(len(str(wanted)) - 2, 0)
    return wanted // unit * unit


def _can_be_written(text: str) -> bool:
    """Whether TOML can hold a text: half a character it cannot."""
    return escape_unencodable(text) == text


def _name(label: str) -> str:
    return f"'{escape_unprintable(label)}'"


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _say(text: str) -> Iterator[str]:
    """A comment, wrapped; names in it are on one line, with each character visible."""
    for line in wrap(
        escape_unprintable(text), _WIDTH, break_long_words=False, break_on_hyphens=False
    ):
        yield f"# {line}"


def _comment(lines: Sequence[str]) -> Iterator[str]:
    return (f"# {line}" for line in lines)
