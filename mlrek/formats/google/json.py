"""What Google's services write in JSON, field by field, in one spelling; only what is read.

The REST API writes camelCase and the client libraries snake_case: whatever is read is brought to
camelCase first. Only the fields below are respelled, never the keys of a user's own.
"""

import re
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import field as key

Number: TypeAlias = float | None
"""As REST writes it (int64 as a string), as a client library does (all floats), or "NaN"."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | None


class Shape(Struct, rename="camel"):
    """A JSON object of Google's; a field that is left out or null says nothing."""


# ---- a line of batch predictions -----------------------------------------------------------


class Instance(Shape):
    """The image that Vertex AI was asked about."""

    content: str = ""


class Prediction(Shape):
    """As Vertex AI writes it. Boxes are xMin, xMax, yMin, yMax."""

    ids: list[str | int] | None = None
    display_names: list[str] | None = None
    confidences: list[float] | None = None
    bboxes: list[list[float]] | None = None


class Corner(Shape):
    """A coordinate of 0 is left out."""

    x: float = 0.0
    y: float = 0.0


class Polygon(Shape):
    """Two corners of a box, or all four."""

    normalized_vertices: list[Corner] | None = None


class Scored(Shape):
    """How sure a label is, and where its box is."""

    score: float = 0.0
    bounding_box: Polygon | None = None


class Annotation(Shape):
    """As the legacy service writes it."""

    display_name: str = ""
    annotation_spec_id: str | int = ""
    classification: Scored | None = None
    image_object_detection: Scored | None = None


class PredictionLine(Shape):
    """A line of either service; of an image that failed there is an error, or a status."""

    instance: Instance | str | None = None
    prediction: Prediction | list[Any] | str | float | None = None
    image: str = key(name="ID", default="")
    annotations: list[Annotation] | None = None
    error: Any = None
    status: Any = None


# ---- a line of ground truth ----------------------------------------------------------------


class TrueLabel(Shape):
    """A label, or a box with its label; coordinates may be strings, and one of 0 may be missing."""

    display_name: str = ""
    x_min: float | str = 0.0
    x_max: float | str = 0.0
    y_min: float | str = 0.0
    y_max: float | str = 0.0


class TruthLine(Shape):
    """The true labels of one image, as Vertex AI exports them."""

    image_gcs_uri: str = ""
    classification_annotation: TrueLabel | None = None
    classification_annotations: list[TrueLabel] | None = None
    bounding_box_annotations: list[TrueLabel] | None = None
    polygon_annotations: Raw | UnsetType = UNSET
    segmentation_annotation: Raw | UnsetType = UNSET
    data_item_resource_labels: dict[str, str] | None = None


# ---- an answer, and the resources in it ----------------------------------------------------


class AnswerPage(Shape):
    """The lists of resources that the services answer with, a page at a time."""

    model: Raw | UnsetType = UNSET
    models: Raw | UnsetType = UNSET
    model_evaluation: Raw | UnsetType = UNSET
    model_evaluations: Raw | UnsetType = UNSET
    model_evaluation_slices: Raw | UnsetType = UNSET
    batch_prediction_jobs: Raw | UnsetType = UNSET
    training_pipelines: Raw | UnsetType = UNSET
    datasets: Raw | UnsetType = UNSET
    next_page_token: str | None = None


class Peek(Shape):
    """What tells a resource's kind; the metrics are those saved without the resource around."""

    name: str = ""
    error: Raw | UnsetType = UNSET
    confidence_metrics: Raw | UnsetType = UNSET
    bounding_box_metrics: Raw | UnsetType = UNSET
    confidence_metrics_entry: Raw | UnsetType = UNSET
    bounding_box_metrics_entries: Raw | UnsetType = UNSET


class Details(Shape):
    """The objects in a resource; each has some of these fields."""

    train_cost_milli_node_hours: Number = None  # of a legacy model
    training_data_items_count: Count = None  # of a model
    test_data_items_count: Count = None  # of its first evaluation
    dimension: str | None = None  # what a slice is cut by
    value: str | float | None = None
    confidence_threshold: Number = None  # what a batch prediction kept
    max_predictions: Number = None
    gcs_output_directory: str | None = None  # where it wrote
    classification_type: str | int | None = None  # the client libraries write an enum's number
    multi_label: bool | None = None  # what a training was asked for
    cost_milli_node_hours: Number = None


