"""What `mlrek show` says of one version, as blocks and as JSON."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from mlrek.evaluation import Doubt, Evaluation, Task
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import LabelScores, Metrics
from mlrek.metrics.numbers import (
    MAIN_SCORES,
    NUMBER_GROUPS,
    list_headlines,
    list_numbers,
    name_metric,
)
from mlrek.metrics.reported import DEFAULT_THRESHOLD, ReportedAt, reported_at
from mlrek.metrics.test_set import test_set_digest
from mlrek.render import WIDE, Block, Line, Table
from mlrek.render.doubts import (
    EFFECT_WORDS,
    build_doubt_json,
    list_version_remarks,
    list_warnings,
    order_doubts,
    say_touched,
)
from mlrek.render.labels import display_names, label_columns, rank_mistakes
from mlrek.text import display_label, fmt, fmt_percent, fmt_with, span

if TYPE_CHECKING:
    from mlrek.metrics.slices import SliceReport
    from mlrek.metrics.thresholds import AtChosenThreshold
    from mlrek.render.tables import LabelOutcome

WORST_LABELS = 10
TOP_CONFUSIONS = 10
COUNTED = {Task.DETECTION: "boxes", Task.SEGMENTATION: "pixels"}
COUNT_COLUMNS = frozenset({"images", *COUNTED.values(), "TP", "FP", "FN", "count"})
ALONE = ("errors", "reported", "training")
"""Groups of numbers that have no interval."""
MAY_BE_NONE = ("base_model", "errors", "training")
OUTCOMES = {
    "tp": "rightly predicted",
    "fn": "true, but not predicted",
    "fp": "predicted, but not true",
}
_COUNTS = ("tp", "fp", "fn")
_TITLES = ("threshold", "TP", "FP", "FN", "precision", "recall", "F1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is to be shown: of all labels or of one, perhaps at a chosen threshold too.

    With an `outcome`, the images where the label has it. `published` is what the provider says at
    the threshold nearest to the chosen one. `slices` are there where they were asked for.
    """

    evaluation: Evaluation
    metrics: Metrics
    label: str = ""
    outcome: "LabelOutcome | None" = None
    chosen: "AtChosenThreshold | None" = None
    published: ReportedAt | None = None
    slices: "SliceReport | None" = None

    @property
    def code(self) -> int | None:
        """The code of the label; None for all labels."""
        return self.evaluation.labels.index(self.label) if self.label else None

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens its numbers, those that stop a check first."""
        return order_doubts(list_doubts(self.evaluation, self.metrics))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know besides the doubts; nothing more of a list of images."""
        return () if self.outcome else list_version_remarks(self.evaluation, self.metrics)

    @property
    def stops_at(self) -> str:
        """Where the records stop short of the chosen threshold, '' where that does not matter."""
        is_shown = self.chosen and not (self.published or self.outcome)
        return self.chosen.stops_at if self.chosen and is_shown else ""


def choose_shown(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    label: str = "",
    outcome: "LabelOutcome | None" = None,
    threshold: float | None = None,
    slices: "SliceReport | None" = None,
) -> Shown:
    """What is shown of a version, or of one label of it.

    Where the provider publishes numbers over thresholds, some threshold is always shown.
    """
    curves = evaluation.reported.curves
    if threshold is None and curves:
        threshold = DEFAULT_THRESHOLD
    if threshold is None:
        return Shown(
            evaluation=evaluation, metrics=metrics, label=label, outcome=outcome, slices=slices
        )
    from mlrek.metrics.thresholds import compute_at_chosen_threshold

    chosen = compute_at_chosen_threshold(evaluation, threshold) if evaluation.has_images else None
    return Shown(
        evaluation=evaluation,
        metrics=metrics,
        label=label,
        outcome=outcome,
        chosen=chosen,
        published=reported_at(curves[label], threshold) if label in curves else None,
        slices=slices,
    )


