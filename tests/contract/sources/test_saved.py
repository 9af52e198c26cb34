"""Saved evaluations on disk and in S3: archives, console downloads, and files of other tools."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from fakes.evaluations import (
    F1,
    PROJECT_ARN,
    describe,
    find_places,
    make_files,
    make_manifest,
    make_summary,
    version_arn,
)

from mlrek.errors import ParseError, SourceError, SourceNotFoundError
from mlrek.evaluation import DoubtKind, Project, Provider
from mlrek.sources import open_source

PROJECT_FILE = json.dumps(
    {"provider": "rekognition", "project_arn": PROJECT_ARN, "project_name": "pets"}
).encode()
PROJECT = Project(provider=Provider.REKOGNITION, arn=PROJECT_ARN, name="pets")
SUMMARY = "EvaluationResultSummary-pets-v1.json"
MANIFEST = "TestingGroundTruth-pets-v1.json"
TRAINING = "TrainingGroundTruth-pets-v1.json"


def _archive(description, folder="", version="v1"):
    """An archive with one version, written by hand: path -> content."""
    place = f"{folder}versions/{version}/"
    said = json.dumps(description, default=lambda time: time.isoformat()).encode()
    files = {f"{folder}project.json": PROJECT_FILE, f"{place}version.json": said}
    for (_, key), content in make_files(description).items():
        files[place + key.rpartition("/")[2]] = content
    return files


def _load_only(source):
    (entry,) = source.list_versions()
    return source.load(entry)


# ---- the archive layout ---------------------------------------------------------------------


def test_an_archive_is_read(save):
    """Project, version and evaluation, and where the provider keeps the files."""
    evaluation = _load_only(save(_archive(describe(version_arn("v1")))))
    assert evaluation.version.project == PROJECT
    assert evaluation.version.arn == version_arn("v1")
    assert (len(evaluation.images), evaluation.reported.aggregate["f1"]) == (3, F1)
    places = {place["Name"] for _, place in find_places(describe(version_arn("v1")))}
    files = (SUMMARY, MANIFEST, TRAINING)
    assert {file.uri.partition("/evaluation/")[2] for file in evaluation.files} == {
        name.removeprefix("evaluation/") for name in places if name.endswith(files)
    }


def test_projects_are_found_however_deep(save):
    """Any number of them, also one archive inside another's folder."""
    other = PROJECT_ARN.replace("pets", "birds")
    files = _archive(describe(version_arn("v1")), "a/b/")
    files |= _archive(describe(version_arn("w1", project_arn=other)), "a/b/c/", "w1")
    files["a/b/c/project.json"] = PROJECT_FILE.replace(b"pets", b"birds")
    listed = [(e.version.project.name, e.version.name) for e in save(files).list_versions()]
    assert listed == [("birds", "w1"), ("pets", "v1")]


@pytest.mark.parametrize("place", ["versions", "versions/v1", f"versions/v1/{MANIFEST}"])
def test_a_part_of_an_archive_knows_its_project(save, place):
    """The folder of the versions, of one version, or one file of it."""
    evaluation = _load_only(save(_archive(describe(version_arn("v1"))), place))
    assert (evaluation.version.project, len(evaluation.images)) == (PROJECT, 3)


def test_versions_come_in_order_of_training(save):
    """Not in that of their folders."""
    files = {}
    for n, name in enumerate(("c", "a", "b")):
        files |= _archive(describe(version_arn(name, 1690000000000 + n)), version=name)
    assert [entry.version.name for entry in save(files).list_versions()] == ["c", "a", "b"]


def test_a_file_that_is_missing_is_like_one_that_is_gone(save):
    """Without the manifest the summary speaks, and a warning says so."""
    files = _archive(describe(version_arn("v1")))
    del files[f"versions/v1/{MANIFEST}"]
    evaluation = _load_only(save(files))
    assert (evaluation.images, evaluation.reported.test_images) == ((), 3)
    assert any("there is no manifest" in warning for warning in evaluation.warnings)


