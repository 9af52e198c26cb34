"""Evaluation files that no description comes with, as people download them from the console.

They are known by their content, whatever they are called. A summary and a manifest belong together
when they lie in one folder and share the end of their names, or are the only ones there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mlrek.errors import SourceError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.rekognition import Role, Summary, parse_summary, sniff
from mlrek.formats.rekognition_arn import parse_version_arn
from mlrek.printable import escape_unencodable
from mlrek.sources.catalogue import Part, VersionEntry
from mlrek.sources.description import (
    EVALUATION_ROLES,
    choose_project,
    find_project,
    make_up_version,
)
from mlrek.sources.storage import S3_SCHEME, StoredFile, parent_uri
from mlrek.sources.tree import Tree

EVALUATION_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson", ".manifest"))

_SERVICE_NAME = re.compile(r"(?:Evaluation(?:Result)?Summary|TestingGroundTruth)-(.+)")
_OTHER_OUTPUT = re.compile(
    r"TrainingGroundTruth-|T(?:rain|est)ingManifestWithValidation-|ManifestSummary-"
    r"|(?:train|test)ing_manifest_with_validation"
)
_BROWSER_COUNTER = re.compile(r" ?\([0-9]+\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseFile:
    """A summary or manifest. `summary` is what a summary says, `broken` why nothing can be read.

    `project` is the one that an archive around it names.
    """

    file: StoredFile
    role: str
    project: Project | None = None
    summary: Summary | None = None
    broken: str = ""

    @property
    def folder(self) -> str:
        """The path of its folder from the listed place."""
        return str(PurePosixPath(self.file.name).parent)

    @property
    def stem(self) -> str:
        """Its name without what the service, the file's kind and a browser put around it."""
        stem = _BROWSER_COUNTER.sub("", PurePosixPath(self.file.name).stem)
        match = _SERVICE_NAME.fullmatch(stem)
        return match[1] if match else stem

    @property
    def is_named_by_service(self) -> bool:
        """Whether the end of its name tells the version."""
        return _SERVICE_NAME.match(PurePosixPath(self.file.name).name) is not None


def seems_evaluation(file: StoredFile) -> bool:
    """Whether it is worth a look: JSON by its name, and no other output of the service."""
    path = PurePosixPath(file.name)
    return path.suffix.lower() in EVALUATION_SUFFIXES and not _OTHER_OUTPUT.match(path.name)


def inspect_file(tree: Tree, file: StoredFile, project: Project | None) -> LooseFile | None:
    """What a file is by its head; None when it is nothing of an evaluation.

    A file that may not be read is what its name says, and broken; None when that says nothing.
    """
    name = PurePosixPath(file.name).name
    found = LooseFile(file=file, role=_guess_role(name), project=project)
    try:
        role = sniff(tree.read_head(file), name)
        if role is None or role not in _READ:
            return None
        found = replace(found, role=role)
        return _READ[role](tree, found)
    except SourceError as exc:
        return replace(found, broken=str(exc)) if found.role else None


def list_loose(files: Iterable[LooseFile]) -> list[VersionEntry]:
    """A version for each pair of files and each file without a twin."""
    by_folder: dict[str, list[LooseFile]] = {}
    for file in files:
        by_folder.setdefault(file.folder, []).append(file)
    return [_make_entry(pair) for beside in by_folder.values() for pair in pair_files(beside)]


def pair_files(beside: list[LooseFile]) -> list[list[LooseFile]]:
    """The files of one folder, by version: each alone or with its twin."""
    by_version: dict[str, list[LooseFile]] = {}
    for file in beside:
        by_version.setdefault(file.stem, []).append(file)
    pairs = [alike for alike in by_version.values() if _are_twins(alike)]
    readable = [file for file in beside if file.role in EVALUATION_ROLES]
    if not pairs and _are_twins(readable) and not all(f.is_named_by_service for f in readable):
        pairs = [readable]
    paired = {file.file.uri for pair in pairs for file in pair}
    return [*pairs, *([file] for file in beside if file.file.uri not in paired)]


def make_up_project(folder: str) -> Project:
    """An identity for a project that nothing but the folder's name tells."""
    path = PurePosixPath(folder) if folder.startswith(S3_SCHEME) else Path(folder).resolve()
    name = escape_unencodable(path.name) or "_"
    return Project(provider=Provider.REKOGNITION, arn=f"local:project/{name}", name=name)


def _guess_role(name: str) -> str:
    if not _SERVICE_NAME.match(name):
        return ""
    return Role.MANIFEST if name.startswith("Testing") else Role.SUMMARY


def _read_summary(tree: Tree, found: LooseFile) -> LooseFile:
    return replace(found, summary=parse_summary(found.file.uri, tree.read(found.file)))


_READ: Mapping[Role, Callable[[Tree, LooseFile], LooseFile]] = {
    Role.SUMMARY: _read_summary,
    Role.MANIFEST: lambda _, found: found,
}


def _are_twins(files: list[LooseFile]) -> bool:
    return sorted(file.role for file in files) == sorted(EVALUATION_ROLES)


def _make_entry(pair: list[LooseFile]) -> VersionEntry:
    named = next((file for file in pair if file.role == Role.SUMMARY), None)
    summary = (named and named.summary) or Summary()
    version, warnings = _identify(named or pair[0], summary.version_arn)
    f1 = summary.reported.aggregate.get("f1")
    return VersionEntry(
        version=replace(version, training_end_ms=summary.evaluation_end_ms),
        parts=tuple(Part(role=file.role, uri=file.file.uri, origin=file.file.uri) for file in pair),
        reported={} if f1 is None else {"f1": f1},
        test_images=summary.reported.test_images,
        refused="; ".join(file.broken for file in pair if file.broken),
        warnings=warnings,
    )


def _identify(file: LooseFile, version_arn: str) -> tuple[Version, tuple[str, ...]]:
    """Which version a file is of, by the summary, else by its place; and a warning if so."""
    uri = file.file.uri
    version = parse_version_arn(version_arn)
    if version is not None:
        return choose_project(version, (file.project, find_project(uri))), ()
    project = file.project or find_project(uri) or make_up_project(parent_uri(uri))
    version = make_up_version(project, file.stem.removeprefix(f"{project.name}-"))
    if file.summary:
        warning = f"has no ProjectVersionArn, so the version is called {version.arn}"
    else:
        warning = (
            f"nothing tells which version this is, so it is called {version.arn}; put the "
            "version's EvaluationResultSummary-….json beside it to give it its own name"
        )
    return version, (f"{uri}: {warning}",)
