"""`mlrek archive` over real connections: complete, byte for byte, resumable, and safe."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.evaluations import (
    BUCKET,
    PROJECT_ARN,
    describe,
    find_places,
    make_manifest,
    make_summary,
    version_arn,
)

from mlrek import __version__
from mlrek.errors import SourceError
from mlrek.sources import open_source
from mlrek.sources.archive import write_archive

SUMMARY = "EvaluationResultSummary-pets-v1.json"
MANIFEST = "TestingGroundTruth-pets-v1.json"
TRAINING = "TrainingGroundTruth-pets-v1.json"


def _tree(folder):
    """Every file below a folder: path -> content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def _actions(results):
    return {result.version.name: result.action for result in results}


@pytest.fixture
def pet(publisher):
    """A project with one version, v1."""
    return open_source(publisher.publish(describe(version_arn("v1"))))


def test_an_archive_is_complete_and_byte_for_byte(publisher, pets, tmp_path):
    """All files of all versions under their own names, in the layout that is promised."""
    results = write_archive(open_source(pets), tmp_path)
    tree = _tree(tmp_path)
    for (_, key), content in publisher.files.items():
        name = key.rpartition("/")[2]
        version = name.removesuffix(".json").rpartition("-")[2]
        assert tree.pop(f"versions/{version}/{name}") == content
    assert sorted(tree) == ["project.json", "versions/v1/version.json", "versions/v2/version.json"]
    assert _actions(results) == {"v1": "saved", "v2": "saved"}
    assert (len(results[0].files), results[0].warnings) == (7, ())


def test_the_size_is_that_of_what_was_written(pet, tmp_path):
    """Bytes told on the way, and in the result, are those on the disk."""
    told = []
    (result,) = write_archive(pet, tmp_path, on_bytes=told.append)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "versions/v1").iterdir()}
    assert (result.size, set(result.files)) == (sum(sizes.values()), set(sizes))
    assert sum(told) == result.size - sizes["version.json"]


def test_the_head_says_what_was_read_when_and_by_what(pets, tmp_path):
    """Provider, ARN, name, time, program and source."""
    before = datetime.now(UTC).replace(microsecond=0)
    write_archive(open_source(pets), tmp_path)
    head = json.loads((tmp_path / "project.json").read_bytes())
    assert before <= datetime.fromisoformat(head.pop("read_at")) <= datetime.now(UTC)
    assert head == {
        "provider": "rekognition",
        "project_arn": PROJECT_ARN,
        "project_name": "pets",
        "read_by": f"mlrek {__version__}",
        "read_from": PROJECT_ARN,
    }


def test_the_description_is_kept_unchanged(pet, tmp_path):
    """`version.json` holds the same bytes as the live entry."""
    write_archive(pet, tmp_path)
    (entry,) = pet.list_versions()
    assert (tmp_path / "versions/v1/version.json").read_bytes() == entry.description


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_an_archive_reads_as_the_live_source_does(pets, tmp_path, s3_server, place):
    """Entries and evaluations are the same, from a folder and from an S3 prefix."""
    live = open_source(pets)
    write_archive(live, tmp_path)
    saved = open_source(str(tmp_path))
    if place == "s3":
        for path, content in _tree(tmp_path).items():
            s3_server.put("saved", f"some prefix/{path}", content)
        saved = open_source("s3://saved/some prefix")
    pairs = list(zip(live.list_versions(), saved.list_versions(), strict=True))
    assert len(pairs) == 2
    for one, other in pairs:
        assert (one.version, one.reported, one.description) == (
            other.version,
            other.reported,
            other.description,
        )
        evaluation, again = live.load(one), saved.load(other)
        assert (evaluation.images, evaluation.labels) == (again.images, again.labels)
        assert evaluation.records.confidence.tolist() == again.records.confidence.tolist()
        assert (evaluation.files, evaluation.summary) == (again.files, again.summary)
        assert (evaluation.reported, evaluation.warnings) == (again.reported, again.warnings)


def test_an_archive_of_an_archive_is_the_same(pets, tmp_path):
    """A second copy, made without an account."""
    write_archive(open_source(pets), tmp_path / "one")
    write_archive(open_source(str(tmp_path / "one")), tmp_path / "two")
    one, other = _tree(tmp_path / "one"), _tree(tmp_path / "two")
    del one["project.json"], other["project.json"]
    assert one == other


