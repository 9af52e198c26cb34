"""What the summary of a custom moderation adapter reports: counts at thresholds, of two models."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Annotated, TypeAlias

import numpy as np
from msgspec import Meta, Struct

from mlrek.evaluation import Reported, ReportedCurve
from mlrek.formats.json_text import LabelName

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _Counts(Struct, rename="pascal"):
    true_positive: _Count = 0
    false_positive: _Count = 0
    false_negative: _Count = 0
    true_negative: _Count = 0


class _Models(Struct, rename="pascal"):
    base_model: _Counts | None = None
    adapter: _Counts | None = None


class _LabelModels(_Models, rename="pascal"):
    label: LabelName = ""


class _AtThreshold(Struct, rename="pascal"):
    confidence_threshold: Annotated[float, Meta(ge=0, le=100)] | None = None
    aggregated_evaluation_results: _Models | None = None
    label_evaluation_results: list[_LabelModels] | None = None


class ContentModeration(Struct, rename="pascal"):
    """The part of a summary that only adapters have."""

    input_confidence_threshold_eval_results: _AtThreshold | None = None
    all_confidence_thresholds_eval_results: list[_AtThreshold] | None = None


_Choose: TypeAlias = Callable[[_Models], _Counts | None]


def report_adapter(part: ContentModeration, reported: Reported, labels: Sequence[str]) -> Reported:
    """The adapter's numbers, with the base model's as their baseline.

    Precision, recall and F1 follow from the published counts at the threshold that the adapter was
    trained for, which is the assumed threshold of every label. A published F1 counts before ours.

    Args:
        part: What only an adapter's summary has.
        reported: What the rest of the summary says.
        labels: The labels it was trained on.
    """
    at_input = part.input_confidence_threshold_eval_results or _AtThreshold()
    sweep = part.all_confidence_thresholds_eval_results or []
    adapter = _report(at_input, sweep, lambda models: models.adapter)
    threshold = _threshold(at_input)
    known = (*labels, *adapter.per_label)
    return replace(
        reported,
        aggregate={**adapter.aggregate, **threshold, **reported.aggregate},
        per_label={
            label: {
                **adapter.per_label.get(label, {}),
                **threshold,
                **reported.per_label.get(label, {}),
            }
            for label in dict.fromkeys(known)
        },
        curves=adapter.curves,
        baseline=_report(at_input, sweep, lambda models: models.base_model),
    )


def _report(at_input: _AtThreshold, sweep: Iterable[_AtThreshold], choose: _Choose) -> Reported:
    """The numbers of one of the two models."""
    rising = sorted(
        (one for one in sweep if one.confidence_threshold is not None),
        key=lambda one: one.confidence_threshold or 0,
    )
    each = [_by_label(one, choose) for one in rising]
    names = dict.fromkeys(name for counts in each for name in counts)
    thresholds = [(one.confidence_threshold or 0) / 100 for one in rising]
    at_input_counts = _by_label(at_input, choose)
    return Reported(
        aggregate=_score(at_input_counts.pop("", None)),
        per_label={label: _score(counts) for label, counts in at_input_counts.items()},
        curves={
            name: _make_curve(thresholds, [counts.get(name) for counts in each]) for name in names
        },
    )


def _by_label(one: _AtThreshold, choose: _Choose) -> dict[str, _Counts]:
    """Counts by label, '' for all labels together."""
    models = {"": one.aggregated_evaluation_results or _Models()}
    models |= {label.label: label for label in one.label_evaluation_results or []}
    return {name: counts for name, both in models.items() if (counts := choose(both)) is not None}


def _threshold(at_input: _AtThreshold) -> Mapping[str, float]:
    percent = at_input.confidence_threshold
    return {} if percent is None else {"threshold": percent / 100}


def _score(counts: _Counts | None) -> dict[str, float]:
    """The counts, and what follows of them where it is defined."""
    if counts is None:
        return {}
    tp, fp, fn = counts.true_positive, counts.false_positive, counts.false_negative
    shares = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    return {
        **{name: part / whole for name, (part, whole) in shares.items() if whole},
        "tp": float(tp),
        "fp": float(fp),
        "fn": float(fn),
        "tn": float(counts.true_negative),
    }


def _make_curve(thresholds: Sequence[float], counts: Sequence[_Counts | None]) -> ReportedCurve:
    scores = [_score(one) for one in counts]
    columns = {
        name: np.array([score.get(name, nan) for score in scores], dtype=np.float64)
        for name in ("precision", "recall", "f1", "tp", "fp", "fn", "tn")
    }
    return ReportedCurve(thresholds=np.array(thresholds, dtype=np.float64), **columns)
