"""How each slice does: its numbers, and how surely it is worse or better than the rest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlrek.evaluation import DoubtKind, Evaluation, FloatArray, IntArray
from mlrek.metrics import Metrics, Number, PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.image_scores import ImageScores, score_each_image
from mlrek.metrics.intervals import CONFIDENCE
from mlrek.metrics.numbers import HEADLINES
from mlrek.metrics.paired_tests import adjust_holm
from mlrek.metrics.slices import (
    MIN_SLICE_IMAGES,
    Slice,
    SliceJudgement,
    SliceReport,
    SliceRow,
    list_slices,
)
from mlrek.metrics.test_set import count_once, take_images
from mlrek.metrics.two_samples import (
    Sums,
    as_counts,
    compare_newcombe,
    compare_welch,
    fisher_mid_p,
    welch_p,
)

LEVEL: Final = 0.05
"""A slice is worse or better where p after Holm is at most that."""

GROUPS_REASON: Final = (
    "no test: images of one group go together, and no test of slices of groups is known to hold"
)
GROUPED_NOTE: Final = (
    "images of one group are right or wrong together, so that p is too small: name the groups "
    "(group_by) to have no test of slices instead of a wrong one"
)
FEW_OTHERS_REASON: Final = "no test: {n} images are not in it, and {needed} are needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked of all slices."""

    evaluation: Evaluation
    rule: PredictionRule
    scores: ImageScores
    confidence: float
    min_images: int
    groups: IntArray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """Images that one slice has, or several do."""

    names: tuple[str, ...]
    images: IntArray


def compute_slices(  # noqa: PLR0913 - each of them is asked for by name
    evaluation: Evaluation,
    rule: PredictionRule = PredictionRule.TOP1,
    *,
    by: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    min_images: int = MIN_SLICE_IMAGES,
    groups: IntArray | None = None,
    metrics: Metrics | None = None,
) -> SliceReport:
    """The numbers of each slice, and the test that tells it from the rest, worst first.

    Worst first is: worse, then undecided, then better; among these the surest that is worse than
    the rest, by p, then by the difference, then by name.

    Args:
        evaluation: What was read. Of repeated images the one counts that `count_once` takes, and
            rows count places in what it returns.
        rule: Which record is an image's prediction in one-label classification.
        by: Names of the columns; None: all.
        confidence: Of every interval.
        min_images: A value with fewer images that count is no slice.
        groups: A code for the group of each image, (n_images,): then there is no test.
        metrics: All numbers of the version, where they are known already.

    Raises:
        EvaluationError: The evaluation contradicts its task.
    """
    distinct = count_once(evaluation)
    question = _Question(
        evaluation=distinct,
        rule=rule,
        scores=score_each_image(distinct, rule),
        confidence=confidence,
        min_images=min_images,
        groups=None if groups is None else _match_groups(evaluation, distinct, groups),
    )
    listed = list_slices(distinct, by)
    sized, n_small = _keep_large(listed.slices, question)
    notes = [*listed.notes, *question.scores.notes, *_say_grouped(distinct, metrics)]
    named = _join_same(sized)
    n_counted = int(np.count_nonzero(question.scores.counted))
    notes += [_say_whole(one) for one in named if len(one.images) == n_counted]
    named = [one for one in named if len(one.images) < n_counted]
    rows = _compare(named, question)
    rows = _order(_judge(rows))
    return SliceReport(
        score=question.scores.name,
        singles=tuple(_join_nested(_add_numbers(rows, question))),
        n_tried=sum(not np.isnan(row.p) for row in rows),
        n_small=n_small,
        columns=listed.columns,
        notes=tuple(notes),
    )


def _say_grouped(evaluation: Evaluation, metrics: Metrics | None) -> Iterator[str]:
    doubts = (*evaluation.doubts, *(metrics.doubts if metrics is not None else ()))
    if any(doubt.kind is DoubtKind.GROUPED for doubt in doubts):
        yield GROUPED_NOTE


def _match_groups(evaluation: Evaluation, distinct: Evaluation, groups: IntArray) -> IntArray:
    """The group of each distinct image: that of its first line."""
    if distinct is evaluation:
        return groups
    lines = reversed(list(enumerate(evaluation.images)))
    first = {image: line for line, image in lines}
    return np.asarray(groups[[first[image] for image in distinct.images]])


def _keep_large(slices: Sequence[Slice], question: _Question) -> tuple[list[_Named], int]:
    """The slices with images enough of those that count, and how many have too few."""
    counted = question.scores.counted
    found = [_Named(names=(s.name,), images=s.images[counted[s.images]]) for s in slices]
    large = [one for one in found if len(one.images) >= question.min_images]
    return large, len(found) - len(large)


def _join_same(found: Sequence[_Named]) -> list[_Named]:
    """One for each set of images, with all its names."""
    joined: dict[bytes, _Named] = {}
    for one in found:
        key = one.images.astype(np.int64).tobytes()
        known = joined.get(key)
        names = one.names if known is None else (*known.names, *one.names)
        joined[key] = replace(one, names=names)
    return list(joined.values())


