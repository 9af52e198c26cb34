"""Label names as they are written elsewhere: as MLflow metric keys, and beside our own rows."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from unicodedata import category, digit, is_normalized, normalize

NONE_LABEL: Final = "(none)"
OTHER_LABEL: Final = "(other)"
BACKGROUND_LABEL: Final = "(background)"
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
_IGNORED: Final = "\u0640"  # what stretches Arabic words
_ALIKE: Final = {
    **dict(zip("ØøŁłĐđÐðĦħŦŧıŊŋҐґךםןףץ", "OoLlDdDdHhTtiNnГгכמנפצ", strict=True)),
    "Æ": "AE",
    "æ": "ae",
    "Œ": "OE",
    "œ": "oe",
    "Þ": "TH",
    "þ": "th",
    **{chr(code): chr(code - 0x60) for code in range(0x30A1, 0x30F7)},  # katakana
    **{small: chr(ord(small) + 1) for small in "ぁぃぅぇぉっゃゅょゎ"},
    **{small: chr(ord(small) - 0x5F) for small in "ァィゥェォッャュョヮ"},
}
_SHARP_S: Final = str.maketrans("ßẞ", "ss")  # casefold gives two
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

    They are distinct for databases as well that take names for equal which differ in case, accents
    or the like (`fold_name`). Where labels share a key, the composed (NFC) one keeps it, of several
    the first by code points, whatever the order of labels; any other gets the cut and the digest of
    a long one.

    >>> metric_key_labels(["Cat", "cat", "dog"])
    ('Cat', 'cat_77af778b', 'dog')
    """
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(labels, key=lambda label: (not is_normalized("NFC", label), label)):
        keys[label] = _free_key(label, taken)
        taken |= fold_name(keys[label])
    return tuple(keys[label] for label in labels)


def fold_name(name: str) -> frozenset[str]:
    """What a name is to databases that compare without case, accents and trailing blanks.

    Compatibility forms decomposed (NFKD), without marks, folded to one case. Collations go further,
    each in its own way: letters with a stroke or dotless, joined ones, digits of all scripts, small
    kana and katakana, and in old ones all characters past U+FFFF are equal. Two names may be one to
    some database where they have a fold in common.

    >>> fold_name("Café ") == fold_name("cafe"), sorted(fold_name("Maß"))
    (True, ['mas', 'mass'])
    """
    plain = "".join(map(_simplify, normalize("NFKD", name)))
    return frozenset(
        "".join(map(_simplify, normalize("NFKD", text.casefold()))).rstrip()
        for text in (plain, plain.translate(_SHARP_S))
    )


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
    while not taken.isdisjoint(fold_name(key)):
        key = _cut(own_key, seed)
        seed = sha256(seed).digest()
    return key


def _simplify(character: str) -> str:
    """One character without what collations take no notice of: '' for a mark."""
    if character.isascii():
        return character
    if category(character).startswith("M") or character in _IGNORED:
        return ""
    if (value := digit(character, None)) is not None:
        return str(value)
    return _ALIKE.get(character, "\ufffd" if character > "\uffff" else character)


def _cut(key: str, seed: bytes) -> str:
    return f"{key[:_CUT_LENGTH]}_{sha256(seed).hexdigest()[:_DIGEST_LENGTH]}"


def _escape(characters: str) -> str:
    return "".join(f"_x{ord(character):02X}_" for character in characters)


def _utf8(label: str) -> bytes:
    return label.encode("utf-8", "surrogatepass")
