"""Rebuild this folder, byte for byte: `python examples/vertex/make.py [FOLDER]`.

Computes from batch predictions (`v1/` and `v2/predictions_00001.jsonl`) and the exported test set
(`export-data/`) what the API of Vertex AI answers about two versions of a model. README.md says
what is real and what is made. Nothing here needs mlrek.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "making"))

from automl import LABEL_IDS, VERTEX, Scores, describe_all, describe_label, gather
from files import Json, to_json, write_files

HERE = Path(__file__).parent
TRUTH = "export-data/data-00001-of-00001.jsonl"
LOCATION = "projects/493052112345/locations/us-central1"
MODEL = f"{LOCATION}/models/8321740392847360000"
MODEL_CREATED = "2025-03-11T08:00:01.000000Z"
SCHEMA = "gs://google-cloud-aiplatform/schema"
FIRST_SLICE, NEXT_SLICE = 4660000000000000000, 7


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the model, what trained it, its evaluation, and the job that predicted."""

    number: int
    aliases: tuple[str, ...]
    description: str
    created: str
    pipeline: str
    evaluation: str
    evaluated: str
    job: str
    predicted: tuple[str, str]

    @property
    def predictions(self) -> str:
        """The file with what it predicted."""
        return f"v{self.number}/predictions_00001.jsonl"


VERSIONS = (
    Version(
        number=1,
        aliases=("first-run",),
        description="baseline",
        created="2025-03-11T10:01:00.000000Z",
        pipeline="7714200398127398912",
        # Names of evaluations come with and without the version: the API allows both.
        evaluation=f"{MODEL}/evaluations/5091827364509125631",
        evaluated="2025-03-11T10:02:54.559702Z",
        job="3300000000000000001",
        predicted=("2025-06-21T09:00:00.000000Z", "2025-06-21T09:25:00.000000Z"),
    ),
    Version(
        number=2,
        aliases=("default",),
        description="more roses",
        created="2025-06-20T07:40:00.000000Z",
        pipeline="7714200398127466031",
        evaluation=f"{MODEL}@2/evaluations/5091827364509125632",
        evaluated="2025-06-20T07:41:09.120045Z",
        job="3300000000000000002",
        predicted=("2025-06-22T09:00:00.000000Z", "2025-06-22T09:25:00.000000Z"),
    ),
)


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else HERE
    write_files(folder, build_files(), owned=("*.json", "v*/*.json"))


def build_files() -> Mapping[str, bytes]:
    """Every file by its path in the folder; predictions and true labels come back unchanged."""
    given = (TRUTH, *(version.predictions for version in VERSIONS))
    files = {name: (HERE / name).read_bytes() for name in given}
    for version in VERSIONS:
        scores = read_scores(version)
        evaluations = {"modelEvaluations": [describe_evaluation(version, scores)]}
        slices = {"modelEvaluationSlices": list_slices(version, scores)}
        folder = f"v{version.number}"
        files[f"{folder}/list_model_evaluations.json"] = to_json(evaluations)
        files[f"{folder}/list_model_evaluation_slices.json"] = to_json(slices)
    test_images = len(scores.y_true)
    versions = [describe_version(version, test_images) for version in VERSIONS]
    jobs = [describe_job(version, test_images) for version in VERSIONS]
    files["list_model_versions.json"] = to_json({"models": versions})
    files["list_batch_prediction_jobs.json"] = to_json({"batchPredictionJobs": jobs})
    return files


def read_scores(version: Version) -> Scores:
    """The scores of a version in the order of the true labels."""
    items = _read_lines(TRUTH)
    truth = {item["imageGcsUri"]: item["classificationAnnotation"]["displayName"] for item in items}
    scores = {}
    for line in _read_lines(version.predictions):
        said = line["prediction"]
        scores[line["instance"]["content"]] = dict(
            zip(said["displayNames"], said["confidences"], strict=True)
        )
    return gather(truth, scores)


def describe_evaluation(version: Version, scores: Scores) -> Json:
    """The evaluation over all labels."""
    labels = [{"id": label_id, "displayName": label} for label, label_id in LABEL_IDS.items()]
    matrix = {"annotationSpecs": labels, "rows": scores.count_confusion()}
    return {
        "name": version.evaluation,
        "metricsSchemaUri": f"{SCHEMA}/modelevaluation/classification_metrics_1.0.0.yaml",
        "metrics": describe_all(scores, VERTEX) | {"confusionMatrix": matrix},
        "createTime": version.evaluated,
        "sliceDimensions": ["annotationSpec"],
    }


def list_slices(version: Version, scores: Scores) -> list[Json]:
    """The evaluation of each label."""
    return [
        {
            "name": f"{version.evaluation}/slices/{FIRST_SLICE + number * NEXT_SLICE}",
            "slice": {"dimension": "annotationSpec", "value": label},
            "metricsSchemaUri": f"{SCHEMA}/modelevaluation/classification_metrics_1.0.0.yaml",
            "metrics": describe_label(scores, label, VERTEX),
            "createTime": version.evaluated,
        }
        for number, label in enumerate(LABEL_IDS)
    ]


def describe_version(version: Version, test_images: int) -> Json:
    """The version, as `:listVersions` shows it."""
    predict = f"{SCHEMA}/predict"
    return {
        "name": f"{MODEL}@{version.number}",
        "displayName": "flowers",
        "predictSchemata": {
            "instanceSchemaUri": f"{predict}/instance/image_classification_1.0.0.yaml",
            "parametersSchemaUri": f"{predict}/params/image_classification_1.0.0.yaml",
            "predictionSchemaUri": f"{predict}/prediction/classification_1.0.0.yaml",
        },
        "metadataSchemaUri": f"{SCHEMA}/model/metadata/automl_image_classification_1.0.0.yaml",
        "trainingPipeline": f"{LOCATION}/trainingPipelines/{version.pipeline}",
        "createTime": MODEL_CREATED,
        "updateTime": version.created,
        "dataStats": {
            "trainingDataItemsCount": "2936",
            "validationDataItemsCount": "363",
            "testDataItemsCount": str(test_images),
            "testAnnotationsCount": str(test_images),
        },
        "modelSourceInfo": {"sourceType": "AUTOML"},
        "versionId": str(version.number),
        "versionAliases": version.aliases,
        "versionCreateTime": version.created,
        "versionUpdateTime": version.created,
        "versionDescription": version.description,
    }


def describe_job(version: Version, test_images: int) -> Json:
    """The batch prediction whose output lies beside the evaluation."""
    created, ended = version.predicted
    return {
        "name": f"{LOCATION}/batchPredictionJobs/{version.job}",
        "displayName": f"eval-v{version.number}",
        "model": MODEL,
        "modelVersionId": str(version.number),
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": ["gs://example-bucket/batch/test.jsonl"]},
        },
        "modelParameters": {"confidenceThreshold": 0, "maxPredictions": 100},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://example-bucket/out"},
        },
        "outputInfo": {
            "gcsOutputDirectory": f"gs://example-bucket/out/prediction-flowers-{created}"
        },
        "state": "JOB_STATE_SUCCEEDED",
        "completionStats": {"successfulCount": str(test_images)},
        "createTime": created,
        "endTime": ended,
    }


def _read_lines(name: str) -> list[Json]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


if __name__ == "__main__":
    main(sys.argv[1:])