def list_version_blocks(shown: Shown, width: int = WIDE) -> Iterator[Block]:
    """The evaluation for a person, or its slices, in a terminal of so many columns."""
    yield from _list_title(shown)
    yield from _list_doubts(shown)
    if shown.slices is not None:
        from mlrek.render.slices import slice_blocks

        yield from slice_blocks(shown.slices, width)
        return
    if shown.outcome:
        yield from _list_outcome(shown, shown.outcome)
        return
    for part in _LABEL_PARTS if shown.label else _PARTS:
        for block in part(shown):
            if not isinstance(block, Table) or block.rows:
                yield from (block, Line())


def build_shown_json(shown: Shown) -> dict[str, Any]:
    """The stable JSON form."""
    evaluation, metrics = shown.evaluation, shown.metrics
    version = evaluation.version
    labels = [shown.label] if shown.label else list(evaluation.labels)
    slices = None
    if shown.slices:
        from mlrek.render.slices import build_slices_json

        slices = build_slices_json(shown.slices)
    return {
        "project_arn": version.project.arn,
        "version": version.name,
        "version_arn": version.arn,
        "task": metrics.task.value,
        "test_images": metrics.test_images,
        "test_set_digest": test_set_digest(evaluation) or None,
        "prediction_rule": metrics.prediction_rule or None,
        "records": metrics.records.value if metrics.records else None,
        **_build_numbers(shown),
        "labels": [_build_label(shown, name) for name in labels],
        "most_confused": [
            {"true": true, "predicted": predicted, "count": count}
            for true, predicted, count in _confusions(shown)
        ],
        "threshold": _build_chosen(shown),
        "published": _build_published(shown.published),
        "outcome": shown.outcome,
        "images": (
            [
                {"image": image, "confidence": confidence}
                for image, confidence in _list_images(shown, shown.outcome)
            ]
            if shown.outcome
            else None
        ),
        "slices": slices,
        "doubts": [build_doubt_json(doubt) for doubt in shown.doubts],
        "warnings": list(list_warnings(evaluation, metrics)),
    }


def _list_title(shown: Shown) -> Iterator[Line]:
    version, metrics = shown.evaluation.version, shown.metrics
    yield Line(f"{version.project.name}  {version.name}")
    yield Line(version.arn)
    images = "no test images" if metrics.test_images is None else f"{metrics.test_images:,} images"
    rule = f", predictions by {metrics.prediction_rule}" if metrics.prediction_rule else ""
    records = f", {metrics.records.value} records" if metrics.records else ""
    labels = f"{len(shown.evaluation.labels)} labels"
    yield Line(f"{metrics.task.value}, {images}, {labels}{rule}{records}")
    yield Line()


def _list_doubts(shown: Shown) -> Iterator[Line]:
    """What weakens the numbers, a line each, before the numbers."""
    if not shown.doubts:
        return
    yield Line("doubts:")
    for doubt in shown.doubts:
        touched = f"{doubt.kind.value}, touches {say_touched(doubt.touches)}"
        yield Line(f"  {EFFECT_WORDS[doubt.effect]}: {doubt.text} ({touched})")
    yield Line()


def _list_outcome(shown: Shown, outcome: "LabelOutcome") -> Iterator[Block]:
    """Confidence and image, the least sure first; what has no confidence last."""
    rows = [[fmt(confidence, 4), image] for image, confidence in _list_images(shown, outcome)]
    yield Line(f"label {shown.label}, {OUTCOMES[outcome]}: {len(rows):,}")
    if rows:
        yield Line()
        yield Table(["confidence", "image"], rows, numeric=frozenset({"confidence"}))


def _list_images(shown: Shown, outcome: "LabelOutcome") -> Iterator[tuple[str, float]]:
    """The images where the label has the outcome, with its confidence."""
    if shown.metrics.predictions is None:
        return
    from mlrek.render.tables import list_outcomes  # for one outcome alone

    images, code = shown.evaluation.images, shown.evaluation.labels.index(shown.label)
    outcomes = list_outcomes(shown.evaluation, shown.metrics.predictions)
    for row in outcomes.select(code, outcome):
        yield images[outcomes.image_idx[row]], float(outcomes.confidence[row])


