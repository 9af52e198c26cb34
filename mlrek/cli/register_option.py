"""`--register [NAME]`: an option whose value may be left out, which Typer does not have."""

from typing import TYPE_CHECKING

from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context  # pragma: no cover - a name for the type checker only

FLAG = "--register"
_NOT_IN_NAMES = frozenset("/\\:")


class RegisteringCommand(TyperCommand):
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
        """Whether any argument is among the words; wrong ones are told of when it counts."""
        from typer._click.exceptions import UsageError as WrongUsage

        parser = self.make_parser(ctx)
        try:
            given, _, _ = parser.parse_args(list(args))
        except WrongUsage:
            return True
        return bool(given.get("sources") or given.get("all_projects"))


def is_name(words: list[str]) -> bool:
    """Whether the first word can be the name of a registered model."""
    if not words or words[0].startswith("-"):
        return False
    return words[0] not in {"", ".", ".."} and not _NOT_IN_NAMES.intersection(words[0])