def test_a_version_without_evaluation_is_skipped(save):
    """With the same reason as live."""
    nothing = dict.fromkeys(("TestingDataResult", "EvaluationResult"))
    description = describe(version_arn("v1"), Status="TRAINING_IN_PROGRESS", **nothing)
    assert save(_archive(description)).list_versions()[0].skipped == "training is in progress"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"ProjectVersionArn": 7}', b'{"Status": "RUNNING"}', b"\xff\xfe", None],
)
def test_a_broken_description_fails_alone(save, content):
    """Half-written or nonsense: that version fails with the file's name, the others are read."""
    files = _archive(describe(version_arn("v1")))
    whole = files["versions/v1/version.json"]
    files["versions/v2/version.json"] = whole[:200] if content is None else content
    good, bad = sorted(save(files).list_versions(), key=lambda entry: entry.refused)
    assert (good.refused, bad.version.name, bad.version.project) == ("", "v2", PROJECT)
    assert "versions/v2/version.json: " in bad.refused


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"provider": "nobody"}', b"\xff"])
def test_a_broken_head_is_a_warning(save, content):
    """The versions' own ARNs and keys tell the project too."""
    files = _archive(describe(version_arn("v1"))) | {"project.json": content}
    (entry,) = save(files).list_versions()
    assert entry.version.project == PROJECT
    assert any("project.json: is not the head of an archive" in w for w in entry.warnings)


def test_without_a_head_the_project_is_found_in_the_keys(save):
    """The console keeps its files below the project's ARN."""
    files = _archive(describe(version_arn("v1")))
    del files["project.json"]
    assert save(files).list_versions()[0].version.project == PROJECT


def test_without_head_and_keys_the_project_is_known_by_the_version(save):
    """As far as the version's ARN goes."""
    files = _archive(describe(version_arn("v1"), prefix="my-output"))
    del files["project.json"]
    project = save(files).list_versions()[0].version.project
    assert (project.arn, project.name) == (PROJECT_ARN.rpartition("/")[0], "pets")


def test_a_head_of_another_project_does_not_count(save):
    """A version folder that was moved keeps its own project."""
    files = _archive(describe(version_arn("v1")))
    files["project.json"] = PROJECT_FILE.replace(b"pets", b"birds")
    assert save(files).list_versions()[0].version.project == PROJECT


@pytest.mark.parametrize(
    "time", ["2023-07-28T15:05:51.958Z", "2023-07-28T15:05:51.958", 1690556751.958]
)
def test_times_are_read_as_anybody_writes_them(save, time):
    """ISO 8601 with and without a zone, and the epoch seconds of the AWS command line."""
    files = _archive(describe(version_arn("v1", 1), CreationTimestamp=time))
    assert save(files).list_versions()[0].version.training_start_ms == 1690556751958


# ---- files from the console -----------------------------------------------------------------


def _download(names=(SUMMARY, MANIFEST)):
    """The two files of a version under other names."""
    return dict(zip(names, (make_summary(version_arn("v1")), make_manifest()), strict=True))


@pytest.mark.parametrize(
    "names",
    [
        (SUMMARY, MANIFEST),
        ("EvaluationResultSummary-pets-v1 (1).json", "TestingGroundTruth-pets-v1(2).json"),
        ("a/summary.json", "a/truth.jsonl"),
        ("x/y/download.json", "x/y/download.manifest"),
        (SUMMARY, "download.json"),
        ("EvaluationSummary-pets-v1.json", MANIFEST),
    ],
)
def test_a_download_is_read_whatever_its_name(save, names):
    """The version's ARN is in the summary, the project's as far as that goes."""
    evaluation = _load_only(save(_download(names)))
    assert evaluation.version.arn == version_arn("v1")
    assert evaluation.version.project.arn == PROJECT_ARN.rpartition("/")[0]
    assert (len(evaluation.images), evaluation.summary) == (3, make_summary(version_arn("v1")))
    assert evaluation.warnings == ()


