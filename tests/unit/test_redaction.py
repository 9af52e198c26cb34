"""Secrets in text: whatever a URL holds before its host is hidden, and nothing else."""

import pytest

from mlrek.text import hide_secrets, list_secrets, strip_signature
from mlrek.tracking.translation import hide_userinfo

PLAIN = ["plain", "a:b", "%2F%40", "1234"]
PASSWORDS = [
    *PLAIN,
    *("Sup3r/Secret", "p@ss", "p#ss", "p?ss", "12/34x", "12/34", "@@", "a/b@c#d?e:f", "%2F@"),
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "mssql+pyodbc", "http", "https"])
@pytest.mark.parametrize(
    "said", ["{uri}", "no answer from {uri}, is it there?", "'{uri}'", "x={uri}"]
)
def test_a_password_is_hidden_whatever_it_holds(scheme, password, said):
    """Also what a URL would have to escape; the host stays, so that people know which it is."""
    hidden = hide_secrets(said.format(uri=f"{scheme}://user:{password}@host.example/db"))

    assert hidden == said.format(uri=f"{scheme}://***@host.example/db")


@pytest.mark.parametrize(
    "uri", ["https://TOKEN@host", "postgresql://TOKEN@host", "http://:pw@host:5000/x"]
)
def test_a_token_without_a_colon_is_hidden(uri):
    """A server may take a token for the user."""
    hidden = hide_secrets(uri)

    assert "TOKEN" not in hidden
    assert "pw" not in hidden
    assert "***@host" in hidden


@pytest.mark.parametrize(
    "text",
    [
        "https://host.example/icons/cat@2x.png",
        "https://host/search?q=me@example.org",
        "http://host:5000/a@b",
        "https://10.0.0.7:8443/icons/cat@2x.png",
        "http://[::1]:5000/teams/me@example.org",
        "http://[fe80::1]/teams/me@example.org",
        "s3://bucket/me:you@home.jpg",
        "gs://bucket/a@b.jpg",
        "models:/parts@champion",
        "mail me@example.org or see https://host/",
        "sqlite:///home/me/mlflow.db",
        "arn:aws:rekognition:eu-west-1:111122223333:project/p/1",
    ],
)
def test_an_at_sign_that_ends_no_login_stays(text):
    """Names of images are kept as they are."""
    assert hide_secrets(text) == text


@pytest.mark.parametrize("password", PLAIN)
def test_an_image_keeps_its_name_without_the_login(password):
    """Two images that differ behind an `@` in their path stay two."""
    one, two = (strip_signature(f"https://me:{password}@host/cat@{n}x.png") for n in (1, 2))
    assert (one, two) == ("https://host/cat@1x.png", "https://host/cat@2x.png")


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_tracking_uri_is_shown_without_login_and_query(password):
    """Not even the end of a password is left."""
    uri = f"postgresql+psycopg2://me:{password}@host:5432/db?sslmode=require&password={password}"

    assert hide_userinfo(uri) == "postgresql+psycopg2://host:5432/db"


def test_parts_of_a_password_are_known():
    """A library that parts the URI at the wrong place repeats one of them."""
    assert list_secrets("postgresql://me:Sup3r/Secret@host/db") == (
        "Sup3r/Secret",
        "Secret",
        "Sup3r",
    )
    assert list_secrets("https://TOKEN@host") == ("TOKEN",)
    assert list_secrets("https://host/a@b") == ()
    assert list_secrets("postgresql://mlflow@host/db") == ()
    assert list_secrets("sqlite:///x.db") == ()
