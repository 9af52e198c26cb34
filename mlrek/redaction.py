"""Secrets in text that is shown or kept: passwords and signatures in URLs are taken out."""

import re
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
