"""The slices of a version as a table, by columns that it has or that a caller gives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from mlrek.evaluation import Evaluation
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slices import check_columns
from mlrek.render.slices import list_slice_columns

if TYPE_CHECKING:
    from pandas import DataFrame, Series

SliceBy: TypeAlias = str | Sequence[str] | None


def list_slices_by(
    evaluation: Evaluation, metrics: Metrics, rule: PredictionRule, by: SliceBy
) -> "DataFrame":
    """A row for each slice, worst first.

    Raises:
        UsageError: There is no such column.
        EvaluationError: There are no images.
    """
    names = [by] if isinstance(by, str) else by
    check_columns(names or (), evaluation)
    report = compute_slices(evaluation, rule, by=names, metrics=metrics)
    return _tabulate(list_slice_columns(report))


def _tabulate(columns: dict[str, list[Any]]) -> "DataFrame":
    from pandas import DataFrame, Series

    texts = {"family", "column", "value", "slice", "same_images", "score_name"}
    texts |= {"judgement", "part_of", "reason"}

    def read(name: str) -> "Series[Any]":
        kind = "object" if name in texts else "int64" if name == "images" else "float64"
        return Series(columns[name], dtype=kind)

    return DataFrame({name: read(name) for name in columns})
