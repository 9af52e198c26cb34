"""Label names as they are written elsewhere: as MLflow metric keys, and beside our own rows."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from unicodedata import is_normalized, normalize

from mlrek.evaluation import BACKGROUND_LABEL, NONE_LABEL, OTHER_LABEL

ALL_LABEL: Final = "(all)"
"""The row of all labels together, in tables that also have a row per label."""

MAX_KEY_LENGTH: Final = 200
_CUT_LENGTH: Final = 190
_DIGEST_LENGTH: Final = 8

# What MLflow refuses in a key, and an underscore that would be read as the start of an escape:
# the closing underscore of that "escape" may itself come from a character that is escaped.
_ESCAPED: Final = re.compile(r"[^\w .\-]|_(?=x[0-9A-F]{2,6}(?:_|[^\w .\-]| +\Z))")
_OUTER_SPACES: Final = re.compile(r"\A +| +\Z")
_BLANK_OR_DOTS: Final = re.compile(r"\s*|\.+")
_OWN_NAME: Final = re.compile(
    '"*(?:{})"*'.format(
        "|".join(map(re.escape, (NONE_LABEL, OTHER_LABEL, BACKGROUND_LABEL, ALL_LABEL)))
    )
)


def metric_key_label(label: str) -> str:
    r"""Write a label so that MLflow accepts it as the last part of a metric key.

    The label in Unicode's composed form (NFC), with each character outside `\w`, space, `.` and
    `-` as `_xHH_` (upper-case hexadecimal code point, two digits or more). Also escaped are an
    underscore that begins what reads like an escape, leading and trailing spaces, and all
    characters of a label that is blank or of dots only; an empty label is `_x_`. What is then
    longer than 200 characters is cut to 190, `_`, and the first 8 hexadecimal digits of the
    SHA-256 of the label itself (UTF-8, as the provider wrote it, before NFC).

    Two labels have the same key only when they differ in composition (NFC) alone, or by a
    collision of cut names; `metric_key_labels` keeps these apart too.

    >>> metric_key_label("a/b"), metric_key_label("50%"), metric_key_label("..")
    ('a_x2F_b', '50_x25_', '_x2E__x2E_')
    """
    composed = normalize("NFC", label)
    if _BLANK_OR_DOTS.fullmatch(composed):
        return _escape(composed) or "_x_"
    key = _ESCAPED.sub(lambda match: _escape(match[0]), composed)
    key = _OUTER_SPACES.sub(lambda match: _escape(match[0]), key)
    return key if len(key) <= MAX_KEY_LENGTH else _cut(key, _utf8(label))


def metric_key_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The keys of all labels of a run, all distinct, in the order of `labels` (distinct as well).

    Where labels share a key, the composed (NFC) one keeps it, whatever the order of labels; any
    other gets the cut and the digest of a long one.
    """
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(labels, key=lambda label: (not is_normalized("NFC", label), label)):
        keys[label] = _free_key(label, taken)
        taken.add(keys[label])
    return tuple(keys[label] for label in labels)


def display_label(label: str) -> str:
    """A label's name in tables and figures: a real label named like one of our rows is quoted.

    Every name has its own display: quotes are added to what already reads like a quoted one.

    >>> display_label("roses"), display_label("(none)"), display_label('"(none)"')
    ('roses', '"(none)"', '""(none)""')
    """
    return f'"{label}"' if _OWN_NAME.fullmatch(label) else label


def _free_key(label: str, taken: set[str]) -> str:
    key = own_key = metric_key_label(label)
    seed = _utf8(label)
    while key in taken:
        key = _cut(own_key, seed)
        seed = sha256(seed).digest()
    return key


def _cut(key: str, seed: bytes) -> str:
    return f"{key[:_CUT_LENGTH]}_{sha256(seed).hexdigest()[:_DIGEST_LENGTH]}"


def _escape(characters: str) -> str:
    return "".join(f"_x{ord(character):02X}_" for character in characters)


def _utf8(label: str) -> bytes:
    return label.encode("utf-8", "surrogatepass")
