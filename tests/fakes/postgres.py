"""A PostgreSQL of a test's own, on a free port; the server refuses to run as root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")


def find_postgres() -> Path | None:
    """The folder of the server's programs, the newest of Debian's; None where there is none."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(DEBIAN.glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


@contextmanager
def serve_postgres(programs: Path, port: int) -> Iterator[str]:
    """Make a cluster, start it, and stop it; the URI of its database."""
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="mlrek-postgres-") as folder:
        if user:
            shutil.chown(folder, **user)
        data = f"{folder}/data"

        def run(program: str, *args: str) -> None:
            subprocess.run(
                [programs / program, "-D", data, *args],
                check=True,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                **user,
            )

        run("initdb", "--username=mlflow", "--auth=trust", "--no-sync", "--encoding=UTF8")
        settings = f"-F -h 127.0.0.1 -p {port} -k {folder}"
        run("pg_ctl", "-w", "-t", "600", "-l", f"{folder}/log", "-o", settings, "start")
        try:
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-t", "600", "-m", "immediate", "stop")
