"""What a person reads of a comparison: the verdict, the numbers, why they moved, the images."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from mlrek.cli.output import Output
from mlrek.tables.comparison import (
    LABEL_TITLES,
    PARTS,
    TITLES,
    VERDICTS,
    describe_settling,
    describe_verdict,
    find_label_number,
    format_interval,
    format_number,
    format_part,
    format_points,
    join_labels,
    list_headlines,
    list_scopes,
    list_sure_labels,
    rank_confusions,
    shorten_name,
)
from mlrek.tables.doubts import say_doubt

if TYPE_CHECKING:
    from mlrek.comparing import Compared
    from mlrek.comparison import Answer, Comparison, Difference, ImageChange
    from mlrek.comparison.several import Several

WIDE = 92
"""Columns of a terminal from which on numbers have four decimals."""
MAX_IMAGES = 10
MAX_CONFUSIONS = 10
MAX_LABELS = 15


def print_comparisons(compared: "Compared", output: Output) -> None:
    """Each candidate against the baseline, then the test of all together, then warnings."""
    for comparison in compared.comparisons:
        _print_comparison(comparison, output)
    if compared.several is not None:
        names = [evaluation.version.name for evaluation in compared.evaluations]
        _print_several(compared.several, names, output)
    for comparison in compared.comparisons:
        several = len(compared.comparisons) > 1
        prefix = f"{comparison.candidate.name}: " if several else ""
        doubts = map(say_doubt, comparison.doubts)
        output.warn(f"{prefix}{warning}" for warning in (*doubts, *comparison.warnings))


def _print_comparison(comparison: "Comparison", output: Output) -> None:
    output.line(f"{comparison.candidate.name} against {comparison.baseline.name}")
    output.line(describe_verdict(comparison))
    output.line(_describe_test_sets(comparison))
    output.line()
    _print_numbers(comparison, output)
    _print_why(comparison, output)
    _print_labels(comparison, output)
    _print_changes(comparison, output)
    _print_confusions(comparison, output)
    if settling := describe_settling(comparison):
        output.line(settling)
        output.line()


def _describe_test_sets(comparison: "Comparison") -> str:
    sets = comparison.test_sets
    parts = [
        f"{sets.shared:,} shared",
        f"{sets.only_baseline:,} only in {comparison.baseline.name}",
        f"{sets.only_candidate:,} only in {comparison.candidate.name}",
        f"{sets.relabelled:,} relabelled{' and left out' if sets.relabelled else ''}",
    ]
    parts += [f"{sets.duplicated:,} duplicated"] if sets.duplicated else []
    return f"Test images: {', '.join(parts)} ({VERDICTS[sets.verdict]})."


def _print_numbers(comparison: "Comparison", output: Output) -> None:
    digits = 4 if output.width >= WIDE else 3
    for scope in list_scopes(comparison):
        titles = [TITLES[scope], "baseline", "candidate", "difference", "95 % interval", "p"]
        rows = [_number_row(difference, digits) for difference in list_headlines(comparison, scope)]
        output.table(titles, rows, numeric=frozenset(titles[1:]))
        output.line()


def _number_row(difference: "Difference", digits: int) -> list[str]:
    from mlrek.metrics.paired_tests import format_p

    return [
        shorten_name(difference.name),
        format_number(difference.baseline, digits),
        format_number(difference.candidate, digits),
        format_number(difference.difference, digits, signed=True),
        format_interval(difference, digits),
        "" if isnan(difference.p) else format_p(difference.p),
    ]


def _print_why(comparison: "Comparison", output: Output) -> None:
    """A column for each number whose change is explained, each part with its 95 % interval."""
    if not comparison.why:
        return
    titles = ["points of change", *map(shorten_name, comparison.why)]
    rows = [
        [text, *(format_part(why, part) for why in comparison.why.values())]
        for part, text in PARTS.items()
    ]
    rows.append(["in all", *(format_points(why.total) for why in comparison.why.values())])
    output.table(titles, rows, numeric=frozenset(titles[1:]))
    for note in dict.fromkeys(why.note for why in comparison.why.values() if why.note):
        output.line(f"({note})")
    output.line()


def _print_labels(comparison: "Comparison", output: Output) -> None:
    """Labels that got better or worse for sure, all of them taken together (Holm)."""
    from mlrek.metrics.paired_tests import format_p

    sure = list_sure_labels(comparison)
    if not sure:
        return
    name = LABEL_TITLES[find_label_number(comparison)]
    titles = ["label", f"{name} baseline", f"{name} candidate", "difference", "p (Holm)", ""]
    rows = [
        [
            d.label,
            format_number(d.baseline),
            format_number(d.candidate),
            format_number(d.difference, signed=True),
            format_p(p),
            d.judgement.value,
        ]
        for d, p in sure[:MAX_LABELS]
    ]
    output.line("Labels that differ for sure:")
    output.table(titles, rows, numeric=frozenset(titles[1:-1]))
    output.line()


def _print_changes(comparison: "Comparison", output: Output) -> None:
    counts = ", ".join(
        f"{len(changes):,} {kind}"
        for kind, changes in (
            ("fixed", comparison.fixed),
            ("broken", comparison.broken),
            ("wrong in another way", comparison.changed),
        )
    )
    output.line(f"Images: {counts}.")
    if comparison.broken:
        output.line("Broken, the surest mistakes first:")
        shown = sorted(comparison.broken, key=_sureness, reverse=True)[:MAX_IMAGES]
        titles = ["image", "truth", "baseline", "candidate"]
        output.table(titles, map(_change_row, shown))
    output.line()


def _sureness(change: "ImageChange") -> float:
    confidence = change.candidate.confidence
    return -1.0 if isnan(confidence) else confidence


def _change_row(change: "ImageChange") -> list[str]:
    answers = map(_describe_answer, (change.baseline, change.candidate))
    return [change.image, join_labels(change.truth), *answers]


def _describe_answer(answer: "Answer") -> str:
    sure = "" if isnan(answer.confidence) else f" {answer.confidence:.2f}"
    return join_labels(answer.labels) + sure


def _print_confusions(comparison: "Comparison", output: Output) -> None:
    cells = rank_confusions(comparison)
    if not cells:
        return
    rows = [[true, found, f"{n:+,}"] for true, found, n in cells[:MAX_CONFUSIONS]]
    rest = cells[MAX_CONFUSIONS:]
    if rest:
        rows.append(["(other)", f"{len(rest):,} cells", f"{sum(n for *_, n in rest):+,}"])
    output.line("Confusion matrix, candidate minus baseline on shared images:")
    output.table(["true", "predicted", "change"], rows, numeric=frozenset({"change"}))
    output.line()


def _print_several(several: "Several", names: Sequence[str], output: Output) -> None:
    from mlrek.metrics.paired_tests import format_p

    if several.reason:
        output.line(f"All versions together: no test ({several.reason}).")
        return
    output.line(
        f"All versions together (Cochran's Q, {several.images:,} images that all were tested on): "
        f"Q = {several.q:.2f}, {several.df} degrees of freedom, p = {format_p(several.p)}"
    )
    rows = [
        [
            names[pair.first],
            names[pair.second],
            format_number(pair.difference, signed=True),
            format_p(pair.p),
            format_p(pair.p_adjusted),
        ]
        for pair in several.pairs
    ]
    titles = ["first", "second", "difference", "p", "p (Holm)"]
    output.table(titles, rows, numeric=frozenset(titles[2:]))
    output.line()
