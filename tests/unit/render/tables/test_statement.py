"""The canonical form of a decision, what must not stand in it, and what is read of it again."""

import json

import pytest
from builders.policies import run
from hypothesis import given
from hypothesis import strategies as st

from mlrek.policy.parsing import parse_policy
from mlrek.render.decision import (
    Circumstances,
    build_statement,
    digest_policy,
    read_statement,
    write_statement,
)

POLICY = """# https://me:pw@host/wiki?sig=8f2e
[[floor]]
metric = "aggregate/f1_macro"
min = 0.5
"""
AROUND = Circumstances(
    decided_at="2026-11-29T01:26:00Z", log_schema=4, files={"candidate": {"a.csv": "0" * 64}}
)


def make_statement() -> dict:
    """A decision on a literal candidate."""
    return build_statement(run(POLICY), parse_policy(POLICY), AROUND)


def test_what_is_written_is_read_again_and_has_one_form():
    """Keys in order, no spaces, no line break, characters as they are."""
    content = write_statement(make_statement())
    assert read_statement(content) == make_statement()
    assert write_statement(read_statement(content)) == content
    assert content.startswith(b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"alias":')
    assert write_statement({"ü": "\ud800é", "b": 1e-05, "a": None}) == (
        '{"a":null,"b":1e-05,"ü":"\\ud800é"}'.encode()
    )


def test_no_secret_stands_in_it():
    """The policy's digest is that of the text as it stands there."""
    content = write_statement(make_statement())
    assert b"pw" not in content
    assert b"8f2e" not in content
    policy = json.loads(content)["predicate"]["policy"]
    assert policy["text"].startswith("# https://***@host/wiki?sig=***\n[[floor]]")
    assert policy["sha256"] == digest_policy(POLICY) == digest_policy(policy["text"])


@pytest.mark.parametrize(
    "path",
    [
        ("predicateType",),
        ("subject",),
        ("predicate",),
        ("predicate", "policy"),
        ("predicate", "policy", "text"),
        ("predicate", "candidate"),
        ("predicate", "candidate", "files"),
        ("predicate", "candidate", "model_version"),
        ("predicate", "baseline"),
        ("predicate", "checks"),
        ("predicate", "checks", 0, "limit"),
        ("predicate", "looks"),
        ("predicate", "log_schema"),
    ],
)
def test_what_lacks_a_part_is_none_of_ours(path):
    """Also where the part is there and is something else."""
    for change in (lambda place: place.pop(path[-1]), lambda place: place.update({path[-1]: [3]})):
        statement = place = make_statement()
        for key in path[:-1]:
            place = place[key]
        change(place)
        is_number = path[-1] in {"model_version", "limit"} and place.get(path[-1])
        assert is_number or read_statement(write_statement(statement)) == {}


@given(st.binary(max_size=50))
def test_any_other_bytes_are_none(content):
    """Nothing raises."""
    assert read_statement(content) == {}
