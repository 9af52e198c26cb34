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
_LOGIN = re.compile(r"(?<=://)[^/?#\s@\"']*:[^/?#\s@\"']*@")
_PARAMETER = re.compile(rf"(?:{_SIGNING}|{_COMPANIONS})=.*", re.IGNORECASE | re.DOTALL)


def hide_secrets(text: str) -> str:
    """Text without the passwords and signatures of the URLs in it, and ids of AWS access keys.

    >>> hide_secrets("GET https://me:pw@b/1.png?id=7&X-Amz-Signature=8f2e failed")
    'GET https://***@b/1.png?id=7&X-Amz-Signature=*** failed'
    """
    if "=" in text:
        text = _SIGNED.sub(rf"\1{HIDDEN}", text)
    text = _ACCESS_KEY_ID.sub(HIDDEN, text)
    return _LOGIN.sub(f"{HIDDEN}@", text) if "://" in text else text


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
