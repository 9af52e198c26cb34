"""Masks laid over the images of a page."""

from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlrek.evaluation import MaskCounts, Task
from mlrek.metrics.segmentation import SKETCH_SIDE, sketch_masks

BLUE, ORANGE, PURPLE = (0, 114, 178), (213, 94, 0), (204, 121, 167)


@pytest.fixture(scope="module")
def marked(pets):
    """The pets with masks: of the second image a sketch with each kind of pixel is there."""
    masks = MaskCounts(
        image_idx=np.array([1]),
        label_idx=np.array([0]),
        tp=np.array([1]),
        fp=np.array([1]),
        fn=np.array([1]),
        readable=np.array([False, True, False, False]),
        sketches={1: np.array([[0, 1], [2, 3], [0, 0]], dtype=np.uint8)},
    )
    return replace(pets, task=Task.SEGMENTATION, masks=masks)


def test_a_mask_is_a_picture_with_a_colour_for_each_kind_of_pixel(marked, page_of, data_of):
    """Transparent where nothing is, blue where both agree, orange and purple where one is alone."""
    masks = data_of(page_of(marked))["masks"]

    ((place, uri),) = masks.items()
    assert place == "1"
    with Image.open(BytesIO(b64decode(uri.partition(",")[2]))) as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    assert pixels.shape == (3, 2, 4)
    assert [tuple(pixels[y, x, :3]) for y, x in ((0, 1), (1, 0), (1, 1))] == [BLUE, ORANGE, PURPLE]
    assert pixels[0, 0, 3] == pixels[2, 0, 3] == 0
    assert min(pixels[0, 1, 3], pixels[1, 0, 3], pixels[1, 1, 3]) > 100


def test_a_page_without_masks_says_so(marked, page_of):
    """Where none could be read, that is said; where one could, it is shown instead."""
    sentence = "Masks are not laid over: none could be read."
    unread = replace(marked, masks=replace(marked.masks, sketches={}))

    assert sentence in page_of(unread)
    assert sentence not in page_of(marked)


def test_a_sketch_of_a_large_mask_is_small():
    """At most so many pixels a side, in the mask's shape; a label taken for another is wrong."""
    truth = np.zeros((1000, 500), dtype=np.int64)
    predicted = np.zeros((1000, 500), dtype=np.int64)
    predicted[500:] = 1
    sketch = sketch_masks(truth, predicted)

    assert max(sketch.shape) <= SKETCH_SIDE
    assert sketch.shape[0] == 2 * sketch.shape[1] - (sketch.shape[0] % 2)
    assert set(np.unique(sketch[: len(sketch) // 2])) == {1}
    assert set(np.unique(sketch[len(sketch) // 2 + 1 :])) == {2}