def _say_whole(one: _Named) -> str:
    return f"{' and '.join(map(repr, one.names))} has all images: there is no rest to compare with"


def _compare(named: Sequence[_Named], question: _Question) -> list[SliceRow]:
    """A row for each, with the test against the rest, not adjusted yet."""
    values = question.scores.values
    known = values[question.scores.counted]
    parts = [values[one.images] for one in named]
    mine = _sum(parts)
    rest = _sum([known] * len(named)) - mine
    tested = _test(mine, rest, question)
    columns = (mine.mean, rest.mean, *tested)
    return [
        _add_reason(
            SliceRow(
                names=one.names,
                images=one.images,
                numbers={},
                score=score,
                rest=other,
                low=low,
                high=high,
                p=p,
            ),
            len(known) - len(one.images),
            question,
        )
        for one, score, other, p, low, high in zip(
            named, *(column.tolist() for column in columns), strict=True
        )
    ]


def _sum(parts: Sequence[FloatArray]) -> Sums:
    return Sums(
        n=np.array([len(part) for part in parts], dtype=np.int64),
        total=np.array([part.sum() for part in parts], dtype=np.float64),
        squares=np.array([np.square(part).sum() for part in parts], dtype=np.float64),
    )


def _test(mine: Sums, rest: Sums, question: _Question) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The p of the test, and the interval of the difference."""
    if question.groups is not None:
        unknown = np.full(len(mine.n), np.nan)
        return unknown, unknown, unknown
    if question.scores.is_share:
        first, second = as_counts(mine), as_counts(rest)
        return (
            fisher_mid_p(*first, *second),
            *compare_newcombe(first, second, question.confidence),
        )
    found = (welch_p(mine, rest), *compare_welch(mine, rest, question.confidence))
    few = rest.n < MIN_SLICE_IMAGES
    p, low, high = (np.where(few, np.nan, one) for one in found)
    return p, low, high


def _add_reason(row: SliceRow, n_others: int, question: _Question) -> SliceRow:
    if question.groups is not None:
        return replace(row, reason=GROUPS_REASON)
    if np.isnan(row.p):
        reason = FEW_OTHERS_REASON.format(n=n_others, needed=MIN_SLICE_IMAGES)
        return replace(row, reason=reason)
    return row


def _judge(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """The same with p adjusted for there being several, and what follows."""
    adjusted = adjust_holm(np.array([row.p for row in rows], dtype=np.float64))
    return [
        replace(row, p_adjusted=p, judgement=_decide(row.difference, p))
        for row, p in zip(rows, adjusted.tolist(), strict=True)
    ]


def _decide(difference: float, p_adjusted: float) -> SliceJudgement:
    if not p_adjusted <= LEVEL or not difference:
        return SliceJudgement.UNDECIDED
    return SliceJudgement.WORSE if difference < 0 else SliceJudgement.BETTER


_PLACES: Final = (SliceJudgement.WORSE, SliceJudgement.UNDECIDED, SliceJudgement.BETTER)


def _order(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """Worst first."""

    def key(row: SliceRow) -> tuple[int, float, float, str]:
        p = 1.0 if np.isnan(row.p) else row.p
        evidence = p if row.difference < 0 else 2 - p
        return _PLACES.index(row.judgement), evidence, row.difference, row.name

    return sorted(rows, key=key)


def _join_nested(rows: Iterable[SliceRow]) -> Iterator[SliceRow]:
    """Of judged rows that hold each other's images and tell the same, the surest names the others.

    Rows stand worst first, so that the surest of those that are better stands last.
    """
    rows = tuple(rows)
    surest: list[SliceRow] = []
    found: dict[str, str] = {}
    judged = [row for row in rows if row.judgement is not SliceJudgement.UNDECIDED]
    for row in sorted(judged, key=lambda row: row.p):
        holds = next((one for one in surest if _tell_same(one, row)), None)
        if holds is None:
            surest.append(row)
        else:
            found[row.name] = holds.name
    for row in rows:
        yield replace(row, part_of=found.get(row.name, ""))


def _tell_same(one: SliceRow, other: SliceRow) -> bool:
    if one.judgement is not other.judgement:
        return False
    n_common = len(np.intersect1d(one.images, other.images, assume_unique=True))
    return n_common == min(one.n_images, other.n_images)


def _add_numbers(rows: Sequence[SliceRow], question: _Question) -> Iterator[SliceRow]:
    for row in rows:
        yield replace(row, numbers=_compute_numbers(row.images, question))


def _compute_numbers(images: IntArray, question: _Question) -> Mapping[str, Number]:
    """The headline numbers of the evaluation on these images."""
    metrics = compute_metrics(
        take_images(question.evaluation, images),
        prediction_rule=question.rule,
        confidence=question.confidence,
        groups=None if question.groups is None else question.groups[images],
    )
    names = HEADLINES[question.evaluation.task]
    return {name: metrics.aggregate[name] for name in names if name in metrics.aggregate}
