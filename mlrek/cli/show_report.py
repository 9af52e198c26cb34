"""How one version's evaluation is shown: headline, worst labels, confusions, one label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from mlrek.cli.output import Output
from mlrek.cli.show_outcome import describe_outcome, print_outcome
from mlrek.cli.show_published import describe_published, print_thresholds
from mlrek.comparison.doubts import list_doubts
from mlrek.evaluation import Doubt, Evaluation, Task
from mlrek.formatting import UNDEFINED, fmt, fmt_with, span
from mlrek.identity import test_set_digest
from mlrek.label_keys import display_label
from mlrek.metrics import LabelScores, Metrics
from mlrek.metrics.chosen_threshold import AtChosenThreshold
from mlrek.metrics.headlines import HEADLINES
from mlrek.metrics.numbers import NUMBER_GROUPS, list_numbers
from mlrek.metrics.outcomes import LabelOutcome
from mlrek.reported import ReportedAt
from mlrek.tables.confusion import display_names, rank_mistakes
from mlrek.tables.doubts import EFFECT_WORDS, describe_doubt, order_doubts, say_touched
from mlrek.tables.labels import label_columns
from mlrek.tracking.description import describe_remarks, describe_warnings

WORST_LABELS = 10
TOP_CONFUSIONS = 10
COUNTED = {Task.DETECTION: "boxes", Task.SEGMENTATION: "pixels"}
COUNT_COLUMNS = frozenset({"images", *COUNTED.values(), "TP", "FP", "FN", "count"})
ALONE = ("errors", "reported", "training")
"""Groups of numbers that have no interval."""
MAY_BE_NONE = ("base_model", "errors", "training")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is to be shown: of all labels or of one, perhaps at a chosen threshold too.

    With an `outcome`, the images where the label has it. `published` is what the provider says at
    the threshold nearest to the chosen one.
    """

    evaluation: Evaluation
    metrics: Metrics
    label: str = ""
    outcome: LabelOutcome | None = None
    chosen: AtChosenThreshold | None = None
    published: ReportedAt | None = None

    @property
    def code(self) -> int | None:
        """The code of the label; None for all labels."""
        return self.evaluation.labels.index(self.label) if self.label else None

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens its numbers, those that stop a check first."""
        return order_doubts(list_doubts(self.evaluation, self.metrics))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return describe_warnings(self.evaluation, self.metrics)


def print_shown(shown: Shown, output: Output) -> None:
    """The evaluation for a person."""
    _print_title(shown, output)
    _print_doubts(shown.doubts, output)
    if shown.outcome:
        print_outcome(shown.evaluation, shown.metrics, shown.label, shown.outcome, output)
        return
    if shown.label:
        _print_label(shown, output)
    else:
        _print_headline(shown, output)
        _print_worst_labels(shown, output)
    if shown.published:
        print_thresholds(shown.published, shown.chosen, shown.code, output)
    else:
        _print_chosen(shown, output)
    _print_confusions(shown, output)
    _print_errors(shown, output)
    output.warn(describe_remarks(shown.evaluation, shown.metrics))


def describe_shown(shown: Shown) -> dict[str, Any]:
    """The stable JSON form."""
    evaluation, metrics = shown.evaluation, shown.metrics
    version = evaluation.version
    labels = [shown.label] if shown.label else list(evaluation.labels)
    return {
        "project_arn": version.project.arn,
        "version": version.name,
        "version_arn": version.arn,
        "task": metrics.task.value,
        "test_images": metrics.test_images,
        "test_set_digest": test_set_digest(evaluation) or None,
        "prediction_rule": metrics.prediction_rule or None,
        "records": metrics.records.value if metrics.records else None,
        **_describe_numbers(shown),
        "labels": [_describe_label(shown, name) for name in labels],
        "most_confused": [
            {"true": true, "predicted": predicted, "count": count}
            for true, predicted, count in _confusions(shown)
        ],
        "threshold": _describe_chosen(shown),
        "published": describe_published(shown.published),
        "outcome": shown.outcome,
        "images": (
            describe_outcome(shown.evaluation, shown.metrics, shown.label, shown.outcome)
            if shown.outcome
            else None
        ),
        "doubts": [describe_doubt(doubt) for doubt in shown.doubts],
        "warnings": list(shown.warnings),
    }


def _print_title(shown: Shown, output: Output) -> None:
    version, metrics = shown.evaluation.version, shown.metrics
    output.line(f"{version.project.name}  {version.name}")
    output.line(version.arn)
    images = "no test images" if metrics.test_images is None else f"{metrics.test_images:,} images"
    rule = f", predictions by {metrics.prediction_rule}" if metrics.prediction_rule else ""
    records = f", {metrics.records.value} records" if metrics.records else ""
    output.line(
        f"{metrics.task.value}, {images}, {len(shown.evaluation.labels)} labels{rule}{records}"
    )
    output.line()


def _print_doubts(doubts: Sequence[Doubt], output: Output) -> None:
    """What weakens the numbers, a line each, before the numbers."""
    if not doubts:
        return
    output.line("doubts:")
    for doubt in doubts:
        touched = f"{doubt.kind.value}, touches {say_touched(doubt.touches)}"
        output.line(f"  {EFFECT_WORDS[doubt.effect]}: {doubt.text} ({touched})")
    output.line()


def _print_headline(shown: Shown, output: Output) -> None:
    reported, at_threshold = shown.evaluation.reported.aggregate, shown.metrics.at_threshold
    rows = []
    aggregate = shown.metrics.aggregate
    first = [name for name in HEADLINES[shown.metrics.task] if name in aggregate]
    for name in dict.fromkeys((*first, *aggregate)):
        number = aggregate[name]
        if number.is_defined and not name.endswith(("_weighted", "_samples")):
            base = shown.metrics.baseline.get(name)
            others = [] if base is None else [fmt(base.value, 4)]
            rows.append([name, fmt(number.value, 4), span(number.low, number.high, 4), *others])
    titles = ["computed", "value", "95 % interval"] + ["base model"] * bool(shown.metrics.baseline)
    if rows:
        output.table(titles, rows, numeric=frozenset({"value", "base model"}))
        output.line()
    crossfit = shown.metrics.crossfit
    rows = []
    for name in dict.fromkeys((*reported, "precision", "recall", "f1")):
        ours, elsewhere = at_threshold.get(f"{name}_macro"), crossfit.get(f"{name}_macro")
        row = [name, fmt(reported.get(name), 4), fmt(None if ours is None else ours.value, 4)]
        if elsewhere is not None:
            row += [fmt(elsewhere.value, 4), span(elsewhere.low, elsewhere.high, 4)]
        elif crossfit:
            row += ["", ""]
        rows.append(row)
    titles = ["at the service's thresholds", "reported", "computed"]
    titles += ["cross-fitted", "95 % interval"] * bool(crossfit)
    output.table(titles, rows, numeric=frozenset({"reported", "computed", "cross-fitted"}))
    output.line()


def _print_worst_labels(shown: Shown, output: Output) -> None:
    scores = shown.metrics.per_label
    if scores is None:
        return
    order = np.argsort(np.where(np.isnan(scores.f1), np.inf, scores.f1), kind="stable")
    worst = [i for i in order if not isnan(scores.f1[i])][:WORST_LABELS]
    titles = ["worst labels", _name_count(shown), "precision", "recall", "F1", "AP", "threshold"]
    rows = [
        [
            display_label(shown.evaluation.labels[i]),
            f"{scores.support[i]:,}",
            _share(scores, "precision", i),
            _share(scores, "recall", i),
            fmt(scores.f1[i]),
            fmt(scores.ap[i]),
            fmt(shown.evaluation.thresholds[i]),
        ]
        for i in worst
    ]
    for name in ("AP", "threshold"):  # a column that no label has
        place = titles.index(name)
        if all(row[place] == UNDEFINED for row in rows):
            titles, rows = _without(place, titles), [_without(place, row) for row in rows]
    output.table(titles, rows, numeric=COUNT_COLUMNS)
    output.line()


def _print_label(shown: Shown, output: Output) -> None:
    i = shown.evaluation.labels.index(shown.label)
    threshold = fmt(shown.evaluation.thresholds[i])
    output.line(f"label {shown.label}, assumed threshold {threshold}")
    output.line()
    views = [
        (f"by {shown.metrics.prediction_rule}", shown.metrics.per_label),
        ("at the assumed threshold", shown.metrics.at_threshold_per_label),
        ("cross-fitted", shown.metrics.crossfit_per_label),
    ]
    if shown.chosen is not None and shown.published is None:
        views.append((f"at {shown.chosen.threshold:g}", shown.chosen.per_label))
    rows = [_label_row(name, scores, i) for name, scores in views if scores is not None]
    reported = shown.evaluation.reported.per_label.get(shown.label, {})
    if reported and shown.published is None:
        numbers = [fmt(reported.get(name)) for name in ("precision", "recall", "f1")]
        rows.append(["the service says", "", "", "", "", *numbers])
    titles = ["", _name_count(shown), "TP", "FP", "FN", "precision", "recall", "F1"]
    output.table(titles, rows, numeric=COUNT_COLUMNS)
    output.line()


def _name_count(shown: Shown) -> str:
    """What a label's support counts."""
    return COUNTED.get(shown.metrics.task, "images")


