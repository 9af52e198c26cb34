"""All of Google's files in a tree -> the versions, each with the files of its evaluation.

What belongs together is told by resource names; for files with a line per image, by where they lie.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from posixpath import basename, dirname, splitext

from mlrek.errors import ParseError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.google.documents import (
    EVALUATIONS,
    MODELS,
    SLICES,
    FoundResource,
    GoogleName,
    GoogleRole,
    ModelKey,
    Resources,
    find_names,
    parse_google_name,
    read_resources,
    sniff_google,
)
from mlrek.formats.google.identity import Directory, Draft, folders_above
from mlrek.formats.google.json import Details, Resource
from mlrek.formats.google.metrics import (
    GoogleSettings,
    PublishedEvaluation,
    PublishedNumbers,
    PublishedPart,
    read_published,
)
from mlrek.formats.json_text import HEAD_BYTES, parse_timestamp, peek_inside, quoted

_EVALUATION_ROLES = frozenset((GoogleRole.EVALUATIONS, GoogleRole.SLICES))
_PER_LABEL = "annotationSpec"
_NO_ID = "not available"  # what AutoML Tables writes where a label's id should be
_DIGITS = re.compile(r"([0-9]+)")
_NOT_SAVED = "no evaluation of it is saved here (models.evaluations.list)"
_MOVE = "put it in the folder of its version's evaluation"
_NO_TRUTH = "there are batch predictions, but no ground truth (export the data set) to hold them to"
_NO_END = "when the training ended is not told; the time of its evaluation stands for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleVersion:
    """One version, the evaluation that counts for it, and the files that tell them.

    `numbers` is None without a readable evaluation; `evaluations` are all that there are of it, the
    one that counts first. `parts` are its files by name, and what each holds. `skipped` says why
    there is nothing to log, `refused` why what there is cannot be read. `summary` is the document
    with the evaluation, `description` the provider's own JSON of the version, both byte for byte.
    `job` tells what its batch prediction kept.
    """

    version: Version
    evaluations: tuple[PublishedEvaluation, ...] = ()
    numbers: PublishedNumbers | None = None
    parts: Mapping[str, GoogleRole]
    job: Details | None = None
    summary: bytes = b""
    description: bytes = b""
    skipped: str = ""
    refused: str = ""
    warnings: tuple[str, ...] = ()

    def names_of(self, role: GoogleRole) -> tuple[str, ...]:
        """The names of its files of one kind, in order."""
        return tuple(name for name, held in self.parts.items() if held is role)

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
) -> GoogleCollection:
    """Every version in a tree of Google's files; a broken one spoils no other.

    Args:
        documents: The small JSON files, whole, by their path or URI (slashes part the folders).
        data_files: The roles of the files with a line per image, likewise; they belong to the
            version whose evaluation lies nearest.
        settings: The thresholds at which published numbers are read.
    """
    resources = read_resources(documents)
    drafts = _draft_versions(resources)
    roles = {file: _role_of_document(data, file) for file, data in documents.items()}
    broken = [file for file in resources.broken if roles[file] in _EVALUATION_ROLES]
    for file in broken:
        head = peek_inside(documents[file][:HEAD_BYTES])
        if not _refuse_owner(drafts, file, head, resources.broken[file]):
            drafts.append(_make_up_broken(file, resources.broken[file]))
    homeless = _add_data_files(drafts, data_files)
    _tell_names_apart(drafts)
    for draft in drafts:
        draft.warnings += _warn_pages(resources, draft.documents)
    versions = [_finish(draft, documents, roles, settings or GoogleSettings()) for draft in drafts]
    return GoogleCollection(
        versions=tuple(sorted(versions, key=_training_order)),
        warnings=(
            *(str(resources.broken[file]) for file in resources.broken if file not in broken),
            *_warn_repeats(resources),
            *_warn_renamed(versions),
            *homeless,
        ),
    )


def _role_of_document(data: bytes, file: str) -> GoogleRole:
    """What a document is; one of an odd form that holds something all the same: evaluations."""
    role = sniff_google(peek_inside(data[:HEAD_BYTES]), file)
    return GoogleRole.EVALUATIONS if role is None or role.is_data else role


def _draft_versions(resources: Resources) -> list[Draft]:
    """Every version with its evaluations; of no known model, each evaluation is one by its file."""
    directory = Directory(resources)
    grouped: dict[tuple[ModelKey | None, str], list[PublishedEvaluation]] = {}
    for one in _list_evaluations(resources, directory):
        grouped.setdefault((one.key, one.number if one.key else one.file), []).append(one)
    drafts = []
    for key, number in dict.fromkeys((*grouped, *directory.list_versions())):
        own = sorted(grouped.get((key, number), []), key=_evaluation_order, reverse=True)
        draft = directory.draft(key, number) if key else _make_up_version(own[0])
        _add_evaluations(draft, own)
        drafts.append(draft)
    return drafts


def _finish(
    draft: Draft,
    documents: Mapping[str, bytes],
    roles: Mapping[str, GoogleRole],
    settings: GoogleSettings,
) -> GoogleVersion:
    evaluations, numbers, refused = tuple(draft.evaluations), None, draft.refused
    if evaluations and not refused:
        numbers, refused = _read_numbers(draft, settings)
    has_images = draft.predictions and draft.truth
    return GoogleVersion(
        version=draft.version,
        evaluations=evaluations,
        numbers=numbers,
        parts={
            **{file: roles[file] for file in draft.documents},
            **dict.fromkeys(draft.predictions, GoogleRole.PREDICTIONS),
            **dict.fromkeys(draft.truth, GoogleRole.TRUTH),
        },
        job=draft.jobs[0].model_parameters if len(draft.jobs) == 1 else None,
        summary=documents[evaluations[0].file] if evaluations else b"",
        description=draft.description,
        skipped="" if evaluations or refused or has_images else _NOT_SAVED,
        refused=refused,
        warnings=tuple(draft.warnings),
    )


def _read_numbers(draft: Draft, settings: GoogleSettings) -> tuple[PublishedNumbers | None, str]:
    """The published numbers, or why they cannot be read."""
    chosen, *others = draft.evaluations
    if not chosen.overall and not chosen.labels:
        return None, f"{chosen.file}: evaluation {quoted(chosen.id)} holds no metrics"
    is_first = all((chosen.created_ms or 0) <= (one.created_ms or 0) for one in others)
    try:
        numbers = read_published(
            chosen,
            settings,
            task=draft.task,
            train_images=draft.train_images,
            test_images=draft.test_images if is_first else None,  # the model's are of its first
        )
    except ParseError as exc:
        return None, str(exc)
    total, tested = draft.dataset_images, numbers.reported.test_images
    if total is None or tested is None or total < tested:
        return numbers, ""
    warning = (
        f"train_images counts all {total - tested} images of the data set that were not tested, as "
        "Google's console does, those of the validation too"
    )
    reported = replace(numbers.reported, train_images=total - tested)
    return replace(numbers, reported=reported, warnings=(*numbers.warnings, warning)), ""


def _training_order(found: GoogleVersion) -> tuple[str, str, float, str]:
    version = found.version
    end = inf if version.training_end_ms is None else version.training_end_ms
    return version.project.name, version.project.arn, end, version.arn


# ---- which parts are one evaluation, and which version it is of ----------------------------


def _list_evaluations(resources: Resources, directory: Directory) -> Iterator[PublishedEvaluation]:
    """Every evaluation, by its files' names; without metrics it has no parts."""
    slices = _without_repeats(resources.of(SLICES))
    found = _without_repeats(_fill_placeholders(resources.of(EVALUATIONS), slices))
    yield from _group_legacy(one for one in found if one.name.is_legacy_evaluation)
    newer = (one for one in found if not one.name.is_legacy_evaluation)
    yield from _group_slices(newer, slices, directory)
    for file, content in resources.nameless:
        yield _build_nameless(file, content, directory)


