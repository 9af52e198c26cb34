"""The doubt `interval_short`: intervals of a kind that misses the proof on such a test set.

`tests/proof/README.md` has the figures of which these rules are made. Where the kind can be told
from few images of one label, there is no interval at all (`MIN_OF_KIND`, `explain_few`). What is
left are means over labels of areas, whose error few images of one label make; average precision of
boxes of one size or label; and shares of pixels, most of which a few large masks have.
"""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np

from mlrek.evaluation import Doubt, DoubtKind, Evaluation, IntArray, Task
from mlrek.metrics import Metrics
from mlrek.metrics.areas import MIN_OF_KIND

FEW_LABELS: Final = 4
"""With fewer labels one of them makes the mean over labels."""

MIN_PER_LABEL: Final = 6
"""Images a label, on average, that a mean of areas needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """Units (images, or groups) with each label, and without it, (n_labels,) each.

    Without boxes and masks, whose labels are not of images.
    """

    task: Task
    having: IntArray
    lacking: IntArray

    @property
    def least(self) -> IntArray:
        """Those with a label or without it, whichever are fewer, (n_labels,)."""
        return np.minimum(self.having, self.lacking)

    @property
    def rarest(self) -> int:
        """The fewest units of a kind, with a label or without, among labels that have an area."""
        return int(self.least[self.least > 0].min(initial=self.having.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Which intervals are short on which test sets; `say` tells of what there is too little."""

    names: tuple[str, ...]
    is_short: Callable[[Support], bool]
    say: Callable[[Support], str]


RULES: Final = (
    _Rule(
        names=("roc_auc_macro",),
        is_short=lambda s: len(s.having) < FEW_LABELS and s.rarest < MIN_OF_KIND,
        say=lambda s: f"{s.rarest} images of the rarest kind make it, and {MIN_OF_KIND} are needed",
    ),
    _Rule(
        names=("roc_auc_macro", "average_precision_macro"),
        is_short=lambda s: s.having.sum() < MIN_PER_LABEL * len(s.having),
        say=lambda s: (
            f"there are {s.having.sum() / len(s.having):.1f} images a label, and {MIN_PER_LABEL} "
            "are needed"
        ),
    ),
    _Rule(
        names=("ap_small", "ap_medium", "ap_large", "label_ap"),
        is_short=lambda s: s.task is Task.DETECTION,
        say=lambda _: "it did with 100 images, and with 300",
    ),
    _Rule(
        names=("pixel_precision", "pixel_recall", "label_precision", "label_recall"),
        is_short=lambda s: s.task is Task.SEGMENTATION,
        say=lambda _: "it did with 100 images, and with 300",
    ),
)
"""2 labels 97:3 with 300 images, 20 labels with 100, boxes, masks: they lie above too often."""


def doubt_short(
    evaluation: Evaluation, metrics: Metrics, groups: IntArray | None = None
) -> Iterator[Doubt]:
    """The doubt of each rule that holds, on those of its numbers that have an interval.

    Args:
        evaluation: What was read.
        metrics: Its numbers.
        groups: The group of each image, (n_images,), where groups are the units.
    """
    given = _list_given(metrics) & {name for rule in RULES for name in rule.names}
    if given:
        yield from find_short(_count_own(evaluation, groups), given)


def find_short(support: Support, given: AbstractSet[str], what: str = "") -> Iterator[Doubt]:
    """The doubt of each rule that holds on such a test set.

    Args:
        support: Of its labels.
        given: Short names of the numbers that have an interval.
        what: Words for what the interval is of, before the names.
    """
    left = set(given)
    for rule in RULES:
        names = [name for name in rule.names if name in left]
        if names and rule.is_short(support):
            yield Doubt(
                kind=DoubtKind.INTERVAL_SHORT,
                text=(
                    f"the 95 % interval of {what}{', '.join(names)} misses more often than it says "
                    f"on test sets like this: {rule.say(support)}"
                ),
                touches=tuple(f"interval/{name}" for name in names),
            )
            left.difference_update(names)


def count_support(
    task: Task, cells: tuple[IntArray, IntArray], unit: IntArray, n_labels: int
) -> Support:
    """The units with each label, and without it.

    Args:
        task: What the images are for.
        cells: Image and label of what is true, (n,) each; repeats count once.
        unit: The unit of each image, (n_images,); -1 for an image that does not count.
        n_labels: How many labels there are.
    """
    sizes = np.bincount(unit[unit >= 0], minlength=1)
    pairs = np.unique(cells[0] * n_labels + cells[1])  # a label once an image
    pairs = pairs[unit[pairs // n_labels] >= 0]
    found, n_images = np.unique(
        unit[pairs // n_labels] * n_labels + pairs % n_labels, return_counts=True
    )
    label_idx, has_all = found % n_labels, n_images == sizes[found // n_labels]
    having = np.bincount(label_idx, minlength=n_labels)
    lacking = np.count_nonzero(sizes) - np.bincount(label_idx[has_all], minlength=n_labels)
    return Support(task=task, having=having, lacking=lacking)


def _list_given(metrics: Metrics) -> set[str]:
    """The short names of numbers that have an interval, of labels with `label_` before them."""
    given = {name for name, number in metrics.aggregate.items() if not isnan(number.low)}
    scores = metrics.per_label
    if scores is not None:
        lows = {"ap": scores.ap_low, "precision": scores.precision_low, "recall": scores.recall_low}
        given |= {
            f"label_{name}"
            for name, low in lows.items()
            if low is not None and not np.isnan(low).all()
        }
    return given


def _count_own(evaluation: Evaluation, groups: IntArray | None) -> Support:
    """Of images with a truth, or of all where an image may have several labels."""
    truth = evaluation.truth
    kept = (truth.counts > 0) | (evaluation.task is not Task.CLASSIFICATION)
    unit = np.where(kept, np.arange(len(kept)) if groups is None else groups, -1)
    cells = truth.image_idx, truth.label_idx
    return count_support(evaluation.task, cells, unit, len(evaluation.labels))
