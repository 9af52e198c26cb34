"""Commands that are killed at random moments, and what must be true then and after the next one.

All of it outside of CI, in one command:  python tests/fakes/kills.py 200
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script

from fakes.evaluations import make_manifest, save_archive
from fakes.warm import WarmProcess

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
STORE = ("--tracking-uri", "sqlite:///mlflow.db")
POLICY = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.1\n'
VERSIONS = ("v1", "v2")
CHAMPION = "champion"


@dataclass(frozen=True)
class Command:
    """What is typed in a folder like the template, or in one without a store."""

    name: str
    args: tuple[str, ...]
    has_store: bool = True
    prepares: tuple[str, ...] = ()


COMMANDS = (
    Command("first use", ("sync", "pets", "--jobs", "1", *STORE), has_store=False),
    Command("sync", ("sync", "more", "--jobs", "1", *STORE)),
    Command("register", ("sync", "more", "--register", "--jobs", "1", *STORE)),
    Command("compare", ("compare", "models:/pets/1", "models:/pets/2", *STORE)),
    Command("check", ("check", "models:/pets/2", "--policy", "policy.toml", *STORE)),
    Command("promote", ("promote", "models:/pets/2", "--policy", "policy.toml", "--yes", *STORE)),
    Command(
        "evaluate",
        ("evaluate", "pets#v2", "--on", "own.manifest", "--responses", "own.jsonl", *STORE),
    ),
    Command("archive", ("archive", "pets", "kept"), has_store=False),
)


@dataclass
class Outcome:
    """What came of many kills."""

    killed: Counter = field(default_factory=Counter)
    ended: Counter = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)


class Killer:
    """Kills commands in folders of their own below `place`."""

    def __init__(self, warm: WarmProcess, place: Path, seed: int) -> None:
        self._warm, self._place, self._random = warm, place, random.Random(seed)
        self._template = place / "template"
        self._numbers = iter(range(10**6))
        self._alone: dict[str, tuple[int, float]] = {}

    def kill(self, n: int) -> Outcome:
        """Kill so many commands, each kind in turn, and look at what each left."""
        if not self._template.exists():
            self._make_template()
        outcome = Outcome()
        for i in range(n):
            command = COMMANDS[i % len(COMMANDS)]
            self._kill_one(command, outcome)
        return outcome

    def _make_template(self) -> None:
        """Two versions that are registered, the first the champion; files for all commands."""
        self._template.mkdir(parents=True)
        save_archive(self._template / "pets", *VERSIONS)
        more = save_archive(self._template / "more", *VERSIONS)
        for file in more.glob("versions/*/TestingGroundTruth*"):
            file.write_bytes(make_manifest(2))
        (self._template / "policy.toml").write_text(POLICY)
        truth = {"class-name": "cat", "type": "groundtruth/image-classification"}
        answer = {"CustomLabels": [{"Name": "cat", "Confidence": 90.0}]}
        names = [f"s3://own/{i}.jpg" for i in range(12)]
        lines = ({"source-ref": name, "pet": 0, "pet-metadata": truth} for name in names)
        (self._template / "own.manifest").write_text("\n".join(map(json.dumps, lines)))
        answers = ({"image": name, "response": answer} for name in names)
        (self._template / "own.jsonl").write_text("\n".join(map(json.dumps, answers)))
        done = self._warm.run("sync", "pets", "--register", *STORE, cwd=self._template)
        assert done.returncode == 0, done.stderr
        with closing(sqlite3.connect(self._template / "mlflow.db")) as db:
            db.execute(
                "INSERT INTO registered_model_aliases (alias, version, name, workspace)"
                " VALUES (?, 1, 'pets', 'default')",
                [CHAMPION],
            )
            db.commit()

    def _copy(self, command: Command) -> Path:
        folder = self._place / str(next(self._numbers))
        shutil.copytree(self._template, folder)
        if not command.has_store:
            (folder / "mlflow.db").unlink()
        return folder

    def _run_alone(self, command: Command) -> tuple[int, float]:
        """The exit code and seconds of CPU of a command that nobody disturbs."""
        if command.name not in self._alone:
            folder = self._copy(command)
            done = self._warm.run(*command.args, cwd=folder)
            assert done.returncode in {0, 3, 4}, done.stderr
            assert list(find_troubles(folder, command)) == []
            self._alone[command.name] = done.returncode, done.cpu_s
            shutil.rmtree(folder)
        return self._alone[command.name]

    def _kill_one(self, command: Command, outcome: Outcome) -> None:
        code, cpu_s = self._run_alone(command)
        folder, number = self._copy(command), self._random.choice(SIGNALS)
        delay = self._random.uniform(0, cpu_s)
        ended = self._warm.signal_after(delay, number, *command.args, cwd=folder)
        (outcome.ended if ended.returncode == code else outcome.killed)[command.name] += 1
        said = f"{command.name}, {number.name} after {delay:.3f} s of CPU"
        troubles = [f"{said}: {trouble}" for trouble in find_loss(folder, command)]
        again = self._warm.run(*command.args, cwd=folder)
        if again.returncode != code:
            troubles.append(f"{said}: then exit {again.returncode}: {again.stderr[-500:]}")
        troubles += [f"{said}: then {trouble}" for trouble in find_troubles(folder, command)]
        outcome.troubles += troubles
        if not troubles:
            shutil.rmtree(folder)


def find_loss(folder: Path, command: Command) -> Iterator[str]:
    """What must not be even right after a kill: a broken store, a champion without its run."""
    database = folder / "mlflow.db"
    if not database.exists():
        if command.has_store:
            yield "the store is gone"
        return
    with closing(sqlite3.connect(database)) as db:
        if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            yield "the store is damaged"
        if command.has_store and not _find_champion(db):
            yield "the champion has no run that is there"
        for name in VERSIONS if command.has_store else ():
            if not _count_runs(db, name):
                yield f"no complete run of {name} is left"


def find_troubles(folder: Path, command: Command) -> Iterator[str]:
    """What must not be after the command was run again."""
    yield from find_loss(folder, command)
    left = {file.name for file in folder.iterdir()} - {
        *("pets", "more", "policy.toml", "own.manifest", "own.jsonl"),
        *("mlflow.db", "mlruns", "kept"),
    }
    if left:
        yield f"litter: {sorted(left)}"
    if command.name == "archive":
        yield from _compare_folders(folder / "pets", folder / "kept")
        return
    with closing(sqlite3.connect(folder / "mlflow.db")) as db:
        for name in VERSIONS:
            if (n := _count_runs(db, name)) != 1:
                yield f"{n} runs of {name} count"
        doubled = db.execute(
            "SELECT run_id, count(*) FROM model_versions WHERE current_stage != 'Deleted_Internal'"
            " GROUP BY run_id HAVING count(*) > 1"
        ).fetchall()
        if doubled:
            yield f"several model versions of a run: {doubled}"
        wanted = {"promote": "2"}.get(command.name, "1")
        if command.has_store and _find_champion(db) != wanted:
            yield f"the champion is {_find_champion(db)}, not {wanted}"
        if command.name == "evaluate" and _count_own(db) != 1:
            yield f"{_count_own(db)} runs of the own test set count"


def _find_champion(db: sqlite3.Connection) -> str:
    """The number of the version with the alias, if its run is complete and not deleted."""
    found = db.execute(
        "SELECT a.version FROM registered_model_aliases a JOIN model_versions v"
        " ON v.name = a.name AND v.version = a.version JOIN runs r ON r.run_uuid = v.run_id"
        " JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'mlrek.complete'"
        " WHERE a.alias = ? AND r.lifecycle_stage = 'active'",
        [CHAMPION],
    ).fetchone()
    return str(found[0]) if found else ""


_COUNTING = (
    "SELECT count(*) FROM runs r WHERE r.lifecycle_stage = 'active'"
    " AND EXISTS (SELECT 1 FROM tags WHERE run_uuid = r.run_uuid AND key = 'mlrek.complete')"
    " AND NOT EXISTS (SELECT 1 FROM tags WHERE run_uuid = r.run_uuid AND key = 'mlrek.superseded')"
    " AND {} EXISTS (SELECT 1 FROM tags WHERE run_uuid = r.run_uuid AND key = 'mlrek.exam')"
)


def _count_runs(db: sqlite3.Connection, name: str) -> int:
    """Runs of a version that count."""
    query = f"{_COUNTING.format('NOT')} AND r.name = ?"
    return int(db.execute(query, [name]).fetchone()[0])


def _count_own(db: sqlite3.Connection) -> int:
    return int(db.execute(_COUNTING.format("")).fetchone()[0])


def _compare_folders(source: Path, kept: Path) -> Iterator[str]:
    """What an archive lacks of an archived project, and what else lies in it.

    What was half written is taken away when it is an hour old.
    """
    files = {file.relative_to(source) for file in source.rglob("*") if file.is_file()}
    found = {file.relative_to(kept) for file in kept.rglob("*") if file.is_file()}
    found = {file for file in found if not file.name.startswith(".mlrek-")}
    if files != found:
        yield f"the archive has other files: {sorted(map(str, files ^ found))}"
    for file in files & found:
        is_ours = file.name in {"project.json", "version.json"}
        if not is_ours and (source / file).read_bytes() != (kept / file).read_bytes():
            yield f"the archive's {file} is another"


def main() -> None:
    """Kill so many commands as the first argument says; the second is the seed."""
    import tempfile

    from conftest import clean_env

    n, seed = (int(word) for word in (*sys.argv[1:], "200", "1")[:2])
    with tempfile.TemporaryDirectory() as place, WarmProcess(clean_env()) as warm:
        outcome = Killer(warm, Path(place), seed).kill(n)
    print("killed:", dict(outcome.killed))  # noqa: T201 - a script
    print("had ended before:", dict(outcome.ended))  # noqa: T201 - a script
    print("\n".join(outcome.troubles) or "no trouble")  # noqa: T201 - a script
    sys.exit(bool(outcome.troubles))


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    main()
