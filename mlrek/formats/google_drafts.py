"""Versions in the making: who they are, what evaluations they have, which files are theirs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from posixpath import basename, dirname, splitext

from mlrek.errors import ParseError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.google_documents import Resources
from mlrek.formats.google_evaluations import EvaluationOf
from mlrek.formats.google_files import Home, assign_predictions, assign_truth
from mlrek.formats.google_identity import KnownVersion
from mlrek.formats.google_names import MODELS, find_names, parse_google_name
from mlrek.formats.google_reported import GoogleSettings, PublishedNumbers, read_published
from mlrek.formats.google_sniff import GoogleRole
from mlrek.formats.json_text import show

_MOVE = "put it in the folder of its version's evaluation"
_NO_TRUTH = "there are batch predictions, but no ground truth (export the data set) to hold them to"
_NO_END = "when the training ended is not told; the time of its evaluation stands for it"


@dataclass(slots=True, kw_only=True)
class Draft:
    """A version in the making; `evaluations` stand with the one that counts first."""

    known: KnownVersion
    evaluations: Sequence[EvaluationOf] = ()
    predictions: Sequence[str] = ()
    truth: Sequence[str] = ()
    refused: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def documents(self) -> tuple[str, ...]:
        """The documents that tell it, that with its evaluation first."""
        evaluated = self.evaluations[0].files if self.evaluations else ()
        return tuple(dict.fromkeys((*evaluated, *self.known.files)))

    @property
    def home(self) -> Home:
        """Where its other files may lie."""
        version = self.known.version
        is_legacy = version.project.provider is Provider.AUTOML
        places = [
            job.output_info.gcs_output_directory for job in self.known.jobs if job.output_info
        ]
        return Home(
            evaluated={dirname(file) for one in self.evaluations for file in one.files},
            described=self.known.folders,
            outputs={basename(place.rstrip("/")) for place in places if place},
            output_prefix=f"prediction-{version.name if is_legacy else version.project.name}-",
        )


def make_draft(known: KnownVersion, evaluations: Sequence[EvaluationOf]) -> Draft:
    """A version and its evaluations. A training without a known end ended about with the first."""
    warnings = list(_warn_evaluations(evaluations))
    created = [one.created_ms for one in evaluations if one.created_ms is not None]
    if known.version.training_end_ms is None and created:
        known = replace(known, version=replace(known.version, training_end_ms=min(created)))
        warnings.append(_NO_END)
    return Draft(known=known, evaluations=evaluations, warnings=warnings)


def order_evaluations(evaluations: list[EvaluationOf], evaluation_id: str) -> list[EvaluationOf]:
    """The one that counts first: the chosen one, else the newest that holds anything."""
    return sorted(
        evaluations,
        key=lambda one: (
            one.published.id == evaluation_id,
            bool(one.published.overall or one.published.labels),
            one.created_ms or 0,
        ),
        reverse=True,
    )


def make_up_known(evaluation: EvaluationOf) -> KnownVersion:
    """An identity for metrics that nothing tells the model of."""
    provider = Provider.AUTOML if evaluation.is_legacy else Provider.VERTEX
    version = _make_up_version(evaluation.file, provider)
    warning = (
        f"{evaluation.file}: nothing tells which model this is of, so it is called {version.arn}; "
        "save the whole evaluation with its name, or put the model's JSON beside it"
    )
    return KnownVersion(version=version, files=(evaluation.file,), warnings=(warning,))


def _make_up_version(file: str, provider: Provider) -> Version:
    folder = basename(dirname(file)) or "_"
    project = Project(provider=provider, arn=f"local:project/{folder}", name=folder)
    name = splitext(basename(file))[0]
    return Version(project=project, arn=f"{project.arn}/version/{name}", name=name)


def make_up_broken(file: str, error: ParseError) -> Draft:
    """A version whose evaluation cannot be read at all, so that this is not overlooked."""
    version = _make_up_version(file, Provider.VERTEX)
    return Draft(known=KnownVersion(version=version, files=(file,)), refused=str(error))


def refuse_owner(drafts: Sequence[Draft], file: str, head: bytes, error: ParseError) -> bool:
    """Refuse the one version that a broken file is of; whether there is one.

    It is told by the names that can still be read, else by the folder.
    """
    names = filter(None, map(parse_google_name, find_names(head)))
    owners = {(name.location, name.id, name.version) for name in names if name.collection == MODELS}
    owned = [draft for draft in drafts if not owners.isdisjoint(_list_spellings(draft))]
    beside = [draft for draft in owned or drafts if _has_folder(draft, dirname(file))]
    owned = owned if len(owned) == 1 else beside
    for draft in owned if len(owned) == 1 else ():
        draft.refused = draft.refused or str(error)
    return len(owned) == 1


def _has_folder(draft: Draft, folder: str) -> bool:
    return folder in {*draft.home.evaluated, *draft.home.described}


def _list_spellings(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """How files may name the version: without its number where they are of the model alone."""
    if name := parse_google_name(draft.known.version.arn):
        yield name.location, name.id, name.version
        yield name.location, name.id, ""


def add_data_files(drafts: Sequence[Draft], data_files: Mapping[str, GoogleRole]) -> list[str]:
    """Give the files with a line per image to their versions; warnings of those without one."""
    homes = {str(i): draft.home for i, draft in enumerate(drafts)}
    by_role = {role: [f for f, of in data_files.items() if of is role] for role in GoogleRole}
    truth = assign_truth(by_role[GoogleRole.TRUTH], homes)
    predictions, ambiguous = assign_predictions(by_role[GoogleRole.PREDICTIONS], homes)
    for i, draft in enumerate(drafts):
        draft.predictions = predictions.get(str(i), [])
        draft.truth = truth.get(str(i), []) if draft.predictions else []
        if draft.predictions and not draft.truth:
            draft.warnings.append(_NO_TRUTH)
    used = {file for draft in drafts for file in (*draft.truth, *draft.predictions)}
    return [
        f"{file}: not used, for {_explain_unused(file, data_files[file], ambiguous, drafts)}"
        for file in data_files
        if file not in used
    ]


def _explain_unused(
    file: str, role: GoogleRole, ambiguous: Mapping[str, list[str]], drafts: Sequence[Draft]
) -> str:
    if file in ambiguous:
        names = ", ".join(drafts[int(i)].known.version.arn for i in ambiguous[file])
        return f"it may be of each of {names}; {_MOVE}"
    if role is GoogleRole.TRUTH:
        return "no batch predictions belong to it"
    return f"no evaluation is near it; {_MOVE}"


def tell_names_apart(drafts: Sequence[Draft]) -> None:
    """Add the training time to the names of models that share one in their data set."""
    versions = [draft.known.version for draft in drafts]
    shared = Counter((version.project.arn, version.name) for version in versions)
    for draft in drafts:
        version = draft.known.version
        if shared[version.project.arn, version.name] > 1:
            ended = version.training_end_ms
            told = version.arn.rpartition("/")[2] if ended is None else _say_time(ended)
            draft.known = replace(
                draft.known, version=replace(version, name=f"{version.name} {told}")
            )


def read_numbers(
    evaluations: Sequence[EvaluationOf], known: KnownVersion, settings: GoogleSettings
) -> tuple[PublishedNumbers | None, str]:
    """The published numbers, or why they cannot be read."""
    chosen = evaluations[0]
    if not chosen.published.overall and not chosen.published.labels:
        return None, f"{chosen.file}: evaluation {show(chosen.published.id)} holds no metrics"
    is_first = all((chosen.created_ms or 0) <= (one.created_ms or 0) for one in evaluations)
    published = replace(
        chosen.published,
        task=known.task,
        train_images=known.train_images,
        test_images=known.test_images if is_first else None,  # the model counts those of its first
    )
    try:
        numbers = read_published(published, settings)
    except ParseError as exc:
        return None, str(exc)
    tested = numbers.reported.test_images
    if known.dataset_images is None or tested is None or known.dataset_images < tested:
        return numbers, ""
    not_tested = known.dataset_images - tested
    warning = (
        f"train_images counts all {not_tested} images of the data set that were not tested, as "
        "Google's console does, those of the validation too"
    )
    return (
        replace(
            numbers,
            reported=replace(numbers.reported, train_images=not_tested),
            warnings=(*numbers.warnings, warning),
        ),
        "",
    )


def _warn_evaluations(evaluations: Sequence[EvaluationOf]) -> Iterator[str]:
    if evaluations:
        yield from evaluations[0].warnings
    if len(evaluations) > 1:
        chosen, *others = (show(one.published.id) for one in evaluations)
        yield (
            f"there are {len(evaluations)} evaluations of this version; {chosen} counts; the "
            f"others: {', '.join(others)}"
        )


def warn_pages(resources: Resources, documents: Iterable[str]) -> Iterator[str]:
    """Lists whose last page lies in no file of the same folder."""
    ended = {(dirname(file), kind) for file, kind, is_last in resources.pages if is_last}
    for file, kind, is_last in resources.pages:
        if not is_last and file in documents and (dirname(file), kind) not in ended:
            yield f"{file}: the list {kind} goes on, but its next page (nextPageToken) is not here"


def _say_time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