def test_several_downloads_in_a_folder_are_told_by_their_names(save):
    """Each summary with the manifest of the same version."""
    files = {}
    for n in (1, 2, 3):
        files[f"EvaluationResultSummary-pets-v{n}.json"] = make_summary(version_arn(f"v{n}", n))
        files[f"TestingGroundTruth-pets-v{n}.json"] = make_manifest(n)
    source = save(files)
    loaded = [source.load(entry) for entry in source.list_versions()]
    assert [(e.version.name, len(e.images)) for e in loaded] == [("v1", 3), ("v2", 6), ("v3", 9)]


def test_files_of_different_versions_are_no_pair(save):
    """The service's names say so, even if the files are alone in their folder."""
    files = _download((SUMMARY, "TestingGroundTruth-pets-v2.json"))
    source = save(files)
    loaded = {entry.version.name: source.load(entry) for entry in source.list_versions()}
    assert {name: len(evaluation.images) for name, evaluation in loaded.items()} == {
        "v1": 0,
        "pets-v2": 3,
    }


def test_a_manifest_alone_gets_a_name_of_its_own_and_a_warning(save):
    """From folder and file; nothing else tells the version."""
    (entry,) = save({"downloads/TestingGroundTruth-pets-v1.json": make_manifest()}).list_versions()
    assert entry.version.arn == "local:project/downloads/version/pets-v1"
    assert entry.version.project.arn == "local:project/downloads"
    assert any("nothing tells which version" in warning for warning in entry.warnings)


def test_a_manifest_below_the_arn_of_its_project_is_named_by_it(save):
    """As `aws s3 sync` copies the console's bucket."""
    files = {f"evaluation/{PROJECT_ARN}/{MANIFEST}": make_manifest()}
    (entry,) = save(files).list_versions()
    assert (entry.version.project, entry.version.name) == (PROJECT, "v1")
    assert entry.version.arn == version_arn("v1").rpartition("/")[0]


def test_a_summary_below_the_arn_of_its_project_knows_it_whole(save):
    """Which no summary spells out itself."""
    files = {f"evaluation/{PROJECT_ARN}/{name}": data for name, data in _download().items()}
    assert save(files).list_versions()[0].version.project == PROJECT


def test_a_summary_alone_speaks_for_itself(save):
    """Numbers without images, and a warning that there are none."""
    evaluation = _load_only(save({SUMMARY: make_summary(version_arn("v1"))}))
    assert (evaluation.images, evaluation.reported.aggregate["f1"]) == ((), F1)
    assert ["there is no manifest" in warning for warning in evaluation.warnings] == [True]


@pytest.mark.parametrize("chosen", [SUMMARY, MANIFEST])
def test_a_single_file_takes_its_twin_along(save, chosen):
    """And nothing else of the folder."""
    other = {"EvaluationResultSummary-pets-v2.json": make_summary(version_arn("v2"))}
    evaluation = _load_only(save(_download() | other, chosen))
    assert (evaluation.version.name, len(evaluation.images)) == ("v1", 3)
    assert evaluation.reported.aggregate["f1"] == F1


def test_a_single_file_may_have_any_ending(save):
    """Whoever names a file means it."""
    evaluation = _load_only(save({"truth.txt": make_manifest()}, "truth.txt"))
    assert len(evaluation.images) == 3


@pytest.mark.parametrize("content", [b"", b"{}", b"hello", b'{"a": 1}\n', b"\x89PNG\r\n"])
def test_a_single_file_of_something_else_is_refused(save, content):
    """With what it should have been."""
    source = save({"file.json": content}, "file.json")
    with pytest.raises(SourceError, match=r"is no file of an evaluation; name one"):
        source.list_versions()


def test_a_broken_summary_fails_alone(save):
    """The other version is read; the broken one keeps the name and project that its files have."""
    files = _download()
    files["EvaluationResultSummary-pets-v2.json"] = make_summary(version_arn("v2"))[:-9]
    source = save(files)
    refused = {entry.version.name: entry.refused for entry in source.list_versions()}
    assert refused["v1"] == ""
    assert "EvaluationResultSummary-pets-v2.json: is not" in refused["v2"]


