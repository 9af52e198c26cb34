"""A doubt as JSON and in words: the one form that every document and every page shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import isnan
from types import MappingProxyType
from typing import Any, Final

from mlrek.evaluation import EVERYTHING, Doubt, DoubtKind, Effect, Evaluation
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import Metrics, Number
from mlrek.metrics.numbers import name_metric
from mlrek.render import Json
from mlrek.text import display_label, escape_unprintable

EFFECT_WORDS: Mapping[Effect, str] = MappingProxyType(
    {
        Effect.STOPS: "stops checks",
        Effect.STOPS_RELATIVE: "stops comparisons",
        Effect.STOPS_INTERVALS: "stops checks of intervals",
        Effect.SAID: "said",
    }
)
"""What a doubt does, in the order in which doubts are shown."""
EFFECT_MEANINGS: Mapping[Effect, str] = MappingProxyType(
    {
        Effect.STOPS: "a check that reads these numbers cannot pass",
        Effect.STOPS_RELATIVE: "a check of these numbers against a baseline cannot pass",
        Effect.STOPS_INTERVALS: "a check that reads an interval of these numbers cannot pass",
        Effect.SAID: "it changes no answer",
    }
)
_FAMILIES: Final = MappingProxyType(
    {
        EVERYTHING: "every number",
        "aggregate/*": "the computed numbers",
        "at_threshold/*": "the numbers at the assumed thresholds",
        "label_at_threshold_*": "the numbers of labels at the assumed thresholds",
        "reported/*": "the service's own numbers",
        "label_reported_*": "the service's own numbers of labels",
        "label_*": "the numbers of labels",
        "interval/*": "the intervals",
        "curve/*": "the curves",
        "extra/*": "the further numbers",
        "errors/*": "the counts of errors",
        "base_model/*": "the numbers of the base model",
        "crossfit/*": "the cross-fitted numbers",
    }
)
_MAX_TOUCHED: Final = 6
_CROSSFIT: Final = "crossfit/"


def build_doubt_json(doubt: Doubt) -> dict[str, Json]:
    """The stable JSON form of a doubt; what is not counted, and whose it is not, is null."""
    return {
        "kind": doubt.kind.value,
        "side": doubt.side,
        "count": doubt.count,
        "of": doubt.of,
        "touches": list(doubt.touches),
        "text": doubt.text,
        "effect": doubt.effect.value,
    }


def parse_doubt(described: Mapping[str, Any]) -> Doubt:
    """The doubt that `build_doubt_json` made this of.

    Raises:
        ValueError: The kind or effect is none that this version of mlrek knows.
    """
    return Doubt(
        kind=DoubtKind(described["kind"]),
        text=described["text"],
        count=described["count"],
        of=described["of"],
        touches=tuple(described["touches"]),
        side=described["side"],
        own_effect=Effect(described["effect"]),
    )


def order_doubts(doubts: Iterable[Doubt]) -> tuple[Doubt, ...]:
    """Each doubt once, those that stop first, else in their order."""
    places = {effect: i for i, effect in enumerate(EFFECT_WORDS)}
    return tuple(sorted(dict.fromkeys(doubts), key=lambda doubt: places[doubt.effect]))


def say_doubt(doubt: Doubt) -> str:
    """The doubt as a sentence, with whose it is."""
    if doubt.side is None:
        return doubt.text
    whose = "both versions" if doubt.side == "both" else f"the {doubt.side}"
    return f"{whose}: {doubt.text}"


def say_touched(touches: Sequence[str]) -> str:
    """The numbers that a doubt touches, in plain words.

    >>> say_touched(("at_threshold/*", "reported/f1", "label_recall/cat", "label_f1/*"))
    'the numbers at the assumed thresholds, service F1, recall of cat, F1 of each label'
    """
    named = list(dict.fromkeys(map(_say_pattern, touches)))
    more = f" and {len(named) - _MAX_TOUCHED:,} more" if len(named) > _MAX_TOUCHED else ""
    return ", ".join(named[:_MAX_TOUCHED]) + more


def _say_pattern(pattern: str) -> str:
    if pattern in _FAMILIES:
        return _FAMILIES[pattern]
    number, _, label = pattern.removeprefix(_CROSSFIT).partition("/")
    if not number.startswith("label_"):
        return name_metric(pattern)
    whose = {"": "each label", EVERYTHING: "each label"}.get(label, display_label(label))
    how = ", cross-fitted" if pattern.startswith(_CROSSFIT) else ""
    return f"{name_metric(number.rstrip(EVERYTHING))} of {whose}{how}"


def list_warnings(evaluation: Evaluation, metrics: Metrics) -> tuple[str, ...]:
    """Everything a reader must know: what weakens the numbers first, then all other remarks.

    One line each, whatever stands in the names of files and labels.
    """
    doubts = order_doubts(list_doubts(evaluation, metrics))
    said = [escape_unprintable(doubt.text) for doubt in doubts]
    return tuple(dict.fromkeys((*said, *list_version_remarks(evaluation, metrics))))


def list_version_remarks(evaluation: Evaluation, metrics: Metrics) -> tuple[str, ...]:
    """What weakens no number: of the reading, the computing, and what is undefined."""
    warnings = (
        *evaluation.warnings,
        *metrics.warnings,
        *_left_out("aggregate", metrics.aggregate),
        *_left_out("at_threshold", metrics.at_threshold),
        *_no_interval(metrics),
    )
    return tuple(dict.fromkeys(map(escape_unprintable, warnings)))


def _left_out(group: str, numbers: Mapping[str, Number]) -> Iterator[str]:
    """Names the undefined numbers of a group, by reason."""
    undefined = {name: number.reason for name, number in numbers.items() if not number.is_defined}
    for reason, names in _by_reason(undefined):
        shown = ["*"] if len(names) == len(numbers) > 1 else names
        what = ", ".join(f"{group}/{name}" for name in shown)
        yield f"not logged: {what}: {reason or 'undefined'}"


def _no_interval(metrics: Metrics) -> Iterator[str]:
    """Names the defined numbers that have no interval, by reason."""
    lacking = {
        name: number.reason.removeprefix("no interval: ")
        for name, number in metrics.aggregate.items()
        if number.is_defined and number.reason and (isnan(number.low) or isnan(number.high))
    }
    for reason, names in _by_reason(lacking):
        yield f"no interval for {', '.join(names)}: {reason}"


def _by_reason(reasons: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    pairs = sorted((reason, name) for name, reason in reasons.items())
    for reason, group in groupby(pairs, key=lambda pair: pair[0]):
        yield reason, [name for _, name in group]


def show_doubts(doubts: Iterable[Doubt]) -> list[dict[str, str | bool]]:
    """What the template fills in, in plain words; `stops` is whether it stops any check."""
    return [
        {
            "text": say_doubt(doubt),
            "touched": say_touched(doubt.touches),
            "effect": EFFECT_WORDS[doubt.effect],
            "meaning": EFFECT_MEANINGS[doubt.effect],
            "stops": doubt.effect is not Effect.SAID,
        }
        for doubt in order_doubts(doubts)
    ]
