"""S3 places whose bucket is the ARN of an access point, as `aws s3 ls` takes them."""

import pytest

from mlrek.sources.storage import join_uri, parent_uri, parse_s3_uri

POINTS = [
    "arn:aws:s3:us-east-1:123456789012:accesspoint/my-ap",
    "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:my-ap",
    "arn:aws:s3::123456789012:accesspoint/alias.mrap",
    "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/my-ap",
    "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-01/accesspoint/my-ap",
]


@pytest.mark.parametrize("point", POINTS)
def test_an_access_point_is_a_bucket(point):
    """boto3 takes the ARN as Bucket; its own slash parts nothing."""
    assert parse_s3_uri(f"s3://{point}") == (point, "")
    assert parse_s3_uri(f"s3://{point}/") == (point, "")
    assert parse_s3_uri(f"s3://{point}/a/b c.json") == (point, "a/b c.json")
    assert parent_uri(f"s3://{point}/a/b.json") == f"s3://{point}/a"
    assert parent_uri(f"s3://{point}/a") == f"s3://{point}"
    assert parent_uri(f"s3://{point}") == f"s3://{point}"
    assert join_uri(f"s3://{point}/a", "x") == f"s3://{point}/a/x"
