"""`mlrek policy`: a policy to start from, what policies may hold, and whether files are valid."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output
from mlrek.errors import PolicyError, UsageError

if TYPE_CHECKING:
    from mlrek.promotion import Referred


def init(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=opt.VERSION_HELP)],
    path: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there.", show_default=False),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file.")] = False,
    alias: opt.Alias = "champion",
    tracking_uri: opt.TrackingUri = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """Write a policy to start from: for a version's labels, with limits that it fulfils itself.

    Each line has its reason as a comment; what is optional is commented out. Change the limits to
    what your use of the model needs.

    Example: mlrek policy init examples/digits#v2-linear -o policy.toml
    """
    from mlrek.policy.starting import Start, write_starter
    from mlrek.promotion.check import load_candidate
    from mlrek.registry.door import check_alias

    check_alias(alias)
    if path and not force and Path(path).exists():
        raise UsageError(f"{path} is there already; --force overwrites it")
    referred, candidate = load_candidate(version, account.aws, opt.open_for_reading(tracking_uri))
    baseline, champion = _choose_baseline(version, referred, alias)
    columns = tuple(column.name for column in referred.evaluation.slice_columns)
    text = write_starter(
        Start(candidate=candidate, baseline=baseline, champion=champion, columns=columns)
    )
    if output.as_json:
        output.document({"policy": text, "file": path or None})
    if path:
        _write(path, text, force=force)
        output.hint(f"check a version by it: mlrek check VERSION --policy {path}")
    elif not output.as_json:
        output.text(text)


def check_files(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Policies, TOML files; several may be named."),
    ],
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            metavar="VERSION",
            help="Named where they are used, so that no [baseline] need be in them.",
            show_default=False,
        ),
    ] = "",
    *,
    output: Output,
) -> None:
    """Say all that is wrong with policies, without a version that is checked by them.

    Exit code 0: every file is a valid policy; 2: one is not. It is a hook of pre-commit, too.

    Example: mlrek policy check examples/policy.toml
    """
    mistakes = {path: _list_mistakes(path, baseline) for path in paths}
    if output.as_json:
        files = [{"file": path, "mistakes": found} for path, found in mistakes.items()]
        output.document({"policies": files})
    else:
        for path in [path for path, found in mistakes.items() if not found]:
            output.line(f"{path}: valid")
    if wrong := [line for found in mistakes.values() for line in found]:
        raise PolicyError(*wrong)


def schema(*, output: Output) -> None:
    """Print the JSON Schema (draft 2020-12) of policies, for editors and other tools.

    What no schema can say stands in its descriptions; `mlrek check` says it of a file.

    Example: mlrek policy schema > policy.schema.json
    """
    from mlrek.policy.schema import build_schema

    output.document(build_schema())


def _list_mistakes(path: str, baseline: str) -> list[str]:
    """All that is wrong with a file."""
    from mlrek.sources.policies import read_policy

    try:
        read_policy(path, baseline)
    except PolicyError as exc:
        return list(exc.mistakes)
    return []


def _choose_baseline(version: str, referred: "Referred", alias: str) -> tuple[str, str]:
    """What candidates are compared with, and which alias may be it later."""
    from mlrek.registry.door import clean_name

    if referred.registered is not None:
        return f"models:/{referred.registered.name}@{alias}", ""
    champion = f"models:/{clean_name(referred.evaluation.version.project.name)}@{alias}"
    if "#" in version or version.startswith(("runs:/", "arn:", "projects/")):
        return version, champion
    return f"{version}#{referred.evaluation.version.name}", champion


def _write(path: str, text: str, *, force: bool) -> None:
    """Write the file, which is not there yet unless it may be overwritten."""
    try:
        with Path(path).open("wb" if force else "xb") as file:
            file.write(text.encode())
    except FileExistsError as exc:
        raise UsageError(f"{path} is there already; --force overwrites it") from exc
    except (OSError, ValueError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise UsageError(f"-o {path}: cannot be written: {said}") from exc
