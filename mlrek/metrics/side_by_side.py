"""What the provider reported beside our numbers, where its rule is unknown or known to differ."""

from collections.abc import Iterator, Mapping
from math import nan
from typing import Final, TypeAlias

from mlrek.evaluation import Evaluation, FloatArray
from mlrek.metrics import Reconciled
from mlrek.metrics.reconciliation import IMAGES_RULE, NO_RULE, TRAINING_RULE

Ours: TypeAlias = Mapping[str, tuple[float, str]]
"""Our number, and its rule, by the name that the provider reports."""

OurLabels: TypeAlias = Mapping[str, tuple[FloatArray, str]]
"""The same of every label, (n_labels,)."""

_THRESHOLD: Final = "threshold"  # a setting among the reported numbers, not a result


def put_side_by_side(
    evaluation: Evaluation, ours: Ours, labels: OurLabels
) -> tuple[Reconciled, ...]:
    """Every number the provider reported, with ours of that name.

    Only the number of images is compared; all else just stands side by side.
    """
    return (
        *_compare_images(evaluation),
        *(
            _stand_beside(name, value, *ours.get(name, (nan, NO_RULE)))
            for name, value in evaluation.reported.aggregate.items()
            if name != _THRESHOLD
        ),
        *_list_labels(evaluation, labels),
    )


def _compare_images(evaluation: Evaluation) -> Iterator[Reconciled]:
    reported, n_images = evaluation.reported, len(evaluation.images)
    if reported.test_images is not None:
        yield Reconciled(
            name="test_images",
            reported=reported.test_images,
            computed=n_images,
            agrees=reported.test_images == n_images,
            rule=IMAGES_RULE,
        )
    if reported.train_images is not None:
        yield _stand_beside("train_images", reported.train_images, nan, TRAINING_RULE)


def _list_labels(evaluation: Evaluation, labels: OurLabels) -> Iterator[Reconciled]:
    codes = {label: code for code, label in enumerate(evaluation.labels)}
    for label, scores in evaluation.reported.per_label.items():
        for name, value in scores.items():
            if name == _THRESHOLD:
                continue
            column, rule = labels.get(name, (None, NO_RULE))
            computed = nan
            if column is not None and label in codes:
                computed = float(column[codes[label]])
            yield _stand_beside(f"{name}/{label}", value, computed, rule)


def _stand_beside(name: str, reported: float, computed: float, rule: str) -> Reconciled:
    return Reconciled(name=name, reported=reported, computed=computed, agrees=None, rule=rule)
