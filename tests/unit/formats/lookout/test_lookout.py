"""Whole evaluations: real results with images that give their numbers, and any bytes at all."""

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlrek.errors import MlrekError, SourceError
from mlrek.formats.lookout import (
    Document,
    LookoutInput,
    find_lookout_version,
    parse_description,
    parse_lookout_evaluation,
    parse_lookout_name,
)
from mlrek.formats.sniff import sniff
from mlrek.formats.stored import dump_evaluation, load_stored
from mlrek.metrics.compute import compute_metrics

# Test images of three real models from the surest anomaly to the surest normal one, `a` and `n`
# being the truth, `|` where the service's decision changes. All five reported numbers follow.
RANKINGS = {
    "cloud_detection_0": "aaaaaaaaaaaaaaaa|nnannnnnnnnnnnnnnn",
    "cloud_detection_1": "aaaaaaaanaaaaaanaaa|nnnnnnnnnnnnnnn",
    "cloud_detection_2": "aaaaaaaaaaaaaana|nnnnnnnnnnnnnann",
}
REPORTED = {
    "roc_auc": "ROCAUC",
    "average_precision": "AveragePrecision",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1Score",
}


def _rank_images(make_image, ranking):
    """The manifest of a ranking, its lines in no order of confidence."""
    anomalies, normals = ranking.split("|")
    lines = []
    for predicted, images in (("anomaly", anomalies), ("normal", normals[::-1])):
        for i, true in enumerate(images):
            confidence = 0.99 - 0.48 * i / len(images)
            truth = {"a": "anomaly", "n": "normal"}[true]
            image = f"s3://b/{predicted}{i}.jpg"
            lines.append(make_image(truth, predicted, confidence, image=image))
    return lines


@pytest.mark.parametrize("project", RANKINGS)
def test_real_numbers_follow_from_images(read_lookout, make_image, real_rows, project):
    """What the service reported of real models is what we compute of images in such an order."""
    (row,) = [row for row in real_rows if row["project"] == project]
    metrics = {key: row[key] for key in REPORTED.values()}
    details = {"NumberOfTestingImages": row["NumberOfTestingImages"]}
    evaluation = read_lookout(
        _rank_images(make_image, RANKINGS[project]),
        result={
            "EvaluationDetails": details,
            "AggregatedEvaluationResults": {"Metrics": metrics},
        },
    )
    computed = compute_metrics(evaluation, intervals=False)
    found = {name: round(computed.aggregate[name].value, 6) for name in REPORTED}
    assert found == {name: row[key] for name, key in REPORTED.items()}
    agrees = {each.name: each.agrees for each in computed.reconciliation}
    assert agrees == dict.fromkeys((*REPORTED, "test_images"), True)
    assert evaluation.warnings == ()


def test_evaluation_is_stored_whole(read_lookout, make_image):
    """With its positive class, so that stored runs give the same numbers."""
    evaluation = read_lookout([make_image("anomaly", "normal", 0.7), make_image("normal")])
    again = load_stored(dump_evaluation(evaluation))
    assert again.pos_label == "anomaly"
    assert again.warnings == evaluation.warnings
    ours, theirs = (compute_metrics(e, intervals=False).aggregate for e in (again, evaluation))
    assert repr(ours) == repr(theirs)  # NaN is no NaN's equal


def test_warnings_of_the_caller_come_first(read_lookout, make_image):
    """What was noticed before, then what is noticed here."""
    evaluation = read_lookout([make_image("other")], warnings=("one",))
    assert evaluation.warnings[0] == "one"
    assert len(evaluation.warnings) == 2


_KEYS = st.sampled_from(
    [
        *("source-ref", "x", "x-metadata", "x-detected", "x-detected-metadata", "m-ref"),
        *("m-ref-metadata", "m-ref-detected", "m-ref-detected-metadata", "class-name", "name"),
        *("confidence", "internal-color-map", "hex-color", "human-annotated", "model-arn", "0"),
        *("ModelDescription", "ModelArn", "EvaluationDetails", "AggregatedEvaluationResults"),
        *("Metrics", "ROCAUC", "PixelAnomalyClassMetrics", "ClassName", "NumberOfTestingImages"),
        *("CreationTimestamp", "EvaluationManifest", "Bucket", "Key", "Performance", "Recall"),
    ]
)
_SCALARS = st.sampled_from(
    [
        *("normal", "anomaly", "BACKGROUND", "#ff0000", "no", "", "\0", "s3://b/1", "NaN"),
        *("arn:aws:lookoutvision:eu-west-1:1:model/p/1", None, True, 0, 1, 0.5, -1, 1e300, 2**70),
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=8),
    max_leaves=30,
)
_GOOD_LINE = {
    "source-ref": "s3://b/1.jpg",
    "x": 0,
    "x-metadata": {"class-name": "normal"},
    "x-detected": 1,
    "x-detected-metadata": {"class-name": "anomaly", "confidence": 0.75},
    "m-ref-detected": "s3://b/1.png",
    "m-ref-detected-metadata": {
        "internal-color-map": {"0": {"name": "crack", "hex-color": "#ff0000"}}
    },
}
_LINES = st.one_of(
    st.binary(max_size=30),
    st.dictionaries(_KEYS, _VALUES, max_size=10).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(_KEYS, _VALUES, max_size=2).map(
        lambda changes: json.dumps(_GOOD_LINE | changes).encode()
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(
    lines=st.lists(_LINES, max_size=4),
    result=st.none() | _LINES,
    mask=st.binary(max_size=40) | st.just(SourceError("m", "is gone")),
    skip_bad_lines=st.booleans(),
)
def test_any_bytes_parse_or_are_refused(model, lines, result, mask, skip_bad_lines):
    """Nothing but our own errors, whatever the files hold; and what parses can be computed."""
    chunks = [line + b"\n" for line in lines]
    manifest = LookoutInput(
        uri="m.json", chunks=chunks, read_masks=lambda uris: [mask for _ in uris]
    )
    told = result and Document(uri="r.json", data=result)
    for one in (manifest, None):
        with suppress(MlrekError):
            evaluation = parse_lookout_evaluation(
                model, manifest=one, result=told or None, skip_bad_lines=skip_bad_lines
            )
            if evaluation.masks is None:
                compute_metrics(evaluation)


@settings(deadline=None, max_examples=200)
@given(data=_LINES, name=st.text(max_size=30))
def test_any_file_can_be_looked_at(data, name):
    """Heads, names and descriptions of any content."""
    sniff(data, name)
    find_lookout_version(data)
    parse_lookout_name(name)
    with suppress(MlrekError):
        parse_description("d.json", data)
