"""Counts of pixels written down as plain lists."""

from dataclasses import replace

import numpy as np
from builders.evaluations import build_evaluation

from mlrek.evaluation import MaskCounts, Task


def build_segmentation(areas, *, readable=None, **options):
    """An evaluation of lists: per image `{label code: (tp, fp, fn)}`."""
    empty = [[] for _ in areas]
    evaluation = build_evaluation(empty, empty, **options)
    return replace(evaluation, task=Task.SEGMENTATION, masks=_columns(areas, readable))


def _columns(images, readable=None):
    rows = [(i, code, *areas) for i, image in enumerate(images) for code, areas in image.items()]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return MaskCounts(
        image_idx=columns[0],
        label_idx=columns[1],
        tp=columns[2],
        fp=columns[3],
        fn=columns[4],
        readable=np.ones(len(images), dtype=bool) if readable is None else np.array(readable),
    )
