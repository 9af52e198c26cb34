"""Real things: the command as a process, MLflow servers over HTTP, a headless browser."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from claims import find_missing, write_claim
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parents[1]
STARTED_WITHIN_S = 300
STOPPED_WITHIN_S = 120
SLOWEST_FIRST = ("e2e", "contract", "fuzz", "unit")
"""Folders of tests: with several workers, the short files come last and fill what is left."""

# nothing here is measured in time, and CI meets the same examples each time
settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("MLREK_REQUIRE_ALL")),
)
settings.load_profile("tests")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for jobs with `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Put the files in order, after pytest-randomly has shuffled them."""
    places = {REPOSITORY / "tests" / name: i for i, name in enumerate(SLOWEST_FIRST)}
    last = len(places)
    items.sort(key=lambda item: min(places.get(folder, last) for folder in item.path.parents))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With MLREK_REQUIRE_ALL=1 (in CI) a skipped test is a failed one."""
    report = yield
    if report.when == "call":
        claim = write_claim(getattr(getattr(item, "function", None), "__doc__", ""))
        report.user_properties.append(("claim", f"{item.nodeid.partition('[')[0]}\t{claim}"))
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("MLREK_REQUIRE_ALL"):
        report.outcome = "failed"
    return report


class _Claims:
    """Notes which claims ran, and fails a whole run in which one is missing."""

    def __init__(self) -> None:
        self.ran: set[str] = set()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and not report.failed:
            self.ran.update(value for name, value in report.user_properties if name == "claim")

    def pytest_sessionfinish(self, session):
        missing = find_missing(claim.partition("\t")[2] for claim in self.ran)
        if missing and session.exitstatus == pytest.ExitCode.OK:
            lines = "\n".join(f"  {claim}" for claim in missing)
            print(f"\nclaimed before, not run, and not in tests/claims-gone.txt:\n{lines}")  # noqa: T201
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config):
    """Watch the claims of a run of everything, once: not in each worker."""
    whole = config.args == config.getini("testpaths") and not config.option.keyword
    if whole and os.environ.get("MLREK_REQUIRE_ALL") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Claims())


@pytest.fixture(autouse=True)
def _same_variables():
    """MLflow tells itself the experiment of a test by a variable: the next test has none of it."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        if name not in before:
            del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def digits() -> Path:
    """The shipped example."""
    return REPOSITORY / "examples" / "digits"


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of all shipped examples."""
    return REPOSITORY / "examples"


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """This environment without anything that would lead to another store or account."""
    return clean_env()


@pytest.fixture(scope="session")
def warm() -> Iterator:
    """Commands that start at once."""
    from fakes.warm import WarmProcess

    with WarmProcess(clean_env()) as process:
        yield process


@pytest.fixture
def run_mlrek(tmp_path, warm):
    """Run `mlrek …` in an empty folder, with nothing inherited from MLflow or AWS.

    It is a process of its own, forked from one that has the imports; a `cold` one has not.
    """

    def run(*args, env=None, cwd=tmp_path, check=True, cold=False):
        whole = clean_env() | (env or {})
        if cold:
            command = [sys.executable, "-m", "mlrek", *map(str, args)]
            done = subprocess.run(
                command, cwd=cwd, env=whole, capture_output=True, text=True, check=False
            )
        else:
            done = warm.run(*args, cwd=cwd, env=whole)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """A database without runs: making one takes seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("empty")
    SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", str(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def new_store(tmp_path, empty_store) -> str:
    """A store of this test alone, a database file without runs."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"


@pytest.fixture(scope="session")
def digits_synced(tmp_path_factory, warm, digits, empty_store) -> Path:
    """A database with a run of each version of the digits."""
    folder = tmp_path_factory.mktemp("digits")
    database = Path(shutil.copy(empty_store, folder / "mlflow.db"))
    done = warm.run("sync", digits, cwd=folder)
    assert done.returncode == 0, done.stderr
    return database


@pytest.fixture
def digits_store(tmp_path, digits_synced) -> str:
    """A store of this test alone that holds the digits; their artifacts are others' too."""
    return f"sqlite:///{shutil.copy(digits_synced, tmp_path / 'mlflow.db')}"


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[str]:
    """The address of a real MLflow server with a database and an artifact proxy of its own."""
    with serve_mlflow(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri


@pytest.fixture(scope="session")
def auth_server(tmp_path_factory) -> Iterator[str]:
    """The address of a real MLflow server that wants a user (admin) and a password."""
    folder = tmp_path_factory.mktemp("mlflow-auth")
    config = folder / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/auth.db\n"
        "admin_username = admin\nadmin_password = a-long-password-1\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": "a-long-password-1",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-this-test",
    }
    with serve_mlflow(folder, "--app-name", "basic-auth", env=env) as uri:
        yield uri


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URI of a PostgreSQL's first database, which is empty."""
    from fakes.postgres import find_postgres, serve_postgres

    programs = find_postgres()
    if programs is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with serve_postgres(programs, free_port()) as uri:
        yield uri


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory, postgres) -> Iterator[str]:
    """The address of a real MLflow server whose database is PostgreSQL."""
    with serve_mlflow(tmp_path_factory.mktemp("mlflow-postgres"), backend=postgres) as uri:
        yield uri


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The URI of a MariaDB without databases."""
    from fakes.mariadb import find_mariadb, serve_mariadb

    programs = find_mariadb()
    if programs is None:
        pytest.skip("needs MariaDB: apt-get install mariadb-server")
    with serve_mariadb(programs, free_port()) as uri:
        yield uri


WITH_MOUSE = (
    "blink-settings=primaryHoverType=2,availableHoverTypes=2,"
    "primaryPointerType=4,availablePointerTypes=4"
)
"""A headless browser has no pointer, and charts then keep their tool bars over their bars."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1500,1100",
        WITH_MOUSE,
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def _s3() -> Iterator:
    from fakes.aws import serve_s3

    with serve_s3() as server:
        yield server


