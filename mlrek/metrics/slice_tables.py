"""The slices of each column side by side, and sums of image scores over all of them at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray
from mlrek.metrics.image_scores import ImageScores
from mlrek.metrics.slices import Slice
from mlrek.metrics.two_samples import Sums

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Images that count and that one slice has, or several do; `column` is that of the first."""

    column: str
    names: tuple[str, ...]
    images: IntArray


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The slices of one column, which are `parts` (n_slices,) among all.

    `codes` (n,) is the place among them of each image, `n_slices` for none. Where an image may be
    in several slices, `image_idx` (n,) tells the image of each code; else None.
    """

    column: str
    parts: IntArray
    codes: Codes
    image_idx: IntArray | None = None

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.parts)

    @cached_property
    def matrix(self) -> sp.csr_array:
        """Which images are in which slice, (n_images, n_slices)."""
        images = np.arange(len(self.codes)) if self.image_idx is None else self.image_idx
        kept = self.codes < self.n_slices
        cells = (images[kept], self.codes[kept])
        n_images = int(images.max(initial=-1)) + 1
        return sp.csr_array((np.ones(kept.sum()), cells), shape=(n_images, self.n_slices))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSums:
    """Pairs of slices of different columns: `first` and `second` (n,) are parts, `common` sums."""

    first: IntArray
    second: IntArray
    common: Sums


def keep_large(
    slices: Sequence[Slice], scores: ImageScores, min_images: int
) -> tuple[list[ImageSet], int]:
    """The slices with images enough that count, and how many slices have too few."""
    counted = scores.counted
    all_count = counted.all()
    found = [
        ImageSet(
            column=one.column,
            names=(one.name,),
            images=one.images if all_count else one.images[counted[one.images]],
        )
        for one in slices
    ]
    large = [one for one in found if len(one.images) >= min_images]
    return large, len(found) - len(large)


def join_same(parts: Sequence[ImageSet]) -> list[ImageSet]:
    """One part for each set of images, with all its names."""
    joined: list[ImageSet] = []
    alike: dict[tuple[int, ...], list[int]] = {}
    for part in parts:
        key = (len(part.images), *part.images[:: max(1, len(part.images) // 8)].tolist())
        places = alike.setdefault(key, [])
        same = [i for i in places if np.array_equal(joined[i].images, part.images)]
        if same:
            known = joined[same[0]]
            joined[same[0]] = replace(known, names=(*known.names, *part.names))
        else:
            places.append(len(joined))
            joined.append(part)
    return joined


def lay_out(parts: Sequence[ImageSet], evaluation: Evaluation, counted: BoolArray) -> list[Layer]:
    """The columns of the parts, in the order in which they come."""
    known = {one.name: one.codes for one in evaluation.slice_columns if one.codes is not None}
    all_count = counted.all()
    by_column: dict[str, list[int]] = {}
    for i, part in enumerate(parts):
        by_column.setdefault(part.column, []).append(i)
    return [
        _lay_known(
            name, places, parts, known[name] if all_count else np.where(counted, known[name], -1)
        )
        if name in known
        else _lay_column(name, places, parts, len(counted))
        for name, places in by_column.items()
    ]


def _lay_known(
    name: str, places: Sequence[int], parts: Sequence[ImageSet], values: IntArray
) -> Layer:
    """Of a column whose value of each image is known, -1 for none: one look in a small table."""
    lookup = np.full(int(values.max(initial=-1)) + 2, len(places), dtype=np.int64)
    for code, i in enumerate(places):
        lookup[values[parts[i].images[0]]] = code
    return Layer(column=name, parts=np.array(places), codes=lookup[values])


def _lay_column(
    name: str, places: Sequence[int], parts: Sequence[ImageSet], n_images: int
) -> Layer:
    codes = np.full(n_images, len(places), dtype=np.int64)
    for code, i in enumerate(places):
        codes[parts[i].images] = code
    sizes = [len(parts[i].images) for i in places]
    image_idx = None
    if np.count_nonzero(codes < len(places)) < sum(sizes):
        image_idx = np.concatenate([parts[i].images for i in places])
        codes = np.repeat(np.arange(len(places)), sizes)
    return Layer(column=name, parts=np.array(places), codes=codes, image_idx=image_idx)


def find_common(
    first: int, second: int, parts: Sequence[ImageSet], layers: Sequence[Layer]
) -> IntArray:
    """The images that two parts have in common, rising."""
    for one, other in ((first, second), (second, first)):
        layer = next(layer for layer in layers if other in layer.parts)
        if layer.image_idx is None:
            code = int(np.flatnonzero(layer.parts == other)[0])
            images = parts[one].images
            return np.asarray(images[layer.codes[images] == code])
    return np.intersect1d(parts[first].images, parts[second].images, assume_unique=True)


class ScoreSums:
    """Sums of the scores of images; of right and wrong ones the rarer kind alone is looked at."""

    def __init__(self, scores: ImageScores) -> None:
        self._is_share = scores.is_share
        self._values = np.nan_to_num(scores.values)
        known = scores.values[scores.counted]
        self.whole = Sums(
            n=np.array([len(known)]),
            total=np.array([known.sum()]),
            squares=np.array([np.square(known).sum()]),
            cubes=np.array([(known**3).sum()]),
        )
        self._are_mostly_right = bool(2 * known.sum() > len(known))
        rarer = 0.0 if self._are_mostly_right else 1.0
        self._rarer = np.flatnonzero(scores.values == rarer)

    def sum_slices(self, layers: Sequence[Layer], parts: Sequence[ImageSet]) -> Sums:
        """Of each part, (n_parts,)."""
        sums = _make_zeros(len(parts))
        for layer in layers:
            n = np.array([len(parts[i].images) for i in layer.parts.tolist()])
            found = self.sum_codes(layer.codes, layer.image_idx, layer.n_slices, n)
            sums.n[layer.parts] = found.n
            sums.total[layer.parts] = found.total
            sums.squares[layer.parts] = found.squares
            sums.cubes[layer.parts] = found.cubes
        return sums

    def sum_codes(
        self, codes: Codes, image_idx: IntArray | None, size: int, n: IntArray | None = None
    ) -> Sums:
        """Of each code below `size`; `image_idx` are the images of codes, all in order if None.

        `n` (size,) is how often each code is there, where it is known.
        """
        if n is None:
            n = np.bincount(codes, minlength=size)[:size]
        if self._is_share and image_idx is None:
            rarer = np.bincount(codes[self._rarer], minlength=size)[:size]
            right = (n - rarer if self._are_mostly_right else rarer).astype(np.float64)
            return Sums(n=n, total=right, squares=right, cubes=right)
        values = self._values if image_idx is None else self._values[image_idx]
        total = _add_up(codes, values, size)
        if self._is_share:
            return Sums(n=n, total=total, squares=total, cubes=total)
        squares, cubes = (_add_up(codes, values**power, size) for power in (2, 3))
        return Sums(n=n, total=total, squares=squares, cubes=cubes)

    def sum_pairs(self, layers: Sequence[Layer], min_images: int) -> PairSums:
        """Of all pairs of different columns with images enough in common."""
        found = [
            pairs
            for i, first in enumerate(layers)
            for second in layers[i + 1 :]
            for pairs in self._sum_pair(first, second, min_images)
        ]
        if not found:
            none = np.zeros(0, dtype=np.int64)
            return PairSums(first=none, second=none, common=_make_zeros(0))
        return PairSums(
            first=np.concatenate([one.first for one in found]),
            second=np.concatenate([one.second for one in found]),
            common=Sums(
                n=np.concatenate([one.common.n for one in found]),
                total=np.concatenate([one.common.total for one in found]),
                squares=np.concatenate([one.common.squares for one in found]),
                cubes=np.concatenate([one.common.cubes for one in found]),
            ),
        )

    def _sum_pair(self, first: Layer, second: Layer, min_images: int) -> Iterator[PairSums]:
        width = second.n_slices + 1
        sums = self._sum_cells(first, second)
        kept = np.flatnonzero(sums.n >= min_images)
        kept = kept[(kept % width < second.n_slices) & (kept // width < first.n_slices)]
        if len(kept):
            yield PairSums(
                first=first.parts[kept // width],
                second=second.parts[kept % width],
                common=sums.take(kept),
            )

    def _sum_cells(self, first: Layer, second: Layer) -> Sums:
        """Of each cell of a table with one row and one column more, for images in no slice."""
        width = second.n_slices + 1
        size = (first.n_slices + 1) * width
        if first.image_idx is None and second.image_idx is None:
            return self.sum_codes(first.codes * width + second.codes, None, size)
        if second.image_idx is None:
            codes = first.codes * width + second.codes[first.image_idx]
            return self.sum_codes(codes, first.image_idx, size)
        if first.image_idx is None:
            codes = first.codes[second.image_idx] * width + second.codes
            return self.sum_codes(codes, second.image_idx, size)
        return self._multiply(first, second, width)

    def _multiply(self, first: Layer, second: Layer, width: int) -> Sums:
        n = max(layer.matrix.shape[0] for layer in (first, second))
        a, b = (_heighten(layer.matrix, n) for layer in (first, second))

        def multiply(values: FloatArray) -> FloatArray:
            table = np.zeros((first.n_slices + 1, width))
            table[:-1, :-1] = (a.T @ sp.diags_array(values[:n]) @ b).toarray()
            return table.ravel()

        values = self._values
        return Sums(
            n=multiply(np.ones(n)).astype(np.int64),
            total=multiply(values),
            squares=multiply(values**2),
            cubes=multiply(values**3),
        )


def _add_up(codes: Codes, values: FloatArray, size: int) -> FloatArray:
    """Sums of the values of each code below `size`, (size,)."""
    sums = np.bincount(codes, weights=values, minlength=size)[:size]
    return np.asarray(sums, dtype=np.float64)


def _heighten(matrix: sp.csr_array, n_rows: int) -> sp.csr_array:
    return sp.csr_array(
        (matrix.data, matrix.indices, np.pad(matrix.indptr, (0, n_rows - matrix.shape[0]), "edge")),
        shape=(n_rows, matrix.shape[1]),
    )


def _make_zeros(n: int) -> Sums:
    return Sums(
        n=np.zeros(n, dtype=np.int64), total=np.zeros(n), squares=np.zeros(n), cubes=np.zeros(n)
    )
