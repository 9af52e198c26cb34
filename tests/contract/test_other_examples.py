"""The examples other than the digits: rebuilt byte for byte, and consistent for other libraries.

Everything is read with `json` alone, so that nothing of mlrek judges its own examples.
"""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.datasets import load_digits
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
PUBLISHED = Path(__file__).parents[1] / "data" / "google" / "vertex-docs-flowers"
FOLDERS = (
    "automl-flowers",
    "detection",
    "lookout-classification",
    "lookout-segmentation",
    "multilabel",
    "vertex",
)
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
FLOWERS = ["tulips", "dandelion", "sunflowers", "daisy", "roses"]
PREFIX = "rekognition-custom-labels-"
OUTCOMES = ("is-true-positive", "is-true-negative", "is-false-positive", "is-false-negative")
COOKIE_MASKS = "18a0f2bcd5ded94cd8c71e69c1f34404e8ff18ddfad123ee391a24460e007b85"

each_folder = pytest.mark.parametrize("folder", FOLDERS)
each_detector = pytest.mark.parametrize("version", ["v1-linear", "v2-neighbours"])
each_classifier = pytest.mark.parametrize("version", ["v1-linear", "v2-halves"])
each_rekognition = pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("detection", "v1-linear"),
        ("detection", "v2-neighbours"),
        ("multilabel", "v1-linear"),
        ("multilabel", "v2-halves"),
    ],
)
each_lookout = pytest.mark.parametrize(
    ("folder", "project"),
    [("lookout-classification", "eights"), ("lookout-segmentation", "cookies")],
)
each_model = pytest.mark.parametrize("model", [1, 2])


@dataclass(frozen=True)
class Box:
    """A box of the manifest; a true one has no flags."""

    image: int
    label: str
    xywh: tuple[int, ...]
    confidence: float
    flags: dict[str, bool]

    @property
    def outcome(self) -> str:
        """The one flag that is set."""
        (outcome,) = [name for name in OUTCOMES if self.flags[name]]
        return outcome


# Every folder


@each_folder
def test_script_rebuilds_the_folder_byte_for_byte(folder, tmp_path):
    """Running `make.py` elsewhere gives exactly the files that are here."""
    command = [sys.executable, "-B", EXAMPLES / folder / "make.py", tmp_path]

    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    assert dict(_read_files(tmp_path)) == dict(_read_files(EXAMPLES / folder))


@each_folder
def test_folder_is_small(folder):
    """All files together stay below 600 kB."""
    assert sum(p.stat().st_size for p in (EXAMPLES / folder).rglob("*") if p.is_file()) < 600_000


@each_folder
def test_readme_says_what_is_real_and_what_is_made(folder):
    """Both have a section, and the way to rebuild stands below."""
    readme = (EXAMPLES / folder / "README.md").read_text()

    headings = [line for line in readme.splitlines() if line.startswith("## ")]

    assert headings == ["## What is real", "## What is made", "## Rebuild"]
    assert f"    python examples/{folder}/make.py" in readme
    assert f"    mlrek sync examples/{folder}" in readme


def test_list_of_examples_names_each_folder():
    """The table of `examples/README.md` has a line for each folder with data."""
    readme = (EXAMPLES / "README.md").read_text()

    linked = {f.parent.name for f in EXAMPLES.glob("*/README.md") if f"({f.parent.name}/" in readme}

    assert linked == {*FOLDERS, "digits", "successor"}


# Rekognition: what detection and several labels have in common


@each_rekognition
def test_version_names_the_files_that_lie_beside_it(folder, version):
    """A version folder holds its description, and under their own names what that names."""
    description = _read_rekognition(folder, version, "version.json")
    (asset,) = description["TestingDataResult"]["Output"]["Assets"]
    objects = [
        description["EvaluationResult"]["Summary"]["S3Object"],
        asset["GroundTruthManifest"]["S3Object"],
    ]

    named = {s3_object["Name"].rpartition("/")[2] for s3_object in objects}

    here = {path.name for path in (EXAMPLES / folder / "versions" / version).iterdir()}
    assert named | {"version.json"} == here


