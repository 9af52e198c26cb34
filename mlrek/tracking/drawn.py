"""The labels that the matrices of a project are drawn with, in a tag of its experiment."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from mlrek.metrics.drawn_labels import MAX_LABELS, digest_label
from mlrek.metrics.test_set import is_same_project
from mlrek.tracking import MAX_TAG

DRAWN_TAG: Final = "mlrek.drawn_labels"
"""Of an experiment: JSON list of label names, in ASCII, since some databases refuse the rest."""
_LONG: Final = 73
"""Characters of a digest in JSON: longer names have one where not all of them fit."""


def read_drawn(tags: Mapping[str, str], project_arn: str) -> tuple[str, ...]:
    """The labels chosen for a project; empty where none were, or the tag holds something else.

    Args:
        tags: Those of the experiment.
        project_arn: Of the project: an experiment may hold several.
    """
    try:
        found = json.loads(tags.get(name_drawn_tag(tags, project_arn), ""))
    except ValueError:
        return ()
    names = found if isinstance(found, list) else []
    return tuple(name for name in names[: MAX_LABELS - 1] if isinstance(name, str))


def write_drawn(labels: Sequence[str]) -> str:
    """The text of the tag: all names if they fit, else digests of the long ones."""
    text = json.dumps(list(labels), separators=(",", ":"))
    if len(text) <= MAX_TAG:
        return text
    short = [name if len(json.dumps(name)) <= _LONG else digest_label(name) for name in labels]
    return json.dumps(short, separators=(",", ":"))


def name_drawn_tag(tags: Mapping[str, str], project_arn: str) -> str:
    """The tag of a project: the plain one is that of the project that the experiment is of."""
    own = tags.get("project_arn", "")
    if own and is_same_project(own, project_arn):
        return DRAWN_TAG
    return f"{DRAWN_TAG}.{sha256(project_arn.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
