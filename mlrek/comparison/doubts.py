"""What weakens a comparison: the doubts of both versions, and those that only a pair has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from math import isclose, isnan
from typing import Final

import numpy as np

from mlrek.comparison import Difference, Leakage
from mlrek.comparison.left_out import RANKED_MACRO, count_kinds
from mlrek.comparison.measured import Measured
from mlrek.comparison.pairing import Pairing, Setting, name_some
from mlrek.evaluation import Doubt, DoubtKind, Effect, Evaluation, Task
from mlrek.formats.doubts import doubt_different, find_different, list_doubts
from mlrek.metrics import Metrics
from mlrek.metrics.doubts import find_short

_DECIDED: Final = ("aggregate/*", "label_*")
_REPORTED: Final = ("reported/*", "label_reported_*")
_READ_AT: Final = ("threshold", "iou_threshold")
"""The reported numbers that say where a provider's published numbers were read."""
_SAME_THRESHOLD: Final = 0.01  # published grids rarely have quite the same points


def doubt_comparison(
    evaluations: tuple[Evaluation, Evaluation],
    metrics: tuple[Metrics, Metrics],
    pairing: Pairing,
    names: Mapping[str, str],
    tasks: tuple[Task, Task],
) -> tuple[Doubt, ...]:
    """Every doubt of both versions with its side, then those of the pair.

    Args:
        evaluations: Baseline and candidate.
        metrics: Their numbers on their whole test sets.
        pairing: The images that they share.
        names: New label names by those that the doubts of the versions hold.
        tasks: What each of them does by itself, whatever they are compared as.
    """
    sides = [
        [_rename(doubt, names) for doubt in list_doubts(evaluation, own)]
        for evaluation, own in zip(evaluations, metrics, strict=True)
    ]
    return (
        *_join(sides[0], sides[1]),
        *_doubt_truth(pairing),
        *_doubt_pictures(evaluations, pairing),
        *_doubt_tasks(tasks, evaluations),
        *_doubt_rules(metrics),
        *_doubt_thresholds(evaluations),
    )


def doubt_intervals(
    differences: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting
) -> Iterator[Doubt]:
    """Whether intervals of differences of means over labels miss more often than they say.

    Args:
        differences: Of both versions, with their intervals.
        versions: Baseline and candidate in the scope that they are judged in.
        setting: What the units of that scope are.
    """
    given = {
        d.name.removeprefix("aggregate/")
        for d in differences
        if d.scope is setting.scope and d.name in RANKED_MACRO and not isnan(d.low)
    }
    if given:
        yield from find_short(count_kinds(versions, setting), given, "the difference in ")


def find_leakage(evaluation: Evaluation) -> Leakage:
    """The test images that the version was trained on."""
    seen = evaluation.seen_in_training
    if seen is None:
        return Leakage(known=False)
    images = dict.fromkeys(evaluation.images[i] for i in np.flatnonzero(seen).tolist())
    return Leakage(known=True, images=tuple(images))


def _join(baseline: Sequence[Doubt], candidate: Sequence[Doubt]) -> Iterator[Doubt]:
    """The doubts of the candidate, then of the baseline; those that both have are of both."""
    for doubt in dict.fromkeys(candidate):
        yield _with_side(doubt, is_baseline=doubt in baseline, is_candidate=True)
    for doubt in dict.fromkeys(baseline):
        if doubt not in candidate:
            yield _with_side(doubt, is_baseline=True, is_candidate=False)


def _with_side(doubt: Doubt, *, is_baseline: bool, is_candidate: bool) -> Doubt:
    """The doubt with whose it is. A baseline's misses make any candidate look better."""
    own_effect = doubt.own_effect
    if doubt.kind is DoubtKind.UNANSWERED and is_baseline:
        own_effect = Effect.STOPS_RELATIVE
    if is_baseline and is_candidate:
        return replace(doubt, side="both", own_effect=own_effect)
    return replace(doubt, side="baseline" if is_baseline else "candidate", own_effect=own_effect)