@each_rekognition
def test_every_image_of_the_manifest_is_here(folder, version):
    """The key in the bucket is the path in the folder, and no image is left over."""
    project = _read_json(EXAMPLES / folder / "project.json")["project_name"]

    keys = {
        line["source-ref"].removeprefix(f"s3://{project}/") for line in _read_lines(folder, version)
    }

    assert keys == {f"images/{path.name}" for path in (EXAMPLES / folder / "images").iterdir()}


@each_rekognition
def test_aggregates_are_means_over_the_labels(folder, version):
    """The service's averages weigh each label the same, also for F1."""
    summary = _read_summary(folder, version)
    names = ("Precision", "Recall", "F1Score")

    rows = [[row["Metrics"][name] for name in names] for row in summary["LabelEvaluationResults"]]

    reported = [summary["AggregatedEvaluationResults"][name] for name in names]
    assert reported == pytest.approx(np.mean(rows, axis=0), abs=1e-12)
    description = _read_rekognition(folder, version, "version.json")
    assert description["EvaluationResult"]["F1Score"] == reported[2]


@each_rekognition
def test_summary_counts_the_lines(folder, version):
    """As many test images as the manifest has lines."""
    details = _read_summary(folder, version)["EvaluationDetails"]

    assert details["NumberOfTestingImages"] == len(_read_lines(folder, version))


# Detection


@each_detector
def test_objects_stand_for_annotations_by_their_index(version):
    """Each box has its metadata, and the class map holds the classes in use and no other."""
    for line in _read_lines("detection", version):
        for key in (f"{PREFIX}training-0", f"{PREFIX}evaluation"):
            annotations, metadata = line[key]["annotations"], line[f"{key}-metadata"]
            assert len(annotations) == len(metadata["objects"])
            assert metadata["class-map"].keys() == {str(box["class_id"]) for box in annotations}


@each_detector
def test_image_size_is_that_of_the_picture(version):
    """Width and height as the PNG has them, and every true box inside."""
    for line in _read_lines("detection", version):
        truth = line[f"{PREFIX}training-0"]
        (size,) = truth["image_size"]
        with Image.open(EXAMPLES / "detection" / line["source-ref"].partition("scenes/")[2]) as png:
            assert png.size == (size["width"], size["height"])
        for box in truth["annotations"]:
            assert 0 <= box["left"] < box["left"] + box["width"] <= size["width"]
            assert 0 <= box["top"] < box["top"] + box["height"] <= size["height"]


@each_detector
def test_flags_follow_from_confidence_and_threshold(version):
    """A box is said where its confidence reaches its label's threshold."""
    thresholds = _read_thresholds("detection", version)

    for box in _read_found(version):
        said = box.confidence >= thresholds[box.label]
        present = box.flags["is-present-in-ground-truth"]
        assert box.outcome == f"is-{str(said == present).lower()}-{_sign(said)}"


@each_detector
def test_true_negatives_are_left_out(version):
    """Boxes below the threshold that match nothing are not written."""
    assert "is-true-negative" not in {box.outcome for box in _read_found(version)}


@each_detector
def test_each_true_box_comes_back_once(version):
    """As a true positive or a false negative of its label, in its image."""
    present = [box for box in _read_found(version) if box.flags["is-present-in-ground-truth"]]

    found = Counter((box.image, box.label) for box in present)

    assert found == Counter((box.image, box.label) for box in _read_truth(version))


@each_detector
def test_box_that_nothing_found_comes_back_at_its_own_place(version):
    """A placeholder has confidence 0 and lies on a true box of its label; there are some."""
    truth = {(box.image, box.label, box.xywh) for box in _read_truth(version)}

    placeholders = [box for box in _read_found(version) if box.confidence == 0]

    assert placeholders
    assert {(box.image, box.label, box.xywh) for box in placeholders} <= truth