def test_a_broken_manifest_fails_when_it_is_read(save):
    """Listing reads heads only; loading says the line."""
    source = save(_download() | {MANIFEST: make_manifest() + b'{"source-ref": '})
    (entry,) = source.list_versions()
    with pytest.raises(ParseError) as info:
        source.load(entry)
    assert info.value.line == 4


def test_files_of_a_moderation_adapter(save):
    """Read like any other, though their lines are of another kind."""
    answers = (
        '"detect-moderation-labels": {"ModerationLabels": [{"Name": "Gore", "Confidence": 90}]}'
    )
    manifest = f'{{"source-ref": "s3://b/k", {answers}}}\n'.encode()
    source = save({MANIFEST: manifest})
    (entry,) = source.list_versions()
    assert source.load(entry).labels == ("Gore",)


def test_other_outputs_and_other_tools_files_are_passed_over(save):
    """Training manifests, validation, statistics, and whatever JSON lies around."""
    files = _download() | {
        "TrainingGroundTruth-pets-v1.json": make_manifest(),
        "TestingManifestWithValidation-pets-v1.json": b'{"source-ref": "s3://b/k"}\n',
        "ManifestSummary-pets-v1.json": b'{"statistics": {"training": {"use_case": "x"}}}',
        "package.json": b'{"name": "x"}',
        "broken.json": b'{"name": ',
        "version.json": b'{"version": "1.2"}',
        "images/1.png": b"\x89PNG",
        ".hidden/copy.json": make_summary(version_arn("v9")),
        "empty.jsonl": b"",
    }
    assert [entry.version.name for entry in save(files).list_versions()] == ["v1"]


def test_a_place_with_nothing_of_ours_says_what_was_looked_for(save):
    """So that a wrong folder is noticed."""
    source = save({"a.json": b"{}", "b.txt": b""})
    said = r"among its 2 files \(1 \.json, 1 \.txt\); looked for"
    with pytest.raises(SourceNotFoundError, match=said):
        source.list_versions()


def test_a_version_saved_twice_is_read_once(save):
    """The described one counts, and a warning names the other."""
    files = _archive(describe(version_arn("v1"))) | {
        f"downloads/{name}": data for name, data in _download().items()
    }
    (entry,) = save(files).list_versions()
    assert entry.description
    assert [warning for warning in entry.warnings if "downloads/" in warning and "copy" in warning]


def test_listing_reads_no_manifest(s3_server):
    """Of a manifest only the head travels, of an archive's not even that."""
    for path, content in (_archive(describe(version_arn("v1")), "a/") | _download()).items():
        s3_server.put("saved", path, content)
    s3_server.proxy.requests.clear()
    open_source("s3://saved").list_versions()
    assert s3_server.proxy.requests_for(f"/v1/{MANIFEST}") == []
    assert s3_server.proxy.requests_for(f"saved/{MANIFEST}") == ["bytes=0-65535"]


@pytest.mark.parametrize("denied", [SUMMARY, MANIFEST])
def test_a_denied_download_fails_its_version_alone(s3_server, denied):
    """The half that can be read makes no evaluation, and the other version is read."""
    files = _download()
    files["EvaluationResultSummary-pets-v2.json"] = make_summary(version_arn("v2"))
    for path, content in files.items():
        s3_server.put("saved", path, content)
    s3_server.proxy.fail(denied, 403, "AccessDenied")
    refused, read = sorted(open_source("s3://saved").list_versions(), key=lambda e: not e.refused)
    assert f"s3://saved/{denied}: access denied" in refused.refused
    assert (len(refused.parts), read.version.name, read.refused) == (2, "v2", "")


def test_a_denied_description_fails_its_version_alone(s3_server):
    """The other version is read."""
    files = _archive(describe(version_arn("v1"))) | _archive(describe(version_arn("v2")), "", "v2")
    for path, content in files.items():
        s3_server.put("saved", path, content)
    s3_server.proxy.fail("v1/version.json", 403, "AccessDenied")
    entries = {entry.version.name: entry for entry in open_source("s3://saved").list_versions()}
    assert "access denied" in entries["v1"].refused
    assert (entries["v2"].refused, entries["v1"].version.project) == ("", PROJECT)


