"""What `mlrek compare` keeps in the runs of the versions, and the page that it makes."""

import re
from dataclasses import replace

from mlrek.promotion import find_logged_run
from mlrek.promotion.compare import Compared, RunPages, read_drawn_labels
from mlrek.render import write_json
from mlrek.render.comparison import (
    build_candidate_json,
    build_version_json,
    write_fixed_broken,
    write_summary,
)
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.places import fill_places
from mlrek.tracking.links import COMPARISONS, list_comparison_places, ui_address
from mlrek.tracking.store import Store

COMPARISON_PAGE = "comparison.html"
_UNSAFE = re.compile(r"[^\w.-]+")


def find_runs(compared: Compared, store: Store) -> Compared:
    """The same with the run of each version that was read from elsewhere, where it is logged."""
    found = [
        None if run_id else find_logged_run(evaluation, store)
        for run_id, evaluation in zip(compared.runs, compared.evaluations, strict=True)
    ]
    runs = tuple(
        run.run_id if run else known for known, run in zip(compared.runs, found, strict=True)
    )
    named = [
        run or (store.find_run(known) if known else None)
        for known, run in zip(runs, found, strict=True)
    ]
    pages = RunPages(
        base=ui_address(store.tracking_uri),
        workspace=store.linked_workspace or "",
        experiments=tuple(run.experiment_id if run else "" for run in named),
    )
    drawn_labels = compared.drawn_labels or read_drawn_labels(named, lambda: store)
    return replace(compared, runs=runs, drawn_labels=drawn_labels, pages=pages)


def write_comparisons(compared: Compared, store: Store) -> list[str]:
    """Keep each comparison in its candidate's run, under `comparison/<baseline version>/`.

    Returns:
        Where each is: its place in the run, with the address of its page where there is one.
    """
    written = []
    baseline = compared.evaluations[0].version.name
    for i, run_id in enumerate(compared.runs[1:]):
        if run_id:
            place = f"{COMPARISONS}/{_safe_name(baseline)}"
            for name, content in describe_files(compared, i).items():
                store.write_artifact(run_id, f"{place}/{name}", content)
            page = store.link_comparison(run_id, baseline, f"{place}/{COMPARISON_PAGE}")
            written.append(f"runs:/{run_id}/{COMPARISONS}" + f": {page}" * bool(page))
    return written


def describe_files(compared: Compared, i: int) -> dict[str, bytes]:
    """What the run of candidate `i` keeps of its comparison, by file name."""
    from mlrek.figures import draw_difference
    from mlrek.figures.style import encode_png, render_rgb

    comparison, run_id = compared.comparisons[i], compared.runs[i + 1]
    files = {
        COMPARISON_PAGE: render_comparison(compared, i),
        "comparison.json": write_json(
            {
                "baseline": build_version_json(comparison.baseline, compared.runs[0]),
                "candidates": [build_candidate_json(comparison, run_id)],
            }
        ),
        "fixed_broken.csv": write_fixed_broken(comparison),
        "summary.md": write_summary(comparison).encode("utf-8", "backslashreplace"),
    }
    picture = draw_difference(comparison, compared.drawn_labels)
    if picture is not None:
        files["confusion_difference.png"] = encode_png(render_rgb(picture))
    return files


def render_comparison(compared: Compared, i: int = 0) -> bytes:
    """The page of candidate `i` against the baseline.

    Its pictures are those of the images, where the source of either version is at hand; else those
    that the reports of both runs hold.
    """
    read_images = compared.read_images[i + 1] or compared.read_images[0]
    kept = {}
    if read_images is None:
        kept = {**compared.list_kept[0](), **compared.list_kept[i + 1]()}
    page = render_comparison_page(
        compared.comparisons[i],
        compared.evaluations[i + 1],
        read_images,
        kept,
        compared.drawn_labels,
    )
    return _fill_places(page, compared, i + 1)


def _fill_places(page: bytes, compared: Compared, candidate: int) -> bytes:
    """The page with where MLflow shows both runs, as far as that is known."""
    pages = compared.pages
    if pages is None:
        return page
    baseline, other = (
        (pages.experiments[i], compared.runs[i] if pages.experiments[i] else "")
        for i in (0, candidate)
    )
    return fill_places(page, pages.base, list_comparison_places(baseline, other, pages.workspace))


def _safe_name(name: str) -> str:
    """A version's name as one part of a path."""
    return _UNSAFE.sub("_", name).strip(".")[:100] or "baseline"
