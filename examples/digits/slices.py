"""How thick and how slanted each digit is written, by the pixels alone: `slices.csv`.

`mlrek sync examples/digits --slices examples/digits/slices.csv` then shows how a version does on
thin and thick, upright and slanted digits. Of an image with grey levels g, 0 (paper) to 1 (ink):

- stroke width, in pixels: 2 · Σ g / Σ |∇g|. A stroke of width w and length l has the area w · l and
  an outline of 2 · l; the second sum is the length of the outline, also where edges are grey.
- slant, in degrees to the right: the angle whose tangent is μ11 / μ02, by the central moments of
  the ink. So far a row of pixels is shifted for each row that it lies higher.
"""

import numpy as np
from published import Floats, image_name

HEADER = "image,stroke_width,slant"
FULL = 16  # the darkest grey level
SIDE = 8


def describe_slices(numbers: list[int], pixels: Floats) -> bytes:
    """The table of these images, a row each."""
    ink = pixels[numbers].reshape(-1, SIDE, SIDE) / FULL
    columns = zip(numbers, compute_stroke_width(ink), compute_slant(ink), strict=True)
    rows = (f"s3://digits/{image_name(i)},{width:.2f},{slant:.1f}" for i, width, slant in columns)
    return "".join(f"{line}\n" for line in (HEADER, *rows)).encode()


def compute_stroke_width(ink: Floats) -> Floats:
    """The mean width of the strokes of each image, (n,); `ink` is (n, side, side)."""
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))  # an outline ends at the edge of the image
    down = np.diff(padded, axis=1, append=0)
    right = np.diff(padded, axis=2, append=0)
    outline = np.hypot(down, right).sum(axis=(1, 2))
    return np.asarray(2 * ink.sum(axis=(1, 2)) / outline, dtype=np.float64)


def compute_slant(ink: Floats) -> Floats:
    """How far each image leans to the right, in degrees, (n,)."""
    y, x = -np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]  # y upwards
    total = ink.sum(axis=(1, 2))
    dx = x - ((ink * x).sum(axis=(1, 2)) / total)[:, None, None]
    dy = y - ((ink * y).sum(axis=(1, 2)) / total)[:, None, None]
    shift, height = ((ink * part * dy).sum(axis=(1, 2)) for part in (dx, dy))
    return np.asarray(np.degrees(np.arctan2(shift, height)), dtype=np.float64)
