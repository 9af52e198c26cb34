"""Loading an evaluation: what is gone, denied or broken ends as promised, and nothing is hidden."""

import hashlib

import pytest
from fakes.evaluations import (
    BUCKET,
    F1,
    PREFIX,
    describe,
    make_manifest,
    make_summary,
    make_training_manifest,
    version_arn,
)

from mlrek.errors import ParseError, SourceError, SourceNotFoundError
from mlrek.evaluation import DoubtKind, SourceFile
from mlrek.sources import open_source

MANIFEST = f"{PREFIX}/TestingGroundTruth-pets-v1.json"
TRAINING = f"{PREFIX}/TrainingGroundTruth-pets-v1.json"
SUMMARY = f"{PREFIX}/EvaluationResultSummary-pets-v1.json"
IMAGES = ("s3://images/a cat.jpg", "s3://images/dog+1.jpg", "s3://images/dög:2.jpg")


@pytest.fixture
def source(publisher):
    """A project with one version, v1."""
    return open_source(publisher.publish(describe(version_arn("v1"))))


def _load(source, **options):
    (entry,) = source.list_versions()
    return source.load(entry, **options)


def test_an_evaluation_is_read_from_manifest_and_summary(source):
    """Images in file order, labels in the provider's, thresholds and numbers of the summary."""
    evaluation = _load(source)
    assert (evaluation.images, evaluation.labels) == (IMAGES, ("dog", "cat"))
    assert evaluation.thresholds.tolist() == [0.5, 0.5]
    assert evaluation.reported.aggregate["f1"] == F1
    assert evaluation.summary == make_summary(version_arn("v1"))
    assert evaluation.version.name == "v1"


