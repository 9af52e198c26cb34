"""Where the small pictures of a report come from: the option `--images` of the real command."""

import json
import re
from pathlib import Path

import pytest
from fakes.s3_proxy import S3Fault


@pytest.fixture
def sync_report(run_mlrek, tmp_path):
    """Sync a source with options into a database; the data of the report, and what was said."""
    from mlflow import MlflowClient

    def sync(source, *options, env=None):
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        args = ("sync", source, "--tracking-uri", uri, "--json", *options)
        told = json.loads(run_mlrek(*args, env=env).stdout)
        (version,) = told["versions"]
        path = MlflowClient(uri).download_artifacts(version["run_id"], "report.html", str(tmp_path))
        page = Path(path).read_text("utf-8")
        (text,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
        return json.loads(text), version

    return sync


@pytest.fixture
def one_version(digits, tmp_path):
    """The last version of the digits, alone and without the images."""
    folder = tmp_path / "alone"
    folder.mkdir()
    for path in (digits / "versions" / "v4-new-split").glob("*-digits-*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_pictures_come_from_where_they_are_said_to_be(one_version, digits, sync_report):
    """Nothing is there, `none` asks for nothing, a folder gives 240; each is a run of its own."""
    found, version = sync_report(one_version)
    assert (found["images"]["asked"], len(found["images"]["thumbnails"])) == (240, 0)
    assert version["action"] == "created"

    found, version = sync_report(one_version, "--images", "none")
    assert (found["images"]["asked"], len(found["images"]["thumbnails"])) == (0, 0)
    assert version["action"] == "replaced"

    found, version = sync_report(one_version, "--images", digits / "images")
    assert (found["images"]["asked"], len(found["images"]["thumbnails"])) == (240, 240)
    assert version["action"] == "replaced"

    found, version = sync_report(one_version, "--images", digits / "images")
    assert version["action"] == "unchanged"


def test_pictures_come_from_s3(one_version, digits, sync_report, s3_server):
    """A prefix serves as a folder; one that is denied costs a few requests and no run."""
    for path in (digits / "images").iterdir():
        s3_server.put("pictures", f"digits/{path.name}", path.read_bytes())
    found, _ = sync_report(one_version, "--images", "s3://pictures/digits", env=s3_server.env)
    assert len(found["images"]["thumbnails"]) == 240

    s3_server.proxy.fail("", 403, "AccessDenied")
    s3_server.proxy.requests.clear()
    found, version = sync_report(
        one_version, "--images", "s3://pictures/digits", "--force", env=s3_server.env
    )
    assert (version["action"], len(found["images"]["thumbnails"])) == ("replaced", 0)
    assert len(s3_server.proxy.requests) <= 3


def test_a_login_that_expires_among_the_pictures_leaves_no_run_without_them(
    one_version, digits, sync_report, run_mlrek, s3_server, tmp_path
):
    """Such a run would count as unchanged for ever; so the version fails, and comes next time."""
    for path in (digits / "images").iterdir():
        s3_server.put("pictures", f"digits/{path.name}", path.read_bytes())
    fault = S3Fault(key=".png", status=400, code="ExpiredToken", skip=100)
    s3_server.proxy.faults.append(fault)
    store = ("--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    place = ("--images", "s3://pictures/digits")
    done = run_mlrek("sync", one_version, *store, *place, "--json", env=s3_server.env, check=False)
    s3_server.proxy.faults.clear()
    found, version = sync_report(one_version, *place, env=s3_server.env)

    assert done.returncode == 1
    (failed,) = json.loads(done.stdout)["versions"]
    assert failed["action"] == "failed"
    assert "have expired; renew them" in failed["reason"]
    assert (version["action"], len(found["images"]["thumbnails"])) == ("created", 240)


def test_pictures_of_a_comparison_come_from_s3(digits, run_mlrek, s3_server, tmp_path):
    """From where the manifest says that they are; where that is denied, names stand for them."""
    for path in digits.rglob("*.json"):
        s3_server.put("saved", str(path.relative_to(digits)), path.read_bytes())
    for path in (digits / "images").iterdir():
        s3_server.put("digits", path.name, path.read_bytes())
    names = [f"s3://saved/#{name}" for name in ("v1-naive-bayes", "v2-linear")]

    def compare():
        path = tmp_path / "comparison.html"
        run_mlrek("compare", *names, "--no-log", "--html", path, env=s3_server.env)
        (text,) = re.findall(r'id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
        return json.loads(text)

    found = compare()
    changed = {change[0] for kind in found["changes"].values() for change in kind}
    assert {int(place) for place in found["images"]["thumbnails"]} == changed

    s3_server.proxy.fail(".png", 403, "AccessDenied")
    denied = compare()
    assert denied["images"]["thumbnails"] == {}
    assert denied["totals"] == found["totals"]


def test_pictures_of_two_runs_come_from_their_reports(one_store, run_mlrek, tmp_path):
    """Where no source is at hand, the page of a comparison has what both reports hold.

    A report that somebody replaced by something else is no picture, and no failure.
    """
    store, runs = one_store

    def compare():
        path = tmp_path / "comparison.html"
        names = [f"runs:/{run_id}" for run_id in runs]
        run_mlrek("compare", *names, "--no-log", "--html", path, "--tracking-uri", store)
        (text,) = re.findall(r'id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
        return json.loads(text)

    images = compare()["images"]
    assert len(images["thumbnails"]) > 0
    assert all(uri.startswith("data:image/webp;base64,") for uri in images["thumbnails"].values())

    for run_id in runs:
        (report,) = tmp_path.rglob(f"{run_id}/artifacts/report.html")
        report.write_text('<script type="application/json" id="data">{"images": [1]}</script>')
    assert compare()["images"]["thumbnails"] == {}


@pytest.fixture
def one_store(digits, run_mlrek, tmp_path):
    """The digits in a store on this machine: its address, and the runs of two versions."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    done = run_mlrek("sync", digits, "--tracking-uri", store, "--json")
    runs = {one["version"]: one["run_id"] for one in json.loads(done.stdout)["versions"]}
    return store, (runs["v1-naive-bayes"], runs["v2-linear"])


def test_a_folder_that_is_not_there_is_wrong_usage(one_version, run_mlrek):
    """With what else there is to say."""
    done = run_mlrek("sync", one_version, "--images", "nowhere", check=False)

    assert done.returncode == 2
    assert (
        "--images nowhere: no such file or folder; give a folder, or auto, or none" in done.stderr
    )
