"""Which images are set aside together: folds for cross-fitting, parts of them for intervals.

Both follow from the SHA-256 of an image's key alone (its URI, or its group where groups are given),
so that no order of lines and no other image's answers change them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np

from mlrek.evaluation import IntArray

N_FOLDS: Final = 5
PARTS: Final = 4
"""Each fold is cut into so many parts: an interval leaves out one part of one fold at a time."""

_PREFIX: Final = 8  # bytes of a digest by which the keys of a fold are put in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """The fold and the part of each image: `part` is 0 to 19, its fold is `part // PARTS`.

    `part` (n_images,). `n_keys` distinct keys stand behind the images.
    """

    part: IntArray
    n_keys: int

    @property
    def fold(self) -> IntArray:
        """The fold of each image, 0 to 4, (n_images,)."""
        return self.part // PARTS


def deal_folds(keys: Sequence[str]) -> Folds:
    """Deal images out to folds, and the keys of each fold to parts of equal size.

    The fold of a key is its SHA-256 (of UTF-8, as a whole number) modulo 5. Within a fold the keys
    in order of their digests go to the parts in turn.

    Args:
        keys: Of each image: its URI, or the name of its group.

    >>> deal_folds(["s3://b/1.jpg", "s3://b/2.jpg"]).fold.tolist()
    [0, 0]
    """
    codes: dict[str, int] = {}
    places = np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)
    digests = b"".join(sha256(key.encode("utf-8", "surrogatepass")).digest() for key in codes)
    columns = np.frombuffer(digests, dtype=np.uint8).reshape(-1, sha256().digest_size)
    fold = columns.sum(axis=1, dtype=np.int64) % N_FOLDS  # 256 % 5 is 1: the number's own remainder
    first = np.ascontiguousarray(columns[:, :_PREFIX]).view(">u8")[:, 0]
    order = np.lexsort((first, fold))
    sizes = np.bincount(fold, minlength=N_FOLDS)
    turn = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    part = np.empty(len(codes), dtype=np.int64)
    part[order] = fold[order] * PARTS + turn % PARTS
    return Folds(part=part[places], n_keys=len(codes))