def _without_repeats(found: Iterable[FoundResource]) -> list[FoundResource]:
    """The first of each name."""
    first: dict[GoogleName, FoundResource] = {}
    for one in found:
        first.setdefault(one.name, one)
    return list(first.values())


def _fill_placeholders(
    evaluations: Iterable[FoundResource], slices: Iterable[FoundResource]
) -> Iterator[FoundResource]:
    """Name an evaluation that was copied with MODEL_ID as its id by the slices in its folder."""
    for evaluation in evaluations:
        folder = dirname(evaluation.file)
        named = {one.name._replace(slice_id="") for one in slices if dirname(one.file) == folder}
        if evaluation.name.has_placeholder and len(named) == 1:
            yield evaluation._replace(name=named.pop())
        else:
            yield evaluation


def _group_legacy(found: Iterable[FoundResource]) -> Iterator[PublishedEvaluation]:
    """One evaluation a model: overall and each label are evaluations of their own there."""
    by_model: dict[ModelKey, list[FoundResource]] = {}
    for one in found:
        by_model.setdefault(one.name.key, []).append(one)
    for key, evaluations in by_model.items():
        by_label: dict[tuple[str, str], list[PublishedPart]] = {}
        for one in evaluations:
            if part := _make_part(one):
                by_label.setdefault((part.label, part.label_id), []).append(part)
        chosen = {label: max(alike, key=_preference) for label, alike in by_label.items()}
        overall = chosen.pop(("", ""), None)
        first = overall or next(iter(chosen.values()), None)
        yield PublishedEvaluation(
            key=key,
            number="",
            file=first.file if first else evaluations[0].file,
            id=first.id if first else evaluations[0].name.evaluation,
            overall=overall,
            labels=tuple(chosen.values()),
            created_ms=first.created_ms if first else None,
            is_legacy=True,
        )


