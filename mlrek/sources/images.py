"""A few test images, for pictures: where they can be read, and silence where they cannot."""

from collections.abc import Iterator, Sequence
from itertools import islice

from mlrek.sources.catalogue import VersionEntry
from mlrek.sources.masks import MaskFolder
from mlrek.sources.storage import Storage

SEARCHED_FOLDERS = 3
"""Images may lie beside the manifest, or beside the folders above it (an archive has two)."""


def read_images(storage: Storage, entry: VersionEntry, uris: Sequence[str]) -> Iterator[bytes]:
    """The content of each image in order; b'' for one that is not there, or may not be read."""
    folders = list(islice(_list_folders(entry), SEARCHED_FOLDERS))
    for uri in uris:
        found = (MaskFolder(storage, folder).read_one(uri) for folder in folders)
        yield next((content for content in found if isinstance(content, bytes)), b"")


def _list_folders(entry: VersionEntry) -> Iterator[str]:
    """The folder of the evaluation's first file, and those above it."""
    folder = entry.parts[0].uri.replace("\\", "/") if entry.parts else ""
    while (folder := folder.rpartition("/")[0]).rstrip(":/"):
        yield folder
