"""Rebuild this folder, byte for byte: `python examples/multilabel/make.py [FOLDER]`.

Puts two of scikit-learn's handwritten digits side by side, trains two classifiers to say which
digits a picture holds, and writes what they answer about pictures they never saw in the form that
Amazon Rekognition Custom Labels publishes. README.md says what is real and what is made. Nothing
here needs mlrek.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.multiclass import OneVsRestClassifier

sys.path.append(str(Path(__file__).parents[1] / "making"))

from files import Json, shuffle, to_grey_png, write_files
from rekognition import (
    ATTRIBUTE,
    LABELS,
    Project,
    Training,
    describe_answer,
    describe_label,
    describe_outcome,
    describe_project,
    describe_summary,
    describe_truth,
    describe_version,
)

N_LABELS = 6  # zero to five; with all ten, complete records would be many
TEST_PAIRS, TRAIN_PAIRS = 60, 80
PIXEL = 8  # the service takes no picture below 64 pixels
KERNEL_WIDTH = 10.0
DECIMALS = 5
KIND = "image-classification"
PROJECT = Project("digit-pairs", datetime(2026, 5, 4, 6, 58, 33, 407000, tzinfo=UTC))
READ_AT = datetime(2026, 5, 18, 8, tzinfo=UTC)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures of two digits: `pixels` (n, 8, 16) from 0 to 16, `y_true` (n, labels)."""

    pixels: Floats
    y_true: Bools


Learn = Callable[[Pairs], Callable[[Floats], Floats]]
"""From pictures to what says of others how sure it is of each label."""


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    write_files(folder, build_files(), owned=("images/*", "versions/*/*"))


def build_files() -> Mapping[str, bytes]:
    """Every generated file by its path in the folder."""
    test, train = pair_up()
    files = {
        "project.json": describe_project(PROJECT, read_at=READ_AT, read_by="examples/multilabel"),
        **{name_image(n): to_picture(pixels) for n, pixels in enumerate(test.pixels)},
    }
    for training, learn in list_versions():
        y_score = learn(train)(test.pixels).round(DECIMALS)
        thresholds = [
            best_threshold(*column) for column in zip(test.y_true.T, y_score.T, strict=True)
        ]
        files |= describe_version(
            training,
            summarize(training, test.y_true, y_score, thresholds),
            describe_images(training, test.y_true, y_score, thresholds),
        )
    return files


def list_versions() -> tuple[tuple[Training, Learn], ...]:
    """Two versions, tested on the same pictures."""
    first = datetime(2026, 5, 5, 10, 21, 9, 660000, tzinfo=UTC)
    second = datetime(2026, 5, 13, 15, 47, 30, 12000, tzinfo=UTC)
    return (
        (Training(PROJECT, "v1-linear", first, 3388, TRAIN_PAIRS), learn_linear),
        (Training(PROJECT, "v2-halves", second, 5120, TRAIN_PAIRS), learn_halves),
    )


def pair_up() -> tuple[Pairs, Pairs]:
    """Pictures to test on and others to learn from, which share no digit."""
    pixels, digits = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8)
    order = shuffle(np.flatnonzero(digits < N_LABELS).tolist(), salt="multilabel")
    left, right = np.array(order[: 2 * (TEST_PAIRS + TRAIN_PAIRS)]).reshape(2, -1)
    both = np.concatenate([images[left], images[right]], axis=2)
    y_true = (
        np.eye(N_LABELS, dtype=bool)[digits[left]] | np.eye(N_LABELS, dtype=bool)[digits[right]]
    )
    return (
        Pairs(both[:TEST_PAIRS], y_true[:TEST_PAIRS]),
        Pairs(both[TEST_PAIRS:], y_true[TEST_PAIRS:]),
    )


# The classifiers


def learn_linear(train: Pairs) -> Callable[[Floats], Floats]:
    """For each label a linear discriminant between the pictures with and without it."""
    one = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2)
    model = OneVsRestClassifier(one).fit(_flatten(train.pixels), train.y_true)
    return lambda pixels: model.predict_proba(_flatten(pixels))


