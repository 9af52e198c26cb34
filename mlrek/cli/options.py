"""Options that several commands share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlrek.cli.command import COMMON, HelpfulCommand
from mlrek.cli.output import Output
from mlrek.errors import UsageError
from mlrek.text import join_said

if TYPE_CHECKING:
    from typer._click import Context

    from mlrek.formats.predictions import JoinOptions
    from mlrek.metrics.slices import Slicing
    from mlrek.sources import AwsOptions
    from mlrek.sources.custom import CustomOptions
    from mlrek.tracking.store import Store


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Rekognition project ARN or name, version ARN, s3:// prefix, folder or file.",
    ),
]
FOREIGN = "Predictions of any model"
"""The title in help of what only they need."""
VERSION_HELP = "Version ARN, SOURCE#VERSION, runs:/ID, models:/NAME/3 or models:/NAME@alias."
Undecided = Annotated[
    Literal["pass", "fail", ""] | None,  # `mlflow run` hands over an empty one where none is given
    typer.Option(
        "--undecided",
        metavar="pass|fail",
        help="What too little evidence counts as; default: neither, exit code 4.",
        show_default=False,
    ),
]
Unfolds = Annotated[
    bool, typer.Option("--all", help="Show a row for each check, also for those that passed.")
]
Alias = Annotated[
    str, typer.Option("--alias", metavar="ALIAS", help="The alias that is to be moved.")
]
GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="REGEX",
        help="Images that show one object belong together: a regular expression on image URIs, "
        "whose first group names the object.",
        show_default=False,
    ),
]
SliceBy = Annotated[
    list[str] | None,
    typer.Option(
        "--slice-by",
        metavar="NAME=REGEX",
        help="A further column for slices: what a regular expression finds in image URIs, its "
        "first group or the whole match (repeatable).",
        show_default=False,
    ),
]
Slices = Annotated[
    str,
    typer.Option(
        "--slices",
        metavar="FILE",
        help="A table of images with further columns for slices: CSV, Parquet or JSON Lines.",
        show_default=False,
    ),
]
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        rich_help_panel=COMMON,
        metavar="URI",
        help="MLflow store; else MLFLOW_TRACKING_URI, else MLflow's own default.",
        show_default=False,
    ),
]
Experiment = Annotated[
    str,
    typer.Option(
        "--experiment",
        rich_help_panel=COMMON,
        metavar="NAME",
        help="Experiment name; default: mlrek/<project>.",
        show_default=False,
    ),
]
SkipBadLines = Annotated[
    bool,
    typer.Option("--skip-bad-lines", help="Skip malformed manifest lines, counted and warned of."),
]
Images = Annotated[
    str,
    typer.Option(
        "--images",
        metavar="auto|none|FOLDER",
        help="Where the page's pictures come from, and the content by which changed ones are "
        "noticed: where the evaluation says, nowhere, or a folder (also s3://).",
    ),
]


ModelUri = Annotated[
    str,
    typer.Option(
        "--model-uri",
        metavar="URI",
        help="Your own MLflow model that the registered version loads: runs:/ID/model, models:/… "
        "or a folder.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The AWS account that is asked; each field is an option."""

    region: Annotated[
        str,
        typer.Option(
            "--region",
            rich_help_panel=COMMON,
            metavar="REGION",
            help="AWS region; else the ARN's or your own.",
            show_default=False,
        ),
    ] = ""
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            rich_help_panel=COMMON,
            metavar="NAME",
            help="AWS profile; else AWS_PROFILE.",
            show_default=False,
        ),
    ] = ""

    @property
    def aws(self) -> "AwsOptions":
        """The same as the sources take it."""
        from mlrek.sources import AwsOptions

        return AwsOptions(region=self.region, profile=self.profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """How predictions and truth come together; each field is an option."""

    task: Annotated[
        Literal["classification", "multilabel", "detection", ""],
        typer.Option(
            "--task",
            rich_help_panel=FOREIGN,
            metavar="classification|multilabel|detection",
            help="Of predictions: what the model answers, where the data leave it open.",
            show_default=False,
        ),
    ] = ""
    match: Annotated[
        Literal["uri", "name", ""],
        typer.Option(
            "--match",
            rich_help_panel=FOREIGN,
            metavar="uri|name",
            help="Images of predictions and truth are the same by URI (default), or by file name.",
            show_default=False,
        ),
    ] = ""
    unmatched: Annotated[
        Literal["error", "drop", "miss", ""],
        typer.Option(
            "--unmatched",
            rich_help_panel=FOREIGN,
            metavar="error|drop|miss",
            help="Images that only one side has: an error (default), left out, or missed.",
            show_default=False,
        ),
    ] = ""
    thresholds: Annotated[
        str,
        typer.Option(
            "--thresholds",
            rich_help_panel=FOREIGN,
            metavar="FILE",
            help="From where on each label counts as predicted, a table label,threshold.",
            show_default=False,
        ),
    ] = ""
    label_map: Annotated[
        str,
        typer.Option(
            "--label-map",
            rich_help_panel=FOREIGN,
            metavar="FILE",
            help="What the labels of predictions are called in the truth, a table.",
            show_default=False,
        ),
    ] = ""

    @property
    def is_given(self) -> bool:
        """Whether any of them says that there are predictions."""
        return any(getattr(self, field.name) for field in fields(self))

    @property
    def is_match_alone(self) -> bool:
        """Whether only `--match` is given, which also says how `--slices` are joined."""
        return bool(self.match) and not replace(self, match="").is_given

    @property
    def options(self) -> "JoinOptions":
        """The same as the join takes them, without what files say."""
        from mlrek.evaluation import Task
        from mlrek.formats.predictions import JoinOptions, Match, Unmatched

        return JoinOptions(
            task=Task(self.task) if self.task else None,
            match=Match(self.match or Match.URI),
            unmatched=Unmatched(self.unmatched or Unmatched.ERROR),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A model from anywhere: what its predictions are; each field is an option."""

    truth: Annotated[
        str,
        typer.Option(
            "--truth",
            rich_help_panel=FOREIGN,
            metavar="TEST_SET",
            help="What is true of the images, in any form; without it the SOURCE holds that too.",
            show_default=False,
        ),
    ] = ""
    project: Annotated[
        str,
        typer.Option(
            "--project",
            rich_help_panel=FOREIGN,
            metavar="ARN|NAME",
            help="Of predictions: the project that the model belongs to, an ARN or a new name.",
            show_default=False,
        ),
    ] = ""
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            rich_help_panel=FOREIGN,
            metavar="NAME",
            help="Of a manifest as --truth only this label attribute counts (repeatable).",
            show_default=False,
        ),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether any of them says that the SOURCE is predictions."""
        return any(getattr(self, field.name) for field in fields(self))

    def choose(self, versions: "Sequence[str]", joining: Joining) -> "CustomOptions":
        """The same as sources take them; `versions` are the names of the one version."""
        from mlrek.sources.custom import CustomOptions

        if len(versions) > 1:
            raise UsageError("predictions are of one version: give --version once")
        options = joining.options
        return CustomOptions(
            project=self.project,
            version="".join(versions),
            truth=self.truth,
            attributes=tuple(self.attribute or ()),
            task=options.task,
            match=options.match,
            unmatched=options.unmatched,
            thresholds=joining.thresholds,
            label_map=joining.label_map,
        )


FLAG = "--register"
_NOT_IN_NAMES = frozenset("/\\:")


class RegisteringCommand(HelpfulCommand):
    """A command with `--register [NAME]` and sources as arguments.

    The word after `--register` is its NAME, unless it cannot be one (it holds a slash or a colon,
    as paths, URIs and ARNs do), or no SOURCE would be left. `--register=NAME` is always the NAME.
    """

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Write the NAME to the option before the words are told apart."""
        return super().parse_args(ctx, self._join_name(ctx, args))

    def _join_name(self, ctx: "Context", args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        if FLAG not in args[:end]:
            return args
        i = args.index(FLAG)
        before, after = args[:i], self._join_name(ctx, args[i + 1 :])
        if is_name(args[i + 1 : end]) and self._has_sources(ctx, [*before, *after[1:]]):
            return [*before, f"{FLAG}={after[0]}", *after[1:]]
        return [*before, f"{FLAG}=", *after]

    def _has_sources(self, ctx: "Context", args: list[str]) -> bool:
        """Whether any argument is among the words; wrong ones are reported when it counts."""
        from typer._click.exceptions import UsageError as WrongUsage

        parser = self.make_parser(ctx)
        try:
            given, _, _ = parser.parse_args(list(args))
        except WrongUsage:
            return True
        return bool(given.get("sources") or given.get("all_projects"))


def with_shared_options(
    command: Callable[..., None], *, begin: Callable[[Mapping[str, Any]], None] | None = None
) -> Callable[..., None]:
    """The command as Typer takes it: an option for each field of the groups that it asks for.

    `begin` is given all arguments before anything else is imported.
    """
    own = signature(command).parameters.values()
    shared = {
        p.name: p.annotation for p in own if p.annotation in {Account, Foreign, Joining, Output}
    }

    @wraps(command)
    def run(**given: Any) -> None:
        for name, group in shared.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
            if isinstance(given[name], Output):
                given[name].set_up_logging()
        if begin is not None:
            begin(given)
        if Account not in shared.values():  # no source is looked through
            command(**given)
            return
        from mlrek.cli.progress import show_searches

        said = next((one for one in given.values() if isinstance(one, Output)), Output())
        with show_searches(said):
            command(**given)

    options = [
        option.replace(kind=option.KEYWORD_ONLY)
        for p in own
        for option in (signature(p.annotation).parameters.values() if p.name in shared else [p])
    ]
    run.__signature__ = Signature(options)  # type: ignore[attr-defined]
    return run


def make_slicing(slice_by: "Sequence[str] | None", slices: str, match: str) -> "Slicing":
    """The columns that were asked for.

    Raises:
        UsageError: `--slice-by` names none.
    """
    from mlrek.formats.image_columns import parse_patterns
    from mlrek.metrics.slices import Slicing

    by = tuple(parse_patterns(slice_by or ()).items())
    return Slicing(by=by, table=slices, match=match or "uri")


def open_for_reading(tracking_uri: str) -> "Callable[[], Store]":
    """What opens the store, once a version is named that is in it: files need none."""

    def open_store() -> "Store":
        from mlrek.tracking.connection import connect_for_reading

        return connect_for_reading(tracking_uri)

    return open_store


def check_images(images: str) -> str:
    """The option as it was given, where it can be one.

    Raises:
        UsageError: It is a folder that is not there.
    """
    if images in {"auto", "none"} or images.startswith("s3://") or Path(images).is_dir():
        return images
    from mlrek.sources.storage import say_missing_path

    said = join_said(say_missing_path(images), "give a folder, or auto, or none")
    raise UsageError(f"--images {images}: {said}")


def is_name(words: list[str]) -> bool:
    """Whether the first word can be the name of a registered model."""
    if not words or words[0].startswith("-"):
        return False
    return words[0] not in {"", ".", ".."} and not _NOT_IN_NAMES.intersection(words[0])
