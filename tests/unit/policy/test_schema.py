"""The JSON Schema of policies says of a file what its parser says."""

import json
import math
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.errors import PolicyError
from mlrek.policy import schema
from mlrek.policy.parsing import parse_policy, write_policy
from mlrek.policy.schema import EXCEPTIONS, build_schema

ROOT = Path(__file__).parents[3]
SCHEMA = build_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
WRONG = (ROOT / "tests" / "data" / "policies" / "wrong.txt").read_text(encoding="utf-8")
FLOOR = {"metric": "aggregate/ap", "min": 0.5}
LESS = {"metric": "aggregate/ap"}


def is_accepted(document, baseline="") -> bool:
    """Whether the parser takes it."""
    try:
        parse_policy(write_policy(document), baseline=baseline)
    except PolicyError:
        return False
    return True


def test_it_is_a_schema_in_which_every_value_is_described():
    """Editors show the descriptions."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    tables = [SCHEMA["properties"][name] for name in ("baseline", "test_set")]
    tables += [SCHEMA["properties"][name]["items"] for name in ("floor", "no_worse", "better")]

    for table in tables:
        assert table["additionalProperties"] is False
        assert all(described["description"] for described in table["properties"].values())
    for sentence in EXCEPTIONS.values():
        assert sentence in SCHEMA["description"]


def test_the_published_file_is_the_schema():
    """It is in the package, and its `$id` leads to it; `mlrek policy schema` prints the same."""
    path = Path(schema.__file__).with_name("policy.schema.json")
    written = json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"

    assert path.read_text(encoding="utf-8") == written, (
        "write it anew: mlrek policy schema > mlrek/policy/policy.schema.json"
    )
    assert SCHEMA["$id"].endswith(f"/main/{path.relative_to(ROOT).as_posix()}")


def list_wrong():
    """The documents of the wrong policies that are TOML, and do not only lack a baseline."""
    for block in WRONG.split("\n%%\n"):
        toml, _, message = f"\n{block}".partition("\n=> ")
        try:
            document = tomllib.loads(toml)
        except tomllib.TOMLDecodeError:
            continue
        yield document, message


@pytest.mark.parametrize(("document", "message"), list(list_wrong()))
def test_what_the_parser_refuses_the_schema_refuses(document, message):
    """But for what it says that it cannot say."""
    is_exception = (
        "none is named" in message or "is above max" in message or "regular expression" in message
    ) or any(math.isnan(value) for value in _list_numbers(document))

    assert VALIDATOR.is_valid(document) == is_exception


def test_examples_are_accepted():
    """The example policy, that with slices, and a metric of each form."""
    for example in ("policy.toml", "policy-slices.toml"):
        text = (ROOT / "examples" / example).read_text()
        VALIDATOR.validate(tomllib.loads(text))
        assert parse_policy(text).floors
    for metric in ("label_recall/a\nb", "label_f1/*", "crossfit/label_recall/*", "reported/f1"):
        document = {"floor": [{"metric": metric, "max": 1}]}
        assert VALIDATOR.is_valid(document)
        assert is_accepted(document)


EXCEPTIONAL = {
    "baseline": ({"better": [LESS]}, "none is named"),
    "min": ({"floor": [{**FLOOR, "max": 0.4}]}, "above max"),
    "group_by": ({"floor": [FLOOR], "test_set": {"group_by": "("}}, "no regular expression"),
    "slice_by": ({"floor": [FLOOR], "test_set": {"slice_by": {"a": "("}}}, "regular expression"),
    "min_images": ({"test_set": {"min_images": 200.0}}, "whole number"),
    "nan": ({"floor": [{**FLOOR, "min": math.nan}]}, "finite number"),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_each_exception_is_one(name):
    """What the schema cannot say is listed, and the parser says it."""
    document, words = EXCEPTIONAL[name]

    assert VALIDATOR.is_valid(document)
    with pytest.raises(PolicyError, match=words):
        parse_policy(write_policy(document))


NUMBERS = st.one_of(
    st.floats(allow_nan=False), st.integers(-3, 10**400), st.sampled_from([0, 1, 0.5, 0.95, 2.0])
)
VALUES = st.one_of(NUMBERS, st.booleans(), st.text(max_size=3), st.lists(st.just("images_missing")))
METRICS = (
    *("aggregate/ap", "label_f1/*", "label_f1/a", "crossfit/f1", "crossfit/label_f1/*"),
    *("aggregate/*", "aggregate", "aggregate/", "label_", "label_/x", "label/x", "crossfit/*"),
    *("crossfit/label_f1", "crossfit/label_f1/", "crossfit/label_*", "errors/a\n*", "x\n"),
)
RIGHT = {
    "metric": st.sampled_from(METRICS[:5]),
    "slice": st.sampled_from(
        ["site=A", "site=*", "a b=c=d", "x=\n*", "site", "=", "=A", "a=", " =A"]
    ),
    "min": st.sampled_from([0, 0.3]),
    "max": st.sampled_from([0.5, 1]),
    "margin": st.sampled_from([0, 0.01]),
    "confidence": st.sampled_from([0.5, 0.95]),
    "same": st.sampled_from(["any", "required"]),
    "min_images": st.sampled_from([0, 7]),
    "min_images_per_slice": st.sampled_from([0, 50]),
    "slice_by": st.dictionaries(
        st.sampled_from(["site", "", " "]), st.sampled_from(["/(s)/", "", 3]), max_size=2
    ),
    "leakage": st.sampled_from(["allowed", "forbidden"]),
    "accept": st.lists(st.sampled_from(["images_missing", "grouped"]), max_size=2),
    "adjust_for_looks": st.booleans(),
}
WRONG_KEYS = st.dictionaries(
    st.sampled_from([*RIGHT, "x"]), VALUES | st.sampled_from(METRICS), max_size=1
)
KEYS = {
    "floor": ("metric", "slice", "min", "max", "confidence"),
    "no_worse": ("metric", "slice", "margin", "confidence"),
    "better": ("metric", "slice", "confidence"),
    "test_set": (
        *("same", "min_images", "min_images_per_slice", "leakage", "accept", "slice_by"),
        "adjust_for_looks",
    ),
}


def draw_table(name):
    """A table that is right, or in which one key or value may be wrong."""
    right = st.fixed_dictionaries({}, optional={key: RIGHT[key] for key in KEYS[name]})
    return st.builds(lambda table, change: table | change, right, WRONG_KEYS | st.just({}))


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "test_set": draw_table("test_set"),
        **{
            name: st.lists(draw_table(name), max_size=2) for name in ("floor", "no_worse", "better")
        },
    },
)


@given(DOCUMENTS)
def test_schema_and_parser_agree(document):
    """On any tables and values, where no exception applies; the baseline is named elsewhere."""
    table = document.get("test_set", {})
    counts = [table.get(key) for key in ("min_images", "min_images_per_slice")]
    is_turned = any(
        isinstance(floor.get("min"), int | float)
        and isinstance(floor.get("max"), int | float)
        and floor["min"] > floor["max"]
        for floor in document.get("floor", [])
    )

    has_whole_float = any(isinstance(count, float) and count.is_integer() for count in counts)
    if not is_turned and not has_whole_float:
        assert VALIDATOR.is_valid(document) == is_accepted(document, "models:/m/1")


def _list_numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for one in value for number in _list_numbers(one)]
    return [value] if isinstance(value, float) else []