def _rename(doubt: Doubt, names: Mapping[str, str]) -> Doubt:
    """The doubt with the new names of the labels whose numbers it touches."""
    if not names:
        return doubt
    touches = []
    for pattern in doubt.touches:
        number, slash, label = pattern.partition("/")
        is_label = slash and number.startswith("label_")
        touches.append(f"{number}/{names.get(label, label)}" if is_label else pattern)
    return replace(doubt, touches=tuple(touches))


def _doubt_truth(pairing: Pairing) -> Iterator[Doubt]:
    sets = pairing.test_sets
    if sets.relabelled:
        named = name_some(list(compress(pairing.images, pairing.relabelled)))
        yield Doubt(
            kind=DoubtKind.TRUTH_CHANGED,
            text=(
                f"the truth of {sets.relabelled:,} of {sets.shared:,} shared images was changed "
                f"between the versions: these images are left out of the comparison: {named}"
            ),
            count=sets.relabelled,
            of=sets.shared,
        )


def _doubt_pictures(
    evaluations: tuple[Evaluation, Evaluation], pairing: Pairing
) -> Iterator[Doubt]:
    """Whether shared names stand for the same pictures, as far as their content is known."""
    first, second = (evaluation.contents for evaluation in evaluations)
    if first is not None and second is not None:
        differs, n_known = find_different(
            first, pairing.baseline_idx, second, pairing.candidate_idx
        )
        yield from doubt_different(list(compress(pairing.images, differs.tolist())), n_known)


def _doubt_tasks(
    tasks: tuple[Task, Task], evaluations: tuple[Evaluation, Evaluation]
) -> Iterator[Doubt]:
    """Whether one version is judged by its top label alone, and here by thresholds as the other."""
    if tasks[0] == tasks[1]:
        return
    is_one = [task is Task.CLASSIFICATION for task in tasks]
    one, other = ("baseline", "candidate") if is_one[0] else ("candidate", "baseline")
    counts = evaluations[is_one.index(False)].truth.counts
    n = int(np.count_nonzero(counts > 1))
    yield Doubt(
        kind=DoubtKind.OTHER_RULE,
        text=(
            f"the {one} gives an image one label, the {other} several ({n:,} of {len(counts):,} "
            "test images have more than one true label): both are compared as several, by the "
            f"assumed thresholds, so these are not the numbers that the {one} has by itself; "
            "compare at_threshold/*, or evaluate both on one test set"
        ),
        count=n,
        of=len(counts),
        touches=_DECIDED,
    )


def _doubt_rules(metrics: tuple[Metrics, Metrics]) -> Iterator[Doubt]:
    """Whether the same records count as predictions of both versions."""
    rules = [own.prediction_rule for own in metrics]
    if rules[0] != rules[1]:
        way = (
            "; name one rule for both with --prediction-rule"
            if metrics[0].task is Task.CLASSIFICATION
            else ""
        )
        yield Doubt(
            kind=DoubtKind.OTHER_RULE,
            text=(
                "the versions are judged by different rules of what counts as a prediction: "
                f"{rules[0]} (baseline) and {rules[1]} (candidate){way}"
            ),
            touches=_DECIDED,
        )


def _doubt_thresholds(evaluations: tuple[Evaluation, Evaluation]) -> Iterator[Doubt]:
    """Whether the published numbers of both versions were read at the same thresholds."""
    reported = [evaluation.reported.aggregate for evaluation in evaluations]
    for name in _READ_AT:
        first, second = (numbers.get(name) for numbers in reported)
        if first is None or second is None:
            continue
        if not isclose(first, second, abs_tol=_SAME_THRESHOLD):
            yield Doubt(
                kind=DoubtKind.OTHER_RULE,
                text=(
                    f"the providers' numbers were read at different values of {name}: "
                    f"{first:g} (baseline) and {second:g} (candidate)"
                ),
                touches=_REPORTED,
            )