def _without(place: int, cells: list[str]) -> list[str]:
    return cells[:place] + cells[place + 1 :]


def _print_errors(shown: Shown, output: Output) -> None:
    if shown.metrics.errors and not shown.label:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in shown.metrics.errors.items())
        output.line(f"errors of boxes: {kinds}")
        output.line()


def _label_row(name: str, scores: LabelScores, i: int) -> list[str]:
    counts = [f"{column[i]:,}" for column in (scores.support, scores.tp, scores.fp, scores.fn)]
    shares = [_share(scores, "precision", i), _share(scores, "recall", i)]
    return [name, *counts, *shares, fmt(scores.f1[i])]


def _print_chosen(shown: Shown, output: Output) -> None:
    chosen = shown.chosen
    if chosen is None:
        return
    if not shown.label:
        scores = {"precision": chosen.precision, "recall": chosen.recall, "F1": chosen.f1}
        words = ", ".join(f"{name} {fmt(value)}" for name, value in scores.items())
        counts = f"TP {chosen.tp:,}, FP {chosen.fp:,}, FN {chosen.fn:,}"
        output.line(f"at threshold {chosen.threshold:g}: {words} ({counts})")
        output.line()
    if chosen.stops_at:
        output.hint(f"Mind: {chosen.stops_at}.")


