"""How long does a second `mlrek sync` of an unchanged project take, over HTTP on both sides?

Logs a project of 100 versions from S3 over HTTP to an MLflow server, then again, several times.
Counts the requests for manifests, and compares the server's database before and after. Seconds are
those beyond what importing the same modules takes.

    python tests/benchmarks/bench_again.py --versions 100
"""

import argparse
import os
import sqlite3
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from statistics import median

from bench_sync import run_process
from make_manifests import Size, make_project
from rows import print_row
from serve_folder import BUCKET, CREDENTIALS, serve_folder
from serve_mlflow import serve_mlflow

WANTED_S = 3.0
IMPORTS = """
import mlrek.runs.sync, mlrek.sources.s3, mlrek.runs.results, botocore.session, mlflow, requests
botocore.session.Session().create_client("s3")
mlflow.MlflowClient("http://127.0.0.1")
"""


def main() -> int:
    """Sync, then sync again; the exit code says whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--versions", type=int, default=100)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-again-") as scratch:
        place = Path(scratch)
        size = Size(versions=options.versions, images=options.images, labels=10)
        make_project(place / "project", size)
        with serve_folder(place / "project") as s3, serve_mlflow(place) as uri:
            os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL_S3": s3.url})
            sync = [sys.executable, "-m", "mlrek", "sync", f"s3://{BUCKET}", "--tracking-uri", uri]
            first = run_process(sync, place / "first").seconds
            before, asked = digest(place / "server.db"), len(s3.requests)
            again, imports = [], []
            for i in range(options.rounds):
                command = [sys.executable, "-c", IMPORTS]
                imports.append(run_process(command, place / f"imports-{i}").seconds)
                again.append(run_process(sync, place / f"again-{i}").seconds)
            is_same = digest(place / "server.db") == before
            downloads = [key for method, key in s3.requests[asked:] if is_manifest(method, key)]
    beyond = median(again) - median(imports)
    print(f"first sync: {first:.1f} s; again: {median(again):.2f} s; imports {median(imports):.2f}")
    met = beyond <= WANTED_S and not downloads and is_same
    print_row(
        f"second sync of {options.versions} unchanged versions, S3 and MLflow over HTTP",
        f"no manifest read, no write, ≤ {WANTED_S:g} s beyond imports",
        f"{len(downloads)} manifests read, {'no' if is_same else 'a'} write, {beyond:.1f} s "
        f"(imports {median(imports):.1f} s)",
        met=met,
    )
    return not met


def is_manifest(method: str, key: str) -> bool:
    """Whether a request downloads a manifest."""
    return method == "GET" and "TestingGroundTruth" in key


def digest(database: Path) -> str:
    """What tells one content of a database from another."""
    with sqlite3.connect(database) as connection:
        dump = "\n".join(connection.iterdump())
    return sha256(dump.encode("utf-8", "surrogatepass")).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
