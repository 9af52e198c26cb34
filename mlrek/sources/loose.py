"""Evaluation files that no description comes with, as people download them from the console.

They are known by their content, whatever they are called; one that has the service's name and
holds something else is broken, not overlooked. A summary and a manifest belong together when they
lie in one folder and share the end of their names, or are the only ones there.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mlrek.errors import SourceError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.json_text import say_spoilt
from mlrek.formats.rekognition import Summary, parse_summary
from mlrek.formats.sniff import Role, Service
from mlrek.sources.description import (
    EVALUATION_ROLES,
    choose_project,
    find_project,
    make_up_version,
    parse_version_arn,
)
from mlrek.sources.entries import Part, VersionEntry
from mlrek.sources.storage import S3_SCHEME, StoredFile, parent_uri
from mlrek.sources.tree import Tree, inspect
from mlrek.text import escape_unencodable

EVALUATION_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson", ".manifest"))

_SERVICE_NAME = re.compile(r"(?:Evaluation(?:Result)?Summary|TestingGroundTruth)-(.+)")
_ENDS = re.compile(  # what browsers, packers, Notepad and wget put behind a name
    r"(?:(?:\.(?:jsonl?|ndjson|manifest|txt))+(?:\.(?:gz|gzip|bz2|xz|zst|zip|7z|tgz))?"
    r"|\.(?:gz|gzip|bz2|xz|zst|zip|7z|tgz))(?: ?\([0-9]+\)|\.[0-9]{1,3})?$",
    re.IGNORECASE,
)
_OTHER_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,9}$|~$")
_CONSOLE_NAME = re.compile(r"(?P<project>.+)-(?P<version>(?P=project)\..+)")
_OTHER_OUTPUT = re.compile(
    r"TrainingGroundTruth-|T(?:rain|est)ingManifestWithValidation-|ManifestSummary-"
    r"|(?:train|test)ing_manifest_with_validation"
)
_BROWSER_COUNTER = re.compile(r" ?\([0-9]+\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseFile:
    """A summary or manifest. `summary` is what a summary says, `broken` why nothing can be read.

    `project` is the one that an archive around it names; `notes` are of copies next to it.
    """

    file: StoredFile
    role: str
    project: Project | None = None
    summary: Summary | None = None
    broken: str = ""
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The path of its folder from the listed place."""
        return str(PurePosixPath(self.file.name).parent)

    @property
    def stem(self) -> str:
        """Its name without what the service, the file's kind and a browser put around it."""
        path = PurePosixPath(self.file.name)
        if match := _SERVICE_NAME.fullmatch(_strip_ends(path.name)):
            return match[1]
        return _BROWSER_COUNTER.sub("", path.stem)

    @property
    def is_named_by_service(self) -> bool:
        """Whether the end of its name tells the version."""
        return _SERVICE_NAME.match(PurePosixPath(self.file.name).name) is not None


def seems_evaluation(file: StoredFile) -> bool:
    """Whether it is worth a look: JSON or an evaluation's by its name, and no other output."""
    is_json = file.ending in EVALUATION_SUFFIXES
    name = file.own_name
    return (is_json or bool(_guess_role(name))) and not _OTHER_OUTPUT.match(name)


def inspect_file(tree: Tree, file: StoredFile, project: Project | None) -> LooseFile | None:
    """What a file is by its head; None when it is nothing of an evaluation.

    One that cannot be read, or holds something else, is what its name says, and broken; None when
    that says nothing.
    """
    named = _guess_role(PurePosixPath(file.name).name)
    seen = inspect(tree, file, Service.REKOGNITION, EVALUATION_ROLES, named=named)
    if seen is None:
        return None
    found = LooseFile(file=file, role=seen.role, project=project, broken=seen.broken)
    if seen.broken or seen.role is not Role.SUMMARY:
        return found
    try:
        return replace(found, summary=parse_summary(file.uri, tree.read(file)))
    except SourceError as exc:
        return replace(found, broken=str(exc)) if named else None


