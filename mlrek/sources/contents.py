"""What the bytes of test images are, asked once, when a version is first logged.

In S3 by listing, on a disk by digest. It only adds something: whatever keeps us from knowing costs
a warning at most, never the version.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlrek.errors import EvaluationError, SourceError, SourceNotFoundError
from mlrek.evaluation import BoolArray, Contents, Evaluation
from mlrek.formats.doubts import Print, add_contents, add_copies, list_prints
from mlrek.sources.any_storage import open_storage
from mlrek.sources.aws import AwsClients
from mlrek.sources.entries import FoundContents, VersionEntry
from mlrek.sources.images import Digest, digest_images
from mlrek.sources.s3 import ListedObject, Lister, PagesSpentError, S3Storage
from mlrek.sources.storage import S3_SCHEME, LocalStorage, Storage, parse_s3_uri
from mlrek.text import escape_unencodable, hide_secrets

PAGES: Final = 10
PAGES_A_THOUSAND: Final = 2
"""Pages of a listing: so many, and so many more for each thousand images."""

MAX_SECONDS: Final = 60.0

N_SAMPLED: Final = 8
"""Objects of a bucket that are asked whether their ETags are MD5s, which no listing tells."""

_UNKNOWN: Final = "whether test images were overwritten is unknown"
_UNKNOWN_COPIES: Final = "whether copies of test images were trained on is unknown"
_MD5: Final = re.compile("[0-9a-f]{32}")

FindTrained: TypeAlias = Callable[[], Collection[str]]
"""Names the images that a version was trained on; asked only where these can be compared."""

_Place: TypeAlias = tuple[str, str]
"""Bucket and key."""

T = TypeVar("T")


def read_contents(
    storage: Storage,
    entry: VersionEntry,
    images: Sequence[str],
    *,
    find_trained: FindTrained = tuple,
    folder: str = "",
) -> FoundContents:
    """What tells the bytes of test images from others, as far as they are within reach.

    Those in S3 are listed where the version's own files are in S3, too, or below a `folder` there.
    Those on a disk are looked for as pictures are: what a manifest on this machine names elsewhere
    is not asked for.

    Args:
        storage: Where the version's files are; where the `folder` is, if that is in S3.
        entry: The version.
        images: The images by name.
        find_trained: Names what it was trained on.
        folder: Where the images are, '' for where the version's files are.
    """
    if isinstance(storage, S3Storage):
        below = folder if folder.startswith(S3_SCHEME) else S3_SCHEME
        return _list(storage, images, find_trained, below)
    if isinstance(storage, LocalStorage):
        return _digest(entry, images, find_trained, folder)
    return FoundContents()


def choose_storage(storage: Storage, folder: str, clients: AwsClients) -> Storage:
    """Where to ask for images: in S3 if somebody names a folder there, else next to the files."""
    return open_storage(folder, clients) if folder.startswith(S3_SCHEME) else storage


def keep_contents(
    evaluation: Evaluation, earlier: bytes, *, is_services: bool
) -> Evaluation | None:
    """The evaluation with what an earlier run of the very same files knew of its images' bytes.

    What they are today may be something else: pictures were overwritten in between. None where
    that run knew nothing, or was of other files.

    Args:
        evaluation: What was read.
        earlier: The run's `evaluation.parquet`.
        is_services: See `add_found`.
    """
    from mlrek.formats.stored import load_stored

    try:
        known = load_stored(earlier)
    except EvaluationError:
        return None
    files = [{(one.role, one.sha256) for one in each.files} for each in (evaluation, known)]
    if known.contents is None or known.images != evaluation.images or files[0] != files[1]:
        return None
    evaluation = add_contents(evaluation, known.contents, is_services=is_services)
    seen = known.seen_in_training
    return evaluation if seen is None else add_copies(evaluation, seen)


def add_found(evaluation: Evaluation, found: FoundContents, *, is_services: bool) -> Evaluation:
    """The evaluation with the contents that were found, what they raise, and what is said of them.

    Args:
        evaluation: What was read.
        found: Of its images.
        is_services: Whether the service itself tested these images, at the end of the training.
    """
    said = tuple(map(escape_unencodable, map(hide_secrets, found.warnings)))
    evaluation = replace(evaluation, warnings=(*evaluation.warnings, *said))
    if found.contents is not None:
        evaluation = add_contents(evaluation, found.contents, is_services=is_services)
    return evaluation if found.copied is None else add_copies(evaluation, found.copied)


# ---- in S3 ---------------------------------------------------------------------------------


def _list(
    storage: S3Storage, images: Sequence[str], find_trained: FindTrained, below: str
) -> FoundContents:
    places = _locate(images, below)
    wanted = _group(places.values())
    if not wanted:
        return FoundContents()
    trained = cache(lambda: _group(_locate(_name(find_trained), below).values()))
    lister = Lister(
        client=storage.clients.s3,
        max_pages=_count_pages(wanted),
        deadline=time.monotonic() + MAX_SECONDS,
        find_others=trained,
    )
    try:
        said = _find(lister, wanted)
    except PagesSpentError as exc:
        return FoundContents(warnings=(_say_unknown(exc),))
    found = {place: lister.found[place] for place in places.values() if place in lister.found}
    if not found:
        return FoundContents(warnings=tuple(said[:1]))
    are_md5 = _find_md5(storage, found)
    look = {image: found[place] for image, place in places.items() if place in found}
    contents = Contents(
        sizes=_column(images, look, lambda one: one.size),
        etags=tuple(look[image].etag if image in look else "" for image in images),
        is_md5=np.array([places.get(image) in are_md5 for image in images], dtype=np.bool_),
        sha256=("",) * len(images),
        modified_ms=_column(images, look, lambda one: one.modified_ms),
    )
    prints, more = _list_trained(lister, wanted, trained())
    copied = _find_copied(contents, prints) if prints else None
    return FoundContents(contents=contents, copied=copied, warnings=(*said, *more)[:1])


def _find(lister: Lister, wanted: Mapping[str, Collection[str]]) -> list[str]:
    """Look for all objects, and what is to be said where that is refused.

    Raises:
        PagesSpentError: It takes too many pages.
    """
    said = []
    for bucket, keys in wanted.items():
        try:
            lister.find(bucket, keys)
        except PagesSpentError:
            raise
        except SourceNotFoundError:
            continue  # they are elsewhere
        except SourceError as exc:
            said.append(_say_unknown(exc))
    return said


def _list_trained(
    lister: Lister, wanted: Mapping[str, Collection[str]], trained: Mapping[str, Collection[str]]
) -> tuple[set[Print], list[str]]:
    """By what the images that were trained on are known again, and what is to be said of it."""
    lister.max_pages = _count_pages(wanted) + _count_pages(trained) - PAGES
    left = {
        bucket: rest
        for bucket, keys in trained.items()
        if (rest := [key for key in keys if (bucket, key) not in lister.found])
    }
    try:
        said = _find(lister, left)
    except PagesSpentError as exc:
        said = [f"{_UNKNOWN_COPIES}: {exc}"]
    known = [
        lister.found[bucket, key]
        for bucket, keys in trained.items()
        for key in keys
        if (bucket, key) in lister.found
    ]
    return {(one.size, one.etag) for one in known if one.size and one.etag}, said


def _find_md5(storage: S3Storage, found: Mapping[_Place, ListedObject]) -> set[_Place]:
    """The objects whose ETags are the MD5 of their bytes.

    A listing does not say how an object is encrypted, and buckets change that from some day on. So
    a few from the oldest to the newest are asked; what lies between two plain ones is plain.
    """
    are_md5: set[_Place] = set()
    for bucket in dict.fromkeys(bucket for bucket, _ in found):
        own = sorted(
            (place for place in found if place[0] == bucket and _MD5.fullmatch(found[place].etag)),
            key=lambda place: (found[place].modified_ms, place),
        )
        n_asked = min(len(own), N_SAMPLED)
        sample = [round(i) for i in np.linspace(0, len(own) - 1, n_asked)]
        plain = _ask_md5(storage, [own[i] for i in sample], found)
        ends = zip(sample, sample[1:] or sample, plain, plain[1:] or plain, strict=False)
        for start, end, is_first, is_last in ends:
            if is_first and is_last:
                are_md5.update(own[start : end + 1])
    return are_md5


def _ask_md5(
    storage: S3Storage, places: Sequence[_Place], found: Mapping[_Place, ListedObject]
) -> list[bool]:
    """Whether the ETag of each object is an MD5; after the first that does not answer, of none."""
    answers = []
    for bucket, key in places:
        try:
            state = storage.read_state(f"{S3_SCHEME}{bucket}/{key}")
        except SourceError:
            break
        answers.append(state.md5 == found[bucket, key].etag)
    return answers + [False] * (len(places) - len(answers))


def _locate(images: Iterable[str], below: str) -> dict[str, _Place]:
    """Bucket and key of the images that are below a place in S3."""
    start = below if below == S3_SCHEME else f"{below.rstrip('/')}/"
    return {
        image: parse_s3_uri(image)
        for image in images
        if image.startswith(start) and escape_unencodable(image) == image
    }


def _group(places: Iterable[_Place]) -> dict[str, set[str]]:
    """Keys by bucket, without what names no object."""
    by_bucket: dict[str, set[str]] = {}
    for bucket, key in places:
        if bucket and key:
            by_bucket.setdefault(bucket, set()).add(key)
    return by_bucket


def _count_pages(wanted: Mapping[str, Collection[str]]) -> int:
    """Pages that finding some objects may take."""
    return PAGES + PAGES_A_THOUSAND * sum(map(len, wanted.values())) // 1000


def _say_unknown(exc: SourceError) -> str:
    return f"{_UNKNOWN}: {exc}"


# ---- on a disk -----------------------------------------------------------------------------


def _digest(
    entry: VersionEntry, images: Sequence[str], find_trained: FindTrained, folder: str
) -> FoundContents:
    names = list(dict.fromkeys(images))
    look = _pair(names, digest_images(entry, names, folder=folder))
    if not look:
        return FoundContents()
    contents = Contents(
        sizes=_column(images, look, lambda one: one.size),
        etags=("",) * len(images),
        is_md5=np.zeros(len(images), dtype=np.bool_),
        sha256=tuple(look[image].sha256 if image in look else "" for image in images),
        modified_ms=np.full(len(images), -1, dtype=np.int64),
    )
    prints = _digest_trained(entry, look, _name(find_trained), folder)
    return FoundContents(
        contents=contents, copied=_find_copied(contents, prints) if prints else None
    )


def _digest_trained(
    entry: VersionEntry, look: Mapping[str, Digest], trained: Iterable[str], folder: str
) -> set[Print]:
    """By what the images that were trained on are known again.

    Two names that lead to one file are no copies: folders may be missing in it.
    """
    names = list(dict.fromkeys(trained))
    others = [name for name in names if name not in look]
    paths, sizes = {one.path for one in look.values()}, {one.size for one in look.values()}
    digested = _pair(others, digest_images(entry, others, folder=folder, sizes=sizes))
    known = [look[name] for name in names if name in look]
    known += [one for one in digested.values() if one.path not in paths]
    return {(one.size, one.sha256) for one in known if one.size and one.sha256}


def _pair(names: Sequence[str], found: Iterable[Digest | None]) -> dict[str, Digest]:
    """The digests that were found, by name."""
    pairs = zip(names, found, strict=True)
    return {name: digest for name, digest in pairs if digest is not None}


# ---- both ----------------------------------------------------------------------------------


def _name(find_trained: FindTrained) -> Collection[str]:
    """What a version was trained on; nothing where that cannot be read: its reader has said so."""
    try:
        return find_trained()
    except SourceError:
        return ()


def _column(
    images: Sequence[str], look: Mapping[str, T], take: Callable[[T], int]
) -> NDArray[np.int64]:
    """One number of each image, -1 where it is not known."""
    return np.array([take(look[i]) if i in look else -1 for i in images], dtype=np.int64)


def _find_copied(contents: Contents, prints: Collection[Print]) -> BoolArray:
    """Which images have bytes that are known from elsewhere, (n_images,)."""
    own = list_prints(contents)
    return np.array([any(one in prints for one in ones) for ones in own], dtype=np.bool_)