@each_detector
def test_label_numbers_count_the_flags(version):
    """Precision, recall and F1 are those of a label's boxes."""
    for row in _read_summary("detection", version)["LabelEvaluationResults"]:
        n = Counter(box.outcome for box in _read_found(version) if box.label == row["Label"])
        tp, fp, fn = n["is-true-positive"], n["is-false-positive"], n["is-false-negative"]
        expected = [tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)]
        reported = [row["Metrics"][name] for name in ("Precision", "Recall", "F1Score")]
        assert reported == pytest.approx(expected, abs=1e-12), row["Label"]


@each_detector
def test_outcomes_are_those_of_pycocotools(version):
    """At IoU 0.5 it matches the same boxes, most confident first."""
    found = [box for box in _read_found(version) if box.confidence > 0]

    evaluation = _evaluate_boxes(_read_truth(version), found)

    matched = {
        int(number)
        for image in evaluation.evalImgs
        if image is not None
        for number, match in zip(image["dtIds"], image["dtMatches"][0], strict=True)
        if match
    }
    present = {
        number
        for number, box in enumerate(found, start=1)
        if box.flags["is-present-in-ground-truth"]
    }
    assert matched == present


@each_detector
def test_reported_recall_is_that_of_pycocotools(version):
    """Over all boxes that match, whatever their confidence, averaged over the labels."""
    reported = _read_summary("detection", version)["AggregatedEvaluationResults"]["AverageRecall"]

    evaluation = _evaluate_boxes(_read_truth(version), _drop_placeholders(version))

    assert reported == pytest.approx(evaluation.eval["recall"].mean(), abs=1e-12)


@each_detector
def test_reported_precision_lies_between_what_the_manifest_can_tell(version):
    """Less than without the boxes that were left out, more than without all below a threshold."""
    reported = _read_summary("detection", version)["AggregatedEvaluationResults"]
    thresholds = _read_thresholds("detection", version)
    found = _drop_placeholders(version)
    said = [box for box in found if box.confidence >= thresholds[box.label]]

    low, high = (
        _evaluate_boxes(_read_truth(version), boxes).eval["precision"].mean()
        for boxes in (said, found)
    )

    assert low < reported["AveragePrecision"] < high


@each_detector
def test_readme_tells_how_many_boxes_were_found(version):
    """The table of the README agrees with the manifest and the summary."""
    n = Counter(box.outcome for box in _read_found(version))
    reported = _read_summary("detection", version)["AggregatedEvaluationResults"]

    cells = [
        f"{n['is-true-positive']} of {len(_read_truth(version))}",
        str(n["is-false-positive"]),
        f"{reported['AveragePrecision']:.3f}",
    ]

    assert _read_readme_row("detection", version)[-3:] == cells


# Several labels


@each_classifier
def test_records_are_complete(version):
    """Each label has one confidence on each image."""
    labels = _read_summary("multilabel", version)["EvaluationDetails"]["Labels"]

    for line in _read_lines("multilabel", version):
        assert sorted(_confidences(line)) == sorted(labels)


def test_versions_were_tested_on_the_same_truth():
    """Images and labels are equal, line by line; some images have one label, most have two."""
    first, second = (
        [(line["source-ref"], _true_labels(line)) for line in _read_lines("multilabel", version)]
        for version in ("v1-linear", "v2-halves")
    )

    assert first == second
    counts = Counter(len(labels) for _, labels in first)
    assert counts.keys() == {1, 2}
    assert counts[2] > counts[1]


def test_pairs_are_digits_of_scikit_learn():
    """Each half of a picture is one of its digits, grey levels rounded to 16."""
    known = _known_digits()

    for line in _read_lines("multilabel", "v1-linear"):
        with Image.open(EXAMPLES / "multilabel" / line["source-ref"].partition("pairs/")[2]) as png:
            pixels = np.asarray(png)[::8, ::8]
        digits = {DIGITS[known[half.tobytes()]] for half in np.split(pixels, 2, axis=1)}
        assert digits == _true_labels(line)


