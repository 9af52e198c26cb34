"""Processor time of the commands that people type, each against the import of what it needs.

Logs and registers the versions of the digits in a new sqlite store. A floor is a fresh process too:
a Typer program that imports the libraries that the answer cannot do without, opens the store where
the command does, and does nothing with them. Both run in turn, in an empty folder: in that of a
store `compare` would find it, and keep its answer there. What is said is the median of the rounds'
ratios.

    python tests/benchmarks/bench_commands.py
    python tests/benchmarks/bench_commands.py show check     # only these
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rows import print_row

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
WANTED = 1.3
FLOOR = """
import typer
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
@app.command()
def nothing({argument}) -> None:
    "Do nothing."
    {body}
app()
"""
NUMBERS = "numpy, scipy.sparse, scipy.special, msgspec"
TERMINAL = "rich.console, rich.table, rich.text"
PICTURES = "matplotlib.figure, matplotlib.backends.backend_agg"
STORE = "import mlflow; mlflow.MlflowClient(place).search_experiments(max_results=1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is typed, with the places in braces, and the body of its floor with its words.

    `does` is what it does besides, where what is typed does not say it.
    """

    typed: str
    needs: str
    does: str = ""
    body: str = "pass"
    argument: str = "place: str"
    codes: tuple[int, ...] = (0,)


COMMANDS = {
    "help": Command(typed="--help", argument="", needs="Typer"),
    "policy": Command(typed="policy check {policy}", body="import msgspec", needs="Typer, msgspec"),
    "sync": Command(
        typed="sync {digits} --tracking-uri {uri}", body=STORE, needs="Typer, MLflow, its store"
    ),
    "versions": Command(
        typed="versions {digits} --tracking-uri {uri}", body=STORE, needs="Typer, MLflow, its store"
    ),
    "show": Command(
        typed="show {digits}#v2-linear",
        body=f"import {NUMBERS}, {TERMINAL}",
        needs="Typer, NumPy, SciPy's sparse and special, msgspec, Rich",
    ),
    "show-run": Command(
        typed="show models:/digits/2 --tracking-uri {uri}",
        body=f"{STORE}; import {NUMBERS}, {TERMINAL}, pyarrow.parquet",
        needs="those of `show`, MLflow, its store, PyArrow",
    ),
    "compare": Command(
        typed="compare {digits}#v1-naive-bayes {digits}#v2-linear",
        body=f"import {NUMBERS}, {TERMINAL}",
        needs="those of `show`",
    ),
    "compare-kept": Command(
        typed="compare {digits}#v1-naive-bayes {digits}#v2-linear --tracking-uri {uri}",
        does=", kept with its page in a run,",
        body=f"{STORE}; import {NUMBERS}, {TERMINAL}, {PICTURES}",
        needs="those of `show`, MLflow, its store, matplotlib",
    ),
    "compare-runs": Command(
        typed="compare models:/digits/1 models:/digits/2 --tracking-uri {uri}",
        body=f"{STORE}; import {NUMBERS}, {TERMINAL}, pyarrow.parquet",
        needs="those of `show`, MLflow, its store, PyArrow",
    ),
    "check": Command(
        typed="check models:/digits/2 --policy {policy} --baseline models:/digits/1 "
        "--tracking-uri {uri}",
        body=f"{STORE}; import {NUMBERS}, {TERMINAL}, pyarrow.parquet",
        needs="those of `show`, MLflow, its store, PyArrow",
        codes=(0, 3, 4),
    ),
    "evaluate": Command(
        typed="evaluate models:/digits/2 --on {truth} --predictions {answers} --tracking-uri {uri}",
        body=f"{STORE}; import {NUMBERS}, {TERMINAL}, pyarrow.parquet",
        needs="those of `show`, MLflow, its store, PyArrow",
    ),
}


def main() -> int:
    """Each with its floor; the exit code says whether all targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*COMMANDS, []], help="none: all")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-commands-") as scratch:
        places = make_places(Path(scratch))
        desk = Path(scratch, "desk")
        desk.mkdir()
        os.chdir(desk)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{scratch}/compiled"  # of both sides alike
        compared = [
            compare(COMMANDS[name], places, options.rounds) for name in options.names or COMMANDS
        ]
    return not all(compared)


def make_places(folder: Path) -> dict[str, str]:
    """A store with the digits in it, registered, and a small test set of somebody's own."""
    images = [f"s3://mine/{i}.png" for i in range(50)]
    labels = [("three", "eight")[i % 2] for i in range(50)]
    said = [("three", "eight")[(i + (i < 5)) % 2] for i in range(50)]  # five are wrong
    for name, column, cells in (("truth", "label", labels), ("answers", "prediction", said)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", column), *zip(images, cells, strict=True)])
    uri = f"sqlite:///{folder}/mlflow.db"
    sync = f"sync {DIGITS} --tracking-uri {uri} --register digits --quiet"
    measure([sys.executable, "-m", "mlrek", *sync.split()], (0,))
    return {
        "digits": str(DIGITS),
        "uri": uri,
        "policy": str(ROOT / "examples" / "policy.toml"),
        "truth": f"{folder}/truth.csv",
        "answers": f"{folder}/answers.csv",
    }


def compare(command: Command, places: dict[str, str], rounds: int) -> bool:
    """The row of one command; whether its target is met."""
    typed = [sys.executable, "-m", "mlrek", *command.typed.format_map(places).split()]
    program = FLOOR.format(argument=command.argument, body=command.body)
    floor = [sys.executable, "-c", program, places["uri"] if command.argument else "--help"]
    for once in (typed, floor):  # writes byte code, and what is written once
        measure(once, command.codes)
    found = [(measure(typed, command.codes), measure(floor, (0,))) for _ in range(rounds)]
    ratio = median(took / least for took, least in found)
    took, least = (median(side) for side in zip(*found, strict=True))
    print_row(
        f"`mlrek {shorten(command.typed)}`{command.does} against the import of {command.needs}",
        f"≤ {WANTED} ×",
        f"{ratio:.2f} × ({took:.2f} s, {least:.2f} s)",
        met=ratio <= WANTED,
    )
    return ratio <= WANTED


def shorten(typed: str) -> str:
    """The command as a person would type it who has set MLFLOW_TRACKING_URI."""
    return typed.replace(" --tracking-uri {uri}", "").replace("{", "").replace("}", "")


def measure(command: list[str], codes: tuple[int, ...]) -> float:
    """Processor seconds of a whole process."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in codes:
            said.seek(0)
            sys.exit(f"{command} ended with {process.returncode}: {said.read().decode()}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
