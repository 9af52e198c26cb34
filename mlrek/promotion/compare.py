"""Runs `mlrek compare`: read the versions, compare them, keep the answer in the runs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeAlias

from mlrek.comparison import Comparison, Verdict
from mlrek.comparison.compare import CompareSettings, Several, Side, compare_several
from mlrek.errors import ParseError, TrackingError, UsageError
from mlrek.evaluation import Evaluation
from mlrek.figures.pictures import ReadImages
from mlrek.metrics import PredictionRule
from mlrek.metrics.test_set import is_same_project, test_set_digest
from mlrek.policy import DEFAULT_CONFIDENCE
from mlrek.policy.reading import compute_chance
from mlrek.promotion import (
    Listed,
    Referred,
    find_logged_run,
    list_looks,
    load_given,
    name_look,
)
from mlrek.render import Json, number_or_null, write_json
from mlrek.render.comparison import (
    build_candidate_json,
    build_version_json,
    write_fixed_broken,
    write_summary,
)
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.kept_pictures import parse_pictures
from mlrek.render.places import fill_places
from mlrek.render.report import MAX_BYTES
from mlrek.sources import AwsOptions
from mlrek.sources.aws import AwsClients
from mlrek.sources.images import read_images_below
from mlrek.sources.s3 import open_storage
from mlrek.sources.storage import read_small_text, say_missing_path
from mlrek.text import fmt
from mlrek.tracking import LoggedRun
from mlrek.tracking.description import AUTO_IMAGES, NO_IMAGES
from mlrek.tracking.drawn import read_drawn
from mlrek.tracking.links import (
    COMPARISONS,
    list_comparison_places,
    ui_address,
)
from mlrek.tracking.store import Store

REPORT = "report.html"
COMPARISON_PAGE = "comparison.html"
_UNSAFE = re.compile(r"[^\w.-]+")
SEVERAL_LOOKS = 2
"""From so many versions on it is said how many were checked on one test set."""


ListKept: TypeAlias = Callable[[], Mapping[str, bytes]]
"""The content of small pictures by image; asked only where a page is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPages:
    """Where MLflow shows the runs: its address, the workspace, and each run's experiment id."""

    base: str
    workspace: str
    experiments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A baseline with its candidates, each with its comparison; `several` tests all together.

    `evaluations` are those of all of them, the baseline's first, `runs` their run ids, '' where
    there is none, `read_images` what reads their images, None where nothing does, and `list_kept`
    the pictures that are kept in their runs. `drawn_labels` are those that the matrices of their
    project are drawn with, where it is one project and they are known, and `pages` tells where
    MLflow shows the runs, once a store was asked.
    """

    evaluations: tuple[Evaluation, ...]
    read_images: tuple[ReadImages | None, ...]
    list_kept: tuple[ListKept, ...]
    comparisons: tuple[Comparison, ...]
    several: Several | None
    runs: tuple[str, ...]
    drawn_labels: tuple[str, ...] = ()
    pages: RunPages | None = None


def compare_references(
    versions: Sequence[str | Referred],
    aws: AwsOptions,
    open_store: Callable[[], Store],
    settings: CompareSettings,
    *,
    rule: PredictionRule | None = None,
    images: str = AUTO_IMAGES,
) -> Compared:
    """Read the versions that were named and compare each candidate with the baseline.

    Args:
        versions: The baseline and one or more candidates as typed, or as they were read.
        aws: Region and profile.
        open_store: Called for runs and models only.
        settings: How to compare.
        rule: What counts as a prediction; without it, what each run was logged with.
        images: Where the page's pictures come from: `auto`, `none`, or a folder.

    Raises:
        IncomparableError: Two versions do different things, or one has no record of its images.
        UsageError: A text names no version, or more than one.
        SourceError: An evaluation cannot be read.
        TrackingError: MLflow cannot be reached or refuses.
    """
    listed: Listed = {}
    referred = [load_given(version, aws, open_store, listed) for version in versions]
    sides = [Side(evaluation=one.evaluation, rule=rule or one.prediction_rule) for one in referred]
    comparisons, several = compare_several(sides[0], sides[1:], settings)
    comparisons = tuple(
        _say_looks(comparison, referred[0], candidate, open_store)
        for comparison, candidate in zip(comparisons, referred[1:], strict=True)
    )
    return Compared(
        evaluations=tuple(side.evaluation for side in sides),
        read_images=tuple(_choose_images(one, images, aws) for one in referred),
        list_kept=tuple(_choose_kept(one, images, open_store) for one in referred),
        comparisons=comparisons,
        several=several,
        runs=tuple(one.run_id for one in referred),
        drawn_labels=_read_drawn([one.run for one in referred], open_store),
    )


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
    drawn_labels = compared.drawn_labels or _read_drawn(named, lambda: store)
    return replace(compared, runs=runs, drawn_labels=drawn_labels, pages=pages)


def _read_drawn(
    runs: Sequence[LoggedRun | None], open_store: Callable[[], Store]
) -> tuple[str, ...]:
    """What the matrices of a project are drawn with, where all runs are of one."""
    known = [run for run in runs if run is not None]
    newest = known[-1] if known else None
    if newest is None or len(known) < len(runs) or not newest.experiment_id:
        return ()
    if any(not is_same_project(run.project_arn, newest.project_arn) for run in known):
        return ()
    tags = open_store().get_experiment(newest.experiment_id).tags
    return read_drawn(tags, newest.project_arn)


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


def build_compared_json(compared: Compared) -> dict[str, Json]:
    """The stable JSON form that `mlrek compare --json` prints."""
    return {
        "baseline": build_version_json(compared.evaluations[0].version, compared.runs[0]),
        "candidates": [
            build_candidate_json(comparison, run_id)
            for comparison, run_id in zip(compared.comparisons, compared.runs[1:], strict=True)
        ],
        "all_versions": _build_several(compared.several),
    }


def load_label_map(path: str) -> dict[str, str]:
    """New label names by old ones, from a JSON object or a CSV file with two columns.

    Raises:
        UsageError: There is no such file, or it holds something else.
    """
    from mlrek.formats.tables import read_label_map

    try:
        text = read_small_text(path, "utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path}: the label map cannot be read: it is no UTF-8 text") from exc
    except FileNotFoundError as exc:
        raise UsageError(f"{path}: {say_missing_path(path)}") from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise UsageError(f"{path}: the label map cannot be read: {reason}") from exc
    try:
        return read_label_map(text.encode(), path)
    except ParseError as exc:
        raise UsageError(str(exc)) from exc


def _say_looks(
    comparison: Comparison, baseline: Referred, candidate: Referred, open_store: Callable[[], Store]
) -> Comparison:
    """The comparison with a warning where several versions were checked on these images before."""
    if not baseline.run or not candidate.run or comparison.test_sets.verdict == Verdict.DISJOINT:
        return comparison
    name = name_look(baseline.run_id, test_set_digest(candidate.evaluation))
    count = len(list_looks(open_store(), name, candidate.run.experiment_id))
    if count < SEVERAL_LOOKS:
        return comparison
    warning = (
        f"{count:,} logged versions were checked on this test set against this baseline: were none "
        'of them better, at least one would pass as "better" with a chance of about '
        f"{fmt(100 * compute_chance(count, DEFAULT_CONFIDENCE), 1)} %"
    )
    return replace(comparison, warnings=(*comparison.warnings, warning))


def _choose_images(referred: Referred, images: str, aws: AwsOptions) -> ReadImages | None:
    """How the images of a version are read, if at all."""
    if images == NO_IMAGES:
        return None
    if images == AUTO_IMAGES:
        return referred.read_images
    return partial(read_images_below, open_storage(images, AwsClients(aws)), images)


def _choose_kept(referred: Referred, images: str, open_store: Callable[[], Store]) -> ListKept:
    """How the pictures are listed that the report of a version's run holds, if they are wanted."""
    if not referred.run_id or images != AUTO_IMAGES:
        return dict
    return cache(partial(_read_kept, referred.run_id, open_store))


def _read_kept(run_id: str, open_store: Callable[[], Store]) -> Mapping[str, bytes]:
    """The pictures that the report of a run holds; none where it cannot be read."""
    try:
        return parse_pictures(open_store().read_small_artifact(run_id, REPORT, MAX_BYTES))
    except TrackingError:
        return {}


def _build_several(several: Several | None) -> dict[str, Json] | None:
    if several is None:
        return None
    return {
        "images": several.images,
        "cochran_q": number_or_null(several.q),
        "df": several.df,
        "p": number_or_null(several.p),
        "reason": several.reason or None,
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "only_first": pair.only_first,
                "only_second": pair.only_second,
                "difference": pair.difference,
                "p": number_or_null(pair.p),
                "p_adjusted": number_or_null(pair.p_adjusted),
            }
            for pair in several.pairs
        ],
    }


def _safe_name(name: str) -> str:
    """A version's name as one part of a path."""
    return _UNSAFE.sub("_", name).strip(".")[:100] or "baseline"
