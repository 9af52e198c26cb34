"""What a person reads of a check: every answer, why what did not pass did not, the verdict."""

from itertools import chain
from textwrap import TextWrapper
from typing import TYPE_CHECKING

from mlrek.cli.output import Output
from mlrek.tables.decision import (
    COLUMNS,
    NUMERIC_COLUMNS,
    describe_cells,
    describe_looks,
    describe_needed,
    describe_verdict,
    describe_versions,
    list_doubts,
    list_open,
    list_remarks,
)

if TYPE_CHECKING:
    from mlrek.policy import Decision, Forgive

WIDE = 104
"""Columns of a terminal from which on numbers have four decimals."""
INDENT = "  "


def print_decision(decision: "Decision", output: Output, forgive: "Forgive" = "") -> None:
    """All checks before the verdict, which is the last line."""
    output.line(describe_versions(decision))
    output.line()
    _print_checks(decision, output)
    output.line()
    wrapper = TextWrapper(
        output.width, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False
    )
    reasons = (*list_open(decision), *list_remarks(decision))
    said = [f"{check.status.value}  {text}" for check, text in reasons]
    said += [f"doubt  {text}" for text in list_doubts(decision)]
    for line in chain.from_iterable(map(wrapper.wrap, said)):
        output.line(line)
    if said:
        output.line()
    rest = describe_looks(decision), describe_needed(decision), describe_verdict(decision, forgive)
    for text in filter(None, rest):
        for line in wrapper.wrap(text):
            output.line(line)
    output.warn(decision.warnings)


def _print_checks(decision: "Decision", output: Output) -> None:
    """A column that is empty for every check is left out."""
    digits = 4 if output.width >= WIDE else 3
    rows = [describe_cells(check, digits) for check in decision.checks]
    shown = [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]
    output.table(
        [COLUMNS[i] for i in shown],
        [[row[i] for i in shown] for row in rows],
        numeric=NUMERIC_COLUMNS,
    )
