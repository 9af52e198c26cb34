"""The one comment of a job in its pull request: written the first time, then rewritten in place."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal

from mlrek.errors import CommentError, UsageError
from mlrek.promotion.hosts import (
    Api,
    GitHub,
    GitLab,
    Host,
    HostRefusalError,
    HostUnsureError,
    Posted,
)
from mlrek.render.comment import JobOrigin, build_comment, write_marker

EXAMPLES: Final = "https://github.com/mlrek/mlrek/tree/main/examples/ci"
"""Where the workflows are that messages name."""

_FORBIDDEN: Final = frozenset((HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND))
_REMEDIES: Final = {
    "GitHub": (
        "give the job `permissions: pull-requests: write`; of a pull request from a fork GitHub "
        "lets no job write: there the form of two workflows does, fork-check.yml and "
        f"fork-comment.yml of {EXAMPLES}"
    ),
    "GitLab": (
        "GITLAB_TOKEN must be a token of the project with the scope `api` and at least the role "
        "Reporter; a job of a fork has none, and shows its result as a report of tests alone: "
        f"see {EXAMPLES}"
    ),
}
_CREATIONS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a comment."""

    action: Literal["created", "updated"]
    url: str


def write_comment(host: Host, name: str, text: str) -> Written:
    """Show a text in the pull request, in the comment of that name.

    It is the oldest that the token's owner wrote and that begins with the mark of the name; others
    of its kind, as two jobs at once may leave them, are taken away. Nobody else's is touched.

    Args:
        host: The pull request.
        name: What the comment is found by.
        text: Markdown as `mlrek check --markdown` writes it, '' for none.

    Raises:
        CommentError: The host takes none, with what to do.
    """
    marker = write_marker(name)
    body = build_comment(marker, text, host.origin, host.limit)
    try:
        return _write(host, marker, body)
    except HostRefusalError as exc:
        if exc.status in _FORBIDDEN:
            raise CommentError(f"no comment: {exc}; {_REMEDIES[host.title]}") from exc
        raise CommentError(f"no comment: {exc}") from exc
    except HostUnsureError as exc:
        raise CommentError(f"no comment: {exc}") from exc


def _write(host: Host, marker: str, body: str) -> Written:
    for attempt in range(_CREATIONS):
        own = [one for one in host.list_own() if one.body.startswith(marker)]
        if own:
            return _rewrite(host, own, body)
        try:
            return Written(action="created", url=host.create(body).url)
        except HostUnsureError:  # it may be there: looked for, then written if it is not
            if attempt == _CREATIONS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _rewrite(host: Host, own: list[Posted], body: str) -> Written:
    first, *others = own
    written = host.update(first.number, body)
    for other in others:
        host.delete(other.number)
    return Written(action="updated", url=written.url)


def open_pull_request(environ: Mapping[str, str], wait: Callable[[float], None]) -> Host | None:
    """The pull request of the job that has these variables; None where it is of none.

    Args:
        environ: The variables of a job on GitHub Actions or GitLab CI.
        wait: Sleeps.

    Raises:
        UsageError: It is no such job.
        CommentError: There is no token, or the pull request cannot be asked for.
    """
    if environ.get("GITHUB_ACTIONS") == "true":
        return _open_github(environ, wait)
    if environ.get("GITLAB_CI") == "true":
        return _open_gitlab(environ, wait)
    raise UsageError(
        "`mlrek comment` writes into the pull request of a job on GitHub Actions or GitLab CI, and "
        "this is none (GITHUB_ACTIONS, GITLAB_CI); `mlrek check --markdown FILE` writes the text"
    )


def name_job(environ: Mapping[str, str]) -> str:
    """What the comment of a job is called where nobody says it: by the job's own name."""
    names = ("GITHUB_WORKFLOW", "GITHUB_JOB", "CI_JOB_NAME")
    return "/".join(environ[name] for name in names if environ.get(name))


def _open_github(environ: Mapping[str, str], wait: Callable[[float], None]) -> GitHub | None:
    event = _read_event(environ.get("GITHUB_EVENT_PATH", ""))
    repository = environ.get("GITHUB_REPOSITORY", "")
    headers = {
        "Authorization": f"Bearer {_take_token(environ, 'GITHUB_TOKEN')}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "User-Agent": "mlrek",
    }
    address = environ.get("GITHUB_API_URL") or "https://api.github.com"
    api = Api(title="GitHub", address=address, headers=headers, wait=wait)
    run = event.get("workflow_run")
    number = _find_number(api, repository, run) if run else _read_number(event)
    if number is None:
        return None
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    here = f"{server}/{repository}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
    head = (event.get("pull_request") or {}).get("head") or {}
    return GitHub(
        api=api,
        graphql=environ.get("GITHUB_GRAPHQL_URL") or f"{address}/graphql",
        repository=repository,
        number=number,
        origin=JobOrigin(
            url=str(run.get("html_url") if run else here),
            commit=str((run or {}).get("head_sha") or head.get("sha") or ""),
        ),
    )


def _open_gitlab(environ: Mapping[str, str], wait: Callable[[float], None]) -> GitLab | None:
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    if not number.isdecimal():
        return None
    headers = {"PRIVATE-TOKEN": _take_token(environ, "GITLAB_TOKEN"), "User-Agent": "mlrek"}
    address = environ.get("CI_API_V4_URL") or "https://gitlab.com/api/v4"
    names = ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA")
    return GitLab(
        api=Api(title="GitLab", address=address, headers=headers, wait=wait),
        project=environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", ""),
        number=int(number),
        origin=JobOrigin(
            url=environ.get("CI_JOB_URL", ""),
            commit=next((environ[name] for name in names if environ.get(name)), ""),
        ),
    )


def _take_token(environ: Mapping[str, str], name: str) -> str:
    token = environ.get(name, "").strip()
    host = "GitHub" if name.startswith("GITHUB") else "GitLab"
    if not token or not token.isascii() or not token.isprintable():
        raise CommentError(f"no comment: {name} holds no token; {_REMEDIES[host]}")
    return token


def _read_event(path: str) -> Mapping[str, Any]:
    """What started the workflow, as GitHub keeps it in a file."""
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_number(event: Mapping[str, Any]) -> int | None:
    """The number of the pull request that an event is about."""
    issue = event.get("issue") or {}
    found = event.get("pull_request") or (issue if issue.get("pull_request") else {})
    number = found.get("number")
    return number if isinstance(number, int) else None


def _find_number(api: Api, repository: str, run: Mapping[str, Any]) -> int | None:
    """The open pull request whose newest commit another workflow has run on.

    A run of a fork's pull request does not say its number, and what it left in files is not to be
    believed. None where it is closed, or where a newer commit has come.
    """
    if run.get("event") != "pull_request":
        return None
    place = run.get("head_repository") or {}
    owner = (place.get("owner") or {}).get("login", "")
    query = {"state": "open", "head": f"{owner}:{run.get('head_branch', '')}"}
    for pull in api.ask_pages(f"repos/{repository}/pulls", query):
        head = pull.get("head") or {}
        from_there = (head.get("repo") or {}).get("full_name") == place.get("full_name")
        if from_there and head.get("sha") == run.get("head_sha"):
            return int(pull["number"])
    return None
