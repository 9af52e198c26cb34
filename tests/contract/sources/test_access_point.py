"""An access point stands for its bucket: listed and read over HTTP as S3 answers it."""

import socket

import pytest
from fakes.evaluations import make_manifest, make_summary, version_arn

from mlrek.errors import SourceError
from mlrek.sources import open_source

ARN = "arn:aws:s3:us-east-1:123456789012:accesspoint/my-ap"
HOST = "my-ap-123456789012"
"""What botocore asks for an access point by, before the endpoint's own name; here the bucket."""


@pytest.fixture
def access_point(s3_server, monkeypatch) -> str:
    """The access point's URI; the stand-in is found under any name below `localhost`."""
    real = socket.getaddrinfo
    own = s3_server.proxy.url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", own)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **options: real(
            "127.0.0.1" if str(host).endswith("localhost") else host, *args, **options
        ),
    )
    return f"s3://{ARN}"


def test_a_version_is_read_through_an_access_point(access_point, s3_server):
    """By its ARN in place of the bucket's name, with a prefix behind it."""
    for name, content in (
        ("EvaluationResultSummary-pets-v1.json", make_summary(version_arn("v1"))),
        ("TestingGroundTruth-pets-v1.json", make_manifest(2)),
    ):
        s3_server.put(HOST, f"some/prefix/{name}", content)
    source = open_source(f"{access_point}/some/prefix")
    (entry,) = source.list_versions()

    assert len(source.load(entry).images) == 6
    assert {part.uri.partition("/some/")[0] for part in entry.parts} == {access_point}
    assert entry.version.arn == version_arn("v1")


def test_an_access_point_that_refuses_is_named(access_point, s3_server):
    """With its ARN, not with the host that stands for it."""
    s3_server.put(HOST, "x.json", b"{}")
    s3_server.proxy.fail("/", 403, "AccessDenied")
    with pytest.raises(SourceError, match="accesspoint/my-ap"):
        open_source(access_point).list_versions()
