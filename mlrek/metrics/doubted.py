"""Doubts that show in records and numbers: what is only bounded, or told otherwise."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from mlrek.evaluation import Doubt, DoubtKind, Effect, Evaluation, RecordsKind, Task
from mlrek.metrics import Metrics, Reconciled
from mlrek.metrics.decisions import DEFAULT_THRESHOLD
from mlrek.metrics.fitted import find_touched

BOX_AREAS: Final = ("aggregate/ap*", "aggregate/ar_100", "label_ap")
"""Numbers over all boxes of a detection, however little the model was sure of them."""

_REPORTED: Final = ("reported/*", "label_reported_*")
_TEST_IMAGES: Final = "test_images"
_N_NAMED: Final = 3


def doubt_records(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """What weakens the numbers of an evaluation, as they show."""
    yield from _doubt_boxes(evaluation, metrics)
    yield from _doubt_top_only(evaluation, metrics)
    yield from _doubt_foreign(evaluation, metrics)
    yield from doubt_reported(metrics.reconciliation)


def doubt_reported(reconciled: tuple[Reconciled, ...]) -> Iterator[Doubt]:
    """That the service's numbers differ from ours by the same rule, the farthest apart by name.

    The number of test images is left to the doubt of missing ones.
    """
    compared = [n for n in reconciled if n.agrees is not None and n.name != _TEST_IMAGES]
    apart = sorted((number for number in compared if not number.agrees), key=_distance)
    if apart:
        named = "; ".join(
            f"{number.name!r} reported {number.reported:.6g}, computed {number.computed:.6g} "
            f"({number.rule})"
            for number in apart[:_N_NAMED]
        )
        more = "; …" if len(apart) > _N_NAMED else ""
        yield Doubt(
            kind=DoubtKind.REPORTED_DIFFERS,
            text=(
                f"{len(apart)} of {len(compared)} reported numbers that can be compared differ "
                f"from what the records give: {named}{more}"
            ),
            count=len(apart),
            of=len(compared),
            touches=_REPORTED,
        )


def _distance(number: Reconciled) -> tuple[float, str]:
    """Sorts what is farthest apart first, relative to its size."""
    size = max(abs(number.reported), abs(number.computed))
    return -abs(number.reported - number.computed) / size, number.name


def _doubt_boxes(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Of partial boxes average precision is a lower bound; with the matched ones it flatters."""
    detections = evaluation.detections
    if metrics.records is not RecordsKind.PARTIAL or detections is None:
        return
    if not np.any(detections.records.confidence > 0):
        return
    yield Doubt(
        kind=DoubtKind.RECORDS_PARTIAL,
        text=(
            "boxes below their threshold that find nothing are not published: every average "
            "precision and ar_100 look at the predictions alone and are lower bounds"
        ),
        touches=BOX_AREAS,
    )
    if metrics.extra:
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                "average precision with the matched boxes below their threshold lacks the others "
                "there, and is an upper bound"
            ),
            touches=("extra/*",),
            own_effect=Effect.STOPS,
        )


def _doubt_top_only(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Counts images where a label below the top one may reach its threshold unseen."""
    records, n_labels = evaluation.records, len(evaluation.labels)
    if metrics.records is not RecordsKind.TOP1 or not len(records.confidence) or n_labels <= 1:
        return
    default = DEFAULT_THRESHOLD if metrics.task is Task.MULTILABEL else np.inf
    thresholds = np.nan_to_num(evaluation.thresholds, nan=default)
    lowest = np.sort(thresholds)[:2]
    other = np.where(records.label_idx == np.argmin(thresholds), lowest[1], lowest[0])
    n = np.count_nonzero(other <= records.confidence)
    if n:
        touches = find_touched(metrics.task, metrics.prediction_rule)
        yield Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text=(
                f"only the top label of each image is recorded: on {n} images another label may "
                "reach its threshold unseen, and numbers at the thresholds leave it out"
            ),
            count=int(n),
            of=len(evaluation.images),
            touches=tuple(name for name in touches if name not in _REPORTED),
            own_effect=Effect.STOPS,
        )


def _doubt_foreign(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """Widens the doubt of a summary of another version to what a rule reads at thresholds.

    Without its own thresholds the records' flags decide, or 0.5.
    """
    touches = find_touched(metrics.task, metrics.prediction_rule)
    for doubt in evaluation.doubts:
        is_foreign = doubt.kind is DoubtKind.FOREIGN_SUMMARY
        if is_foreign and not all(map(doubt.touches_number, touches)):
            yield replace(doubt, touches=touches)
