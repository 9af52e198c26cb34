"""Results -> matplotlib figures: no pyplot, no files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlrek.evaluation import Evaluation, Task
from mlrek.figures.pictures import GridFiles, Pixels, ReadImages
from mlrek.metrics import Metrics, Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlrek.comparison import Comparison
    from mlrek.figures.style import Canvas, NewCanvas
    from mlrek.metrics.thresholds import ThresholdMatrices


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which labels a confusion matrix is drawn with, when it has too many.

    `drawn_labels` are those that were chosen for all versions of the project, in their order;
    without them the `top_labels` most confused ones, if that is not 0.
    """

    drawn_labels: Sequence[str] = ()
    top_labels: int = 0


def draw_pictures(
    metrics: Metrics, *, version: str, choice: Choice = Choice()
) -> dict[str, Pixels]:
    """Every picture of a run by its artifact path; one without a meaning is left out.

    Versions with the same labels get pictures of the same size with labels in the same places.
    `encode_png` of `mlrek.figures.style` makes files of them.
    """
    from mlrek.figures.style import new_sheet, render_rgb

    drawn = ((path, draw(metrics, version, choice, new_sheet)) for path, draw in _FIGURES.items())
    return {path: render_rgb(figure) for path, figure in drawn if figure is not None}


def draw_figure(
    path: str, metrics: Metrics, *, version: str, choice: Choice = Choice()
) -> "Figure | None":
    """The picture of a run with that artifact path; None where it has no meaning."""
    from matplotlib.figure import Figure

    from mlrek.figures.style import new_figure

    figure = _FIGURES[path](metrics, version, choice, new_figure)
    return figure if isinstance(figure, Figure) else None


def draw_threshold_pictures(
    metrics: Metrics, thresholds: "ThresholdMatrices", *, version: str, choice: Choice = Choice()
) -> dict[int, GridFiles]:
    """The confusion matrix at each threshold in percent, small: labels in the same places."""
    if metrics.confusion is None or not metrics.confusion.counts.any():
        return {}
    from mlrek.figures.threshold_grid import draw_threshold_grid

    return draw_threshold_grid(
        thresholds.matrices,
        metrics.confusion,
        labels=len(metrics.labels),
        title=(version, thresholds.rule),
        top_labels=choice.top_labels,
        drawn_labels=choice.drawn_labels,
    )


def draw_box_pictures(
    evaluation: Evaluation, predictions: Predictions, read_images: ReadImages
) -> dict[str, Pixels]:
    """Boxes over the images with the most mistakes; nothing where no image can be read."""
    from mlrek.figures.examples import draw_boxes
    from mlrek.figures.style import render_rgb

    figure = draw_boxes(evaluation, predictions, read_images)
    return {} if figure is None else {"boxes.png": render_rgb(figure)}


def draw_mask_pictures(
    evaluation: Evaluation, read_images: ReadImages | None = None
) -> dict[str, Pixels]:
    """Masks over the images where they agree least, or over grey where these cannot be read."""
    from mlrek.figures.examples import draw_masks
    from mlrek.figures.style import render_rgb

    figure = draw_masks(evaluation, read_images)
    return {} if figure is None else {"masks.png": render_rgb(figure)}


def draw_difference(comparison: "Comparison", drawn_labels: Sequence[str] = ()) -> "Figure | None":
    """What changed in the confusion matrix on shared images; None where there is no matrix."""
    if comparison.confusion is None:
        return None
    from mlrek.figures.confusion import draw_confusion_difference

    return draw_confusion_difference(
        comparison.confusion,
        baseline=comparison.baseline.name,
        candidate=comparison.candidate.name,
        images=comparison.test_sets.shared,
        drawn_labels=drawn_labels,
    )


def _draw_iou(metrics: Metrics, version: str, _choice: Choice, new: "NewCanvas") -> "Canvas | None":
    from mlrek.figures.charts import draw_label_iou

    return draw_label_iou(metrics, version=version, new=new)


def _draw_matrix(
    metrics: Metrics, version: str, choice: Choice, new: "NewCanvas"
) -> "Canvas | None":
    if metrics.confusion is None or not metrics.confusion.counts.any():
        return None
    from mlrek.figures.confusion import draw_confusion_matrix

    counted = int(metrics.confusion.counts.sum())
    return draw_confusion_matrix(
        metrics.confusion,
        labels=len(metrics.labels),
        version=version,
        images=counted if metrics.task == Task.CLASSIFICATION else metrics.test_images or 0,
        top_labels=choice.top_labels,
        drawn_labels=choice.drawn_labels,
        new=new,
    )


def _draw_curves(
    metrics: Metrics, version: str, _choice: Choice, new: "NewCanvas"
) -> "Canvas | None":
    if metrics.curves is None or not metrics.labels:
        return None
    from mlrek.figures.charts import draw_threshold_curves

    return draw_threshold_curves(
        metrics.curves, version=version, images=metrics.test_images or 0, new=new
    )


def _draw_recall(
    metrics: Metrics, version: str, _choice: Choice, new: "NewCanvas"
) -> "Canvas | None":
    if not metrics.precision_recall:
        return None
    from mlrek.figures.charts import draw_precision_recall

    return draw_precision_recall(
        metrics.precision_recall,
        labels=len(metrics.labels),
        version=version,
        images=metrics.test_images or 0,
        stops_at=metrics.curves.stops_at if metrics.curves else "",
        new=new,
    )


_FIGURES: Final[Mapping[str, Callable[[Metrics, str, Choice, "NewCanvas"], "Canvas | None"]]] = {
    "label_iou.png": _draw_iou,
    "confusion_matrix.png": _draw_matrix,
    "threshold_curves.png": _draw_curves,
    "precision_recall.png": _draw_recall,
}
"""What draws each picture; matplotlib takes half a second to import."""
