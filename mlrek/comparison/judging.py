"""The one rule that says better, worse, undecided or unchanged: for every surface and the gate.

A number of all labels is judged by its 95 % interval. Numbers of labels are judged together, so
that many labels do not make one of them look better by chance (Holm 1979): by the adjusted p where
the number has one; by that of the label's decisions where it has none of its own, if both went the
same way; else by intervals at the confidences of Holm's steps.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Final

from mlrek.comparison import Comparison, Difference, Evidence, Judgement, Scope
from mlrek.metrics.intervals import CONFIDENCE

LABEL_DECISIONS: Final = "label_decisions"
"""The share of images on which a label is rightly predicted or rightly not."""

ALPHA: Final = round(1 - CONFIDENCE, 9)

_OF_DECISIONS: Final = frozenset({"label_f1", "label_precision", "label_recall"})
_WORSE_NAMES: Final = (
    "label_recall",
    LABEL_DECISIONS,
    "label_f1",
    "label_iou",
    "label_ap",
    "label_roc_auc",
)
"""The numbers of labels that a check names, the plainest first."""
_HALVINGS: Final = 40


def judge_differences(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """The same differences with the judgement of each."""
    found = list(differences)
    families: dict[tuple[str, Scope], list[int]] = defaultdict(list)
    for place, difference in enumerate(found):
        if difference.label:
            families[difference.name, difference.scope].append(place)
        else:
            found[place] = replace(difference, judgement=_judge_alone(difference))
    decisions = {(d.label, d.scope): d for d in found if d.name == LABEL_DECISIONS}
    for (name, _), places in families.items():
        followed = decisions if name in _OF_DECISIONS else {}
        judged = _judge_labels([found[place] for place in places], followed)
        for place, judgement in zip(places, judged, strict=True):
            found[place] = replace(found[place], judgement=judgement)
    return tuple(found)


def find_worse_labels(comparison: Comparison) -> tuple[tuple[str, str, Difference], ...]:
    """The labels that got significantly worse, all taken together, in label order.

    Each with the name of the plainest number that shows it, and that number's difference; on shared
    images where there are any.
    """
    worse = {
        (d.label, d.name): d
        for d in comparison.differences
        if d.label and d.scope is comparison.scope and d.judgement is Judgement.WORSE
    }
    named = []
    for label in comparison.labels:
        name = next((name for name in _WORSE_NAMES if (label, name) in worse), "")
        if name:
            named.append((label, name, worse[label, name]))
    return tuple(named)


def _judge_alone(difference: Difference) -> Judgement:
    if _is_unchanged(difference):
        return Judgement.UNCHANGED
    return _judge_ends(difference, (difference.low, difference.high))


def _judge_labels(
    family: Sequence[Difference], decisions: Mapping[tuple[str, Scope], Difference]
) -> list[Judgement]:
    """One number of all labels, in their order."""
    judged = [Judgement.UNCHANGED if _is_unchanged(d) else Judgement.UNDECIDED for d in family]
    open_: list[int] = []
    for i, difference in enumerate(family):
        if judged[i] is Judgement.UNCHANGED:
            continue
        leader = decisions.get((difference.label, difference.scope))
        if not isnan(difference.p_adjusted):
            judged[i] = _judge_by_p(difference, difference)
        elif leader is not None and not isnan(leader.p_adjusted):
            judged[i] = _judge_by_p(difference, leader)
        elif not isnan(difference.low):
            open_.append(i)
    for i, judgement in _step_down(family, open_).items():
        judged[i] = judgement
    return judged


def _judge_by_p(difference: Difference, leader: Difference) -> Judgement:
    """By the adjusted p of `leader`, where the number itself went that way, too."""
    if not leader.p_adjusted < ALPHA:
        return Judgement.UNDECIDED
    ways = {_way(difference), _way(leader)}
    return ways.pop() if len(ways) == 1 else Judgement.UNDECIDED


def _step_down(family: Sequence[Difference], places: Sequence[int]) -> dict[int, Judgement]:
    """Holm's steps by intervals: the i-th surest of m is held to 1 - alpha / (m - i + 1)."""
    apart = [
        i
        for i in places
        if _judge_ends(family[i], (family[i].low, family[i].high)) is not Judgement.UNDECIDED
    ]
    m = len(places)
    found: dict[int, Judgement] = {}
    for i in sorted(apart, key=lambda i: _find_p(family[i].evidence)):
        evidence = family[i].evidence
        if evidence is None:
            break
        ends = evidence.interval(1 - ALPHA / (m - len(found)))
        judgement = _judge_ends(family[i], ends)
        if judgement is Judgement.UNDECIDED:
            break
        found[i] = judgement
    return found


def _find_p(evidence: Evidence | None) -> float:
    """The smallest alpha whose interval leaves 0 out, to tell which is the surest."""
    if evidence is None:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ends = evidence.interval(1 - middle)
        if ends[0] > 0 or ends[1] < 0:
            high = middle
        else:
            low = middle
    return high


def _is_unchanged(difference: Difference) -> bool:
    """Whether nothing moved: the same value, and no image that could have moved it."""
    if difference.difference != 0:
        return False
    if difference.evidence is None:
        return difference.name.startswith(("reported/", "label_reported_"))
    return difference.evidence.standard_error == 0 or difference.p == 1


def _judge_ends(difference: Difference, ends: tuple[float, float]) -> Judgement:
    low, high = (-ends[1], -ends[0]) if difference.less_is_better else ends
    if low > 0:
        return Judgement.BETTER
    return Judgement.WORSE if high < 0 else Judgement.UNDECIDED


def _way(difference: Difference) -> Judgement:
    """Which way the number itself went."""
    return _judge_ends(difference, (difference.difference, difference.difference))