def test_the_files_it_was_read_from_are_known_by_content(source):
    """Role, place, size and SHA-256 of each."""
    contents = {("summary", SUMMARY): make_summary(version_arn("v1"))}
    contents["manifest", MANIFEST] = make_manifest()
    contents["training_manifest", TRAINING] = make_training_manifest("s3://images/trained on.jpg")
    expected = {
        SourceFile(
            role=role,
            uri=f"s3://{BUCKET}/{key}",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        for (role, key), content in contents.items()
    }
    assert set(_load(source).files) == expected


def test_bytes_are_told_as_they_are_read(source):
    """What drives a progress bar adds up to the files' sizes."""
    told = []
    evaluation = _load(source, on_bytes=told.append)
    assert sum(told) == sum(file.size for file in evaluation.files)


def test_the_version_id_that_the_service_names_is_read(publisher, s3_server):
    """A file that was overwritten since is read as it was."""
    s3_server.put(BUCKET, "x", b"")
    s3_server.client.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    old = s3_server.put(BUCKET, MANIFEST, make_manifest())["VersionId"]
    description = describe(version_arn("v1"))
    asset = description["TestingDataResult"]["Output"]["Assets"][0]
    asset["GroundTruthManifest"]["S3Object"]["Version"] = old
    arn = publisher.publish(description)
    s3_server.put(BUCKET, MANIFEST, b"something else\n")
    source = open_source(arn)
    assert _load(source).images == IMAGES
    state = source.read_state(source.list_versions()[0])[f"s3://{BUCKET}/{MANIFEST}"]
    assert f"version={old}" in state


def test_several_manifests_are_read_in_order(publisher, s3_server):
    """Also where the first does not end with a line break."""
    lines = make_manifest().splitlines(keepends=True)
    description = describe(version_arn("v1"))
    assets = description["TestingDataResult"]["Output"]["Assets"]
    more = {"Bucket": BUCKET, "Name": "more.json"}
    assets.append({"GroundTruthManifest": {"S3Object": more}})
    arn = publisher.publish(description)
    s3_server.put(BUCKET, MANIFEST, b"".join(lines[:2]).rstrip(b"\n"))
    s3_server.put(BUCKET, "more.json", lines[2])
    evaluation = _load(open_source(arn))
    assert evaluation.images == IMAGES
    assert [file.role for file in evaluation.files].count("manifest") == 2


def test_half_of_several_manifests_is_none(publisher, s3_server):
    """A test set with a hole would give wrong numbers."""
    description = describe(version_arn("v1"))
    assets = description["TestingDataResult"]["Output"]["Assets"]
    gone = {"Bucket": BUCKET, "Name": "gone.json"}
    assets.append({"GroundTruthManifest": {"S3Object": gone}})
    arn = publisher.publish(description)
    s3_server.client.delete_object(Bucket=BUCKET, Key="gone.json")
    evaluation = _load(open_source(arn))
    assert evaluation.images == ()
    assert any("gone.json" in warning for warning in evaluation.warnings)
    assert [file.role for file in evaluation.files] == ["summary"]


def test_without_its_manifest_the_summary_speaks(source, publisher):
    """404: the provider's numbers are there, no image is, and a warning says so."""
    publisher.delete("TestingGroundTruth")
    evaluation = _load(source)
    assert (evaluation.images, evaluation.reported.test_images) == ((), 3)
    assert any("there is no manifest" in w for w in evaluation.warnings)


def test_without_its_summary_the_manifest_speaks(source, publisher):
    """404: the images are there, the thresholds are not, the service's F1 is."""
    publisher.delete("EvaluationResultSummary")
    evaluation = _load(source)
    assert (evaluation.images, evaluation.reported.aggregate) == (IMAGES, {"f1": F1})
    assert any("there is no summary" in w for w in evaluation.warnings)


def test_without_both_the_service_s_f1_speaks(source, publisher):
    """What there is: one number, two warnings, no file."""
    publisher.delete("-pets-v1.json")
    evaluation = _load(source)
    assert (evaluation.images, evaluation.reported.aggregate) == ((), {"f1": F1})
    assert evaluation.files == ()


def test_with_nothing_left_the_version_fails(publisher):
    """Both gone and no F1: the message names what is gone."""
    description = describe(version_arn("v1"))
    del description["EvaluationResult"]["F1Score"]
    source = open_source(publisher.publish(description))
    publisher.delete("-pets-v1.json")
    with pytest.raises(SourceNotFoundError, match=r"nothing is left.*TestingGroundTruth") as info:
        _load(source)
    assert info.value.uri == version_arn("v1")


@pytest.mark.parametrize("key", [MANIFEST, SUMMARY])
def test_what_is_denied_fails(source, s3_server, key):
    """A 403 may mean anything, so nothing is made of it."""
    s3_server.proxy.fail(key, 403, "AccessDenied")
    with pytest.raises(SourceError, match="access denied; this needs s3:GetObject") as info:
        _load(source)
    assert not isinstance(info.value, SourceNotFoundError)


def test_half_a_download_is_completed(source, s3_server):
    """The manifest breaks off once."""
    s3_server.proxy.cut_off(MANIFEST, after=700, times=1)
    assert _load(source).images == IMAGES


def test_half_a_file_fails(source, s3_server):
    """The manifest breaks off again and again: no number comes of it."""
    s3_server.proxy.cut_off(MANIFEST, after=10, times=1000)
    with pytest.raises(SourceError, match="cut off"):
        _load(source)


def test_half_a_file_in_s3_fails_with_its_line(source, s3_server):
    """A manifest that was stored incomplete."""
    s3_server.put(BUCKET, MANIFEST, make_manifest()[:-20])
    with pytest.raises(ParseError) as info:
        _load(source)
    assert (info.value.line, MANIFEST in info.value.uri) == (3, True)


def test_a_bad_line_is_skipped_on_request(source, s3_server):
    """The option reaches the parser, and the doubt the evaluation."""
    s3_server.put(BUCKET, MANIFEST, b"{broken\n" + make_manifest())
    evaluation = _load(source, skip_bad_lines=True)
    assert evaluation.images == IMAGES
    assert [doubt.kind for doubt in evaluation.doubts] == [DoubtKind.LINES_SKIPPED]


def test_a_broken_summary_fails(source, s3_server):
    """It is there, but is not what it should be."""
    s3_server.put(BUCKET, SUMMARY, make_summary(version_arn("v1"))[:-20])
    with pytest.raises(ParseError, match="EvaluationResultSummary"):
        _load(source)


def test_the_warnings_of_the_entry_reach_the_evaluation(publisher):
    """That the service split the test set off by itself must stand in the run."""
    description = describe(version_arn("v1"))
    description["TestingDataResult"]["Output"]["AutoCreate"] = True
    evaluation = _load(open_source(publisher.publish(description)))
    assert any("split" in warning for warning in evaluation.warnings)


def test_a_skipped_version_cannot_be_loaded(publisher):
    """The reason is the message."""
    nothing = dict.fromkeys(("TestingDataResult", "EvaluationResult"))
    arn = publisher.publish(describe(version_arn("v1"), Status="TRAINING_IN_PROGRESS", **nothing))
    with pytest.raises(SourceError, match="training is in progress"):
        _load(open_source(arn))


def test_the_state_names_the_evaluation_files_alone(source, publisher, s3_server):
    """Summary and manifests, each with size and ETag; one that is gone is `missing`."""
    publisher.delete("EvaluationResultSummary")
    state = source.read_state(source.list_versions()[0])
    trained = make_training_manifest("s3://images/trained on.jpg")
    digest, other = (
        hashlib.md5(content, usedforsecurity=False).hexdigest()
        for content in (make_manifest(), trained)
    )
    assert state == {
        f"s3://{BUCKET}/{SUMMARY}": "missing",
        f"s3://{BUCKET}/{MANIFEST}": f"size={len(make_manifest())} etag={digest}",
        f"s3://{BUCKET}/{TRAINING}": f"size={len(trained)} etag={other}",
    }
    assert not s3_server.proxy.requests_for(MANIFEST)


def test_the_number_of_test_images_comes_from_the_summary(source, publisher):
    """Without reading the manifest; unknown when there is no summary."""
    (entry,) = source.list_versions()
    assert source.read_test_images(entry) == 3
    publisher.delete("EvaluationResultSummary")
    assert source.read_test_images(entry) is None
