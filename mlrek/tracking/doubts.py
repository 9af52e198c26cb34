"""The doubts of a run as its tag keeps them, so that a sync can tell them without a download."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mlrek.errors import TrackingError
from mlrek.evaluation import Doubt
from mlrek.tables.doubts import describe_doubt, parse_doubt
from mlrek.tracking.runs import MAX_TAG, LoggedRun

if TYPE_CHECKING:
    from mlrek.tracking.store import Store

DOUBTS_TAG: Final = "mlrek.doubts"
DOCUMENT: Final = "evaluation.json"
"""Holds the doubts that have no room in a tag, which then names this file."""


def write_doubts_tag(doubts: Sequence[Doubt]) -> str:
    """The doubts as ASCII JSON, '' for none; more than a tag holds: where they are."""
    if not doubts:
        return ""
    text = json.dumps([describe_doubt(doubt) for doubt in doubts], separators=(",", ":"))
    return text if len(text) <= MAX_TAG else DOCUMENT


def read_doubts(run: LoggedRun, store: "Store | None") -> tuple[Doubt, ...]:
    """The doubts of a run that is logged; without a store those that its tag holds.

    Raises:
        TrackingError: Its `evaluation.json` cannot be read, or its doubts are of a later mlrek.
    """
    text = run.tags.get(DOUBTS_TAG, "")
    if not text:
        return ()
    try:
        if text == DOCUMENT:
            if store is None:
                return ()
            described = json.loads(store.read_artifact(run.run_id, DOCUMENT))["doubts"]
        else:
            described = json.loads(text)
        return tuple(map(parse_doubt, described))
    except (ValueError, KeyError, TypeError) as exc:
        raise TrackingError(
            f"runs:/{run.run_id}: its doubts cannot be read ({exc}): was it logged by a later "
            "mlrek? update mlrek, or log it again with --force"
        ) from exc
