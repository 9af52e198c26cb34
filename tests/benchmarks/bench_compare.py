"""How long does it take to compare two versions image by image, and how much memory?

Prints a line for each size: seconds and peak memory of `compare_versions` with 1,000 resamples and
every number it has, and next to it a plain bootstrap with numpy: a loop that draws images by index,
counts macro-F1, and sorts the scores of each label for both areas (some resamples, scaled up).

    python tests/benchmarks/bench_compare.py --sizes 20000x20 100000x20 10000x250
"""

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlrek.comparison.compare import Side, compare_versions
from mlrek.evaluation import Evaluation, LabelSets, Project, Provider, Records, Task, Version

RESAMPLES = 1000
LOOPED = 2
SIZES = "20000x20", "100000x20", "10000x250"

Codes = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two versions, their true codes, and the scores of each label on each image."""

    sides: tuple[Side, Side]
    y_true: Codes
    scores: tuple[Scores, Scores]


def main() -> None:
    """Measure each size in a process of its own, so that its peak is its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="IMAGESxLABELS")
    for size in parser.parse_args().sizes:
        n_images, n_labels = map(int, size.split("x"))
        process = multiprocessing.Process(target=measure, args=(n_images, n_labels))
        process.start()
        process.join()


def measure(n_images: int, n_labels: int) -> None:
    """One line: seconds and memory of the comparison, and how it stands against the loop."""
    pair = draw_pair(n_images, n_labels)
    before = peak_mib()
    start = time.perf_counter()
    compare_versions(*pair.sides)
    seconds = time.perf_counter() - start
    peak = peak_mib()
    plain = bootstrap_by_index(pair, n_labels)
    print(
        f"{n_images:,} images, {n_labels} labels: {seconds:.1f} s, {peak:.0f} MiB at most "
        f"({peak - before:.0f} above the evaluations), against {plain:.0f} s by a plain loop: "
        f"{plain / seconds:.1f} times as fast"
    )


def draw_pair(n_images: int, n_labels: int) -> Pair:
    """Two softmaxes that are mostly right, and mostly of one mind."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(n_labels, size=n_images)
    common = rng.normal(size=(n_images, n_labels)) + 3 * np.eye(n_labels)[y_true]
    scores = []
    for _ in range(2):
        odds = np.exp(common + 0.5 * rng.normal(size=common.shape))
        scores.append(odds / odds.sum(axis=1, keepdims=True))
    first, second = (Side(evaluation=build_evaluation(y_true, one)) for one in scores)
    return Pair(
        sides=(first, second),
        y_true=y_true,
        scores=(scores[0], scores[1]),
    )


def build_evaluation(y_true: Codes, scores: Scores) -> Evaluation:
    """A version with complete records."""
    n_images, n_labels = scores.shape
    project = Project(provider=Provider.REKOGNITION, arn="project", name="project")
    return Evaluation(
        version=Version(project=project, arn="version", name="version"),
        task=Task.CLASSIFICATION,
        labels=tuple(map(str, range(n_labels))),
        images=tuple(f"s3://bucket/images/{i:07}.jpg" for i in range(n_images)),
        truth=LabelSets(offsets=np.arange(n_images + 1), label_idx=y_true),
        records=Records(
            offsets=np.arange(n_images + 1) * n_labels,
            label_idx=np.tile(np.arange(n_labels), n_images),
            confidence=scores.ravel(),
            outcome=np.zeros(scores.size, dtype=np.uint8),
        ),
        thresholds=np.full(n_labels, 0.5),
    )


def bootstrap_by_index(pair: Pair, n_labels: int) -> float:
    """Seconds of 1,000 resamples of macro-F1 and of the areas of each label, the plain way."""
    rng = np.random.default_rng(0)
    n_images = len(pair.y_true)
    start = time.perf_counter()
    for _ in range(LOOPED):
        drawn = rng.integers(n_images, size=n_images)
        y_true = pair.y_true[drawn]
        for scores in pair.scores:
            mine = scores[drawn]
            score_macro_f1(y_true, mine.argmax(axis=1), n_labels)
            for label in range(n_labels):
                score_areas(y_true == label, mine[:, label])
    return (time.perf_counter() - start) * RESAMPLES / LOOPED


def score_areas(is_true: NDArray[np.bool_], scores: Scores) -> tuple[float, float]:
    """Average precision and ROC AUC, ties in the order of lines."""
    ranked = is_true[np.argsort(-scores)]
    hits = np.flatnonzero(ranked)
    tp = np.arange(1, len(hits) + 1)
    n_pairs = max(len(hits) * (len(ranked) - len(hits)), 1)
    return float(np.mean(tp / (hits + 1))), 1 - float(np.sum(hits + 1 - tp)) / n_pairs


def score_macro_f1(y_true: Codes, y_pred: Codes, n_labels: int) -> float:
    """From three counts."""
    right = np.bincount(y_true[y_true == y_pred], minlength=n_labels)
    both = np.bincount(y_true, minlength=n_labels) + np.bincount(y_pred, minlength=n_labels)
    return float(np.mean(2 * right[both > 0] / both[both > 0]))


def peak_mib() -> float:
    """The most memory this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
