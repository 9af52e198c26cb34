"""Runs `mlrek compare`: read the versions and compare them; nothing is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, TypeAlias

from mlrek.comparison import Comparison, Verdict
from mlrek.comparison.compare import CompareSettings, Several, Side, compare_several
from mlrek.errors import ParseError, TrackingError, UsageError
from mlrek.evaluation import Evaluation
from mlrek.metrics import PredictionRule
from mlrek.metrics.test_set import is_same_project, test_set_digest
from mlrek.promotion import Listed, Referred, list_looks, load_given, name_look
from mlrek.render import Json, number_or_null
from mlrek.render.comparison import build_candidate_json, build_version_json
from mlrek.sources import AwsOptions
from mlrek.sources.aws import AwsClients
from mlrek.sources.storage import read_small_text, say_missing_path
from mlrek.text import fmt
from mlrek.tracking import AUTO_IMAGES, NO_IMAGES, LoggedRun
from mlrek.tracking.drawn import read_drawn

if TYPE_CHECKING:
    from mlrek.figures.pictures import ReadImages
    from mlrek.tracking.store import Store

REPORT = "report.html"
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
    read_images: "tuple[ReadImages | None, ...]"
    list_kept: tuple[ListKept, ...]
    comparisons: tuple[Comparison, ...]
    several: Several | None
    runs: tuple[str, ...]
    drawn_labels: tuple[str, ...] = ()
    pages: RunPages | None = None


def compare_references(
    versions: Sequence[str | Referred],
    aws: AwsOptions,
    open_store: "Callable[[], Store]",
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
        drawn_labels=read_drawn_labels([one.run for one in referred], open_store),
    )


def read_drawn_labels(
    runs: Sequence[LoggedRun | None], open_store: "Callable[[], Store]"
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
    comparison: Comparison,
    baseline: Referred,
    candidate: Referred,
    open_store: "Callable[[], Store]",
) -> Comparison:
    """The comparison with a warning where several versions were checked on these images before."""
    if not baseline.run or not candidate.run or comparison.test_sets.verdict == Verdict.DISJOINT:
        return comparison
    name = name_look(baseline.run_id, test_set_digest(candidate.evaluation))
    count = len(list_looks(open_store(), name, candidate.run.experiment_id))
    if count < SEVERAL_LOOKS:
        return comparison
    from mlrek.policy import DEFAULT_CONFIDENCE  # files have no looks
    from mlrek.policy.reading import compute_chance

    chance = fmt(100 * compute_chance(count, DEFAULT_CONFIDENCE), 1)
    warning = (
        f"{count:,} logged versions were checked on this test set against this baseline: were none "
        'of them better, at least one would pass as "better" with a chance of about '
        f"{chance} %"
    )
    return replace(comparison, warnings=(*comparison.warnings, warning))


def _choose_images(referred: Referred, images: str, aws: AwsOptions) -> "ReadImages | None":
    """How the images of a version are read, if at all."""
    if images == NO_IMAGES:
        return None
    if images == AUTO_IMAGES:
        return referred.read_images
    from mlrek.sources.any_storage import open_storage  # for pages alone
    from mlrek.sources.images import read_images_below

    return partial(read_images_below, open_storage(images, AwsClients(aws)), images)


def _choose_kept(referred: Referred, images: str, open_store: "Callable[[], Store]") -> ListKept:
    """How the pictures are listed that the report of a version's run holds, if they are wanted."""
    if not referred.run_id or images != AUTO_IMAGES:
        return dict
    return cache(partial(_read_kept, referred.run_id, open_store))


def _read_kept(run_id: str, open_store: "Callable[[], Store]") -> Mapping[str, bytes]:
    """The pictures that the report of a run holds; none where it cannot be read."""
    from mlrek.render.kept_pictures import parse_pictures
    from mlrek.render.report import MAX_BYTES

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
