"""Columns that grow as a table is read: numbers, and the images of rows as codes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from mlrek.evaluation import IntArray, Names
from mlrek.formats.tables.batches import to_text_column

_IMAGES_AT_ONCE: Final = 1 << 18
_NOWHERE: Final = -1


class GrowingColumn:
    """An array that grows at its end, in place: many small ones would scatter the memory."""

    def __init__(self, *shape: int, dtype: Any) -> None:
        self._values = np.empty((0, *shape), dtype=dtype)
        self._n = 0

    def append(self, part: NDArray[Any]) -> None:
        """Append rows."""
        end = self._n + len(part)
        if end > len(self._values):
            n = max(end, len(self._values) * 9 // 8)
            self._values.resize((n, *self._values.shape[1:]), refcheck=False)
        self._values[self._n : end] = part
        self._n = end

    def finish(self) -> NDArray[Any]:
        """All rows."""
        self._values.resize((self._n, *self._values.shape[1:]), refcheck=False)
        return self._values


@dataclass(slots=True)
class ImageCodes:
    """Codes of the images of rows in the order in which they come up.

    Rows of one image mostly follow each other: such a run counts as one, also where it goes on in
    the next batch. `waiting` are the images of runs, and the lengths of these. While names rise
    from run to run, none comes up twice, and nothing is looked up. In any other order the images
    of many batches are looked up at once, by Arrow, as there may be millions.
    """

    known: pa.Array = field(default_factory=lambda: pa.array([], pa.large_string()))
    waiting: list[tuple[pa.Array, IntArray]] = field(default_factory=list)
    n_waiting: int = 0
    n_looked_up: int = 0
    last: str = ""
    rises: bool = True
    column: GrowingColumn = field(default_factory=lambda: GrowingColumn(dtype=np.int32))

    def add(self, column: pa.Array) -> int:
        """Code a column, at the latest when `finish` is called; its first empty cell, or -1.

        Raises:
            ArrowInvalid: A name is no text in UTF-8.
        """
        texts = column if pa.types.is_string(column.type) else to_text_column(column)
        runs = pa.compute.run_end_encode(texts)
        images, ends = to_text_column(runs.values), runs.run_ends.to_numpy()
        lengths = pa.compute.binary_length(images).fill_null(0)
        if (empty := pa.compute.index(lengths, 0).as_py()) >= 0:
            return int(ends[empty - 1]) if empty else 0
        images.validate(full=True)
        if len(images):
            self._wait(images, np.diff(ends, prepend=ends.dtype.type(0)))
        return _NOWHERE

    def _wait(self, images: pa.Array, counts: IntArray) -> None:
        before, self.last = self.last, images[-1].as_py()
        if images[0].as_py() == before and self.waiting:
            self.waiting[-1][1][-1] += counts[0]
            images, counts = images[1:], counts[1:]
            if not len(images):
                return
        self.rises = self.rises and before < images[0].as_py() and _rise(images)
        self.waiting.append((images, counts))
        self.n_waiting += len(images)
        if not self.rises and self.n_waiting >= max(_IMAGES_AT_ONCE, len(self.known)):
            self._code()

    def finish(self) -> tuple[Names, IntArray]:
        """All images, and the code of each row."""
        if not self.rises:
            self._code()
            images, self.known = join_names([self.known]), pa.nulls(0, pa.large_string())
            return images, self.column.finish()
        counts = self._count_waiting()
        images, self.waiting = join_names([part for part, _ in self.waiting], rises=True), []
        return images, np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    def _code(self) -> None:
        n_known = len(self.known)
        images = pa.concat_arrays([self.known, *(images for images, _ in self.waiting)])
        counts = self._count_waiting()
        self.waiting, self.n_waiting = [], 0
        coded = images.dictionary_encode()
        codes, self.known = coded.indices.to_numpy()[n_known:], coded.dictionary
        self.column.append(np.repeat(codes, counts))
        self.n_looked_up += len(images)

    def _count_waiting(self) -> IntArray:
        """How many rows each of the images has that wait."""
        return np.concatenate([np.zeros(0, dtype=np.int32), *(n for _, n in self.waiting)])


def join_names(parts: Sequence[pa.Array], *, rises: bool = False) -> Names:
    """Large texts of Arrow, none of them empty cells, as names."""
    texts, lengths = [], [np.zeros(1, dtype=np.int64)]
    for part in filter(len, parts):
        offsets = np.frombuffer(part.buffers()[1], dtype=np.int64)[part.offset :][: len(part) + 1]
        texts.append(memoryview(part.buffers()[2] or b"")[offsets[0] : offsets[-1]])
        lengths.append(np.diff(offsets))
    return Names(b"".join(texts), np.cumsum(np.concatenate(lengths)), rises=rises)


def _rise(texts: pa.Array) -> bool:
    """Whether each text is above the one before it, in the order of its bytes."""
    return bool(pa.compute.all(pa.compute.greater(texts[1:], texts[:-1])).as_py() is not False)