def test_the_state_of_a_file_on_disk_is_its_content(tmp_path):
    """SHA-256 under the provider's place; a file that is not there is `missing`."""
    files = _archive(describe(version_arn("v1")))
    del files[f"versions/v1/{SUMMARY}"]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    source = open_source(str(tmp_path))
    state = source.read_state(source.list_versions()[0])
    told = {uri.rpartition("/")[2]: text for uri, text in state.items()}
    expected = {SUMMARY: "missing"}
    for name in (MANIFEST, TRAINING):
        content = files[f"versions/v1/{name}"]
        digest = hashlib.sha256(content).hexdigest()
        expected[name] = f"size={len(content)} sha256={digest}"
    assert told == expected


def test_a_folder_is_found_from_inside_itself(tmp_path, monkeypatch):
    """`.` and names relative to it."""
    for path, content in _archive(describe(version_arn("v1"))).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for folder, text in ((".", "."), ("versions/v1", "."), ("versions/v1", MANIFEST)):
        monkeypatch.chdir(tmp_path / folder)
        assert _load_only(open_source(text)).version.project == PROJECT


def test_a_key_that_tries_to_leave_its_folder_reads_nothing_outside(tmp_path):
    """A description that names `../../secret` gets no other file than its own folder's."""
    description = describe(version_arn("v1"))
    places = [place for _, place in find_places(description)]
    for place in places:
        place["Name"] = "x/../../../secret.json"
    files = _archive(describe(version_arn("v1")))
    files["versions/v1/version.json"] = json.dumps(description, default=str).encode()
    for path, content in files.items():
        (tmp_path / "archive" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "archive" / path).write_bytes(content)
    (tmp_path / "secret.json").write_bytes(make_manifest())
    (entry,) = open_source(str(tmp_path / "archive")).list_versions()
    folder = tmp_path / "archive" / "versions" / "v1"
    assert {Path(part.uri).parent for part in entry.parts} == {folder}