@pytest.fixture(scope="session")
def _rekognition() -> Iterator:
    from fakes.aws import serve_rekognition

    with serve_rekognition() as server:
        yield server


@pytest.fixture
def s3_server(_s3, monkeypatch):
    """An empty S3 over HTTP; this process finds it, and a command with `s3_server.env`."""
    _set_aws_env(monkeypatch, _s3.env)
    yield _s3
    _s3.reset()


@pytest.fixture
def rekognition_server(_rekognition, monkeypatch):
    """A Rekognition without projects; this process finds it, and a command with its `env`."""
    _set_aws_env(monkeypatch, _rekognition.env)
    yield _rekognition
    _rekognition.reset()


@pytest.fixture(scope="session")
def _vertex() -> Iterator:
    from fakes.vertex_server import VertexServer

    server = VertexServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def vertex_server(_vertex, monkeypatch):
    """A Vertex AI without models; this process finds it, and a command with its `env`."""
    for name, value in _vertex.env.items():
        monkeypatch.setenv(name, value)
    yield _vertex
    _vertex.reset()


def _set_aws_env(monkeypatch, env: dict[str, str]) -> None:
    """Leave nothing of this machine's AWS settings but what other servers here have set."""
    from fakes.aws import CREDENTIALS

    kept = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_REKOGNITION")
    for name in [n for n in os.environ if n.startswith("AWS_") and n not in kept]:
        monkeypatch.delenv(name)
    for name, value in (CREDENTIALS | env).items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def serve_mlflow(
    folder: Path,
    *args: str,
    env: dict[str, str] | None = None,
    backend: str = "",
    port: int | None = None,
) -> Iterator[str]:
    """Start `mlflow server` on a free port and stop it with all its processes."""
    port = port or free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", backend or f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), *args]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_env() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | (env or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for(f"{uri}/health", server, folder / "server.log")
            yield uri
        finally:
            with contextlib.suppress(ProcessLookupError):  # it may have failed to start
                os.killpg(server.pid, 15)
            server.wait(STOPPED_WITHIN_S)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(url, timeout=20).close()
            return
        time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()[-3000:]}")


def free_port() -> int:
    """A port nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_env() -> dict[str, str]:
    """This environment without anything that would lead to another store or account."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_COLOR": "1",
    }
