"""Text: printable, without secrets, numbers rounded one way, labels as metric keys."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from math import isnan, nan
from typing import Final
from unicodedata import category, digit, is_normalized, normalize
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"

_SIGNING = (
    "x-amz-[a-z0-9-]+|awsaccesskeyid|signature|key-pair-id|policy|"  # S3, CloudFront
    "x-goog-[a-z0-9-]+|googleaccessid|"
    "sig|"  # Azure
    "token|access_token|api_?key|password"
)
_COMPANIONS = "expires|se|sp|sv|sr|st|spr|ss|srt|sk[a-z]{1,2}|sip"  # signed, but no secrets
_SIGNED = re.compile(rf"([?&](?:{_SIGNING})=)[^&\s\"'#<>\\]+", re.IGNORECASE)
_ACCESS_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{12,124}\b")
_URL = re.compile(r"\b(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[^\s\"'<>]*@)", re.IGNORECASE)
_WITHOUT_LOGIN = frozenset({"s3", "gs", "file", "models", "runs", "dbfs"})
"""Schemes of places whose names may hold an `@`, and never a login."""
_WEB = frozenset({"http", "https"})
_PLACE_FIRST = re.compile(
    r"(?:\[[0-9a-f:.]+\]|[^/?#@:]*)(?::(?P<port>\d{2,5}))?[/?#]", re.IGNORECASE
)
"""A host, perhaps a port, and the beginning of a path: an `@` behind it belongs to the path."""
_PORTS = (frozenset({80, 443}), range(1024, 65536))
"""Where web servers listen; other digits before a `/` begin a password."""
_URL_MARKS = re.compile(r"[/?#@:]")
_PARAMETER = re.compile(rf"(?:{_SIGNING}|{_COMPANIONS})=.*", re.IGNORECASE | re.DOTALL)

_ASCII_MINUS: Final = re.compile(r"(?<![^\s(])-(?=[\d.])")

UNDEFINED: Final = "—"
"""Stands for a number that does not exist."""
_TINY: Final = 0.0005
_NEAR: Final = 0.5
_BEGINS: Final = 0.9
_FARTHER: Final = 0.2
"""From which likeness on a name may be meant by another, that of its beginning, and how much less
than the nearest one's a likeness may be (0 to 1)."""
_TOO_LARGE: Final = 1e15  # has no decimals to round

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


