"""What GitHub Actions shows of a check: annotations, and the summary of the job."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mlrek.cli.output import write_command
from mlrek.render.decision import list_notes, say_verdict
from mlrek.text import escape_unencodable, escape_unprintable

if TYPE_CHECKING:
    from mlrek.policy import Decision, Forgive

MAX_ANNOTATIONS = 9
"""GitHub shows ten of each level for a step; the last is the verdict."""
_LEVELS = {
    "failed": "error",
    "undecided": "warning",
    "ignored": "notice",
    "passed": "notice",
    "doubt": "notice",
}
_ORDER = tuple(_LEVELS)
_TAKEN_FOR = {0: "passed", 3: "failed"}
"""What an undecided verdict counts as, by the exit code (`--undecided`)."""


def report_to_github(
    decision: "Decision",
    markdown: str,
    policy: str,
    environ: Mapping[str, str],
    forgive: "Forgive" = "",
) -> None:
    """Annotate the job and write its summary; anywhere else, do nothing.

    The annotations go to stderr, where GitHub reads them as well: stdout is the result's.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in describe_annotations(decision, policy, forgive):
        write_command(line)
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(path, "a", encoding="utf-8") as summary:  # noqa: PTH123 - appends
                summary.write(f"{markdown}\n")
        except OSError as exc:
            sys.stderr.write(f"warning: the job's summary cannot be written: {exc.strerror}\n")


def describe_annotations(decision: "Decision", policy: str, forgive: "Forgive" = "") -> list[str]:
    """A workflow command for each check that did not pass, and one for the verdict.

    What failed comes first: of many, GitHub shows the first ones.
    """
    notes = [note for note in list_notes(decision) if note.kind != "passed"]
    notes.sort(key=lambda note: _ORDER.index(note.kind))
    if decision.already_champion:  # nothing is decided, so nothing is wrong
        notes = [note if note.kind == "doubt" else replace(note, kind="ignored") for note in notes]
    lines = [_write_command(note.kind, note.text, policy) for note in notes[:MAX_ANNOTATIONS]]
    verdict = decision.verdict.value
    if verdict == "undecided":
        verdict = _TAKEN_FOR.get(decision.exit_code(forgive), verdict)
    return [*lines, _write_command(verdict, say_verdict(decision, forgive), policy)]


def _write_command(status: str, message: str, policy: str) -> str:
    """A workflow command on one line: no name in it can end it or begin another."""
    file, title = _escape_property(policy), _escape_property(f"mlrek check: {status}")
    return f"::{_LEVELS[status]} file={file},title={title}::{_escape(message)}"


def _escape(text: str) -> str:
    """GitHub's escapes: a percent sign, and what ends a line."""
    visible = escape_unencodable(escape_unprintable(text))
    return visible.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    """In a property a colon and a comma mean something too."""
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
