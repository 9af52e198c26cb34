"""What a file of Google's is, by its first bytes alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.formats.google.documents import GoogleRole, sniff_google

P = "projects/1/locations/us-central1"
MODEL = {"name": f"{P}/models/2", "displayName": "x"}
EVALUATION = {"name": f"{P}/models/2/evaluations/3", "metrics": {}}
SLICE = {"name": f"{P}/models/2/evaluations/3/slices/4", "slice": {}}

DOCUMENTS = [
    ({"model": [{"name": f"{P}/models/ICN1"}]}, GoogleRole.MODELS),
    ({"models": [MODEL], "nextPageToken": "x"}, GoogleRole.MODELS),
    (MODEL, GoogleRole.MODELS),
    ({"name": f"{P}/models/2@3", "versionId": "3"}, GoogleRole.MODELS),
    ([MODEL], GoogleRole.MODELS),
    ({"modelEvaluation": [{"name": f"{P}/models/I/modelEvaluations/3"}]}, GoogleRole.EVALUATIONS),
    ({"model_evaluation": []}, GoogleRole.EVALUATIONS),
    ({"modelEvaluations": [EVALUATION]}, GoogleRole.EVALUATIONS),
    ({"model_evaluations": [EVALUATION]}, GoogleRole.EVALUATIONS),
    (EVALUATION, GoogleRole.EVALUATIONS),
    ([EVALUATION], GoogleRole.EVALUATIONS),
    ({"name": f"{P}/models/I/modelEvaluations/3"}, GoogleRole.EVALUATIONS),
    ({"createTime": "", "metrics": {"auPrc": 1, "confidenceMetrics": []}}, GoogleRole.EVALUATIONS),
    ({"classification_evaluation_metrics": {"au_prc": 1}}, GoogleRole.EVALUATIONS),
    ({"imageObjectDetectionEvaluationMetrics": {}}, GoogleRole.EVALUATIONS),
    ({"auPrc": 0.8, "confidenceMetrics": []}, GoogleRole.EVALUATIONS),
    ({"boundingBoxMetrics": []}, GoogleRole.EVALUATIONS),
    ({"modelEvaluationSlices": [SLICE]}, GoogleRole.SLICES),
    ({"model_evaluation_slices": [SLICE]}, GoogleRole.SLICES),
    (SLICE, GoogleRole.SLICES),
    ({"batchPredictionJobs": []}, GoogleRole.JOBS),
    ({"name": f"{P}/batchPredictionJobs/7", "model": f"{P}/models/2"}, GoogleRole.JOBS),
    ({"datasets": [{"name": f"{P}/datasets/5"}]}, GoogleRole.DATASETS),
    ({"name": f"{P}/datasets/5", "exampleCount": 3}, GoogleRole.DATASETS),
    ({"name": f"{P}/trainingPipelines/6"}, GoogleRole.PIPELINES),
    ({"training_pipelines": []}, GoogleRole.PIPELINES),
]

LINES = [
    ({"instance": {"content": "gs://b/1"}, "prediction": {}}, GoogleRole.PREDICTIONS),
    ({"instance": {"content": "gs://b/1"}, "error": {"code": 3}}, GoogleRole.PREDICTIONS),
    ({"instance": {"content": "gs://b/1"}, "status": "x"}, GoogleRole.PREDICTIONS),
    ({"ID": "gs://b/1", "annotations": []}, GoogleRole.PREDICTIONS),
    ({"imageGcsUri": "gs://b/1", "classificationAnnotation": {}}, GoogleRole.TRUTH),
    ({"image_gcs_uri": "gs://b/1", "bounding_box_annotations": []}, GoogleRole.TRUTH),
]

OTHERS = [
    {},
    [],
    {"source-ref": "s3://b/1.jpg", "rekognition-custom-labels-evaluation-0": 1},
    {"Version": 1, "EvaluationDetails": {"ProjectVersionArn": "arn:aws:rekognition"}},
    {"ProjectVersionDescriptions": [{"ProjectVersionArn": "arn:aws:rekognition"}]},
    {"provider": "vertex-ai", "project_arn": f"{P}/models/2", "name": "flowers"},
    {"images": [], "annotations": [], "categories": []},
    [{"id": 1, "annotations": [], "data": {}}],
    {"name": f"{P}/endpoints/9"},
    {"name": f"{P}/datasets/5/annotationSpecs/6"},
    {"error": {"code": 403, "message": "denied"}},
    {"content": "gs://b/1.jpg", "mimeType": "image/jpeg"},
    {"models": ["a", "b"]},
    {"model": "yolo", "names": ["cat"]},
    {"textGcsUri": "gs://b/1.txt"},
]


@pytest.mark.parametrize(("content", "role"), DOCUMENTS + LINES)
def test_known_by_content(content, role):
    """Each kind is known in either spelling, in a list or alone, under any name."""
    assert sniff_google(json.dumps(content).encode(), "download (3).txt") is role


@pytest.mark.parametrize("content", OTHERS)
def test_other_files_are_not_claimed(content):
    """Files of other services and tools are left to them."""
    assert sniff_google(json.dumps(content).encode(), "evaluations.json") is None


@pytest.mark.parametrize(
    "text",
    [
        "TEST,gs://b/1.jpg,roses",
        "test,gs://b/1.jpg,",
        "UNASSIGNED,gs://b/1.jpg,roses,closeup",
        "VALIDATE,gs://b/1.jpg,roses,0.1,0.1,,,0.2,0.2,,",
        ",gs://b/1.jpg,roses",
        "gs://b/1.jpg,roses",
        '"TRAIN","gs://b/1.jpg","roses"',
        "\ufeffTRAINING,gs://b/1.jpg,roses",
    ],
)
def test_ground_truth_in_csv(text):
    """Rows that name an image in a bucket, with or without its use, are ground truth."""
    assert sniff_google(text.encode(), "export") is GoogleRole.TRUTH


@pytest.mark.parametrize(
    "text", ["", "gs://b/1.jpg\ngs://b/2.jpg", "name,value\n1,2", "TEST,s3://b/1.jpg,roses", "\xff"]
)
def test_other_text(text):
    """Text without ground truth is none: also a list of images to predict."""
    assert sniff_google(text.encode("latin-1"), "export.csv") is None


@pytest.mark.parametrize("size", [80, 200, 1000, 5000])
def test_cut_head(flowers, size):
    """A head may end anywhere."""
    head = flowers["list_model_evaluations.json"][:size]
    assert sniff_google(head, "x") is GoogleRole.EVALUATIONS


def test_name_behind_the_metrics():
    """An evaluation with sorted keys is known by its metrics: its name is out of sight."""
    entries = [{"confidenceThreshold": i / 1e4, "recall": 0.5} for i in range(5000)]
    evaluation = {"createTime": "x", "metrics": {"confidenceMetrics": entries}, "name": "y"}
    head = json.dumps(evaluation).encode()[:4096]
    assert sniff_google(head, "x") is GoogleRole.EVALUATIONS


def test_spaces_and_byte_order_mark():
    """A byte-order mark and blanks before the text do not matter."""
    text = b"\xef\xbb\xbf \n" + json.dumps({"modelEvaluations": []}, indent=4).encode()
    assert sniff_google(text, "x") is GoogleRole.EVALUATIONS


def test_real_samples(data):
    """Google's own samples are what their names say."""
    roles = {
        "python-aiplatform-fixture/metrics.json": GoogleRole.EVALUATIONS,
        "vertex-docs-flowers/list_model_evaluations.json": GoogleRole.EVALUATIONS,
        "vertex-docs-salads/list_model_evaluation_slices.json": GoogleRole.SLICES,
        "vertex-ioformat/batch_prediction.jsonl": GoogleRole.PREDICTIONS,
        "vertex-ioformat/bounding_box.jsonl": GoogleRole.TRUTH,
        "vertex-ioformat/multi_label.jsonl": GoogleRole.TRUTH,
        "vertex-ioformat/single_label.jsonl": GoogleRole.TRUTH,
    }
    found = {name: sniff_google((data / name).read_bytes(), "x") for name in roles}
    assert found == roles


def test_rekognition_samples(data):
    """Nothing that Rekognition wrote is claimed."""
    files = [*(data.parent / "rekognition-guide").iterdir()]
    assert not any(sniff_google(file.read_bytes(), file.name) for file in files)


@given(st.binary(max_size=300) | st.text('{}[]",:\\aname/projects', max_size=200).map(str.encode))
def test_any_bytes(head):
    """Whatever the bytes are, there is an answer."""
    assert sniff_google(head, "x") in (None, *GoogleRole)


def test_unclosed_strings_are_read_fast():
    """A head of nothing but escaped quotes is read in one pass."""
    assert sniff_google(b'{"' + b'\\"' * 32000, "x") is None
