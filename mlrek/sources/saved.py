"""Saved evaluations below a folder or an S3 prefix: archives, and files from a console.

An archive holds for each project `project.json` and `versions/VERSION/version.json` with the
version's files beside it. Any number of them, of any providers, may lie below the place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.sources.catalogue import VersionEntry
from mlrek.sources.description import make_up_version
from mlrek.sources.file_formats import FILE_FORMATS
from mlrek.sources.loose import make_up_project
from mlrek.sources.storage import Storage, join_uri, parent_uri
from mlrek.sources.tree import VERSION_FILE, VERSIONS_FOLDER, Tree


@dataclass(frozen=True, slots=True)
class SavedVersions:
    """The versions saved below a place, or in the one file that it is."""

    storage: Storage
    uri: str

    def list_versions(self) -> Sequence[VersionEntry]:
        """Every version, each once; whole manifests are not read.

        Raises:
            SourceNotFoundError: There is nothing that mlrek knows.
        """
        files = list(self.storage.list_files(self.uri))
        if any(file.uri == self.uri for file in files):
            return self._find_versions_of_file()
        found = _find_entries(Tree(self.storage, files))
        if not found:
            looked_for = "; ".join(known.looked_for for known in FILE_FORMATS.values())
            raise SourceNotFoundError(
                self.uri,
                f"no evaluation among its {len(files)} files; looked for {VERSIONS_FOLDER}/*/"
                f"{VERSION_FILE}; {looked_for}",
            )
        return _keep_one_each(found)

    def _find_versions_of_file(self) -> list[VersionEntry]:
        """The versions that a single file belongs to, with what lies beside it."""
        folder = parent_uri(self.uri)
        beside = list(self.storage.list_files(folder, deep=False))
        entries = _find_entries(Tree(self.storage, beside, self.uri))
        own = [entry for entry in entries if self.uri in {part.uri for part in entry.parts}]
        if not own and self.uri == join_uri(folder, VERSION_FILE):
            own = entries
        if not own:
            looked_for = "; ".join(known.looked_for for known in FILE_FORMATS.values())
            reason = f"is no file of an evaluation; name one ({looked_for}), or a folder"
            raise SourceError(self.uri, reason)
        return own


def _find_entries(tree: Tree) -> list[VersionEntry]:
    """What every finder finds, in the order of the table."""
    entries: list[VersionEntry] = []
    for known in FILE_FORMATS.values():
        found = known.find(tree)
        entries += found.entries
        tree = tree.without(found.taken)
    return [*entries, *map(_refuse, tree.list_unreadable())]


def _refuse(error: SourceError) -> VersionEntry:
    """A file that may be of an evaluation, if only one could look into it."""
    project = make_up_project(parent_uri(error.uri))
    version = make_up_version(project, PurePosixPath(error.uri).stem)
    return VersionEntry(version=version, refused=str(error))


def _keep_one_each(entries: Iterable[VersionEntry]) -> list[VersionEntry]:
    """Each version once: described rather than loose, whole rather than half, the first found."""
    by_arn: dict[str, list[VersionEntry]] = {}
    for entry in entries:
        by_arn.setdefault(entry.version.arn, []).append(entry)
    kept = []
    for same in by_arn.values():
        best, *others = sorted(same, key=_count_parts, reverse=True)
        warnings = [
            f"{other.parts[0].uri if other.parts else other.version.arn}: is another copy of this "
            "version; it is left out"
            for other in others
        ]
        kept.append(replace(best, warnings=(*best.warnings, *warnings)))
    return kept


def _count_parts(entry: VersionEntry) -> tuple[bool, int]:
    roles = {part.role for part in entry.parts}
    return bool(entry.description), len(roles.intersection(FILE_FORMATS[entry.format].roles))
