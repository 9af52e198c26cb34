"""What the readers of files with a line per image share: bad lines, and ragged columns.

One malformed line fails the file, or all are left out and counted. Of what was read, each image has
any number of rows: `offsets` (n_images + 1,) tell where those of each begin and end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import BoolArray, Boxes, Doubt, DoubtKind, FloatArray, IntArray, LabelSets
from mlrek.formats.json_text import join_some, quoted, say_first
from mlrek.formats.lines import OnBadLine, iter_json_lines

T = TypeVar("T")

_N_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestInput:
    """A file with a line per image as it is read: chunks of any size, used up once.

    `is_shared`: there is a processor for a second process that helps to decode it.
    """

    uri: str
    chunks: Iterable[bytes]
    is_shared: bool = False


class RefusedError(ValueError):
    """The whole file is of a kind that is not read, whatever else stands in it."""


class BadLines:
    """What to do about malformed lines; memory stays bounded however many there are.

    `uri` is '' where the lines are of several files; then each line is added with its file.
    """

    def __init__(self, uri: str = "", *, skip: bool) -> None:
        self._uri = uri
        self._skip = skip
        self._n = 0
        self._first: list[ParseError] = []

    @property
    def first(self) -> ParseError | None:
        """The first line that was left out, as the error it would have been."""
        return self._first[0] if self._first else None

    def add(self, number: int, exc: ValueError, uri: str = "") -> None:
        """Take note of a line that is left out.

        Raises:
            ParseError: Lines are not to be left out, or the line shows that the file is not read.
        """
        error = ParseError(uri or self._uri, number, str(exc))
        if not self._skip or isinstance(exc, RefusedError):
            raise error from exc
        self._n += 1
        if self._n <= _N_NAMED + 1:  # one more shows that there are more
            self._first.append(error)

    def explain_no_prediction(self, reason: str, *, is_empty: bool) -> ParseError:
        """The error of a file without any prediction: `reason`, where its lines could be read."""
        if first := self.first:
            reason = f"{first.reason}; no line that could be read holds a prediction"
            return ParseError(self._uri, first.line, reason)
        return ParseError(self._uri, 0, "is empty: not one line" if is_empty else reason)

    def doubt(self, n_read: int, what: str = "manifest lines") -> Iterator[Doubt]:
        """The lines that were left out, counted, besides `n_read` others."""
        if self._n:
            n_lines = n_read + self._n
            named = join_some([*map(self._name, self._first)], most=_N_NAMED)
            yield Doubt(
                kind=DoubtKind.LINES_SKIPPED,
                text=f"{self._n} of {n_lines} {what} are malformed and were left out: {named}",
                count=self._n,
                of=n_lines,
            )

    def _name(self, error: ParseError) -> str:
        return f"line {error.line}: {error.reason}" if self._uri else str(error)


def read_lines(
    decoder: Decoder[T],
    chunks: Iterable[bytes],
    uri: str,
    read: Callable[[int, T], None],
    bad_lines: BadLines,
) -> int:
    """Give each line of a file and its number, from 1, to `read`; how many lines it took.

    Raises:
        ParseError: A line cannot be decoded or `read` raised `ValueError`, and such lines are not
            to be left out.
    """
    add = partial(bad_lines.add, uri=uri)
    return read_values(iter_json_lines(decoder, chunks, uri, add), read, add)


def read_values(
    values: Iterable[tuple[int, Sequence[T]]],
    read: Callable[[int, T], None],
    add: OnBadLine,
) -> int:
    """The same of lines that are decoded; `add` is given those that `read` refuses."""
    n_read = 0
    for first, lines in values:
        for number, line in enumerate(lines, first):
            try:
                read(number, line)
            except ValueError as exc:
                add(number, exc)
            else:
                n_read += 1
    return n_read


def malformed(what: str, found: object, expected: str) -> ValueError:
    """The error of a line that has something else where `expected` belongs."""
    return ValueError(f"{what} is {quoted(found)}, not {expected}")


def check_place(what: str, found: object, expected: str = "the place of an image") -> str:
    """The place that a line names under the key `what`.

    Raises:
        ValueError: It names none.
    """
    if not isinstance(found, str) or not found or "\0" in found:
        raise malformed(what, found, expected)
    return found


def add_up(counts: IntArray | BoolArray) -> IntArray:
    """The offsets of images that have so many rows each."""
    return np.append(0, np.cumsum(counts, dtype=np.int64))


def find_offsets(image_idx: IntArray, n_images: int) -> IntArray:
    """The offsets of rows of these images, which rise, (n,)."""
    images = np.arange(n_images + 1, dtype=image_idx.dtype)  # of another type, all would be copied
    return np.searchsorted(image_idx, images).astype(np.int64)


def place_labels(names: Iterable[str], labels: Sequence[str]) -> IntArray:
    """The position in `labels` of each name; -1 for one that is none of them."""
    position = {label: i for i, label in enumerate(labels)}
    return np.array([position.get(name, -1) for name in names], dtype=np.int64)


def make_label_sets(
    image_idx: IntArray, label_idx: IntArray, *, n_images: int, n_labels: int
) -> LabelSets:
    """The distinct labels of each image, of rows in any order, (n,)."""
    keys = np.sort(image_idx * max(n_labels, 1) + label_idx)
    keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique is far slower
    image_idx, label_idx = np.divmod(keys, max(n_labels, 1))
    return LabelSets(
        offsets=find_offsets(image_idx, n_images), label_idx=label_idx.astype(np.int32)
    )


def list_box_labels(boxes: Boxes, n_labels: int) -> LabelSets:
    """The distinct labels of the true boxes of each image; a crowd is no object."""
    rows, n_images = boxes.counted, len(boxes.offsets) - 1
    return make_label_sets(
        boxes.image_idx[rows], boxes.label_idx[rows], n_images=n_images, n_labels=n_labels
    )


def keep_most_confident(keys: IntArray, confidence: FloatArray) -> IntArray:
    """Which rows are kept, in the order of their keys: of each key the first most confident."""
    order = np.argsort(keys, kind="stable")
    if np.any(np.diff(keys[order]) == 0):
        order = np.lexsort((-confidence, keys))
    kept: IntArray = order[np.diff(keys[order], prepend=-1) > 0]
    return kept


def warn_first(
    images: Sequence[str],
    is_concerned: BoolArray,
    what: str,
    *,
    of: int | None = None,
    image_idx: IntArray | None = None,
) -> Iterator[str]:
    """Yield how many rows are concerned, and the image of the first; nothing where none is.

    Args:
        images: The images.
        is_concerned: Which rows are, (n,).
        what: What is to be said of them, in the plural.
        of: Of how many, where it is not n.
        image_idx: The image of each row, (n,); without it the rows are images.
    """
    if n := int(np.count_nonzero(is_concerned)):
        first = int(np.argmax(is_concerned))
        image = images[first if image_idx is None else image_idx[first]]
        yield say_first(n, len(is_concerned) if of is None else of, what, image)
