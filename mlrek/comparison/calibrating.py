"""The evidence of the debiased calibration error of two versions, from their predictions."""

from typing import Final

import numpy as np

from mlrek.comparison.exams import Measured
from mlrek.comparison.measure import Key
from mlrek.comparison.units import Setting
from mlrek.evaluation import IntArray
from mlrek.metrics.calibration_change import CalibrationChange, Predicted, compare_calibration

DEBIASED: Final[Key] = ("aggregate/ece_debiased", None)


def compare_debiased(
    versions: tuple[Measured, Measured], setting: Setting
) -> CalibrationChange | None:
    """How surely it differs; None where a version has no prediction with a truth."""
    idx = setting.units.of_versions
    sides = [_select(version, units) for version, units in zip(versions, idx, strict=True)]
    found = [side for side in sides if side is not None]
    if len(found) < len(sides):
        return None
    return compare_calibration(found, setting.units.total, are_groups=setting.grouped)


def _select(version: Measured, unit_idx: IntArray) -> Predicted | None:
    rows = version.metrics.predictions
    if rows is None:
        return None
    kept = np.flatnonzero((rows.y_true >= 0) & (rows.y_pred >= 0))
    if not len(kept):
        return None
    return Predicted(
        confidence=rows.confidence[kept],
        is_right=np.asarray(rows.y_true[kept] == rows.y_pred[kept]),
        unit_idx=unit_idx[rows.image_idx[kept]],
    )
