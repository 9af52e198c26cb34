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
from mlrek.metrics.slice_counts import SliceCells, compute_cell_numbers, count_cells, join_cells
from mlrek.metrics.slice_tables import Codes, Layer
from mlrek.metrics.test_set import take_images

MAX_IMAGES: Final = 100_000
"""Images of all slices together for which numbers that need each image again are made."""
TOO_MANY: Final = (
    "not made: the numbers of slices before this one took {n:,} images, which is as many as are "
    "looked at again; name fewer columns, or more images in each slice"
)

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

    def __init__(self, version: SlicedVersion) -> None:
        self._version = version
        is_one_label = version.evaluation.task is Task.CLASSIFICATION
        self._sample = predict(version.evaluation, version.rule) if is_one_label else None
        self._n_done = 0

    def compute_layers(self, layers: Sequence[Layer], n_parts: int) -> list[Numbers] | None:
        """Those of all parts of the layers; None where parts have to be looked at one by one."""
        if not self._version.is_counted_at_once or not layers:
            return None
        cells = join_cells([self._count(one.codes, one.image_idx, one.n_slices) for one in layers])
        numbers = compute_cell_numbers(cells, self._version.confidence)
        found: list[Numbers] = [{}] * n_parts
        for part, mine in zip(np.concatenate([one.parts for one in layers]), numbers, strict=True):
            found[part] = mine
        return found

    def compute_parts(self, parts: Sequence[IntArray]) -> list[Numbers]:
        """Those of the images of each part."""
        if not self._version.is_counted_at_once:
            return [self._compute(images) for images in parts]
        if not parts:
            return []
        codes = np.repeat(np.arange(len(parts)), [len(images) for images in parts])
        cells = self._count(codes, np.concatenate(parts), len(parts))
        return list(compute_cell_numbers(cells, self._version.confidence))

    def _count(self, codes: Codes, image_idx: IntArray | None, n_slices: int) -> SliceCells:
        assert self._sample is not None  # noqa: S101 - for the type checker
        y_true, y_pred = (
            labels.astype(np.int64, copy=False)
            for labels in (self._sample.y_true, self._sample.y_pred)
        )
        if image_idx is not None:
            y_true, y_pred = y_true[image_idx], y_pred[image_idx]
        n_labels = len(self._version.evaluation.labels)
        return count_cells(y_true, y_pred, codes, n_slices, n_labels)

    def _compute(self, images: IntArray) -> Numbers:
        version, names = self._version, HEADLINES[self._version.evaluation.task]
        if self._n_done + len(images) > MAX_IMAGES:
            reason = TOO_MANY.format(n=self._n_done)
            return dict.fromkeys(names, Number(value=nan, reason=reason))
        self._n_done += len(images)
        sampling = version.find_sampling(images)
        if self._sample is not None:
            found = _compute_sample(self._sample, images, sampling, len(version.evaluation.labels))
        else:
            found = _COMPUTE[version.evaluation.task](
                take_images(_strip(version.evaluation), images), sampling
            )
        return {name: found[name] for name in names}


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
