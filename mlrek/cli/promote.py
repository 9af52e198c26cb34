"""`mlrek promote`: check, show, then move the registry's alias."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import EXIT_FAILED, Output
from mlrek.errors import UsageError

if TYPE_CHECKING:
    from mlrek.policy import Forgive, Policy
    from mlrek.promotion.promote import Promotion
    from mlrek.registry.door import Registry

REFUSED = {3: "refused", 4: "undecided"}
"""What is said of a version that the policy does not let pass."""


def promote(
    candidate: Annotated[
        str,
        typer.Argument(
            metavar="CANDIDATE",
            help="models:/NAME/3 or models:/NAME@alias; or a version ARN, SOURCE#VERSION or "
            "runs:/ID that is registered. With --rollback: NAME or models:/NAME.",
        ),
    ],
    policy: Annotated[
        str,
        typer.Option(
            "--policy", metavar="FILE", help="The policy, a TOML file.", show_default=False
        ),
    ] = "",
    alias: opt.Alias = "champion",
    group_by: opt.GroupBy = "",
    slice_by: opt.SliceBy = None,
    undecided: opt.Undecided = None,
    unfolds: opt.Unfolds = False,
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Put back what the alias was before; asks no policy."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show, but write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    model_uri: opt.ModelUri = "",
    tracking_uri: opt.TrackingUri = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """Check a registered version by a policy, then move the registry's alias to it.

    The alias moves only when the policy says yes (exit code 0), never on 3 (no) or 4 (not enough
    evidence). What it stood for before is remembered: --rollback puts that back.

    MLflow cannot move an alias on condition. Of promotions by mlrek at once one moves it, and the
    others say so; a move made in another way in the same milliseconds is overwritten unseen.

    Example: mlrek promote models:/digits/3 --policy examples/policy.toml --yes
    """
    from mlrek.cli.check import say_start
    from mlrek.promotion.promote import check_promotion, prepare_promotion, prepare_rollback
    from mlrek.registry.door import Registry
    from mlrek.registry.own_model import find_own_model
    from mlrek.sources.policies import read_policy
    from mlrek.tracking.connection import connect

    if bool(policy) == rollback:
        raise UsageError(
            "--rollback asks no policy: leave --policy out"
            if rollback
            else f"name a policy: {say_start(candidate)}; --rollback puts back what was before"
        )
    registry = Registry(connect(tracking_uri))
    if model_uri and rollback:
        raise UsageError("--rollback puts back what was before: leave --model-uri out")
    own = find_own_model(registry, model_uri) if model_uri else None
    asked = None if rollback else read_policy(policy, "", group_by, slice_by or ())
    if asked is None:
        promotion = prepare_rollback(candidate, alias, registry)
    else:
        aws = account.aws
        promotion = prepare_promotion(candidate, alias, aws, registry)
        promotion = check_promotion(promotion, asked, aws, registry, notes=not dry_run)
        if own is not None:
            promotion = replace(promotion, own=own)
    if not output.as_json:
        _show(promotion, output, undecided or "", unfolds=unfolds)
    outcome = _decide(promotion, undecided or "", dry_run=dry_run)
    if not outcome:
        promotion, outcome = _move(promotion, asked, registry, undecided or "", ask=not yes)
    _tell(promotion, outcome, output, undecided or "")


def _show(promotion: "Promotion", output: Output, undecided: "Forgive", *, unfolds: bool) -> None:
    from mlrek.cli.check import say_folded
    from mlrek.render.decision import decision_blocks

    if promotion.decision is not None:
        decision = promotion.decision
        output.show(decision_blocks(decision, undecided, output.width, unfolds=unfolds))
        say_folded(decision, output, unfolds=unfolds)
        output.warn(decision.warnings)
        output.line()


def _decide(promotion: "Promotion", undecided: "Forgive", *, dry_run: bool) -> str:
    """Why nothing is to be moved, '' where something is."""
    code = promotion.exit_code(undecided)
    if code:
        return REFUSED[code]
    if promotion.moved is not None:
        return promotion.moved.outcome.value
    return "dry-run" if dry_run else ""


def _move(
    promotion: "Promotion",
    policy: "Policy | None",
    registry: "Registry",
    undecided: "Forgive",
    *,
    ask: bool,
) -> "tuple[Promotion, str]":
    """Ask, seal, then move; a promotion that a person does not want is declined."""
    from mlrek.promotion.promote import attach_model, seal_promotion
    from mlrek.registry.moving import move_alias

    if ask and not _confirm(promotion):
        return promotion, "declined"
    promotion = attach_model(promotion, registry)
    if policy is not None:
        promotion = seal_promotion(promotion, policy, registry, undecided)
    moved = move_alias(registry, promotion.move)
    return replace(promotion, moved=moved), moved.outcome.value


def _confirm(promotion: "Promotion") -> bool:
    move = promotion.move
    if not sys.stdin.isatty():
        raise UsageError(
            f"{move.uri} is not moved: nobody is there to ask; to move it without asking, add --yes"
        )
    return typer.confirm(f"Move {_say_move(promotion)}?", err=True)


def _tell(promotion: "Promotion", outcome: str, output: Output, undecided: "Forgive") -> None:
    """Say what became of the alias, and end with the exit code that tells it."""
    from mlrek.render import Line

    reason = promotion.moved.reason if promotion.moved else ""
    said = [_SENTENCES[outcome].format(move=_say_move(promotion), reason=reason)]
    if outcome == "moved" and promotion.move.decision:
        said.append(f"The decision is sealed as {promotion.move.decision} (SHA-256).")
    output.show(map(Line, said), lambda: _build_json(promotion, outcome))
    code = promotion.exit_code(undecided)
    if code or outcome in {"overtaken", "declined"}:
        raise typer.Exit(code or EXIT_FAILED)


_SENTENCES = {
    "moved": "Moved {move}.",
    "unchanged": "Nothing to move: {reason}.",
    "overtaken": "{reason}.",
    "declined": "Not moved: {move}, as you said no.",
    "dry-run": "Would move {move}; nothing was written.",
    "refused": "Not moved: {move}. The policy says no.",
    "undecided": "Not moved: {move}. There is not enough evidence.",
}


def _say_move(promotion: "Promotion") -> str:
    """The alias, from where, to where: `models:/m@champion from version 1 (v1) to 2 (v2)`."""
    move = promotion.move
    before = f"from version {move.before} " if move.before else ""
    name = f" ({move.version.version_name})" if move.version.version_name else ""
    return f"{move.uri} {before}to version {move.version.number}{name}"


def _build_json(promotion: "Promotion", outcome: str) -> dict[str, Any]:
    """The stable JSON form: the gate's answer, and what became of the alias."""
    from mlrek.render.decision import build_decision_json

    move, moved = promotion.move, promotion.moved
    empty: dict[str, Any] = dict.fromkeys(
        ("verdict", "candidate", "baseline", "images_needed", "images_needed_range", "looks")
    )
    empty |= {"checks": [], "already_champion": False, "doubts": [], "warnings": []}
    answer = build_decision_json(promotion.decision) if promotion.decision else empty
    return {
        **answer,
        "promotion": {
            "model": move.version.name,
            "alias": move.alias,
            "version": move.version.number,
            "version_arn": move.version.version_arn or None,
            "before": move.before,
            "now": moved.now if moved else move.before,
            "outcome": outcome,
            "decision": move.decision or None,
            "reason": (moved.reason if moved else "") or None,
        },
    }
