"""Row 17: other pictures under the old names; what a comparison and a check make of them."""

import json

import pytest
from builders.projects import make_test, save_project

LABELS = ("bad", "good")
N = 60
POLICY = '[baseline]\nversion = "runs:/{}"\n[[better]]\nmetric = "aggregate/accuracy"\n'
LATER = "2100-01-01T00:00:00+00:00"


def make_version(n_right):
    """A version that has so many of its images right; they are files in `pets/`."""
    truth = [LABELS[i % 2] for i in range(N)]
    predicted = [LABELS[(i + (i >= n_right)) % 2] for i in range(N)]
    images = [f"s3://parts/pets/{i:03}.jpg" for i in range(N)]
    return make_test(truth, predicted, LABELS, images=images)


def make_picture(i, salt=0):
    """Some bytes, all pictures of one size."""
    return f"picture {i:03} {salt}".encode()


@pytest.fixture
def project(tmp_path):
    """An archive of two versions, the newer one clearly better; no picture changes in training."""
    folder = save_project(tmp_path / "p", v1=make_version(30), v2=make_version(55))
    for path in (folder / "versions").glob("*/version.json"):
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"TrainingEndTimestamp": LATER}))
    return folder


@pytest.fixture
def log(run_mlrek, new_store):
    """Sync one version of a source; its run and what was said."""

    def run(source, version, *args, env=None):
        command = ("sync", source, "--version", version, "--json", "--tracking-uri", new_store)
        (result,) = json.loads(run_mlrek(*command, *args, env=env).stdout)["versions"]
        return result

    return run


@pytest.fixture
def check(run_mlrek, new_store, tmp_path):
    """Check one run against another; the exit code and the kinds of doubts."""

    def run(candidate, baseline):
        path = tmp_path / "policy.toml"
        path.write_text(POLICY.format(baseline["run_id"]))
        args = ("check", f"runs:/{candidate['run_id']}", "--policy", path, "--json")
        done = run_mlrek(*args, "--tracking-uri", new_store, check=False)
        doubts = json.loads(done.stdout)["doubts"]
        return done.returncode, {doubt["kind"]: doubt for doubt in doubts}

    return run


def draw(folder, salt=0, places=range(N)):
    """Put pictures where an archive keeps them."""
    (folder / "images" / "pets").mkdir(parents=True, exist_ok=True)
    for i in places:
        (folder / "images" / "pets" / f"{i:03}.jpg").write_bytes(make_picture(i, salt))


def test_other_pictures_on_a_disk_promote_nobody(project, log, check):
    """20 of 60 are overwritten between the two: being better is undecided.

    Logging the older one again does not take the new pictures for those that it was tested on.
    """
    draw(project)
    log(project, "v1")
    draw(project, salt=1, places=range(20))
    first = log(project, "v1", "--prediction-rule", "threshold")
    assert first["action"] == "replaced"
    second = log(project, "v2")
    code, doubts = check(second, first)
    assert code == 4
    doubt = doubts["pictures_changed"]
    assert (doubt["count"], doubt["of"], doubt["side"]) == (20, N, None)
    assert doubt["effect"] == "stops_relative"
    assert "'s3://parts/pets/000.jpg'" in doubt["text"]


@pytest.fixture
def stored(project, s3_server):
    """The same archive in S3, whose pictures lie in the bucket that they are named by."""
    for path in filter(lambda path: path.is_file(), project.rglob("*")):
        s3_server.put("kept", f"p/{path.relative_to(project).as_posix()}", path.read_bytes())
    return s3_server


def upload(server, salt=0, places=range(N), **extra):
    """Put pictures where their names say."""
    for i in places:
        server.put("parts", f"pets/{i:03}.jpg", make_picture(i, salt), **extra)


def count_pages(server):
    """The pages that were listed of the pictures' bucket."""
    return sum("list-type=2" in path for _, path, _ in server.proxy.requests if "/parts" in path)


def test_other_pictures_in_s3_promote_nobody(stored, log, check):
    """By ETags alone, for all have one size; a second sync and a dry one ask for nothing."""
    upload(stored)
    first = log("s3://kept/p", "v1", env=stored.env)
    upload(stored, salt=1, places=range(20))
    stored.proxy.requests.clear()
    log("s3://kept/p", "v2", "--dry-run", env=stored.env)
    assert count_pages(stored) == 0
    second = log("s3://kept/p", "v2", env=stored.env)
    assert count_pages(stored) == 1
    code, doubts = check(second, first)
    assert (code, doubts["pictures_changed"]["count"]) == (4, 20)
    again = log("s3://kept/p", "v2", env=stored.env)
    assert (again["action"], count_pages(stored)) == ("unchanged", 1)
    assert second["warnings"] == first["warnings"]


def test_pictures_written_after_the_training_are_doubted(project, s3_server, log):
    """Whatever it was tested on is gone. With `--images none` nobody asks for it."""
    path = project / "versions" / "v1" / "version.json"
    told = json.loads(path.read_text()) | {"TrainingEndTimestamp": "2023-07-28T15:33:10+00:00"}
    path.write_text(json.dumps(told))
    for path in filter(lambda path: path.is_file(), project.rglob("*")):
        s3_server.put("kept", f"p/{path.relative_to(project).as_posix()}", path.read_bytes())
    upload(s3_server)
    unasked = log("s3://kept/p", "v1", "--images", "none", env=s3_server.env)
    assert "pictures_changed" not in {one["kind"] for one in unasked["doubts"]}
    assert count_pages(s3_server) == 0
    asked = log("s3://kept/p", "v1", env=s3_server.env)
    (doubt,) = (one for one in asked["doubts"] if one["kind"] == "pictures_changed")
    assert (doubt["count"], doubt["of"], doubt["touches"]) == (N, N, ["*"])
    assert "written after v1 was trained and tested (2023-07-28 15:33 UTC)" in doubt["text"]
