"""A MariaDB of a test's own, on a free port; the server refuses to run as root."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

PLACES = ("/usr/sbin", "/usr/bin", "/usr/local/bin")
STARTED_WITHIN_S = 300
FAST = (
    *("--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--innodb-buffer-pool-size=32M"),
    *("--innodb-doublewrite=0", "--skip-name-resolve", "--performance-schema=OFF"),
)


def find_mariadb() -> tuple[str, str] | None:
    """The server and what makes its folder; None where they are not installed."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *PLACES))
    server, setup = (shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db"))
    return (server, setup) if server and setup else None


@contextmanager
def serve_mariadb(programs: tuple[str, str], port: int) -> Iterator[str]:
    """Make a server, start it, and stop it; the URI of it, without a database."""
    server, setup = programs
    user = {"user": "mysql", "group": "mysql"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="mlrek-mariadb-") as folder:
        if user:
            shutil.chown(folder, **user)
        data = f"--datadir={folder}/data"
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        login = "--auth-root-authentication-method=normal"
        command = [setup, "--no-defaults", data, login, "--skip-test-db"]
        subprocess.run(command, check=True, **quiet, **user)
        place = ("--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder}/socket")
        process = subprocess.Popen(
            [server, "--no-defaults", data, *place, f"--pid-file={folder}/pid", *FAST],
            **quiet,
            **user,
        )
        try:
            _wait_for(process, port)
            yield f"mysql+pymysql://root@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(120)


def run_sql(uri: str, *statements: str) -> list[tuple]:
    """Run statements as root; the rows of the last one."""
    import pymysql

    host, _, port = uri.rpartition("@")[2].partition("/")[0].partition(":")
    database = uri.rpartition("/")[2] if uri.count("/") > 2 else None
    with pymysql.connect(
        host=host, port=int(port), user="root", database=database, charset="utf8mb4"
    ) as connection:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            rows = list(cursor.fetchall())
        connection.commit()
        return rows


def _wait_for(process: subprocess.Popen, port: int) -> None:
    """Wait until the server answers."""
    import pymysql

    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="root").close()
        except pymysql.Error:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("MariaDB did not start")
