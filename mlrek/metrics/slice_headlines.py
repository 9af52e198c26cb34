"""The headline numbers of parts of an evaluation: those that it has on their images alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.metrics import Number, PredictionRule
from mlrek.metrics.classification import compute_count_numbers
from mlrek.metrics.counts import count_pairs
from mlrek.metrics.decisions import Sample, predict
from mlrek.metrics.detection import compute_average_precision
from mlrek.metrics.left_out import Sampling
from mlrek.metrics.multilabel import compute_label_averages
from mlrek.metrics.numbers import HEADLINES
from mlrek.metrics.segmentation import compute_area_averages
from mlrek.metrics.slice_counts import CellCounter, SliceCells, compute_cell_numbers, join_cells
from mlrek.metrics.slice_tables import Layer
from mlrek.metrics.test_set import take_images

MAX_SLICES: Final = 60
MAX_IMAGES: Final = 50_000
"""Slices, and images of all of them together, whose numbers are made one slice after the other."""
TOO_MANY: Final = (
    "not made: where images have several labels, boxes, masks or groups the numbers of at most "
    f"{MAX_SLICES} slices with {MAX_IMAGES:,} images together are made, the worst first; name "
    "fewer columns to have those of others"
)
UNDECIDED_PAIR: Final = (
    "not made: where images have several labels, boxes or masks, or count several times, the "
    "numbers of a pair are made if it is worse or better"
)

_BLOCK: Final = 2**15  # kinds of images worked on at once

Numbers = Mapping[str, Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedVersion:
    """Whose numbers, by which rule, and over what intervals are made."""

    evaluation: Evaluation
    rule: PredictionRule
    confidence: float
    groups: IntArray | None

    @property
    def is_counted_at_once(self) -> bool:
        """Whether all follows from counts of images with one label, each of which counts once."""
        has_one = self.evaluation.task is Task.CLASSIFICATION
        return has_one and self.groups is None and self.rule is not PredictionRule.NOTEBOOK

    def find_sampling(self, images: IntArray) -> Sampling:
        """What the intervals of some images are made over."""
        groups = None if self.groups is None else self.groups[images]
        return Sampling(confidence=self.confidence, groups=groups)


class Headlines:
    """Makes the headline numbers of parts of an evaluation."""

    def __init__(self, version: SlicedVersion, top_labels: Sample | None) -> None:
        """`top_labels` are the predictions by the rule, by the top label for the notebook rule."""
        self._version, self._sample = version, top_labels
        if version.rule is PredictionRule.NOTEBOOK and top_labels is not None:
            self._sample = predict(version.evaluation, version.rule)
        self._counter: CellCounter | None = None
        if version.is_counted_at_once and self._sample is not None:
            n_labels = len(version.evaluation.labels)
            self._counter = CellCounter(self._sample.y_true, self._sample.y_pred, n_labels)
        self._n_slices = self._n_images = 0

    def compute_layers(self, layers: Sequence[Layer], n_parts: int) -> list[Numbers] | None:
        """Those of all parts of the layers; None where parts have to be looked at one by one."""
        if self._counter is None:
            return None
        found: list[Numbers] = [{}] * n_parts
        waiting: list[SliceCells] = []
        places: list[int] = []
        for i, layer in enumerate(layers):
            waiting.append(self._count(self._counter, layer))
            places += layer.parts.tolist()
            n_kinds = sum(len(cells.times) for cells in waiting)
            if n_kinds >= _BLOCK or i == len(layers) - 1:
                numbers = compute_cell_numbers(join_cells(waiting), self._version.confidence)
                for part, mine in zip(places, numbers, strict=True):
                    found[part] = mine
                waiting, places = [], []
        return found

    def compute_parts(
        self, parts: Sequence[IntArray], are_judged: Sequence[bool] | None = None
    ) -> list[Numbers]:
        """Those of the images of each part; if slow, only where they `are_judged`."""
        if self._counter is None:
            wanted = are_judged or [True] * len(parts)
            return [
                self._compute(images) if judged else self._leave_out(UNDECIDED_PAIR)
                for images, judged in zip(parts, wanted, strict=True)
            ]
        if not parts:
            return []
        codes = np.repeat(np.arange(len(parts)), [len(images) for images in parts])
        cells = self._counter.take(np.concatenate(parts)).count(codes, len(parts))
        return list(compute_cell_numbers(cells, self._version.confidence))

    def _count(self, counter: CellCounter, layer: Layer) -> SliceCells:
        if layer.image_idx is not None:
            counter = counter.take(layer.image_idx)
        return counter.count(layer.codes, layer.n_slices)

    def _compute(self, images: IntArray) -> Numbers:
        version, names = self._version, HEADLINES[self._version.evaluation.task]
        if self._n_slices >= MAX_SLICES or self._n_images + len(images) > MAX_IMAGES:
            return self._leave_out(TOO_MANY)
        self._n_slices, self._n_images = self._n_slices + 1, self._n_images + len(images)
        sampling = version.find_sampling(images)
        if self._sample is not None:
            found = _compute_sample(self._sample, images, sampling, len(version.evaluation.labels))
        else:
            found = _COMPUTE[version.evaluation.task](
                take_images(_strip(version.evaluation), images), sampling
            )
        return {name: found[name] for name in names}

    def _leave_out(self, reason: str) -> Numbers:
        names = HEADLINES[self._version.evaluation.task]
        return dict.fromkeys(names, Number(value=nan, reason=reason))


def _compute_sample(sample: Sample, images: IntArray, sampling: Sampling, n_labels: int) -> Numbers:
    rows = np.flatnonzero(np.isin(sample.image_idx, images))
    part = Sample(
        rule=sample.rule,
        image_idx=sample.image_idx[rows],
        y_true=sample.y_true[rows],
        y_pred=sample.y_pred[rows],
        confidence=sample.confidence[rows],
        counted=sample.counted[rows],
    )
    matrix = count_pairs(part.y_true[part.counted], part.y_pred[part.counted], n_labels)
    return compute_count_numbers(matrix, part, sampling.find_units(len(images)))


def _strip(evaluation: Evaluation) -> Evaluation:
    """The same without what numbers do not need."""
    return replace(
        evaluation, contents=None, slice_columns=(), baseline=None, seen_in_training=None, files=()
    )


_Compute = Callable[[Evaluation, Sampling], Numbers]
_COMPUTE: Mapping[Task, _Compute] = MappingProxyType(
    {
        Task.MULTILABEL: compute_label_averages,
        Task.DETECTION: compute_average_precision,
        Task.SEGMENTATION: compute_area_averages,
    }
)