def _list_headline(shown: Shown) -> Iterator[Table]:
    """What is computed, the headline numbers first."""
    rows = []
    for name, number in {**list_headlines(shown.metrics), **shown.metrics.aggregate}.items():
        if number.is_defined and not name.endswith(("_weighted", "_samples")):
            base = shown.metrics.baseline.get(name)
            others = "" if base is None else fmt(base.value, 4)
            rows.append(
                [name_metric(name), fmt(number.value, 4), span(number.low, number.high, 4), others]
            )
    titles = ["computed", "value", "95 % interval", "base model"]
    numeric = frozenset({"value", "base model"})
    yield Table(titles, rows, numeric=numeric).without_empty(["base model"])


def _list_at_thresholds(shown: Shown) -> Iterator[Table]:
    """The provider's own numbers next to those that are computed at its thresholds."""
    reported, at_threshold = shown.evaluation.reported.aggregate, shown.metrics.at_threshold
    crossfit, rows = shown.metrics.crossfit, []
    for name in dict.fromkeys((*reported, *MAIN_SCORES)):
        ours, elsewhere = at_threshold.get(f"{name}_macro"), crossfit.get(f"{name}_macro")
        row = [
            name_metric(name),
            fmt(reported.get(name), 4),
            fmt(None if ours is None else ours.value, 4),
        ]
        if elsewhere is not None:
            row += [fmt(elsewhere.value, 4), span(elsewhere.low, elsewhere.high, 4)]
        elif crossfit:
            row += ["", ""]
        rows.append(row)
    who = shown.evaluation.version.project.provider.author
    titles = [f"at the {who}'s thresholds", "reported", "computed"]
    titles += ["cross-fitted", "95 % interval"] * bool(crossfit)
    table = Table(titles, rows, numeric=frozenset({"reported", "computed", "cross-fitted"}))
    yield table.without_empty(["reported"])


def _list_worst_labels(shown: Shown) -> Iterator[Table]:
    scores = shown.metrics.per_label
    if scores is None:
        return
    order = np.argsort(np.where(np.isnan(scores.f1), np.inf, scores.f1), kind="stable")
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
        for i in [i for i in order if not isnan(scores.f1[i])][:WORST_LABELS]
    ]
    titles = ["worst labels", _name_count(shown), "precision", "recall", "F1", "AP", "threshold"]
    yield Table(titles, rows, numeric=COUNT_COLUMNS).without_empty(["AP", "threshold"])


def _list_label(shown: Shown) -> Iterator[Block]:
    i = shown.evaluation.labels.index(shown.label)
    threshold = fmt(shown.evaluation.thresholds[i])
    yield Line(f"label {shown.label}, assumed threshold {threshold}")
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
        numbers = [fmt(reported.get(name)) for name in MAIN_SCORES]
        rows.append(["the service says", "", "", "", "", *numbers])
    titles = ["", _name_count(shown), "TP", "FP", "FN", "precision", "recall", "F1"]
    yield Table(titles, rows, numeric=COUNT_COLUMNS)


def _label_row(name: str, scores: LabelScores, i: int) -> list[str]:
    counts = [f"{column[i]:,}" for column in (scores.support, scores.tp, scores.fp, scores.fn)]
    shares = [_share(scores, "precision", i), _share(scores, "recall", i)]
    return [name, *counts, *shares, fmt(scores.f1[i])]


def _name_count(shown: Shown) -> str:
    """What a label's support counts."""
    return COUNTED.get(shown.metrics.task, "images")


def _list_chosen(shown: Shown) -> Iterator[Block]:
    """One threshold for all labels: as Google's console shows it where numbers are published."""
    chosen, published = shown.chosen, shown.published
    if published is not None:
        rows = [["the service says", *_list_cells(published.threshold, published.values)]]
        if chosen is not None:
            rows.append(["computed", *_list_cells(chosen.threshold, _choose(chosen, shown.code))])
        yield Table(("at a threshold", *_TITLES), rows, numeric=frozenset(_TITLES))
    elif chosen is not None and not shown.label:
        scores = {"precision": chosen.precision, "recall": chosen.recall, "F1": chosen.f1}
        words = ", ".join(f"{name} {fmt(value)}" for name, value in scores.items())
        counts = f"TP {chosen.tp:,}, FP {chosen.fp:,}, FN {chosen.fn:,}"
        yield Line(f"at threshold {chosen.threshold:g}: {words} ({counts})")


