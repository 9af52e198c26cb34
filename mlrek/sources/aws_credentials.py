"""AWS credentials: asked for once a command, and in one line why they cannot be had.

botocore's providers raise whatever opening a file or starting a program raises. A session asks for
the code of an MFA device; all clients share one, and worker processes are handed what it answered.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlrek.errors import SourceError, SourceInterruptedError

if TYPE_CHECKING:
    from botocore.session import Session

MAX_MESSAGE = 300

_FETCHED = "the AWS credentials cannot be fetched: "
_FILES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
)
_KEYS = {"access_key": "access key", "secret_key": "secret key", "token": "session token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """Credentials that somebody typed a code for, by profile; they live in memory alone."""

    access_key: str | None
    secret_key: str | None
    token: str | None


_lock = Lock()
_sessions: "dict[tuple[str, frozenset[tuple[str, str]]], Session]" = {}
_handed_over: dict[str, HandedOver] = {}


def open_session(profile: str) -> "Session":
    """The one session of a profile, with credentials where there are any.

    Raises:
        SourceInterruptedError: The credentials cannot be had.
    """
    with _lock:
        settings = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
        if (profile, settings) not in _sessions:
            _sessions[profile, settings] = _make_session(profile)
        return _sessions[profile, settings]


def hand_over() -> Mapping[str, HandedOver]:
    """What a worker process needs so as not to ask for a code again."""
    return {
        profile: HandedOver(
            access_key=frozen.access_key, secret_key=frozen.secret_key, token=frozen.token
        )
        for (profile, _), session in list(_sessions.items())
        if _asked_for_code(session)
        and (credentials := session.get_credentials()) is not None
        and (frozen := credentials.get_frozen_credentials())
    }


def take_over(credentials: Mapping[str, HandedOver]) -> None:
    """Use credentials that another process asked for."""
    _handed_over.update(credentials)


def explain_credentials(exc: Exception, profile: str = "") -> SourceError:
    """What a provider of credentials raised, in one line that names what to mend."""
    if isinstance(exc, OSError) and exc.filename:
        file = str(exc.filename)
        names = [name for name in _FILES if os.environ.get(name) == file]
        where = f" ({names[0]})" if names else " (named in the AWS configuration)"
        return SourceInterruptedError(
            "AWS", f"{_FETCHED}{file}: {(exc.strerror or str(exc)).lower()}{where}"
        )
    if isinstance(exc, ValueError):
        said = "credential_process printed no JSON" if "char" in str(exc) else one_line(str(exc))
        of = f" (profile {profile!r})" if profile else ""
        return SourceInterruptedError("AWS", f"{_FETCHED}{said}{of}")
    return SourceInterruptedError("AWS", f"{_FETCHED}{one_line(str(exc))}")


def one_line(text: str) -> str:
    """Untrusted text without line breaks and control characters, and not endless."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_MESSAGE else line[:MAX_MESSAGE] + "…"


def _make_session(profile: str) -> "Session":
    import botocore.session

    session = botocore.session.Session(profile=profile or None)
    if taken := _handed_over.get(profile):
        session.set_credentials(taken.access_key or "", taken.secret_key or "", taken.token)
        return session
    _ask_where_somebody_is(session)
    with _fetching(profile or str(session.profile or "")):
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
    for name, said in _KEYS.items():
        key = getattr(frozen, name, None) or ""
        if key != key.strip() or not key.isprintable():
            raise SourceInterruptedError(
                "AWS",
                f"the AWS {said} has a line break or another character that no key has; check "
                "where it is set (the environment, ~/.aws/credentials, a secret of the CI)",
            )
    return session


@contextmanager
def _fetching(profile: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:
        raise explain_credentials(exc, profile) from exc


def _ask_where_somebody_is(session: "Session") -> None:
    """Let the provider that asks for codes ask in a way that fails where nobody can answer."""
    resolver: Any = session.get_component("credential_provider")
    for provider in resolver.providers:
        if hasattr(provider, "_prompter"):
            provider._prompter = _ask  # noqa: SLF001 - botocore has no other door


def _ask(prompt: str) -> str:
    """Ask for a code at the terminal.

    Raises:
        SourceInterruptedError: There is none.
    """
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError as exc:
        if not sys.stdin.isatty():
            raise SourceInterruptedError(
                "AWS",
                "the profile asks for the code of an MFA device, and nobody is at a terminal; "
                "get temporary credentials first (`aws sts get-session-token`), or take a role "
                "without MFA",
            ) from exc
    return getpass(prompt)


def _asked_for_code(session: "Session") -> bool:
    credentials = session.get_credentials()
    profiles = session.full_config.get("profiles", {})
    has_device = any("mfa_serial" in profile for profile in profiles.values())
    return has_device and getattr(credentials, "method", "") == "assume-role"
