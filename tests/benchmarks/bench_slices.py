"""What do the slices of a version cost, against everything else that is made of it?

For each number of labels: processor seconds of `describe_run` without columns, and those of
`compute_slices` of 50 columns with 20 values each, and the share of the one in the other.

    python tests/benchmarks/bench_slices.py --images 250000 --labels 10 250
"""

import argparse
import time
from dataclasses import replace
from typing import Final

import numpy as np
from rows import print_row

from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    SliceColumn,
    Task,
    Version,
)
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.runs.content import describe_run
from mlrek.tracking.description import Options

WANTED: Final = 0.10
N_VALUES: Final = 20
ACCURACY: Final = 0.9


def main() -> None:
    """One line for each number of labels."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=250_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 250])
    parser.add_argument("--without", type=float, help="seconds without, where they are known")
    options = parser.parse_args()
    for n_labels in options.labels:
        evaluation = draw_evaluation(options.images, n_labels)
        without = options.without or measure(lambda one=evaluation: describe_plainly(one))
        sliced = add_columns(evaluation, options.columns)
        with_slices = measure(lambda one=sliced: compute_slices(one))
        share = with_slices / without
        print_row(
            f"slices of {options.images:,} images x {options.columns} columns of {N_VALUES} "
            f"values, {n_labels} labels, against the rest of what is made of a version",
            f"≤ {WANTED:.0%}",
            f"{share:.1%} ({with_slices:.2f} s of {without:.2f} s of processor)",
            met=share <= WANTED,
        )


def describe_plainly(evaluation: Evaluation) -> None:
    """Everything that a run holds."""
    describe_run(evaluation, Options(), state="", logged_at="2026-01-01T00:00:00Z")


def measure(call) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def draw_evaluation(n_images: int, n_labels: int) -> Evaluation:
    """The top label of each image; mistakes are spread over all labels."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(n_labels, size=n_images)
    wrong = rng.integers(n_labels, size=n_images)
    y_pred = np.where(rng.random(n_images) < ACCURACY, y_true, wrong)
    project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="project")
    offsets = np.arange(n_images + 1)
    return Evaluation(
        version=Version(project=project, arn="arn:version", name="version"),
        task=Task.CLASSIFICATION,
        labels=tuple(f"label {i}" for i in range(n_labels)),
        images=tuple(f"s3://bucket/images/{i:07}.jpg" for i in range(n_images)),
        truth=LabelSets(offsets=offsets, label_idx=y_true),
        records=Records(
            offsets=offsets,
            label_idx=y_pred,
            confidence=rng.uniform(0.5, 1, n_images),
            outcome=np.zeros(n_images, dtype=np.uint8),
        ),
        thresholds=np.full(n_labels, np.nan),
    )


def add_columns(evaluation: Evaluation, n_columns: int) -> Evaluation:
    """The same with columns whose values are drawn for each image."""
    rng = np.random.default_rng(1)
    return replace(
        evaluation,
        slice_columns=tuple(
            SliceColumn(
                name=f"column {i}",
                values=tuple(f"value {j}" for j in range(N_VALUES)),
                codes=rng.integers(N_VALUES, size=len(evaluation.images)),
            )
            for i in range(n_columns)
        ),
    )


if __name__ == "__main__":
    main()
