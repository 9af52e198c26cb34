"""A model from anywhere: files of predictions and of truth -> one version of a project.

What the files are is in the version's description, which an archive keeps as `version.json`: whose
version it is, where each file came from, and the options that decide how they are joined.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from msgspec.json import Decoder, encode
from msgspec.json import format as format_json

from mlrek.errors import EvaluationError, ParseError, SourceError, SourceNotFoundError, UsageError
from mlrek.evaluation import (
    Evaluation,
    Project,
    Provider,
    SourceFile,
    Task,
    Version,
)
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.google.documents import parse_google_name
from mlrek.formats.json_text import decode_json, quoted, say_unreadable
from mlrek.formats.pictures_below import is_left_behind, is_picture
from mlrek.formats.predictions import Answers, JoinOptions, Match, Unmatched
from mlrek.sources.description import parse_arn
from mlrek.sources.entries import Part, PartReader, VersionEntry
from mlrek.sources.loose import make_up_project
from mlrek.sources.storage import (
    S3_SCHEME,
    Storage,
    StoredFile,
    join_uri,
    parent_uri,
)
from mlrek.sources.tree import FoundVersions, Tree, is_description, place_parts, read_all
from mlrek.text import escape_unencodable

if TYPE_CHECKING:
    from mlrek.formats.truth import GroundTruth

T = TypeVar("T")

FORMAT: Final = "custom"

PREDICTIONS: Final = "predictions"
TRUTH: Final = "ground_truth"
THRESHOLDS: Final = "thresholds"
LABEL_MAP: Final = "label_map"
OPTIONS: Final = "options"
PICTURES: Final = "pictures"
"""Images next to label files, which tell sizes: an archive keeps them."""
ROLES: Final = (TRUTH, PREDICTIONS, THRESHOLDS, LABEL_MAP)

OWN_PROJECT: Final = "mlrek:project/"
"""What the ARN of a project begins with that no service has."""
MADE_UP: Final = "local:project/"
MAX_NAME: Final = 200

_VERSION_ARN: Final = re.compile(r"(?P<project>.+)/custom/(?P<version>[^/]+)")
_LABEL_FILE: Final = ".txt"
_CONTROL: Final = frozenset(("Cc", "Cs"))
_IS_CUSTOM: Final = re.compile(rb'"provider"\s*:\s*"custom"')


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomOptions:
    """What a model from anywhere is, besides its predictions. Places are paths or `s3://` URIs.

    `truth` '' is for predictions that hold the truth too. `project` is the ARN of a project, or a
    name. The others: see `JoinOptions` and `parse_ground_truth`; `thresholds` and `label_map` are
    places of files.
    """

    project: str = ""
    version: str = ""
    truth: str = ""
    attributes: tuple[str, ...] = ()
    task: Task | None = None
    match: Match = Match.URI
    unmatched: Unmatched = Unmatched.ERROR
    thresholds: str = ""
    label_map: str = ""

    @property
    def places(self) -> dict[str, str]:
        """Where the files besides the predictions are, by role; the truth first."""
        found = {TRUTH: self.truth, THRESHOLDS: self.thresholds, LABEL_MAP: self.label_map}
        return {role: place for role, place in found.items() if place}


class _File(Struct):
    """One file of a place; `name` is its path from there."""

    role: str
    origin: str
    name: str = ITSELF


class _Description(Struct, kw_only=True):
    """What `version.json` says; `places` by role, `names` files of which only the name counts."""

    provider: str
    project_arn: str
    project_name: str
    version_arn: str
    version: str
    task: Task | None = None
    match: Match = Match.URI
    unmatched: Unmatched = Unmatched.ERROR
    attributes: tuple[str, ...] = ()
    places: dict[str, str] = {}
    files: list[_File] = []
    names: dict[str, list[str]] = {}

    @property
    def identity(self) -> Version:
        """Whose version it is."""
        project = Project(provider=Provider.CUSTOM, arn=self.project_arn, name=self.project_name)
        return Version(project=project, arn=self.version_arn, name=self.version)


_DECODER: Final = Decoder(_Description)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomVersion:
    """The one version that files of predictions are."""

    storage: Storage
    predictions: str
    options: CustomOptions
    version: Version

    def list_versions(self) -> Sequence[VersionEntry]:
        """The version, its files listed.

        Raises:
            SourceError: A place cannot be listed, or is not there.
        """
        return [make_entry(self.storage, self.predictions, self.options, self.version)]


# ---- whose version it is -------------------------------------------------------------------


def name_version(options: CustomOptions) -> Version:
    """The version that the options name.

    Raises:
        UsageError: They name none, or one that cannot be.
    """
    if not (options.project and options.version):
        missing = " and ".join(
            option
            for option, given in (
                ("--project ARN or NAME", options.project),
                ("--version NAME", options.version),
            )
            if not given
        )
        raise UsageError(f"whose predictions are they? name the model with {missing}")
    project = parse_project(options.project)
    name = _check_name("--version", options.version)
    return Version(project=project, arn=f"{project.arn}/custom/{name}", name=name)


def parse_project(text: str) -> Project:
    """The project that an ARN, or a name, means.

    >>> parse_project("pets").arn
    'mlrek:project/pets'
    >>> parse_project("arn:aws:rekognition:eu-west-1:1:project/pets/1690474772815").name
    'pets'

    Raises:
        UsageError: It is neither.
    """
    if name := _find_project_name(text):
        return Project(provider=Provider.CUSTOM, arn=text, name=name)
    if text.startswith("arn:"):
        raise UsageError(
            f"--project {text}: is not the ARN of a project; `mlrek projects` lists them, and the "
            "tag project_arn of each run has its own"
        )
    name = _check_name("--project", text.removeprefix(OWN_PROJECT))
    return Project(provider=Provider.CUSTOM, arn=f"{OWN_PROJECT}{name}", name=name)


def parse_custom_arn(text: str) -> Version | None:
    """The version that `<project ARN>/custom/V` names; None for anything else."""
    match = _VERSION_ARN.fullmatch(text)
    if match is None:
        return None
    name = _find_project_name(match["project"])
    if not name and match["project"].startswith(OWN_PROJECT):
        name = match["project"].removeprefix(OWN_PROJECT)
    if not name or "/" in name:
        return None
    project = Project(provider=Provider.CUSTOM, arn=match["project"], name=name)
    return Version(project=project, arn=text, name=match["version"])


def is_made_up(version: Version) -> bool:
    """Whether nobody has said whose version a file of predictions is."""
    is_custom = version.project.provider is Provider.CUSTOM
    return is_custom and version.arn.startswith(MADE_UP)


def _find_project_name(arn: str) -> str:
    """The name of the project that a service's ARN, or resource name, means; '' for others."""
    rekognition = parse_arn(arn) or parse_arn(f"{arn}/0")  # its number may be unknown
    if rekognition:
        return "" if rekognition.version_name else rekognition.project_name
    from mlrek.formats.lookout import parse_lookout_arn

    lookout = parse_lookout_arn(arn)
    if lookout:
        return "" if lookout.version_name else lookout.project.name
    google = parse_google_name(arn)
    if google:
        return "" if google.version or google.evaluation else google.id
    return arn.removeprefix(MADE_UP) if arn.startswith(MADE_UP) and arn.count("/") == 1 else ""


