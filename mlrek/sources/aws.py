"""The AWS side of the door: shared clients with their retries, and botocore's errors in words.

botocore is imported only when AWS is really asked.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from getpass import getpass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from mlrek.errors import SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.text import join_said, say_nearest

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from botocore.session import Session
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_s3 import S3Client


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

MAX_ATTEMPTS = 8  # the service allows 5 calls a second and account, whoever makes them
CONNECT_TIMEOUT = 10  # seconds
READ_TIMEOUT = 60  # seconds without one byte
MAX_CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsOptions:
    """What the command line says about AWS. Empty: the ordinary AWS settings decide."""

    region: str = ""
    profile: str = ""


class AwsClients:
    """One client a service, made when it is first needed and shared by all threads.

    Pickles as its options, so that a source can travel to another process.
    """

    def __init__(self, options: AwsOptions) -> None:
        self.options = options
        self._lock = Lock()
        self._made: dict[str, Any] = {}

    def __reduce__(self) -> tuple[type["AwsClients"], tuple[AwsOptions]]:
        return type(self), (self.options,)

    @property
    def s3(self) -> "S3Client":
        """The S3 client."""
        return cast("S3Client", self._get("s3"))

    @property
    def rekognition(self) -> "RekognitionClient":
        """The Rekognition client."""
        return cast("RekognitionClient", self._get("rekognition"))

    @property
    def sagemaker(self) -> Any:
        """The SageMaker client."""
        return self._get("sagemaker")

    def _get(self, service: str) -> object:
        with self._lock:
            if service not in self._made:
                self._made[service] = _make_client(service, self.options)
            return self._made[service]


# ---- what AWS answered ---------------------------------------------------------------------

_TROUBLES = {
    "NoCredentialsError": "no AWS credentials; set AWS_PROFILE or run `aws configure`",
    "PartialCredentialsError": "the AWS credentials are incomplete; run `aws configure`",
    "CredentialRetrievalError": "the AWS credentials cannot be fetched: {said}",
    "MetadataRetrievalError": "the AWS credentials cannot be fetched: {said}",
    "InvalidConfigError": "the AWS configuration is not valid: {said}",
    "ConfigParseError": "the AWS configuration is not valid: {said}",
    "ConfigNotFound": "the AWS configuration is not there: {said}",
    "NoAuthTokenError": "no AWS login; run `aws sso login`",
    "SSOError": "the AWS login is not valid any more; run `aws sso login`",
    "TokenRetrievalError": "the AWS login is not valid any more; run `aws sso login`",
    "ProfileNotFound": "{said}; `aws configure list-profiles` names those there are",
    "NoRegionError": "no AWS region; pass --region or set AWS_REGION",
    "InvalidRegionError": "{said}; pass another --region",
    "ProxyConnectionError": "the proxy cannot be reached; check HTTPS_PROXY",
    "SSLError": "{host} is not trusted (TLS); check AWS_CA_BUNDLE",
    "EndpointConnectionError": (
        "{host} cannot be reached; check the network, the region and AWS_ENDPOINT_URL"
    ),
    "ConnectTimeoutError": "{host} does not answer; check the network and the region",
    "ReadTimeoutError": "{host} stopped answering; run the command again",
    "ConnectionClosedError": "{host} closed the connection; run the command again",
    "HTTPClientError": "{host} cannot be asked; check the network and run the command again",
    "FlexibleChecksumError": "damaged on its way (checksum differs); run the command again",
}


@contextmanager
def asking_aws(uri: str, *, needs: str) -> Iterator[None]:
    """Turn whatever botocore raises into one line about `uri`.

    Args:
        uri: What is asked for.
        needs: The permission the request needs, as a clause of the message for a 403.

    Raises:
        SourceError: Any failure, with what to do next.
        SourceNotFoundError: AWS says that what is asked for does not exist.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        raise _explain_answer(exc, uri, needs) from exc
    except BotoCoreError as exc:
        raise _explain_trouble(exc, uri) from exc
    except OSError as exc:  # of whoever fetches credentials anew
        raise explain_credentials(exc) from exc


def _make_client(service: str, options: AwsOptions) -> object:
    """A client with the ordinary AWS settings, and patience where they ask for none."""
    from botocore.config import Config

    from mlrek import __version__

    try:
        with asking_aws("AWS", needs="a valid configuration"):
            session = open_session(options.profile)
            mode: Any = os.environ.get("AWS_RETRY_MODE")
            mode = mode or session.get_scoped_config().get("retry_mode")
            attempts = session.get_config_variable("max_attempts") or MAX_ATTEMPTS
            config = Config(
                retries={"mode": mode or "adaptive", "total_max_attempts": attempts},
                user_agent_extra=f"mlrek/{__version__}",
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                max_pool_connections=MAX_CONNECTIONS,
            )
            region = options.region or os.environ.get("AWS_REGION")
            return session.create_client(service, region_name=region or None, config=config)
    except ValueError as exc:  # botocore's answer to a setting that is no number or no URL
        raise SourceError("AWS", f"a setting is not valid: {one_line(str(exc))}") from exc


