"""Both versions on the same drawn images: candidate minus baseline, resample by resample."""

from collections.abc import Mapping, Sequence

import numpy as np

from mlrek.comparison import Scope
from mlrek.comparison.exams import Exam
from mlrek.comparison.measure import Values, take_rows
from mlrek.comparison.units import Setting
from mlrek.evaluation import BoolArray
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.resampling import Bootstrap, Weights, draw_strata


def resample_differences(
    exams: tuple[Exam, Exam], settings: Sequence[Setting], bootstrap: Bootstrap
) -> dict[Scope, Values]:
    """Candidate minus baseline in each resample, (n_resamples,) by name and label, of each scope.

    All `settings`, one at least, have the units of the first: their scopes share what is drawn.
    """
    units = settings[0].units
    if not sum(units.sizes) or not bootstrap.resamples:
        return {setting.scope: {} for setting in settings}
    blocks: list[dict[Scope, Values]] = []
    for drawn in draw_strata(units.sizes, bootstrap):
        first = take_rows(drawn, units.baseline)
        same = np.array_equal(units.baseline, units.candidate)
        second = first if same else take_rows(drawn, units.candidate)
        blocks.append(_subtract(exams, (first, second), settings))
    return {
        setting.scope: _join([block[setting.scope] for block in blocks]) for setting in settings
    }


def find_among(
    baseline: Mapping[str, LabelCounts], candidate: Mapping[str, LabelCounts]
) -> dict[str, BoolArray]:
    """The labels that occur for either version, by kind of counts."""
    return {
        kind: baseline[kind].occurs | candidate[kind].occurs
        for kind in baseline
        if kind in candidate
    }


def _subtract(
    exams: tuple[Exam, Exam], weights: tuple[Weights, Weights], settings: Sequence[Setting]
) -> dict[Scope, Values]:
    counts = [e.measure.count(w) for e, w in zip(exams, weights, strict=True)]
    scored = [
        exam.measure.score(weight, count, settings[0].labels)
        for exam, weight, count in zip(exams, weights, counts, strict=True)
    ]
    found: dict[Scope, Values] = {}
    for setting in settings:
        among = find_among(counts[0], counts[1]) if setting.paired else {}
        baseline, candidate = (
            exam.measure.complete(score, count, among)
            for exam, score, count in zip(exams, scored, counts, strict=True)
        )
        found[setting.scope] = {
            key: candidate[key] - baseline[key] for key in baseline if key in candidate
        }
    return found


def _join(blocks: Sequence[Values]) -> Values:
    return {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