class Resource(Shape):
    """A model, an evaluation, a slice of one, a data set, a batch prediction, or a training.

    The metrics of an evaluation stay bytes, so that a broken evaluation spoils no other.
    """

    display_name: str | None = None
    create_time: str | None = None
    # a model, or a version of one
    dataset_id: str | None = None
    deployment_state: str | int | None = None
    image_classification_model_metadata: Details | None = None
    image_object_detection_model_metadata: Details | None = None
    version_id: str | int | None = None
    version_aliases: list[str] | None = None
    version_create_time: str | None = None
    training_pipeline: str | None = None
    data_stats: Details | None = None
    # an evaluation: legacy (`annotationSpecId`: of that label), or of Vertex AI (`metrics`)
    annotation_spec_id: str | None = None
    evaluated_example_count: Count = None
    classification_evaluation_metrics: Raw | UnsetType = UNSET
    image_object_detection_evaluation_metrics: Raw | UnsetType = UNSET
    metrics_schema_uri: str | None = None
    metrics: Raw | UnsetType = UNSET
    slice: Details | None = None
    # a batch prediction
    model: str | None = None
    model_version_id: str | int | None = None
    model_parameters: Details | None = None
    output_info: Details | None = None
    # a data set
    example_count: Count = None
    image_classification_dataset_metadata: Details | None = None
    # a training
    start_time: str | None = None
    end_time: str | None = None
    training_task_inputs: Details | None = None
    training_task_metadata: Details | None = None

    @property
    def legacy_metrics(self) -> bytes:
        """The metrics as the legacy service writes them; empty if it did not."""
        classification = _present(self.classification_evaluation_metrics)
        return classification or _present(self.image_object_detection_evaluation_metrics)

    @property
    def any_metrics(self) -> bytes:
        """The metrics, whichever service wrote them; empty if there are none."""
        return self.legacy_metrics or _present(self.metrics)

    @property
    def train_cost(self) -> Number:
        """Of a legacy model, in thousandths of a node hour; None: not told."""
        told = (
            self.image_classification_model_metadata or self.image_object_detection_model_metadata
        )
        return told.train_cost_milli_node_hours if told else None


def _present(raw: Raw | UnsetType) -> bytes:
    return b"" if raw is UNSET or bytes(raw) == b"null" else bytes(raw)


# ---- metrics: the legacy service and Vertex AI name the same lists differently -------------


class GridEntry(Shape):
    """The numbers at one threshold."""

    confidence_threshold: Number = None
    position_threshold: Number = None
    max_predictions: Number = None
    recall: Number = None
    precision: Number = None
    f1_score: Number = None
    false_positive_rate: Number = None
    recall_at1: Number = None
    precision_at1: Number = None
    f1_score_at1: Number = None
    true_positive_count: Count = None
    false_positive_count: Count = None
    false_negative_count: Count = None
    true_negative_count: Count = None


class IouEntry(Shape):
    """The numbers at one IoU threshold of a detection."""

    iou_threshold: Number = None
    mean_average_precision: Number = None
    confidence_metrics_entries: list[GridEntry] | None = None
    confidence_metrics: list[GridEntry] | None = None


class MatrixRow(Shape):
    """The row of a true label, as the legacy service or a pipeline writes it."""

    example_count: list[Count] | None = None
    row: list[Count] | None = None


class MatrixLabel(Shape):
    """A label of a matrix, as Vertex AI writes it."""

    id: str | int = ""
    display_name: str = ""


class Matrix(Shape):
    """A confusion matrix of counts: three fields of the legacy service, two of Vertex AI."""

    annotation_spec_id: list[str | int] | None = None
    display_name: list[str] | None = None
    row: list[MatrixRow] | None = None
    annotation_specs: list[MatrixLabel] | None = None
    rows: list[list[Count] | MatrixRow] | None = None


class GoogleMetrics(Shape):
    """The metrics of an evaluation, or of one label."""

    au_prc: Number = None
    au_roc: Number = None
    log_loss: Number = None
    annotation_spec_id: list[str | int] | None = None
    confidence_metrics_entry: list[GridEntry] | None = None
    confidence_metrics: list[GridEntry] | None = None
    confusion_matrix: Matrix | None = None
    evaluated_bounding_box_count: Count = None
    bounding_box_mean_average_precision: Number = None
    bounding_box_metrics_entries: list[IouEntry] | None = None
    bounding_box_metrics: list[IouEntry] | None = None


# ---- one spelling --------------------------------------------------------------------------

_CAMEL = {
    snake: camel
    for shape in Shape.__subclasses__()
    for snake, camel in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
    if "_" in snake
}
_SNAKE_KEY = re.compile(rb'(?<!\\)"(%b)"(?=\s*:)' % "|".join(sorted(_CAMEL)).encode())
_LINE_MARKS = (b"display_name", b"annotation_spec_id", b"image_gcs_uri")


def to_camel_case(text: bytes) -> bytes:
    """The same JSON, be it cut somewhere, with its field names as the REST API spells them.

    >>> to_camel_case(b'{"display_name": "display_name", "labels": {"my_team": 1}}')
    b'{"displayName": "display_name", "labels": {"my_team": 1}}'
    """
    return _SNAKE_KEY.sub(lambda match: b'"%b"' % to_camel_key(match[1].decode()).encode(), text)


def to_camel_key(key: str) -> str:
    """The same for one key."""
    return _CAMEL.get(key, key)


def respell_lines(text: bytes) -> bytes:
    """The same for many lines with images: one of these marks is in each that needs it."""
    return to_camel_case(text) if any(mark in text for mark in _LINE_MARKS) else text
