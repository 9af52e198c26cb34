"""Files below an S3 prefix. A download that is cut off goes on where it stopped."""

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any, TypedDict

from mlrek.errors import SourceError, SourceInterruptedError
from mlrek.sources.aws import AwsClients, asking_aws
from mlrek.sources.storage import (
    CHUNK,
    S3_SCHEME,
    FileState,
    FileTooLargeError,
    StoredFile,
    Walk,
    check_size,
    is_hidden,
    parent_uri,
    parse_s3_uri,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef


MAX_RESUMES = 5
SLOW_AFTER_S = 45.0  # of waiting for a body, until its pace is judged, and again after as long
SLOW = 1024  # bytes a second: a body that comes slower is given up
NOT_FOUND = 404
EMPTY_FILE = 416  # the status of a range of an object without bytes

NEEDS_GET = (
    "s3:GetObject (AWS also answers so for a missing file without s3:ListBucket, "
    "and for an encrypted one without kms:Decrypt)"
)
NEEDS_LIST = "s3:ListBucket on the bucket"


class _Place(TypedDict, total=False):
    Bucket: str
    Key: str
    VersionId: str


@dataclass(frozen=True, slots=True)
class S3Storage:
    """Files in S3, read with one shared client; see `Storage` for the methods."""

    clients: AwsClients

    def list_files(self, uri: str, *, deep: bool = True) -> Iterator[StoredFile]:
        """See `Storage`. Where nothing is below `uri/`: the files whose keys begin with `uri`."""
        bucket, prefix = parse_s3_uri(uri)
        folder = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        found = False
        for file in self._list(bucket, folder, cut=len(folder), deep=deep):
            found = True
            yield file
        if not found and folder:
            yield from self._list(bucket, prefix, cut=prefix.rfind("/") + 1, deep=False)

    def read(
        self, uri: str, version_id: str = "", *, max_size: int | None = None
    ) -> Iterator[bytes]:
        """See `Storage`."""
        place = _place(uri, version_id)
        with asking_aws(uri, needs=NEEDS_GET):
            answer = self.clients.s3.get_object(**place)
        try:
            check_size(uri, answer["ContentLength"], max_size)
        except FileTooLargeError:
            answer["Body"].close()
            raise
        return self._continue(uri, place, answer)

    def read_head(self, uri: str, size: int) -> bytes:
        """See `Storage`."""
        from botocore.exceptions import ClientError

        place = _place(uri, "")
        with asking_aws(uri, needs=NEEDS_GET):
            try:
                answer = self.clients.s3.get_object(**place, Range=f"bytes=0-{size - 1}")
            except ClientError as exc:
                if _status(exc) == EMPTY_FILE:
                    return b""
                raise
        return b"".join(self._continue(uri, place, answer))

    def read_state(self, uri: str, version_id: str = "") -> FileState:
        """See `Storage`. `md5` is empty where the ETag is none (parts, KMS)."""
        from botocore.exceptions import ClientError

        place = _place(uri, version_id)
        with asking_aws(uri, needs=NEEDS_GET):
            try:
                head = self.clients.s3.head_object(**place)
            except ClientError as exc:
                if _status(exc) != NOT_FOUND:  # a HEAD does not say why; a GET does
                    self.clients.s3.get_object(**place, Range="bytes=0-0")["Body"].close()
                raise
        return FileState(
            size=head["ContentLength"],
            etag=head["ETag"].strip('"'),
            version_id=head.get("VersionId", ""),
            md5=_find_md5(place, head),
        )

    def _list(self, bucket: str, prefix: str, *, cut: int, deep: bool) -> Iterator[StoredFile]:
        walk = Walk(f"{S3_SCHEME}{bucket}/{prefix}")
        with asking_aws(walk.uri, needs=NEEDS_LIST):
            pages = self.clients.s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, Delimiter="" if deep else "/"
            )
            for items in (page["Contents"] for page in pages if page.get("Contents")):
                if deep:
                    folder = parent_uri(f"{S3_SCHEME}{bucket}/{items[-1]['Key']}")
                    walk.enter(folder, (item["Key"].rpartition("/")[2] for item in items))
                for item in items:
                    key, name = item["Key"], item["Key"][cut:]
                    if not key.endswith("/") and not is_hidden(name):
                        uri = f"{S3_SCHEME}{bucket}/{key}"
                        yield StoredFile(uri=uri, name=name, size=item["Size"])

    def _continue(
        self, uri: str, place: _Place, answer: "GetObjectOutputTypeDef"
    ) -> Iterator[bytes]:
        """All bytes that `answer` promises; after a cut, the same object from there on.

        What is a whole object is held against its length and, where that is an MD5, its ETag.
        """
        from botocore.exceptions import HTTPClientError, IncompleteReadError
        from urllib3.exceptions import HTTPError

        size, etag, done = answer["ContentLength"], answer["ETag"], 0
        expected = "" if "ContentRange" in answer else _find_md5(place, answer)
        digest = md5(usedforsecurity=False)
        for resumes in range(MAX_RESUMES + 1):
            with asking_aws(uri, needs=NEEDS_GET):
                if resumes:
                    rest = f"bytes={done}-{size - 1}"
                    answer = self.clients.s3.get_object(**place, Range=rest, IfMatch=etag)
                    if not answer.get("ContentRange", "").startswith(f"bytes {done}-"):
                        break
                try:
                    with closing(_watch(uri, answer["Body"])) as body:
                        for chunk in body.iter_chunks(CHUNK):
                            done += len(chunk)
                            if expected:
                                digest.update(chunk)
                            yield chunk
                except (HTTPClientError, IncompleteReadError, HTTPError):
                    pass  # the length tells what is missing
            if done == size and expected in ("", digest.hexdigest()):
                return
            if done == size:
                raise SourceInterruptedError(
                    uri, "damaged on its way (not its ETag); run the command again"
                )
        raise SourceInterruptedError(
            uri, f"the download was cut off at byte {done}; run the command again"
        )


