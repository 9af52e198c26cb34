"""The handwritten digits: rebuilt byte for byte, and consistent in the eyes of scikit-learn.

Everything is read with `json` alone, so that nothing of mlrek judges its own example.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
)

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
HAND_WRITTEN = {"README.md", "make.py", "published.py", "slices.py"}
VERSIONS = ("v1-naive-bayes", "v2-linear", "v3-neighbours", "v4-new-split")
LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
PREFIX = "rekognition-custom-labels-"
OUTCOMES = ("is-true-positive", "is-true-negative", "is-false-positive", "is-false-negative")

each_version = pytest.mark.parametrize("version", VERSIONS)


@dataclass(frozen=True)
class Record:
    """A label that a line of the manifest holds for its image."""

    label: str
    confidence: float
    flags: dict[str, bool]


@dataclass(frozen=True)
class Line:
    """A line of the manifest."""

    image: int
    truth: str
    records: tuple[Record, ...]

    @property
    def top(self) -> Record:
        """The record with the highest confidence."""
        return max(self.records, key=lambda record: record.confidence)


@each_version
def test_files_of_a_version_are_the_three_that_it_names(version):
    """A version folder holds its description, and under their own names what that names."""
    description = _read_json(version, "version.json")
    objects = [
        description["EvaluationResult"]["Summary"]["S3Object"],
        *(
            asset["GroundTruthManifest"]["S3Object"]
            for asset in description["TestingDataResult"]["Output"]["Assets"]
        ),
    ]

    named = {s3_object["Name"].rpartition("/")[2] for s3_object in objects}

    assert named | {"version.json"} == {p.name for p in (FOLDER / "versions" / version).iterdir()}


def test_script_rebuilds_the_folder_byte_for_byte(tmp_path):
    """Running `make.py` elsewhere gives exactly the files that are here."""
    subprocess.run([sys.executable, "-B", FOLDER / "make.py", tmp_path], check=True)

    assert dict(_read_files(tmp_path)) == dict(_read_files(FOLDER))


def test_script_takes_away_what_an_earlier_build_left(tmp_path):
    """An image and a version's file that no longer belong are gone after a build."""
    leftovers = [tmp_path / "images" / "9999.png", tmp_path / "versions" / "v0" / "version.json"]
    for path in leftovers:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"old")

    subprocess.run([sys.executable, "-B", FOLDER / "make.py", tmp_path], check=True)

    assert [path.exists() for path in leftovers] == [False, False]


def test_folder_is_small():
    """All files together stay below 1.55 MB."""
    size = sum(
        (FOLDER / name).stat().st_size for name in [*dict(_read_files(FOLDER)), *HAND_WRITTEN]
    )

    assert size <= 1_550_000


def test_images_are_those_of_scikit_learn():
    """Each PNG holds the grey levels of its image, 16 stretched to 255."""
    pixels = load_digits().images

    for path in (FOLDER / "images").iterdir():
        expected = (pixels[int(path.stem)] * 255 / 16).round()
        assert np.array_equal(expected, np.asarray(Image.open(path))), path.name


def test_images_are_those_of_the_test_sets():
    """There is a PNG for each image that some version was tested on, and no other."""
    tested = {line.image for version in VERSIONS for line in _read_lines(version)}

    assert tested == {int(path.stem) for path in (FOLDER / "images").iterdir()}


@each_version
def test_truth_is_that_of_scikit_learn(version):
    """Each image carries the digit that its writer meant."""
    target = load_digits().target

    truths = [line.truth for line in _read_lines(version)]

    assert [LABELS[target[line.image]] for line in _read_lines(version)] == truths


def test_first_three_versions_share_a_test_set():
    """v1 to v3 were tested on the same images; v4 on others, some of which they share."""
    first, second, third, fourth = ({line.image for line in _read_lines(v)} for v in VERSIONS)

    assert first == second == third
    assert fourth - first
    assert fourth & first


@each_version
def test_only_the_fourth_version_split_off_its_own_test_set(version):
    """`AutoCreate` says so, where the service says it."""
    testing = _read_json(version, "version.json")["TestingDataResult"]

    splits = (testing["Input"]["AutoCreate"], testing["Output"]["AutoCreate"])

    assert splits == (version == "v4-new-split",) * 2


@each_version
def test_each_record_has_one_outcome(version):
    """Exactly one of the four flags is set."""
    counts = {sum(record.flags[o] for o in OUTCOMES) for record in _read_records(version)}

    assert counts == {1}


@each_version
def test_flags_follow_from_confidence_threshold_and_truth(version):
    """A label is said where its confidence reaches the threshold, present where it is the truth."""
    thresholds = _read_thresholds(version)

    for line in _read_lines(version):
        for record in line.records:
            said = record.confidence >= thresholds[record.label]
            present = record.label == line.truth
            expected = dict.fromkeys(OUTCOMES, False)
            expected[f"is-{str(said == present).lower()}-{'positive' if said else 'negative'}"] = (
                True
            )
            assert {**expected, "is-present-in-ground-truth": present} == record.flags


@each_version
def test_true_label_always_has_a_record(version):
    """However low its confidence."""
    assert all(line.truth in [r.label for r in line.records] for line in _read_lines(version))


@each_version
def test_no_two_records_of_a_line_share_a_label(version):
    """A label stands once in a line."""
    assert all(
        len({r.label for r in line.records}) == len(line.records) for line in _read_lines(version)
    )


@each_version
def test_some_labels_below_their_threshold_are_written(version):
    """Records of wrong labels below the threshold exist, so the service did not leave them out."""
    assert any(record.flags["is-true-negative"] for record in _read_records(version))


