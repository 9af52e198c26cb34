"""From pixels to places in a palette."""

from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlrek.figures.paint import index_colours, open_pixels
from mlrek.figures.style import encode_codes


def show(indexed):
    """The pixels that places in a palette stand for."""
    return indexed.palette[indexed.codes]


@given(seed=st.integers(0, 2**32 - 1), colours=st.integers(1, 200))
def test_few_colours_stay_exact(seed, colours):
    """Colours that differ by more than a step of 8 are all there, in any order and of any size."""
    rng = np.random.default_rng(seed)
    palette = rng.choice(32**3, colours, replace=False)[:, None] // [1, 32, 1024] % 32 * 8
    pixels = palette[rng.integers(0, colours, rng.integers(1, 40, 2))].astype(np.uint8)
    indexed = index_colours(pixels)
    assert len(indexed.palette) <= 256
    assert (show(indexed) == pixels).all()


def test_pixels_as_agg_leaves_them_are_the_same():
    """With a fourth byte for each pixel or without: equal pixels give equal places."""
    padded = np.random.default_rng(0).integers(0, 4, (30, 20, 4)).astype(np.uint8) * 60
    one, other = index_colours(padded[..., :3]), index_colours(padded[..., :3].copy())
    assert (one.codes == other.codes).all()
    assert (one.palette == other.palette).all()
    assert (np.asarray(open_pixels(padded[..., :3])) == padded[..., :3]).all()


def test_a_part_of_pixels_is_not_taken_for_the_whole():
    """A view that leaves out the first byte, or rows, is read as it is."""
    padded = np.random.default_rng(0).integers(0, 4, (30, 20, 4)).astype(np.uint8) * 60
    for part in (padded[..., 1:], padded[3:, :, :3], padded[::-1, :, :3], padded[..., 2::-1]):
        assert (show(index_colours(part)) == part).all()


def test_many_colours_become_the_most_frequent_ones():
    """A blend of two colours errs by less than an eye sees; what covers most stays exact."""
    shares = np.linspace(0, 1, 2000)[:, None]
    blend = np.rint(shares * (0, 114, 178) + (1 - shares) * (234, 237, 241)).astype(np.uint8)
    pixels = np.concatenate([np.full((50, 2000, 3), (234, 237, 241), np.uint8), blend[None]])
    shown = show(index_colours(pixels, 61)).astype(int)
    assert (shown[:50] == pixels[:50]).all()
    assert abs(shown[50] - pixels[50]).max() <= 8


def test_a_photograph_has_colours_as_pillow_chooses_them():
    """No colour of it is frequent, so that the most frequent ones would leave out whole parts."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    few = Image.fromarray(pixels).quantize(256, method=Image.Quantize.FASTOCTREE, dither=0)
    assert (show(index_colours(pixels)) == np.asarray(few.convert("RGB"))).all()


@given(seed=st.integers(0, 2**32 - 1), colours=st.integers(1, 256))
def test_a_file_of_places_in_a_palette_is_what_pillow_reads(seed, colours):
    """Of any size and number of colours: whole, with right check sums, and the same pixels."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colours, 3)).astype(np.uint8)
    codes = rng.integers(0, colours, rng.integers(1, 40, 2)).astype(np.uint8)
    content = encode_codes(codes, palette)
    Image.open(BytesIO(content)).verify()
    assert (np.asarray(Image.open(BytesIO(content)).convert("RGB")) == palette[codes]).all()
