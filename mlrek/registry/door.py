"""The one reader and writer of MLflow's model registry, and names of versions in it."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mlrek.errors import ModelNotFoundError, TrackingError, UsageError
from mlrek.evaluation import Project
from mlrek.metrics.test_set import is_same_project
from mlrek.text import escape_unencodable, find_nearest, join_said, list_some, say_nearest
from mlrek.tracking import SUPERSEDED_TAG, RegisteredVersion
from mlrek.tracking.store import Store, name_account
from mlrek.tracking.translation import hide_userinfo, is_missing_model, translate_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel


SUPERSEDED = SUPERSEDED_TAG
"""Tag of a model version whose run was replaced: its numbers are not the version's any more."""
VALIDATION = "validation_status"
DEFAULT_ALIAS = "champion"
MAX_NAME = 200
MAX_MEANT = 3
_URI_VARIABLE = "MLFLOW_TRACKING_URI"

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


PAGE = 200
MANY = 1000


class Registry:
    """The model registry that belongs to a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client of the store, which serves the registry as well."""
        return self.store.client

    @property
    def place(self) -> str:
        """The address of the store, without what is secret of it."""
        return hide_userinfo(self.store.tracking_uri)

    def check(self) -> None:
        """Ask once whether there is a registry, before anything is written.

        Raises:
            TrackingError: There is none, or it does not answer.
        """
        try:
            with self._translated():
                self.client.search_registered_models(max_results=1)
        except TrackingError as exc:
            raise TrackingError(
                f"{exc}; without a model registry nothing can be registered: sync without "
                "--register, or name another store with --tracking-uri"
            ) from exc

    def check_name(self, name: str) -> None:
        """Check the name that all versions are to be registered under, '' for the projects' own.

        Raises:
            UsageError: The store wants names of another form.
        """
        if self.store.tracking_uri.startswith("databricks") and name.count(".") != 2:  # noqa: PLR2004
            raise UsageError(
                "Databricks wants a model's name with its catalog and schema: "
                "--register=catalog.schema.name"
            )

    def choose_name(self, project: Project, name: str = "") -> str:
        """The registered model of a project: the named one, else by the project's name.

        When a model of that name belongs to another project ARN already, account and region follow.
        """
        if name:
            return name
        short = clean_name(project.name)
        longer = f"{short}-{name_account(project)}"
        for candidate in (short, longer):
            found = self._find_model(candidate)
            if found is None or _is_own(found, candidate, project):
                return candidate
        return f"{longer}-{sha256(project.arn.encode()).hexdigest()[:8]}"

    def open_model(self, name: str, project: Project) -> None:
        """Create a registered model unless it is there; somebody else may be faster."""
        from mlflow.exceptions import MlflowException

        if (found := self._find_model(name)) is not None:
            if found.name != name:
                raise TrackingError(
                    f"this registry takes {name!r} for its model {found.name!r}, whose name "
                    f"differs in case or accents alone: --register={found.name}, or another name"
                )
            return
        said = (
            f"Versions of {project.name}, registered by mlrek with the run that holds each one's "
            "evaluation."
        )
        with self._translated():
            try:
                self.store.write_fitting(
                    lambda fit: self.client.create_registered_model(
                        name,
                        tags={"project_arn": project.arn, "project_name": fit(project.name)},
                        description=fit(said),
                    )
                )
            except MlflowException as exc:
                if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

    def has_model(self, name: str) -> bool:
        """Whether there is a registered model of that name."""
        return self._find_model(name) is not None

    def list_names(self) -> list[str]:
        """The names of registered models, of very many the first ones."""
        with self._translated():
            page = self.client.search_registered_models(max_results=MANY)
        return [model.name for model in page]

    def explain_missing(self, name: str, number: str = "", alias: str = "") -> ModelNotFoundError:
        """That a model, a number or an alias of it is not there, with those that are.

        Raises:
            TrackingError: MLflow cannot be reached or refuses.
        """
        wanted = (f"/{number}" if number else "") + (f"@{alias}" if alias else "")
        missing = f"the registry at {self.place} has no models:/{name}{wanted}"
        found = self._find_model(name)
        if found is None:
            return ModelNotFoundError(join_said(missing, *self._say_models(name, wanted)))
        aliases = [f"models:/{name}@{one}" for one in sorted(found.aliases)]
        numbers = [str(version.number) for version in self.list_versions(name)[::-1]]
        there = f"its versions are {list_some(numbers)}" if numbers else "it has no version"
        if not alias:
            return ModelNotFoundError(join_said(missing, there))
        said = "the model has no alias yet (`mlrek promote` sets one)"
        if aliases:
            said = say_nearest(f"models:/{name}{wanted}", aliases, shared=f"models:/{name}@")
        return ModelNotFoundError(join_said(missing, said, there))

    def _say_models(self, name: str, wanted: str) -> tuple[str, str]:
        """Which models may be meant, and how others come in."""
        names = self.list_names()
        register = "`mlrek sync SOURCE --register` registers a project's versions"
        if not names:
            return "no model is registered there", register
        meant = [f"models:/{one}{wanted}" for one in find_nearest(name, names)[:MAX_MEANT]]
        said = f"did you mean {' or '.join(meant)}? " if meant else ""
        others = [one for one in names if f"models:/{one}{wanted}" not in meant]
        there = f"there are: {list_some(f'models:/{one}' for one in others)}" if others else ""
        return (said + there).strip(), "" if meant else register

    def list_versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of a registered model by number; none where there is no such model."""
        found = self._search(f"name = {_quote(name)}")
        return tuple(version for version in found if version.name == name)

    def find_versions(self, version_arn: str) -> tuple[ModelVersion, ...]:
        """The versions of all registered models that stand for a project's version."""
        found = self._search(f"tags.`version_arn` = {_quote(version_arn)}")
        return tuple(version for version in found if version.version_arn == version_arn)

    def find_project_models(self, project: Project, alias: str) -> list[str]:
        """The registered models of a project, of very many the first ones, by name.

        Also those with versions of it, and those that nobody said the project of, where a version
        of it has the alias.
        """
        with self._translated():
            models = list(self.client.search_registered_models(max_results=MANY))
        found = self._search(f"tags.`project_arn` = {_quote(project.arn)}")
        names = {version.name for version in found}
        for model in models:
            owner = model.tags.get("project_arn", "")
            if not owner and alias in model.aliases:
                run_id = self.get_version(model.name, int(model.aliases[alias])).run_id
                run = self.store.find_run(run_id) if run_id else None
                owner = run.project_arn if run else ""
            if owner and is_same_project(owner, project.arn):
                names.add(model.name)
        return sorted(names)

    def get_version(self, name: str, number: int) -> ModelVersion:
        """One version by its number.

        Raises:
            ModelNotFoundError: There is no such version.
        """
        with self._translated(f"there is no models:/{name}/{number}"):
            return _model_version(self.client.get_model_version(name, str(number)))

    def create_version(
        self, name: str, *, model_id: str, run_id: str, tags: Mapping[str, str], description: str
    ) -> ModelVersion:
        """Register a logged model as the next version of a registered model."""
        with self._translated(), self._named_for_mlflow():
            created = self.store.write_fitting(
                lambda fit: self.client.create_model_version(
                    name,
                    f"models:/{model_id}",
                    run_id=run_id,
                    model_id=model_id,
                    tags={key: fit(value) for key, value in tags.items()},
                    description=fit(description),
                )
            )
        return _model_version(created)

    def delete_version(self, version: ModelVersion) -> None:
        """Delete a version; one that somebody else deleted already is fine."""
        from mlflow.exceptions import MlflowException

        with self._translated():
            try:
                self.client.delete_model_version(version.name, str(version.number))
            except MlflowException as exc:
                if not is_missing_model(exc):
                    raise

    def set_version_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self._translated():
            for key, value in tags.items():
                set_tag = partial(
                    self.client.set_model_version_tag, version.name, str(version.number), key
                )
                self.store.write_tag(set_tag, value)

    def set_superseded(self, version: ModelVersion, *, superseded: bool) -> None:
        """Mark a version as one whose run was replaced, or take the mark off; at most one write."""
        if version.is_superseded == superseded:
            return
        with self._translated():
            if superseded:
                self.client.set_model_version_tag(
                    version.name, str(version.number), SUPERSEDED, "true"
                )
            else:
                self.client.delete_model_version_tag(version.name, str(version.number), SUPERSEDED)

    def get_aliases(self, name: str) -> dict[str, int]:
        """The aliases of a registered model and the numbers that they stand for, as of now.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        return {alias: int(number) for alias, number in self._get_model(name).aliases.items()}

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Move an alias, whatever it stood for: MLflow has no compare-and-set."""
        self._set(partial(self.client.set_registered_model_alias, name, alias, str(number)))

    def get_model_tags(self, name: str) -> dict[str, str]:
        """The tags of a registered model, as of now.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        return dict(self._get_model(name).tags)

    def set_model_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Set tags of a registered model."""
        for key, value in tags.items():
            self._set(partial(self.client.set_registered_model_tag, name, key, value))

    def _set(self, write: Callable[[], None]) -> None:
        """Set something, which fails in MLflow where somebody else sets it first at this moment."""
        from mlflow.exceptions import MlflowException

        with self._translated():
            try:
                write()
            except MlflowException as exc:
                if exc.error_code != "BAD_REQUEST":
                    raise
                write()

    def _get_model(self, name: str) -> "RegisteredModel":
        with self._translated(f"there is no registered model {name!r}"):
            return self.client.get_registered_model(name)

    def _find_model(self, name: str) -> "RegisteredModel | None":
        with contextlib.suppress(ModelNotFoundError):
            return self._get_model(name)
        return None

    def _search(self, query: str) -> tuple[ModelVersion, ...]:
        found: list[ModelVersion] = []
        token = None
        with self._translated():
            while True:
                page = self.client.search_model_versions(query, max_results=PAGE, page_token=token)
                found += map(_model_version, page)
                token = page.token
                if not token:
                    return tuple(sorted(found, key=lambda v: (v.name, v.number)))

    @contextlib.contextmanager
    def _translated(self, missing: str = "") -> Iterator[None]:
        """Errors in one line; with `missing`, what is not there is an error of its own."""
        from mlflow.exceptions import MlflowException

        with translate_errors(self.store.tracking_uri):
            try:
                yield
            except MlflowException as exc:
                if missing and is_missing_model(exc):
                    place = hide_userinfo(self.store.tracking_uri)
                    raise ModelNotFoundError(f"{place}: {missing}") from exc
                raise

    @contextlib.contextmanager
    def _named_for_mlflow(self) -> Iterator[None]:
        """Let MLflow's own global name this store for one call, where it does not.

        Its registry in a database looks a logged model up in the process-wide store, whatever
        store the client was made for; a server does so by itself.
        """
        import mlflow

        ours, before = self.store.tracking_uri, mlflow.get_tracking_uri()
        if before == ours or ours.startswith(("http://", "https://", "databricks", "arn:")):
            yield
            return
        in_environment = os.environ.get(_URI_VARIABLE)
        is_set: bool = mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
        use: Any = mlflow.set_tracking_uri  # noqa: TID251 - MLflow leaves no other way
        use(ours)
        try:
            yield
        finally:  # what the environment says, or nobody, is not set for good
            use(before if is_set and before != in_environment else None)
            if in_environment is not None:
                os.environ[_URI_VARIABLE] = in_environment


