"""`mlrek check`: may this version be promoted?"""

import os
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output, write_file

if TYPE_CHECKING:
    from mlrek.policy import Decision, Forgive, Policy


def check(
    candidate: Annotated[
        str,
        typer.Argument(metavar="CANDIDATE", help=opt.VERSION_HELP),
    ],
    policy: Annotated[
        str, typer.Option("--policy", metavar="FILE", help="The policy, a TOML file.")
    ],
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
    undecided: opt.Undecided = None,
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
    from mlrek.promotion.check import Asking, check_version, read_policy
    from mlrek.promotion.promote import keep_decision
    from mlrek.render.decision import decision_blocks, describe_decision, write_decision_markdown
    from mlrek.runs.log import RUN_VARIABLE, mark_project_run
    from mlrek.tracking.connection import connect

    asked = read_policy(policy, baseline, group_by)
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
    blocks = decision_blocks(decision, undecided or "", output.width)
    output.show(blocks, lambda: describe_decision(decision))
    output.warn(decision.warnings)
    text = write_decision_markdown(decision, undecided or "")
    _write_files(decision, asked, undecided or "", text, junit=junit, markdown=markdown)
    if around := os.environ.get(RUN_VARIABLE):
        mark_project_run(connect(tracking_uri), around, text)
    if code := decision.exit_code(undecided or ""):
        raise typer.Exit(code)


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
    from mlrek.cli.github import report_to_github
    from mlrek.render.decision import write_junit

    if junit:
        write_file("--junit", junit, write_junit(decision, policy.uri, undecided))
    if markdown:
        write_file("--markdown", markdown, text.encode())
    report_to_github(decision, text, policy.uri, os.environ, undecided)
