"""What `mlrek show` says of one version."""

from dataclasses import replace

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.cli.output import Output
from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    Reported,
    Task,
    Version,
)
from mlrek.metrics.compute import compute_metrics
from mlrek.render.version import Shown, build_shown_json, list_version_blocks

LABELS = ("(none)", "cat", "dog")


@pytest.fixture
def evaluation() -> Evaluation:
    """Five images: cat for dog twice; without a prediction one of `(none)`, a label here; right."""
    return Evaluation(
        version=Version(
            project=Project(provider=Provider.REKOGNITION, arn="p", name="p"), arn="v", name="v"
        ),
        task=Task.CLASSIFICATION,
        labels=LABELS,
        images=tuple("abcde"),
        truth=LabelSets(offsets=np.arange(6), label_idx=np.array([2, 2, 0, 0, 1])),
        records=Records(
            offsets=np.array([0, 1, 2, 2, 3, 4]),
            label_idx=np.array([1, 1, 0, 1]),
            confidence=np.full(4, 0.9),
            outcome=np.zeros(4, np.uint8),
        ),
        thresholds=np.full(3, np.nan),
    )


@pytest.mark.parametrize(
    ("label", "confused"),
    [
        ("", [("dog", "cat", 2), ('"(none)"', "(none)", 1)]),
        ("(none)", [('"(none)"', "(none)", 1)]),
        ("cat", [("dog", "cat", 2)]),
    ],
)
def test_a_label_named_like_our_own_row_is_another(evaluation, label, confused):
    """To miss an image of it is a mistake, and it is told by its quotes."""
    shown = Shown(evaluation=evaluation, metrics=compute_metrics(evaluation), label=label)

    assert build_shown_json(shown)["most_confused"] == [
        {"true": true, "predicted": predicted, "count": count}
        for true, predicted, count in confused
    ]


def test_without_numbers_there_is_no_table_of_them(evaluation, capsys):
    """Only the service's own are left when the images are gone."""
    nothing = LabelSets(offsets=np.zeros(1, np.int64), label_idx=np.empty(0, np.int64))
    records = replace(
        evaluation.records,
        offsets=nothing.offsets,
        label_idx=nothing.label_idx,
        confidence=np.empty(0),
        outcome=np.empty(0, np.uint8),
    )
    gone = replace(
        evaluation,
        images=(),
        truth=nothing,
        records=records,
        reported=Reported(aggregate={"f1": 0.75}),
    )
    Output().show(list_version_blocks(Shown(evaluation=gone, metrics=compute_metrics(gone))))
    shown = capsys.readouterr().out

    assert "0.7500" in shown
    assert "95 % interval" not in shown


@pytest.mark.parametrize(
    ("provider", "whose"), [(Provider.REKOGNITION, "service"), (Provider.CUSTOM, "model")]
)
def test_who_assumes_the_thresholds_is_said(evaluation, capsys, provider, whose):
    """A model from anywhere has no service, and numbers have the names that pages give them."""
    project = replace(evaluation.version.project, provider=provider)
    shown = replace(evaluation, version=replace(evaluation.version, project=project))
    Output().show(list_version_blocks(Shown(evaluation=shown, metrics=compute_metrics(shown))))
    told = capsys.readouterr().out

    assert f"at the {whose}'s thresholds" in told
    assert ("service" in told) == (whose == "service")
    assert "Matthews correlation" in told
    assert "f1_macro" not in told


def test_numbers_at_fitted_thresholds_have_a_cross_fitted_one_beside_them(capsys):
    """With the confidence of every label on every image: of the whole version and of a label."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 40)
    scores = np.clip(rng.random((40, 2)) * 0.7 + 0.3 * np.eye(2)[truth], 0, 1)
    evaluation = build_evaluation(
        [[label] for label in truth.tolist()],
        [list(enumerate(row)) for row in scores.tolist()],
        n_labels=2,
        thresholds=[0.5, 0.5],
    )
    metrics = compute_metrics(evaluation, intervals=False)

    for label in ("", "a"):
        Output().show(
            list_version_blocks(Shown(evaluation=evaluation, metrics=metrics, label=label))
        )
    told = capsys.readouterr().out

    assert f"{metrics.crossfit['f1_macro'].value:.4f}" in told
    assert f"{metrics.crossfit_per_label.f1[0]:.3f}" in told
    assert told.count("cross-fitted") >= 2