def find_registered(store: Store, name: str, number: str, alias: str) -> RegisteredVersion:
    """A registered model's version, named by its number or an alias.

    Raises:
        ModelNotFoundError: It is not there; the message names what is.
        TrackingError: MLflow cannot be reached or refuses.
    """
    try:
        return store.find_model_version(name, alias or number, is_alias=bool(alias))
    except ModelNotFoundError as exc:
        raise Registry(store).explain_missing(name, number, alias) from exc


def _is_own(found: "RegisteredModel", name: str, project: Project) -> bool:
    """Whether a model that a name found is the project's.

    Some databases find one whose name differs in case.
    """
    owner = found.tags.get("project_arn", project.arn)
    return str(found.name) == name and is_same_project(owner, project.arn)


def _model_version(found: "MlflowVersion") -> ModelVersion:
    return ModelVersion(
        name=found.name,
        number=int(found.version),
        run_id=found.run_id or "",
        source=found.source or "",
        tags=dict(found.tags),
    )


def _quote(value: str) -> str:
    """A value in MLflow's query language, which has no escape.

    Raises:
        UsageError: It holds both kinds of quotes.
    """
    quote = next((quote for quote in "'\"" if quote not in value), "")
    if not quote:
        raise UsageError(
            f"{value!r} cannot be searched for in MLflow: it holds both kinds of quotes"
        )
    return f"{quote}{value}{quote}"


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
    """The model version that is linked to a run, of several the one with the smallest number.

    One that was replaced by one that loads another model counts only where there is no other.
    """
    linked = (version for version in versions if run_id and version.run_id == run_id)
    return min(linked, key=lambda version: (version.is_superseded, version.number), default=None)


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
