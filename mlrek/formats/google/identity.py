"""Whose an evaluation is: Google's resources -> versions with their projects, names and times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import dirname

from mlrek.evaluation import Project, Provider, Task, Version
from mlrek.formats.google.documents import (
    DATASETS,
    EVALUATIONS,
    JOBS,
    MODELS,
    PIPELINES,
    FoundResource,
    GoogleName,
    ModelKey,
    Resources,
    parse_google_name,
)
from mlrek.formats.google.json import Details, Resource
from mlrek.formats.google.metrics import PublishedEvaluation, finite
from mlrek.formats.json_text import parse_timestamp

DEFAULT = "default"  # the alias that exactly one version of a registered model holds

_NO_MODEL = (
    "the model's own JSON (models.get) is not here, so its data set, name and training are unknown "
    "and it stands as a project of its own"
)
_NO_VERSION = "the version's own JSON (models.get) is not here, so its training is unknown"
_TRAINED_WITHIN_MS = 3_600_000  # between the end of a training and its own evaluation
_DEPLOYMENT = {"1": "DEPLOYED", "2": "UNDEPLOYED"}  # as the client libraries number them
_KINDS = {
    "MULTICLASS": Task.CLASSIFICATION,
    "1": Task.CLASSIFICATION,
    "MULTILABEL": Task.MULTILABEL,
    "2": Task.MULTILABEL,
}


@dataclass(slots=True, kw_only=True)
class Draft:
    """A version in the making: what resources tell of it, its evaluations, and its other files.

    `dataset_images` counts all images of a legacy data set; `jobs` are its batch predictions;
    `folders` those with a document that describes it and no other version of its model; `files`
    all documents that describe it, and `description` the provider's own bytes. `evaluations` stand
    with the one that counts first. `refused` says why its evaluation cannot be read.
    """

    version: Version
    task: Task | None = None
    train_images: int | None = None
    test_images: int | None = None
    dataset_images: int | None = None
    jobs: Sequence[Resource] = ()
    description: bytes = b""
    folders: frozenset[str] = frozenset()
    files: Sequence[str] = ()
    evaluations: Sequence[PublishedEvaluation] = ()
    predictions: Sequence[str] = ()
    truth: Sequence[str] = ()
    refused: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def documents(self) -> tuple[str, ...]:
        """All documents that tell of it; the one with its evaluation is the first."""
        evaluated = self.evaluations[0].files if self.evaluations else ()
        return tuple(dict.fromkeys((*evaluated, *self.files)))


class Directory:
    """Resources by what they are of. A version's number is '' for a legacy model."""

    def __init__(self, resources: Resources) -> None:
        self._models: dict[ModelKey, list[FoundResource]] = {}
        for model in resources.of(MODELS):
            self._models.setdefault(model.name.key, []).append(model)
        self._datasets = {found.name.key: found for found in resources.of(DATASETS)}
        self._pipelines = {found.name.key: found for found in resources.of(PIPELINES)}
        self._jobs = resources.of(JOBS)
        named = (found.name for found in resources.of(EVALUATIONS))
        self._legacy = {name.key for name in named if name.is_legacy_evaluation} | {
            key for key, models in self._models.items() if _is_legacy(key, models)
        }

    def list_versions(self) -> Iterator[tuple[ModelKey, str]]:
        """Every version that a document describes."""
        for key in self._models:
            yield from ((key, number) for number in sorted(self._numbers(key)))

    def find_only_version(self, file: str) -> tuple[ModelKey, str] | None:
        """The version described in the folder of a file, where it is the only one."""
        folder = dirname(file)
        described = {(key, number) for key in self._models for number in self._numbers(key, folder)}
        return described.pop() if len(described) == 1 else None

    def find_number(self, name: GoogleName, file: str, created_ms: int | None) -> tuple[str, str]:
        """The number of the version that an evaluation is of, and how sure that is, in words.

        An evaluation's name may leave the version out. Then a model document nearby that describes
        one version only tells it, else the time of the training, which ends with its evaluation.
        """
        key = name.key
        if key in self._legacy:
            return "", ""
        if name.version:
            return self._resolve_alias(key, name.version), ""
        if (nearby := self._number_near(key, file)) is not None:
            return nearby, self._doubt(key, nearby, name, created_ms)
        taken = f"evaluation {name.evaluation} does not name its version; it was taken for"
        by_time = self._trained_about(key, created_ms)
        if len(by_time) == 1:
            return by_time[0], (
                f"{taken} version {by_time[0]}, whose training ended within an hour of it"
            )
        default = self._resolve_alias(key, DEFAULT)
        return default, (
            f"{taken} the {'default one' if default == DEFAULT else f'default one, {default}'}, as "
            "the service does; put the version's own JSON (models.get) next to it to tell"
        )

    def draft(self, key: ModelKey, number: str) -> Draft:
        """All that the resources tell of a version."""
        draft = self._draft_legacy(key) if key in self._legacy else self._draft(key, number)
        folders = {dirname(found.file) for found in self._models.get(key, ())}
        jobs = list(self._find_jobs(key, number))
        draft.folders = frozenset(f for f in folders if self._numbers(key, f) == {number})
        draft.jobs = [found.content for found in jobs]
        draft.files = tuple(dict.fromkeys((*draft.files, *(found.file for found in jobs))))
        return draft

    def _number_near(self, key: ModelKey, file: str) -> str | None:
        """The only version described in the nearest folder above that describes any."""
        for folder in folders_above(file):
            if numbers := self._numbers(key, folder):
                return next(iter(numbers)) if len(numbers) == 1 else None
        return None

    def _doubt(self, key: ModelKey, number: str, name: GoogleName, created_ms: int | None) -> str:
        ends = (_trained_ms(m) for m in self._models[key] if _number_of(m) == number)
        end = next((end for end in ends if end is not None), None)
        if created_ms is None or end is None or created_ms >= end - _TRAINED_WITHIN_MS:
            return ""
        return (
            f"evaluation {name.evaluation} was taken for version {number}, the only one described "
            "here, but is older than that; put its own version's JSON (models.get) next to it"
        )

    def _find_jobs(self, key: ModelKey, number: str) -> Iterator[FoundResource]:
        """The batch predictions that were made with a version."""
        for found in self._jobs:
            name = parse_google_name(found.content.model or "")
            if name is None or (name.location, name.id) != (key.location, key.id):
                continue
            said = str(found.content.model_version_id or "") or name.version
            if not said or self._resolve_alias(key, said) == number:
                yield found

    def _numbers(self, key: ModelKey, folder: str | None = None) -> set[str]:
        models = self._models.get(key, ())
        if key in self._legacy:
            return {"" for _ in models}
        return {
            _number_of(found) for found in models if folder is None or dirname(found.file) == folder
        }

    def _resolve_alias(self, key: ModelKey, alias: str) -> str:
        for found in self._models.get(key, ()):
            if alias in (found.content.version_aliases or ()):
                return _number_of(found)
        return alias

    def _trained_about(self, key: ModelKey, created_ms: int | None) -> list[str]:
        if created_ms is None:
            return []
        ends = {_number_of(found): _trained_ms(found) for found in self._models.get(key, ())}
        return [
            number
            for number, end in ends.items()
            if end is not None and abs(created_ms - end) <= _TRAINED_WITHIN_MS
        ]

    def _draft_legacy(self, key: ModelKey) -> Draft:
        found = next(iter(self._models.get(key, ())), None)
        if found is None:
            project = Project(provider=Provider.AUTOML, arn=key.arn, name=key.id)
            version = Version(project=project, arn=key.arn, name=key.id)
            return Draft(version=version, warnings=[f"{key.arn}: {_NO_MODEL}"])
        model = found.content
        dataset_key = key._replace(id=model.dataset_id or "")
        dataset = self._datasets.get(dataset_key)
        told = dataset.content if dataset else Resource()
        kind = (told.image_classification_dataset_metadata or Details()).classification_type
        status = str(model.deployment_state or "")
        project = Project(
            provider=Provider.AUTOML,
            arn=dataset_key.arn_in(DATASETS) if model.dataset_id else key.arn,
            name=told.display_name or model.dataset_id or key.id,
        )
        return Draft(
            version=Version(
                project=project,
                arn=key.arn,
                name=model.display_name or key.id,
                status=_DEPLOYMENT.get(status, status),
                training_end_ms=parse_timestamp(model.create_time),
                billable_minutes=_minutes(model.train_cost),
            ),
            task=_KINDS.get(str(kind)),
            dataset_images=told.example_count,
            description=found.raw,
            files=(found.file, *([dataset.file] if dataset else [])),
        )

    def _draft(self, key: ModelKey, number: str) -> Draft:
        models = {_number_of(model): model for model in reversed(self._models.get(key, ()))}
        named = models.get(self._resolve_alias(key, DEFAULT)) or next(iter(models.values()), None)
        name = (named and named.content.display_name) or key.id
        project = Project(provider=Provider.VERTEX, arn=key.arn, name=name)
        arn = f"{key.arn}@{number}"
        if found := models.get(number):
            return self._draft_training(project, arn, number, found)
        return Draft(
            version=Version(project=project, arn=arn, name=number),
            files=(named.file,) if named else (),
            warnings=[f"{arn}: {_NO_VERSION}"],
        )

    def _draft_training(
        self, project: Project, arn: str, number: str, found: FoundResource
    ) -> Draft:
        model = found.content
        pipeline_name = parse_google_name(model.training_pipeline or "")
        pipeline = self._pipelines.get(pipeline_name.key) if pipeline_name else None
        training = pipeline.content if pipeline else Resource()
        stats = model.data_stats or Details()
        several = (training.training_task_inputs or Details()).multi_label
        start_ms, end_ms = parse_timestamp(training.start_time), _trained_ms(found)
        if end_ms is None:
            end_ms = parse_timestamp(training.end_time)
        if start_ms is not None and end_ms is not None and start_ms > end_ms:
            start_ms = None  # of the training of another version
        return Draft(
            version=Version(
                project=project,
                arn=arn,
                name=number,
                status=", ".join(model.version_aliases or ()),
                training_start_ms=start_ms,
                training_end_ms=end_ms,
                billable_minutes=_minutes(
                    (training.training_task_metadata or Details()).cost_milli_node_hours
                ),
            ),
            task={True: Task.MULTILABEL, False: Task.CLASSIFICATION, None: None}[several],
            train_images=stats.training_data_items_count,
            test_images=stats.test_data_items_count,
            description=found.raw,
            files=(found.file, *([pipeline.file] if pipeline else [])),
        )


def folders_above(file: str) -> Iterator[str]:
    """The folder of a file, the folder above it, and so on up to ''."""
    folder = dirname(file)
    while folder:
        yield folder
        folder = dirname(folder) if dirname(folder) != folder else ""
    yield ""


def _is_legacy(key: ModelKey, models: Sequence[FoundResource]) -> bool:
    return key.is_legacy or any(
        found.content.dataset_id or found.content.train_cost is not None for found in models
    )


def _number_of(found: FoundResource) -> str:
    return found.name.version or str(found.content.version_id or "") or DEFAULT


def _trained_ms(found: FoundResource) -> int | None:
    return parse_timestamp(found.content.version_create_time or found.content.create_time)


def _minutes(milli_node_hours: float | None) -> float | None:
    hours = finite(milli_node_hours)
    return None if hours is None else hours * 60 / 1000
