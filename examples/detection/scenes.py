"""Scenes: real handwritten digits of many sizes laid out on a grey canvas, with clutter between."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 128, 96
LEVELS = 15  # the brightest grey
DIGITS_A_SCENE = (1, 5)
DIGIT_SIZES = (14, 58)  # pixels, before the margins go
CLUTTER_SIZES = (6, 26)
MAX_OVERLAP = 0.02
INK = 0.3  # of the strongest ink: what belongs to a digit's box

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """`grey` is (96, 128), values 0 to 15; `boxes_xyxy` (n, 4) and `digits` (n,) are the truth.

    `cells_xyxy` (n, 4) are the squares that the digits' images cover, margins and all.
    """

    grey: NDArray[np.uint8]
    boxes_xyxy: Ints
    cells_xyxy: Ints
    digits: Ints


def make_scenes(
    images: Floats, y_true: Ints, scraps: Floats, *, count: int, salt: str
) -> list[Scene]:
    """Scenes of the images, in their order; scraps are images to cut clutter from."""
    supply = cycle(zip(images, y_true.tolist(), strict=True))
    return [make_scene(supply, scraps, Random(f"{salt}/{n}")) for n in range(count)]


def make_scene(supply: Iterator[tuple[Floats, int]], scraps: Floats, dice: Random) -> Scene:
    """One scene with the next few images of the supply."""
    light = np.zeros((HEIGHT, WIDTH))
    boxes: list[Box] = []
    cells: list[Box] = []
    digits: list[int] = []
    for _ in range(_roll(dice, *DIGITS_A_SCENE)):
        image, digit = next(supply)
        cell, box, ink = _find_room(image / image.max(), boxes, dice)
        _draw(light, ink * (0.5 + 0.5 * dice.random()), *cell[:2])
        boxes.append(box)
        cells.append(cell)
        digits.append(digit)
    for _ in range(_roll(dice, 2, 6)):
        _draw_clutter(light, boxes, scraps, dice)
    grey = _put_on_background(light, dice)
    truth = (np.array(column) for column in (boxes, cells, digits))
    return Scene(grey, *truth)


def _find_room(image: Floats, boxes: list[Box], dice: Random) -> tuple[Box, Box, Floats]:
    """A place of a random size for a digit, where no other is: its cell, its box and its ink."""
    while True:
        ink = enlarge(image, size := _roll_size(dice))
        x0, y0 = _roll(dice, 0, WIDTH - size), _roll(dice, 0, HEIGHT - size)
        box = _shift(find_ink(ink), x0, y0)
        if all(compute_iou(np.array([box]), np.array([b]))[0, 0] <= MAX_OVERLAP for b in boxes):
            return (x0, y0, x0 + size, y0 + size), box, ink


def enlarge(image: Floats, size: int) -> Floats:
    """An image of 8 x 8 values as one of `size` x `size`, bilinear."""
    at = np.clip((np.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
    low = np.minimum(at.astype(int), 6)
    weights = np.zeros((size, 8))
    weights[np.arange(size), low] = 1 - (at - low)
    weights[np.arange(size), low + 1] = at - low
    return weights @ image @ weights.T


def find_ink(ink: Floats) -> Box:
    """The box (x0, y0, x1, y1) around all pixels with enough of the strongest ink."""
    strong = ink >= INK * ink.max()
    x, y = np.flatnonzero(strong.any(axis=0)), np.flatnonzero(strong.any(axis=1))
    return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1


def compute_iou(a_xyxy: Floats | Ints, b_xyxy: Floats | Ints) -> Floats:
    """Intersection over union of each box of `a` with each of `b`, (len(a), len(b))."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    return shared / (_compute_area(a_xyxy)[:, None] + _compute_area(b_xyxy) - shared)


def _compute_area(boxes_xyxy: Floats | Ints) -> Floats | Ints:
    return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)


def _draw_clutter(light: Floats, boxes: list[Box], scraps: Floats, dice: Random) -> None:
    """Half a digit, a bar or a frame; not drawn where it would cover a digit."""
    size = _roll(dice, *CLUTTER_SIZES)
    kind = ("half", "bar", "frame")[_roll(dice, 0, 2)]
    shape = _CLUTTER[kind](size, scraps[_roll(dice, 0, len(scraps) - 1)], dice)
    height, width = shape.shape
    x0, y0 = _roll(dice, 0, WIDTH - width), _roll(dice, 0, HEIGHT - height)
    box = np.array([(x0, y0, x0 + width, y0 + height)])
    if compute_iou(box, np.array(boxes)).max() == 0:
        _draw(light, shape * (0.3 + 0.7 * dice.random()), x0, y0)


def _cut_half(size: int, scrap: Floats, dice: Random) -> Floats:
    """The upper, lower, left or right half of a real digit."""
    turned = np.rot90(
        enlarge(scrap / scrap.max(), size)[: max(3, size // 2)], 2 * _roll(dice, 0, 1)
    )
    return turned if dice.random() < 0.5 else turned.T  # noqa: PLR2004 (a coin)


def _make_bar(size: int, _scrap: Floats, dice: Random) -> Floats:
    """A straight stroke, upright or level."""
    bar = np.ones((size, _roll(dice, 1, 4)))
    return bar if dice.random() < 0.5 else bar.T  # noqa: PLR2004 (same)


def _make_frame(size: int, _scrap: Floats, dice: Random) -> Floats:
    """A square that is hollow."""
    frame = np.ones((size, size))
    edge = _roll(dice, 1, 3)
    frame[edge:-edge, edge:-edge] = 0
    return frame


_CLUTTER = {"half": _cut_half, "bar": _make_bar, "frame": _make_frame}


def _put_on_background(light: Floats, dice: Random) -> NDArray[np.uint8]:
    """Light shapes on a dark ground that brightens a little from one side to the other."""
    ground = _roll(dice, 0, 3) + dice.random() * 3 * np.linspace(0, 1, WIDTH)
    return (ground + light * (LEVELS - ground)).round().astype(np.uint8)


def _draw(light: Floats, shape: Floats, x0: int, y0: int) -> None:
    part = light[y0 : y0 + shape.shape[0], x0 : x0 + shape.shape[1]]
    np.maximum(part, shape, out=part)


def _shift(box: Box, x: int, y: int) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _roll(dice: Random, low: int, high: int) -> int:
    """One of the whole numbers from low to high; `random()` alone is the same in every Python."""
    return low + int(dice.random() * (high - low + 1))


def _roll_size(dice: Random) -> int:
    """A size of a digit: each doubling is as likely."""
    low, high = DIGIT_SIZES
    return int(low * (high / low) ** dice.random())
