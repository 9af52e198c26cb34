"""`mlrek sync` against notebook-style scripts, plain and tuned: how much faster, the same numbers?

Makes a large project (`make_manifests.py`) and serves it as S3 over HTTP, then runs all in turn as
processes of their own, each time into a new sqlite store. Prints a line for each run and medians of
the ratios. Ends with 1 where a number of a script is missing from mlrek's runs or differs by
more than 1e-9.

    python tests/benchmarks/bench_sync.py --versions 5 --images 20000 --labels 20 --rounds 5
    python tests/benchmarks/bench_sync.py --versions 100 --images 2000 --local --against tuned
"""

import argparse
import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from make_manifests import add_size_options, make_project, read_size
from rows import print_row
from serve_folder import BUCKET, CREDENTIALS, serve_folder

PR_SET_CHILD_SUBREAPER = 36
TOLERANCE = 1e-9
COSTS = ("seconds", "cpu_seconds")
SHOWN = 10  # numbers that differ, before "and so on"
HERE = Path(__file__).parent
WANTED = {"tuned": 3.0, "plain": 10.0}
SCRIPTS = {
    "mlrek": ["-m", "mlrek", "sync"],
    "tuned": [str(HERE / "tuned_notebook.py")],
    "plain": [str(HERE / "plain_notebook.py")],
}

Numbers = dict[tuple[str, str, int], float]
"""(run name, metric key, step) -> value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command took: seconds by the clock and of processors, MiB of its largest process.

    `main_mib` is the peak of the command itself, `further_mib` of the largest process that it left
    behind.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    main_mib: float
    further_mib: float


def main() -> int:
    """Make the project, run all, compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_size_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="use this project, make none")
    parser.add_argument("--local", action="store_true", help="read the folder itself, not S3")
    parser.add_argument("--against", choices=list(WANTED), nargs="+", default=list(WANTED))
    parser.add_argument(
        "--wanted", type=float, default=WANTED["tuned"], help="times as fast as the tuned notebook"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-sync-") as scratch:
        folder = arguments.folder
        if folder is None:
            folder = Path(scratch) / "project"
            make_project(folder, read_size(arguments))
        kind = print_input(folder)
        with serve_folder(folder) as server:
            os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL_S3": server.url})
            place = str(folder.resolve()) if arguments.local else f"s3://{BUCKET}"
            names = ["mlrek", *arguments.against]
            costs = run_rounds(names, place, Path(scratch), arguments.rounds)
        kind += " in a folder" if arguments.local else " in S3"
        print_ratios(kind, costs, WANTED | {"tuned": arguments.wanted})
        ours = read_numbers(Path(scratch) / "mlrek-1")
        return max(
            print_differences(name, ours, read_numbers(Path(scratch) / f"{name}-1"))
            for name in arguments.against
        )


def print_input(folder: Path) -> str:
    """How much there is to read."""
    manifests = list(folder.glob("versions/*/TestingGroundTruth-*"))
    size = sum(path.stat().st_size for path in manifests)
    kind = f"{len(manifests)} versions, {size / 1e6:,.0f} MB"
    print(kind, flush=True)
    return kind


def run_rounds(
    names: Sequence[str], place: str, scratch: Path, rounds: int
) -> dict[str, list[Cost]]:
    """All in turn, so that whatever else the machine does hits all."""
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name, spent in costs.items():
            spent.append(run_process(command(name, place), scratch / f"{name}-{number}"))
            print_cost(f"{name} {number}", spent[-1])
    return costs


def command(name: str, place: str | Path) -> list[str]:
    """The command that logs a project to the sqlite store of its working directory."""
    store = ["--tracking-uri", "sqlite:///mlflow.db"]
    return [sys.executable, *SCRIPTS[name], str(place), *store]


def run_process(arguments: Sequence[str], working_directory: Path) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: It failed; what it wrote goes to stderr.
    """
    working_directory.mkdir()
    output = working_directory / "output.txt"
    adopt_orphans()
    started = time.perf_counter()
    with output.open("w") as sink:
        process = subprocess.Popen(
            arguments, cwd=working_directory, stdout=sink, stderr=sink, process_group=0
        )
        _, status, main = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}:\n{output.read_text()}")
    used = [main, *wait_for_orphans(process.pid)]
    return Cost(
        seconds=seconds,
        cpu_seconds=sum(one.ru_utime + one.ru_stime for one in used),
        peak_mib=max(one.ru_maxrss for one in used) / 1024,
        main_mib=main.ru_maxrss / 1024,
        further_mib=max((one.ru_maxrss for one in used[1:]), default=0) / 1024,
    )


def adopt_orphans() -> None:
    """Let processes that outlive a command become ours, so that they are counted (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_orphans(group: int) -> Iterator[resource.struct_rusage]:
    """What the processes took that a command has left behind."""
    with contextlib.suppress(ChildProcessError):
        while True:
            yield os.wait4(-group, 0)[2]


def print_cost(name: str, cost: Cost) -> None:
    """One line for one process; its peak is that of the largest where there are several."""
    took = f"{cost.seconds:7.1f} s {cost.cpu_seconds:7.1f} s of processor {cost.peak_mib:7.0f} MiB"
    print(f"{name:8} {took}", flush=True)


def print_ratios(
    kind: str, costs: Mapping[str, Sequence[Cost]], wanted: Mapping[str, float]
) -> None:
    """How many times faster mlrek is, and what it takes of processors: medians over the rounds."""
    for name in filter(costs.get, wanted):
        rounds = list(zip(costs[name], costs["mlrek"], strict=True))
        faster = median(theirs.seconds / ours.seconds for theirs, ours in rounds)
        share = median(ours.cpu_seconds / theirs.cpu_seconds for theirs, ours in rounds)
        ours, theirs = (
            {what: median(getattr(cost, what) for cost in costs[side]) for what in COSTS}
            for side in ("mlrek", name)
        )
        what = f"whole `sync` of {kind} against the {name} notebook"
        print_row(
            what,
            f"{wanted[name]:g} ×",
            f"{faster:.1f} × ({ours['seconds']:.1f} s, {theirs['seconds']:.1f} s)",
            met=faster >= wanted[name],
        )
        print_row(
            f"{what}, processor seconds",
            "< 1 ×",
            f"{share:.2f} × ({ours['cpu_seconds']:.1f} s, {theirs['cpu_seconds']:.1f} s)",
            met=share < 1,
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


def print_differences(script: str, ours: Numbers, plain: Numbers) -> int:
    """Say whether a script's numbers are all there and the same; the exit code."""
    wrong = [
        f"{run} {name} at step {step}: {script} {value!r}, mlrek {ours.get((run, name, step))!r}"
        for (run, name, step), value in sorted(plain.items())
        if not abs(ours.get((run, name, step), float("nan")) - value) <= TOLERANCE
    ]
    same = f"{len(plain) - len(wrong):,} of {len(plain):,}"
    print(f"{script}: {same} numbers are the same within {TOLERANCE}")
    for line in wrong[:SHOWN]:
        print(line)
    if len(wrong) > SHOWN:
        print("and so on")
    return 1 if wrong or not plain else 0


if __name__ == "__main__":
    sys.exit(main())
