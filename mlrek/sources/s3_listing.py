"""Sizes, ETags and times of many S3 objects by listing, within so many pages.

A page holds the next 1,000 keys in order. So each page begins where the next object that is looked
for should be: what lies between is not paid for.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlrek.errors import SourceError
from mlrek.sources.aws import asking_aws
from mlrek.sources.s3 import NEEDS_LIST
from mlrek.sources.storage import S3_SCHEME

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

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
                    self.found[bucket, key] = _describe(item)
            if not page["IsTruncated"]:
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


def _describe(item: Any) -> ListedObject:
    return ListedObject(
        size=item["Size"],
        etag=item.get("ETag", "").strip('"'),
        modified_ms=int(item["LastModified"].timestamp() * 1000),
    )
