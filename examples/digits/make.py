"""Rebuild this folder, byte for byte: `python examples/digits/make.py [FOLDER]`.

Trains three classifiers on scikit-learn's handwritten digits, and writes what they answer about
images they never saw in the form that Amazon Rekognition Custom Labels publishes (`published.py`).
README.md says what is real and what is made. Nothing here needs mlrek: its numbers get a second
opinion.
"""

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from published import (
    DECIMALS,
    LABELS,
    Answers,
    Bools,
    Floats,
    Ints,
    Training,
    compute_scores,
    describe_project,
    describe_version,
    image_name,
    to_png,
)
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from slices import describe_slices

FIXED_TEST_SHARE = 0.42  # about half; with more, the folder would be larger than 1.55 MB
SERVICE_TEST_SHARE = 0.2  # what the service splits off when it is given no test set
KERNEL_WIDTH = 7.0

ChooseClassifier = Callable[[int], ClassifierMixin]
"""Given the number of training images."""


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    write_files(folder, build_files())


def build_files() -> Mapping[str, bytes]:
    """Every generated file by its path in the folder."""
    pixels, y_true = load_digits(return_X_y=True)
    files = {"project.json": describe_project()}
    tested: set[int] = set()
    for training, choose, test in list_versions(y_true):
        answers = train_and_ask(choose, test, pixels, y_true)
        for name, content in describe_version(training, answers).items():
            files[f"versions/{training.name}/{name}"] = content
        tested.update(test.tolist())
    images = {f"images/{image_name(image)}": to_png(pixels[image]) for image in sorted(tested)}
    slices = {"slices.csv": describe_slices(sorted(tested), pixels)}
    return files | images | slices


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write each file whole or not at all; what an earlier build left over goes."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    for path in (*folder.glob("images/*"), *folder.glob("versions/*/*")):
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()


# The versions: who learns, and is tested on what


def list_versions(y_true: Ints) -> tuple[tuple[Training, ChooseClassifier, Ints], ...]:
    """Three versions with one fixed test set, and a fourth whose test set was split off anew."""
    fixed = choose_test_set(y_true, FIXED_TEST_SHARE, salt="fixed")
    anew = choose_test_set(y_true, SERVICE_TEST_SHARE, salt="anew")
    rows = (
        ("v1-naive-bayes", naive_bayes, fixed, datetime(2026, 3, 3, 10, 4, 51, tzinfo=UTC), 3247),
        ("v2-linear", linear, fixed, datetime(2026, 3, 10, 14, 31, 7, tzinfo=UTC), 3509),
        ("v3-neighbours", neighbours, fixed, datetime(2026, 3, 17, 8, 55, 26, tzinfo=UTC), 4186),
        ("v4-new-split", neighbours, anew, datetime(2026, 3, 24, 16, 20, 43, tzinfo=UTC), 4471),
    )
    return tuple(
        (Training(name, created, seconds, splits_itself=test is anew), choose, test)
        for name, choose, test, created, seconds in rows
    )


def choose_test_set(y_true: Ints, share: float, *, salt: str) -> Ints:
    """The same share of each digit, chosen by hashes: no random generator, the same everywhere."""
    shuffled = sorted(range(len(y_true)), key=lambda i: sha256(f"{salt}/{i}".encode()).digest())
    by_digit = ([i for i in shuffled if y_true[i] == digit] for digit in range(len(LABELS)))
    return np.sort(np.concatenate([images[: round(share * len(images))] for images in by_digit]))


def naive_bayes(_train_images: int) -> ClassifierMixin:
    """Each pixel for itself, and much too sure."""
    return GaussianNB()


def linear(_train_images: int) -> ClassifierMixin:
    """Linear discriminants with a strongly shrunk covariance."""
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.7)


def neighbours(train_images: int) -> ClassifierMixin:
    """All training images vote, weighed by a Gaussian of their distance (Nadaraya-Watson)."""
    return KNeighborsClassifier(train_images, algorithm="brute", weights=weigh_by_distance)


def weigh_by_distance(distances: Floats) -> Floats:
    """The vote of a training image at such a distance."""
    return np.exp(-0.5 * (distances / KERNEL_WIDTH) ** 2)


def train_and_ask(choose: ChooseClassifier, test: Ints, pixels: Floats, y_true: Ints) -> Answers:
    """Train on all images but the test set, and ask about the test set."""
    train = np.setdiff1d(np.arange(len(y_true)), test)
    model = choose(len(train)).fit(pixels[train], y_true[train])
    y_score = model.predict_proba(pixels[test]).round(DECIMALS)
    columns = enumerate(y_score.T)
    return Answers(
        images=test,
        y_true=y_true[test],
        y_score=y_score,
        thresholds=np.array([best_threshold(y_true[test] == k, scores) for k, scores in columns]),
        train_images=len(train),
    )


def best_threshold(is_true: Bools, scores: Floats) -> float:
    """The threshold of the best F1, half way between two scores; of equal ones the highest."""
    candidates = np.unique(scores)[::-1]
    halfway = (candidates + np.append(candidates[1:], 0)) / 2
    f1 = [compute_scores(is_true, scores >= threshold)[2] for threshold in halfway]
    return round(float(halfway[np.argmax(f1)]), DECIMALS + 1)


if __name__ == "__main__":
    main(sys.argv[1:])
