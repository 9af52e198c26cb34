"""One threshold for all, as in Google's console: published numbers beside computed ones."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

from mlrek.cli.output import Output
from mlrek.evaluation import Evaluation
from mlrek.formatting import UNDEFINED
from mlrek.metrics.chosen_threshold import AtChosenThreshold
from mlrek.reported import ReportedAt, reported_at, round_half_up

_COUNTS = ("tp", "fp", "fn")
_SHARES = ("precision", "recall", "f1")
_TITLES = ("at a threshold", "threshold", "TP", "FP", "FN", "precision", "recall", "F1")


def has_published_thresholds(evaluation: Evaluation) -> bool:
    """Whether the provider publishes numbers over thresholds."""
    return bool(evaluation.reported.curves)


def find_published(evaluation: Evaluation, label: str, threshold: float) -> ReportedAt | None:
    """The provider's numbers of a label ('' for all) nearest to a threshold."""
    curve = evaluation.reported.curves.get(label)
    return None if curve is None else reported_at(curve, threshold)


def print_thresholds(
    published: ReportedAt | None, chosen: AtChosenThreshold | None, code: int | None, output: Output
) -> None:
    """A row of what the service says and one of what its predictions give; percent, half up.

    `code` is that of the label, None for all labels together.
    """
    rows = []
    if published is not None:
        rows.append(["the service says", *_cells(published.threshold, published.values)])
    if chosen is not None:
        rows.append(["computed", *_cells(chosen.threshold, _choose(chosen, code))])
    output.table(_TITLES, rows, numeric=frozenset(_TITLES[1:]))
    output.line()


def describe_published(published: ReportedAt | None) -> dict[str, Any] | None:
    """The stable JSON form."""
    if published is None:
        return None
    return {
        "threshold": published.threshold,
        "is_exact": published.is_exact,
        **{name: published.values.get(name) for name in (*_COUNTS, *_SHARES)},
    }


def format_percent(value: float | None) -> str:
    """A share in percent with up to two decimals, half up.

    >>> format_percent(58 / 64), format_percent(0.875)
    ('90.63 %', '87.5 %')
    """
    return UNDEFINED if value is None or isnan(value) else f"{round_half_up(100 * value, 2):g} %"


def _cells(threshold: float, values: Mapping[str, float]) -> Iterator[str]:
    yield f"{threshold:g}"
    for name in _COUNTS:
        yield f"{int(values[name]):,}" if name in values else UNDEFINED
    for name in _SHARES:
        yield format_percent(values.get(name))


def _choose(chosen: AtChosenThreshold, code: int | None) -> dict[str, float]:
    names = (*_COUNTS, *_SHARES)
    if code is None:
        return {name: float(getattr(chosen, name)) for name in names}
    return {name: float(getattr(chosen.per_label, name)[code]) for name in names}