@each_version
def test_label_numbers_are_those_of_scikit_learn(version):
    """Precision, recall and F1 of each label against the rest, at its assumed threshold."""
    thresholds = _read_thresholds(version)

    for row in _read_json(version, _summary_name(version))["LabelEvaluationResults"]:
        label = row["Label"]
        is_true = [line.truth == label for line in _read_lines(version)]
        said = [_confidence(line, label) >= thresholds[label] for line in _read_lines(version)]
        expected = precision_recall_fscore_support(is_true, said, average="binary")[:3]
        reported = [row["Metrics"][name] for name in ("Precision", "Recall", "F1Score")]
        assert reported == pytest.approx(expected, abs=1e-12), label
        assert row["NumberOfTestingImages"] == sum(is_true)


@each_version
def test_no_higher_threshold_has_a_better_f1(version):
    """Each assumed threshold is the best, as far as the manifest can tell: from there upwards."""
    for row in _read_json(version, _summary_name(version))["LabelEvaluationResults"]:
        label, metrics = row["Label"], row["Metrics"]
        is_true = [line.truth == label for line in _read_lines(version)]
        scores = [_confidence(line, label) for line in _read_lines(version)]
        precision, recall, thresholds = precision_recall_curve(is_true, scores)
        higher = np.append(thresholds > metrics["Threshold"], False)
        f1 = 2 * precision[higher] * recall[higher] / (precision[higher] + recall[higher])
        assert f1.max() <= metrics["F1Score"] + 1e-12, label


@each_version
def test_aggregates_are_means_over_the_labels(version):
    """The service's averages weigh each label the same, also for F1."""
    summary = _read_json(version, _summary_name(version))
    rows = [row["Metrics"] for row in summary["LabelEvaluationResults"]]
    names = ("Precision", "Recall", "F1Score")

    means = {name: np.mean([row[name] for row in rows]) for name in names}

    reported = {name: summary["AggregatedEvaluationResults"][name] for name in names}
    assert reported == pytest.approx(means, abs=1e-12)
    assert _read_json(version, "version.json")["EvaluationResult"]["F1Score"] == reported["F1Score"]


@each_version
def test_confusion_matrix_is_that_of_scikit_learn(version):
    """Top labels as shares of the true label's images; a cell that is not there is empty."""
    lines = _read_lines(version)
    expected = confusion_matrix(
        [line.truth for line in lines],
        [line.top.label for line in lines],
        labels=LABELS,
        normalize="true",
    )
    reported = np.zeros_like(expected)
    cells = _read_json(version, _summary_name(version))["AggregatedEvaluationResults"]
    for cell in cells["ConfusionMatrix"]:
        row, column = LABELS.index(cell["GroundTruthLabel"]), LABELS.index(cell["PredictedLabel"])
        reported[row, column] = cell["Value"]

    assert reported == pytest.approx(expected, abs=1e-12)
    assert all(cell["Value"] > 0 for cell in cells["ConfusionMatrix"])


@each_version
def test_numbers_of_images_add_up(version):
    """The summary counts the lines; what is not tested on was trained on."""
    details = _read_json(version, _summary_name(version))["EvaluationDetails"]

    assert details["NumberOfTestingImages"] == len(_read_lines(version))
    assert details["NumberOfTrainingImages"] == 1797 - len(_read_lines(version))


@each_version
def test_readme_says_how_many_are_right(version):
    """The table of the README agrees with the manifests."""
    lines = _read_lines(version)
    right = sum(line.top.label == line.truth for line in lines) / len(lines)
    (row,) = [r for r in _readme().splitlines() if r.startswith(f"| `{version}`")]

    assert f"{right:.1%}".replace("%", " %") == row.strip("| ").rpartition("|")[2].strip()


def test_readme_says_how_many_images_there_are():
    """Sizes and overlap of the test sets, as the README's table gives them."""
    first, fourth = ({line.image for line in _read_lines(v)} for v in (VERSIONS[0], VERSIONS[3]))

    shared = len(first & fourth)

    assert f"| the same {len(first)} images |" in _readme()
    assert f"| {len(fourth)} images, {shared} of them among the {len(first)} |" in _readme()


def _read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in HAND_WRITTEN and "__pycache__" not in name:
            yield name, path.read_bytes()


@cache
def _read_json(version: str, name: str) -> Any:
    return json.loads((FOLDER / "versions" / version / name).read_bytes())


@cache
def _read_lines(version: str) -> tuple[Line, ...]:
    path = FOLDER / "versions" / version / f"TestingGroundTruth-digits-{version}.json"
    return tuple(_parse_line(json.loads(text)) for text in path.read_text().splitlines())


def _parse_line(line: dict[str, Any]) -> Line:
    evaluations = [
        value
        for key, value in line.items()
        if key.startswith(f"{PREFIX}evaluation-") and key.endswith("-metadata")
    ]
    return Line(
        image=int(line["source-ref"].removeprefix("s3://digits/").removesuffix(".png")),
        truth=line[f"{PREFIX}training-0-metadata"]["class-name"],
        records=tuple(
            Record(e["class-name"], e["confidence"], e[f"{PREFIX}evaluation-details"])
            for e in evaluations
        ),
    )


def _read_records(version: str) -> list[Record]:
    return [record for line in _read_lines(version) for record in line.records]


def _read_thresholds(version: str) -> dict[str, float]:
    rows = _read_json(version, _summary_name(version))["LabelEvaluationResults"]
    return {row["Label"]: row["Metrics"]["Threshold"] for row in rows}


def _summary_name(version: str) -> str:
    return f"EvaluationResultSummary-digits-{version}.json"


def _confidence(line: Line, label: str) -> float:
    return max((r.confidence for r in line.records if r.label == label), default=0.0)


def _readme() -> str:
    return (FOLDER / "README.md").read_text()
