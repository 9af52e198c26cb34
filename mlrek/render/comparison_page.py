"""A comparison as one self-contained HTML page: what people look at before they promote."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from mlrek.comparison import Comparison, ImageAnswer, ImageChange
from mlrek.evaluation import Evaluation
from mlrek.figures.pictures import ReadImages
from mlrek.render import Json
from mlrek.render.comparison import (
    VERDICTS,
    list_why_notes,
    say_settling,
    say_verdict,
    tabulate_why,
)
from mlrek.render.comparison_images import KINDS, build_images_json, read_pictures
from mlrek.render.comparison_numbers import (
    build_label_rows,
    list_shown_numbers,
    say_labels,
)
from mlrek.render.doubts import show_doubts
from mlrek.render.matrix_data import build_difference_json
from mlrek.render.report import MAX_BYTES, SHRINKS, list_shares, render_page
from mlrek.render.report_data import round_number
from mlrek.render.slice_data import build_page_slice_differences
from mlrek.render.slice_rows import say_slice_differences
from mlrek.text import display_label, escape_unencodable

SCRIPTS: Final = (
    "parts.js",
    "places.js",
    "cards.js",
    "grid.js",
    "label_list.js",
    "whiskers.js",
    *(f"comparison/{part}.js" for part in ("data", "labels", "images", "matrix")),
    *(f"comparison/{part}.js" for part in ("label_list", "start")),
)
SLICE_SCRIPTS: Final = ("slices.js", "comparison/slices.js")
"""Of a page that shows slices, before the script that starts it."""
MAX_IMAGES: Final = 6_000
"""Images of each kind of change that a page holds; the CSV file has all of them."""

MAX_MOVES: Final = 20_000
"""Images behind the cells of the confusion that a page holds."""


def render_comparison_page(
    comparison: Comparison,
    candidate: Evaluation,
    read_images: ReadImages | None = None,
    kept: Mapping[str, bytes] = MappingProxyType({}),
    drawn_labels: Sequence[str] = (),
) -> bytes:
    """The page of one candidate against its baseline, at most `MAX_BYTES`.

    Args:
        comparison: What differs.
        candidate: The candidate's evaluation, which has the images.
        read_images: Reads the images that are shown small.
        kept: Without it, the content of small pictures by image; names stand for other images.
        drawn_labels: Those that the matrices of all versions of the project are drawn with.
    """
    facts = _build_facts(comparison)
    scripts = (*SCRIPTS[:-1], *SLICE_SCRIPTS, SCRIPTS[-1]) if facts["slices"] else SCRIPTS
    matrix = build_difference_json(comparison.confusion, drawn_labels)
    most = _list_images(comparison, SHRINKS[0])
    thumbnails = read_pictures(comparison, candidate, most, read_images, kept)
    for shrink, slice_share in list_shares(has_slices=facts["slices"] is not None):
        images = _list_images(comparison, shrink)
        shown = build_images_json(candidate, images, thumbnails.scale(shrink))
        data = {**_build_data(comparison, images, shrink, slice_share), "images": shown} | matrix
        page = render_page("comparison.html", data, scripts=scripts, **facts)
        if len(page) <= MAX_BYTES:
            break
    return page


def _build_data(
    comparison: Comparison, images: Sequence[str], share: float, slice_share: float
) -> dict[str, Json]:
    """What the script works on but the images, of so large a share of these and slices at most."""
    changes = {kind: getattr(comparison, kind)[: round(MAX_IMAGES * share)] for kind in KINDS}
    places = {image: i for i, image in enumerate(images)}
    labels = _name_labels(comparison)
    codes = {label: i for i, label in enumerate(comparison.labels)}
    return {
        "names": [escape_unencodable(v.name) for v in (comparison.baseline, comparison.candidate)],
        "labels": labels,
        "own": comparison.confusion.n_own if comparison.confusion else 0,
        "changes": {
            kind: [_build_change(c, places, codes) for c in changes[kind]] for kind in KINDS
        },
        "totals": {kind: len(getattr(comparison, kind)) for kind in KINDS},
        "moves": _list_moves(comparison, places, share),
        "moves_total": _count_moves(comparison),
        "label_numbers": build_label_rows(comparison),
        "slices": build_page_slice_differences(
            comparison,
            images,
            has_all_moves=_count_moves(comparison) <= round(MAX_MOVES * share),
            share=slice_share,
        ),
    }


def _count_moves(comparison: Comparison) -> int:
    return len(comparison.confusion.moves) if comparison.confusion else 0


def _list_images(comparison: Comparison, share: float) -> list[str]:
    """The images of a page: those that changed, by kind, then those behind the cells."""
    n = round(MAX_IMAGES * share)
    changed = (change.image for kind in KINDS for change in getattr(comparison, kind)[:n])
    return list(dict.fromkeys((*changed, *_list_moved(comparison, share))))


def _build_facts(comparison: Comparison) -> dict[str, Any]:
    """All that the template fills in, as plain text."""
    sets = comparison.test_sets
    baseline, candidate = comparison.baseline.name, comparison.candidate.name
    verdict, _, detail = say_verdict(comparison).partition(": ")
    return {
        "title": f"{candidate} against {baseline}",
        "baseline": baseline,
        "candidate": candidate,
        "project": comparison.candidate.project.name,
        "verdict": verdict.rstrip("."),
        "detail": detail,
        "test_set": VERDICTS[sets.verdict],
        "test_set_facts": [
            ("images that both were tested on", f"{sets.shared:,}"),
            (f"only in the test set of {baseline}", f"{sets.only_baseline:,}"),
            (f"only in the test set of {candidate}", f"{sets.only_candidate:,}"),
            ("shared images whose truth was changed, left out", f"{sets.relabelled:,}"),
            ("images that stand more than once in a test set", f"{sets.duplicated:,}"),
        ],
        "numbers": list_shown_numbers(comparison),
        "labels_said": say_labels(comparison),
        "slices": say_slice_differences(comparison),
        "why": tabulate_why(comparison) if comparison.why else None,
        "why_notes": list_why_notes(comparison),
        "settling": say_settling(comparison),
        "doubts": show_doubts(comparison.doubts),
        "warnings": comparison.warnings,
        "provenance": {"baseline": comparison.baseline.arn, "candidate": comparison.candidate.arn},
    }


def _build_change(change: ImageChange, places: Mapping[str, int], codes: Mapping[str, int]) -> Json:
    def build(answer: ImageAnswer) -> list[Json]:
        return [[codes[label] for label in answer.labels], round_number(answer.confidence, 4)]

    truth: list[Json] = [codes[label] for label in change.truth]
    return [
        places[change.image],
        truth,
        *build(change.baseline),
        *build(change.candidate),
    ]


def _list_moved(comparison: Comparison, share: float) -> list[str]:
    """The images behind the cells, at most so many as a page holds."""
    confusion = comparison.confusion
    if confusion is None:
        return []
    moves = confusion.moves[: round(MAX_MOVES * share)]
    return [confusion.images[i] for i in np.unique(moves[:, 0]).tolist()]


def _list_moves(comparison: Comparison, places: Mapping[str, int], share: float) -> list[Json]:
    """Image, row, column and change of each move."""
    confusion = comparison.confusion
    if confusion is None:
        return []
    return [
        [places[confusion.images[i]], row, column, change]
        for i, row, column, change in confusion.moves[: round(MAX_MOVES * share)].tolist()
    ]


def _name_labels(comparison: Comparison) -> list[Json]:
    own: tuple[str, ...] = ()
    if comparison.confusion is not None and comparison.confusion.n_own:
        own = comparison.confusion.labels[-comparison.confusion.n_own :]
    return [*(escape_unencodable(display_label(label)) for label in comparison.labels), *own]
