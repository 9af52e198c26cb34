"""The endpoint of a running version: which trouble is one image's, and which stops everything."""

import pytest
from botocore.exceptions import ClientError
from fakes.rekognition_server import Fault

from mlrek.errors import SourceError
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.rekognition_now import Answered, Endpoint

ARN = "arn:aws:rekognition:us-east-1:111122223333:project/pets/version/v1/1690556751958"
CAT = [{"Name": "cat", "Confidence": 75.0}]
IMAGE = "s3://images/a cat+ö.jpg"


@pytest.fixture
def endpoint(rekognition_server, tmp_path):
    """A version that runs and knows one image in S3 and one here."""
    rekognition_server.running.add(ARN)
    rekognition_server.images |= {IMAGE: CAT, b"picture": []}
    return Endpoint(
        clients=AwsClients(AwsOptions(region="us-east-1")), version_arn=ARN, folder=tmp_path
    )


def test_everything_is_asked_for(endpoint, rekognition_server):
    """However unsure: thresholds are not the endpoint's business here."""
    rekognition_server.thresholds["cat"] = 90
    assert endpoint.ask(IMAGE) == Answered(response={"CustomLabels": CAT})
    (_, params), *_ = rekognition_server.requests
    assert params["MinConfidence"] == 0


def test_an_image_here_is_sent_itself(endpoint, tmp_path):
    """From the manifest's folder, or by its whole path."""
    (tmp_path / "b.png").write_bytes(b"picture")
    expected = Answered(response={"CustomLabels": []})
    assert endpoint.ask("b.png") == endpoint.ask(str(tmp_path / "b.png")) == expected


def test_an_image_that_is_not_here_is_the_images_trouble(endpoint, rekognition_server):
    """Nothing is called for it."""
    assert endpoint.ask("gone.png") == Answered(error="cannot be read: No such file or directory")
    assert rekognition_server.requests == []


@pytest.mark.parametrize(
    "code",
    ["InvalidImageFormatException", "ImageTooLargeException", "InvalidS3ObjectException"],
)
def test_a_broken_image_is_the_images_trouble(endpoint, rekognition_server, code):
    """It says which."""
    rekognition_server.faults.append(Fault("DetectCustomLabels", code, "not good"))
    assert endpoint.ask(IMAGE) == Answered(error=f"{code}: not good")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredTokenException", "credentials have expired"),
        ("AccessDeniedException", "rekognition:DetectCustomLabels"),
        ("ResourceNotFoundException", "not there"),
        ("InvalidParameterException", "InvalidParameterException"),
    ],
)
def test_other_trouble_stops(endpoint, rekognition_server, code, said):
    """It would be the next image's as well."""
    rekognition_server.faults.append(Fault("DetectCustomLabels", code))
    with pytest.raises(SourceError, match=said) as caught:
        endpoint.ask(IMAGE)
    assert isinstance(caught.value.__cause__, ClientError)


def test_throttling_is_waited_out(endpoint, rekognition_server):
    """As often as the ordinary AWS settings say."""
    rekognition_server.faults.append(Fault("DetectCustomLabels", "ThrottlingException", times=2))
    assert endpoint.ask(IMAGE).response == {"CustomLabels": CAT}


def test_a_version_that_does_not_run_is_not_started(endpoint, rekognition_server):
    """The command that does, in its own region, and that it costs money until it is stopped."""
    rekognition_server.running.clear()
    with pytest.raises(SourceError) as caught:
        endpoint.ask(IMAGE)
    said = str(caught.value)
    assert f"start-project-version --project-version-arn {ARN} --min-inference-units 1" in said
    assert "--region us-east-1" in said
    assert "costs money" in said
    assert f"stop-project-version --project-version-arn {ARN}" in said
    assert {operation for operation, _ in rekognition_server.requests} == {"DetectCustomLabels"}