@each_classifier
def test_label_numbers_are_those_of_scikit_learn(version):
    """Precision, recall and F1 at the assumed threshold; the flags say the same."""
    thresholds = _read_thresholds("multilabel", version)
    lines = _read_lines("multilabel", version)

    for row in _read_summary("multilabel", version)["LabelEvaluationResults"]:
        label = row["Label"]
        is_true = [label in _true_labels(line) for line in lines]
        said = [_confidences(line)[label] >= thresholds[label] for line in lines]
        expected = precision_recall_fscore_support(is_true, said, average="binary")[:3]
        reported = [row["Metrics"][name] for name in ("Precision", "Recall", "F1Score")]
        assert reported == pytest.approx(expected, abs=1e-12), label
        assert row["NumberOfTestingImages"] == sum(is_true)
        flags = [_flags(line, label) for line in lines]
        outcomes = [
            f"is-{str(s == t).lower()}-{_sign(s)}" for s, t in zip(said, is_true, strict=True)
        ]
        assert [[name for name in OUTCOMES if f[name]] for f in flags] == [[o] for o in outcomes]
        assert [f["is-present-in-ground-truth"] for f in flags] == is_true


@each_classifier
def test_readme_tells_the_f1(version):
    """The table of the README agrees with the summary."""
    f1 = _read_summary("multilabel", version)["AggregatedEvaluationResults"]["F1Score"]

    assert _read_readme_row("multilabel", version)[-1] == f"{f1:.3f}"


# Lookout for Vision


@each_lookout
@each_model
def test_lookout_numbers_are_those_of_scikit_learn(folder, project, model):
    """An anomaly is positive; a verdict's confidence is that in the class it names."""
    lines = _read_manifest(folder, project, model)
    is_true = np.array([_says_anomaly(line, "") for line in lines])
    said = np.array([_says_anomaly(line, "-detected") for line in lines])
    confidence = np.array([line["anomaly-label-detected-metadata"]["confidence"] for line in lines])
    score = np.where(said, confidence, 1 - confidence)

    precision, recall, f1, _ = precision_recall_fscore_support(is_true, said, average="binary")

    reported = _read_metrics(folder, project, model)
    names = ("ROCAUC", "AveragePrecision", "Precision", "Recall", "F1Score")
    expected = [
        roc_auc_score(is_true, score),
        average_precision_score(is_true, score),
        precision,
        recall,
        f1,
    ]
    assert [reported[name] for name in names] == pytest.approx(expected, abs=1e-12)


@each_lookout
@each_model
def test_lookout_numbers_stand_for_classes(folder, project, model):
    """1 is an anomaly, 0 is normal, and a confidence is never below one half."""
    for line in _read_manifest(folder, project, model):
        for suffix in ("", "-detected"):
            assert line[f"anomaly-label{suffix}"] == _says_anomaly(line, suffix)
        assert 0.5 <= line["anomaly-label-detected-metadata"]["confidence"] <= 1


@each_lookout
@each_model
def test_lookout_files_name_their_version(folder, project, model):
    """Result, manifest and file names tell the same model."""
    details = _read_result(folder, project, model)["EvaluationDetails"]
    lines = _read_manifest(folder, project, model)

    arns = {line["anomaly-label-detected-metadata"]["model-arn"] for line in lines}

    assert arns == {details["ModelArn"]}
    assert details["ModelArn"].endswith(f":model/{project}/{model}")
    assert details["NumberOfTestingImages"] == len(lines)


def test_description_of_the_second_model_agrees_with_its_files():
    """DescribeModel names them and repeats precision, recall and F1."""
    description = _read_json(EXAMPLES / "lookout-classification" / "describe-model.json")
    model = description["ModelDescription"]
    metrics = _read_metrics("lookout-classification", "eights", 2)

    assert model["Performance"] == {n: metrics[n] for n in ("F1Score", "Recall", "Precision")}
    assert model["EvaluationManifest"]["Key"] == "EvaluationManifest-eights-2.json"
    assert model["EvaluationResult"]["Key"] == "EvaluationResult-eights-2.json"
    details = _read_result("lookout-classification", "eights", 2)["EvaluationDetails"]
    assert model["ModelArn"] == details["ModelArn"]


