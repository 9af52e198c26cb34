"""`mlrek comment`: what a check says, in the pull request of the job that runs it."""

import os
import time
from typing import Annotated

import typer

from mlrek.cli.check import escape_command
from mlrek.cli.output import Output, write_command
from mlrek.errors import CommentError, UsageError


def comment(
    path: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="What `mlrek check --markdown FILE` wrote; where it wrote none, that is said.",
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            help="What the comment is found by; default: workflow and job. One name, one comment.",
            show_default=False,
        ),
    ] = "",
    *,
    output: Output,
) -> None:
    """Show what a check says in the pull request, in one comment that later jobs rewrite.

    For jobs of GitHub Actions and GitLab CI: which pull request it is they say themselves. The
    token is read from GITHUB_TOKEN or GITLAB_TOKEN.

    Example: mlrek comment check.md
    """
    from mlrek.promotion.comments import name_job, open_pull_request, write_comment

    try:
        host = open_pull_request(os.environ, time.sleep)
        if host is None:
            output.hint("no comment: this job is of no open pull request's newest commit")
            written = None
        else:
            written = write_comment(host, name or name_job(os.environ), _read(path))
    except CommentError as exc:
        if os.environ.get("GITHUB_ACTIONS") == "true":
            write_command(f"::warning title=mlrek comment::{escape_command(str(exc))}")
        raise
    if output.as_json:
        action, url = (written.action, written.url or None) if written else (None, None)
        output.document({"action": action, "url": url})
    elif written is not None:
        output.line(f"comment {written.action}{f': {written.url}' if written.url else ''}")


def _read(path: str) -> str:
    """The text; '' where there is none, as after a check that had no answer."""
    from mlrek.sources.storage import read_small_text

    try:
        return read_small_text(path)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path}: cannot be read: {exc}") from exc
