"""Rebuild this folder, byte for byte: `python examples/detection/make.py [FOLDER]`.

Lays out scenes of scikit-learn's handwritten digits, trains two sliding-window detectors, and
writes what they find in scenes they never saw in the form that Amazon Rekognition Custom Labels
publishes.
README.md says what is real and what is made. Nothing here needs mlrek.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "making"))

from detector import Detector, train_linear, train_neighbours
from files import shuffle, to_grey_png, write_files
from published import Image, describe_images, match
from rekognition import Project, Training, describe_project, describe_version
from scenes import Scene, make_scenes
from sklearn.datasets import load_digits

TEST_SCENES = 60
TEST_DIGITS, SCRAPS = 240, 100  # of the 1,797; the others are learned from
PROJECT = Project("digit-scenes", datetime(2026, 4, 1, 7, 30, 12, 551000, tzinfo=UTC))
READ_AT = datetime(2026, 4, 20, 8, tzinfo=UTC)

Train = Callable[[list[Scene]], Detector]


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    write_files(folder, build_files(), owned=("images/*", "versions/*/*"))


def build_files() -> Mapping[str, bytes]:
    """Every generated file by its path in the folder."""
    test, train = lay_out_scenes()
    files = {
        "project.json": describe_project(PROJECT, read_at=READ_AT, read_by="examples/detection"),
        **{name_image(number): to_grey_png(scene.grey) for number, scene in enumerate(test)},
    }
    for training, learn in list_versions():
        detector = learn(train[: training.train_images])
        images = [look(detector, number, scene) for number, scene in enumerate(test)]
        files |= describe_version(training, *describe_images(training, images))
    return files


def list_versions() -> tuple[tuple[Training, Train], ...]:
    """Two versions, tested on the same scenes."""
    first = datetime(2026, 4, 2, 9, 14, 3, 220000, tzinfo=UTC)
    second = datetime(2026, 4, 16, 13, 2, 47, 906000, tzinfo=UTC)
    return (
        (Training(PROJECT, "v1-linear", first, 4210, train_images=60), train_linear),
        (Training(PROJECT, "v2-neighbours", second, 7944, train_images=120), train_neighbours),
    )


def lay_out_scenes() -> tuple[list[Scene], list[Scene]]:
    """Scenes to test on and scenes to learn from; they share no digit but those cut for clutter."""
    pixels, y_true = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8)
    order = np.array(shuffle(range(len(y_true)), salt="detection"))
    test, scraps, train = np.split(order, [TEST_DIGITS, TEST_DIGITS + SCRAPS])
    count = max(training.train_images for training, _ in list_versions())
    return (
        make_scenes(images[test], y_true[test], images[scraps], count=TEST_SCENES, salt="test"),
        make_scenes(images[train], y_true[train], images[scraps], count=count, salt="train"),
    )


def look(detector: Detector, number: int, scene: Scene) -> Image:
    """What a detector finds in a scene, and which true boxes that takes."""
    found = detector.detect(scene.grey)
    return Image(name_image(number), scene, found, match(scene, found))


def name_image(number: int) -> str:
    """The file of a scene, and its key in the bucket."""
    return f"images/scene-{number:02}.png"


if __name__ == "__main__":
    main(sys.argv[1:])