def _preference(part: PublishedPart) -> tuple[float, int]:
    """Of evaluations of one label: the one over all predictions of an image, then the newest."""
    try:
        position = max((grid.position for _, grid in part.parse().grids), default=0.0)
    except ParseError:
        position = inf  # not passed over: it is refused, with its reason
    return position, part.created_ms or 0


def _group_slices(
    evaluations: Iterable[FoundResource], slices: Iterable[FoundResource], directory: Directory
) -> Iterator[PublishedEvaluation]:
    """An evaluation with its slices; of slices alone, an evaluation without an overall part."""
    by_name: dict[tuple[ModelKey, str], list[FoundResource]] = {}
    for one in slices:
        by_name.setdefault((one.name.key, one.name.evaluation), []).append(one)
    for evaluation in evaluations:
        own = by_name.pop((evaluation.name.key, evaluation.name.evaluation), [])
        yield _build_published(evaluation, own, directory)
    for own in by_name.values():
        yield _build_published(None, own, directory)


def _build_published(
    evaluation: FoundResource | None, slices: Sequence[FoundResource], directory: Directory
) -> PublishedEvaluation:
    first = evaluation or slices[0]
    created_ms = parse_timestamp(first.content.create_time)
    versions = (one.name.version for one in (first, *slices) if one.name.version)
    name = first.name._replace(version=next(versions, ""))
    number, doubt = directory.find_number(name, first.file, created_ms)
    labels = tuple(filter(None, map(_make_label_part, slices)))
    n_others = len(slices) - len(labels)
    others = f"{n_others} slices are not those of a label and are left out" if n_others else ""
    return PublishedEvaluation(
        key=name.key,
        number=number,
        file=first.file,
        id=name.evaluation,
        overall=_make_part(evaluation) if evaluation else None,
        labels=labels,
        created_ms=created_ms,
        is_legacy=False,
        warnings=tuple(filter(None, (doubt, others))),
    )