def _print_confusions(shown: Shown, output: Output) -> None:
    found = _confusions(shown)[:TOP_CONFUSIONS]
    if found:
        rows = [[true, predicted, f"{count:,}"] for true, predicted, count in found]
        output.table(["true", "most confused with", "count"], rows, numeric=COUNT_COLUMNS)
        output.line()


def _confusions(shown: Shown) -> list[tuple[str, str, int]]:
    """Wrong cells of the matrix, largest first; with a label only those it has part in."""
    confusion, n_labels = shown.metrics.confusion, len(shown.metrics.labels)
    if confusion is None:
        return []
    true = display_names(confusion.rows, n_labels)
    predicted = display_names(confusion.columns, n_labels)
    return [
        (true[row], predicted[column], int(confusion.counts[row, column]))
        for row, column in zip(*rank_mistakes(confusion, n_labels), strict=True)
        if shown.code is None or shown.code in {row, column}
    ]


def _describe_numbers(shown: Shown) -> dict[str, Any]:
    """The numbers of all labels together by group; counts and reported numbers stand alone."""
    groups: dict[str, dict[str, Any]] = {group: {} for group in (*NUMBER_GROUPS, *ALONE)}
    for row in list_numbers(shown.evaluation, shown.metrics):
        group, _, name = row.name.partition("/")
        number = row.number
        described = {
            "value": number.value,
            "low": number.low,
            "high": number.high,
            "reason": number.reason or None,
        }
        if not row.label:
            groups[group][name] = number.value if group in ALONE else described
    return groups | {group: groups[group] or None for group in MAY_BE_NONE}


def _describe_label(shown: Shown, label: str) -> dict[str, Any]:
    i = shown.evaluation.labels.index(label)
    return {
        "label": label,
        "assumed_threshold": float(shown.evaluation.thresholds[i]),
        "computed": _describe_computed(shown, i),
        "at_threshold": _describe_scores(shown.metrics.at_threshold_per_label, i),
        "reported": dict(shown.evaluation.reported.per_label.get(label, {})) or None,
    }


def _describe_computed(shown: Shown, i: int) -> dict[str, Any] | None:
    """All that is computed of a label, with the ends of intervals."""
    if shown.metrics.per_label is None:
        return None
    columns = label_columns(shown.evaluation, shown.metrics)
    return {
        name: values[i].item()
        for name, values in columns.items()
        if not name.startswith(("at_threshold_", "reported_", "threshold"))
    }


def _describe_scores(scores: LabelScores | None, i: int) -> dict[str, Any] | None:
    if scores is None:
        return None
    return dict(_scores_of(scores, i))


def _scores_of(scores: LabelScores, i: int) -> Iterator[tuple[str, int | float]]:
    for name in ("support", "tp", "fp", "fn"):
        yield name, int(getattr(scores, name)[i])
    for name in ("precision", "recall", "f1", "ap", "roc_auc"):
        yield name, float(getattr(scores, name)[i])


def _describe_chosen(shown: Shown) -> dict[str, Any] | None:
    chosen = shown.chosen
    if chosen is None:
        return None
    overall = {
        name: getattr(chosen, name)
        for name in ("threshold", "tp", "fp", "fn", "precision", "recall", "f1")
    }
    described: dict[str, Any] = overall | {"stops_at": chosen.stops_at or None}
    if shown.label:
        i = shown.evaluation.labels.index(shown.label)
        described["label"] = _describe_scores(chosen.per_label, i)
    return described


def _share(scores: LabelScores, name: str, i: int) -> str:
    value, low, high = (float(getattr(scores, f"{name}{end}")[i]) for end in ("", "_low", "_high"))
    return fmt_with(value, low, high)
