"""Masks drawn over images, and the IoU of each label."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from builders.masks import build_segmentation
from PIL import Image

from mlrek.evaluation import MaskPixel
from mlrek.figures import draw_mask_pictures, draw_pictures
from mlrek.metrics.compute import compute_metrics

SKETCH = np.array(
    [
        [MaskPixel.AGREED, MaskPixel.AGREED, MaskPixel.PREDICTED, MaskPixel.NEITHER],
        [MaskPixel.AGREED, MaskPixel.AGREED, MaskPixel.MISSED, MaskPixel.NEITHER],
    ],
    dtype=np.uint8,
)


@pytest.fixture
def evaluation():
    """Four images: half right, wholly right, wholly wrong, and nothing there."""
    made = build_segmentation(
        [{0: (5, 3, 2)}, {0: (9, 0, 0)}, {0: (0, 4, 0), 1: (0, 0, 4)}, {}],
        labels=("crack", "dent"),
        images=("s3://b/half.png", "s3://b/right.png", "s3://b/wrong.png", "s3://b/empty.png"),
    )
    return replace(made, masks=replace(made.masks, sketches=dict.fromkeys(range(4), SKETCH)))


def test_images_that_agree_least_come_first_and_those_without_a_mistake_not_at_all(
    evaluation, monkeypatch, texts_of
):
    """IoU of half is 5 / 10."""
    drawn = []
    monkeypatch.setattr("mlrek.figures.style.render_rgb", drawn.append)
    draw_mask_pictures(evaluation)
    texts = texts_of(drawn[0])

    assert texts[1] == "2 of 4 images: least agreement first"
    captions = [text for text in texts if text.startswith("IoU ") or text.endswith(".png")]
    assert captions == ["wrong.png", "IoU 0.00", "half.png", "IoU 0.50"]


def test_what_is_found_invented_and_missed_has_its_colour(evaluation):
    """Blue, orange and dark, over the light grey of an image that cannot be read."""
    picture = draw_mask_pictures(evaluation)["masks.png"]
    colours = {tuple(pixel) for pixel in picture.reshape(-1, 3)}

    for colour in ("#0072B2", "#D55E00", "#1f2933"):  # Okabe and Ito's blue and vermilion
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        mixed = 0.7 * np.array(parts) + 0.3 * 0.93 * 255
        assert any(np.abs(np.array(found) - mixed).max() <= 1 for found in colours)


def test_masks_are_laid_over_images_that_can_be_read(evaluation):
    """A black one and a white one make different pictures, and only the worst are asked for."""
    asked = []

    def read(value):
        buffer = BytesIO()
        Image.new("RGB", (40, 20), (value, value, value)).save(buffer, "PNG")

        def read_images(uris):
            asked.append(tuple(uris))
            return [buffer.getvalue()] * len(uris)

        return draw_mask_pictures(evaluation, read_images)["masks.png"]

    assert not np.array_equal(read(0), read(255))
    assert asked == [("s3://b/wrong.png", "s3://b/half.png")] * 2


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_images_that_cannot_be_read_leave_the_masks(evaluation, content):
    """Denied, gone or broken is no reason to show nothing."""
    picture = draw_mask_pictures(evaluation, lambda uris: [content] * len(uris))["masks.png"]

    assert np.array_equal(picture, draw_mask_pictures(evaluation)["masks.png"])


def test_without_sketches_or_mistakes_there_is_no_picture(evaluation):
    """As of an evaluation that was read from its run, which keeps the counts alone."""
    without = replace(evaluation, masks=replace(evaluation.masks, sketches={}))
    right = build_segmentation([{0: (9, 0, 0)}], labels=("crack", "dent"))
    right = replace(right, masks=replace(right.masks, sketches={0: SKETCH}))

    assert draw_mask_pictures(without) == {}
    assert draw_mask_pictures(right) == {}


def test_every_label_has_its_iou_and_the_mean_is_marked(evaluation, draw_figures, texts_of):
    """Crack: (5/10 + 1 + 0) / 3; dent: 0."""
    metrics = compute_metrics(evaluation)
    texts = texts_of(draw_figures(metrics, "v1")["label_iou.png"])

    assert texts[:2] == ["v1", "n = 4 images · IoU · line: 95 % interval"]
    assert "mean 0.250" in texts
    assert texts[texts.index("crack") :] == ["crack", "0.500", "dent", "0.000"]


def test_iou_without_any_area_has_no_picture():
    """Nothing is true or predicted."""
    metrics = compute_metrics(build_segmentation([{}, {}], labels=("crack",)), intervals=False)

    assert draw_pictures(metrics, version="v1") == {}


def test_many_labels_show_those_with_the_smallest_iou(draw_figures, texts_of):
    """Of 40 the 25 worst, in label order; an undefined one is none of them."""
    labels = tuple(f"label {i}" for i in range(40))
    areas = [{i: (i, 40 - i, 0)} for i in range(39)]
    metrics = compute_metrics(build_segmentation(areas, labels=labels), intervals=False)
    figure = draw_figures(metrics, "v1")["label_iou.png"]
    texts = texts_of(figure)

    assert [text for text in texts if text.startswith("label ")] == list(labels[:25])
    assert "the 25 smallest of 40 labels" in texts[1]