@each_model
def test_normal_images_are_eights_of_scikit_learn(model):
    """Each picture is one of its digits, an anomaly when that is no eight."""
    known = _known_digits()

    for line in _read_manifest("lookout-classification", "eights", model):
        path = EXAMPLES / "lookout-classification" / line["source-ref"].partition("eights/")[2]
        with Image.open(path) as png:
            digit = known[np.asarray(png)[::8, ::8].tobytes()]
        assert (digit != 8) == _says_anomaly(line, "")


@each_model
def test_readme_tells_f1_and_area(model):
    """The table of the README agrees with the results."""
    metrics = _read_metrics("lookout-classification", "eights", model)

    cells = [f"{metrics[name]:.3f}" for name in ("F1Score", "ROCAUC")]

    assert _read_readme_row("lookout-classification", str(model))[-2:] == cells


def test_true_masks_are_those_of_the_cookies():
    """The files are the ones that Amazon published, byte for byte."""
    masks = sorted((EXAMPLES / "lookout-segmentation" / "mask-images").iterdir())

    digest = sha256(b"".join(path.read_bytes() for path in masks)).hexdigest()

    assert [len(masks), digest] == [8, COOKIE_MASKS]


@each_model
def test_pixel_numbers_are_those_of_the_masks(model):
    """Pixels pooled over all images; IoU averaged over those where either mask has the label."""
    pairs = [_read_masks(line) for line in _read_manifest("lookout-segmentation", "cookies", model)]
    tp = np.array([(true & pred).sum() for true, pred in pairs])
    n_true, n_pred = (np.array([pair[i].sum() for pair in pairs]) for i in (0, 1))
    union = n_true + n_pred - tp

    precision, recall = tp.sum() / n_pred.sum(), tp.sum() / n_true.sum()

    (reported,) = _read_metrics("lookout-segmentation", "cookies", model)[
        "PixelAnomalyClassMetrics"
    ]
    assert reported.pop("ClassName") == "cracked"
    assert reported == pytest.approx(
        {
            "Precision": precision,
            "Recall": recall,
            "F1Score": 2 * precision * recall / (precision + recall),
            "AIOU": (tp[union > 0] / union[union > 0]).mean(),
        },
        abs=1e-12,
    )


@each_model
def test_a_mask_is_there_where_an_anomaly_is(model):
    """Of truth and prediction each; and its share of the area is that of the pixels."""
    for line in _read_manifest("lookout-segmentation", "cookies", model):
        masks = _read_masks(line)
        for mask, suffix in zip(masks, ("", "-detected"), strict=True):
            assert (
                mask.any() == _says_anomaly(line, suffix) == (f"anomaly-mask-ref{suffix}" in line)
            )
        if masks[1].any():
            colours = line["anomaly-mask-ref-detected-metadata"]["internal-color-map"]
            shares = [colour["total-percentage-area"] for colour in colours.values()]
            expected = [1 - masks[1].mean(), masks[1].mean()]
            assert shares == pytest.approx(expected, abs=1e-6)


# AutoML Vision and Vertex AI


@pytest.mark.parametrize(
    ("label", "threshold", "precision", "recall"),
    [
        ("", 0.5, "96.99", "96.46"),
        ("roses", 0.5, "93.55", "90.63"),
        ("roses", 0.84, "96.55", "87.50"),
    ],
)
def test_figures_of_googles_page_follow_from_the_scores(label, threshold, precision, recall):
    """Precision and recall in percent, rounded half up, as the page prints them."""
    y_true, y_score = _read_flowers("automl-flowers")
    chosen = [FLOWERS.index(label)] if label else list(range(5))
    is_true, said = y_true[:, chosen], y_score[:, chosen] >= threshold

    tp = int((is_true & said).sum())

    assert _percent(tp, int(said.sum())) == precision
    assert _percent(tp, int(is_true.sum())) == recall