def _check_name(option: str, name: str) -> str:
    """A name as typed.

    Raises:
        UsageError: It cannot be part of an ARN, or of a page.
    """
    if not name.strip():
        raise UsageError(f"{option} is empty; give a name")
    if any(unicodedata.category(c) in _CONTROL for c in name) or set("/\\") & set(name):
        raise UsageError(
            f"{option} {quoted(name)} cannot be a name: no slash, no control character"
        )
    if name != name.strip() or len(name) > MAX_NAME:
        raise UsageError(
            f"{option} {quoted(name)} cannot be a name: at most {MAX_NAME} characters, and no "
            "blank at its ends"
        )
    return name


# ---- which files it has --------------------------------------------------------------------


def make_entry(
    storage: Storage, predictions: str, options: CustomOptions, version: Version
) -> VersionEntry:
    """A version with all its files.

    Raises:
        SourceError: A place cannot be listed, or is not there.
    """
    files: list[_File] = []
    names: dict[str, list[str]] = {}
    named = {**options.places, PREDICTIONS: predictions}
    places = {role: _clean(place) for role, place in named.items()}
    for role in (role for role in ROLES if role in places):
        listed = _list_files(storage, places[role])
        keeps_pictures = any(file.name.endswith(_LABEL_FILE) for file in listed)
        for file in listed:
            is_image = is_picture(file.name) and len(listed) > 1
            if is_image and not keeps_pictures:
                names.setdefault(role, []).append(file.name)
            else:
                name = ITSELF if file.uri == places[role] else file.name
                files.append(_File(role=role, origin=file.uri, name=name))
    described = _Description(
        provider=Provider.CUSTOM.value,
        project_arn=version.project.arn,
        project_name=version.project.name,
        version_arn=version.arn,
        version=version.name,
        task=options.task,
        match=options.match,
        unmatched=options.unmatched,
        attributes=options.attributes,
        places={role: escape_unencodable(place) for role, place in places.items()},
        files=files,
        names=names,
    )
    return VersionEntry(
        version=version,
        format=FORMAT,
        parts=tuple(_make_part(file) for file in files),
        description=_write_description(described),
    )


