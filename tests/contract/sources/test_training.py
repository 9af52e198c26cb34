"""Was it trained on the test? The version's own training manifest tells, and never fails it."""

import json

import pytest
from fakes.evaluations import BUCKET, PREFIX, describe, make_training_manifest, version_arn

from mlrek.evaluation import DoubtKind
from mlrek.sources import open_source
from mlrek.sources.archive import write_archive

TRAINING = f"{PREFIX}/TrainingGroundTruth-pets-v1.json"
CAT, DOG = "s3://images/a cat.jpg", "s3://images/dog+1.jpg"
UNKNOWN = "whether test images were trained on is unknown: "


@pytest.fixture
def source(publisher):
    """A project with one version, v1, trained on another image than the three of its test."""
    return open_source(publisher.publish(describe(version_arn("v1"))))


def load(source):
    """The evaluation of the one version."""
    (entry,) = source.list_versions()
    return source.load(entry)


def read_state(source):
    """The state of the one version."""
    (entry,) = source.list_versions()
    return source.read_state(entry)


def test_a_version_trained_on_other_images_has_seen_none(source):
    """Known to be clean, without a warning."""
    evaluation = load(source)
    assert evaluation.seen_in_training.tolist() == [False, False, False]
    assert evaluation.warnings == ()


def test_test_images_in_the_training_manifest_are_counted_and_named(source, s3_server):
    """By the very same place: another case, another bucket is another image."""
    near = ("s3://images/A cat.jpg", "s3://other/a cat.jpg", "s3://images/dog%2B1.jpg")
    s3_server.put(BUCKET, TRAINING, make_training_manifest(DOG, *near, CAT))
    evaluation = load(source)
    assert evaluation.seen_in_training.tolist() == [True, True, False]
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.SEEN_IN_TRAINING, 2, 3)
    assert doubt.text.endswith(f"was trained on 2 of its 3 test images: {CAT!r}, {DOG!r}")


def test_a_training_manifest_may_hold_more_than_images(source, s3_server):
    """Malformed lines are counted; the others still tell."""
    lines = [
        b"{",
        json.dumps({"source-ref": CAT, "more": [{"x": 1}]}).encode(),
        b'{"source-ref":5}',
    ]
    s3_server.put(BUCKET, TRAINING, b"\n".join(lines))
    evaluation = load(source)
    assert evaluation.seen_in_training.tolist() == [True, False, False]
    (said,) = [w for w in evaluation.warnings if "malformed" in w]
    assert said.startswith(f"training manifest s3://{BUCKET}/{TRAINING}: 2 of 3 ")


def test_no_named_training_manifest_tells_nothing(publisher):
    """There is nothing to warn of."""
    evaluation = load(
        open_source(publisher.publish(describe(version_arn("v1"), TrainingDataResult=None)))
    )
    assert evaluation.seen_in_training is None
    assert evaluation.warnings == ()


def test_a_training_manifest_that_is_gone_leaves_it_unknown(source, publisher):
    """404: the evaluation is there all the same, and says what it does not know."""
    publisher.delete("TrainingGroundTruth")
    evaluation = load(source)
    assert (len(evaluation.images), evaluation.seen_in_training) == (3, None)
    (warning,) = evaluation.warnings
    assert warning.startswith(f"{UNKNOWN}s3://{BUCKET}/{TRAINING}: ")
    assert read_state(source)[f"s3://{BUCKET}/{TRAINING}"] == "missing"


def test_a_denied_training_manifest_leaves_it_unknown(source, s3_server):
    """403: the version does not fail for a file that only adds something."""
    s3_server.proxy.fail(TRAINING, 403, "AccessDenied")
    evaluation = load(source)
    assert (len(evaluation.images), evaluation.seen_in_training) == (3, None)
    assert "s3:GetObject" in evaluation.warnings[0]
    assert read_state(source)[f"s3://{BUCKET}/{TRAINING}"] == "denied"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"<html>", b'{"some": "object"}\n' * 3])
def test_a_broken_training_manifest_leaves_it_unknown(source, s3_server, content):
    """Not one line that names an image: nobody can tell."""
    s3_server.put(BUCKET, TRAINING, content)
    evaluation = load(source)
    assert (len(evaluation.images), evaluation.seen_in_training) == (3, None)
    assert evaluation.warnings[0].startswith(UNKNOWN)


def test_a_changed_training_manifest_is_another_state(source, s3_server):
    """So the next sync tells that there is something new to read."""
    before = read_state(source)
    s3_server.put(BUCKET, TRAINING, make_training_manifest(CAT))
    after = read_state(source)
    assert {uri for uri in before if before[uri] != after[uri]} == {f"s3://{BUCKET}/{TRAINING}"}


def test_an_archive_still_knows(source, s3_server, tmp_path):
    """The training manifest is copied, and read from its copy."""
    s3_server.put(BUCKET, TRAINING, make_training_manifest(CAT))
    write_archive(source, tmp_path / "kept")
    s3_server.reset()
    archived = load(open_source(str(tmp_path / "kept")))
    assert archived.seen_in_training.tolist() == [True, False, False]
    assert f"s3://{BUCKET}/{TRAINING}" in {file.uri for file in archived.files}


def test_without_test_images_the_training_manifest_is_not_read(source, publisher, s3_server):
    """Nothing to compare it with."""
    publisher.delete("TestingGroundTruth")
    s3_server.proxy.reset()
    assert load(source).seen_in_training is None
    assert s3_server.proxy.requests_for(TRAINING) == []
