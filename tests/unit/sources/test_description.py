"""Whatever a description holds, it is an entry or a clear error."""

import json
from contextlib import suppress
from datetime import datetime

from fakes.evaluations import describe, version_arn
from hypothesis import given
from hypothesis import strategies as st

from mlrek.errors import ParseError
from mlrek.sources import VersionEntry
from mlrek.sources.description import parse_version

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def _to_json(description):
    return json.dumps(description, default=datetime.isoformat).encode()


def _paths(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _paths(value, (*path, key))
        else:
            yield (*path, key)


PATHS = [path for path in _paths(describe(version_arn("v1"))) if path]


@given(st.sampled_from(PATHS), JSON)
def test_any_value_in_any_place_is_read_or_refused(path, value):
    """Nothing else than ParseError comes out."""
    description = describe(version_arn("v1"))
    node = description
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with suppress(ParseError):
        assert isinstance(parse_version(_to_json(description), uri="v1"), VersionEntry)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data):
    """Also what is no JSON at all."""
    with suppress(ParseError):
        assert isinstance(parse_version(data, uri="x"), VersionEntry)


def test_a_reported_f1_that_is_no_number_is_none():
    """NaN, as some writers spell a number that does not exist."""
    description = describe(version_arn("v1"))
    description["EvaluationResult"]["F1Score"] = float("nan")
    assert parse_version(_to_json(description), uri="v1").reported == {}


def test_a_file_that_is_named_twice_is_read_once():
    """Two equal assets would double every image."""
    description = describe(version_arn("v1"))
    assets = description["TestingDataResult"]["Output"]["Assets"]
    assets.append(assets[0])
    parts = parse_version(_to_json(description), uri="v1").parts
    assert [part.role for part in parts].count("manifest") == 1