def find_self_contained(storage: Storage, uri: str) -> list[VersionEntry]:
    """The version that a lone file of predictions is which may hold the truth too; else none."""
    from mlrek.formats import forms  # the readers of all forms are for predictions alone

    files = Files(uri=uri, names=(ITSELF,), read=lambda _: storage.read(uri))
    with suppress(SourceError):
        if forms.may_hold_both(files):
            project = make_up_project(parent_uri(uri))
            project = replace(project, provider=Provider.CUSTOM)
            name = escape_unencodable(PurePosixPath(Path(uri).as_posix()).stem) or "_"
            version = Version(project=project, arn=f"{project.arn}/custom/{name}", name=name)
            return [make_entry(storage, uri, CustomOptions(), version)]
    return []


def find_versions(tree: Tree) -> FoundVersions:
    """The versions of archives that came from files of predictions."""

    def read(file: StoredFile) -> tuple[str, VersionEntry] | None:
        return _read_version(tree, file)

    found = dict(read_all(read, filter(is_description, tree.files)))
    taken = frozenset(file.uri for file in tree.list_right_in(found))
    return FoundVersions(entries=list(found.values()), taken=taken)


def read_options_state(entry: VersionEntry) -> Mapping[str, str]:
    """What tells a version's options, and the names of its files, from others."""
    return {OPTIONS: f"sha256={sha256(entry.description).hexdigest()}"}


def _read_version(tree: Tree, file: StoredFile) -> tuple[str, VersionEntry] | None:
    """A version's folder and what its `version.json` says; None where another finder reads it."""
    with suppress(SourceError):
        if not _IS_CUSTOM.search(tree.read_head(file)):
            return None
        folder, data = parent_uri(file.uri), tree.read(file)
        described = _parse_description(data, file.uri)
        parts = tuple(map(_make_part, described.files))
        placed = [
            replace(copy, name=part.name)
            for part, copy in zip(parts, place_parts(parts, folder), strict=True)
        ]
        entry = VersionEntry(
            version=described.identity, format=FORMAT, parts=tuple(placed), description=data
        )
        return folder, entry
    return None


def _parse_description(data: bytes, uri: str) -> _Description:
    try:
        return decode_json(_DECODER, data)
    except ValueError as exc:
        reason = say_unreadable(data, exc, what="the description of a version")
        raise ParseError(uri, 0, reason) from exc


def _write_description(described: _Description) -> bytes:
    return format_json(encode(described), indent=1) + b"\n"


def _make_part(file: _File) -> Part:
    return Part(
        role=PICTURES if is_picture(file.name) else file.role,
        uri=file.origin,
        origin=file.origin,
        name=file.name,
    )


def _clean(place: str) -> str:
    """A place as listings spell it."""
    return place if place.startswith(S3_SCHEME) else str(Path(place))


