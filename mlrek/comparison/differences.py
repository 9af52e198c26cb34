"""Every number of two versions side by side, with how surely they differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Final, TypeAlias

import numpy as np

from mlrek.comparison import Difference, Scope
from mlrek.comparison.exams import Measured, list_values
from mlrek.comparison.judgements import judge_pairs, judge_shares, with_evidence
from mlrek.comparison.left_out import FoundEvidence, find_evidence
from mlrek.comparison.measure import HAMMING
from mlrek.comparison.units import Setting
from mlrek.evaluation import BoolArray, Task
from mlrek.metrics.counts import NOTHING_REASON, LabelCounts

REPORTED_REASON: Final = "no interval: the provider publishes the number alone"
_ROUNDING: Final = 1e-12

_Numbers: TypeAlias = dict[tuple[str, str], tuple[float, str]]
"""Value and reason by name and label."""


def compare_shared(
    versions: tuple[Measured, Measured], setting: Setting, *, intervals: bool
) -> tuple[Difference, ...]:
    """The numbers of both versions on paired images, with the interval of each difference.

    The macro averages are over the labels of both versions, those that are true or predicted by
    either. Without `intervals` only those that follow from a formula are there.
    """
    plain = _put_side_by_side(_average_over_both(versions), Scope.SHARED)
    computed = [difference for difference in plain if not _is_reported(difference.name)]
    found = _add_intervals(computed, versions, setting if intervals else None)
    return tuple(judge_pairs(found, versions, setting))


def compare_whole(
    versions: tuple[Measured, Measured],
    setting: Setting,
    shared: Sequence[Difference] = (),
    *,
    intervals: bool,
) -> tuple[Difference, ...]:
    """The numbers of both versions, each on its own test set, with their intervals.

    Of one and the same test set the differences of `shared` hold wherever the numbers are equal.
    """
    known = {(d.name, d.label): replace(d, scope=Scope.WHOLE) for d in shared}
    found = {
        (d.name, d.label): d
        for d in _put_side_by_side([_list_numbers(version) for version in versions], Scope.WHOLE)
    }
    own = [d for key, d in found.items() if key not in known or not _agree(known[key], d)]
    found = {key: known.get(key, d) for key, d in found.items()}
    added = _add_intervals(own, versions, setting if intervals else None)
    found |= {(d.name, d.label): d for d in added}
    if not setting.grouped and not shared:
        found = {(d.name, d.label): d for d in judge_shares(list(found.values()), versions)}
    return tuple({**known, **found}[key] for key in dict.fromkeys((*found, *known)))


def _list_numbers(version: Measured) -> _Numbers:
    return {
        (name, label): (value, reason)
        for name, label, value, reason in list_values(version.metrics, version.evaluation)
    }


def _average_over_both(versions: tuple[Measured, Measured]) -> list[_Numbers]:
    """The values of both versions, averages over labels being over those of both."""
    ones = (np.ones((len(version.evaluation.images), 1), dtype=np.float32) for version in versions)
    counts = [
        version.measure.count(weights) for version, weights in zip(versions, ones, strict=True)
    ]
    among = _find_among(*counts)
    both = []
    for version, count in zip(versions, counts, strict=True):
        values = _list_numbers(version)
        for (name, _), found in version.measure.average(count, among).items():
            value, reason = values[name, ""]
            if not isnan(value) or reason == NOTHING_REASON:
                average = float(found[0])
                values[name, ""] = average, reason if isnan(average) else ""
        if version.metrics.task is Task.MULTILABEL:
            name, _ = HAMMING
            value, reason = values[name, ""]
            values[name, ""] = value * version.measure.known_share, reason
        both.append(values)
    return both


def _find_among(
    baseline: Mapping[str, LabelCounts], candidate: Mapping[str, LabelCounts]
) -> dict[str, BoolArray]:
    """The labels that occur for either version, by kind of counts."""
    return {
        kind: baseline[kind].occurs | candidate[kind].occurs
        for kind in baseline
        if kind in candidate
    }


def _put_side_by_side(values: Sequence[_Numbers], scope: Scope) -> Iterator[Difference]:
    """The plain numbers of both versions, without intervals."""
    for name, label in dict.fromkeys((*values[0], *values[1])):
        (baseline, reason), (candidate, other_reason) = (
            side.get((name, label), (nan, "only one of the versions has this number"))
            for side in values
        )
        yield Difference(
            name=name,
            label=label,
            scope=scope,
            baseline=baseline,
            candidate=candidate,
            reason=reason or other_reason or (REPORTED_REASON if _is_reported(name) else ""),
        )


def _add_intervals(
    differences: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting | None
) -> list[Difference]:
    """The differences with their evidence, none without a setting."""
    codes = {label: code for code, label in enumerate(setting.labels)} if setting else {}
    keys = [(d.name, codes.get(d.label)) for d in differences]
    shown = {
        key: d.difference
        for key, d in zip(keys, differences, strict=True)
        if not _is_reported(d.name)
    }
    found = FoundEvidence(evidence={}, reasons={})
    if setting is not None and shown:
        found = find_evidence(versions, setting, shown)
    return [
        with_evidence(
            replace(d, reason=d.reason or found.reasons.get(key, "")), found.evidence.get(key)
        )
        for key, d in zip(keys, differences, strict=True)
    ]


def _agree(one: Difference, other: Difference) -> bool:
    return all(
        abs(mine - its) <= _ROUNDING or (isnan(mine) and isnan(its))
        for mine, its in ((one.baseline, other.baseline), (one.candidate, other.candidate))
    )


def _is_reported(name: str) -> bool:
    return name.startswith(("reported/", "label_reported_"))
