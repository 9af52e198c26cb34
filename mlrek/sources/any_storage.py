"""What reads files wherever they are: here, in S3, or some here and some there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlrek.sources.aws import AwsClients
from mlrek.sources.s3 import S3Storage
from mlrek.sources.storage import S3_SCHEME, FileState, LocalStorage, Storage, StoredFile


@dataclass(frozen=True, slots=True)
class AnyStorage:
    """Files of which some are here and some in S3; see `Storage` for the methods."""

    clients: AwsClients

    def list_files(self, uri: str, *, deep: bool = True) -> Iterator[StoredFile]:
        """See `Storage`."""
        return open_storage(uri, self.clients).list_files(uri, deep=deep)

    def read(
        self, uri: str, version_id: str = "", *, max_size: int | None = None
    ) -> Iterator[bytes]:
        """See `Storage`."""
        return open_storage(uri, self.clients).read(uri, version_id, max_size=max_size)

    def read_head(self, uri: str, size: int) -> bytes:
        """See `Storage`."""
        return open_storage(uri, self.clients).read_head(uri, size)

    def read_state(self, uri: str, version_id: str = "") -> FileState:
        """See `Storage`."""
        return open_storage(uri, self.clients).read_state(uri, version_id)


def open_storage(uri: str, clients: AwsClients) -> Storage:
    """The storage that `uri` lies in."""
    if uri.startswith(S3_SCHEME):
        return S3Storage(clients)
    return LocalStorage()


def choose_storage_for(places: Iterable[str], clients: AwsClients) -> Storage:
    """What reads files at all of these places."""
    places = list(places)
    in_s3 = {place.startswith(S3_SCHEME) for place in places}
    return AnyStorage(clients) if len(in_s3) > 1 else open_storage(places[0], clients)