def _make_part(found: FoundResource) -> PublishedPart | None:
    """What an evaluation tells, of all labels or, in the legacy service, of one; None: nothing."""
    content, is_legacy = found.content, found.name.is_legacy_evaluation
    if not content.any_metrics:
        return None
    label_id = content.annotation_spec_id or ""
    return PublishedPart(
        file=found.file,
        id=found.name.evaluation,
        metrics=content.any_metrics,
        is_legacy=is_legacy,
        schema=content.metrics_schema_uri or "",
        label=(content.display_name or "") if is_legacy else "",
        label_id="" if label_id == _NO_ID else label_id,
        created_ms=parse_timestamp(content.create_time),
        test_images=content.evaluated_example_count,
    )


def _make_label_part(found: FoundResource) -> PublishedPart | None:
    """The part of a label; None for a slice that the user cut otherwise."""
    cut = found.content.slice or Details()
    label = f"{cut.value:g}" if isinstance(cut.value, float) else cut.value
    part = _make_part(found)
    if part is None or cut.dimension not in (None, "", _PER_LABEL) or not label:
        return None
    return replace(part, id=found.name.slice_id, label=label, label_id="", test_images=None)


def _build_nameless(file: str, content: Resource, directory: Directory) -> PublishedEvaluation:
    """Metrics saved without their resource: of the one model that is described in the folder."""
    key, number = directory.find_only_version(file) or (None, "")
    is_legacy, stem = bool(content.legacy_metrics), splitext(basename(file))[0]
    part = PublishedPart(
        file=file,
        id=stem,
        metrics=content.any_metrics,
        is_legacy=is_legacy,
        schema=content.metrics_schema_uri or "",
        test_images=content.evaluated_example_count,
    )
    return PublishedEvaluation(
        key=key,
        number=number,
        file=file,
        id=stem,
        overall=part,
        created_ms=parse_timestamp(content.create_time),
        is_legacy=is_legacy,
    )


# ---- versions in the making ----------------------------------------------------------------


def _evaluation_order(one: PublishedEvaluation) -> tuple[bool, int]:
    """Sorts to the end the one that counts: the newest that holds anything."""
    return bool(one.overall or one.labels), one.created_ms or 0


def _add_evaluations(draft: Draft, evaluations: Sequence[PublishedEvaluation]) -> None:
    """Give a version its evaluations. A training without a known end ended about with the first."""
    draft.evaluations = evaluations
    if evaluations:
        draft.warnings += evaluations[0].warnings
    if len(evaluations) > 1:
        chosen, *others = (quoted(one.id) for one in evaluations)
        draft.warnings.append(
            f"there are {len(evaluations)} evaluations of this version; {chosen} counts; the "
            f"others: {', '.join(others)}"
        )
    created = [one.created_ms for one in evaluations if one.created_ms is not None]
    if draft.version.training_end_ms is None and created:
        draft.version = replace(draft.version, training_end_ms=min(created))
        draft.warnings.append(_NO_END)


def _make_up_version(evaluation: PublishedEvaluation) -> Draft:
    """An identity for metrics that nothing tells the model of."""
    provider = Provider.AUTOML if evaluation.is_legacy else Provider.VERTEX
    version = _version_of_file(evaluation.file, provider)
    warning = (
        f"{evaluation.file}: nothing tells which model this is of, so it is called {version.arn}; "
        "save the whole evaluation with its name, or put the model's JSON next to it"
    )
    return Draft(version=version, files=(evaluation.file,), warnings=[warning])


def _make_up_broken(file: str, error: ParseError) -> Draft:
    """A version whose evaluation cannot be read at all, so that this is not overlooked."""
    version = _version_of_file(file, Provider.VERTEX)
    return Draft(version=version, files=(file,), refused=str(error))


