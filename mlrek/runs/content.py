"""From an evaluation to everything its run holds: compute, draw, tabulate, describe. Pure."""

from collections.abc import Iterator, Mapping

from mlrek.evaluation import Evaluation
from mlrek.figures import (
    Choice,
    draw_box_pictures,
    draw_mask_pictures,
    draw_pictures,
    draw_threshold_pictures,
)
from mlrek.figures.pictures import Pixels, ReadImages
from mlrek.figures.style import encode_png, encode_thumbnail
from mlrek.formats.doubts import list_doubts
from mlrek.formats.memory import release_memory
from mlrek.formats.stored import dump_evaluation
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slices import SliceReport
from mlrek.metrics.test_set import count_once, test_set_digest
from mlrek.metrics.thresholds import compute_threshold_matrices
from mlrek.render.document import describe_tables
from mlrek.render.doubts import list_version_remarks, list_warnings, order_doubts
from mlrek.render.picture_table import describe_table
from mlrek.render.report import ReportPictures, read_pictures, render_report
from mlrek.runs.meanwhile import Meanwhile
from mlrek.tracking import STEPS_TAG
from mlrek.tracking.description import (
    GRID_KEY,
    GridPicture,
    Identity,
    Options,
    RunDescription,
    compute_evaluation_key,
    compute_knowledge,
    describe_dataset,
    describe_metrics,
    describe_params,
    describe_tags,
    mark_state,
)
from mlrek.tracking.view import MAIN_PICTURES, picture_key

UNNAMED_SUMMARY = "summary.json"
_UNUSED = {"seed": 0, "resamples": 1000}
"""Settings that every run has named so far; nothing is drawn any more."""
_SUMMARY_ROLES = frozenset(("summary", "evaluations"))


def describe_run(
    published: Evaluation,
    options: Options,
    *,
    state: str,
    logged_at: str,
    read_images: ReadImages | None = None,
    is_shared: bool = False,
) -> RunDescription:
    """Everything the run of one version holds, ready for the writer.

    Each image counts once; only `evaluation.parquet` keeps every line that was published.
    `read_images` lets boxes be drawn over the images and the report show small ones; without it
    there are no such pictures. `is_shared`: another process makes some of it, the very same.
    """
    evaluation = count_once(published)
    stored = Meanwhile(
        lambda: (dump_evaluation(published), test_set_digest(evaluation)), is_shared=is_shared
    )
    rule = PredictionRule(options.prediction_rule)
    metrics = compute_metrics(evaluation, prediction_rule=rule)
    slices = _compute_slices(evaluation, rule, metrics)
    release_memory()
    version, (parquet, digest) = evaluation.version, stored.result()
    tables = Meanwhile(
        lambda: _describe_data(evaluation, metrics, options, digest, slices), is_shared=is_shared
    )
    key = compute_evaluation_key(evaluation, options)
    pictures = _draw_pictures(evaluation, metrics, options, read_images)
    main = MAIN_PICTURES[metrics.task]
    files = {path: encode_png(pixels) for path, pixels in pictures.items()}
    grid = _draw_grid(evaluation, metrics, options)
    small = read_pictures(evaluation, metrics, read_images)
    table = _describe_table(evaluation, metrics, small)
    report = render_report(
        evaluation,
        metrics,
        remarks=list_version_remarks(evaluation, metrics),
        test_set_digest=digest,
        logged_at=logged_at,
        pictures=small,
        drawn_labels=options.drawn_labels,
        slices=slices,
    )
    steps = {STEPS_TAG: " ".join(str(picture.step) for picture in grid)} if grid else {}
    return RunDescription(
        run_name=version.name,
        start_ms=version.training_start_ms or version.training_end_ms,
        end_ms=version.training_end_ms,
        tags=describe_tags(
            evaluation,
            metrics,
            Identity(
                key=key,
                state=state and mark_state(state, len(evaluation.labels), options.drawn_labels),
                test_set_digest=digest,
                logged_at=logged_at,
            ),
            slices,
        )
        | steps,
        params=describe_params(evaluation, metrics),
        metrics=describe_metrics(evaluation, metrics, slices),
        grid=(*_show(main, pictures, files), *grid),
        dataset=describe_dataset(evaluation, digest, metrics.test_images),
        doubts=order_doubts(list_doubts(evaluation, metrics)),
        knows=compute_knowledge(evaluation),
        files={  # at the end: the other process makes some of them
            **files,
            "evaluation.parquet": parquet,
            **tables.result(),
            **table,
            "report.html": report,
        },
    )


def _compute_slices(
    evaluation: Evaluation, rule: PredictionRule, metrics: Metrics
) -> SliceReport | None:
    """The slices of a version; None where no file tells by what its images could be sliced."""
    if not evaluation.slice_columns:
        return None
    return compute_slices(evaluation, rule, metrics=metrics)


def _draw_pictures(
    evaluation: Evaluation, metrics: Metrics, options: Options, read_images: ReadImages | None
) -> dict[str, Pixels]:
    name = evaluation.version.name
    pictures = draw_pictures(metrics, version=name, choice=_choose_labels(options))
    if read_images is not None and evaluation.detections is not None and metrics.predictions:
        pictures |= draw_box_pictures(evaluation, metrics.predictions, read_images)
    return pictures | draw_mask_pictures(evaluation, read_images)


def _choose_labels(options: Options) -> Choice:
    return Choice(drawn_labels=options.drawn_labels, top_labels=options.top_labels)


def _show(
    main: str, pictures: Mapping[str, Pixels], files: Mapping[str, bytes]
) -> Iterator[GridPicture]:
    """The main picture as the charts page shows it, if the version has it."""
    if main in pictures:
        small = encode_thumbnail(pictures[main])
        yield GridPicture(key=picture_key(main), step=0, png=files[main], webp=small)


def _draw_grid(
    evaluation: Evaluation, metrics: Metrics, options: Options
) -> tuple[GridPicture, ...]:
    """The matrices that the slider of the charts page runs through, with the threshold as step."""
    found = compute_threshold_matrices(evaluation)
    files = draw_threshold_pictures(
        metrics, found, version=evaluation.version.name, choice=_choose_labels(options)
    )
    return tuple(
        GridPicture(key=GRID_KEY, step=percent, png=file.png, webp=file.webp)
        for percent, file in files.items()
    )


def _describe_data(
    evaluation: Evaluation,
    metrics: Metrics,
    options: Options,
    digest: str,
    slices: SliceReport | None,
) -> dict[str, bytes]:
    """Tables, and the provider's summary, by artifact path."""
    files = describe_tables(
        evaluation,
        metrics,
        test_set_digest=digest,
        settings={**options.describe(), **_UNUSED},
        warnings=list_warnings(evaluation, metrics),
        slices=slices,
    )
    if evaluation.summary:
        files[f"source/{_summary_name(evaluation)}"] = evaluation.summary
    return files


def _describe_table(
    evaluation: Evaluation, metrics: Metrics, small: ReportPictures
) -> dict[str, bytes]:
    """The predictions as MLflow's table, with the pictures that the report has."""
    if metrics.predictions is None:
        return {}
    return describe_table(evaluation, metrics.predictions, small.thumbnails.by_image)


def _summary_name(evaluation: Evaluation) -> str:
    """The summary's own file name, without what no file name may hold."""
    uri = next((file.uri for file in evaluation.files if file.role in _SUMMARY_ROLES), "")
    name = uri.replace("\\", "/").rpartition("/")[2]
    safe = "".join(c if c.isalnum() or c in "._- ()" else "_" for c in name).strip(" .")
    return safe[:200] or UNNAMED_SUMMARY
