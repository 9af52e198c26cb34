"""How each slice does: its numbers, and how surely it is worse or better than the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlrek.evaluation import DoubtKind, Evaluation, FloatArray, IntArray
from mlrek.metrics import Metrics, Number, PredictionRule
from mlrek.metrics.image_scores import ImageScores, score_each_image
from mlrek.metrics.intervals import CONFIDENCE
from mlrek.metrics.paired_tests import adjust_holm
from mlrek.metrics.slice_headlines import Headlines, SlicedVersion
from mlrek.metrics.slice_pairs import TestedPairs, choose_columns, compare_pairs
from mlrek.metrics.slice_rows import (
    MIN_OF_MEAN,
    compute_ends,
    compute_p,
    join_nested,
    judge_slices,
    order_rows,
)
from mlrek.metrics.slice_tables import (
    ImageSet,
    Layer,
    ScoreSums,
    find_common,
    join_same,
    keep_large,
    lay_out,
)
from mlrek.metrics.slices import (
    MIN_SLICE_IMAGES,
    PAIRED,
    SliceJudgement,
    SliceReport,
    SliceRow,
    list_slices,
)
from mlrek.metrics.test_set import count_once
from mlrek.metrics.two_samples import Sums

GROUPS_REASON: Final = (
    "no test: images of one group go together, and no test of slices of groups is known to hold"
)
GROUPED_NOTE: Final = (
    "images of one group are right or wrong together, so that p is too small: name the groups "
    "(group_by) to have no test of slices instead of a wrong one"
)
FEW_FOR_INTERVAL: Final = (
    "no interval of the difference: of {n} images in it and {n_rest} others, and {needed} of both "
    "are needed"
)
FEW_REASON: Final = (
    "no test: of {n} images in it and {n_rest} others, and {needed} of both are needed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked of all slices."""

    version: SlicedVersion
    scores: ImageScores
    min_images: int
    sums: ScoreSums
    headlines: Headlines

    @property
    def is_tested(self) -> bool:
        return self.version.groups is None

    @property
    def n_counted(self) -> int:
        return int(self.sums.whole.n[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What is known of some slices and of the rest of each, with p and p after Holm, (n,) each."""

    mine: Sums
    rest: Sums
    p: FloatArray
    p_adjusted: FloatArray


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
    question = _ask(
        SlicedVersion(
            evaluation=distinct,
            rule=rule,
            confidence=confidence,
            groups=None if groups is None else _match_groups(evaluation, distinct, groups),
        ),
        min_images,
    )
    listed = list_slices(distinct, by)
    large, n_small = keep_large(listed.slices, question.scores, min_images)
    joined = join_same(large)
    parts = [part for part in joined if len(part.images) < question.n_counted]
    layers = lay_out(parts, distinct, question.scores.counted)
    singles, pairs, n_tried = _compute_rows(parts, layers, question)
    notes = (
        *listed.notes,
        *question.scores.notes,
        *_say_grouped(distinct, metrics),
        *(_say_whole(part) for part in joined if len(part.images) == question.n_counted),
        *_say_columns(layers, question),
    )
    return SliceReport(
        score=question.scores.name,
        singles=tuple(singles),
        pairs=tuple(pairs),
        n_tried=n_tried[0],
        n_pairs_tried=n_tried[1],
        n_small=n_small,
        columns=listed.columns,
        notes=notes,
    )


def _ask(version: SlicedVersion, min_images: int) -> _Question:
    scores = score_each_image(version.evaluation, version.rule)
    return _Question(
        version=version,
        scores=scores,
        min_images=min_images,
        sums=ScoreSums(scores),
        headlines=Headlines(version, scores.sample),
    )


def _match_groups(evaluation: Evaluation, distinct: Evaluation, groups: IntArray) -> IntArray:
    """The group of each distinct image: that of its first line."""
    if distinct is evaluation:
        return groups
    lines = reversed(list(enumerate(evaluation.images)))
    first = {image: line for line, image in lines}
    return np.asarray(groups[[first[image] for image in distinct.images]])


def _say_grouped(evaluation: Evaluation, metrics: Metrics | None) -> Iterator[str]:
    doubts = (*evaluation.doubts, *(metrics.doubts if metrics is not None else ()))
    if any(doubt.kind is DoubtKind.GROUPED for doubt in doubts):
        yield GROUPED_NOTE


def _say_whole(part: ImageSet) -> str:
    names = " and ".join(map(repr, part.names))
    return f"{names} has all images: there is no rest to compare with"


def _say_columns(layers: Sequence[Layer], question: _Question) -> Iterator[str]:
    looked_at = choose_columns(layers, question.n_counted)
    if len(looked_at) < len(layers) and question.is_tested:
        yield (
            f"pairs are tried of the first {len(looked_at)} of {len(layers)} columns: more pairs "
            "of so many images take too long; name the columns in another order to try others"
        )


def _compute_rows(
    parts: Sequence[ImageSet], layers: Sequence[Layer], question: _Question
) -> tuple[list[SliceRow], list[SliceRow], tuple[int, int]]:
    """Rows of single slices and of pairs, and how many of both were tested."""
    mine = question.sums.sum_slices(layers, parts)
    compared = _compare(mine, question)
    rows = _build_rows(parts, compared, question)
    members = {part.names[0]: frozenset((i,)) for i, part in enumerate(parts)}
    singles = join_nested(order_rows(rows), members, layers)
    numbers = question.headlines.compute_layers(layers, len(parts))
    if numbers is None:
        numbers = question.headlines.compute_parts([row.images for row in singles])
        singles = _add_numbers(singles, numbers)
    else:
        singles = _add_numbers(singles, [numbers[min(members[row.name])] for row in singles])
    n_tried = int(np.count_nonzero(~np.isnan(compared.p)))
    if not question.is_tested:
        return singles, [], (n_tried, 0)
    pairs = compare_pairs(
        choose_columns(layers, question.n_counted),
        mine,
        question.sums,
        question.min_images,
        are_shares=question.scores.is_share,
    )
    return singles, _build_pairs(parts, layers, pairs, question), (n_tried, pairs.n_tried)


def _compare(mine: Sums, question: _Question) -> _Compared:
    whole, n = question.sums.whole, len(mine.n)
    rest = whole.take(np.zeros(n, dtype=np.int64)) - mine
    p = np.full(n, np.nan)
    if question.is_tested:
        p = compute_p(mine, rest, are_shares=question.scores.is_share)
    return _Compared(mine=mine, rest=rest, p=p, p_adjusted=adjust_holm(p))


def _build_rows(
    parts: Sequence[ImageSet], compared: _Compared, question: _Question
) -> list[SliceRow]:
    """A row for each part, without its numbers."""
    score, rest = compared.mine.mean, compared.rest.mean
    low, high = _find_ends(compared, question)
    columns = (score, rest, low, high, compared.p, compared.p_adjusted)
    judgements = judge_slices(score - rest, compared.p_adjusted)
    return [
        SliceRow(
            names=part.names,
            images=part.images,
            numbers={},
            score=mine,
            rest=other,
            low=below,
            high=above,
            p=p,
            p_adjusted=adjusted,
            judgement=judgement,
            reason=_explain(part, p, below, question),
        )
        for part, judgement, mine, other, below, above, p, adjusted in zip(
            parts, judgements, *(column.tolist() for column in columns), strict=True
        )
    ]


def _find_ends(compared: _Compared, question: _Question) -> tuple[FloatArray, FloatArray]:
    if not question.is_tested:
        unknown = np.full(len(compared.p), np.nan)
        return unknown, unknown
    return compute_ends(
        compared.mine,
        compared.rest,
        question.version.confidence,
        are_shares=question.scores.is_share,
    )


def _explain(part: ImageSet, p: float, low: float, question: _Question) -> str:
    """Why there is no test, or no interval, '' where there are both."""
    if not question.is_tested:
        return GROUPS_REASON
    n_rest = question.n_counted - len(part.images)
    if not np.isnan(p) and np.isnan(low):
        return FEW_FOR_INTERVAL.format(n=len(part.images), n_rest=n_rest, needed=MIN_OF_MEAN)
    if not np.isnan(p):
        return ""
    return FEW_REASON.format(n=len(part.images), n_rest=n_rest, needed=MIN_SLICE_IMAGES)


def _add_numbers(
    rows: Sequence[SliceRow], numbers: Sequence[Mapping[str, Number]]
) -> list[SliceRow]:
    return [replace(row, numbers=mine) for row, mine in zip(rows, numbers, strict=True)]


def _build_pairs(
    parts: Sequence[ImageSet], layers: Sequence[Layer], pairs: TestedPairs, question: _Question
) -> list[SliceRow]:
    """Rows of pairs, worst first, with their numbers."""
    named, members = [], {}
    for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        name = f"{parts[i].names[0]}{PAIRED}{parts[j].names[0]}"
        common = find_common(i, j, parts, layers)
        named.append(ImageSet(column="", names=(name,), images=common))
        members[name] = frozenset((i, j))
    compared = _Compared(mine=pairs.mine, rest=pairs.rest, p=pairs.p, p_adjusted=pairs.p_adjusted)
    rows = order_rows(_build_rows(named, compared, question))
    are_judged = [row.judgement is not SliceJudgement.UNDECIDED for row in rows]
    numbers = question.headlines.compute_parts([row.images for row in rows], are_judged)
    return join_nested(_add_numbers(rows, numbers), members, layers)
