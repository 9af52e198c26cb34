"""`mlrek sync` against a plain notebook-style script: how much faster, and the same numbers?

Makes a large project (`make_manifests.py`), then runs both as processes of their own, in turn, each
time into a new sqlite store. Prints a line for each run and the ratio of the medians. Ends with 1
where a number of the plain script is missing from mlrek's runs or differs by more than 1e-9.

    python tests/benchmarks/bench_sync.py --versions 5 --images 20000 --labels 20 --rounds 3
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from make_manifests import add_size_options, make_project, read_size

TOLERANCE = 1e-9
SHOWN = 10  # numbers that differ, before "and so on"
PLAIN = Path(__file__).with_name("plain_notebook.py")

Numbers = dict[tuple[str, str, int], float]
"""(run name, metric key, step) -> value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took: seconds by the clock and of the processors, MiB at its peak."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def main() -> int:
    """Make the project, run both, compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_size_options(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="use this project, make none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-sync-") as scratch:
        folder = arguments.folder
        if folder is None:
            folder = Path(scratch) / "project"
            make_project(folder, read_size(arguments))
        print_input(folder)
        costs = run_rounds(folder.resolve(), Path(scratch), arguments.rounds)
        print_ratio(costs)
        return print_differences(
            read_numbers(Path(scratch) / "mlrek-1"), read_numbers(Path(scratch) / "plain-1")
        )


def print_input(folder: Path) -> None:
    """How much there is to read."""
    manifests = list(folder.glob("versions/*/TestingGroundTruth-*"))
    size = sum(path.stat().st_size for path in manifests)
    print(f"{len(manifests)} manifests, {size / 1e6:,.0f} MB", flush=True)


def run_rounds(folder: Path, scratch: Path, rounds: int) -> dict[str, list[Cost]]:
    """Both in turn, so that whatever else the machine does hits both."""
    costs: dict[str, list[Cost]] = {"mlrek": [], "plain": []}
    for number in range(1, rounds + 1):
        for name, spent in costs.items():
            spent.append(run_process(command(name, folder), scratch / f"{name}-{number}"))
            print_cost(f"{name} {number}", spent[-1])
    return costs


def command(name: str, folder: Path) -> list[str]:
    """The command that logs the folder to the sqlite store of its working directory."""
    script = {"mlrek": ["-m", "mlrek", "sync"], "plain": [str(PLAIN)]}[name]
    return [sys.executable, *script, str(folder), "--tracking-uri", "sqlite:///mlflow.db"]


def run_process(arguments: Sequence[str], working_directory: Path) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: It failed; what it wrote goes to stderr.
    """
    working_directory.mkdir()
    output = working_directory / "output.txt"
    started = time.perf_counter()
    with output.open("w") as sink:
        process = subprocess.Popen(
            arguments, cwd=working_directory, stdout=sink, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}:\n{output.read_text()}")
    return Cost(
        seconds=seconds, cpu_seconds=used.ru_utime + used.ru_stime, peak_mib=used.ru_maxrss / 1024
    )


def print_cost(name: str, cost: Cost) -> None:
    """One line for one process; its peak is that of the largest where there are several."""
    print(
        f"{name:8} {cost.seconds:7.1f} s {cost.cpu_seconds:7.1f} s CPU {cost.peak_mib:7.0f} MiB",
        flush=True,
    )


def print_ratio(costs: dict[str, list[Cost]]) -> None:
    """How many times faster mlrek is, by the medians."""
    seconds = {name: median(cost.seconds for cost in spent) for name, spent in costs.items()}
    cpu = {name: median(cost.cpu_seconds for cost in spent) for name, spent in costs.items()}
    print(
        f"mlrek is {seconds['plain'] / seconds['mlrek']:.1f} times faster "
        f"({cpu['plain'] / cpu['mlrek']:.1f} times less CPU)"
    )


def read_numbers(working_directory: Path) -> Numbers:
    """Every metric of every run in a working directory's store, with all steps."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{working_directory / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    numbers: Numbers = {}
    for run in client.search_runs(experiments):
        for key in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, key):
                numbers[run.info.run_name, key, point.step] = point.value
    return numbers


def print_differences(ours: Numbers, plain: Numbers) -> int:
    """Say whether the plain script's numbers are all there and the same; the exit code."""
    wrong = [
        f"{run} {name} at step {step}: plain {value!r}, mlrek {ours.get((run, name, step))!r}"
        for (run, name, step), value in sorted(plain.items())
        if not abs(ours.get((run, name, step), float("nan")) - value) <= TOLERANCE
    ]
    print(f"{len(plain) - len(wrong):,} of {len(plain):,} numbers are the same within {TOLERANCE}")
    for line in wrong[:SHOWN]:
        print(line)
    if len(wrong) > SHOWN:
        print("and so on")
    return 1 if wrong or not plain else 0


if __name__ == "__main__":
    sys.exit(main())
