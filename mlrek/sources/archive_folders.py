"""Where in an archive each project and version goes: safe names, and nobody else's place."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from mlrek.errors import SourceError
from mlrek.evaluation import Project, Version
from mlrek.formats.lines import BYTE_ORDER_MARK
from mlrek.sources.file_names import fold_name, make_safe_name
from mlrek.sources.storage import LocalStorage
from mlrek.sources.tree import PROJECT_FILE, VERSION_FILE, VERSIONS_FOLDER, read_project


class _Identity(Struct, rename="pascal"):
    project_version_arn: str | None = None


_IDENTITY_DECODER = Decoder(_Identity)


def place_projects(folder: Path, projects: Iterable[Project]) -> Mapping[Project, Path]:
    """A folder for each project: the archive's own for a single one, else one below it.

    Raises:
        SourceError: The folder is the archive of another project, or its head is broken.
    """
    projects = tuple(dict.fromkeys(projects))
    here = _read_project_arn(folder / PROJECT_FILE)
    below = {
        fold_name(head.parent.name): _read_project_arn(head)
        for head in sorted(folder.glob(f"*/{PROJECT_FILE}"))
    }
    if len(projects) == 1 and projects[0].arn not in below.values():
        if here not in ("", projects[0].arn):
            raise SourceError(
                str(folder), f"is the archive of another project ({here}); choose another folder"
            )
        return {projects[0]: folder}
    return {
        project: folder if here == project.arn else folder / _take(project.name, project.arn, below)
        for project in projects
    }


def place_versions(folder: Path, versions: Iterable[Version]) -> Mapping[str, Path]:
    """A folder for each version of the project archived in `folder`, by version ARN.

    A folder keeps its version: one made later under the same name, or under one that a disk takes
    for the same, gets a folder of its own.
    """
    root = folder / VERSIONS_FOLDER
    taken = {
        fold_name(file.parent.name): _read_version_arn(file)
        for file in sorted(root.glob(f"*/{VERSION_FILE}"))
    }
    return {version.arn: root / _take(version.name, version.arn, taken) for version in versions}


def _take(name: str, arn: str, taken: dict[str, str]) -> str:
    """A safe folder name that nothing else than `arn` has; it is taken from then on."""
    plain = make_safe_name(name)
    unique = f"{plain}-{sha256(arn.encode()).hexdigest()[:8]}"
    chosen = plain if taken.get(fold_name(plain), arn) in ("", arn) else unique
    taken[fold_name(chosen)] = arn
    return chosen


def _read_project_arn(file: Path) -> str:
    project = read_project(LocalStorage(), str(file))
    return project.arn if project else ""


def _read_version_arn(file: Path) -> str:
    try:
        data = file.read_bytes().removeprefix(BYTE_ORDER_MARK)
        return _IDENTITY_DECODER.decode(data).project_version_arn or ""
    except (OSError, DecodeError):
        return ""
