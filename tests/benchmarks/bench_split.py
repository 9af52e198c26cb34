"""How much faster is one large manifest logged with two processors than with one?

Logs a version of 250,000 images and a manifest of 1 GB with `mlrek sync` from a local folder into a
new sqlite store, by a process that may use one processor and by one that may use two, in turn; and
imports what the processes that read are forked from, and what the command itself does, into a store
that it opens. Ends with 1 where two processors are not 1.6 times as fast, a process takes more than
150 MiB on top of its imports, or the numbers of the runs differ.

    python tests/benchmarks/bench_split.py --images 250000 --labels 6 --records complete
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench_sync import Cost, command, print_cost, read_numbers, run_process
from make_manifests import add_size_options, make_project, read_size
from rows import print_row

WANTED = 1.6
ALLOWED_MIB = 150
IMPORTS = [sys.executable, "-c", "import mlrek.runs.preload"]
OPENS = """
import mlrek.runs.sync
from mlrek.tracking.connection import connect
connect("sqlite:///mlflow.db")
"""


def main() -> int:
    """Make the manifest, log it with one and two processors; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_size_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="use this project, make none")
    parser.set_defaults(versions=1, images=250_000, labels=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-split-") as scratch:
        place = Path(scratch)
        folder = arguments.folder or place / "project"
        if arguments.folder is None:
            make_project(folder, read_size(arguments))
        (manifest,) = folder.glob("versions/*/TestingGroundTruth-*")
        mib = manifest.stat().st_size / 2**20
        imports = run_process(IMPORTS, place / "imports").peak_mib
        opens = run_process([sys.executable, "-c", OPENS], place / "opens").peak_mib
        costs = run_rounds(folder, place, arguments.rounds)
        is_same = read_numbers(place / "1-1") == read_numbers(place / "2-1")
    print(f"the numbers are {'the same' if is_same else 'NOT the same'}")
    above = {
        "what reads it": max(cost.further_mib for cost in costs[2]) - imports,
        "the command": max(cost.main_mib for cost in costs[2]) - opens,
    }
    return not (is_same & print_ratio(costs, mib) & print_memory(above, mib))


def run_rounds(folder: Path, scratch: Path, rounds: int) -> dict[int, list[Cost]]:
    """What each round costs, by the number of processors, in turn."""
    costs: dict[int, list[Cost]] = {1: [], 2: []}
    for number in range(1, rounds + 1):
        for processors, spent in costs.items():
            with only(processors):
                name = f"{processors}-{number}"
                spent.append(run_process(command("mlrek", folder), scratch / name))
            print_cost(name, spent[-1])
    return costs


@contextmanager
def only(processors: int) -> Iterator[None]:
    """Let what is started meanwhile use so many processors."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:processors])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def print_ratio(costs: dict[int, list[Cost]], mib: float) -> bool:
    """How many times faster two processors are; whether that is enough."""
    ratio = median(a.seconds / b.seconds for a, b in zip(costs[1], costs[2], strict=True))
    one, two = (median(cost.seconds for cost in costs[n]) for n in (1, 2))
    used = [median(cost.cpu_seconds for cost in costs[n]) for n in (1, 2)]
    print_row(
        f"one manifest of {mib:,.0f} MiB with two processors against one",
        f"≥ {WANTED} ×",
        f"{ratio:.2f} × ({two:.1f} s, {one:.1f} s; of processor {used[1]:.1f} s, {used[0]:.1f} s)",
        met=ratio >= WANTED,
    )
    return ratio >= WANTED


def print_memory(above: dict[str, float], mib: float) -> bool:
    """What each process takes above its own imports; whether that is little enough."""
    is_met = max(above.values()) <= ALLOWED_MIB
    print_row(
        f"peak memory of each process above its imports, manifest of {mib:,.0f} MiB",
        f"≤ {ALLOWED_MIB} MiB",
        ", ".join(f"{name} {peak:.0f} MiB" for name, peak in above.items()),
        met=is_met,
    )
    return is_met


if __name__ == "__main__":
    sys.exit(main())
