"""Secrets are planted wherever a sync may meet one, and then looked for in all that it leaves."""

import json
import sqlite3
from pathlib import Path

import pytest
from fakes.evaluations import save_archive

from mlrek.errors import ParseError, UsageError
from mlrek.metrics.test_set import hide_signatures
from mlrek.sources import open_source

SIGNED = (
    "https://bucket.s3.amazonaws.com/img/{n}.jpg?versionId=7"
    "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=PLANTED-credential%2F20260101"
    "&X-Amz-Security-Token=PLANTED-image-token&X-Amz-Signature=PLANTED-signature{n}"
)
AWS = {
    "AWS_ACCESS_KEY_ID": "ASIAPLANTEDACCESSKEY",
    "AWS_SECRET_ACCESS_KEY": "PLANTED/secret/access/key",
    "AWS_SESSION_TOKEN": "PLANTED-session-token",
}
MLFLOW = {
    "MLFLOW_TRACKING_USERNAME": "admin",
    "MLFLOW_TRACKING_PASSWORD": "PLANTED-tracking-password",
    "MLFLOW_TRACKING_TOKEN": "PLANTED-tracking-token",
}


@pytest.fixture
def saved(tmp_path) -> Path:
    """Two versions whose test images have signed addresses, each signed anew."""
    folder = save_archive(tmp_path / "saved", "v1", "v2")
    for n, version in enumerate(("v1", "v2")):
        path = folder / "versions" / version / f"TestingGroundTruth-pets-{version}.json"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for i, line in enumerate(lines):
            line["source-ref"] = SIGNED.format(n=i) + str(n)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def find_planted(*places: Path) -> list[str]:
    """Files below the places that hold a planted secret, and so do databases' dumps."""
    files = [f for place in places for f in place.rglob("*") if f.is_file()]
    found = [str(file) for file in files if b"PLANTED" in file.read_bytes().upper()]
    for file in (file for file in files if file.suffix == ".db"):
        with sqlite3.connect(file) as database:
            found += [line[:200] for line in database.iterdump() if "PLANTED" in line.upper()]
    return found


def test_signed_addresses_and_credentials_are_in_nothing_that_a_sync_leaves(warm, saved, tmp_path):
    """Output, -v's log, database, artifacts: nowhere; the warning says what was left out."""
    folder = tmp_path / "work"
    folder.mkdir()
    store = ["--tracking-uri", "sqlite:///mlflow.db"]
    env = AWS | MLFLOW
    said = [
        warm.run("sync", saved, *store, "-v", cwd=folder, env=env),
        warm.run("sync", saved, *store, "--json", "--force", cwd=folder, env=env),
        warm.run("show", f"{saved}#v1", "--label", "dog", "--outcome", "fn", cwd=folder, env=env),
        warm.run("compare", f"{saved}#v1", f"{saved}#v2", "--json", cwd=folder, env=env),
    ]
    for done in said:
        assert done.returncode == 0, done.stderr
        assert "PLANTED" not in (done.stdout + done.stderr).upper()
    assert "3 of 3 image addresses hold a login or a signature" in said[0].stderr
    assert find_planted(folder) == []
    tables = [file.read_text() for file in folder.rglob("predictions.csv")]
    assert all("https://bucket.s3.amazonaws.com/img/0.jpg?versionId=7" in t for t in tables)
    (pair,) = json.loads(said[3].stdout)["candidates"]
    assert pair["test_set"]["verdict"] == "same"


@pytest.mark.parametrize(
    "place",
    [
        "http://admin:PLANTED-tracking-password@127.0.0.1:9",
        "http://admin:PLANTED-tracking-password@127.0.0.1:9/?token=PLANTED",
        "postgresql+psycopg2://me:PLANTED@127.0.0.1:9/db",
        "mysql://me:PLANTED@127.0.0.1:9/db",
        "mssql+pyodbc://me:PLANTED@127.0.0.1:9/db?password=PLANTED",
        "nonsense://me:PLANTED@127.0.0.1:9/db",
        "postgresql://me:PLANTED1/PLANTED2@127.0.0.1:9/db",
        "postgresql://me:PLANTED1@PLANTED2@127.0.0.1:9/db",
        "mysql://me:PLANTED1#PLANTED2@127.0.0.1:9/db",
        "http://me:PLANTED1/PLANTED2@127.0.0.1:9",
        "http://PLANTEDtoken@127.0.0.1:9",
    ],
)
def test_a_tracking_uri_is_named_without_its_password(warm, saved, tmp_path, place):
    """Also by those who cannot be reached or are not known, and with -v."""
    env = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    args = ["sync", saved, "-v", "--tracking-uri", place]
    done = warm.run(*args, cwd=tmp_path, env=env | AWS | MLFLOW)

    assert done.returncode == 1
    assert "PLANTED" not in (done.stdout + done.stderr).upper()
    assert done.stderr.strip()


