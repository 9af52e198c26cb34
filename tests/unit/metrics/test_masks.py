"""Masks as label maps, and what their pixels count, by hand and by plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import jaccard_score

from mlrek.errors import EvaluationError
from mlrek.metrics import segmentation as masks
from mlrek.metrics.segmentation import count_masks, decode_mask

GREEN = (0x23, 0xA4, 0x36)
RED = (200, 0, 0)
WHITE = (255, 255, 255)

_MASKS = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.integers(-1, 2)
)
# Few values, so that pixels repeat and colours tie.
_BYTES = st.sampled_from([0, 1, 100, 127, 128, 200, 255])
_IMAGES = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(4)), elements=_BYTES
)
_COLOURS = st.dictionaries(st.integers(0, 5), st.tuples(_BYTES, _BYTES, _BYTES), max_size=4)


def _rgba(*pixels):
    return np.array([pixels], dtype=np.uint8)


def _decode(pixel, known):
    *rgb, alpha = pixel
    if alpha < 128 or not known:
        return -1
    apart = [sum((a - b) ** 2 for a, b in zip(rgb, rgb_, strict=True)) for _, rgb_ in known]
    return known[apart.index(min(apart))][0]


def test_smooth_edges_end_where_they_are_half_opaque():
    """The real masks of the service fade out at the border, on a transparent black background."""
    mask = _rgba((0, 0, 0, 0), (*GREEN, 1), (*GREEN, 127), (*GREEN, 128), (*GREEN, 255))

    assert decode_mask(mask, {0: GREEN}).tolist() == [[-1, -1, -1, 0, 0]]


def test_other_colours_go_to_the_nearest():
    """Pixels between two areas are mixtures."""
    mask = _rgba((190, 10, 10, 255), (60, 140, 50, 255), (250, 240, 255, 255))

    assert decode_mask(mask, {0: GREEN, 3: RED}, background=WHITE).tolist() == [[3, 0, -1]]


def test_without_a_background_colour_every_opaque_pixel_has_a_label():
    """Nothing says that white is no label."""
    assert decode_mask(_rgba((*WHITE, 255)), {0: GREEN, 3: RED}).tolist() == [[0]]


def test_ties_go_to_the_first_label_and_before_the_background():
    """Two names of one colour are one area."""
    mask = _rgba((*RED, 255))

    assert decode_mask(mask, {2: RED, 1: RED}, background=RED).tolist() == [[1]]


def test_without_colours_everything_is_background():
    """A mask of a normal image."""
    assert decode_mask(_rgba((*RED, 255)), {}).tolist() == [[-1]]


def test_an_empty_mask_has_no_pixels():
    """Also when it is no mask at all."""
    assert decode_mask(np.empty((0, 4, 4), dtype=np.uint8), {0: RED}).shape == (0, 4)


def test_a_mask_of_other_channels_is_refused():
    """Three channels would be read across pixels."""
    with pytest.raises(EvaluationError, match="no image of RGBA bytes"):
        decode_mask(np.zeros((2, 2, 3), dtype=np.uint8), {0: RED})


@given(_IMAGES, _COLOURS, st.none() | st.tuples(_BYTES, _BYTES, _BYTES), st.integers(1, 8))
def test_every_pixel_is_decoded_as_if_it_were_alone(mask, colours, background, block):
    """Repeated pixels are looked up once, in blocks of any size."""
    known = sorted(colours.items())
    if background is not None:
        known.append((-1, background))
    expected = [[_decode(pixel.tolist(), known) for pixel in row] for row in mask]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "_MAX_BLOCK", block)
        assert decode_mask(mask, colours, background).tolist() == expected


@given(st.data(), st.integers(1, 12))
def test_counts_are_scikit_learns_jaccard(data, block):
    """TP / (TP + FP + FN) of each label is the Jaccard score of its pixels."""
    mask_true = data.draw(_MASKS)
    mask_pred = data.draw(arrays.arrays(np.int32, mask_true.shape, elements=st.integers(-1, 2)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "_MAX_BLOCK", block)
        tp, fp, fn = count_masks(mask_true, mask_pred, 3)

    for label in range(3):
        true, pred = (mask_true == label).ravel(), (mask_pred == label).ravel()
        assert tp[label] == np.sum(true & pred)
        assert fp[label] == np.sum(~true & pred)
        assert fn[label] == np.sum(true & ~pred)
        if true.any() or pred.any():
            iou = tp[label] / (tp + fp + fn)[label]
            assert iou == pytest.approx(jaccard_score(true, pred), abs=1e-12)


def test_masks_of_unequal_size_are_refused():
    """Nothing says which pixels belong together."""
    with pytest.raises(EvaluationError, match="differ in size"):
        count_masks(np.zeros((2, 2), dtype=int), np.zeros((2, 3), dtype=int), 1)


@pytest.mark.parametrize("code", [-2, 2])
def test_a_code_without_label_is_refused(code):
    """Counts of it would be lost."""
    with pytest.raises(EvaluationError, match="no label"):
        count_masks(np.full((1, 1), code), np.zeros((1, 1), dtype=int), 2)


def test_empty_masks_count_nothing():
    """No pixels at all is a case of its own."""
    none = np.empty((0, 0), dtype=int)

    assert [counts.tolist() for counts in count_masks(none, none, 2)] == [[0, 0]] * 3
