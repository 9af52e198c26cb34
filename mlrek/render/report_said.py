"""What a report says of the provider's own numbers: each once, next to what was computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

from mlrek.evaluation import Evaluation
from mlrek.metrics import Metrics, Reconciled
from mlrek.metrics.numbers import name_metric
from mlrek.text import escape_unencodable, fmt

AGREES: Final = "agrees"
DIFFERS: Final = "differs"
NOT_COMPARED: Final = "not compared"
_VERDICTS: Final = {True: AGREES, False: DIFFERS, None: NOT_COMPARED}
_SAME: Final = 0.00005
"""Numbers that print alike with four decimals are not told apart in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidNumber:
    """One number that the provider published, and what the records give by a rule."""

    name: str
    reported: str
    computed: str
    verdict: str
    rule: str

    @property
    def kind(self) -> str:
        """The verdict as one word, for its colour."""
        return self.verdict.partition(" ")[0]


def list_said(metrics: Metrics) -> Iterator[SaidNumber]:
    """The numbers of all labels together: by the rule that agrees, and how others differ."""
    by_name: dict[str, list[Reconciled]] = {}
    for number in metrics.reconciliation:
        if "/" not in number.name and number.name != "train_images":
            by_name.setdefault(number.name, []).append(number)
    for numbers in by_name.values():
        yield _merge(numbers)


def count_said_labels(metrics: Metrics) -> dict[str, int]:
    """How many of the numbers of single labels and cells agree."""
    parts = [number for number in metrics.reconciliation if "/" in number.name]
    return {
        "all": len(parts),
        "compared": sum(number.agrees is not None for number in parts),
        "agree": sum(number.agrees is True for number in parts),
    }


def say_labels_differ(evaluation: Evaluation, metrics: Metrics) -> str:
    """Why F1 of labels differs from the provider's own, '' where it does not."""
    apart = [
        number
        for number in metrics.reconciliation
        if number.name.startswith("f1/") and abs(number.reported - number.computed) >= _SAME
    ]
    if not apart:
        return ""
    who, rule = evaluation.version.project.provider.author, apart[0].rule
    labels = "1 label" if len(apart) == 1 else f"{len(apart):,} labels"
    return (
        f"Of {labels} the {who}'s F1 is not the F1 that is computed at the assumed threshold "
        f"({escape_unencodable(rule)})."
    )


def fmt_said(value: float) -> str:
    """A number as it was published: counts whole, others with four decimals."""
    return fmt(value, 0 if value > 1 and float(value).is_integer() else 4)


def _merge(numbers: Sequence[Reconciled]) -> SaidNumber:
    """One row of all rules by which a number was computed."""
    first, *others = sorted(numbers, key=_rank)
    apart = [one for one in others if _is_apart(one, first)]
    verdict = _VERDICTS[first.agrees]
    if first.agrees and any(one.agrees is False for one in apart):
        verdict = f"{DIFFERS} by one rule"
    said = [first.rule, *(f"{fmt_said(one.computed)} by another: {one.rule}" for one in apart)]
    return SaidNumber(
        name=name_metric(first.name),
        reported=fmt_said(first.reported),
        computed=fmt_said(first.computed),
        verdict=verdict,
        rule=escape_unencodable("; ".join(said)),
    )


def _rank(number: Reconciled) -> tuple[bool, bool, bool, bool]:
    """What agrees first, of these what comes from the records; then what was computed at all."""
    is_ours = number.rule.startswith("macro")
    return number.agrees is not True, isnan(number.computed), number.agrees is None, not is_ours


def _is_apart(number: Reconciled, first: Reconciled) -> bool:
    """Whether a rule gives another number, as people see it."""
    return not isnan(number.computed) and fmt_said(number.computed) != fmt_said(first.computed)
