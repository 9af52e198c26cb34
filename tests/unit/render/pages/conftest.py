"""Pages of evaluations that are written down as plain lists."""

import json
import re

import numpy as np
import pytest

from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Outcome,
    Project,
    Provider,
    Records,
    Task,
    Version,
)
from mlrek.metrics.compute import compute_metrics
from mlrek.render.report import render_report


@pytest.fixture(scope="session")
def evaluate():
    """Make an evaluation: true codes of each image, and (code, confidence) of its records."""

    def make(truth, records, labels, *, task=Task.CLASSIFICATION, images=None, thresholds=None):
        project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="pets")
        flat = [record for image in records for record in sorted(image)]
        return Evaluation(
            version=Version(project=project, arn="arn:version", name="v1"),
            task=task,
            labels=tuple(labels),
            images=tuple(images or (f"s3://pets/{i}.png" for i in range(len(truth)))),
            truth=LabelSets(
                offsets=np.cumsum([0, *map(len, truth)]),
                label_idx=np.array([code for codes in truth for code in sorted(codes)], dtype=int),
            ),
            records=Records(
                offsets=np.cumsum([0, *map(len, records)]),
                label_idx=np.array([code for code, _ in flat], dtype=int),
                confidence=np.array([confidence for _, confidence in flat], dtype=float),
                outcome=np.full(len(flat), Outcome.UNKNOWN, dtype=np.uint8),
            ),
            thresholds=np.full(len(labels), np.nan) if thresholds is None else np.array(thresholds),
        )

    return make


@pytest.fixture(scope="session")
def pets(evaluate):
    """Four images, two labels, complete records: one dog is taken for a cat."""
    return evaluate(
        [[0], [1], [1], [1]],
        [
            [(0, 0.9), (1, 0.1)],
            [(0, 0.2), (1, 0.8)],
            [(0, 0.7), (1, 0.3)],
            [(0, 0.45), (1, 0.55)],
        ],
        ("cat", "dog"),
    )


@pytest.fixture(scope="session")
def page_of():
    """The page of an evaluation, as text."""

    def make(evaluation, **options):
        metrics = compute_metrics(evaluation)
        return render_report(evaluation, metrics, **options).decode()

    return make


@pytest.fixture(scope="session")
def data_of():
    """What is embedded in a page."""

    def read(page):
        pattern = r'<script type="application/json" id="data">(.*?)</script>'
        (text,) = re.findall(pattern, page, re.DOTALL)
        return json.loads(text)

    return read
