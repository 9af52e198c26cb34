"""Results -> one self-contained HTML page: what people look at of one version. Pure, no files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mlrek import __version__
from mlrek.evaluation import Evaluation, Task
from mlrek.figures.pictures import ReadImages
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import Metrics, Number
from mlrek.metrics.matrix_steps import compute_matrix_steps
from mlrek.metrics.numbers import (
    NUMBER_GROUPS,
    list_definitions,
    list_headlines,
    list_numbers,
    name_metric,
)
from mlrek.metrics.slices import SliceReport
from mlrek.render import Json
from mlrek.render.doubts import show_doubts
from mlrek.render.matrix_data import build_steps_json
from mlrek.render.places import write_slot
from mlrek.render.report_data import PageImages, build_page_json
from mlrek.render.report_images import (
    Budget,
    Thumbnails,
    choose_images,
    find_suspects,
    order_for_thumbnails,
    read_thumbnails,
)
from mlrek.render.report_said import count_said_labels, list_said, say_labels_differ
from mlrek.render.slice_data import build_page_slices
from mlrek.render.slice_rows import say_slices
from mlrek.render.tables import list_outcomes
from mlrek.text import UNDEFINED, escape_unencodable, fmt, fmt_date, set_minus, span

if TYPE_CHECKING:
    from jinja2 import Environment, Template


REPORT_TEMPLATES: Final = ("report.html", "base.html", "parts.html", "differences.css")
"""The report, and what it takes in."""
MAX_REPORTED: Final = 4
_TASKS: Final[Mapping[Task, str]] = {
    Task.CLASSIFICATION: "one label an image",
    Task.MULTILABEL: "several labels an image",
    Task.DETECTION: "object detection",
    Task.SEGMENTATION: "segmentation",
}
_PROVIDERS: Final = {
    "rekognition": "Rekognition Custom Labels",
    "lookoutvision": "Lookout for Vision",
    "automl-vision": "AutoML Vision",
    "vertex-ai": "Vertex AI",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNumber:
    """A number as a page shows it; `low`, `high` and `at` are percent of a scale from 0 to 1."""

    name: str
    value: str
    span: str = ""
    at: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


SCRIPTS: Final = (
    "parts.js",
    "places.js",
    "cards.js",
    "grid.js",
    "label_list.js",
    *(f"report/{part}.js" for part in ("data", "images", "threshold", "matrix", "labels")),
    *(f"report/{part}.js" for part in ("label_list", "galleries", "checks", "start")),
)
SLICE_SCRIPTS: Final = ("whiskers.js", "slices.js", "report/slices.js")
"""Of a page that shows slices, before the script that starts it."""
MAX_BYTES: Final = 3_000_000
"""The largest page: a browser opens it at once."""

_ESCAPED: Final = tuple((character, f"\\u{ord(character):04x}") for character in "<>&\u2028\u2029")

SHRINKS: Final = (1.0, 0.4, 0.1, 0.0)
"""Shares of its images that a page tries to hold, until it is small enough."""

_SLICE_SHARES: Final = (1.0, 0.3, 0.1)
"""Shares of its slices' matrices and numbers that a page tries before it gives up pictures."""


def render_report(  # noqa: PLR0913 - each is a fact of the page
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    remarks: Sequence[str] = (),
    test_set_digest: str = "",
    logged_at: str = "",
    read_images: ReadImages | None = None,
    pictures: "ReportPictures | None" = None,
    drawn_labels: Sequence[str] = (),
    slices: SliceReport | None = None,
) -> bytes:
    """The page, at most `MAX_BYTES` whatever the size of the evaluation.

    Args:
        evaluation: What was read.
        metrics: What was computed of it.
        remarks: What a reader must know besides the doubts, in plain words.
        test_set_digest: Identity of the test set, as in the run's tag.
        logged_at: When, in ISO 8601.
        read_images: Reads the images that are shown small; without it names stand for them.
        pictures: What `read_pictures` has read already.
        drawn_labels: Those that the matrices of all versions of the project are drawn with.
        slices: Where it is weak; the part is left out of those that have no column of their own.
    """
    facts = build_facts(
        evaluation, metrics, remarks=remarks, digest=test_set_digest, logged_at=logged_at
    )
    facts["slices"] = say_slices(slices)
    scripts = (*SCRIPTS[:-1], *SLICE_SCRIPTS, SCRIPTS[-1]) if facts["slices"] else SCRIPTS
    steps = build_steps_json(compute_matrix_steps(evaluation))
    pictures = pictures or read_pictures(evaluation, metrics, read_images)
    contents = pictures.contents
    for shrink, slice_share in list_shares(has_slices=facts["slices"] is not None):
        if shrink < SHRINKS[0]:
            contents = _choose_contents(evaluation, metrics, Budget().scale(shrink))
        shown = pictures.thumbnails.scale(shrink)
        data = build_page_json(evaluation, metrics, contents, shown, drawn_labels)
        data["matrix_steps"] = steps
        data["slices"] = build_page_slices(slices, metrics, np.sort(contents.images), slice_share)
        page = render_page("report.html", data, scripts=scripts, **facts)
        if len(page) <= MAX_BYTES:
            break
    return page


