"""`mlrek check`: may this version be promoted?"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output, write_command, write_file
from mlrek.errors import UsageError
from mlrek.text import escape_unencodable, escape_unprintable

if TYPE_CHECKING:
    from mlrek.policy import Decision, Forgive, Policy


MAX_ANNOTATIONS = 9
"""GitHub shows ten of each level for a step; the last is the verdict."""
MAX_SUMMARY = 300_000
"""UTF-16 units; GitHub takes a MiB of UTF-8 for a step."""
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


def check(
    candidate: Annotated[
        str,
        typer.Argument(metavar="CANDIDATE", help=opt.VERSION_HELP),
    ],
    policy: Annotated[
        str,
        typer.Option(
            "--policy", metavar="FILE", help="The policy, a TOML file.", show_default=False
        ),
    ] = "",
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            metavar="VERSION",
            help="What to compare with, instead of the policy's own.",
            show_default=False,
        ),
    ] = "",
    alias: opt.Alias = "champion",
    group_by: opt.GroupBy = "",
    slice_by: opt.SliceBy = None,
    undecided: opt.Undecided = None,
    unfolds: opt.Unfolds = False,
    junit: Annotated[
        str,
        typer.Option("--junit", metavar="FILE", help="Write JUnit XML.", show_default=False),
    ] = "",
    markdown: Annotated[
        str,
        typer.Option(
            "--markdown", metavar="FILE", help="Write a pull request's text.", show_default=False
        ),
    ] = "",
    kept: Annotated[
        str,
        typer.Option(
            "--decision",
            metavar="FILE",
            help="Write the decision with all that it rests on.",
            show_default=False,
        ),
    ] = "",
    tracking_uri: opt.TrackingUri = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """Check by a policy whether a version may be promoted.

    Exit code 0: every check passed; 3: one failed; 4: none failed, but one is undecided.

    Example: mlrek check models:/digits/3 --policy examples/policy.toml
    """
    from mlrek.promotion.check import Asking, check_version
    from mlrek.promotion.promote import keep_decision
    from mlrek.render.decision import build_decision_json, decision_blocks, write_decision_markdown
    from mlrek.runs.log import RUN_VARIABLE, mark_project_run
    from mlrek.sources.policies import read_policy
    from mlrek.tracking.connection import connect

    if not policy:
        raise UsageError(f"name a policy: {say_start(candidate)}")
    asked = read_policy(policy, baseline, group_by, slice_by or ())
    aws, asking = account.aws, Asking(alias=alias)
    open_store = cache(partial(connect, tracking_uri))
    decision = check_version(candidate, asked, aws, open_store, asking)
    decision = keep_decision(
        decision,
        asked,
        open_store() if decision.candidate.run_id else None,
        alias=alias,
        path=kept,
        forgive=undecided or "",
    )
    blocks = decision_blocks(decision, undecided or "", output.width, unfolds=unfolds)
    output.show(blocks, lambda: build_decision_json(decision))
    say_folded(decision, output, unfolds=unfolds)
    output.warn(decision.warnings)
    text = write_decision_markdown(decision, undecided or "")
    _write_files(decision, asked, undecided or "", text, junit=junit, markdown=markdown)
    if around := os.environ.get(RUN_VARIABLE):
        mark_project_run(connect(tracking_uri), around, text)
    if code := decision.exit_code(undecided or ""):
        raise typer.Exit(code)


def say_start(version: str) -> str:
    """How a policy is named, and begun where there is none."""
    begin = f"mlrek policy init {quote(version)} -o policy.toml"
    return f"--policy FILE; `{begin}` writes one to start from (examples/policy.toml is another)"


def say_folded(decision: "Decision", output: Output, *, unfolds: bool) -> None:
    """Say how the rows are shown that were folded."""
    from mlrek.render.checks import hides_checks

    if not (unfolds or output.as_json) and hides_checks(decision):
        has_slices = any(check.metric.slice for check in decision.checks)
        output.hint(f"--all shows the check of each label{' and slice' if has_slices else ''}")


def report_to_github(
    decision: "Decision",
    markdown: str,
    policy: str,
    environ: Mapping[str, str],
    forgive: "Forgive" = "",
) -> None:
    """Annotate the job and write its summary; anywhere else, do nothing.

    The annotations go to stderr, where GitHub reads them as well: stdout is the result's. A summary
    that would be longer than GitHub takes is cut between lines.
    """
    from mlrek.render.comment import cut_markdown

    if environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in render_annotations(decision, policy, forgive):
        write_command(line)
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(path, "a", encoding="utf-8") as summary:  # noqa: PTH123 - appends
                summary.write(f"{cut_markdown(markdown, MAX_SUMMARY)}\n")
        except OSError as exc:
            sys.stderr.write(f"warning: the job's summary cannot be written: {exc.strerror}\n")


def render_annotations(decision: "Decision", policy: str, forgive: "Forgive" = "") -> list[str]:
    """A workflow command for each check that did not pass, and one for the verdict.

    What failed comes first: of many, GitHub shows the first ones.
    """
    from mlrek.render.checks import list_notes
    from mlrek.render.decision import say_verdict

    notes = [note for note in list_notes(decision) if note.kind != "passed"]
    notes.sort(key=lambda note: _ORDER.index(note.kind))
    if decision.already_champion:  # nothing is decided, so nothing is wrong
        notes = [note if note.kind == "doubt" else replace(note, kind="ignored") for note in notes]
    lines = [_write_command(note.kind, note.text, policy) for note in notes[:MAX_ANNOTATIONS]]
    verdict = decision.verdict.value
    if verdict == "undecided":
        verdict = _TAKEN_FOR.get(decision.exit_code(forgive), verdict)
    return [*lines, _write_command(verdict, say_verdict(decision, forgive), policy)]


def _write_files(
    decision: "Decision",
    policy: "Policy",
    undecided: "Forgive",
    text: str,
    *,
    junit: str,
    markdown: str,
) -> None:
    """What was asked for, and under GitHub Actions what its pages show."""
    from mlrek.render.decision import write_junit

    if junit:
        write_file("--junit", junit, write_junit(decision, policy.uri, undecided))
    if markdown:
        write_file("--markdown", markdown, text.encode())
    report_to_github(decision, text, policy.uri, os.environ, undecided)


def _write_command(status: str, message: str, policy: str) -> str:
    """A workflow command on one line: no name in it can end it or begin another."""
    file, title = _escape_property(policy), _escape_property(f"mlrek check: {status}")
    return f"::{_LEVELS[status]} file={file},title={title}::{escape_command(message)}"


def escape_command(text: str) -> str:
    """A message of a workflow command in GitHub's escapes: a percent sign, and what ends a line."""
    visible = escape_unencodable(escape_unprintable(text))
    return visible.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    """In a property a colon and a comma mean something too."""
    return escape_command(text).replace(":", "%3A").replace(",", "%2C")