def find_unread(tree: Tree, file: StoredFile) -> tuple[str, str] | None:
    """The folder of a file that holds no text or a web page, and what it is; None for others."""
    with suppress(SourceError):  # what cannot be read at all is told by the caller
        if said := say_spoilt(tree.read_head(file)):
            return str(PurePosixPath(file.name).parent), f"{file.uri}: {said}"
    return None


def list_loose(
    files: Iterable[LooseFile],
    described: Iterable[Version] = (),
    unread: Iterable[tuple[str, str]] = (),
) -> list[VersionEntry]:
    """A version for each pair of files and each file without a twin.

    Args:
        files: What was found.
        described: Versions that something else here tells of: a file's name may be of one.
        unread: Folders with what lies there that nobody can read: it may be a twin that is missed.
    """
    by_folder: dict[str, list[LooseFile]] = {}
    told = list(described)
    for file in files:
        by_folder.setdefault(file.folder, []).append(file)
        if version := parse_version_arn(file.summary.version_arn if file.summary else ""):
            told.append(version)
    known, missed = _know(told), list(unread)
    return [
        _name_missed(_make_entry(pair, known), [said for place, said in missed if place == folder])
        for folder, files in by_folder.items()
        for pair in pair_files(files)
    ]


def pair_files(files: list[LooseFile]) -> list[list[LooseFile]]:
    """The files of one folder, by version: each alone or with its twin."""
    by_version: dict[str, list[LooseFile]] = {}
    for file in files:
        by_version.setdefault(file.stem, []).append(file)
    by_version = {stem: list(_drop_spoilt(alike)) for stem, alike in by_version.items()}
    files = [file for alike in by_version.values() for file in alike]
    pairs = [alike for alike in by_version.values() if _are_twins(alike)]
    readable = [file for file in files if file.role in EVALUATION_ROLES]
    if not pairs and _are_twins(readable) and not all(f.is_named_by_service for f in readable):
        pairs = [readable]
    paired = {file.file.uri for pair in pairs for file in pair}
    return [*pairs, *([file] for file in files if file.file.uri not in paired)]


def make_up_project(folder: str) -> Project:
    """An identity for a project that nothing but the folder's name tells."""
    path = PurePosixPath(folder) if folder.startswith(S3_SCHEME) else Path(folder).resolve()
    name = escape_unencodable(path.name) or "_"
    return Project(provider=Provider.REKOGNITION, arn=f"local:project/{name}", name=name)


def _guess_role(name: str) -> Role | None:
    if not _SERVICE_NAME.match(name) or _OTHER_SUFFIX.search(_strip_ends(name)):
        return None
    return Role.MANIFEST if name.startswith("Testing") else Role.SUMMARY


def _strip_ends(name: str) -> str:
    return _BROWSER_COUNTER.sub("", _ENDS.sub("", name, count=1))


def _drop_spoilt(alike: list[LooseFile]) -> Iterator[LooseFile]:
    """Files of one version, without those that cannot be read while a copy can."""
    readable = {file.role for file in alike if not file.broken}
    for file in alike:
        if file.broken and file.role in readable:
            continue
        spoilt = (o for o in alike if o.broken and o.role == file.role and file.role in readable)
        notes = tuple(f"{other.broken}; {file.file.uri} counts" for other in spoilt)
        yield replace(file, notes=notes)


def _are_twins(files: list[LooseFile]) -> bool:
    return sorted(file.role for file in files) == sorted(EVALUATION_ROLES)