def _explain_answer(exc: "ClientError", uri: str, needs: str) -> SourceError:
    error: Mapping[str, Any] = exc.response.get("Error", {})
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    explain = _BY_CODE.get(code) or _BY_STATUS.get(status) or _BY_STATUS.get(status // 100)
    if explain is None:
        return SourceError(uri, f"AWS refuses: {code}: {one_line(message)}")
    said = f" [{code}{': ' if message else ''}{one_line(message)}]"
    return explain(uri, needs, said)


def _not_found(reason: str, uri: str, _needs: str, said: str) -> SourceError:
    return SourceNotFoundError(uri, reason + said)


_GONE = partial(_not_found, "not there")
_DELETED = partial(_not_found, "deleted: only a delete marker is left")
_NO_BUCKET = partial(_not_found, "the bucket does not exist")


def _failed(reason: str, uri: str, needs: str, said: str) -> SourceError:
    return SourceError(uri, reason.format(needs=needs) + said)


_DENIED = partial(_failed, "access denied; this needs {needs}")
_WRONG_KEYS = partial(
    _failed, "AWS does not accept the credentials; check AWS_PROFILE, --profile and the access key"
)
_WRONG_CLOCK = partial(_failed, "AWS refuses requests from this machine's clock; set its time")
_WRONG_REGION = partial(_failed, "the bucket is in another region; name it with --region")
_COLD = partial(_failed, "in an archive storage class; restore the object in S3 first")


def _interrupted(reason: str, uri: str, _needs: str, said: str) -> SourceError:
    return SourceInterruptedError(uri, reason + said)


_EXPIRED = partial(
    _interrupted, "the AWS credentials have expired; renew them, e.g. with `aws sso login`"
)
_CHANGED = partial(_interrupted, "changed while it was read; run the command again")
_THROTTLED = partial(
    _interrupted, "AWS keeps throttling; run the command again later or raise AWS_MAX_ATTEMPTS"
)
_BROKEN = partial(_interrupted, "AWS answers with an error of its own; run the command again later")

_BY_CODE = {
    "NoSuchKey": _GONE,
    "NoSuchVersion": _GONE,
    "ResourceNotFoundException": _GONE,
    "NoSuchBucket": _NO_BUCKET,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "InvalidAccessKeyId": _WRONG_KEYS,
    "InvalidClientTokenId": _WRONG_KEYS,
    "InvalidToken": _WRONG_KEYS,
    "InvalidSignatureException": _WRONG_KEYS,
    "SignatureDoesNotMatch": _WRONG_KEYS,
    "UnrecognizedClientException": _WRONG_KEYS,
    "RequestTimeTooSkewed": _WRONG_CLOCK,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "InvalidObjectState": _COLD,
    "PreconditionFailed": _CHANGED,
    "ThrottlingException": _THROTTLED,
    "ProvisionedThroughputExceededException": _THROTTLED,
    "SlowDown": _THROTTLED,
}
_BY_STATUS = {
    301: _WRONG_REGION,
    403: _DENIED,
    404: _GONE,
    405: _DELETED,
    412: _CHANGED,
    429: _THROTTLED,
    5: _BROKEN,
}


# ---- what kept us from asking --------------------------------------------------------------


def _explain_trouble(exc: Exception, uri: str) -> SourceError:
    """What kept us from asking; what can never be asked, as a wrong name, is no interruption."""
    for kind in type(exc).__mro__:
        if kind.__name__ in _TROUBLES:
            details = getattr(exc, "kwargs", {})
            url = urlsplit(str(details.get("endpoint_url") or ""))
            host = url.netloc.rpartition("@")[2] or "AWS"
            reason = _TROUBLES[kind.__name__].format(host=host, said=one_line(str(exc)))
            reason = join_said(reason, _suggest(kind.__name__, details, host))
            return SourceInterruptedError(uri, reason)
    return SourceError(uri, f"AWS cannot be asked: {one_line(str(exc))}")


def _suggest(kind: str, details: Mapping[str, Any], host: str) -> str:
    """The profile or the region that may be meant, where it is one that nobody knows."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    if kind not in {"ProfileNotFound", "EndpointConnectionError"}:
        return ""
    session = botocore.session.Session()
    try:
        if kind == "ProfileNotFound":
            profiles = session.available_profiles
            return say_nearest(str(details.get("profile", "")), profiles) if profiles else ""
        service, region, *_ = [*host.split("."), ""]
        known = session.get_available_regions(service)
    except BotoCoreError:  # what is wrong with the configuration was not asked
        return ""
    if not known or not host.endswith((".amazonaws.com", ".amazonaws.com.cn")) or region in known:
        return ""
    return f"no region is called {region!r}: {say_nearest(region, known)}"


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