def test_refused_credentials_are_not_repeated(warm, s3_server, tmp_path):
    """AWS names the access key id in some of its answers; a password stands in the endpoint."""
    s3_server.put("saved", "p/project.json", b"{}")
    said = "The AWS Access Key Id ASIAPLANTEDACCESSKEY does not exist"
    body = f"<Error><Code>InvalidAccessKeyId</Code><Message>{said}</Message></Error>"
    s3_server.proxy.fail("", 403, "InvalidAccessKeyId")
    s3_server.proxy.faults[0].body = body
    env = s3_server.env | AWS
    done = warm.run("sync", "s3://saved/p", "-v", cwd=tmp_path, env=env)
    env["AWS_ENDPOINT_URL_S3"] = "http://me:PLANTED@127.0.0.1:9"
    unreachable = warm.run(
        "archive", "s3://saved/p", "x", "-v", cwd=tmp_path, env=env | {"AWS_MAX_ATTEMPTS": "1"}
    )

    for one in (done, unreachable):
        assert one.returncode == 1
        assert "PLANTED" not in (one.stdout + one.stderr).upper()


def test_a_signed_address_as_a_source_is_refused_without_its_signature(warm, tmp_path):
    """It is no place that mlrek reads from."""
    done = warm.run("sync", SIGNED.format(n=1), "-v", cwd=tmp_path, env=AWS | MLFLOW)

    assert done.returncode == 2
    assert "PLANTED" not in (done.stdout + done.stderr).upper()
    assert "https://bucket.s3.amazonaws.com/img/1.jpg?versionId=7" in done.stderr


def test_a_bad_line_is_quoted_without_its_signature(warm, saved, tmp_path):
    """Long values are cut, but not so that the end of a signature is left."""
    (path,) = (saved / "versions" / "v1").glob("TestingGroundTruth*")
    line = {"source-ref": [SIGNED.format(n=1) + "A" * 500], "x": SIGNED.format(n=2)}
    path.write_text(json.dumps(line) + "\n")
    done = warm.run("show", f"{saved}#v1", "-v", cwd=tmp_path)

    assert done.returncode == 1
    assert ":1: " in done.stderr
    assert "PLANTED" not in done.stderr.upper()


def test_an_archive_holds_the_files_as_they_are_and_no_credentials(warm, saved, tmp_path):
    """Byte for byte, which is its promise: what the provider's files say is in it too."""
    done = warm.run("archive", saved, "copy", cwd=tmp_path, env=AWS | MLFLOW)
    written = {f.name: f.read_bytes() for f in (tmp_path / "copy").rglob("*") if f.is_file()}

    assert done.returncode == 0
    for name, content in written.items():
        if name.startswith("TestingGroundTruth"):
            assert content == next(saved.rglob(name)).read_bytes()
        else:
            assert b"PLANTED" not in content.upper()


def test_errors_hold_no_secret_of_an_address():
    """Whoever raises or prints them."""
    for error in (UsageError(SIGNED), ParseError("s3://b/k", 3, f"found {SIGNED}")):
        assert "PLANTED" not in str(error) + repr(error)


def test_addresses_without_secrets_stay_as_they_are(digits):
    """Queries of other kinds tell images apart, and S3 keys may hold anything."""
    source = open_source(str(digits))
    evaluation = source.load(source.list_versions()[0])

    assert hide_signatures(evaluation).images == evaluation.images
    assert hide_signatures(evaluation).warnings == evaluation.warnings
