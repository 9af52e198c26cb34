"""One published evaluation: the bytes of its parts -> metrics, overall and by label."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlrek.errors import ParseError
from mlrek.evaluation import Task
from mlrek.formats.google_metrics import PublishedMatrix, PublishedMetrics, parse_metrics
from mlrek.formats.json_text import show

_READ_SCHEMAS = ("classification_metrics", "object_detection_metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPart:
    """The overall part of an evaluation, or the part of one label (`label`, `label_id`)."""

    file: str
    id: str
    metrics: bytes
    is_legacy: bool
    schema: str = ""
    label: str = ""
    label_id: str = ""
    created_ms: int | None = None
    test_images: int | None = None

    def parse(self) -> PublishedMetrics:
        """Its metrics.

        Raises:
            ParseError: They are not what the format says, or metrics of another kind of model.
        """
        schema = self.schema.rpartition("/")[2]
        if schema and not any(known in schema for known in _READ_SCHEMAS):
            reason = f"evaluation {show(self.id)} holds {show(schema)}, not those of an image model"
            raise ParseError(self.file, 0, reason)
        try:
            return parse_metrics(self.metrics, is_legacy=self.is_legacy)
        except ValueError as exc:
            raise ParseError(self.file, 0, f"evaluation {show(self.id)}: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEvaluation:
    """One evaluation of one version, as it was published; `overall` may be missing.

    `task`, `train_images` and `test_images` are what other resources say (the data set, the
    training, the model).
    """

    id: str
    overall: PublishedPart | None
    labels: tuple[PublishedPart, ...] = ()
    task: Task | None = None
    train_images: int | None = None
    test_images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEvaluation:
    """All metrics of an evaluation.

    `test_images` are those of labels, where told; `names` the labels by Google's ids; `matrix` the
    cells (true, predicted, count).
    """

    overall: PublishedMetrics
    by_label: Mapping[str, PublishedMetrics]
    test_images: Mapping[str, int]
    names: Mapping[str, str]
    labels: tuple[str, ...]
    matrix: tuple[tuple[str, str, float], ...]


def parse_published(evaluation: PublishedEvaluation) -> ParsedEvaluation:
    """All metrics of an evaluation.

    Labels stand in the order of the evaluation's own list of them, then of its confusion matrix,
    then of their parts.

    Raises:
        ParseError: A part is not what the format says.
    """
    overall = evaluation.overall.parse() if evaluation.overall else None
    names = _read_names(overall.matrix if overall else None, evaluation.labels)
    by_label: dict[str, PublishedMetrics] = {}
    test_images: dict[str, int] = {}
    for part in evaluation.labels:
        label = part.label or names.get(part.label_id, part.label_id)
        by_label[label] = part.parse()
        if part.test_images is not None:
            test_images[label] = part.test_images
    if overall is None:
        is_detection = any(metrics.is_detection for metrics in by_label.values())
        overall = PublishedMetrics(is_detection=is_detection, scores={})
    listed = [names[label_id] for label_id in overall.label_ids if label_id in names]
    matrix = _name_matrix(overall.matrix, names)
    labels = tuple(dict.fromkeys((*listed, *(true for true, _, _ in matrix), *by_label)))
    if any(not label or "\0" in label for label in labels):
        file = (evaluation.overall or evaluation.labels[0]).file
        raise ParseError(file, 0, f"evaluation {show(evaluation.id)} has a label without a name")
    return ParsedEvaluation(
        overall=overall,
        by_label=by_label,
        test_images=test_images,
        names=names,
        labels=labels,
        matrix=matrix,
    )


def _read_names(
    matrix: PublishedMatrix | None, labels: Iterable[PublishedPart]
) -> Mapping[str, str]:
    """The labels' names by their ids."""
    names = {part.label_id: part.label for part in labels}
    if matrix:
        names = dict(zip(matrix.ids, matrix.names, strict=True)) | names
    return {label_id: name for label_id, name in names.items() if label_id and name}


def _name_matrix(
    matrix: PublishedMatrix | None, names: Mapping[str, str]
) -> tuple[tuple[str, str, float], ...]:
    """The cells; what two labels of one name were counted with is added up."""
    if matrix is None:
        return ()
    labels = [
        name or names.get(label_id, label_id)
        for label_id, name in zip(matrix.ids, matrix.names, strict=True)
    ]
    cells: dict[tuple[str, str], float] = {}
    for true, row in zip(labels, matrix.rows, strict=True):
        for predicted, count in zip(labels, row, strict=True):
            cells[true, predicted] = cells.get((true, predicted), 0.0) + count
    return tuple((true, predicted, count) for (true, predicted), count in cells.items())