@dataclass(slots=True)
class _Watched:
    """A raw body that is given up when it comes too slowly, which no timeout of one read ends.

    Only waiting counts, not what its reader does in between.
    """

    uri: str
    raw: Any
    waited: float = 0.0
    n_bytes: int = 0

    def read(self, amount: int) -> bytes:
        """The next `amount` bytes; fewer at the end and before an error, which comes next.

        Raises:
            SourceInterruptedError: They come too slowly.
        """
        pieces, missing = list[bytes](), amount
        while missing and (piece := self._read_piece(missing, has_some=bool(pieces))):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()

    def _read_piece(self, most: int, *, has_some: bool) -> bytes:
        from urllib3.exceptions import HTTPError

        began = time.monotonic()
        try:
            piece = _read_arrived(self.raw, most)
        except HTTPError:
            if has_some:
                return b""
            raise
        self.waited += time.monotonic() - began
        self.n_bytes += len(piece)
        if piece and self.waited > SLOW_AFTER_S:
            self._judge()
        return piece

    def _judge(self) -> None:
        if self.n_bytes < SLOW * self.waited:
            raise SourceInterruptedError(
                self.uri,
                f"only {self.n_bytes:,} bytes came in {self.waited:.0f} seconds; check the "
                "network, and run the command again",
            )
        self.waited, self.n_bytes = 0.0, 0


_UNORDERED = "--x-s3"
"""How names of directory buckets end, which list in no order."""


