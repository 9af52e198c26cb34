"""The JSON Schema of policies, made of the types by which a policy file is read.

`policy.schema.json` next to this module is what it gives, for editors: write it anew with
`mlrek policy schema > mlrek/policy/policy.schema.json`.
"""

from dataclasses import fields
from enum import StrEnum
from typing import Annotated, Any, Final, get_args, get_origin

from msgspec import Meta

from mlrek.kinds import ANY_VALUE, CROSSFIT_OF_LABELS
from mlrek.metrics.slices import MIN_SLICE_IMAGES
from mlrek.policy import ANY_LABEL, Better, Floor, NoWorse, TestSetPolicy, Text
from mlrek.policy.parsing import GROUPS

ADDRESS: Final = (
    "https://raw.githubusercontent.com/mlrek/mlrek/main/mlrek/policy/policy.schema.json"
)
EXCEPTIONS: Final = {
    "baseline": "[[no_worse]] and [[better]] need a baseline: [baseline] version, or --baseline",
    "min": "min must not be above max",
    "group_by": "group_by must be a regular expression of Python",
    "slice_by": "slice_by must hold regular expressions of Python",
    "min_images": "counts have no decimals (200, not 200.0)",
    "nan": "nan, which TOML has, is no limit",
}
"""What a policy must fulfil and the schema cannot say."""

_METRIC: Final = "|".join(
    (
        r"^label_\w+/[\s\S]",
        rf"^{CROSSFIT_OF_LABELS}[^/]*/[\s\S]",
        rf"^({'|'.join(GROUPS)})/[^*]+$",
    )
)
_TYPES: Final = {int: "integer", float: "number", str: "string", bool: "boolean"}
_DESCRIPTIONS: Final = {
    "version": "What candidates are compared with: an alias or a version of the registry, a run, "
    "or SOURCE#VERSION; --baseline comes first.",
    "same": "Which versions may be compared: tested on the same images with the same truth, on "
    "some in common, or each on its own.",
    "min_images": "Fewer test images decide nothing.",
    "min_images_per_label": "Labels with fewer test images decide nothing.",
    "min_images_per_slice": "Slices with fewer test images decide nothing; nor do those with fewer "
    f"than {MIN_SLICE_IMAGES}.",
    "leakage": "Of test images that a version was trained on: forbidden fails it, allowed lives "
    "with it; without this key what would pass is undecided.",
    "accept": "Kinds of doubts that keep no check from passing.",
    "group_by": "Images that show one object belong together: a regular expression on image URIs, "
    f"whose first group names the object. {EXCEPTIONS['group_by']}.",
    "slice_by": "Further columns of test images: for each a regular expression on image URIs, "
    f"whose first group is the value. {EXCEPTIONS['slice_by']}.",
    "adjust_for_looks": "Of many candidates that are checked on one test set a later one must show "
    "more.",
    "metric": f"A number as evaluation.json names it: GROUP/NAME of all labels ({', '.join(GROUPS)}"
    f"), or label_NAME/LABEL of one label, with {ANY_LABEL} of each.",
    "slice": "The slices of the test images that this is asked of, each by itself: COLUMN=VALUE, "
    f"or COLUMN={ANY_VALUE} for each value of a column; without it, all test images.",
    "min": f"The least that the number may be; {EXCEPTIONS['min']}.",
    "max": "The most that the number may be.",
    "margin": "How much a candidate may lose on the baseline.",
    "confidence": "Of the interval that must fulfil it; a [[floor]] without one holds the value "
    "itself to the limit.",
}
_Schema = dict[str, object]


def build_schema() -> _Schema:
    """The schema (draft 2020-12) of a policy file that was read from TOML."""
    lists: _Schema = {
        "floor": _describe_list(
            Floor, "A number must lie within limits; with a confidence its interval must."
        ),
        "no_worse": _describe_list(
            NoWorse, "The candidate may lose at most a margin on the baseline."
        ),
        "better": _describe_list(Better, "The candidate must be better than the baseline."),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ADDRESS,
        "title": "Policy of mlrek",
        "description": f"What a version must fulfil. Besides: {'; '.join(EXCEPTIONS.values())}.",
        "type": "object",
        "properties": {
            "baseline": {
                "type": "object",
                "description": "What candidates are compared with.",
                "properties": {"version": _describe("version", Text)},
                "additionalProperties": False,
            },
            "test_set": _describe_table(TestSetPolicy, "What a test set must be."),
            **lists,
        },
        "additionalProperties": False,
        "anyOf": [*_list_questions(list(lists))],
    }


def _list_questions(lists: list[str]) -> list[object]:
    """One of these must be there: a policy that checks nothing lets every version pass."""
    asked: list[object] = [
        {"required": [name], "properties": {name: {"minItems": 1}}} for name in lists
    ]
    of_test_set: _Schema = {
        "min_images": {"minimum": 1},
        "min_images_per_label": {"minimum": 1},
        "leakage": {"const": "forbidden"},
    }
    for key, wanted in of_test_set.items():
        table: _Schema = {"required": [key], "properties": {key: wanted}}
        asked.append({"required": ["test_set"], "properties": {"test_set": table}})
    return asked


def _describe_list(kind: type[Floor | NoWorse | Better], text: str) -> _Schema:
    table = _describe_table(kind, text)
    table["required"] = ["metric"]
    if kind is Floor:
        table["anyOf"] = [{"required": ["min"]}, {"required": ["max"]}]
    return {"type": "array", "description": text, "items": table}


def _describe_table(kind: type[Any], text: str) -> _Schema:
    return {
        "type": "object",
        "description": text,
        "properties": {one.name: _describe(one.name, one.type) for one in fields(kind)},
        "additionalProperties": False,
    }


def _describe(key: str, wanted: Any) -> _Schema:
    """One value: what its type asks for, in words too."""
    if key == "metric":
        return {"type": "string", "pattern": _METRIC, "description": _DESCRIPTIONS[key]}
    described = _describe_type(wanted)
    return {**described, "description": _DESCRIPTIONS[key]}


def _describe_type(wanted: Any) -> _Schema:
    if get_origin(wanted) is frozenset:
        return {"type": "array", "items": _describe_type(get_args(wanted)[0])}
    if get_origin(wanted) is Annotated:
        base, meta = get_args(wanted)
        if get_origin(base) is dict:
            named, held = map(_describe_type, get_args(base))
            return {"type": "object", "propertyNames": named, "additionalProperties": held}
        return {"type": _TYPES[base], **_list_limits(meta)}
    words = next(
        part
        for part in (wanted, *get_args(wanted))
        if isinstance(part, type) and issubclass(part, StrEnum)
    )
    return {"enum": [word.value for word in words]}


def _list_limits(meta: Meta) -> _Schema:
    limits = {
        "minimum": meta.ge,
        "maximum": meta.le,
        "exclusiveMaximum": meta.lt,
        "pattern": meta.pattern,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}
