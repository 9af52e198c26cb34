"""The note of a run: what a colleague would say of the version in five lines."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from mlrek.comparison.doubts import list_doubts
from mlrek.evaluation import Doubt, Evaluation, Task
from mlrek.formatting import fmt, span
from mlrek.label_keys import display_label
from mlrek.metrics import Metrics, Number
from mlrek.metrics.headlines import list_headlines, name_metric
from mlrek.printable import escape_markdown, escape_unprintable
from mlrek.tables.doubts import EFFECT_WORDS, order_doubts, say_touched

WHERE_TO_LOOK: Final = (
    "Where to look: `report.html` among the artifacts has thresholds, galleries and curves; the "
    "experiment's charts show the versions side by side; the step of a `curve/` is the threshold "
    "in percent, and its last value that at 100 %."
)
_COUNTED: Final = {Task.DETECTION: "objects", Task.SEGMENTATION: "pixels"}
_MAX_WARNING: Final = 400
_MAX_DOUBTS: Final = 6


def describe_note(evaluation: Evaluation, metrics: Metrics, remarks: Sequence[str]) -> str:
    """A plain sentence; the numbers; the weakest spot; doubts, remarks; where to look."""
    doubts = order_doubts(list_doubts(evaluation, metrics))
    return "\n".join(
        (
            _introduce(evaluation, metrics),
            "",
            *(f"- {line}" for line in _describe_findings(evaluation, metrics)),
            *(f"- {line}" for line in _describe_doubts(doubts)),
            *(f"- {line}" for line in _beware(remarks, has_doubts=bool(doubts))),
            f"- {WHERE_TO_LOOK}",
        )
    )


def _introduce(evaluation: Evaluation, metrics: Metrics) -> str:
    version = evaluation.version
    name, project = map(escape_markdown, (version.name, version.project.name))
    images = "an unknown number of" if metrics.test_images is None else f"{metrics.test_images:,}"
    labels = len(metrics.labels)
    of_labels = f" with {labels} label{'' if labels == 1 else 's'}" if labels else ""
    return f"Version {name} of {project}, tested on {images} images{of_labels}."


def _describe_findings(evaluation: Evaluation, metrics: Metrics) -> Iterator[str]:
    said = [
        f"{name_metric(name)} {_in_words(number)}"
        for name, number in list_headlines(metrics).items()
    ]
    if "f1" in evaluation.reported.aggregate:
        said.append(f"the service itself says F1 {fmt(evaluation.reported.aggregate['f1'])}")
    if said:
        line = "; ".join(said)
        yield f"{line[0].upper()}{line[1:]}."
    weak = list(filter(None, (_find_weakest(metrics), _find_confusion(metrics))))
    if weak:
        yield " ".join(weak)


def _in_words(number: Number) -> str:
    if np.isnan([number.low, number.high]).any():
        return fmt(number.value)
    return f"{fmt(number.value)} (95 % interval: {span(number.low, number.high)})"


def _find_weakest(metrics: Metrics) -> str:
    """The label with the smallest F1, the first of those in label order."""
    scores = metrics.per_label
    if scores is None or len(metrics.labels) < 2 or np.isnan(scores.f1).all():  # noqa: PLR2004 two
        return ""
    i = int(np.nanargmin(scores.f1))
    label, recall = _name(metrics.labels[i]), scores.recall[i]
    counted = _COUNTED.get(metrics.task, "images")
    found = ""
    if not np.isnan(recall):
        found = f", {scores.tp[i]:,} of its {scores.support[i]:,} {counted} found"
    return f"Weakest label: {label} (F1 {fmt(scores.f1[i])}{found})."


def _find_confusion(metrics: Metrics) -> str:
    """The largest count off the diagonal, the first of those row by row."""
    confusion = metrics.confusion
    if confusion is None or not confusion.counts.size:
        return ""
    counts = confusion.counts.copy()
    n = len(metrics.labels)
    np.fill_diagonal(counts[:n, :n], 0)
    row, column = np.unravel_index(int(counts.argmax()), counts.shape)
    count = int(counts[row, column])
    if not count:
        return "No label is mistaken for another."
    shown = f"({count:,} of {int(confusion.counts[row].sum()):,})"
    if row >= n:
        seen = _name(confusion.columns[column])
        return f"Most frequent mistake: {seen} seen where it is not ({count:,} times)."
    true = _name(confusion.rows[row])
    if column >= n:
        return f"Most frequent mistake: {true} not found {shown}."
    return f"Most frequent mistake: {true} taken for {_name(confusion.columns[column])} {shown}."


def _describe_doubts(doubts: Sequence[Doubt]) -> Iterator[str]:
    """What weakens the numbers, those that stop a check first."""
    for doubt in doubts[:_MAX_DOUBTS]:
        touched = escape_markdown(say_touched(doubt.touches))
        yield f"Doubt ({EFFECT_WORDS[doubt.effect]}; {touched}): {_cut(doubt.text)}."
    if len(doubts) > _MAX_DOUBTS:
        yield f"And {len(doubts) - _MAX_DOUBTS} more doubts, in `evaluation.json`."


def _beware(remarks: Sequence[str], *, has_doubts: bool) -> Iterator[str]:
    """The first remark, and how many more there are."""
    if remarks:
        rest = len(remarks) - 1
        more = f" (and {rest} more in the tag `mlrek.warnings`)" if rest else ""
        yield f"Beware: {_cut(remarks[0])}{more}."
    elif not has_doubts:
        yield "Nothing to beware of."


def _cut(text: str) -> str:
    """Untrusted text for a note, not too long."""
    short = f"{text[:_MAX_WARNING]}…" if len(text) > _MAX_WARNING else text
    return escape_markdown(escape_unprintable(short))


def _name(label: str) -> str:
    return f"“{escape_markdown(display_label(label))}”"
