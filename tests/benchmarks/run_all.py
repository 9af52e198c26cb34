"""Run every benchmark and write the table of the README: target, measured, how.

    python tests/benchmarks/run_all.py
    python tests/benchmarks/run_all.py again parse     # only these

It takes an hour on two processors, and 12 GB on the disk of TMPDIR. Ends with 1 where a target
is missed. Only figures of a quiet machine are worth keeping.
"""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
README = HERE / "README.md"
BEGIN, END = "<!-- measured by run_all.py -->", "<!-- end -->"
BENCHMARKS = {
    "sync": "bench_sync.py --versions 5 --images 20000 --labels 20 --local --against tuned",
    "sync-s3": "bench_sync.py --versions 5 --images 20000 --labels 20 --against tuned --wanted 2.5",
    "sync-many": "bench_sync.py --versions 100 --images 2000 --labels 10 --records top1 --local"
    " --against tuned --wanted 4",
    "parse": "bench_parse.py --images 250000 --labels 20 --records top1",
    "parse-complete": "bench_parse.py --images 20000 --labels 20 --records complete",
    "tables": "bench_tables.py --images 1000000",
    "split": "bench_split.py --images 250000 --labels 6",
    "memory": "bench_memory.py --images 250000 --labels 6",
    "metrics": "bench_metrics.py --images 250000",
    "numbers": "bench_numbers.py",
    "detection": "bench_detection.py --images 50000 --boxes 10",
    "logging": "bench_logging.py",
    "again": "bench_again.py --versions 100",
    "commands": "bench_commands.py",
    "content": "bench_content.py --labels 250",
    "content-small": "bench_content.py --images 2000 --labels 10 --wanted 0.2",
    "page": "bench_page.py --images 250000 --labels 250",
    "growth": "bench_growth.py",
    "slices": "bench_slices.py --images 250000 --columns 50 --labels 10 250",
}
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""For all sides alike, as `mlrek` has it."""
LIBRARIES = ("mlflow", "numpy", "scikit-learn", "matplotlib", "pycocotools")


def main() -> int:
    """Run what is named, else everything; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; none: all")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"there is no {', '.join(unknown)}")
    rows = {row: name for name in BENCHMARKS for row in read_rows(name)}
    kept = {name: [row for row, owner in rows.items() if owner == name] for name in BENCHMARKS}
    missed = False
    for name in names:
        found = run(BENCHMARKS[name])
        kept[name] = [f"{row} [`{name}`](#how) |" for row in found]
        missed = missed or any("**missed**" in row for row in found)
        write_table([row for own in kept.values() for row in own])
    return missed


def run(command: str) -> list[str]:
    """The rows that a benchmark prints; what else it says goes to stderr.

    Raises:
        SystemExit: It printed none.
    """
    script, *arguments = command.split()
    os.environ |= dict.fromkeys(ONE_THREAD, "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as where mlrek is installed
    print(f"python tests/benchmarks/{command}", file=sys.stderr, flush=True)
    command_line = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command_line, stdout=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(done.stdout)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    if not rows:
        sys.exit(f"{command} ended with {done.returncode} and measured nothing")
    return rows


def read_rows(name: str) -> list[str]:
    """The rows of a benchmark that stand in the README already."""
    table = README.read_text().partition(BEGIN)[2].partition(END)[0]
    return [line for line in table.splitlines() if line.endswith(f"[`{name}`](#how) |")]


def write_table(rows: list[str]) -> None:
    """Put the rows into the README."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    head = "| what | target | measured | met | how |\n| --- | --- | --- | --- | --- |"
    table = "\n".join([BEGIN, describe_machine(), "", head, *rows, END])
    README.write_text(before + table + after)


def describe_machine() -> str:
    """What matters of the machine, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{datetime.now(UTC).date()}, {os.cpu_count()} processors ({platform.machine()}), "
        f"{memory:.0f} GiB, Python {platform.python_version()}, {libraries}; medians of five runs."
    )


if __name__ == "__main__":
    sys.exit(main())
