"""Results -> one self-contained HTML page: what people look at of one version. Pure, no files."""

from collections.abc import Sequence
from typing import Final

from mlrek.evaluation import Evaluation
from mlrek.figures.pictures import ReadImages
from mlrek.metrics import Metrics
from mlrek.metrics.outcomes import list_outcomes
from mlrek.report.document import Contents, describe_page
from mlrek.report.facts import describe_facts
from mlrek.report.page import MAX_BYTES, render_page
from mlrek.report.sample import Budget, choose_images, find_suspects, order_for_thumbnails
from mlrek.report.thumbnails import Thumbnails, read_thumbnails

__all__ = ["MAX_BYTES", "describe_report"]

_SHRINKS: Final = (1.0, 0.4, 0.1, 0.0)


def describe_report(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    remarks: Sequence[str] = (),
    test_set_digest: str = "",
    logged_at: str = "",
    read_images: ReadImages | None = None,
) -> bytes:
    """The page, at most `MAX_BYTES` whatever the size of the evaluation.

    Args:
        evaluation: What was read.
        metrics: What was computed of it.
        remarks: What a reader must know besides the doubts, in plain words.
        test_set_digest: Identity of the test set, as in the run's tag.
        logged_at: When, in ISO 8601.
        read_images: Reads the images that are shown small; without it names stand for them.
    """
    facts = describe_facts(
        evaluation, metrics, remarks=remarks, digest=test_set_digest, logged_at=logged_at
    )
    thumbnails = None
    for shrink in _SHRINKS:
        contents = _choose_contents(evaluation, metrics, Budget().scale(shrink))
        if thumbnails is None:
            thumbnails = _read_thumbnails(evaluation, contents, read_images)
        data = describe_page(evaluation, metrics, contents, thumbnails.scale(shrink))
        page = render_page("report.html", data, scripts=("parts.js", "report.js"), **facts)
        if len(page) <= MAX_BYTES:
            break
    return page


def _choose_contents(evaluation: Evaluation, metrics: Metrics, budget: Budget) -> Contents:
    """The images that the page knows of, and what is to be found on all of them."""
    if metrics.predictions is None:
        return Contents()
    images = choose_images(evaluation, metrics.predictions, budget)
    return Contents(
        images=images,
        outcomes=list_outcomes(evaluation, metrics.predictions),
        suspects=find_suspects(metrics.predictions, metrics.task, images),
        max_pairs=budget.pairs,
    )


def _read_thumbnails(
    evaluation: Evaluation, contents: Contents, read_images: ReadImages | None
) -> Thumbnails:
    if read_images is None or contents.outcomes is None:
        return Thumbnails()
    order = order_for_thumbnails(contents.images, contents.outcomes, contents.suspects)
    return read_thumbnails(evaluation, order, read_images)