class PagesSpentError(SourceError):
    """Finding objects takes more pages than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """What a listing tells of an object."""

    size: int
    etag: str
    modified_ms: int


@dataclass(slots=True, kw_only=True)
class Lister:
    """Finds objects by listing; `found` are all that were, by bucket and key.

    After `max_pages`, or past the `deadline` (of `time.monotonic`), no further page is asked for.
    Once a page could be read, `find_others` is asked for keys, by bucket, that are kept as well
    where a page happens to hold them.
    """

    client: "S3Client"
    max_pages: int
    deadline: float
    find_others: Callable[[], Mapping[str, Collection[str]]]
    found: dict[tuple[str, str], ListedObject] = field(default_factory=dict)
    n_pages: int = 0
    _others: Mapping[str, Collection[str]] | None = None

    def find(self, bucket: str, keys: Collection[str]) -> None:
        """Look for the objects of these keys.

        Raises:
            PagesSpentError: That takes too many pages, or too long.
            SourceError: The bucket may not be listed, or not just now.
        """
        if bucket.endswith(_UNORDERED):
            return
        for prefix in choose_prefixes(keys, max(self.max_pages // 2, 1)):
            self._sweep(bucket, prefix, [key for key in keys if key.startswith(prefix)])

    def _sweep(self, bucket: str, prefix: str, keys: list[str]) -> None:
        """Page by page, each from the first key that is neither found nor passed."""
        wanted, after, i = sorted(keys), "", 0
        known = set(keys)
        while i < len(wanted):
            after = max(after, wanted[i][:-1])
            page = self._read_page(bucket, prefix, after)
            items, others = page.get("Contents", []), self._list_others(bucket)
            for item in items:
                if (key := item["Key"]) in known or key in others:
                    self.found[bucket, key] = _parse_item(item)
            if not page.get("IsTruncated"):
                return
            last = items[-1]["Key"] if items else after
            if last <= after:
                raise SourceError(f"{S3_SCHEME}{bucket}/{prefix}", "is listed in no order")
            after, i = last, bisect_right(wanted, last)

    def _list_others(self, bucket: str) -> Collection[str]:
        if self._others is None:
            self._others = self.find_others()
        return self._others.get(bucket, ())

    def _read_page(self, bucket: str, prefix: str, after: str) -> Any:
        uri = f"{S3_SCHEME}{bucket}/{prefix}"
        if self.n_pages >= self.max_pages:
            raise PagesSpentError(uri, f"finding them takes more than {self.max_pages} pages")
        if time.monotonic() >= self.deadline:
            raise PagesSpentError(uri, "finding them takes too long")
        self.n_pages += 1
        start: Any = {"StartAfter": after} if after else {}
        with asking_aws(uri, needs=NEEDS_LIST):
            return self.client.list_objects_v2(Bucket=bucket, Prefix=prefix, **start)


def _watch(uri: str, body: "StreamingBody") -> "StreamingBody":
    """The body, watched below botocore's own, which holds bytes against length and checksum."""
    raw = getattr(body, "_raw_stream", None)
    if hasattr(raw, "read1") or hasattr(getattr(raw, "_fp", None), "read1"):
        body._raw_stream = _Watched(uri, raw)  # type: ignore[attr-defined]  # noqa: SLF001
    return body


def _read_arrived(raw: Any, most: int) -> bytes:
    """What has arrived of a body, at least a byte; nothing at its end.

    Before 2.1 urllib3 cannot be asked for that, but what it reads from can.
    """
    if hasattr(raw, "read1"):
        return raw.read1(most) or b""
    with raw._error_catcher():  # noqa: SLF001
        return raw._fp.read1(most) or b""  # noqa: SLF001


def _status(exc: "ClientError") -> int:
    return exc.response["ResponseMetadata"]["HTTPStatusCode"]


def _find_md5(place: _Place, answer: Mapping[str, Any]) -> str:
    """The MD5 that an object's ETag is, '' where it is none: in parts, KMS, directory buckets."""
    etag = str(answer["ETag"]).strip('"')
    is_plain = answer.get("ServerSideEncryption", "AES256") == "AES256"
    is_plain &= not answer.get("SSECustomerAlgorithm") and not place["Bucket"].endswith("--x-s3")
    return etag if is_plain and re.fullmatch("[0-9a-f]{32}", etag) else ""


def _place(uri: str, version_id: str) -> _Place:
    bucket, key = parse_s3_uri(uri)
    place = _Place(Bucket=bucket, Key=key)
    if version_id:
        place["VersionId"] = version_id
    return place


def choose_prefixes(keys: Collection[str], most: int) -> list[str]:
    """The folders to list: those of the keys, or where these are too many the ones around them.

    >>> choose_prefixes(["a/1", "a/b/2", "c/3"], 5)
    ['a/', 'c/']
    >>> choose_prefixes(["x/a/1", "x/b/2", "x/c/3"], 2)
    ['x/']
    """
    folders = {key[: key.rfind("/") + 1] for key in keys}
    while len(folders) > most:
        deepest = max(folder.count("/") for folder in folders)
        folders = {_climb(f) if f.count("/") == deepest else f for f in folders}
    return list(_outermost(sorted(folders)))


def _outermost(folders: list[str]) -> Iterator[str]:
    """Those that are in no other one."""
    last: str | None = None
    for folder in folders:
        if last is None or not folder.startswith(last):
            last = folder
            yield folder


def _climb(folder: str) -> str:
    """The folder around one."""
    return folder[: folder[:-1].rfind("/") + 1]


def _parse_item(item: Any) -> ListedObject:
    return ListedObject(
        size=item["Size"],
        etag=item.get("ETag", "").strip('"'),
        modified_ms=int(item["LastModified"].timestamp() * 1000),
    )