def _list_cells(threshold: float, values: Mapping[str, float]) -> Iterator[str]:
    yield f"{threshold:g}"
    for name in _COUNTS:
        yield fmt(values.get(name), 0)
    for name in MAIN_SCORES:
        yield fmt_percent(values.get(name))


def _choose(chosen: "AtChosenThreshold", code: int | None) -> dict[str, float]:
    """The numbers of a label, or of all labels together."""
    names = (*_COUNTS, *MAIN_SCORES)
    if code is None:
        return {name: float(getattr(chosen, name)) for name in names}
    return {name: float(getattr(chosen.per_label, name)[code]) for name in names}


def _list_confusions(shown: Shown) -> Iterator[Table]:
    found = _confusions(shown)[:TOP_CONFUSIONS]
    rows = [[true, predicted, f"{count:,}"] for true, predicted, count in found]
    yield Table(["true", "most confused with", "count"], rows, numeric=COUNT_COLUMNS)


def _list_errors(shown: Shown) -> Iterator[Line]:
    if shown.metrics.errors:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in shown.metrics.errors.items())
        yield Line(f"errors of boxes: {kinds}")


_Part = Callable[[Shown], Iterator[Block]]
_PARTS: tuple[_Part, ...] = (
    _list_headline,
    _list_at_thresholds,
    _list_worst_labels,
    _list_chosen,
    _list_confusions,
    _list_errors,
)
_LABEL_PARTS: tuple[_Part, ...] = (_list_label, _list_chosen, _list_confusions)


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


def _build_numbers(shown: Shown) -> dict[str, Any]:
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


def _build_label(shown: Shown, label: str) -> dict[str, Any]:
    i = shown.evaluation.labels.index(label)
    return {
        "label": label,
        "assumed_threshold": float(shown.evaluation.thresholds[i]),
        "computed": _build_computed(shown, i),
        "at_threshold": _build_scores(shown.metrics.at_threshold_per_label, i),
        "reported": dict(shown.evaluation.reported.per_label.get(label, {})) or None,
    }


def _build_computed(shown: Shown, i: int) -> dict[str, Any] | None:
    """All that is computed of a label, with the ends of intervals."""
    if shown.metrics.per_label is None:
        return None
    columns = label_columns(shown.evaluation, shown.metrics)
    return {
        name: values[i].item()
        for name, values in columns.items()
        if not name.startswith(("at_threshold_", "reported_", "threshold"))
    }


def _build_scores(scores: LabelScores | None, i: int) -> dict[str, Any] | None:
    if scores is None:
        return None
    names = ("support", *_COUNTS, *MAIN_SCORES, "ap", "roc_auc")
    return {name: getattr(scores, name)[i].item() for name in names}


def _build_chosen(shown: Shown) -> dict[str, Any] | None:
    chosen = shown.chosen
    if chosen is None:
        return None
    overall = {name: getattr(chosen, name) for name in ("threshold", *_COUNTS, *MAIN_SCORES)}
    described: dict[str, Any] = overall | {"stops_at": chosen.stops_at or None}
    if shown.label:
        i = shown.evaluation.labels.index(shown.label)
        described["label"] = _build_scores(chosen.per_label, i)
    return described


def _build_published(published: ReportedAt | None) -> dict[str, Any] | None:
    if published is None:
        return None
    return {
        "threshold": published.threshold,
        "is_exact": published.is_exact,
        **{name: published.values.get(name) for name in (*_COUNTS, *MAIN_SCORES)},
    }


def _share(scores: LabelScores, name: str, i: int) -> str:
    value, low, high = (float(getattr(scores, f"{name}{end}")[i]) for end in ("", "_low", "_high"))
    return fmt_with(value, low, high)
