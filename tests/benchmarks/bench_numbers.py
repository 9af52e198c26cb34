"""What do all numbers of one version cost, with their intervals, curves and doubts?

Prints a line for a large version with all confidences and one for a small one with the top label,
in processor seconds, against scikit-learn's values of the same version, which have no intervals.

    python tests/benchmarks/bench_numbers.py
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import process_time
from typing import Final

import numpy as np
from bench_metrics import compute_with_sklearn
from make_manifests import Size, make_project
from rows import print_row
from sklearn import metrics as sk

from mlrek.evaluation import Evaluation, RecordsKind
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.decisions import predict
from mlrek.sources import AwsOptions, open_source

LARGE: Final = Size(versions=1, images=20_000, labels=20, records="complete")
SMALL: Final = Size(versions=1, images=2_000, labels=10, records="top1")
WANTED_S: Final = 0.2
PARTS: Final = 10


def main() -> int:
    """One line for each version; the exit code says whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    is_met = compare(LARGE, rounds, WANTED_S)
    compare(SMALL, rounds * PARTS)
    return not is_met


def compare(size: Size, rounds: int, wanted: float | None = None) -> bool:
    """Measure both sides in turn; the median of each."""
    evaluation = load(size)
    sides = lambda: compute_metrics(evaluation), lambda: compute_values(evaluation)
    times = [[measure(side) for side in sides] for _ in range(rounds + 1)][1:]  # the first imports
    ours, plain = (median(column) for column in zip(*times, strict=True))
    print_row(
        f"numbers with all intervals of one version, {size.images:,} images x {size.labels} "
        f"labels{', top label alone' if size.records == 'top1' else ''}",
        "" if wanted is None else f"≤ {wanted} s of processor",
        f"{ours:.3f} s of processor (scikit-learn's values without intervals: {plain:.3f} s, "
        f"{plain / ours:.1f} ×)",
        met=None if wanted is None else ours <= wanted,
    )
    return wanted is None or ours <= wanted


def load(size: Size) -> Evaluation:
    """Make a version and read it."""
    with tempfile.TemporaryDirectory(prefix="bench-numbers-") as folder:
        make_project(Path(folder), size)
        source = open_source(folder, AwsOptions())
        return source.load(source.list_versions()[0])


def compute_values(evaluation: Evaluation) -> None:
    """The values alone, metric by metric, on integer codes."""
    sample = predict(evaluation, PredictionRule.TOP1)
    codes = np.arange(len(evaluation.labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compute_with_sklearn(sample.y_true, sample.y_pred)
        sk.precision_recall_fscore_support(sample.y_true, sample.y_pred, labels=codes)
        sk.confusion_matrix(sample.y_true, sample.y_pred, labels=codes)
        if evaluation.records_kind is RecordsKind.COMPLETE:
            score_confidences(evaluation, sample.y_true == codes[:, np.newaxis])


def score_confidences(evaluation: Evaluation, is_true: np.ndarray) -> None:
    """Log loss, areas and curves; `is_true` (labels, images)."""
    scores = evaluation.records.confidence.reshape(is_true.shape[::-1])
    sk.log_loss(is_true.argmax(axis=0), scores)
    is_predicted = scores >= evaluation.thresholds
    for average in ("micro", "macro", "weighted", None):
        sk.precision_recall_fscore_support(is_true.T, is_predicted, average=average)
    for own, column in zip(is_true, scores.T, strict=True):
        sk.roc_auc_score(own, column)
        sk.average_precision_score(own, column)
        sk.precision_recall_curve(own, column)
    sk.precision_recall_curve(is_true.T.ravel(), scores.ravel())


def measure(run) -> float:
    """Processor seconds."""
    start = process_time()
    run()
    return process_time() - start


if __name__ == "__main__":
    sys.exit(main())
