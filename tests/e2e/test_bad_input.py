"""What people, disks and readers of the output may do by mistake: no traceback, no hang."""

import json
import os
import resource
import subprocess
import sys

import pytest
from conftest import clean_env
from fakes.evaluations import save_archive
from fakes.s3_proxy import S3Fault
from fakes.said import list_said


@pytest.fixture
def fifo(tmp_path) -> str:
    """A pipe that nobody writes to."""
    os.mkfifo(tmp_path / "fifo.json")
    return str(tmp_path / "fifo.json")


@pytest.fixture
def saved(tmp_path):
    """An archived project of one version."""
    return save_archive(tmp_path / "saved", "v1")


def assert_one_line(done, *words: str) -> None:
    """It failed with one line that has the words."""
    assert done.returncode in {1, 2}, done.stderr
    assert done.stdout == ""
    assert len(list_said(done.stderr)) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/dev/null"])
def test_what_is_no_plain_file_is_no_source(warm, fifo, saved, tmp_path, kind):
    """A pipe without a writer never begins, a device never ends."""
    place = fifo if kind == "fifo" else kind
    version = f"{saved}#v1"
    for args in (
        ["show", place],
        ["versions", place],
        ["archive", place, "copy"],
        ["sync", place, "--tracking-uri", "sqlite:///mlflow.db"],
        ["show", f"{place}#v1"],
    ):
        assert_one_line(warm.run(*args, cwd=tmp_path), place, "no plain file")
    store = ["--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    evaluate = ["evaluate", version, *store, "--on"]
    done = warm.run(*evaluate, place, "--responses", place, cwd=tmp_path)
    assert_one_line(done, place, "no plain file")


def test_a_folder_is_no_manifest(warm, saved, tmp_path):
    """It says that it is a folder."""
    store = ["--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    args = ["evaluate", f"{saved}#v1", "--on", saved, "--responses", saved, *store]
    assert_one_line(warm.run(*args, cwd=tmp_path), "is a folder")


def test_a_pipe_among_saved_files_is_passed_over(warm, saved, tmp_path):
    """It is no evaluation file, whatever its name."""
    os.mkfifo(saved / "versions" / "v1" / "TestingGroundTruth-other.json")
    done = warm.run("show", saved, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["version"] == "v1"


@pytest.mark.parametrize("option", ["--policy", "--label-map"])
def test_an_endless_file_is_read_no_further(warm, saved, tmp_path, option):
    """Files that people write by hand are short."""
    command = {"--policy": ["check"], "--label-map": ["compare", saved]}[option]
    done = warm.run(*command, saved, option, "/dev/zero", cwd=tmp_path)
    assert_one_line(done, "/dev/zero", "longer than 4 MiB")


@pytest.mark.parametrize("name", ["EvaluationResultSummary", "TestingGroundTruth"])
def test_a_file_of_two_gigabytes_without_a_line_end_is_given_up(warm, saved, tmp_path, name):
    """A document and a manifest; the file has no blocks on the disk."""
    (file,) = (saved / "versions" / "v1").glob(f"{name}*")
    with file.open("r+b") as opened:
        opened.seek(0, os.SEEK_END)
        opened.truncate(2 << 30)
    done = warm.run("show", f"{saved}#v1", cwd=tmp_path)
    assert_one_line(done, str(file), "is longer than", "MiB")


@pytest.mark.parametrize(
    "args", [["show"], ["show", "--json"], ["versions"], ["sync", "--dry-run"]]
)
def test_a_reader_that_goes_away_gets_no_traceback(saved, tmp_path, args):
    """`mlrek show … | head -1`: nothing on stderr, and a failure."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "mlrek", args[0], saved, "-q", *args[1:]],
        cwd=tmp_path,
        env=clean_env(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")


def test_a_disk_that_is_full_fails_the_archive_in_a_line(saved, tmp_path):
    """Nothing half is left under a name that counts; with room again the rest is saved."""
    command = [sys.executable, "-m", "mlrek", "archive", saved, "copy", "--json"]

    def archive(room: int):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=clean_env(),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)["versions"]

    code, (full,) = archive(1000)
    kept = {path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    again, (saved_now,) = archive(resource.RLIM_INFINITY)

    assert (code, full["action"]) == (1, "failed")
    assert "cannot be written" in full["reason"]
    assert not {name for name in kept if name.startswith(("Testing", ".mlrek", "version.json"))}
    assert (again, saved_now["action"]) == (0, "saved")


def test_credentials_that_expire_at_any_request_lose_nothing(warm, s3_server, tmp_path, saved):
    """The version fails with what to do; none is logged without what could not be read."""
    for file in (path for path in saved.rglob("*") if path.is_file()):
        s3_server.put("saved", f"p/{file.relative_to(saved)}", file.read_bytes())
    args = ["sync", "s3://saved/p", "--json", "--tracking-uri", "sqlite:///a.db", "--dry-run"]
    warm.run(*args, cwd=tmp_path, env=s3_server.env)
    asked = [path for _, path, _ in s3_server.proxy.requests]
    assert [path.endswith(".jpg") for path in asked[5:]].count(True) > 2  # for pictures
    for n in range(len(asked)):
        s3_server.proxy.faults[:] = [S3Fault(key="", status=400, code="ExpiredToken", skip=n)]
        done = warm.run(*args, cwd=tmp_path, env=s3_server.env)
        assert done.returncode == 1, asked[n]
        assert "have expired; renew them" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, "SlowDown")])
def test_one_object_that_is_refused_fails_its_version_alone(
    warm, s3_server, tmp_path, status, code
):
    """The other version is logged, and once the object is readable so is this one."""
    saved = save_archive(tmp_path / "two", "v1", "v2")
    for file in (path for path in saved.rglob("*") if path.is_file()):
        s3_server.put("saved", f"p/{file.relative_to(saved)}", file.read_bytes())
    s3_server.proxy.fail("v2/TestingGroundTruth-pets-v2.json", status, code)
    args = ["sync", "s3://saved/p", "--json", "--tracking-uri", "sqlite:///mlflow.db"]
    env = s3_server.env | {"AWS_MAX_ATTEMPTS": "2"}
    done = warm.run(*args, cwd=tmp_path, env=env)
    s3_server.proxy.faults.clear()
    again = warm.run(*args, cwd=tmp_path, env=env)

    assert done.returncode == 1
    assert [v["action"] for v in json.loads(done.stdout)["versions"]] == ["created", "failed"]
    assert [v["action"] for v in json.loads(again.stdout)["versions"]] == ["unchanged", "created"]
