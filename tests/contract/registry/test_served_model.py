"""The registered model, loaded by MLflow, against a Rekognition over HTTP."""

import json
import math
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from fakes.rekognition_server import Fault

from mlrek.registry.registering import describe_config, save_model

ARN = "arn:aws:rekognition:eu-west-1:111122223333:project/pets/version/v1/1690556751958"
BOX = {"BoundingBox": {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}}
CONFIG = {
    "provider": "rekognition",
    "version_arn": ARN,
    "project_arn": ARN.rpartition("/version/")[0],
    "region": "eu-west-1",
    "task": "classification",
    "labels": ["cat", "dog"],
    "thresholds": {"cat": 0.5, "dog": 0.6},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The model's folder as it is logged."""
    folder = tmp_path_factory.mktemp("served") / "model"
    save_model(folder, CONFIG, model_id="m-1", run_id="r")
    return folder


@pytest.fixture
def model(saved, rekognition_server):
    """The model as `mlflow.pyfunc.load_model` gives it, its version running."""
    rekognition_server.running.add(ARN)
    rekognition_server.thresholds |= {"cat": 50.0, "dog": 60.0}
    rekognition_server.images[b"a cat"] = [{"Name": "cat", "Confidence": 87.5}]
    rekognition_server.images[b"both"] = [
        {"Name": "cat", "Confidence": 75.0},
        {"Name": "dog", "Confidence": 55.0},
    ]
    rekognition_server.images[b"neither"] = [{"Name": "cat", "Confidence": 12.5}]
    rekognition_server.images["s3://pets/a b/cat#1.jpg"] = [
        {"Name": "cat", "Confidence": 62.5, "Geometry": BOX},
        {"Name": "cat", "Confidence": 100.0, "Geometry": BOX},
    ]
    return mlflow.pyfunc.load_model(str(saved))


def rows(frame: pd.DataFrame) -> list[tuple]:
    """What was predicted: image, label, confidence."""
    pairs = frame[["image", "label", "confidence"]].itertuples(index=False)
    return [tuple(pair) for pair in pairs]


def refusal(model, images, **params) -> str:
    """What the model says instead of predicting."""
    with pytest.raises(RuntimeError) as caught:
        model.predict(images, params=params or None)
    return str(caught.value)


def test_bytes_are_judged_and_named_by_their_place(model):
    """One row for each label, confidences as fractions; no boxes in a classification."""
    frame = model.predict([b"a cat", b"both"])

    assert list(frame) == ["image", "label", "confidence", "left", "top", "width", "height"]
    assert rows(frame) == [("#0", "cat", 0.875), ("#1", "cat", 0.75)]
    assert frame[["left", "top", "width", "height"]].isna().all(axis=None)


def test_a_file_is_judged_and_named_as_it_was_typed(model, tmp_path):
    """A path as text or as a path."""
    path = tmp_path / "ä cat.jpg"
    path.write_bytes(b"a cat")

    assert rows(model.predict([str(path), path])) == [(str(path), "cat", 0.875)] * 2


def test_an_object_in_s3_is_judged_where_it_lies(model, rekognition_server):
    """Any character may stand in its key; nothing of it is downloaded; its boxes are kept."""
    frame = model.predict("s3://pets/a b/cat#1.jpg")
    asked = rekognition_server.requests[-1][1]

    assert rows(frame) == [
        ("s3://pets/a b/cat#1.jpg", "cat", 1.0),
        ("s3://pets/a b/cat#1.jpg", "cat", 0.625),
    ]
    assert frame.iloc[0, 3:].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert asked["Image"] == {"S3Object": {"Bucket": "pets", "Name": "a b/cat#1.jpg"}}
    assert asked["ProjectVersionArn"] == ARN


@pytest.mark.parametrize(
    "given",
    [
        b"a cat",
        [b"a cat"],
        (b"a cat",),
        bytearray(b"a cat"),
        pd.Series([b"a cat"], index=[7]),
        np.array([b"a cat"], dtype=object),
        pd.DataFrame({"image": [b"a cat"], "other": [1]}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_images_come_in_any_usual_form(model, given):
    """One, a list, a Series, an array, a DataFrame."""
    assert rows(model.predict(given)) == [("#0", "cat", 0.875)]


def test_an_image_without_a_label_is_not_dropped(model):
    """It has one row, without label and confidence."""
    frame = model.predict([b"neither", b"a cat"])

    assert frame["label"].tolist() == [None, "cat"]
    assert math.isnan(frame["confidence"][0])


def test_without_a_threshold_the_service_uses_its_own(model, rekognition_server):
    """Each label's assumed threshold: the dog of 55 % is below its 60 %."""
    assert rows(model.predict([b"both"])) == [("#0", "cat", 0.75)]
    assert "MinConfidence" not in rekognition_server.requests[-1][1]


@pytest.mark.parametrize(
    ("least", "labels"), [(0, ["cat", "dog"]), (0.55, ["cat", "dog"]), (0.8, [None])]
)
def test_one_threshold_for_all_labels_can_be_asked_for(model, least, labels):
    """As a fraction; 0 gives every label."""
    frame = model.predict([b"both"], params={"min_confidence": least})

    assert frame["label"].tolist() == labels


def test_many_images_keep_their_order(model, rekognition_server):
    """They are asked for in parallel."""
    images = [f"image {i}".encode() for i in range(40)]
    for i, image in enumerate(images):
        rekognition_server.images[image] = [{"Name": f"l{i}", "Confidence": 90.0}]
    frame = model.predict(images)

    assert frame["label"].tolist() == [f"l{i}" for i in range(40)]
    assert frame["image"].tolist() == [f"#{i}" for i in range(40)]


def test_no_images_give_no_rows(model, rekognition_server):
    """And nobody is asked."""
    assert model.predict([]).shape == (0, 7)
    assert rekognition_server.requests == []


def test_a_version_that_does_not_run_says_how_to_start_it(model, rekognition_server):
    """With the command, the price of it, and how to stop; nothing is started."""
    rekognition_server.running.clear()
    said = refusal(model, [b"a cat"])

    assert "not running" in said
    assert (
        f"aws rekognition start-project-version --project-version-arn {ARN} "
        "--min-inference-units 1 --region eu-west-1" in said
    )
    assert "costs money for every hour" in said
    assert f"aws rekognition stop-project-version --project-version-arn {ARN}" in said
    assert {operation for operation, _ in rekognition_server.requests} == {"DetectCustomLabels"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ResourceNotFoundException", "does not exist in this account any more"),
        ("AccessDeniedException", "rekognition:DetectCustomLabels"),
        ("ImageTooLargeException", "too large"),
        ("SomethingNew", "AWS refuses [SomethingNew: on demand]"),
    ],
)
def test_what_aws_refuses_is_said_in_plain_words(model, rekognition_server, code, said):
    """With what to do, and its own words behind."""
    rekognition_server.faults.append(Fault("DetectCustomLabels", code))

    assert said in refusal(model, [b"a cat"])


def test_throttled_calls_are_made_again(model, rekognition_server):
    """The service allows so many calls a second."""
    fault = Fault("DetectCustomLabels", "ProvisionedThroughputExceededException", times=2)
    rekognition_server.faults.append(fault)

    assert rows(model.predict([b"a cat"])) == [("#0", "cat", 0.875)]


def test_endless_throttling_ends_with_advice(model, rekognition_server, monkeypatch):
    """After as many attempts as AWS_MAX_ATTEMPTS says."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    rekognition_server.faults.append(Fault("DetectCustomLabels", "ThrottlingException", times=9))

    assert "AWS keeps throttling" in refusal(model, [b"a cat"])
    assert len(rekognition_server.requests) == 2


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([b"no image"], "#0: neither JPEG nor PNG"),
        (["s3://pets/gone.jpg"], "s3://pets/gone.jpg: the service cannot read it"),
        (["s3://pets"], "s3://pets: not the URI of an object"),
        (["/nowhere/cat.jpg"], "/nowhere/cat.jpg: No such file or directory"),
        ([b"a cat", b""], "#1: empty"),
        ([None], "image 0 is neither bytes nor a path"),
        ([b"a cat", float("nan")], "image 1 is neither bytes nor a path"),
        (pd.DataFrame({"path": ["x"]}), "no column 'image'; it has: 'path'"),
        (3, "not int"),
    ],
)
def test_an_image_that_cannot_be_judged_is_named(model, images, said):
    """One line that names it."""
    assert said in refusal(model, images)


def test_a_large_file_is_refused_before_anything_is_sent(model, rekognition_server, tmp_path):
    """5 MiB is what the service takes as bytes; more has to come from S3."""
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    small.write_bytes(b"a cat")
    large.write_bytes(bytes(5 * 2**20 + 1))

    assert "5,242,881 bytes" in refusal(model, [small, large])
    assert "s3:// URI" in refusal(model, [bytes(5 * 2**20 + 1)])
    assert rekognition_server.requests == []


@pytest.mark.parametrize("least", [-0.1, 50.0])
def test_a_threshold_in_percent_is_refused(model, least):
    """Thresholds are fractions everywhere."""
    assert "a fraction from 0 to 1" in refusal(model, [b"a cat"], min_confidence=least)


def test_missing_credentials_are_named(model, monkeypatch):
    """In the words of botocore."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    assert "credentials" in refusal(model, [b"a cat"])


@pytest.mark.parametrize(
    ("provider", "said"),
    [("lookoutvision", "ended on 2025-10-31"), ("vertex-ai", "Vertex AI endpoint")],
)
def test_what_cannot_be_called_says_so(tmp_path, provider, said):
    """Its versions are registered all the same."""
    save_model(tmp_path / "m", CONFIG | {"provider": provider}, model_id="m-1", run_id="r")

    assert said in refusal(mlflow.pyfunc.load_model(str(tmp_path / "m")), [b"a cat"])


def test_the_model_loads_without_mlrek_and_without_a_warning(saved, tmp_path):
    """Its code stands alone, and its requirements are three, by range."""
    code = (
        "import sys; sys.modules['mlrek'] = None; import mlflow; "
        "print(mlflow.pyfunc.load_model(sys.argv[1]).predict([]).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    requirements = (saved / "requirements.txt").read_text().split()

    assert (done.stdout, done.stderr) == ("(0, 7)\n", "")
    assert [name.partition("<")[0] for name in requirements] == ["mlflow", "boto3", "pandas"]


def test_the_model_names_no_path_of_this_machine(saved):
    """MLflow would note where the code lay."""
    assert str(Path(__file__).parents[3]) not in (saved / "MLmodel").read_text()


def test_the_config_is_what_the_run_says():
    """Thresholds where they were published."""
    document = {
        "provider": "rekognition",
        "task": "detection",
        "version": {"arn": ARN},
        "project": {"arn": CONFIG["project_arn"]},
        "labels": ["cat", "dog"],
        "per_label": [{"label": "cat", "threshold": 0.5}, {"label": "dog", "threshold": None}],
    }

    assert describe_config(json.dumps(document).encode()) == CONFIG | {
        "task": "detection",
        "thresholds": {"cat": 0.5},
    }
