"""Does the cost of a sync grow with the images, the labels and the versions, and no faster?

Logs one version of ever more images, one of 50,000 images with ever more labels, and ever more
versions of 200 images, each into a new sqlite store. Prints seconds by the clock and of processors.
Whether the curve is straight is asked of the latter: by the clock, small ones cost nothing, as they
are read while MLflow is imported. Compared is what each step costs more than the one before it, per
image, label or version.

    python tests/benchmarks/bench_growth.py
"""

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from bench_sync import Cost, command, run_process
from make_manifests import Size, make_project
from rows import print_row

IMAGES = (1_000, 125_000, 250_000, 500_000, 1_000_000)
LABELS = (10, 50, 100, 250, 500)
VERSIONS = (1, 100, 1_000)
ALLOWED = 1.3
"""The last step may cost so much more per image, label or version than those before it."""


def main() -> int:
    """The curves; the exit code says whether all are straight."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, nargs="*", default=IMAGES)
    parser.add_argument("--labels", type=int, nargs="*", default=LABELS)
    parser.add_argument("--versions", type=int, nargs="*", default=VERSIONS)
    options = parser.parse_args()
    curves = {
        "lines of one manifest": {
            n: Size(versions=1, images=n, labels=20, records="top1") for n in options.images
        },
        "labels of 50,000 images": {
            n: Size(versions=1, images=50_000, labels=n, records="top1") for n in options.labels
        },
        "versions of 200 images": {
            n: Size(versions=n, images=200, labels=10, records="top1") for n in options.versions
        },
    }
    bent = [draw_curve(what, sizes) for what, sizes in curves.items() if sizes]
    return any(bent)


def draw_curve(what: str, sizes: dict[int, Size]) -> bool:
    """What each step costs; whether the curve bends upwards."""
    costs = {n: measure(size) for n, size in sizes.items()}
    told = ", ".join(
        f"{n:,}: {cost.cpu_seconds:.1f} s ({cost.seconds:.1f} s)" for n, cost in costs.items()
    )
    slopes = [(costs[n].cpu_seconds - costs[m].cpu_seconds) / (n - m) for m, n in pairwise(costs)]
    growth = slopes[-1] / (sum(slopes[:-1]) / len(slopes[:-1]))
    print_row(
        f"cost over {what}, of processor (by the clock)",
        "linear",
        f"{told}; the last step costs {growth:.2f} × the others, each",
        met=growth <= ALLOWED,
    )
    return growth > ALLOWED


def measure(size: Size) -> Cost:
    """What logging a project of that size takes."""
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as scratch:
        folder = Path(scratch, "project")
        make_project(folder, size)
        return run_process(command("mlrek", folder), Path(scratch, "run"))


if __name__ == "__main__":
    sys.exit(main())
