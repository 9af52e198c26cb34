"""The resources of Google's services as their JSON spells them, only the fields that are read.

The metrics of an evaluation stay bytes here, so that a broken evaluation spoils no other.
"""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

Number: TypeAlias = float | None
"""As REST writes it (int64 as a string), as a client library does (all floats), or "NaN"."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | None


class TrainingCost(Struct, rename="camel"):
    """Of a legacy model."""

    train_cost_milli_node_hours: Number = None


class DataStats(Struct, rename="camel"):
    """Numbers of images; those of the test refer to the first evaluation."""

    training_data_items_count: Count = None
    test_data_items_count: Count = None


class Model(Struct, rename="camel"):
    """A legacy model, a registered model, or one version of that."""

    display_name: str | None = None
    dataset_id: str | None = None
    create_time: str | None = None
    deployment_state: str | int | None = None
    image_classification_model_metadata: TrainingCost | None = None
    image_object_detection_model_metadata: TrainingCost | None = None
    version_id: str | int | None = None
    version_aliases: list[str] | None = None
    version_create_time: str | None = None
    training_pipeline: str | None = None
    data_stats: DataStats | None = None

    @property
    def train_cost(self) -> Number:
        """Of a legacy model, in thousandths of a node hour; None: not told."""
        cost = (
            self.image_classification_model_metadata or self.image_object_detection_model_metadata
        )
        return cost.train_cost_milli_node_hours if cost else None


class EvaluationResource(Struct, rename="camel"):
    """An evaluation: legacy (`annotationSpecId`: of that label) or Vertex (`metrics`)."""

    display_name: str | None = None
    annotation_spec_id: str | None = None
    create_time: str | None = None
    evaluated_example_count: Count = None
    classification_evaluation_metrics: Raw | UnsetType = UNSET
    image_object_detection_evaluation_metrics: Raw | UnsetType = UNSET
    metrics_schema_uri: str | None = None
    metrics: Raw | UnsetType = UNSET

    @property
    def legacy_metrics(self) -> bytes:
        """The metrics as the legacy service writes them; empty if it did not."""
        classification = _present(self.classification_evaluation_metrics)
        return classification or _present(self.image_object_detection_evaluation_metrics)

    @property
    def any_metrics(self) -> bytes:
        """The metrics, whichever service wrote them; empty if there are none."""
        return self.legacy_metrics or _present(self.metrics)


class SliceOf(Struct, rename="camel"):
    """What a slice is cut by."""

    dimension: str | None = None
    value: str | float | None = None


class SliceResource(Struct, rename="camel"):
    """A slice of a Vertex evaluation: mostly one label."""

    slice: SliceOf | None = None
    create_time: str | None = None
    metrics_schema_uri: str | None = None
    metrics: Raw | UnsetType = UNSET

    @property
    def any_metrics(self) -> bytes:
        """The metrics; empty if there are none."""
        return _present(self.metrics)


class JobParameters(Struct, rename="camel"):
    """What a batch prediction kept."""

    confidence_threshold: Number = None
    max_predictions: Number = None


class JobOutput(Struct, rename="camel"):
    """Where a batch prediction wrote."""

    gcs_output_directory: str | None = None


class Job(Struct, rename="camel"):
    """A batch prediction job."""

    model: str | None = None
    model_version_id: str | int | None = None
    model_parameters: JobParameters | None = None
    output_info: JobOutput | None = None


class DatasetKind(Struct, rename="camel"):
    """Whether an image has one label or several (the client libraries write the enum's number)."""

    classification_type: str | int | None = None


class Dataset(Struct, rename="camel"):
    """A data set."""

    display_name: str | None = None
    example_count: Count = None
    image_classification_dataset_metadata: DatasetKind | None = None


class TaskInputs(Struct, rename="camel"):
    """What a training was asked for."""

    multi_label: bool | None = None


class TaskMetadata(Struct, rename="camel"):
    """What a training cost."""

    cost_milli_node_hours: Number = None


class InputData(Struct, rename="camel"):
    """What a training was fed with."""

    dataset_id: str | None = None


class Pipeline(Struct, rename="camel"):
    """A training pipeline."""

    start_time: str | None = None
    end_time: str | None = None
    training_task_inputs: TaskInputs | None = None
    training_task_metadata: TaskMetadata | None = None
    input_data_config: InputData | None = None


def _present(raw: Raw | UnsetType) -> bytes:
    return b"" if raw is UNSET or bytes(raw) == b"null" else bytes(raw)
