"""Does the cost of a sync grow with the images, the labels and the versions, and no faster?

Logs one version of ever more images, one of 50,000 images with ever more labels, and ever more
versions of 200 images, each into a new sqlite store. Prints seconds and their growth for each step;
the straight line is what a step costs beyond the smallest one, per image, label or version.

    python tests/benchmarks/bench_growth.py
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench_sync import command, run_process
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
    """Seconds of each step; whether the curve bends upwards."""
    steps, seconds = list(sizes), [measure(size) for size in sizes.values()]
    told = ", ".join(f"{n:,}: {s:.1f} s" for n, s in zip(steps, seconds, strict=True))
    slopes = [
        (b - a) / (n - m)
        for a, b, m, n in zip(seconds, seconds[1:], steps, steps[1:], strict=False)
    ]
    growth = slopes[-1] / (sum(slopes[:-1]) / len(slopes[:-1]))
    print_row(
        f"cost over {what}",
        "linear",
        f"{told}; the last step costs {growth:.2f} × the others, each",
        met=growth <= ALLOWED,
    )
    return growth > ALLOWED


def measure(size: Size) -> float:
    """Seconds of logging a project of that size."""
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as scratch:
        folder = Path(scratch, "project")
        make_project(folder, size)
        return run_process(command("mlrek", folder), Path(scratch, "run")).seconds


if __name__ == "__main__":
    sys.exit(main())
