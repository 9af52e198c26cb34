"""Model versions as MLflow lists them, and the rules by which all readers agree on one. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mlrek.errors import UsageError
from mlrek.printable import escape_unencodable
from mlrek.tracking.runs import SUPERSEDED_TAG

SUPERSEDED = SUPERSEDED_TAG
"""Tag of a model version whose run was replaced: its numbers are not the version's any more."""
VALIDATION = "validation_status"
DEFAULT_ALIAS = "champion"
MAX_NAME = 200

_ALIAS = re.compile(r"(?!latest$)(?!v\d+$)[\w-]{1,255}", re.ASCII | re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"""[/:@'"\s]+""")
_NOT_IN_MODEL_NAMES = re.compile(r"""[/:.%'"\s]+""")


class ValidationStatus(StrEnum):
    """What the gate said of a model version last."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a registered model, linked to the run of a project's version."""

    name: str
    number: int
    run_id: str = ""
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """As commands and MLflow take it."""
        return f"models:/{self.name}/{self.number}"

    @property
    def version_arn(self) -> str:
        """The project's version that it stands for, '' where mlrek did not register it."""
        return self.tags.get("version_arn", "")

    @property
    def version_name(self) -> str:
        """What the project calls that version."""
        return self.tags.get("version_name", "")

    @property
    def is_superseded(self) -> bool:
        """Whether its run was replaced."""
        return self.tags.get(SUPERSEDED) == "true"


def current_version(versions: Iterable[ModelVersion], version_arn: str) -> ModelVersion | None:
    """The model version that counts of a project's version: newest run, smallest number of that.

    Two processes that register the same run at once leave two model versions for a moment;
    everybody picks the same one of them.
    """
    known = [v for v in versions if v.version_arn == version_arn and not v.is_superseded]
    if not known:
        return None
    newest = max(known, key=lambda version: version.number)
    return find_version_of_run(known, newest.run_id)


def find_version_of_run(versions: Iterable[ModelVersion], run_id: str) -> ModelVersion | None:
    """The model version that is linked to a run, of several the one with the smallest number."""
    linked = (version for version in versions if run_id and version.run_id == run_id)
    return min(linked, key=lambda version: version.number, default=None)


def clean_name(text: str) -> str:
    """A project's name as a registered model's: without what its URIs could not hold.

    >>> clean_name("my project: a/b")
    'my-project-a-b'
    """
    name = _NOT_IN_NAMES.sub("-", escape_unencodable(text)).strip("-")
    return name[:MAX_NAME] or "model"


def clean_model_name(text: str) -> str:
    """A version's name as MLflow lets a logged model be named."""
    name = _NOT_IN_MODEL_NAMES.sub("-", escape_unencodable(text)).strip("-")
    return name[:MAX_NAME] or "version"


def check_name(name: str) -> str:
    """A registered model's name as typed.

    Raises:
        UsageError: MLflow's URIs could not hold it.
    """
    if not name.strip() or clean_name(name) != name:
        raise UsageError(
            f"{name!r} cannot name a registered model: no slash, colon, at sign, quote or space; "
            f"{clean_name(name)!r} would do"
        )
    return name


def check_alias(alias: str) -> str:
    """An alias as typed.

    Raises:
        UsageError: MLflow does not take it.
    """
    if not _ALIAS.fullmatch(alias):
        raise UsageError(
            f"{alias!r} cannot be an alias: letters, digits, hyphens and underscores, "
            "but neither 'latest' nor v and a number"
        )
    return alias