def _name_missed(entry: VersionEntry, unread: list[str]) -> VersionEntry:
    """The entry with what cannot be read next to it, where one of its files is missed."""
    if len(entry.parts) == len(EVALUATION_ROLES) or entry.refused:
        return entry
    return replace(entry, warnings=(*entry.warnings, *unread))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Projects by their names, and versions by what the service would call their files."""

    projects: Mapping[str, Project]
    versions: Mapping[str, Version]


def _know(told: Iterable[Version]) -> _Known:
    """What the descriptions say of versions, without names that several have."""
    projects: dict[str, Project] = {}
    arns: dict[str, dict[str, Version]] = {}
    for version in told:
        projects.setdefault(version.project.name, version.project)
        name = f"{version.project.name}-{version.name}"
        arns.setdefault(name, {}).setdefault(version.arn, version)
    single = {name: next(iter(alike.values())) for name, alike in arns.items() if len(alike) == 1}
    return _Known(projects=projects, versions=single)


def _make_entry(pair: list[LooseFile], known: _Known) -> VersionEntry:
    named = next((file for file in pair if file.role == Role.SUMMARY), None)
    summary = (named and named.summary) or Summary()
    warnings: tuple[str, ...]
    if named and (other := _name_other(pair, summary.version_arn, known)):
        warnings = (_say_other(named, summary.version_arn, other),)
        version, summary = other, Summary()
    else:
        version, warnings = _identify(named or pair[0], summary.version_arn, known)
    f1 = summary.reported.aggregate.get("f1")
    return VersionEntry(
        version=replace(version, training_end_ms=summary.evaluation_end_ms),
        parts=tuple(Part(role=file.role, uri=file.file.uri, origin=file.file.uri) for file in pair),
        reported={} if f1 is None else {"f1": f1},
        test_images=summary.reported.test_images,
        refused="; ".join(file.broken for file in pair if file.broken),
        warnings=(*warnings, *(note for file in pair for note in file.notes)),
    )


def _name_other(pair: list[LooseFile], version_arn: str, known: _Known) -> Version | None:
    """The version of the summary's project that a file's name tells, where it is another one."""
    said = parse_version_arn(version_arn)
    if said is None:
        return None
    for file in pair:
        name = file.stem.removeprefix(f"{said.project.name}-")
        if file.is_named_by_service and name not in {file.stem, said.name}:
            project = choose_project(said, (file.project, find_project(file.file.uri))).project
            return known.versions.get(file.stem) or make_up_version(project, name)
    return None


def _say_other(named: LooseFile, version_arn: str, other: Version) -> str:
    return (
        f"{named.file.uri}: says that it is of {version_arn}, but the files' names say "
        f"{other.name}, which counts; if the names are wrong, rename the files"
    )


def _identify(file: LooseFile, version_arn: str, known: _Known) -> tuple[Version, tuple[str, ...]]:
    """Which version a file is of, by the summary, else by its name or place, and then a warning."""
    uri = file.file.uri
    version = parse_version_arn(version_arn)
    if version is not None:
        return choose_project(version, (file.project, find_project(uri))), ()
    if file.is_named_by_service and (version := known.versions.get(file.stem)):
        return version, ()
    project = file.project or find_project(uri)
    if project is None and file.broken and file.is_named_by_service:
        return _identify_by_name(file.stem, known.projects), ()
    project = project or make_up_project(parent_uri(uri))
    version = make_up_version(project, file.stem.removeprefix(f"{project.name}-"))
    if file.summary:
        warning = f"has no ProjectVersionArn, so the version is called {version.arn}"
    else:
        warning = (
            f"nothing tells which version this is, so it is called {version.arn}; put the "
            "version's EvaluationResultSummary-….json next to it to give it its own name"
        )
    return version, (f"{uri}: {warning}",)


def _identify_by_name(stem: str, projects: Mapping[str, Project]) -> Version:
    """The version that the name of a broken file tells: a project that is known, else a guess."""
    known = [name for name in projects if stem.startswith(f"{name}-")]
    if known:
        name = max(known, key=len)
        return make_up_version(projects[name], stem.removeprefix(f"{name}-"))
    match = _CONSOLE_NAME.fullmatch(stem)
    name, _, version = (match["project"], "", match["version"]) if match else stem.rpartition("-")
    return make_up_version(make_up_project(name or stem), version)