def escape_unprintable(text: str) -> str:
    r"""Text on one line in which each character can be seen; others stand as Python escapes them.

    >>> print(escape_unprintable("a\tb\nc"))
    a\tb\nc
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_unencodable(text: str) -> str:
    r"""Text that UTF-8 can hold: half a character, as in a file's name in Latin-1, is escaped.

    >>> print(escape_unencodable("gr\udcf6sse"))
    gr\udcf6sse
    """
    return text.encode("utf-8", "backslashreplace").decode()


def escape_markdown(text: str) -> str:
    r"""Text as plain text in a markdown table or list, on one line.

    >>> print(escape_markdown("a|b\n<i>"))
    a\|b \<i\>
    """
    return text.replace("\n", " ").translate({ord(c): f"\\{c}" for c in "\\`*_{}[]<>|#"})


def hide_secrets(text: str) -> str:
    """Text without the passwords and signatures of the URLs in it, and ids of AWS access keys.

    A password may hold what a URL would have to escape; then more is hidden rather than less.

    >>> hide_secrets("GET https://me:pw@b/1.png?id=7&X-Amz-Signature=8f2e failed")
    'GET https://***@b/1.png?id=7&X-Amz-Signature=*** failed'
    >>> hide_secrets("postgresql://me:Sup3r/S#c@ret@host/db, https://host/icon@2x.png")
    'postgresql://***@host/db, https://host/icon@2x.png'
    >>> hide_secrets("http://host:5000/teams/a@b, http://me:50/00@host/")
    'http://host:5000/teams/a@b, http://***@host/'
    """
    if "=" in text:
        text = _SIGNED.sub(rf"\1{HIDDEN}", text)
    text = _ACCESS_KEY_ID.sub(HIDDEN, text)
    return _URL.sub(_hide_login, text) if "://" in text else text


def _hide_login(found: re.Match[str]) -> str:
    """The beginning of a URL up to an `@`, without the login that this ends."""
    scheme, rest = found["scheme"], found["rest"]
    if scheme.lower() in _WITHOUT_LOGIN:
        return found[0]
    if scheme.lower() in _WEB and _names_place_first(rest):
        return found[0]
    return f"{scheme}://{HIDDEN}@"


def _names_place_first(rest: str) -> bool:
    """Whether a web address has its host, not a login, behind `://`."""
    place = _PLACE_FIRST.match(rest)
    if place is None:
        return False
    return place["port"] is None or any(int(place["port"]) in ports for ports in _PORTS)


def list_secrets(uri: str) -> tuple[str, ...]:
    """The password of a URI, and its parts where it holds what parts a URL: the longest first.

    A library that could not make sense of the URI may name any of them in its message.

    >>> list_secrets("postgresql://me:Sup3r/Se@host/db")
    ('Sup3r/Se', 'Sup3r', 'Se')
    """
    found = _URL.search(uri)
    if found is None or hide_secrets(found[0]) == found[0]:
        return ()
    login = found["rest"][:-1]
    password = login.partition(":")[2]
    if found["scheme"].lower() in _WEB:  # a token may stand alone; a database's user is no secret
        password = password or login
    parts = _URL_MARKS.split(password)
    return tuple(sorted({*filter(None, (password, *parts))}, key=lambda part: (-len(part), part)))


def strip_signature(url: str) -> str:
    """A web address without login and without what signs it; any other text as it is.

    So the same image is the same, whenever its address was signed.

    >>> strip_signature("https://b.s3.amazonaws.com/1.png?versionId=7&X-Amz-Expires=9&X-Amz-Date=1")
    'https://b.s3.amazonaws.com/1.png?versionId=7'
    >>> strip_signature("https://host/1.png?se=2&size=3")
    'https://host/1.png?se=2&size=3'
    """
    if not url.startswith(("http://", "https://")) or hide_secrets(url) == url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return hide_secrets(url)
    kept = [part for part in parts.query.split("&") if not _PARAMETER.fullmatch(part)]
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=place, query="&".join(kept)))


def find_nearest(wanted: str, names: Iterable[str], shared: str = "") -> list[str]:
    """The names that may be meant by one that is not among them, the nearest first.

    What all names begin with, `shared`, says nothing of how alike they are.

    >>> find_nearest("digit", ["pets", "widgets", "digits"])
    ['digits']
    >>> find_nearest("v2", ["v2-linear", "v1-naive-bayes"])
    ['v2-linear']
    """
    from difflib import SequenceMatcher

    def rate(name: str) -> float:
        ours, theirs = (one.removeprefix(shared).casefold() for one in (name, wanted))
        alike = SequenceMatcher(a=ours, b=theirs).ratio()
        return max(alike, _BEGINS) if len(theirs) > 1 and ours.startswith(theirs) else alike

    rated = sorted(((rate(name), name) for name in dict.fromkeys(names)), key=lambda one: -one[0])
    least = max(_NEAR, rated[0][0] - _FARTHER) if rated else _NEAR
    return [name for rating, name in rated if rating >= least]


def list_some(names: Iterable[str], most: int = 10) -> str:
    """Names as a message lists them: the first ones, and how many more there are.

    >>> list_some(["a", "b", "c"]), list_some("abcd", most=2), list_some([])
    ('a, b, c', 'a, b and 2 more', 'none')
    """
    every = list(names)
    shown = ", ".join(every[:most]) or "none"
    return f"{shown} and {len(every) - most:,} more" if len(every) > most else shown


def say_nearest(wanted: str, names: Iterable[str], shared: str = "") -> str:
    """What may be meant by a name that is not there, and which names are.

    >>> say_nearest("digit", ["pets", "digits"]), say_nearest("x", ["pets", "digits"])
    ('did you mean digits? there are: digits, pets', 'there are: pets, digits')
    >>> say_nearest("digit", ["digits"]), say_nearest("digit", [])
    ('did you mean digits?', 'there are none')
    """
    every = list(dict.fromkeys(names))
    near = find_nearest(wanted, every, shared)
    if not every:
        return "there are none"
    meant = f"did you mean {' or '.join(near[:3])}?" if near else ""
    if meant and len(near[:3]) == len(every):
        return meant
    others = [name for name in every if name not in near]
    return f"{meant} there are: {list_some([*near, *others])}".strip()


def join_said(*parts: str) -> str:
    """Parts of a message behind each other: a question is its own end.

    >>> join_said("no digts", "did you mean digits?", "`mlrek versions` lists them")
    'no digts; did you mean digits? `mlrek versions` lists them'
    """
    said = ""
    for part in filter(None, parts):
        said += ("" if not said else " " if said.endswith("?") else "; ") + part
    return said


def fmt(
    value: float | None, digits: int = 3, *, signed: bool = False, undefined: str = UNDEFINED
) -> str:
    """A number with so many decimals, its minus sign in ASCII; zero has no sign.

    >>> fmt(0.93236), fmt(-0.0103, 2, signed=True), fmt(0.1, signed=True), fmt(-0.00001), fmt(None)
    ('0.932', '-0.01', '+0.100', '0.000', '—')
    """
    if value is None or isnan(value):
        return undefined
    rounded = round(float(value), digits) + 0.0
    return f"{rounded:+,.{digits}f}" if signed and rounded else f"{rounded:,.{digits}f}"


def span(
    low: float | None,
    high: float | None,
    digits: int = 3,
    *,
    signed: bool = False,
    undefined: str = UNDEFINED,
) -> str:
    """The ends of an interval.

    >>> span(0.912, 0.9484), span(-0.1, 0.25, 2, signed=True), span(None, 1.0)
    ('0.912 to 0.948', '-0.10 to +0.25', '—')
    """
    if isnan(nan if low is None else low) or isnan(nan if high is None else high):
        return undefined
    return " to ".join(fmt(end, digits, signed=signed) for end in (low, high))


def set_minus(text: str) -> str:
    """Finished numbers with a true minus sign, as pages show them; stdout has ASCII's.

    >>> set_minus("-0.010 (-0.02 to +0.01), v-1, 2026-11-29")
    '−0.010 (−0.02 to +0.01), v-1, 2026-11-29'
    """
    return _ASCII_MINUS.sub("−", text)


def fmt_with(value: float | None, low: float | None, high: float | None, ends: int = 2) -> str:
    """A number with its interval, where it has one, in one narrow cell.

    >>> fmt_with(0.93236, 0.912, 0.9484), fmt_with(0.5, None, None), fmt_with(None, 0.1, 0.2)
    ('0.932 (0.91–0.95)', '0.500', '—')
    """
    whole, around = fmt(value), span(low, high, ends, undefined="")
    return f"{whole} ({around.replace(' to ', '–')})" if around and whole != UNDEFINED else whole


def fmt_date(milliseconds: int | None) -> str:
    """The day of a time in UTC, '' where it is not known.

    >>> fmt_date(1690474772815), fmt_date(None)
    ('2023-07-27', '')
    """
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()


def fmt_percent(share: float | None) -> str:
    """A share in percent with up to two decimals, half up.

    >>> fmt_percent(58 / 64), fmt_percent(0.875)
    ('90.63 %', '87.5 %')
    """
    if share is None or isnan(share):
        return UNDEFINED
    return f"{round_half_up(100 * share, 2):g} %"


def say_number(value: float) -> str:
    """A number with four decimals, and no zeros at its end; a tiny one with two digits.

    >>> say_number(0.9), say_number(0.93871), say_number(1234.5), say_number(0.00002)
    ('0.9', '0.9387', '1,234.5', '2e-05')
    """
    if value and abs(value) < _TINY:
        return f"{value:.2g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def round_up_images(n: int) -> int:
    """A number of images with two digits: an estimate knows no more.

    >>> round_up_images(1841), round_up_images(94)
    (1900, 94)
    """
    unit: int = 10 ** max(len(str(n)) - 2, 0)
    return -(-n // unit) * unit


def say_range(fewest: int, most: int) -> str:
    """From how many images to how many, rounded up to two digits.

    >>> say_range(3613, 8241), say_range(301, 301)
    ('3,700 to 8,300', 'about 310')
    """
    low, high = (f"{round_up_images(n):,}" for n in (fewest, most))
    return f"{low} to {high}" if low != high else f"about {high}"


def round_half_up(value: float, digits: int = 0) -> float:
    """A number rounded as Google's console does it: half goes away from zero.

    >>> round_half_up(100 * 58 / 64, 2), round(100 * 58 / 64, 2)
    (90.63, 90.62)
    """
    if not abs(value) < _TOO_LARGE:
        return value
    step = Decimal(1).scaleb(-digits)
    return float(Decimal(repr(float(value))).quantize(step, rounding=ROUND_HALF_UP))


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
        seed = _hash(seed)
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
    return f"{key[:_CUT_LENGTH]}_{_hash(seed).hex()[:_DIGEST_LENGTH]}"


def _hash(seed: bytes) -> bytes:
    """SHA-256; `mlrek --help` does without importing it."""
    from hashlib import sha256

    return sha256(seed).digest()


def _escape(characters: str) -> str:
    return "".join(f"_x{ord(character):02X}_" for character in characters)


def _utf8(label: str) -> bytes:
    return label.encode("utf-8", "surrogatepass")
