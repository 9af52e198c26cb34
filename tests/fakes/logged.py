"""What a database of MLflow's holds of versions, read by nothing of mlrek or MLflow.

Of two syncs of one project the same comes out, whatever happened on the way: ids and the times of
writing are left out.
"""

import re
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

PASSING = ("mlrek.heartbeat", "mlrek.logged_at", "mlflow.loggedImages", "mlflow.mlrek_project_page")
_IMAGE_NAME = re.compile(r".timestamp.\d+.[0-9a-z-]{36}")
_RUN_ID = re.compile(rb"\b[0-9a-f]{32}\b")
_OWN_ID = re.compile(rb"(?<=/runs/)[0-9a-f]{32}")
_LINKED = re.compile(r"(?<=/runs/)[0-9a-f]{32}|(?<=%22)[0-9a-f]{32}(?=%22)")
_RUNS = """
SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs
WHERE lifecycle_stage = 'active' AND experiment_id IN
(SELECT experiment_id FROM experiments WHERE name = ?)
"""


def read_versions(database: Path, experiment: str = "mlrek/pets") -> dict[str, object]:
    """All that is logged of each version, and the experiment's note; fails on a version twice."""
    with closing(sqlite3.connect(database)) as db:
        found: dict[str, object] = {"note": _read_note(db, experiment)}
        for run_id, name, *times, artifacts in db.execute(_RUNS, [experiment]):
            tags = _read_pairs(db, "tags", run_id)
            if tags.get("mlrek.complete") == "true":
                assert name not in found, f"{name} is there twice"
                found[name] = {
                    "times": times,
                    "tags": {k: _hide_ids(v) for k, v in tags.items() if k not in PASSING},
                    "params": _read_pairs(db, "params", run_id),
                    "metrics": _read_metrics(db, run_id),
                    "dataset": _read_dataset(db, run_id),
                    "artifacts": _read_artifacts(artifacts, tags["mlrek.logged_at"]),
                }
    return found


def count_runs(database: Path) -> int:
    """Runs that are not deleted, complete or not."""
    with closing(sqlite3.connect(database)) as db:
        ((n,),) = db.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'")
    return n


def _hide_ids(text: str) -> str:
    """A text without the ids of runs in its links."""
    return _LINKED.sub("ID", text)


def _read_note(db: sqlite3.Connection, experiment: str) -> list:
    found = db.execute(
        "SELECT key, value FROM experiment_tags JOIN experiments USING (experiment_id)"
        " WHERE name = ? ORDER BY key",
        [experiment],
    ).fetchall()
    return [(key, _hide_ids(value)) for key, value in found]


def _read_pairs(db: sqlite3.Connection, table: str, run_id: str) -> dict[str, str]:
    return dict(
        db.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", [run_id])  # noqa: S608
    )


def _read_metrics(db: sqlite3.Connection, run_id: str) -> list:
    columns = "key, step, value, is_nan, timestamp"
    return db.execute(
        f"SELECT {columns} FROM metrics WHERE run_uuid = ? ORDER BY {columns}",  # noqa: S608
        [run_id],
    ).fetchall()


def _read_dataset(db: sqlite3.Connection, run_id: str) -> list:
    return db.execute(
        "SELECT d.name, d.digest, d.dataset_source FROM datasets d"
        " JOIN inputs i ON i.source_id = d.dataset_uuid WHERE i.destination_id = ?",
        [run_id],
    ).fetchall()


def _read_artifacts(uri: str, logged_at: str) -> dict[str, str]:
    """Path -> digest; a picture's own id and time are taken out of its name.

    The page of all versions names their runs, a report its own: these ids are taken out too.
    """
    folder = Path(urlsplit(uri).path)
    found = {}
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes().replace(logged_at.encode(), b"")
            if file.name == "project.html":
                content = _RUN_ID.sub(b"", content)
            if file.name == "report.html":
                content = _OWN_ID.sub(b"", content)
            path = _IMAGE_NAME.sub("", str(file.relative_to(folder)))
            found[path] = sha256(content).hexdigest()
    return found
