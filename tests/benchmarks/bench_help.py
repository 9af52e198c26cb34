"""How long does `mlrek --help` take, compared with a Typer program that does nothing?

Counts processor seconds, which a busy machine changes least.

python tests/benchmarks/bench_help.py
"""

import os
import subprocess
import sys
from statistics import median

from rows import print_row

EMPTY = """
import typer
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
@app.command()
def nothing() -> None:
    "Do nothing."
app()
"""
ROUNDS = 15
WANTED = 1.3


def main() -> int:
    """Both in turn; the exit code says whether the target is met."""
    commands = {
        "empty": [sys.executable, "-c", EMPTY, "--help"],
        "mlrek": [sys.executable, "-m", "mlrek", "--help"],
    }
    for command in commands.values():
        measure(command)  # writes byte code
    rounds = [{name: measure(command) for name, command in commands.items()} for _ in range(ROUNDS)]
    seconds = {name: median(costs[name] for costs in rounds) for name in commands}
    ratio = median(costs["mlrek"] / costs["empty"] for costs in rounds)
    print_row(
        "`mlrek --help` against an empty Typer program",
        f"≤ {WANTED} ×",
        f"{ratio:.2f} × ({seconds['mlrek']:.2f} s, {seconds['empty']:.2f} s)",
        met=ratio <= WANTED,
    )
    return ratio > WANTED


def measure(command: list[str]) -> float:
    """Processor seconds of a whole process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
