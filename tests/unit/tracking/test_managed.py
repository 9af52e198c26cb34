"""Signed pages of SageMaker's managed MLflow."""

import pytest

from mlrek.errors import TrackingError
from mlrek.tracking.connection import create_page, is_sagemaker

SERVER = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/team"
APP = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-app/app-1A2B"


class Client:
    """Remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict]] = []

    def create_presigned_mlflow_tracking_server_url(self, **asked: object) -> dict[str, str]:
        """As boto3's."""
        self.asked.append(("server", asked))
        return {"AuthorizedUrl": "https://t-1.experiments/auth?authToken=t"}

    def create_presigned_mlflow_app_url(self, **asked: object) -> dict[str, str]:
        """As boto3's."""
        self.asked.append(("app", asked))
        return {"AuthorizedUrl": "https://app/auth?authToken=t"}


@pytest.mark.parametrize(
    ("uri", "kind", "named"),
    [
        (SERVER, "server", {"TrackingServerName": "team"}),
        (APP, "app", {"Arn": APP}),
    ],
)
def test_each_kind_has_a_request_of_its_own(uri, kind, named):
    """A tracking server is named, an app has its ARN."""
    client = Client()
    page = create_page(uri, client)

    assert is_sagemaker(uri)
    assert page.endswith("auth?authToken=t")
    assert client.asked == [(kind, {**named, "ExpiresInSeconds": 300})]


def test_a_boto3_that_does_not_know_apps_says_so():
    """It is older than they are."""
    with pytest.raises(TrackingError, match="pip install --upgrade boto3"):
        create_page(APP, object())