def _list_files(storage: Storage, place: str) -> list[StoredFile]:
    """The one file that a place is, or all below it.

    Raises:
        SourceNotFoundError: There is none.
    """
    if place.startswith(S3_SCHEME) and not place.endswith("/"):
        with suppress(SourceNotFoundError):  # who may read an object need not be let list
            storage.read_head(place, 1)
            itself = StoredFile(uri=place, name=PurePosixPath(place).name, size=0)
            return [itself, *_find_labels(storage, itself)]
    listed = sorted(storage.list_files(place), key=lambda file: file.name)
    if lone := next((file for file in listed if file.uri == place), None):
        return [lone, *_find_labels(storage, lone)]
    listed = [file for file in listed if not is_left_behind(file.name)]
    if not listed:
        raise SourceNotFoundError(place, "no such file, or an empty folder")
    return listed


def _find_labels(storage: Storage, file: StoredFile) -> Iterator[StoredFile]:
    """The labels that mlrek wrote next to its own `predictions.csv`, where it is one."""
    from mlrek.formats.tables.columns import OWN_LABELS
    from mlrek.formats.tables.own import find_own_table

    own = Files(uri=file.uri, names=(ITSELF,), read=lambda _: storage.read(file.uri))
    with suppress(SourceError):
        if find_own_table(own) is not None:
            labels = join_uri(parent_uri(file.uri), OWN_LABELS)
            storage.read_head(labels, 1)
            yield StoredFile(uri=labels, name=OWN_LABELS, size=0)


# ---- what they say -------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class ReadPlace:
    """The files of one role as they are read, counted and hashed."""

    role: str
    uri: str
    parts: Mapping[str, Part]
    names: Sequence[str]
    reader: PartReader
    opened: set[str] = field(default_factory=set)

    @property
    def files(self) -> Files:
        """The same as readers of forms take them."""
        names = sorted((*self.parts, *self.names))
        return Files(uri=self.uri, names=tuple(names), read=self._read)

    def describe(self) -> SourceFile:
        """What was read, to its end: one file, or a folder's by their names."""
        states = {
            name: self.reader.describe_streamed(self.parts[name])
            for name in sorted(self.opened)
            if not is_picture(name)
        }
        uri = escape_unencodable(self.uri)
        if self.files.names != (ITSELF,):
            told = {name: file.sha256 for name, file in states.items()}
            told |= dict.fromkeys(self.names, "")
            content = json.dumps(told, sort_keys=True).encode()
            size = sum(file.size for file in states.values())
            return SourceFile(
                role=self.role, uri=uri, size=size, sha256=sha256(content).hexdigest()
            )
        return replace(states[ITSELF], role=self.role, uri=uri)

    def _read(self, name: str) -> Iterable[bytes]:
        if name not in self.parts:
            raise SourceNotFoundError(join_uri(self.uri, name), "is not kept with the version")
        self.opened.add(name)
        return self.reader.stream(self.parts[name])


def open_place(reader: PartReader, role: str, uri: str) -> ReadPlace:
    """The file at a place, or the files below it, to be read.

    Raises:
        SourceError: It is not there, or cannot be listed.
    """
    uri = _clean(uri)
    listed = _list_files(reader.storage, uri)
    parts = {
        ITSELF if file.uri == uri else file.name: Part(role=role, uri=file.uri) for file in listed
    }
    return ReadPlace(role=role, uri=uri, parts=parts, names=(), reader=reader)


def load_evaluation(entry: VersionEntry, reader: PartReader) -> Evaluation:
    """The evaluation of one version: its predictions joined with the truth.

    Raises:
        SourceError: A file cannot be read, or is not what it should be.
        EvaluationError: Predictions and truth do not fit together.
    """
    described = _parse_description(entry.description, entry.version.arn)
    places = _open_places(described, entry, reader)
    evaluation = _read_evaluation(entry.version, described, places, reader)
    for place in places.values():
        reader.add_file(place.describe())
    if options := _list_options(described):
        content = json.dumps(options, sort_keys=True).encode()
        digest = sha256(content).hexdigest()
        reader.add_file(
            SourceFile(role=OPTIONS, uri=entry.version.arn, size=len(content), sha256=digest)
        )
    return replace(evaluation, warnings=(*entry.warnings, *evaluation.warnings))


