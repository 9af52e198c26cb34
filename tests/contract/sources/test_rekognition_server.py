"""The fake Rekognition answers for images as the real one is documented to."""

import boto3
import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:rekognition:us-east-1:111122223333:project/pets/version/v1/1690556751958"
BOX = {"BoundingBox": {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}}


@pytest.fixture
def client(rekognition_server):
    """A client of a version that runs and knows two images."""
    rekognition_server.running.add(ARN)
    rekognition_server.thresholds["dog"] = 60.0
    rekognition_server.images[b"a dog"] = [
        {"Name": "dog", "Confidence": 50.0},
        {"Name": "cat", "Confidence": 70.0},
    ]
    rekognition_server.images["s3://pets/cat.jpg"] = [
        {"Name": "cat", "Confidence": 90.0, "Geometry": BOX}
    ]
    return boto3.client("rekognition", region_name="us-east-1")


def detect(client, image: dict, **options) -> list[dict]:
    """The labels that the version sees."""
    answer = client.detect_custom_labels(ProjectVersionArn=ARN, Image=image, **options)
    return answer["CustomLabels"]


def test_each_labels_own_threshold_applies(client):
    """Without a confidence in the request."""
    labels = detect(client, {"Bytes": b"a dog"})

    assert [(label["Name"], label["Confidence"]) for label in labels] == [("cat", 70.0)]


def test_a_confidence_of_zero_gives_everything(client):
    """Whatever the thresholds are; the most confident first, at most so many."""
    labels = detect(client, {"Bytes": b"a dog"}, MinConfidence=0)

    assert [label["Name"] for label in labels] == ["cat", "dog"]
    assert len(detect(client, {"Bytes": b"a dog"}, MinConfidence=0, MaxResults=1)) == 1


def test_an_object_in_s3_has_its_box(client):
    """Named by bucket and key."""
    labels = detect(client, {"S3Object": {"Bucket": "pets", "Name": "cat.jpg"}})

    assert labels == [{"Name": "cat", "Confidence": 90.0, "Geometry": BOX}]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ({"Bytes": b"no image"}, "InvalidImageFormatException"),
        ({"S3Object": {"Bucket": "pets", "Name": "gone.jpg"}}, "InvalidS3ObjectException"),
    ],
)
def test_an_image_that_cannot_be_read_is_refused(client, image, code):
    """The service tells the two kinds apart."""
    with pytest.raises(ClientError) as caught:
        detect(client, image)

    assert caught.value.response["Error"]["Code"] == code


def test_a_version_that_does_not_run_is_not_ready(client, rekognition_server):
    """However well it was trained."""
    rekognition_server.running.clear()
    with pytest.raises(ClientError) as caught:
        detect(client, {"Bytes": b"a dog"})

    assert caught.value.response["Error"]["Code"] == "ResourceNotReadyException"