# ---- again ----------------------------------------------------------------------------------


def test_a_second_run_downloads_and_writes_nothing(pets, tmp_path, s3_server):
    """Sizes and digests are compared, no file is fetched."""
    write_archive(open_source(pets), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    s3_server.proxy.requests.clear()
    results = write_archive(open_source(pets), tmp_path)
    assert _actions(results) == {"v1": "unchanged", "v2": "unchanged"}
    assert (results[0].files, results[0].size) == ((), 0)
    assert {method for method, _, _ in s3_server.proxy.requests} == {"HEAD"}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_interrupted_run_is_taken_up(pet, tmp_path, s3_server):
    """What is there stays, what is missing or half is fetched, and nothing half has a name."""
    s3_server.proxy.cut_off(MANIFEST, after=10, times=1000)
    (result,) = write_archive(pet, tmp_path)
    assert (result.action, "cut off" in result.reason) == ("failed", True)
    assert sorted(path.name for path in (tmp_path / "versions/v1").iterdir()) == [SUMMARY]
    s3_server.proxy.reset()
    (result,) = write_archive(pet, tmp_path)
    assert result.action == "saved"
    assert not s3_server.proxy.requests_for(SUMMARY)
    assert (tmp_path / "versions/v1" / MANIFEST).read_bytes() == make_manifest()


@pytest.mark.parametrize("content", [b"half", b"x" * len(make_summary(version_arn("v1")))])
def test_a_copy_that_is_not_the_same_is_fetched_again(pet, tmp_path, content):
    """Also where only the content differs, not the size."""
    write_archive(pet, tmp_path)
    copy = tmp_path / "versions/v1" / SUMMARY
    copy.write_bytes(content)
    (result,) = write_archive(pet, tmp_path)
    assert (result.files, copy.read_bytes()) == ((SUMMARY,), make_summary(version_arn("v1")))


def test_an_interruption_stops_the_work(pets, tmp_path):
    """Ctrl-C in the middle: no version is begun any more, and nothing half is left."""

    def interrupt(_result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_archive(open_source(pets), tmp_path, jobs=1, on_version=interrupt)
    assert not list(tmp_path.rglob(".*"))
    assert _actions(write_archive(open_source(pets), tmp_path))["v2"] == "saved"


def test_old_leftovers_of_a_killed_run_go(pet, tmp_path):
    """Young ones stay: they may be somebody's work in progress."""
    folder = tmp_path / "versions/v1"
    folder.mkdir(parents=True)
    old, young = folder / ".mlrek-1.part", folder / ".mlrek-2.part"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    write_archive(pet, tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_new_version_is_added(publisher, pets, tmp_path, rekognition_server):
    """And a version whose status changed has a new description."""
    write_archive(open_source(pets), tmp_path)
    rekognition_server.versions[pets][0]["Status"] = "RUNNING"
    new = describe(version_arn("v3", 1690729551958))
    rekognition_server.versions[pets].append(new)
    rekognition_server.projects.clear()
    publisher.publish(new, project_arn=pets)
    rekognition_server.versions[pets] = [
        describe(version_arn("v1", 1690556751958), Status="RUNNING"),
        describe(version_arn("v2", 1690643151958)),
        new,
    ]
    results = write_archive(open_source(pets), tmp_path)
    assert _actions(results) == {"v1": "saved", "v2": "unchanged", "v3": "saved"}
    assert results[0].files == ("version.json",)


# ---- what is gone or denied -----------------------------------------------------------------


def test_what_is_gone_is_a_warning(pet, publisher, tmp_path):
    """The rest is saved; reading the archive ends as reading live would."""
    publisher.delete("TestingGroundTruth")
    (result,) = write_archive(pet, tmp_path)
    assert result.action == "saved"
    assert [MANIFEST in warning for warning in result.warnings] == [True]
    saved = open_source(str(tmp_path))
    (entry,) = saved.list_versions()
    assert saved.load(entry).images == ()


def test_a_copy_outlives_its_original(pet, publisher, tmp_path):
    """What is gone at the provider stays in the archive."""
    write_archive(pet, tmp_path)
    publisher.delete("TestingGroundTruth")
    (result,) = write_archive(pet, tmp_path)
    assert (result.action, len(result.warnings)) == ("unchanged", 1)
    assert "the copy saved earlier stays" in result.warnings[0]
    assert (tmp_path / "versions/v1" / MANIFEST).read_bytes() == make_manifest()


@pytest.mark.parametrize("name", [SUMMARY, MANIFEST])
def test_a_denied_evaluation_fails_that_version_alone(pets, tmp_path, s3_server, name):
    """The others are saved; no `version.json` claims that it is whole."""
    s3_server.proxy.fail(name, 403, "AccessDenied")
    results = write_archive(open_source(pets), tmp_path)
    assert _actions(results) == {"v1": "failed", "v2": "saved"}
    assert "access denied; this needs s3:GetObject" in results[0].reason
    assert not (tmp_path / "versions/v1/version.json").exists()


def test_a_denied_file_that_no_evaluation_needs_is_a_warning(pet, tmp_path, s3_server):
    """Training manifests may be locked away."""
    s3_server.proxy.fail(TRAINING, 403, "AccessDenied")
    (result,) = write_archive(pet, tmp_path)
    assert (result.action, len(result.warnings), TRAINING in result.warnings[0]) == (
        "saved",
        1,
        True,
    )


def test_a_version_without_evaluation_is_described(publisher, tmp_path):
    """So that the archive lists what the service lists."""
    nothing = dict.fromkeys(("TestingDataResult", "EvaluationResult", "ManifestSummary"))
    arn = publisher.publish(describe(version_arn("v1"), Status="TRAINING_FAILED", **nothing))
    write_archive(open_source(arn), tmp_path)
    (entry,) = open_source(str(tmp_path)).list_versions()
    assert entry.skipped.startswith("training failed")


# ---- where things go ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["../../x", "..", "/etc/cron.d/x", "C:\\x", "..\\..\\x", "a\tb", "x/version.json", "x/", "con"],
)
def test_no_key_leaves_the_folder(publisher, tmp_path, key):
    """Whatever the service names: all files lie in the version's folder and are read from there."""
    description = describe(version_arn("v1"))
    _, place = next(p for p in find_places(description) if p[0] == "TestingDataResult.Output")
    place["Name"] = key
    (result,) = write_archive(open_source(publisher.publish(description)), tmp_path / "a" / "b")
    assert (result.action, result.warnings) == ("saved", ())
    outside = {path for path in _tree(tmp_path) if not path.startswith("a/b/versions/v1/")}
    assert outside == {"a/b/project.json"}
    saved = open_source(str(tmp_path / "a" / "b"))
    (entry,) = saved.list_versions()
    evaluation = saved.load(entry)
    assert len(evaluation.images) == 3
    assert f"s3://{BUCKET}/{key}" in {file.uri for file in evaluation.files}


def test_a_version_named_dots_stays_inside(publisher, tmp_path):
    """The service's pattern for names allows `..`."""
    arn = publisher.publish(describe(version_arn(".."), prefix="out"))
    write_archive(open_source(arn), tmp_path / "a")
    assert {path.parts[0] for path in (p.relative_to(tmp_path) for p in tmp_path.rglob("*"))} == {
        "a"
    }
    assert [entry.version.name for entry in open_source(str(tmp_path)).list_versions()] == [".."]


def test_files_of_the_same_name_are_numbered(publisher, tmp_path):
    """Two keys that differ only in their folders."""
    description = describe(version_arn("v1"))
    for n, (_, place) in enumerate(find_places(description)):
        place["Name"] = f"{n}/out.json"
    (result,) = write_archive(open_source(publisher.publish(description)), tmp_path)
    names = {"out.json", *(f"out-{n}.json" for n in range(2, 7)), "version.json"}
    assert set(result.files) == names
    saved = open_source(str(tmp_path))
    assert len(saved.load(saved.list_versions()[0]).images) == 3


def test_versions_a_disk_takes_for_the_same_get_folders_of_their_own(publisher, tmp_path):
    """Names that differ in case only."""
    arn = publisher.publish(describe(version_arn("v1", 1)), describe(version_arn("V1", 2)))
    write_archive(open_source(arn), tmp_path)
    folders = sorted(path.name.lower() for path in (tmp_path / "versions").iterdir())
    assert len(set(folders)) == 2
    assert [e.version.name for e in open_source(str(tmp_path)).list_versions()] == ["v1", "V1"]


def test_a_version_made_anew_does_not_replace_the_old(publisher, rekognition_server, tmp_path):
    """Deleted and trained again under the same name: both are kept."""
    old, new = describe(version_arn("v1", 1)), describe(version_arn("v1", 2))
    arn = publisher.publish(old)
    write_archive(open_source(arn), tmp_path)
    rekognition_server.versions[arn] = [new]
    for _ in range(2):
        write_archive(open_source(arn), tmp_path)
    arns = [entry.version.arn for entry in open_source(str(tmp_path)).list_versions()]
    assert arns == [version_arn("v1", 1), version_arn("v1", 2)]
    assert len(list((tmp_path / "versions").iterdir())) == 2


def test_several_projects_get_a_folder_each(publisher, s3_server, tmp_path):
    """Also two of one name, from two regions; a second run finds them again."""
    arns = [
        PROJECT_ARN,
        PROJECT_ARN.replace("us-east-1", "eu-west-1"),
        PROJECT_ARN.replace("pets", "birds"),
    ]
    for n, arn in enumerate(arns):
        description = describe(version_arn("v1", project_arn=arn), prefix=f"out/{n}")
        publisher.publish(description, project_arn=arn)
        write_archive(open_source(arn), tmp_path / "each" / str(n))
    for _ in range(2):
        results = write_archive(open_source(str(tmp_path / "each")), tmp_path / "all")
    assert {result.action for result in results} == {"unchanged"}
    folders = sorted(path.name.partition("-")[0] for path in (tmp_path / "all").iterdir())
    assert folders == ["birds", "pets", "pets"]
    listed = {e.version.project.arn for e in open_source(str(tmp_path / "all")).list_versions()}
    assert listed == set(arns)


def test_the_archive_of_another_project_is_not_written_to(publisher, pets, tmp_path):
    """One folder, one project: nothing is mixed."""
    other = PROJECT_ARN.replace("pets", "birds")
    description = describe(version_arn("w1", project_arn=other), prefix="out")
    publisher.publish(description, project_arn=other)
    write_archive(open_source(other), tmp_path)
    before = _tree(tmp_path)
    with pytest.raises(SourceError, match=r"the archive of another project .*project/birds/"):
        write_archive(open_source(pets), tmp_path)
    assert _tree(tmp_path) == before


def test_files_from_the_console_can_be_archived(tmp_path):
    """They read the same from the archive as before."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / "truth.json").write_bytes(make_manifest())
    (downloads / "EvaluationResultSummary-pets-v1.json").write_bytes(
        make_summary(version_arn("v1"))
    )
    before = open_source(str(downloads)).list_versions()
    write_archive(open_source(str(downloads)), tmp_path / "archive")
    after = open_source(str(tmp_path / "archive")).list_versions()
    assert [entry.version for entry in after] == [entry.version for entry in before]
    assert len(after[0].parts) == 2


def test_a_manifest_alone_keeps_its_made_up_name_in_an_archive(tmp_path):
    """The identity does not change with the folder."""
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "truth.json").write_bytes(make_manifest())
    (before,) = open_source(str(tmp_path / "downloads")).list_versions()
    write_archive(open_source(str(tmp_path / "downloads")), tmp_path / "archive")
    (after,) = open_source(str(tmp_path / "archive")).list_versions()
    assert after.version == before.version


def test_a_place_that_cannot_be_written_is_one_line(pets, tmp_path):
    """A file where the folder should be."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match=r"file: cannot be written: .*xists"):
        write_archive(open_source(pets), tmp_path / "file")


def test_a_version_whose_files_nobody_knows_is_not_saved_but_failed(pet, tmp_path):
    """Its description cannot be read, so what it names is missing from the archive."""
    write_archive(pet, tmp_path / "first")
    (tmp_path / "first/versions/v1/version.json").write_bytes(b"{")
    source = open_source(str(tmp_path / "first"))
    (result,) = write_archive(source, tmp_path / "second")
    (again,) = write_archive(source, tmp_path / "second")

    assert (result.action, again.action) == ("failed", "failed")
    assert "is not the description of a version" in result.reason
    assert (tmp_path / "second/versions/v1/version.json").read_bytes() == b"{"
