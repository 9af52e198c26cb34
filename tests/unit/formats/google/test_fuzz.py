"""Whatever the files hold, they are read or refused with an error of our own."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlrek.errors import MlrekError
from mlrek.formats.google.collection import collect_google
from mlrek.formats.google.documents import GoogleRole
from mlrek.formats.google.evaluation import parse_google
from mlrek.formats.google.predictions import parse_predictions, parse_truth

NAMES = re.findall(
    r"\w+",
    """
name createTime displayName annotationSpecId metrics confidenceMetrics confidenceThreshold
precision recall f1Score truePositiveCount falsePositiveCount auPrc logLoss confusionMatrix
annotationSpecs rows row exampleCount boundingBoxMetrics iouThreshold maxPredictions slice
dimension value modelEvaluations model_evaluations evaluatedBoundingBoxCount versionId
classificationEvaluationMetrics confidenceMetricsEntry datasetId versionAliases model
modelParameters nextPageToken metricsSchemaUri evaluatedExampleCount id display_name instance
content prediction displayNames confidences bboxes ids ID annotations error imageGcsUri
classificationAnnotation classificationAnnotations boundingBoxAnnotations xMin xMax yMin yMax
classification score image_object_detection bounding_box normalized_vertices x y
""",
)
TEXTS = [
    "projects/1/locations/l/models/2",
    "projects/1/locations/l/models/2@3/evaluations/4",
    "projects/1/locations/l/models/2@3/evaluations/4/slices/5",
    "projects/1/locations/l/models/ICN2/modelEvaluations/4",
    "projects/1/locations/l/datasets/6",
    "projects/p/locations/l/batchPredictionJobs/7",
    "annotationSpec",
    "2020-01-01T00:00:00Z",
    "gs://b/1.jpg",
    "cat",
    "",
    "NaN",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 0.5, 1, *TEXTS])
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
named = st.builds(lambda own, name: {"name": name, **own}, objects, st.sampled_from(TEXTS[:6]))
documents = st.binary(max_size=60) | (
    values | named | st.lists(named, max_size=3).map(lambda all_: {"modelEvaluations": all_})
).map(lambda value: json.dumps(value).encode())
lines = st.lists(objects, max_size=4).map(
    lambda all_: b"\n".join(json.dumps(one).encode() for one in all_)
)
rows = st.lists(st.sampled_from(["TEST", "gs://b/1", "cat", "0.1", "", '"', "\n", ",,"])).map(
    lambda cells: ",".join(cells).encode()
)
texts = st.binary(max_size=80) | lines | rows
anyhow = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=200, deadline=None)


@anyhow
@given(st.lists(documents, max_size=3), texts, texts)
def test_any_files(found, predictions, truth):
    """A tree of any files gives versions, each of which is read or refused by our own errors."""
    names = {f"d/{i}.json": text for i, text in enumerate(found)}
    data = {"d/p": GoogleRole.PREDICTIONS, "d/t": GoogleRole.TRUTH}
    collection = collect_google(names, data)
    for version in collection.versions:
        try:
            evaluation = parse_google(version, {"d/p": [predictions], "d/t": [truth]}.__getitem__)
        except MlrekError:
            continue
        assert evaluation.version == version.version


@anyhow
@given(texts, st.booleans(), st.booleans())
def test_any_ground_truth(text, has_boxes, skip_bad_lines):
    """Any text is read as ground truth or refused by our own error."""
    inputs = [("t", [text])]
    try:
        columns = parse_truth(inputs, has_boxes=has_boxes, skip_bad_lines=skip_bad_lines)
    except MlrekError:
        return
    assert sum(columns.counts) == len(columns.label)
    assert len(columns.boxes) == (4 * len(columns.label) if has_boxes else 0)


@anyhow
@given(texts, st.booleans())
def test_any_predictions(text, skip_bad_lines):
    """Any text is read as batch predictions or refused by our own error."""
    inputs = [("p", [text])]
    try:
        columns = parse_predictions(inputs, label_names={}, skip_bad_lines=skip_bad_lines)
    except MlrekError:
        return
    assert sum(columns.counts) == len(columns.label) == len(columns.confidence)
    assert len(columns.boxes) == (4 * len(columns.label) if columns.has_boxes else 0)


@pytest.mark.parametrize("opening", [b"[", b'{"modelEvaluations":', b'{"model_evaluations":['])
def test_deep_nesting(opening):
    """JSON that is nested without end is refused, not followed."""
    text = opening * 100_000
    collection = collect_google({"x.json": text}, {})
    assert len(collection.versions) + len(collection.warnings) == 1


def test_document_that_looks_like_data():
    """A document is no file of images, whatever is in it next to a model."""
    text = b'{"name": "projects/1/locations/l/models/2", "imageGcsUri": null}'
    (found,) = collect_google({"x.json": text}, {}).versions
    assert list(found.parts.values()) == [GoogleRole.EVALUATIONS]
