"""Lines of Lookout for Vision's manifests, and evaluations read from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlrek.evaluation import Evaluation, Version
from mlrek.formats.lookout import (
    Document,
    LookoutInput,
    parse_lookout_evaluation,
    parse_lookout_version,
)

MODEL_ARN = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/2"
DATA = Path(__file__).parents[3] / "data"


@pytest.fixture(scope="session")
def cookies() -> Path:
    """Real masks, and the lines of the manifest they were labelled by."""
    return DATA / "l4v-cookie"


@pytest.fixture(scope="session")
def real_rows() -> list[dict]:
    """The numbers of three real results, one a model."""
    return json.loads((DATA / "l4v-kfold" / "recorded_outputs.json").read_text())["rows"]


@pytest.fixture(scope="session")
def model() -> Version:
    """Version 2 of the project cookies."""
    version = parse_lookout_version(MODEL_ARN)
    assert version is not None
    return version


def _make_label(class_name, human="yes", **more):
    return {
        "class-name": class_name,
        "human-annotated": human,
        "job-name": "anomaly-label",
        "type": "groundtruth/image-classification",
        "creation-date": "2022-08-22T20:52:51.851Z",
        **more,
    }


@pytest.fixture(scope="session")
def make_image():
    """A function that makes a manifest line; None leaves out the truth or the prediction."""

    def make(
        true="anomaly",
        predicted="anomaly",
        confidence=0.9,
        *,
        image="s3://b/1.jpg",
        name="x",
        **extra,
    ):
        line = {"source-ref": image, "source-ref-metadata": {"width": 1}}
        if true is not None:
            line |= {name: int(true == "anomaly"), f"{name}-metadata": _make_label(true)}
        if predicted is not None:
            answer = _make_label(predicted, "no", confidence=confidence, **{"model-arn": MODEL_ARN})
            number = int(predicted == "anomaly")
            line |= {f"{name}-detected": number, f"{name}-detected-metadata": answer}
        return line | extra

    return make


@pytest.fixture(scope="session")
def make_mask():
    """A function that makes the keys of a mask: `colors` by class; `key` is the classes' key."""

    def make(uri, colors, *, name="anomaly-mask-ref", key="class-name", human="yes"):
        entries = {
            str(i): {key: label, "hex-color": color}
            for i, (label, color) in enumerate(colors.items())
        }
        metadata = {
            "internal-color-map": entries,
            "type": "groundtruth/semantic-segmentation",
            "human-annotated": human,
        }
        return {name: uri, f"{name}-metadata": metadata}

    return make


@pytest.fixture(scope="session")
def read_lookout(model):
    """A function that reads lines (dicts, or bytes as they stand) as one evaluation.

    `masks` are the contents of masks by URI; `result` is a dict or bytes.
    """

    def read(lines=None, *, result=None, masks=None, **options) -> Evaluation:
        manifest = None
        if lines is not None:
            texts = [x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines]
            manifest = LookoutInput(
                uri="s3://b/manifest.json",
                chunks=[b"".join(text + b"\n" for text in texts)],
                read_masks=None if masks is None else lambda uris: (masks[uri] for uri in uris),
            )
        if isinstance(result, dict):
            result = json.dumps(result).encode()
        return parse_lookout_evaluation(
            model,
            manifest=manifest,
            result=None if result is None else Document(uri="s3://b/result.json", data=result),
            **options,
        )

    return read


@pytest.fixture(scope="session")
def lay_out():
    """A function that lists an evaluation by image: (image, true label or None, records)."""

    def list_images(evaluation: Evaluation) -> list[tuple]:
        labels, truth, records = evaluation.labels, evaluation.truth, evaluation.records
        rows = []
        for i, image in enumerate(evaluation.images):
            true = [labels[code] for code in truth.label_idx[truth.image_idx == i]]
            own = np.flatnonzero(records.image_idx == i)
            scores = {labels[records.label_idx[j]]: float(records.confidence[j]) for j in own}
            rows.append((image, true[0] if true else None, scores))
        return rows

    return list_images