def list_shares(*, has_slices: bool) -> list[tuple[float, float]]:
    """Shares of its images and of what it tells of slices that a page tries to hold, in turn."""
    tried = _SLICE_SHARES if has_slices else _SLICE_SHARES[:1]
    first = [(SHRINKS[0], share) for share in tried]
    return first + [(shrink, min(shrink, tried[-1])) for shrink in SHRINKS[1:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPictures:
    """The images that a page knows of, as many as it may at most, and the small ones of them."""

    contents: PageImages
    thumbnails: Thumbnails


def read_pictures(
    evaluation: Evaluation, metrics: Metrics, read_images: ReadImages | None
) -> ReportPictures:
    """What a report shows of the images; nothing is read without `read_images`."""
    contents = _choose_contents(evaluation, metrics, Budget().scale(SHRINKS[0]))
    thumbnails = _read_thumbnails(evaluation, metrics, contents, read_images)
    return ReportPictures(contents=contents, thumbnails=thumbnails)


def _choose_contents(evaluation: Evaluation, metrics: Metrics, budget: Budget) -> PageImages:
    """The images that the page knows of, and what is to be found on all of them."""
    if metrics.predictions is None:
        return PageImages()
    images = choose_images(evaluation, metrics.predictions, budget)
    return PageImages(
        images=images,
        outcomes=list_outcomes(evaluation, metrics.predictions),
        suspects=find_suspects(metrics.predictions, metrics.task, images),
        max_pairs=budget.pairs,
    )


def _read_thumbnails(
    evaluation: Evaluation,
    metrics: Metrics,
    contents: PageImages,
    read_images: ReadImages | None,
) -> Thumbnails:
    if read_images is None or contents.outcomes is None or metrics.predictions is None:
        return Thumbnails()
    suspects = metrics.predictions.image_idx[contents.suspects]
    order = order_for_thumbnails(contents.images, contents.outcomes, suspects)
    return read_thumbnails(evaluation, order, read_images)


def build_facts(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    remarks: Sequence[str],
    digest: str,
    logged_at: str,
) -> dict[str, Any]:
    """All that the template fills in, as plain text."""
    version = evaluation.version
    return {
        "title": escape_unencodable(f"{version.name} · {version.project.name}"),
        "version": escape_unencodable(version.name),
        "project": escape_unencodable(version.project.name),
        "provider": _PROVIDERS.get(version.project.provider.value, version.project.provider.value),
        "task": _TASKS[metrics.task],
        "trained": fmt_date(version.training_end_ms or version.training_start_ms),
        "labels": len(metrics.labels),
        "test_images": metrics.test_images,
        "train_images": evaluation.reported.train_images,
        "digest": digest,
        "has_images": evaluation.has_images,
        "headline": list(_list_headlines(evaluation, metrics)),
        "numbers": [_show(*pair) for pair in _all_numbers(evaluation, metrics)],
        "said": [*list_said(metrics)],
        "said_labels": count_said_labels(metrics),
        "labels_differ": say_labels_differ(evaluation, metrics),
        "who": version.project.provider.author,
        "errors": dict(metrics.errors),
        "doubts": show_doubts(list_doubts(evaluation, metrics)),
        "warnings": [*map(escape_unencodable, remarks)],
        "definitions": list_definitions(metrics.task, escape_unencodable(evaluation.pos_label)),
        "rule": metrics.prediction_rule,
        "records": metrics.records.value if metrics.records else "",
        "provenance": [*_list_provenance(evaluation, digest, logged_at)],
        "files": [
            (file.role, escape_unencodable(file.uri), f"{file.size:,} bytes", file.sha256)
            for file in evaluation.files
        ],
        "has_curves": bool(evaluation.reported.curves)
        or (metrics.curves is not None and bool(metrics.labels)),
        "has_masks": evaluation.masks is not None,
        "has_sketches": evaluation.masks is not None and bool(evaluation.masks.sketches),
    }


def _list_headlines(evaluation: Evaluation, metrics: Metrics) -> Iterator[ShownNumber]:
    """The few numbers that say most; without images those of the provider."""
    headlines = list_headlines(metrics)
    for name, number in headlines.items():
        yield _show(name_metric(name), number, base=metrics.baseline.get(name))
    if not headlines:
        for name, value in list(evaluation.reported.aggregate.items())[:MAX_REPORTED]:
            if name != "threshold":
                yield _show(name_metric(name), Number(value=value), note="the service's own number")


def _all_numbers(evaluation: Evaluation, metrics: Metrics) -> Iterator[tuple[str, Number]]:
    """What is computed of all labels together; the errors of boxes stand in a list of their own."""
    for row in list_numbers(evaluation, metrics):
        group, _, _ = row.name.partition("/")
        if group in NUMBER_GROUPS and group != "errors" and not row.label:
            yield name_metric(row.name), row.number


def _show(name: str, number: Number, *, base: Number | None = None, note: str = "") -> ShownNumber:
    if base is not None and base.is_defined:
        note = f"base model {fmt(base.value)}"
    if not number.is_defined:
        return ShownNumber(name=name, value=UNDEFINED, note=number.reason)
    has_interval = not (isnan(number.low) or isnan(number.high))
    is_share = 0 <= number.value <= 1
    return ShownNumber(
        name=name,
        value=fmt(number.value),
        span=span(number.low, number.high, undefined=""),
        at=_percent(number.value) if is_share else None,
        low=_percent(number.low) if has_interval and is_share else None,
        high=_percent(number.high) if has_interval and is_share else None,
        note=note,
    )


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)


def _list_provenance(
    evaluation: Evaluation, digest: str, logged_at: str
) -> Iterator[tuple[str, str]]:
    version = evaluation.version
    rows = {
        "version": version.arn,
        "project": version.project.arn,
        "status": version.status,
        "training began": _time(version.training_start_ms),
        "training ended": _time(version.training_end_ms),
        "copied from": version.copied_from,
        "test set": digest,
        "logged": logged_at,
        "by": f"mlrek {__version__}",
    }
    yield from ((name, escape_unencodable(text)) for name, text in rows.items() if text)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(" ", "seconds")


def render_page(
    template: str, data: Mapping[str, Json], *, scripts: Sequence[str], **facts: Any
) -> bytes:
    """The page as one file in UTF-8.

    Args:
        template: A template in this module's `assets`.
        data: What the scripts find in `<script id="data">`.
        scripts: Scripts in the same folder, run in this order in one scope.
        facts: What the template fills in; text is escaped there.
    """
    from markupsafe import Markup

    script = "\n".join(("(() => {", *map(_read_asset, scripts), "})();"))
    html = read_template(template).render(
        **facts,
        style=Markup(_read_asset("page.css")),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own files
        places=Markup(write_slot()),  # noqa: S704 our own text
        data=Markup(embed_json(data)),  # noqa: S704 escaped for this very place
    )
    return html.encode("utf-8", "backslashreplace")


def read_template(name: str) -> "Template":
    """A template of a page, compiled once a process."""
    return _environment().get_template(name)


def embed_json(data: Mapping[str, Json]) -> str:
    r"""JSON as the content of a script element: no character in it ends that, or begins a comment.

    >>> embed_json({"label": "</script><!--"})
    '{"label":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escaped in _ESCAPED:  # far faster than `translate`
        text = text.replace(character, escaped)
    return text


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mlrek.render", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = set_minus
    return environment


@cache
def _read_asset(name: str) -> str:
    return files("mlrek.render").joinpath("assets", name).read_text(encoding="utf-8")
