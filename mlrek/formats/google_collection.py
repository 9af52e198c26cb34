"""All of Google's files in a tree -> the versions, each with the files of its evaluation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlrek.evaluation import Version
from mlrek.formats.google_documents import read_resources
from mlrek.formats.google_drafts import (
    Draft,
    add_data_files,
    make_draft,
    make_up_broken,
    make_up_known,
    order_evaluations,
    read_numbers,
    refuse_owner,
    tell_names_apart,
    warn_pages,
)
from mlrek.formats.google_evaluations import EvaluationOf, group_evaluations, warn_repeats
from mlrek.formats.google_identity import Directory
from mlrek.formats.google_reported import GoogleSettings, PublishedNumbers
from mlrek.formats.google_resources import JobParameters
from mlrek.formats.google_sniff import GoogleRole, sniff_google
from mlrek.formats.instead import HEAD_BYTES, peek_inside
from mlrek.formats.json_text import show

_EVALUATION_ROLES = frozenset((GoogleRole.EVALUATIONS, GoogleRole.SLICES))
_NOT_SAVED = "no evaluation of it is saved here (models.evaluations.list)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GooglePart:
    """A file of a version: `name` as it was given, and what it holds."""

    role: GoogleRole
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleVersion:
    """One version, the evaluation that counts for it, and the files that tell them.

    `numbers` is None without a readable evaluation; `evaluations` are all that there are of it, the
    one that counts first. `skipped` says why there is nothing to log, `refused` why what there is
    cannot be read. `summary` is the document with the evaluation, `description` the provider's own
    JSON of the version, both byte for byte. `job` tells what its batch prediction kept.
    """

    version: Version
    evaluations: tuple[EvaluationOf, ...] = ()
    numbers: PublishedNumbers | None = None
    parts: tuple[GooglePart, ...] = ()
    job: JobParameters | None = None
    summary: bytes = b""
    description: bytes = b""
    skipped: str = ""
    refused: str = ""
    warnings: tuple[str, ...] = ()

    def names_of(self, role: GoogleRole) -> tuple[str, ...]:
        """The names of its files of one kind, in order."""
        return tuple(part.name for part in self.parts if part.role is role)

    @property
    def has_images(self) -> bool:
        """Whether there are predictions and ground truth, image by image."""
        return bool(self.names_of(GoogleRole.PREDICTIONS) and self.names_of(GoogleRole.TRUTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleCollection:
    """All versions, by project and training; `warnings` are of files that belong to none."""

    versions: tuple[GoogleVersion, ...]
    warnings: tuple[str, ...] = ()


def collect_google(
    documents: Mapping[str, bytes],
    data_files: Mapping[str, GoogleRole],
    *,
    settings: GoogleSettings | None = None,
    evaluation_id: str = "",
) -> GoogleCollection:
    """Every version in a tree of Google's files; a broken one spoils no other.

    What belongs together is told by resource names; for files with a line per image, by the folder:
    they belong to the version whose evaluation lies nearest.

    Args:
        documents: The small JSON files, whole, by their path or URI (slashes part the folders).
        data_files: The roles of the files with a line per image, likewise.
        settings: The thresholds at which published numbers are read.
        evaluation_id: The evaluation that counts where a version has several and this is one of
            them; otherwise the newest one does.
    """
    resources = read_resources(documents)
    directory = Directory(resources)
    evaluations = group_evaluations(resources, directory)
    drafts = []
    for key, number in dict.fromkeys((*evaluations, *directory.list_versions())):
        own = order_evaluations(evaluations.get((key, number), []), evaluation_id)
        known = directory.describe(key, number) if key else make_up_known(own[0])
        drafts.append(make_draft(known, own))
    roles = {file: _role_of_document(data, file) for file, data in documents.items()}
    broken = [file for file in resources.broken if roles[file] in _EVALUATION_ROLES]
    for file in broken:
        error = resources.broken[file]
        if not refuse_owner(drafts, file, peek_inside(documents[file][:HEAD_BYTES]), error):
            drafts.append(make_up_broken(file, error))
    homeless = add_data_files(drafts, data_files)
    tell_names_apart(drafts)
    for draft in drafts:
        draft.warnings += warn_pages(resources, draft.documents)
    versions = [_finish(draft, documents, roles, settings or GoogleSettings()) for draft in drafts]
    return GoogleCollection(
        versions=tuple(sorted(versions, key=_training_order)),
        warnings=(
            *(str(resources.broken[file]) for file in resources.broken if file not in broken),
            *warn_repeats(resources),
            *_warn_renamed(versions),
            *homeless,
        ),
    )


def _finish(
    draft: Draft,
    documents: Mapping[str, bytes],
    roles: Mapping[str, GoogleRole],
    settings: GoogleSettings,
) -> GoogleVersion:
    known, evaluations = draft.known, tuple(draft.evaluations)
    has_images = bool(draft.predictions and draft.truth)
    parts = [(roles[file], file) for file in draft.documents]
    parts += [(GoogleRole.PREDICTIONS, file) for file in draft.predictions]
    parts += [(GoogleRole.TRUTH, file) for file in draft.truth]
    numbers, refused = None, draft.refused
    if evaluations and not refused:
        numbers, refused = read_numbers(evaluations, known, settings)
    return GoogleVersion(
        version=known.version,
        evaluations=evaluations,
        numbers=numbers,
        parts=tuple(GooglePart(role=role, name=file) for role, file in parts),
        job=known.jobs[0].model_parameters if len(known.jobs) == 1 else None,
        summary=documents[evaluations[0].file] if evaluations else b"",
        description=known.description,
        skipped="" if evaluations or refused or has_images else _NOT_SAVED,
        refused=refused,
        warnings=(*known.warnings, *draft.warnings),
    )


def _role_of_document(data: bytes, file: str) -> GoogleRole:
    """What a document is; one of an odd form that holds something all the same: evaluations."""
    role = sniff_google(peek_inside(data[:HEAD_BYTES]), file)
    return GoogleRole.EVALUATIONS if role is None or role.is_data else role


def _warn_renamed(versions: Iterable[GoogleVersion]) -> Iterator[str]:
    """Labels that have another name in another version of their project."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for found in versions:
        for label_id, label in (found.numbers.label_names if found.numbers else {}).items():
            names.setdefault((found.version.project.arn, label_id), {})[label] = None
    for (project_arn, label_id), labels in names.items():
        if len(labels) > 1:
            said = ", ".join(map(show, labels))
            yield (
                f"{project_arn}: label {show(label_id)} has several names in its versions: {said}; "
                "versions are compared by name"
            )


def _training_order(found: GoogleVersion) -> tuple[str, str, float, str]:
    version = found.version
    end = float("inf") if version.training_end_ms is None else version.training_end_ms
    return version.project.name, version.project.arn, end, version.arn
