"""The numbers of `mlrek.metrics` against the plain way of computing them: how much faster?

Prints a line for each pair with both times, the best of a few rounds, and their ratio:
- all numbers that follow from a confusion matrix, against scikit-learn on integer codes;
- ROC AUC and average precision of 1,000 columns of image weights, against scikit-learn on the
  images drawn (a few of them, scaled up).

    python tests/benchmarks/bench_metrics.py --images 250000
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rows import print_row
from sklearn import metrics as sk

from mlrek.evaluation import Evaluation, LabelSets, Project, Provider, Records, Task, Version
from mlrek.metrics.classification import compute_aggregates
from mlrek.metrics.counts import count_labels, count_pairs
from mlrek.metrics.ranking import rank_pairs

RESAMPLES = 1000
COLUMNS = 64
LOOPED_SCORES = 2
WANTED_COUNTS = 100
TOLERANCE = 1e-12

Codes = NDArray[np.int64]


def main() -> None:
    """Run all pairs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=250_000)
    parser.add_argument("--scored-images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for n_labels in (10, 250):
        for accuracy in (0.9, 0.5):
            y_true, y_pred = draw_codes(options.images, n_labels, accuracy=accuracy)
            name = f"{options.images:,} images, {n_labels} labels, accuracy {accuracy:.0%}"
            compare_counts(name, y_true, y_pred, n_labels, options.rounds)
    compare_areas(options.scored_images, 20, options.rounds)


def draw_codes(n_images: int, n_labels: int, *, accuracy: float) -> tuple[Codes, Codes]:
    """True and predicted codes; mistakes are spread over all labels."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(n_labels, size=n_images)
    wrong = rng.integers(n_labels, size=n_images)
    return y_true, np.where(rng.random(n_images) < accuracy, y_true, wrong)


def compare_counts(name: str, y_true: Codes, y_pred: Codes, n_labels: int, rounds: int) -> None:
    """All numbers of the matrix, from the codes."""

    def compute_here() -> dict[str, float]:
        numbers = compute_aggregates(count_labels(count_pairs(y_true, y_pred, n_labels)))
        return {key: float(value) for key, value in numbers.items()}

    theirs = compute_with_sklearn(y_true, y_pred)
    apart = max(abs(compute_here()[key] - value) for key, value in theirs.items())
    report(
        f"numbers of the matrix against scikit-learn, {name}",
        measure(compute_here, rounds),
        measure(lambda: compute_with_sklearn(y_true, y_pred), rounds),
        WANTED_COUNTS if apart <= TOLERANCE else np.inf,
        f", {apart:.0e} apart",
    )


def compute_with_sklearn(y_true: Codes, y_pred: Codes) -> dict[str, float]:
    """The same numbers, call by call."""
    numbers = {
        f"{name}_{average}": score(y_true, y_pred, average=average, zero_division=0)
        for average in ("micro", "macro", "weighted")
        for name, score in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
            ("jaccard", sk.jaccard_score),
        )
    }
    return numbers | {
        "accuracy": sk.accuracy_score(y_true, y_pred),
        "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
        "hamming_loss": sk.hamming_loss(y_true, y_pred),
        "mcc": sk.matthews_corrcoef(y_true, y_pred),
        "cohen_kappa": sk.cohen_kappa_score(y_true, y_pred),
    }


def compare_areas(n_images: int, n_labels: int, rounds: int) -> None:
    """1,000 resamples of macro ROC AUC and average precision."""
    evaluation, one_hot, scores = draw_scores(n_images, n_labels)
    rng = np.random.default_rng(0)

    def resample_here() -> None:
        ranking = rank_pairs(evaluation).ranking
        for start in range(0, RESAMPLES, COLUMNS):
            n = min(COLUMNS, RESAMPLES - start)
            weights = rng.multinomial(n_images, np.full(n_images, 1 / n_images), size=n).T
            ranking.compute_labels(weights.astype(np.float32))

    def loop() -> None:
        for _ in range(LOOPED_SCORES):
            drawn = rng.integers(n_images, size=n_images)
            sk.roc_auc_score(one_hot[drawn], scores[drawn], average="macro")
            sk.average_precision_score(one_hot[drawn], scores[drawn], average="macro")

    report(
        f"1,000 resamples of ROC AUC and average precision against scikit-learn on the images "
        f"drawn, {n_images:,} images, {n_labels} labels",
        measure(resample_here, rounds),
        measure(loop, 1) * RESAMPLES / LOOPED_SCORES,
    )


def draw_scores(
    n_images: int, n_labels: int
) -> tuple[Evaluation, NDArray[np.bool_], NDArray[np.float64]]:
    """Complete records of a softmax that is mostly right."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(n_labels, size=n_images)
    one_hot = np.eye(n_labels, dtype=np.bool_)[y_true]
    odds = np.exp(rng.normal(size=one_hot.shape) + 3 * one_hot)
    scores = odds / odds.sum(axis=1, keepdims=True)
    project = Project(provider=Provider.REKOGNITION, arn="project", name="project")
    evaluation = Evaluation(
        version=Version(project=project, arn="version", name="version"),
        task=Task.CLASSIFICATION,
        labels=tuple(map(str, range(n_labels))),
        images=tuple(map(str, range(n_images))),
        truth=LabelSets(offsets=np.arange(n_images + 1), label_idx=y_true),
        records=Records(
            offsets=np.arange(n_images + 1) * n_labels,
            label_idx=np.tile(np.arange(n_labels), n_images),
            confidence=scores.ravel(),
            outcome=np.zeros(scores.size, dtype=np.uint8),
        ),
        thresholds=np.full(n_labels, 0.5),
    )
    return evaluation, one_hot, scores


def measure(run: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def report(name: str, ours: float, plain: float, wanted: float = 0, more: str = "") -> None:
    """One line: what, how many times faster, both times."""
    print_row(
        name,
        f"{wanted:g} ×" if wanted else "",
        f"{plain / ours:,.0f} × ({ours * 1e3:.1f} ms, {plain * 1e3:,.0f} ms{more})",
        met=plain / ours >= wanted if wanted else None,
    )


if __name__ == "__main__":
    main()
