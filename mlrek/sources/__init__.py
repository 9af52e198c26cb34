"""Where bytes come from: `open_source` of `mlrek.sources.opening`, and what it gives.

These names are imported when they are asked for: who reads one small file needs no provider.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlrek.sources.aws import AwsOptions
    from mlrek.sources.entries import Part, Source, VersionEntry
    from mlrek.sources.opening import (
        FILE_FORMATS,
        SavedVersions,
        StoredSource,
        open_all_projects,
        open_predictions,
        open_source,
    )
    from mlrek.sources.rekognition_now import ListedProject, list_projects

__all__ = [
    "FILE_FORMATS",
    "AwsOptions",
    "ListedProject",
    "Part",
    "SavedVersions",
    "Source",
    "StoredSource",
    "VersionEntry",
    "list_projects",
    "open_all_projects",
    "open_predictions",
    "open_source",
]

_MODULES = {
    "AwsOptions": "mlrek.sources.aws",
    "ListedProject": "mlrek.sources.rekognition_now",
    "Part": "mlrek.sources.entries",
    "Source": "mlrek.sources.entries",
    "VersionEntry": "mlrek.sources.entries",
    "list_projects": "mlrek.sources.rekognition_now",
}
"""Where a name is that is not in `mlrek.sources.opening`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mlrek.sources' has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "mlrek.sources.opening")), name)
