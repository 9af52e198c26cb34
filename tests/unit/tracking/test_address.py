"""Tracking URIs as people type them."""

import os

import pytest

from mlrek.errors import TrackingError
from mlrek.tracking import connection as address
from mlrek.tracking.connection import check_address, offer_to_plugins

SERVER = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/x"
APP = "arn:aws-us-gov:sagemaker:us-gov-west-1:111122223333:mlflow-app/app-1A2B"


class Plugins:
    """What is installed, as `entry_points` tells it."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)


@pytest.fixture
def install(monkeypatch):
    """A function: these plug-ins are installed, and no other."""

    def replace(*names: str) -> None:
        monkeypatch.setattr(address, "entry_points", lambda group: Plugins(*names))

    return replace


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("mlflow.example.com:8080/base", "http://mlflow.example.com:8080/base"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("http:/localhost:5000", "http://localhost:5000"),
        ("http:localhost:5000", "http://localhost:5000"),
        ("https//mlflow.example.com", "https://mlflow.example.com"),
        ("sqlite://mlflow.db", "sqlite:///mlflow.db"),
        ("mlflow.db", "sqlite:///mlflow.db"),
        ("/srv/mlflow.sqlite", "sqlite:////srv/mlflow.sqlite"),
        ("postgres://h/db", "postgresql://h/db"),
        ("http://h:5000\n", "http://h:5000"),
    ],
)
def test_a_slip_is_named_with_what_it_may_mean(uri, meant):
    """MLflow would take it for a folder, or for a scheme that nobody knows."""
    with pytest.raises(TrackingError) as caught:
        check_address(uri)

    assert str(caught.value).endswith(f"did you mean {meant}?")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "sqlite:///mlflow.db",
        "sqlite:////tmp/a b/mlflow.db",
        "sqlite:///C:/store/mlflow.db",
        "http://localhost:5000",
        "https://h/base",
        "postgresql+psycopg2://u:p@h:5432/db",
        "mysql+pymysql://u@h/db",
        "file:///tmp/mlruns",
        "mlruns",
        "./mlruns",
        "C:\\mlruns",
        "databricks",
        "databricks://profile",
        "uc:databricks",
    ],
)
def test_what_mlflow_knows_is_left_to_it(uri, install):
    """Untouched, and without looking for plug-ins."""
    install()
    before = dict(os.environ)
    check_address(uri)
    offer_to_plugins(uri)

    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        (SERVER, r"pip install 'mlrek\[sagemaker\]'"),
        (APP, r"sagemaker-mlflow"),
        ("azureml://westeurope.api.azureml.ms/mlflow/v1.0/x", "pip install azureml-mlflow"),
    ],
)
def test_a_plugin_that_is_missing_is_named_with_its_command(uri, command, install):
    """MLflow would list schemes instead."""
    install("other")
    with pytest.raises(TrackingError, match=command):
        check_address(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "arn:aws:rekognition:eu-west-1:111122223333:project/digits/1690474772815",
        "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server",
        "arn:aws:sagemaker:eu-west-1:111122223333:notebook-instance/x",
        "arn:x",
    ],
)
def test_another_arn_is_no_store(uri, install):
    """The plug-in would end in an IndexError."""
    install("arn")
    with pytest.raises(TrackingError, match="mlflow-tracking-server/NAME"):
        check_address(uri)


@pytest.mark.parametrize("uri", [SERVER, APP])
def test_a_plugin_finds_its_store_where_it_looks(uri, install, monkeypatch):
    """In MLFLOW_TRACKING_URI of this process, whatever stood there."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    install("arn")
    check_address(uri)
    offer_to_plugins(uri)

    assert os.environ["MLFLOW_TRACKING_URI"] == uri
