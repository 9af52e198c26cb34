"""What MLflow and what it loads raise, in one line."""

import pytest
from botocore.exceptions import NoCredentialsError
from mlflow.exceptions import MlflowException

from mlrek.errors import TrackingError, UsageError
from mlrek.tracking.translation import hide_userinfo, translate_errors

URI = "postgresql://me:secret@host/runs"


def _translated(exc: Exception, uri: str = URI) -> str:
    with pytest.raises(TrackingError) as caught, translate_errors(uri):
        raise exc
    return str(caught.value)


def test_mlflow_may_quote_the_address_without_its_password():
    """MLflow names the address of a store that it does not know."""
    said = _translated(MlflowException(f"unsupported URI '{URI}'"))

    assert said == "postgresql://host/runs: unsupported URI 'postgresql://host/runs'"


def test_a_missing_driver_is_named():
    """MLflow brings no driver for databases other than SQLite, nor clients of all clouds."""
    said = _translated(ModuleNotFoundError("No module named 'psycopg'", name="psycopg"))

    assert said.endswith("this needs the Python module 'psycopg', which is not installed")


def test_versions_that_do_not_go_together_are_no_missing_module():
    """MLflow 3.8 with SQLAlchemy 2.1."""
    words = "cannot import name 'FallbackAsyncAdaptedQueuePool' from 'sqlalchemy.pool'"
    said = _translated(ImportError(f"{words} (/x/__init__.py)", name="sqlalchemy.pool"))

    assert said.endswith(f"{words}: update what does not fit, `pip install -U mlflow`")


def test_a_signed_address_of_a_file_is_not_shown():
    """Stores in a cloud are asked by signed addresses, which are long, and secrets."""
    url = "https://b.s3.amazonaws.com/1/artifacts/report%20a.html?X-Amz-Signature=abc"
    words = f"403 Client Error: Forbidden for url: {url}. Response text: <Error>denied</Error>"
    failed = f"The following failures occurred: ##### File report a.html #####\n{words}"

    for exc in (OSError(words), MlflowException(failed)):
        assert _translated(exc) == (
            "postgresql://host/runs: report a.html: the server answers 403 Forbidden; "
            "ask there for permission on the files of this run"
        )


@pytest.mark.parametrize(
    "exc", [NoCredentialsError(), ValueError("invalid literal for int()\nmore"), KeyError("x")]
)
def test_an_artifact_store_may_raise_anything(exc):
    """Its client is whatever MLflow loads for the place; one version fails, not all."""
    said = _translated(exc)

    assert said.startswith(f"postgresql://host/runs: {type(exc).__name__}: ")
    assert "\n" not in said


def test_our_own_errors_pass():
    """They say all there is to say."""
    with pytest.raises(UsageError, match="absolute"), translate_errors(URI):
        raise UsageError("absolute names")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (URI, "postgresql://host/runs"),
        ("http://me:secret@host:5000/a?token=secret#x", "http://host:5000/a"),
        ("http://me:sec@ret/a@host:5000/b", "http://host:5000/b"),
        ("http://me:secret@[bad", "http://[bad"),
        ("sqlite:////tmp/a?b.db", "sqlite:////tmp/a?b.db"),
        ("databricks", "databricks"),
        ("mlruns", "mlruns"),
    ],
)
def test_addresses_are_shown_without_secrets(uri, shown):
    """User, password and query may hold them; what is no valid address is no exception.

    A password may hold what a URL would have to escape: it ends with the last `@`.
    """
    assert hide_userinfo(uri) == shown