def test_a_file_that_may_not_be_read_fails_clearly(tmp_path, monkeypatch):
    """Denied on disk is as denied as in S3."""
    for name, content in _download().items():
        (tmp_path / name).write_bytes(content)
    source = open_source(str(tmp_path))
    (entry,) = source.list_versions()

    def deny(path, *args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(SourceError, match="permission denied; make it readable"):
        source.load(entry)


def test_byte_order_marks_are_accepted_everywhere(save):
    """Notepad puts one before whatever it saves; the project and version stay themselves."""
    files = _archive(describe(version_arn("v1")))
    files = {path: b"\xef\xbb\xbf" + content for path, content in files.items()}
    source = save(files)
    (entry,) = source.list_versions()
    assert (entry.refused, entry.warnings, entry.version.project) == ("", (), PROJECT)
    assert len(source.load(entry).images) == 3


# ---- which version files are of ------------------------------------------------------------

MANIFEST_V2 = "TestingGroundTruth-pets-v2.json"
SUMMARY_V2 = "EvaluationResultSummary-pets-v2.json"


@pytest.mark.parametrize("summary", [SUMMARY_V2, "summary.json"])
@pytest.mark.parametrize("is_described", [True, False])
def test_a_summary_of_another_version_than_the_names_say_gives_none(save, summary, is_described):
    """It is doubted and not used; the version keeps its images, and its ARN where that is known."""
    files = {f"2/{summary}": make_summary(version_arn("v1")), f"2/{MANIFEST_V2}": make_manifest(2)}
    files |= {f"1/{name}": data for name, data in _download().items()}
    if is_described:
        files["versions.json"] = json.dumps(describe(version_arn("v2", 5)), default=str).encode()
    source = save(files)
    loaded = {entry.version.name: source.load(entry) for entry in source.list_versions()}

    assert {name: len(one.images) for name, one in loaded.items()} == {"v1": 3, "v2": 6}
    second = loaded["v2"]
    known = version_arn("v2", 5) if is_described else version_arn("v2").rpartition("/")[0]
    assert second.version.arn == known
    assert [doubt.kind for doubt in second.doubts] == [DoubtKind.FOREIGN_SUMMARY]
    assert second.reported.aggregate == ({"f1": F1} if is_described else {})
    assert np.isnan(second.thresholds).all()
    assert any("but the files' names say v2, which counts" in said for said in second.warnings)
    assert loaded["v1"].doubts == ()


@pytest.mark.parametrize(
    "names",
    [
        ("EvaluationResultSummary-mine.json", "TestingGroundTruth-mine.json"),
        (SUMMARY, "truth.json"),
        ("v2/summary.json", "v2/truth.json"),
    ],
)
def test_a_summary_that_no_name_contradicts_tells_the_version(save, names):
    """Files that somebody renamed are of no other version for it."""
    evaluation = _load_only(save(_download(names)))
    assert (evaluation.version.arn, evaluation.doubts) == (version_arn("v1"), ())


@pytest.mark.parametrize("content", [b"", b"{", b"<html>login</html>"])
def test_a_broken_summary_fails_under_the_arn_that_something_else_tells(save, content):
    """A description next to it, for one."""
    described = json.dumps([describe(version_arn("v2", 5))], default=str).encode()
    files = {SUMMARY_V2: content, MANIFEST_V2: make_manifest(), "described.json": described}
    (entry,) = save(files).list_versions()

    assert entry.version.arn == version_arn("v2", 5)
    assert SUMMARY_V2 in entry.refused


def _answer(*versions: str, **more: object) -> str:
    listed = [describe(version_arn(name, int(name[1:]))) for name in versions]
    return json.dumps({"ProjectVersionDescriptions": listed, **more}, default=str)


DESCRIPTIONS = {
    "an answer": _answer("v1", "v2"),
    "indented, as the CLI prints it": json.dumps(json.loads(_answer("v1", "v2")), indent=4),
    "with a token": _answer("v1", "v2", NextToken="more"),
    "the token first": json.dumps({"NextToken": "x", **json.loads(_answer("v1", "v2"))}),
    "a list": json.dumps(json.loads(_answer("v1", "v2"))["ProjectVersionDescriptions"]),
    "a list of pages": f"[{_answer('v1')}, {_answer('v2')}]",
    "pages, one a line": _answer("v1", NextToken="more") + "\n" + _answer("v2"),
    "indented pages behind each other": "\n".join(
        json.dumps(json.loads(_answer(name)), indent=2) for name in ("v1", "v2")
    ),
    "one description a line": "\n".join(
        json.dumps(one) for one in json.loads(_answer("v1", "v2"))["ProjectVersionDescriptions"]
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_descriptions_are_read_in_every_form_that_tools_leave(save, text, encoding):
    """The CLI's answer, its list alone, several pages; also as PowerShell writes it."""
    files = _download() | {
        SUMMARY_V2: make_summary(version_arn("v2")),
        MANIFEST_V2: make_manifest(),
    }
    files[SUMMARY] = make_summary(version_arn("v1", 1))
    files[SUMMARY_V2] = make_summary(version_arn("v2", 2))
    found = save(files | {"described.json": text.encode(encoding)}).list_versions()

    assert [entry.version.arn for entry in found] == [version_arn("v1", 1), version_arn("v2", 2)]
    assert {entry.version.status for entry in found} == {"TRAINING_COMPLETED"}
    assert [entry.version.training_start_ms for entry in found] == [1, 2]


def test_one_description_alone_is_read(save):
    """What `--query 'ProjectVersionDescriptions[0]'` prints."""
    one = json.dumps(describe(version_arn("v1"), Status="STOPPED"), default=str, indent=1)
    (entry,) = save(_download() | {"v1.json": one.encode()}).list_versions()
    assert (entry.version.arn, entry.version.status) == (version_arn("v1"), "STOPPED")
