"""Groups of images that show in their names: by folder, and by what comes before a number.

Most names continue the group of the name before them. That is seen in the bytes of many names at
once; only of the others is the group's name made, and looked up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from string import digits
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, IntArray, encode_names

_AT_ONCE: Final = 4096  # names, whose bytes stay in the cache
_SHARE: Final = 16  # a distance between names is looked at where one of so many names has it
_NEWLINE, _SLASH, _DOT, _ZERO, _NINE = b"\n/.09"


@dataclass(frozen=True, slots=True)
class _Text:
    """The bytes of several names; each begins at one of `starts`, (n,).

    `slashes` (n,) are the places of the last slash at or before the end of each name, -1 without
    one; `dots` (n,) of a dot with no slash behind it, -1 where there is none for sure.
    """

    text: NDArray[np.uint8]
    starts: IntArray
    slashes: IntArray
    dots: IntArray

    @staticmethod
    def of(names: Sequence[bytes]) -> "_Text | None":
        """That of names; None where one has a line break in it."""
        text = np.frombuffer(b"\n".join([*names, b""]), dtype=np.uint8)
        places = np.flatnonzero(text < _ZERO)  # few signs, of which slash and dot are two
        signs = text[places]
        ends = np.flatnonzero(signs == _NEWLINE)
        if len(ends) != len(names):
            return None
        slashes = np.maximum.accumulate(np.where(signs == _SLASH, places, -1))[ends]
        dots = np.where(signs[ends - 1] == _DOT, places[ends - 1], -1)
        return _Text(text, np.append(0, places[ends[:-1]] + 1), slashes, dots)

    def strip_digits(self, places: IntArray) -> IntArray:
        """The same places, or before the digits there; (n,), each behind the start of a name."""
        is_digit = (self.text >= _ZERO) & (self.text <= _NINE)
        stripped, rows = places.copy(), np.arange(len(places))
        while len(rows := rows[is_digit[stripped[rows] - 1]]):
            stripped[rows] -= 1
        return stripped

    def count_common(self) -> IntArray:
        """How many bytes from its start on are those of the name before it, (n,).

        0 where nobody has looked, as the distance between the two is rare.
        """
        common = np.zeros_like(self.starts)
        steps = np.diff(self.starts, prepend=self.starts[0])
        for step in np.flatnonzero(np.bincount(steps)[1:] * _SHARE >= len(steps)) + 1:
            rows = np.flatnonzero(steps == step)
            differ = np.flatnonzero(self.text[step:] != self.text[:-step]) + step
            places = np.append(differ, len(self.text))
            common[rows] = places[np.searchsorted(places, self.starts[rows])] - self.starts[rows]
        return common


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How groups are found in URIs, and the pattern that finds the same.

    `measure` gives how many bytes of each name are that of its group, 0 or less where that is not
    plain.
    """

    find: Callable[[Sequence[str]], Iterator[str]]
    measure: Callable[[_Text], IntArray]
    pattern: str


def number_name_groups(images: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The group of each image in every grouping, (n_images,), numbered as they come."""
    groups = {name: np.empty(len(images), dtype=np.int64) for name in GROUPINGS}
    codes = {name: defaultdict[str, int](count().__next__) for name in GROUPINGS}
    continues = True  # as long as most names continue a group
    for start in range(0, len(images), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(images))
        every = np.arange(start, stop)
        firsts = _find_firsts(images, every) if continues else dict.fromkeys(GROUPINGS, every)
        continues = 2 * sum(map(len, firsts.values())) <= len(firsts) * len(every)
        for name, rows in firsts.items():
            names = [images[i] for i in rows.tolist()] if continues else images[start:stop]
            found = map(codes[name].__getitem__, GROUPINGS[name].find(names))
            group = np.fromiter(found, dtype=np.int64)
            times = np.diff(rows, append=stop) if continues else 1
            groups[name][start:stop] = np.repeat(group, times)
    return groups


def _find_firsts(images: Sequence[str], every: IntArray) -> dict[str, IntArray]:
    """In every grouping the places of names that may not continue the group before them."""
    text = _Text.of(encode_names(images, int(every[0]), int(every[-1]) + 1))
    if text is None:
        return dict.fromkeys(GROUPINGS, every)
    common = text.count_common()
    return {
        name: every[~_find_continued(common, rule.measure(text))]
        for name, rule in GROUPINGS.items()
    }


def _find_continued(common: IntArray, lengths: IntArray) -> BoolArray:
    """Whether the group of each name is surely that of the name before it, (n,)."""
    are_alike = np.append(False, lengths[1:] == lengths[:-1])
    return np.asarray(are_alike & (lengths > 0) & (common >= lengths))


def _find_folders(images: Sequence[str]) -> Iterator[str]:
    return (image.rpartition("/")[0] or image for image in images)


def _measure_folders(text: _Text) -> IntArray:
    return text.slashes - text.starts


def _strip_numbers(images: Sequence[str]) -> Iterator[str]:
    """The URIs up to the number at the end of their file names; all of it without one."""
    for image in images:
        stem, dot, ending = image.rpartition(".")
        stripped = stem.rstrip(digits) if dot and "/" not in ending else stem
        if stripped == stem:  # then a number may be at the very end
            stripped = image.rstrip(digits)
        yield stripped or image


def _measure_numbered(text: _Text) -> IntArray:
    """Of names that end with a number and an ending."""
    stems = np.maximum(text.dots, text.starts + 1)  # of names without a dot any place will do
    stripped = text.strip_digits(stems)
    return np.where((text.dots > text.starts) & (stripped < stems), stripped - text.starts, 0)


GROUPINGS: Mapping[str, _Rule] = MappingProxyType(
    {
        "parent folders": _Rule(
            find=_find_folders, measure=_measure_folders, pattern="^(.*)/[^/]*$"
        ),
        "file names without their trailing number": _Rule(
            find=_strip_numbers,
            measure=_measure_numbered,
            pattern=r"^(.*?)[0-9]+(?:\.[^./]*)?$",
        ),
    }
)
