"""Many short texts as one shape: a heat map of 25 labels has over a thousand, each slow alone."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray
from mlrek.figures.fonts import MAIN_FAMILY, text_width

_DIGIT_HEIGHT: Final = 0.73  # of DejaVu Sans, in font sizes


class Numeral(NamedTuple):
    """A text of digits and signs, centred on a point of axes whose y axis points down."""

    x: float
    y: float
    text: str
    size: float


def add_numerals(axes: Axes, numerals: Iterable[Numeral], colour: str) -> None:
    """Draw all numerals of one colour. Data coordinates of the axes are points."""
    places: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for numeral in numerals:
        x = numeral.x - text_width(numeral.text, numeral.size) / 2
        y = numeral.y + _DIGIT_HEIGHT * numeral.size / 2
        for character in numeral.text:
            places[character].append((x, y, numeral.size))
            x += text_width(character, numeral.size)
    if places:
        shapes = [_repeat(character, np.array(spots)) for character, spots in places.items()]
        vertices, codes = (np.concatenate(parts) for parts in zip(*shapes, strict=True))
        # add_patch would look for the extremes of every curve of every digit first
        axes.add_artist(PathPatch(Path(vertices, codes), facecolor=colour, linewidth=0))


def _repeat(character: str, spots: FloatArray) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Vertices and codes of a character at each spot: x, y of its base line, and size, (n, 3)."""
    outline, codes = _outline(character)
    vertices = outline * (spots[:, 2, None, None] * (1, -1)) + spots[:, None, :2]
    return vertices.reshape(-1, 2), np.tile(codes, len(spots))


@lru_cache(maxsize=64)
def _outline(character: str) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Vertices (n, 2) and codes of a character of size 1; y points up from the base line."""
    font = FontProperties(family=MAIN_FAMILY)
    path = TextPath((0, 0), character, size=100, prop=font, usetex=False)
    return np.asarray(path.vertices, dtype=np.float64) / 100, np.asarray(path.codes, dtype=np.uint8)