def _open_places(
    described: _Description, entry: VersionEntry, reader: PartReader
) -> dict[str, ReadPlace]:
    by_role: dict[str, dict[str, Part]] = {role: {} for role in described.places}
    for file, part in zip(described.files, entry.parts, strict=True):
        by_role[file.role][file.name] = part
    return {
        role: ReadPlace(
            role=role,
            uri=described.places[role],
            parts=by_role[role],
            names=described.names.get(role, []),
            reader=reader,
        )
        for role in ROLES
        if role in by_role
    }


def _list_options(described: _Description) -> dict[str, object]:
    """The options that were given and change a number."""
    usual = JoinOptions()
    given = {
        "task": described.task,
        "match": described.match if described.match != usual.match else None,
        "unmatched": described.unmatched if described.unmatched != usual.unmatched else None,
        "attributes": list(described.attributes),
    }
    return {name: value for name, value in given.items() if value}


def _read_evaluation(
    version: Version, described: _Description, places: Mapping[str, ReadPlace], reader: PartReader
) -> Evaluation:
    from mlrek.formats import forms
    from mlrek.formats.predictions.join import join_answers
    from mlrek.formats.tables.lists import read_label_map, read_thresholds

    predictions, truth = places[PREDICTIONS], places.get(TRUTH)
    options = JoinOptions(
        task=described.task,
        match=described.match,
        unmatched=described.unmatched,
        thresholds=_read_list(places.get(THRESHOLDS), read_thresholds),
        label_map=_read_list(places.get(LABEL_MAP), read_label_map),
    )
    if truth is None and options == JoinOptions() and forms.is_stored(predictions.files):
        return _take_over(forms.read_stored(predictions.files), version)
    skip = reader.options.skip_bad_lines
    true = (
        forms.read_truth(truth.files, attributes=described.attributes, skip_bad_lines=skip)
        if truth
        else None
    )
    answers = forms.read_answers(predictions.files, skip_bad_lines=skip)
    _check_same(predictions, truth, answers)
    true = true or _find_truth(predictions, answers)
    try:
        return join_answers(version, true, answers, options)
    except EvaluationError as exc:
        among = f" with {truth.uri}" if truth else ""
        raise EvaluationError(f"{predictions.uri}{among}: {exc}") from exc


def _read_list(
    place: ReadPlace | None, read: Callable[[bytes, str], dict[str, T]]
) -> Mapping[str, T]:
    """What a small file says of labels; nothing where there is none."""
    return {} if place is None else read(place.files.read_whole(), place.uri)


def _find_truth(predictions: ReadPlace, answers: Answers) -> "GroundTruth":
    """The truth that the predictions themselves hold.

    Raises:
        SourceError: They hold none.
    """
    if answers.truth is None:
        reason = (
            "holds predictions, but not what is true of the images; name the test set with "
            "--truth FILE"
        )
        raise SourceError(predictions.uri, reason)
    return answers.truth


def _check_same(predictions: ReadPlace, truth: ReadPlace | None, answers: Answers) -> None:
    """Refuse a truth that is the predictions themselves."""
    if truth is None or answers.truth is not None:
        return
    if predictions.describe().sha256 == truth.describe().sha256:
        reason = (
            f"is the same file as the truth, {truth.uri}: predictions would be right by "
            "definition; name the file that the model wrote"
        )
        raise SourceError(predictions.uri, reason)


def _take_over(stored: Evaluation, version: Version) -> Evaluation:
    """An evaluation as it was stored, of another version; what was doubted of it stays so."""
    from mlrek.formats.forms import doubt_chosen

    whose = replace(
        stored.version,
        project=version.project,
        arn=version.arn,
        name=version.name,
        copied_from=stored.version.arn,
    )
    return replace(stored, version=whose, doubts=(*stored.doubts, *doubt_chosen(stored)))