def learn_halves(train: Pairs) -> Callable[[Floats], Floats]:
    """Halves alike vote with the labels of their whole picture; the surer half decides."""
    known = _flatten(_halve(train.pixels))
    votes = np.tile(train.y_true, (2, 1)).astype(float)

    def answer(pixels: Floats) -> Floats:
        halves = _flatten(_halve(pixels))
        squared = ((halves[:, None] - known) ** 2).sum(axis=2)
        weights = np.exp(-0.5 * squared / KERNEL_WIDTH**2)
        shares = weights @ votes / weights.sum(axis=1, keepdims=True)
        return np.maximum(*np.split(shares, 2))

    return answer


def best_threshold(is_true: Bools, scores: Floats) -> float:
    """The threshold of the best F1, half way between two scores; of equal ones the highest."""
    candidates = np.unique(scores)[::-1]
    halfway = (candidates + np.append(candidates[1:], 0)) / 2
    counts = np.array([count(is_true, scores >= threshold) for threshold in halfway])
    f1 = 2 * counts[:, 0] / (2 * counts[:, 0] + counts[:, 1] + counts[:, 2])
    return round(float(halfway[np.argmax(f1)]), DECIMALS + 1)


def count(is_true: Bools, said: Bools) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    return int((is_true & said).sum()), int((~is_true & said).sum()), int((is_true & ~said).sum())


# What the service publishes


def summarize(training: Training, y_true: Bools, y_score: Floats, thresholds: list[float]) -> Json:
    """The summary."""
    rows = [
        describe_label(label, int(is_true.sum()), count(is_true, scores >= threshold), threshold)
        for label, is_true, scores, threshold in zip(
            LABELS[:N_LABELS], y_true.T, y_score.T, thresholds, strict=True
        )
    ]
    return describe_summary(training, LABELS[:N_LABELS], rows, len(y_true))


def describe_images(
    training: Training, y_true: Bools, y_score: Floats, thresholds: list[float]
) -> Iterator[Json]:
    """The lines of the manifest: the true labels, and a record for each label there is."""
    for number, (is_true, scores) in enumerate(zip(y_true, y_score, strict=True)):
        line: Json = {"source-ref": f"s3://{PROJECT.name}/{name_image(number)}"}
        for n, digit in enumerate(np.flatnonzero(is_true)):
            metadata = {"confidence": 1.0, "class-name": LABELS[digit]}
            metadata |= describe_truth(training, KIND)
            line |= _describe_attribute(f"{ATTRIBUTE}-training-{n}", metadata)
        for digit in range(N_LABELS):
            said, present = bool(scores[digit] >= thresholds[digit]), bool(is_true[digit])
            metadata = {"confidence": float(scores[digit]), "class-name": LABELS[digit]}
            metadata |= describe_answer(training, KIND) | describe_outcome(
                said=said, present=present
            )
            line |= _describe_attribute(f"{ATTRIBUTE}-evaluation-{digit}", metadata)
        yield line


def name_image(number: int) -> str:
    """The file of a picture, and its key in the bucket."""
    return f"images/pair-{number:02}.png"


def to_picture(pixels: Floats) -> bytes:
    """A PNG in which each pixel is a square."""
    greys = (pixels * 15 / 16).round().astype(np.uint8)
    return to_grey_png(greys.repeat(PIXEL, axis=0).repeat(PIXEL, axis=1))


def _describe_attribute(name: str, metadata: Json) -> Json:
    return {name: 1, f"{name}-metadata": metadata}


def _halve(pixels: Floats) -> Floats:
    """All left halves, then all right ones."""
    return np.concatenate(np.split(pixels, 2, axis=2))


def _flatten(pixels: Floats) -> Floats:
    return pixels.reshape(len(pixels), -1)


if __name__ == "__main__":
    main(sys.argv[1:])
