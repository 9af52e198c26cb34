"""Slices of evaluations written down: columns, and a report of the shares that are right."""

from dataclasses import replace

import numpy as np
from scipy.stats import norm

from mlrek.comparison import Difference, Judgement, Scope, SliceDifference
from mlrek.evaluation import SliceColumn
from mlrek.metrics import Number
from mlrek.metrics.slices import SliceJudgement, SliceReport, SliceRow


def add_columns(evaluation, **columns):
    """The evaluation with columns of texts, a text an image."""
    made = []
    for name, texts in columns.items():
        values, codes = np.unique(texts, return_inverse=True)
        made.append(SliceColumn(name=name, values=tuple(values.tolist()), codes=codes))
    return replace(evaluation, slice_columns=tuple(made))


def write_row(name, images, is_right, n_tried=1, **facts):
    """A row of a slice with these images: the share that is right, tested against the rest."""
    n, total = len(images), len(is_right)
    right = is_right[images].sum()
    score, rest = right / n, (is_right.sum() - right) / (total - n)
    spread = max(np.sqrt(score * (1 - score) / n + rest * (1 - rest) / (total - n)), 1e-9)
    p = 2 * norm.sf(abs(score - rest) / spread)
    adjusted = min(1.0, p * n_tried)
    judgement = SliceJudgement.UNDECIDED
    if adjusted < 0.05:
        judgement = SliceJudgement.WORSE if score < rest else SliceJudgement.BETTER
    written = {
        "names": (name,),
        "images": np.asarray(images),
        "numbers": {"accuracy": Number(value=score, low=score / 2, high=(1 + score) / 2)},
        "score": score,
        "rest": rest,
        "low": score - rest - 1.96 * spread,
        "high": score - rest + 1.96 * spread,
        "p": p,
        "p_adjusted": adjusted,
        "judgement": judgement,
    }
    return SliceRow(**(written | facts))


def write_report(rows, columns, pairs=(), **facts):
    """A report of rows: the worst first."""
    ordered = sorted(rows, key=lambda row: row.difference)
    written = {"n_tried": len(ordered), "n_pairs_tried": len(pairs), "columns": tuple(columns)}
    return SliceReport(
        score="accuracy", singles=tuple(ordered), pairs=tuple(pairs), **(written | facts)
    )


def write_difference(name, images, baseline, candidate, p=0.5, **facts):
    """A row of a slice in two versions."""
    change = candidate - baseline
    judgement = Judgement.UNDECIDED
    if p < 0.05:
        judgement = Judgement.WORSE if change < 0 else Judgement.BETTER
    score = Difference(
        name="aggregate/accuracy",
        scope=Scope.SHARED,
        baseline=baseline,
        candidate=candidate,
        low=change - 0.05,
        high=change + 0.05,
        p=p,
        p_adjusted=p,
        judgement=judgement,
    )
    return SliceDifference(names=(name,), images=tuple(images), score=score, **facts)
