"""How much memory does `mlrek sync --jobs 1` need for one long manifest?

Logs in one process a version of 250,000 images and a manifest of 1 GB, and one of 100 images, which
needs what the imports need. Ends with 1 where the long one needs more than 150 MiB on top of that.

    python tests/benchmarks/bench_memory.py --images 250000 --labels 6 --records complete
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench_sync import command, print_cost, run_process
from make_manifests import Size, add_size_options, make_project, read_size
from rows import print_row

SMALL = 100  # images
ALLOWED_MIB = 150


def main() -> int:
    """Measure a small and a large version; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_size_options(parser)
    parser.set_defaults(versions=1, images=250_000, labels=6)
    size = read_size(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as scratch:
        small, _ = measure("small", replace(size, images=SMALL), Path(scratch))
        large, manifest = measure("large", size, Path(scratch))
    above = large - small
    print_row(
        f"peak memory of one process above imports, manifest of {manifest:,.0f} MiB and "
        f"{size.images:,} lines",
        f"≤ {ALLOWED_MIB} MiB",
        f"{above:.0f} MiB",
        met=above <= ALLOWED_MIB,
    )
    return above > ALLOWED_MIB


def measure(name: str, size: Size, scratch: Path) -> tuple[float, float]:
    """Peak memory of logging a project of that size, and the size of its manifest, in MiB."""
    folder = scratch / f"{name}-project"
    make_project(folder, size)
    (manifest,) = folder.glob("versions/*/TestingGroundTruth-*")
    cost = run_process([*command("mlrek", folder), "--jobs", "1"], scratch / name)
    print_cost(name, cost)
    return cost.peak_mib, manifest.stat().st_size / 2**20


if __name__ == "__main__":
    sys.exit(main())