def test_matrix_of_googles_page_follows_from_the_counts():
    """Row percents, rounded half up."""
    evaluation = _read_json(EXAMPLES / "automl-flowers" / "list_model_evaluations.json")
    metrics = evaluation["modelEvaluation"][0]["classificationEvaluationMetrics"]
    rows = [row["exampleCount"] for row in metrics["confusionMatrix"]["row"]]

    percents = [[int(Decimal(_percent(n, sum(row), "1"))) for n in row] for row in rows]

    assert metrics["confusionMatrix"]["displayName"] == FLOWERS
    assert percents == [
        [98, 0, 0, 0, 3],
        [0, 99, 0, 1, 0],
        [0, 0, 96, 1, 3],
        [0, 0, 0, 100, 0],
        [6, 0, 0, 2, 92],
    ]


def test_scores_of_googles_page_are_in_the_predictions():
    """Those under its pictures of roses, as true positives, false negatives, false positives."""
    y_true, y_score = _read_flowers("automl-flowers")
    is_rose, score = y_true[:, FLOWERS.index("roses")], y_score[:, FLOWERS.index("roses")]

    least_sure = sorted(score[is_rose & (score >= 0.5)])[:6]
    missed = sorted(score[is_rose & (score < 0.5)])
    mistaken = sorted(score[~is_rose & (score >= 0.5)])

    assert least_sure == [0.57167983, 0.8095671, 0.9303203, 0.95381385, 0.9647706, 0.9732198]
    assert missed == [0.006234663, 0.01657869, 0.14619568, 0.16650382, 0.21851009, 0.4918342]
    assert mistaken == [0.59571296, 0.74452376, 0.9224467, 0.957296]


def test_matrix_of_the_first_vertex_version_is_the_published_one():
    """The counts that Google's page prints."""
    published = _read_json(PUBLISHED / "list_model_evaluations.json")["modelEvaluations"][0]

    (evaluation,) = _read_json(EXAMPLES / "vertex" / "v1" / "list_model_evaluations.json")[
        "modelEvaluations"
    ]

    assert evaluation["metrics"]["confusionMatrix"] == published["metrics"]["confusionMatrix"]


@pytest.mark.parametrize("folder", ["automl-flowers", "vertex/v1", "vertex/v2"])
def test_areas_and_losses_are_those_of_scikit_learn(folder):
    """Over all decisions, and for each label, in single precision."""
    y_true, y_score = _read_flowers(folder)

    overall, *of_labels = _list_flower_metrics(folder)

    sure = y_score[y_true]
    assert _areas(overall) == pytest.approx(
        [
            average_precision_score(y_true, y_score, average="micro"),
            roc_auc_score(y_true, y_score, average="micro"),
            -np.log(sure).mean(),
        ],
        rel=1e-6,
    )
    for metrics, is_true, score in zip(of_labels, y_true.T, y_score.T, strict=True):
        expected = [
            average_precision_score(is_true, score),
            roc_auc_score(is_true, score),
            log_loss(is_true, score),
        ]
        assert _areas(metrics) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("folder", ["automl-flowers", "vertex/v1", "vertex/v2"])
def test_entries_are_those_of_scikit_learn(folder):
    """Precision, recall and F1 at the 24 thresholds; what is left out is 0."""
    y_true, y_score = _read_flowers(folder)
    tables = [(y_true.ravel(), y_score.ravel()), *zip(y_true.T, y_score.T, strict=True)]

    for metrics, (is_true, score) in zip(_list_flower_metrics(folder), tables, strict=True):
        entries = metrics.get("confidenceMetricsEntry") or metrics["confidenceMetrics"]
        assert len(entries) == 24
        for entry in entries:
            said = score >= entry.get("confidenceThreshold", 0)
            expected = precision_recall_fscore_support(is_true, said, average="binary")[:3]
            reported = [entry.get(name, 0) for name in ("precision", "recall", "f1Score")]
            assert reported == pytest.approx(expected, rel=1e-6)
            assert int(entry.get("truePositiveCount", 0)) == (is_true & said).sum()
            assert int(entry.get("trueNegativeCount", 0)) == (~is_true & ~said).sum()


@pytest.mark.parametrize("version", [1, 2])
def test_readme_tells_how_many_flowers_are_right(version):
    """The table of the README agrees with the matrix."""
    metrics = next(_list_flower_metrics(f"vertex/v{version}"))
    rows = np.array(metrics["confusionMatrix"]["rows"])
    lines = (EXAMPLES / "vertex" / "README.md").read_text().splitlines()

    (row,) = [line for line in lines if line.startswith(f"| `{version}`")]

    assert f"| {rows.trace()} of {rows.sum()} |" in row


