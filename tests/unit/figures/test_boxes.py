"""Boxes drawn over the images with the most mistakes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlrek.figures import draw_box_pictures
from mlrek.metrics.compute import compute_metrics
from mlrek.sources import open_source


@pytest.fixture(scope="module")
def scenes(request):
    """The example with boxes, as it is read."""
    source = open_source(str(request.config.rootpath / "examples" / "detection"))
    entry = source.list_versions()[1]
    evaluation = source.load(entry)
    predictions = compute_metrics(evaluation, intervals=False).predictions
    return source, entry, evaluation, predictions


def test_the_worst_images_are_drawn_with_their_boxes(scenes):
    """Twelve scenes, read from the folder next to the archive."""
    source, entry, evaluation, predictions = scenes
    asked = []

    def read(uris):
        asked.extend(uris)
        return source.read_images(entry, uris)

    pictures = draw_box_pictures(evaluation, predictions, read)
    mistakes = [0] * len(evaluation.images)
    for i, outcome in zip(predictions.image_idx, predictions.outcome, strict=True):
        mistakes[i] += outcome in {"FP", "FN"}
    worst = sorted(range(len(mistakes)), key=lambda i: (-mistakes[i], i))[:12]

    assert asked == [evaluation.images[i] for i in worst]
    assert pictures["boxes.png"].shape[1:] == (840, 3)
    assert len(np.unique(pictures["boxes.png"].reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a\xff\xff\xff\xff"]
)
def test_images_that_cannot_be_read_make_no_picture_and_no_error(scenes, content):
    """Denied, gone or broken: the run has no such picture."""
    _, _, evaluation, predictions = scenes

    assert draw_box_pictures(evaluation, predictions, lambda uris: [content] * len(uris)) == {}


def test_one_readable_image_is_enough(scenes):
    """The others are left out."""
    _, _, evaluation, predictions = scenes
    buffer = BytesIO()
    Image.new("L", (128, 96), 90).save(buffer, "PNG")
    readable = [b""] * 11 + [buffer.getvalue()]

    assert "boxes.png" in draw_box_pictures(evaluation, predictions, lambda _: readable)


def test_no_path_of_an_image_leaves_the_folder(scenes):
    """A manifest from outside may name anything."""
    source, entry, _, _ = scenes
    uris = ["s3://b/../../../../etc/passwd", "/etc/passwd", "../../../pyproject.toml"]

    assert list(source.read_images(entry, uris)) == [b"", b"", b""]
