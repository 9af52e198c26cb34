"""What a figure is drawn on that nobody but mlrek will see: it becomes pixels, and nothing else.

A sheet takes what a matplotlib figure takes, in the same places, and has its pixels to the bit. It
makes none of matplotlib's figures, axes and texts, which cost more than all the lines drawn on
them; what is drawn are matplotlib's own lines, meshes and shapes.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import Collection
from matplotlib.transforms import (
    Affine2D,
    Affine2DBase,
    Bbox,
    BboxTransformFrom,
    BboxTransformTo,
    TransformedBbox,
)
from numpy.typing import NDArray

from mlrek.figures.paint import Words, lay_words


class _Written(NamedTuple):
    words: Words
    x: float
    y: float
    colour: str


class _Surface:
    """Where artists and texts are put, in coordinates of its own."""

    def __init__(self) -> None:
        self.artists: list[Artist] = []
        self.texts: list[_Written] = []

    def add_artist(self, artist: Artist) -> None:
        """Draw it, above what was added before; those with a larger `zorder` above them all."""
        self.artists.append(artist)

    def text(  # noqa: PLR0913 as matplotlib's own
        self,
        x: float,
        y: float,
        text: str,
        *,
        fontsize: float,
        family: Sequence[str],
        color: str,
        verticalalignment: str,
        horizontalalignment: str = "left",
        fontweight: str = "normal",
        rotation: float = 0,
        rotation_mode: str = "default",
        **_never: bool,
    ) -> None:
        """Write a text, above all else; `parse_math` and `usetex` are False in any case."""
        words = Words(
            text=text,
            family=tuple(family),
            weight=fontweight,
            size=float(fontsize),
            rotation=float(rotation),
            rotation_mode=rotation_mode,
            horizontal=horizontalalignment,
            vertical=verticalalignment,
        )
        self.texts.append(_Written(words, x, y, color))


class Pane(_Surface):
    """A part of a sheet with data coordinates, as bare axes are of a figure."""

    def __init__(self, share: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.share = share
        self._xlim = self._ylim = (0.0, 1.0)

    def set_xlim(self, left: float, right: float) -> None:
        """The data coordinates of the left and the right edge."""
        self._xlim = (left, right)

    def set_ylim(self, bottom: float, top: float) -> None:
        """The data coordinates of the lower and the upper edge."""
        self._ylim = (bottom, top)

    def get_ylim(self) -> tuple[float, float]:
        """The data coordinates of the lower and the upper edge."""
        return self._ylim

    def add_collection(self, collection: Collection, **_autolim: Literal[False]) -> None:
        """The same as `add_artist`; the limits stay."""
        self.add_artist(collection)

    def place(self, around: Affine2DBase) -> tuple[Affine2D, Bbox]:
        """From its data to the pixels of the sheet, and what of these it covers."""
        box = TransformedBbox(Bbox.from_bounds(*self.share), around).frozen()
        (left, right), (bottom, top) = self._xlim, self._ylim
        limits = BboxTransformFrom(Bbox([[left, bottom], [right, top]]))
        return Affine2D(np.dot(BboxTransformTo(box).get_matrix(), limits.get_matrix())), box


class Sheet(_Surface):
    """As large as a figure of so many inches; `ground` lies below all else, from 0 to 1."""

    def __init__(self, size: tuple[float, float], dpi: float, ground: Artist) -> None:
        super().__init__()
        self._size, self._dpi, self._ground = size, dpi, ground
        self._panes: list[Pane] = []

    def get_figheight(self) -> float:
        """Its height in inches."""
        return self._size[1]

    def add_pane(self, share: tuple[float, float, float, float]) -> Pane:
        """A pane at left, bottom, width and height, each as a share of the sheet."""
        pane = Pane(share)
        self._panes.append(pane)
        return pane

    def paint(self) -> NDArray[np.uint8]:
        """Its pixels with a fourth byte for each, (height, width, 4). A sheet is painted once."""
        inches = Bbox([[0, 0], self._size])
        box = TransformedBbox(inches, Affine2D().scale(self._dpi)).frozen()
        whole = Affine2D(BboxTransformTo(box).get_matrix())
        renderer = RendererAgg(*box.size, self._dpi)  # type: ignore[no-untyped-call]
        self._ground.set_transform(whole)
        self._ground.draw(renderer)
        written = [(self.texts, whole)]
        for pane in self._panes:
            transform, clip = pane.place(whole)
            for artist in pane.artists:
                artist.set_transform(transform)
                artist.set_clip_box(clip)
            _draw(pane.artists, renderer)
            written.append((pane.texts, transform))
        for artist in self.artists:
            artist.set_transform(whole)
        _draw(self.artists, renderer)
        pixels = np.asarray(renderer.buffer_rgba())  # type: ignore[no-untyped-call]
        for texts, transform in written:
            for text in texts:
                at = transform.transform((text.x, text.y)).tolist()
                lay_words(pixels, text.words, at, text.colour, renderer)
        return pixels


def _draw(artists: Iterable[Artist], renderer: RendererAgg) -> None:
    for artist in sorted(artists, key=lambda artist: artist.zorder):
        artist.draw(renderer)
