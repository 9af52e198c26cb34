"""Times as they are written by services, by the AWS command line and by scripts."""

import pytest

from mlrek.formats.json_text import parse_timestamp


@pytest.mark.parametrize(
    "time",
    [
        "2021-03-01T01:30:00.5+01:00",
        "2021-03-01T00:30:00.500000",
        "2021-03-01 00:30:00.500000+00:00",
        "2021-03-01T00:30:00.500Z",
        1614558600.5,
    ],
)
def test_spellings_of_one_time(time):
    """All are the same millisecond; what tells no zone is UTC."""
    assert parse_timestamp(time) == 1614558600500


@pytest.mark.parametrize(
    "time",
    [
        None,
        "",
        "yesterday",
        "Mon Aug 22 2022",
        "1969-12-31T23:59:59",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        -0.001,
        253402300800,
        1e30,
        -1e30,
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_no_time(time):
    """Is none, and no error."""
    assert parse_timestamp(time) is None
