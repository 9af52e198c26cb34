"""The slices of a comparison as JSON, and as the blocks that people are shown."""

from collections.abc import Sequence
from math import isnan
from typing import Final

from mlrek.comparison import Comparison, Judgement, SliceDifference
from mlrek.metrics.numbers import name_metric
from mlrek.metrics.paired_tests import format_p
from mlrek.render import Block, Folded, Json, Line, Table, build_fields, cut_name
from mlrek.text import fmt, list_some, span

MAX_SHOWN: Final = 15
_SURE: Final = (Judgement.WORSE, Judgement.BETTER)
_NUMBERS: Final = ("baseline", "candidate", "difference", "low", "high", "p")
_NAMED: Final = 3


def build_slice_json(found: SliceDifference) -> dict[str, Json]:
    """One slice in both versions; the numbers next to its name are of the score."""
    return {
        "name": found.name,
        "names": [*found.names],
        "images": len(found.images),
        "score": found.score.name,
        **build_fields(found.score, *_NUMBERS, "p_adjusted", "judgement", "reason"),
        "part_of": found.part_of or None,
        "numbers": [build_fields(number, "name", *_NUMBERS, "reason") for number in found.numbers],
    }


def list_sure_slices(comparison: Comparison) -> list[SliceDifference]:
    """Those that got worse or better for sure, worse ones first, each shown by itself."""
    rows = [row for row in comparison.slices if not row.part_of]
    return [row for judged in _SURE for row in rows if row.score.judgement is judged]


def compared_slice_blocks(
    comparison: Comparison, *, is_wide: bool = True, folds: bool = False
) -> list[Block]:
    """Slices that got worse come first; where none did, one line says of how many.

    Args:
        comparison: Of two versions.
        is_wide: Whether there is room for intervals and four decimals.
        folds: Whether rows may be folded away where none got worse.
    """
    if not comparison.n_slices_tried:
        return []
    sure = list_sure_slices(comparison)
    is_worse = any(row.score.judgement is Judgement.WORSE for row in sure)
    said = _say_slices(comparison, sure)
    if folds and not is_worse:
        shown = [row for row in comparison.slices if not row.part_of][:MAX_SHOWN]
        return [Folded(said, [_tabulate(shown, is_wide=is_wide)])]
    shown = sure[:MAX_SHOWN]
    blocks: list[Block] = [Line(said)]
    if shown:
        blocks += [_tabulate(shown, is_wide=is_wide), *_list_parts(shown, comparison)]
    if rest := len(sure) - len(shown):
        blocks.append(Line(f"and {rest:,} more of these: `--json` has them"))
    return blocks


def _say_slices(comparison: Comparison, sure: Sequence[SliceDifference]) -> str:
    """How many got worse and better, of how many."""
    worse, better = (sum(row.score.judgement is one for row in sure) for one in _SURE)
    tried = comparison.n_slices_tried
    if not worse and not better:
        return f"Slices: of {tried:,} tried none is significantly worse or better."
    among = f"of {tried:,} tried (p after Holm over all of them)"
    gains = f", {better:,} better" if better else ""
    return f"Slices: {worse or 'none'} significantly worse{gains}, {among}:"


def _tabulate(rows: Sequence[SliceDifference], *, is_wide: bool) -> Table:
    digits = 4 if is_wide else 3
    score = name_metric(rows[0].score.name) if rows else ""
    columns = {
        "slice": [_say_names(row) for row in rows],
        "images": [f"{len(row.images):,}" for row in rows],
        f"{score} baseline": [fmt(row.score.baseline, digits) for row in rows],
        f"{score} candidate": [fmt(row.score.candidate, digits) for row in rows],
        "difference": [fmt(row.score.difference, digits, signed=True) for row in rows],
        "95 % interval": [span(row.score.low, row.score.high, digits, signed=True) for row in rows],
        "p (Holm)": ["" if isnan(p := row.score.p_adjusted) else format_p(p) for row in rows],
        "": [row.score.judgement.value for row in rows],
    }
    if not is_wide:
        del columns["95 % interval"]
    return Table(
        [*columns],
        [*zip(*columns.values(), strict=True)],
        numeric=frozenset(columns) - {"slice", ""},
        toned=frozenset({""}),
        whole=frozenset({""}),
    )


def _say_names(row: SliceDifference) -> str:
    others = list_some(map(cut_name, row.names[1:]), _NAMED) if row.names[1:] else ""
    return cut_name(row.name) + (f" (also {others})" if others else "")


def _list_parts(shown: Sequence[SliceDifference], comparison: Comparison) -> list[Block]:
    """What is not shown by itself, for there being a slice that tells the same."""
    found: list[Block] = []
    for lead in shown:
        parts = [cut_name(row.name) for row in comparison.slices if row.part_of == lead.name]
        if parts:
            said = f"shown as one with {cut_name(lead.name)}: {list_some(parts, _NAMED)}"
            found.append(Line(said))
    return found
