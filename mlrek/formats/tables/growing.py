"""Arrays that grow as a table is read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class GrowingColumn:
    """An array that grows at its end, in place: many small ones would scatter the memory."""

    def __init__(self, *shape: int, dtype: Any) -> None:
        self._values = np.empty((0, *shape), dtype=dtype)
        self._n = 0

    def append(self, part: NDArray[Any]) -> None:
        """Append rows."""
        end = self._n + len(part)
        if end > len(self._values):
            n = max(end, len(self._values) * 5 // 4)
            self._values.resize((n, *self._values.shape[1:]), refcheck=False)
        self._values[self._n : end] = part
        self._n = end

    def finish(self) -> NDArray[Any]:
        """All rows."""
        self._values.resize((self._n, *self._values.shape[1:]), refcheck=False)
        return self._values
