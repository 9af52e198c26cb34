"""Rebuild this folder, byte for byte: `python examples/lookout-classification/make.py [FOLDER]`.

Takes scikit-learn's handwritten eights for normal and all other digits for anomalies, trains two
models, and writes what they say of images they never saw in the form that Amazon Lookout for Vision
published. README.md says what is real and what is made. Nothing here needs mlrek.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

sys.path.append(str(Path(__file__).parents[1] / "making"))

from files import shuffle, to_grey_png, to_json, to_lines, write_files
from lookout import (
    Model,
    compute_metrics,
    describe_model,
    describe_result,
    describe_verdict,
    judge,
)

PROJECT = "eights"
NORMAL = 8
TEST_IMAGES = 60  # of either kind
PIXEL = 8  # the service takes no picture below 64 pixels
TYPICAL = 0.9  # share of the training images that the first version takes for normal
KERNEL_WIDTH = 7.0
DESCRIBED = 2  # the version whose description was saved while the service lived

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Learn = Callable[[Floats, Bools], Callable[[Floats], Floats]]
"""From images (n, 64) and which are anomalies to what says of others how much they are."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Images (n, 64) from 0 to 16, and which of them are anomalies (n,)."""

    pixels: Floats
    is_anomaly: Bools


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    write_files(folder, build_files(), owned=("images/*", "*.json"))


def build_files() -> Mapping[str, bytes]:
    """Every generated file by its path in the folder."""
    files = {}
    for model, learn, test, train in list_versions():
        answer = learn(train.pixels, train.is_anomaly)
        verdicts = [judge(score) for score in answer(test.pixels).tolist()]
        lines = [
            describe_verdict(model, f"s3://{PROJECT}/{name_image(number)}", bool(truth), verdict)
            for number, (truth, verdict) in enumerate(zip(test.is_anomaly, verdicts, strict=True))
        ]
        result = describe_result(model, test.is_anomaly, verdicts, more={})
        files[model.name_file("EvaluationManifest")] = to_lines(lines)
        files[model.name_file("EvaluationResult")] = to_json(result)
        files |= {name_image(n): to_picture(pixels) for n, pixels in enumerate(test.pixels)}
        if model.version == DESCRIBED:
            metrics = compute_metrics(test.is_anomaly, verdicts)
            files["describe-model.json"] = to_json(describe_model(model, metrics))
    return files


def list_versions() -> tuple[tuple[Model, Learn, Digits, Digits], ...]:
    """Two versions, tested on the same images: what each learns with, is tested on, learns from."""
    first = datetime(2025, 3, 4, 9, 27, 41, 518000, tzinfo=UTC)
    second = datetime(2025, 3, 18, 14, 5, 6, 273000, tzinfo=UTC)
    test, normal, mixed = split()
    return (
        (Model(PROJECT, 1, first, 2755, len(normal.pixels)), learn_normal, test, normal),
        (Model(PROJECT, 2, second, 3812, len(mixed.pixels)), learn_both, test, mixed),
    )


def split() -> tuple[Digits, Digits, Digits]:
    """Images to test on, normal ones to learn from, and those with anomalies besides."""
    pixels, digits = load_digits(return_X_y=True)
    normal = shuffle(np.flatnonzero(digits == NORMAL).tolist(), salt=PROJECT)
    others = shuffle(np.flatnonzero(digits != NORMAL).tolist(), salt=PROJECT)
    chosen = (
        shuffle(normal[:TEST_IMAGES] + others[:TEST_IMAGES], salt="test"),
        normal[TEST_IMAGES:],
        normal[TEST_IMAGES:] + others[TEST_IMAGES : TEST_IMAGES + 200],
    )
    test, train_normal, train_both = (Digits(pixels[c], digits[c] != NORMAL) for c in chosen)
    return test, train_normal, train_both


def learn_normal(pixels: Floats, _: Bools) -> Callable[[Floats], Floats]:
    """How far an image is from the mean normal one, against how far those may be."""
    mean = pixels.mean(axis=0)
    limit = np.quantile(((pixels - mean) ** 2).sum(axis=1), TYPICAL)

    def answer(others: Floats) -> Floats:
        squared = ((others - mean) ** 2).sum(axis=1)
        return squared / (squared + limit)

    return answer


def learn_both(pixels: Floats, is_anomaly: Bools) -> Callable[[Floats], Floats]:
    """All images vote, weighed by a Gaussian of their distance."""

    def answer(others: Floats) -> Floats:
        squared = ((others[:, None] - pixels) ** 2).sum(axis=2)
        weights = np.exp(-0.5 * squared / KERNEL_WIDTH**2)
        return weights @ is_anomaly / weights.sum(axis=1)

    return answer


def name_image(number: int) -> str:
    """The file of an image, and its key in the bucket."""
    return f"images/digit-{number:03}.png"


def to_picture(pixels: Floats) -> bytes:
    """A PNG in which each pixel is a square."""
    greys = (pixels.reshape(8, 8) * 15 / 16).round().astype(np.uint8)
    return to_grey_png(greys.repeat(PIXEL, axis=0).repeat(PIXEL, axis=1))


if __name__ == "__main__":
    main(sys.argv[1:])
