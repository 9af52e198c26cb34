"""All figures and tables of one run: how long do they take?

Counts processor seconds, of the second time on: the first one also imports, and sets the texts that
all versions of a project share.

python tests/benchmarks/bench_content.py --images 20000 --labels 250
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import process_time

from make_manifests import Size, make_project
from rows import print_row

from mlrek.evaluation import Evaluation
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.sources import AwsOptions, open_source
from mlrek.tracking.description import Options

ROUNDS = 5
WANTED_S = 1.5


def main() -> int:
    """Make a version, draw and tabulate it; the exit code says whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--labels", type=int, default=250)
    parser.add_argument("--wanted", type=float, default=WANTED_S, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-content-") as folder:
        size = Size(versions=1, images=options.images, labels=options.labels, records="top1")
        make_project(Path(folder), size)
        source = open_source(folder, AwsOptions())
        evaluation = source.load(source.list_versions()[0])
    metrics = compute_metrics(evaluation, prediction_rule=PredictionRule.TOP1)
    draw(evaluation, metrics)
    tabulate(evaluation, metrics)
    figures = median(measure(draw, evaluation, metrics) for _ in range(ROUNDS))
    tables = median(measure(tabulate, evaluation, metrics) for _ in range(ROUNDS))
    print_row(
        f"figures, tables and report of one run of {options.labels} labels, "
        f"{options.images:,} images",
        f"≤ {options.wanted:g} s",
        f"{figures + tables:.2f} s of processor (figures {figures:.2f} s, tables and report "
        f"{tables:.2f} s)",
        met=figures + tables <= options.wanted,
    )
    return figures + tables > options.wanted


def draw(evaluation: Evaluation, metrics: Metrics) -> None:
    """Every picture of the run as a file."""
    from mlrek.figures import draw_pictures
    from mlrek.figures.style import encode_png
    from mlrek.runs.content import _draw_grid

    for pixels in draw_pictures(metrics, version=evaluation.version.name).values():
        encode_png(pixels)
    _draw_grid(evaluation, metrics, Options())


def tabulate(evaluation: Evaluation, metrics: Metrics) -> None:
    """Every other file of the run."""
    from mlrek.render.report import render_report
    from mlrek.runs.content import _describe_data

    _describe_data(evaluation, metrics, Options(), "0" * 32, None)
    render_report(evaluation, metrics, test_set_digest="0" * 32)


def measure(run, *args) -> float:
    """Processor seconds."""
    start = process_time()
    run(*args)
    return process_time() - start


if __name__ == "__main__":
    sys.exit(main())