def _version_of_file(file: str, provider: Provider) -> Version:
    folder = basename(dirname(file)) or "_"
    project = Project(provider=provider, arn=f"local:project/{folder}", name=folder)
    name = splitext(basename(file))[0]
    return Version(project=project, arn=f"{project.arn}/version/{name}", name=name)


def _refuse_owner(drafts: Sequence[Draft], file: str, head: bytes, error: ParseError) -> bool:
    """Refuse the one version that a broken file is of; whether there is one.

    It is told by the names that can still be read, else by the folder.
    """
    named = (name for name in find_names(head) if name.collection == MODELS)
    owners = {(name.location, name.id, name.version) for name in named}
    owned = [draft for draft in drafts if not owners.isdisjoint(_list_spellings(draft))]
    if len(owned) != 1:
        folder = dirname(file)
        owned = [
            draft
            for draft in owned or drafts
            if folder in draft.folders or folder in _evaluated_in(draft)
        ]
    if len(owned) == 1:
        owned[0].refused = owned[0].refused or str(error)
    return len(owned) == 1


def _list_spellings(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """How files may name the version: without its number where they are of the model alone."""
    if name := parse_google_name(draft.version.arn):
        yield name.location, name.id, name.version
        yield name.location, name.id, ""


def _tell_names_apart(drafts: Sequence[Draft]) -> None:
    """Add the training time to the names of models that share one in their data set."""
    shared = Counter((draft.version.project.arn, draft.version.name) for draft in drafts)
    for draft in drafts:
        version, ended = draft.version, draft.version.training_end_ms
        if shared[version.project.arn, version.name] > 1:
            told = version.arn.rpartition("/")[2] if ended is None else _say_time(ended)
            draft.version = replace(version, name=f"{version.name} {told}")


def _say_time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- files with a line per image -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Home:
    """Where a version is at home: folders with its evaluation, and those that describe it alone.

    Its batch predictions are written to a folder named one of `outputs`, or beginning with
    `output_prefix`.
    """

    draft: Draft
    evaluated: frozenset[str]
    described: frozenset[str]
    outputs: frozenset[str]
    output_prefix: str


_Near = Mapping[str, tuple[int, list[_Home]]]
"""By file: how deep the folder is that holds it and an evaluation, and the versions of that."""


def _add_data_files(drafts: Sequence[Draft], data_files: Mapping[str, GoogleRole]) -> list[str]:
    """Give the files with a line per image to their versions; warnings of those without one.

    Versions may share their ground truth, but not their predictions.
    """
    homes = list(map(_find_home, drafts))
    near = {file: _find_near(file, homes) for file in data_files}
    truth = {f: near[f] for f, role in data_files.items() if role is GoogleRole.TRUTH}
    predictions = {f: near[f] for f in data_files if f not in truth and len(near[f][1]) == 1}
    for draft in drafts:
        draft.predictions = _take_nearest(draft, predictions)
        if draft.predictions:
            draft.truth = _take_nearest(draft, truth)
            draft.warnings += [] if draft.truth else [_NO_TRUTH]
    used = {file for draft in drafts for file in (*draft.truth, *draft.predictions)}
    return [
        f"{file}: not used, for {_explain_unused(role, near[file][1])}"
        for file, role in data_files.items()
        if file not in used
    ]


def _explain_unused(role: GoogleRole, near: Sequence[_Home]) -> str:
    if role is GoogleRole.TRUTH:
        return "no batch predictions belong to it"
    if len(near) > 1:
        names = ", ".join(home.draft.version.arn for home in near)
        return f"it may be of each of {names}; {_MOVE}"
    return f"no evaluation is near it; {_MOVE}"


def _find_home(draft: Draft) -> _Home:
    version = draft.version
    is_legacy = version.project.provider is Provider.AUTOML
    places = (job.output_info.gcs_output_directory for job in draft.jobs if job.output_info)
    return _Home(
        draft=draft,
        evaluated=_evaluated_in(draft),
        described=draft.folders,
        outputs=frozenset(basename(place.rstrip("/")) for place in places if place),
        output_prefix=f"prediction-{version.name if is_legacy else version.project.name}-",
    )


def _evaluated_in(draft: Draft) -> frozenset[str]:
    return frozenset(dirname(file) for one in draft.evaluations for file in one.files)


def _find_near(file: str, homes: Sequence[_Home]) -> tuple[int, list[_Home]]:
    """The versions whose evaluation is nearest, and how deep the folder is that holds both."""
    folders = list(folders_above(file))
    names = {basename(folder) for folder in folders}
    named = [home for home in homes if not names.isdisjoint(home.outputs)]
    if len(named) == 1:
        return len(folders), named
    for depth, folder in zip(range(len(folders), 0, -1), folders, strict=True):
        near = [home for home in homes if _is_below(home.evaluated, folder)]
        near = near or [home for home in homes if _is_below(home.described, folder)]
        if near:
            return depth, _narrow(near, folders)
    return 0, []


def _narrow(near: list[_Home], folders: Iterable[str]) -> list[_Home]:
    """Of several versions the one that the nearest folder describes, or names, alone."""
    if len(near) == 1:
        return near
    for folder in folders:
        described = [home for home in near if folder in home.described]
        named = [home for home in near if basename(folder).startswith(home.output_prefix)]
        for chosen in (described, named):
            if len(chosen) == 1:
                return chosen
    return near


def _is_below(places: Iterable[str], folder: str) -> bool:
    return any(not folder or place == folder or place.startswith(f"{folder}/") for place in places)


def _take_nearest(draft: Draft, near: _Near) -> list[str]:
    """The version's files of the deepest folder, in the order of their numbers."""
    own = {
        file: depth
        for file, (depth, homes) in near.items()
        if any(home.draft is draft for home in homes)
    }
    deepest = max(own.values(), default=0)
    return sorted((file for file, depth in own.items() if depth == deepest), key=_natural)


def _natural(file: str) -> list[tuple[int, str]]:
    """Sort `…_2.jsonl` before `…_10.jsonl`."""
    return [(int(text), "") if text.isdecimal() else (-1, text) for text in _DIGITS.split(file)]


# ---- what is to be said --------------------------------------------------------------------


def _warn_repeats(resources: Resources) -> Iterator[str]:
    """Evaluations that stand in several files, with different content."""
    first: dict[GoogleName, FoundResource] = {}
    for one in (*resources.of(EVALUATIONS), *resources.of(SLICES)):
        known = first.setdefault(one.name, one)
        if known.raw != one.raw and not one.name.has_placeholder:
            yield (
                f"{one.file}: evaluation {one.name.evaluation} stands with other content in "
                f"{known.file}; that one counts"
            )


def _warn_renamed(versions: Iterable[GoogleVersion]) -> Iterator[str]:
    """Labels that have another name in another version of their project."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for found in versions:
        for label_id, label in (found.numbers.label_names if found.numbers else {}).items():
            names.setdefault((found.version.project.arn, label_id), {})[label] = None
    for (project_arn, label_id), labels in names.items():
        if len(labels) > 1:
            said = ", ".join(map(quoted, labels))
            yield (
                f"{project_arn}: label {quoted(label_id)} has several names in its versions: "
                f"{said}; versions are compared by name"
            )


def _warn_pages(resources: Resources, documents: Iterable[str]) -> Iterator[str]:
    """Lists whose last page lies in no file of the same folder."""
    ended = {(dirname(file), kind) for file, kind, is_last in resources.pages if is_last}
    for file, kind, is_last in resources.pages:
        if not is_last and file in documents and (dirname(file), kind) not in ended:
            yield f"{file}: the list {kind} goes on, but its next page (nextPageToken) is not here"
