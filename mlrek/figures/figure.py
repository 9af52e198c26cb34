"""matplotlib's own figures, for somebody who asks for one; it is imported only for these."""

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure


class Picture(Figure):
    """A figure that notebooks show by itself: without pyplot nothing else tells them how."""

    def __init__(self, encode: Callable[[Figure], bytes], **look: Any) -> None:
        super().__init__(**look)
        self._encode = encode

    def _repr_png_(self) -> bytes:
        return self._encode(self)


class BareAxes(Axes):
    """Axes that show no axis: nearly all that it costs to make some are their ticks."""

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _BareXAxis(self, clear=False), _BareYAxis(self, clear=False)


class _BareXAxis(XAxis):
    def _keep(self, *_args: object, **_look: object) -> None:
        """Nothing: to turn off a grid, say, ticks would be made first."""

    grid = set_clip_path = set_tick_params = _keep


class _BareYAxis(YAxis):
    grid = set_clip_path = set_tick_params = _BareXAxis.grid