# Reading


def _read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        is_generated = path.suffix != ".py" and path.name != "README.md"
        if path.is_file() and is_generated and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _read_readme_row(folder: str, version: str) -> list[str]:
    lines = (EXAMPLES / folder / "README.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{version}` |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


@cache
def _read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


@cache
def _parse_lines(path: Path) -> tuple[Any, ...]:
    return tuple(json.loads(text) for text in path.read_text().splitlines())


def _read_rekognition(folder: str, version: str, name: str) -> Any:
    return _read_json(EXAMPLES / folder / "versions" / version / name)


def _read_summary(folder: str, version: str) -> Any:
    project = _read_json(EXAMPLES / folder / "project.json")["project_name"]
    return _read_rekognition(folder, version, f"EvaluationResultSummary-{project}-{version}.json")


def _read_lines(folder: str, version: str) -> tuple[Any, ...]:
    project = _read_json(EXAMPLES / folder / "project.json")["project_name"]
    name = f"TestingGroundTruth-{project}-{version}.json"
    return _parse_lines(EXAMPLES / folder / "versions" / version / name)


def _read_thresholds(folder: str, version: str) -> dict[str, float]:
    rows = _read_summary(folder, version)["LabelEvaluationResults"]
    return {row["Label"]: row["Metrics"]["Threshold"] for row in rows}


def _sign(said: bool) -> str:
    return "positive" if said else "negative"


@cache
def _known_digits() -> dict[bytes, int]:
    """The digit of each image of scikit-learn, by its pixels as a PNG of 16 levels gives them."""
    data = load_digits()
    greys = (data.images * 15 / 16).round().astype(np.uint8) * 17
    return {grey.tobytes(): int(digit) for grey, digit in zip(greys, data.target, strict=True)}


def _read_truth(version: str) -> tuple[Box, ...]:
    return _read_boxes(version, f"{PREFIX}training-0")


def _read_found(version: str) -> tuple[Box, ...]:
    return _read_boxes(version, f"{PREFIX}evaluation")


def _drop_placeholders(version: str) -> list[Box]:
    return [box for box in _read_found(version) if box.confidence > 0]


@cache
def _read_boxes(version: str, key: str) -> tuple[Box, ...]:
    return tuple(
        Box(
            image=number,
            label=line[f"{key}-metadata"]["class-map"][str(box["class_id"])],
            xywh=tuple(box[side] for side in ("left", "top", "width", "height")),
            confidence=of_box["confidence"],
            flags=of_box.get(f"{PREFIX}evaluation-details", {}),
        )
        for number, line in enumerate(_read_lines("detection", version))
        for box, of_box in zip(
            line[key]["annotations"], line[f"{key}-metadata"]["objects"], strict=True
        )
    )


def _evaluate_boxes(truth: Iterable[Box], found: Iterable[Box]) -> COCOeval:
    """COCO's evaluation at IoU 0.5, of all sizes, with up to 100 boxes an image."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(60)],
        "categories": [{"id": number} for number in range(len(DIGITS))],
        "annotations": _to_coco(truth),
    }
    coco.createIndex()
    result = COCO()
    result.dataset = coco.dataset | {"annotations": _to_coco(found)}
    result.createIndex()
    evaluation = COCOeval(coco, result, "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [100]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _to_coco(boxes: Iterable[Box]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": box.image,
            "category_id": DIGITS.index(box.label),
            "bbox": list(box.xywh),
            "area": box.xywh[2] * box.xywh[3],
            "score": box.confidence,
            "iscrowd": 0,
        }
        for number, box in enumerate(boxes, start=1)
    ]


def _list_metadata(line: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [
        value
        for key, value in line.items()
        if key.startswith(PREFIX + kind) and key.endswith("-metadata")
    ]


def _true_labels(line: dict[str, Any]) -> set[str]:
    return {metadata["class-name"] for metadata in _list_metadata(line, "training")}


def _confidences(line: dict[str, Any]) -> dict[str, float]:
    return {m["class-name"]: m["confidence"] for m in _list_metadata(line, "evaluation")}


def _flags(line: dict[str, Any], label: str) -> dict[str, bool]:
    (metadata,) = [m for m in _list_metadata(line, "evaluation") if m["class-name"] == label]
    return metadata[f"{PREFIX}evaluation-details"]


def _read_result(folder: str, project: str, model: int) -> Any:
    return _read_json(EXAMPLES / folder / f"EvaluationResult-{project}-{model}.json")


def _read_metrics(folder: str, project: str, model: int) -> dict[str, Any]:
    aggregated = _read_result(folder, project, model)["AggregatedEvaluationResults"]
    return {**aggregated["Metrics"]}


def _read_manifest(folder: str, project: str, model: int) -> tuple[Any, ...]:
    return _parse_lines(EXAMPLES / folder / f"EvaluationManifest-{project}-{model}.json")


def _says_anomaly(line: dict[str, Any], suffix: str) -> bool:
    return line[f"anomaly-label{suffix}-metadata"]["class-name"] == "anomaly"


def _read_masks(line: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What is cracked in truth and in prediction: opaque, and of the colour that says so."""
    masks = []
    for key in ("anomaly-mask-ref", "anomaly-mask-ref-detected"):
        mask = np.zeros((768, 576), dtype=bool)
        if key in line:
            path = EXAMPLES / "lookout-segmentation" / line[key].removeprefix("s3://cookies/")
            with Image.open(path) as png:
                rgba = np.asarray(png.convert("RGBA"))
            mask = (rgba[..., 3] >= 128) & (rgba[..., :3] == (0x23, 0xA4, 0x36)).all(axis=2)
        masks.append(mask)
    return masks[0], masks[1]


def _percent(part: int, whole: int, digits: str = "0.01") -> str:
    return str((Decimal(100 * part) / whole).quantize(Decimal(digits), ROUND_HALF_UP))


@cache
def _read_flowers(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of the test images, (images, labels) each."""
    truth, scores = (_read_legacy if folder == "automl-flowers" else _read_vertex)(folder)
    assert truth.keys() == scores.keys()
    y_true = np.array([[label == name for name in FLOWERS] for label in truth.values()])
    return y_true, np.array([[scores[image][name] for name in FLOWERS] for image in truth])


def _read_legacy(folder: str) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    rows = csv.reader((EXAMPLES / folder / "export_data.csv").read_text().splitlines())
    lines = _parse_lines(EXAMPLES / folder / "image_classification_1.jsonl")
    return {image: label for _, image, label in rows}, {
        line["ID"]: {a["display_name"]: a["classification"]["score"] for a in line["annotations"]}
        for line in lines
    }


def _read_vertex(folder: str) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    exported = _parse_lines(EXAMPLES / "vertex" / "export-data" / "data-00001-of-00001.jsonl")
    lines = _parse_lines(EXAMPLES / folder / "predictions_00001.jsonl")
    truth = {e["imageGcsUri"]: e["classificationAnnotation"]["displayName"] for e in exported}
    return truth, {
        line["instance"]["content"]: dict(
            zip(line["prediction"]["displayNames"], line["prediction"]["confidences"], strict=True)
        )
        for line in lines
    }


def _list_flower_metrics(folder: str) -> Iterator[dict[str, Any]]:
    """The metrics over all labels, then those of each label."""
    answer = _read_json(EXAMPLES / folder / "list_model_evaluations.json")
    if folder == "automl-flowers":
        yield from (e["classificationEvaluationMetrics"] for e in answer["modelEvaluation"])
        return
    slices = _read_json(EXAMPLES / folder / "list_model_evaluation_slices.json")
    yield answer["modelEvaluations"][0]["metrics"]
    yield from (part["metrics"] for part in slices["modelEvaluationSlices"])


def _areas(metrics: dict[str, Any]) -> list[float]:
    return [metrics[name] for name in ("auPrc", "auRoc", "logLoss")]
