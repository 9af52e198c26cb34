"""What a text names as a source: `open_source`, and a row of `FILE_FORMATS` for each provider.

`open_source` tells by the form of a text which kind of source it names.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from shlex import quote
from types import MappingProxyType
from typing import Protocol

from mlrek.errors import SourceError, SourceInterruptedError, SourceNotFoundError, UsageError
from mlrek.evaluation import Evaluation, SourceFile
from mlrek.formats.doubts import complete_doubts
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.metrics.test_set import hide_signatures
from mlrek.sources import custom, google, lookout, rekognition
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.description import make_up_version, parse_arn
from mlrek.sources.entries import (
    FoundContents,
    OnBytes,
    Part,
    PartReader,
    ReadOptions,
    SeenInTraining,
    VersionEntry,
)
from mlrek.sources.loose import EVALUATION_SUFFIXES, make_up_project
from mlrek.sources.rekognition import find_seen, is_project_name, list_trained
from mlrek.sources.search import Search, say_kinds
from mlrek.sources.storage import (
    FileState,
    LocalStorage,
    Storage,
    find_local_size,
    join_uri,
    parent_uri,
    path_exists,
    say_missing_path,
)
from mlrek.sources.tree import VERSION_FILE, VERSIONS_FOLDER, FoundVersions, Tree
from mlrek.text import escape_unencodable

MISSING = "missing"
DENIED = "denied"  # of an optional file, which may be out of reach


class Catalogue(Protocol):
    """Knows which versions there are."""

    def list_versions(self) -> Sequence[VersionEntry]:
        """Every version, by project, then by training start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSource:
    """A source (see `Source`) whose catalogue names files in a storage."""

    uri: str
    catalogue: Catalogue
    storage: Storage

    def list_versions(self) -> Sequence[VersionEntry]:
        """See `Source`."""
        return sorted(self.catalogue.list_versions(), key=_training_order)

    def read_state(
        self, entry: VersionEntry, read: Collection[SourceFile] = ()
    ) -> Mapping[str, str]:
        """See `Source`; the provider's own places are the keys, wherever the copies are."""
        known = FILE_FORMATS[entry.format]
        files = {(file.role, file.uri): file for file in read}
        states = {}
        for part in _list_state_parts(entry):
            place = part.origin or part.uri
            file = files.get((part.role, escape_unencodable(place)))
            if file is not None and find_local_size(part.uri) is not None:
                states[place] = str(FileState(size=file.size, sha256=file.sha256))
            else:
                is_optional = part.role in known.optional_roles
                states[place] = _read_part_state(self.storage, part, is_optional=is_optional)
        return {**states, **known.describe_state(entry)}

    def count_local_bytes(self, entry: VersionEntry) -> int | None:
        """See `Source`."""
        sizes = [find_local_size(part.uri) for part in _list_state_parts(entry)]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def load(
        self,
        entry: VersionEntry,
        *,
        skip_bad_lines: bool = False,
        threshold: float = DEFAULT_THRESHOLD,
        is_shared: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> Evaluation:
        """See `Source`."""
        if entry.refused or entry.skipped:
            raise SourceError(entry.version.arn, entry.refused or entry.skipped)
        options = ReadOptions(
            skip_bad_lines=skip_bad_lines, threshold=threshold, is_shared=is_shared
        )
        with PartReader(self.storage, options, on_bytes) as reader:
            evaluation = FILE_FORMATS[entry.format].load(entry, reader)
            warnings = tuple(map(escape_unencodable, evaluation.warnings))
            read = replace(evaluation, files=reader.files, warnings=warnings)
            return hide_signatures(complete_doubts(read))

    def read_test_images(self, entry: VersionEntry) -> int | None:
        """How many images the version was tested on, as its summary says; None: it does not."""
        if entry.test_images is not None:
            return entry.test_images
        with PartReader(self.storage, ReadOptions()) as reader:
            return FILE_FORMATS[entry.format].read_test_images(entry, reader)

    def find_seen(self, entry: VersionEntry, images: Sequence[str]) -> SeenInTraining:
        """See `Source`."""
        with PartReader(self.storage, ReadOptions()) as reader:
            return find_seen(images, entry, reader)

    def read_contents(
        self, entry: VersionEntry, images: Sequence[str], folder: str, aws: AwsOptions
    ) -> FoundContents:
        """See `Source`."""
        from mlrek.sources.contents import choose_storage, read_contents  # for what is logged

        return read_contents(
            choose_storage(self.storage, folder, AwsClients(aws)),
            entry,
            images,
            find_trained=partial(self.list_trained, entry),
            folder=folder,
        )

    def list_trained(self, entry: VersionEntry) -> Collection[str]:
        """See `Source`."""
        with PartReader(self.storage, ReadOptions()) as reader:
            return list_trained(entry, reader)

    def read_images(self, entry: VersionEntry, uris: Sequence[str]) -> Iterator[bytes]:
        """See `Source`."""
        from mlrek.sources.images import read_images  # for pages alone

        return read_images(self.storage, entry, uris)


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
        with Search(self.uri) as search:
            files = search.count(self.storage.list_files(self.uri))
            if any(file.uri == self.uri for file in files):
                return self._find_versions_of_file()
            found = _find_entries(Tree(self.storage, files, on_look=search.look))
        if not files:
            raise SourceNotFoundError(self.uri, f"there are no files; {_say_listing(self.uri)}")
        if not found:
            kinds = say_kinds(file.name for file in files)
            looked_for = "; ".join(known.looked_for for known in FILE_FORMATS.values())
            raise SourceNotFoundError(
                self.uri,
                f"no evaluation among its {len(files)} files ({kinds}); looked for "
                f"{VERSIONS_FOLDER}/*/{VERSION_FILE}; {looked_for}",
            )
        return _keep_one_each(found)

    def _find_versions_of_file(self) -> list[VersionEntry]:
        """The versions that a single file belongs to, with what lies next to it."""
        folder = parent_uri(self.uri)
        files = list(self.storage.list_files(folder, deep=False))
        entries = _find_entries(Tree(self.storage, files, self.uri))
        own = [entry for entry in entries if self.uri in {part.uri for part in entry.parts}]
        if not own and self.uri == join_uri(folder, VERSION_FILE):
            own = entries
        own = own or custom.find_self_contained(self.storage, self.uri)
        if not own:
            looked_for = "; ".join(known.looked_for for known in FILE_FORMATS.values())
            reason = f"is no file of an evaluation; name one ({looked_for}), or a folder"
            raise SourceError(self.uri, reason)
        return own


def open_source(text: str, aws: AwsOptions | None = None) -> StoredSource:
    """The source that `text` names; nothing is read yet.

    Args:
        text: A Rekognition project or version ARN, `s3://bucket/prefix`, a folder or file, the
            name of a Rekognition project, or the resource name of a model of Vertex AI.
        aws: Region and profile; the region of an ARN counts where none is given.

    Raises:
        UsageError: Nothing can be read from such a thing.
        SourceNotFoundError: The folder or file does not exist.
    """
    for form, open_form in _FORMS:
        if form.match(text):
            return open_form(text, aws or AwsOptions())
    return _open_path_or_name(text, aws or AwsOptions())


def open_predictions(
    text: str, options: custom.CustomOptions, aws: AwsOptions | None = None
) -> StoredSource:
    """The one version that files of predictions are; nothing is read yet.

    Args:
        text: A file or folder of predictions, or `s3://bucket/key`.
        options: Whose they are, and what is true.
        aws: Region and profile.

    Raises:
        UsageError: The version is not named, or a place is none that is read.
        SourceNotFoundError: A file or folder does not exist.
    """
    version = custom.name_version(options)
    places = [text, *options.places.values()]
    for place in places:
        _check_place(place)
    from mlrek.sources.any_storage import choose_storage_for

    storage = choose_storage_for(places, AwsClients(aws or AwsOptions()))
    catalogue = custom.CustomVersion(
        storage=storage, predictions=text, options=options, version=version
    )
    return StoredSource(uri=text, catalogue=catalogue, storage=storage)


def _check_place(text: str) -> None:
    if text.startswith("s3://"):
        return
    if "://" in text:
        raise UsageError(f"{text}: {_NO_PLACE}")
    if not (text and path_exists(text)):
        raise SourceNotFoundError(text or "''", say_missing_path(text))


def open_all_projects(aws: AwsOptions) -> list[StoredSource]:
    """A source for each Rekognition project of the account and region, by name.

    They share one client, and with it the patience that the service's 5 calls a second ask for.

    Raises:
        SourceError: AWS cannot be asked or denies it.
    """
    from mlrek.sources.rekognition_now import OneOfAll, read_projects  # for AWS alone
    from mlrek.sources.s3 import S3Storage

    clients = AwsClients(aws)
    storage = S3Storage(clients)
    return [
        StoredSource(
            uri=listed.project.arn, catalogue=OneOfAll(clients, listed.project), storage=storage
        )
        for listed in read_projects(clients)
    ]


def _open_arn(text: str, aws: AwsOptions) -> StoredSource:
    arn = parse_arn(text)
    if arn is None:
        raise UsageError(
            f"{text}: is not the ARN of a Rekognition project or version; it should end in "
            "project/NAME/ID or project/NAME/version/VERSION/ID (`mlrek projects` lists them)"
        )
    from mlrek.sources.rekognition_now import LiveProject, LiveVersion
    from mlrek.sources.s3 import S3Storage

    clients = AwsClients(replace(aws, region=aws.region or arn.region))
    catalogue = LiveVersion(clients, arn) if arn.version_name else LiveProject(clients, arn)
    return StoredSource(uri=text, catalogue=catalogue, storage=S3Storage(clients))


def _open_vertex(text: str, _aws: AwsOptions) -> StoredSource:
    location = google.find_location(text)
    if not location:
        raise UsageError(
            f"{text}: is not the name of a model; it should be "
            "projects/P/locations/L/models/M, for one version with @VERSION behind it"
        )
    storage = google.VertexStorage(google.VertexApi(location))
    return StoredSource(uri=text, catalogue=google.LiveModel(storage, text), storage=storage)


def _open_s3(text: str, aws: AwsOptions) -> StoredSource:
    from mlrek.sources.s3 import S3Storage

    storage = S3Storage(AwsClients(aws))
    return StoredSource(uri=text, catalogue=SavedVersions(storage, text), storage=storage)


def _open_path_or_name(text: str, aws: AwsOptions) -> StoredSource:
    if text and path_exists(text):
        storage, uri = LocalStorage(), str(Path(text))
        return StoredSource(uri=uri, catalogue=SavedVersions(storage, uri), storage=storage)
    if not text.strip("."):
        raise UsageError(f"{text!r} names no source")
    if not is_project_name(text) or Path(text).suffix in EVALUATION_SUFFIXES:
        raise SourceNotFoundError(text, say_missing_path(text))
    from mlrek.sources.rekognition_now import NamedProject
    from mlrek.sources.s3 import S3Storage

    clients = AwsClients(aws)
    return StoredSource(uri=text, catalogue=NamedProject(clients, text), storage=S3Storage(clients))


def _say_listing(uri: str) -> str:
    """How to find out what is there instead."""
    if not uri.startswith("s3://"):
        return "name the folder that holds an evaluation"
    return f"`aws s3 ls {quote(parent_uri(uri))}/` shows what is next to it"


def _refuse(reason: str) -> Callable[[str, AwsOptions], StoredSource]:
    def refuse(text: str, _aws: AwsOptions) -> StoredSource:
        raise UsageError(f"{text}: {reason}")

    return refuse


def _list_state_parts(entry: VersionEntry) -> list[Part]:
    """The files that make an evaluation what it is."""
    known = FILE_FORMATS[entry.format]
    return [part for part in entry.parts if part.role in {*known.roles, *known.optional_roles}]


def _read_part_state(storage: Storage, part: Part, *, is_optional: bool) -> str:
    try:
        return str(storage.read_state(part.uri, part.version_id))
    except SourceNotFoundError:
        return MISSING
    except SourceInterruptedError:
        raise
    except SourceError:
        if is_optional:
            return DENIED
        raise


def _training_order(entry: VersionEntry) -> tuple[str, str, float, str]:
    version = entry.version
    times = (version.training_start_ms, version.training_end_ms)
    when = next((float(time) for time in times if time is not None), float("inf"))
    return version.project.name, version.project.arn, when, version.arn


def _find_entries(tree: Tree) -> list[VersionEntry]:
    """What every finder finds, in the order of the table."""
    entries: list[VersionEntry] = []
    for known in FILE_FORMATS.values():
        found = known.find(tree)
        entries += found.entries
        tree = tree.without(found.taken)
    return [*entries, *map(_stand_for_unreadable, tree.list_unreadable())]


def _stand_for_unreadable(error: SourceError) -> VersionEntry:
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


def _not_told(_entry: VersionEntry, _reader: PartReader) -> int | None:
    return None


def _nothing_more(_entry: VersionEntry) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """What there is to do with the files of one provider.

    `roles` are those of the files that an evaluation consists of, without which it is not saved;
    `optional_roles` of those that add something and may be out of reach. `looked_for` names files
    for people. `reads_threshold` tells whether published numbers depend on
    the threshold that was asked for. `read_test_images` asks a file where no listing tells them.
    `describe_state` tells what else, besides the files, makes it another evaluation.
    """

    find: Callable[[Tree], FoundVersions]
    load: Callable[[VersionEntry, PartReader], Evaluation]
    roles: Collection[str]
    looked_for: str
    optional_roles: Collection[str] = ()
    reads_threshold: bool = False
    read_test_images: Callable[[VersionEntry, PartReader], int | None] = _not_told
    describe_state: Callable[[VersionEntry], Mapping[str, str]] = _nothing_more


FILE_FORMATS: Mapping[str, FileFormat] = MappingProxyType(
    {
        custom.FORMAT: FileFormat(
            find=custom.find_versions,
            load=custom.load_evaluation,
            roles=custom.ROLES,
            looked_for="a model's predictions with their truth (`mlrek sync --help-formats`)",
            describe_state=custom.read_options_state,
        ),
        rekognition.FORMAT: FileFormat(
            find=rekognition.find_versions,
            load=rekognition.load_evaluation,
            roles=rekognition.ROLES,
            optional_roles=rekognition.OPTIONAL_ROLES,
            looked_for="EvaluationResultSummary-….json and TestingGroundTruth-….json",
            read_test_images=rekognition.read_test_images,
        ),
        lookout.FORMAT: FileFormat(
            find=lookout.find_versions,
            load=lookout.load_evaluation,
            roles=lookout.ROLES,
            looked_for="EvaluationResult-….json and EvaluationManifest-….json",
        ),
        google.FORMAT: FileFormat(
            find=google.find_versions,
            load=google.load_evaluation,
            roles=google.ROLES,
            looked_for="Google's lists of model evaluations",
            reads_threshold=True,
        ),
    }
)
"""By `VersionEntry.format`. Each finder sees the files that those before it did not take."""


_NO_PLACE = "is no place mlrek reads from; give an ARN, s3://bucket/prefix, a folder or a file"

_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, AwsOptions], StoredSource]], ...] = (
    (re.compile(r"arn:[^:]*:rekognition:"), _open_arn),
    (
        re.compile(r"arn:[^:]*:lookoutvision:"),
        _refuse(
            "Lookout for Vision ended on 2025-10-31 and cannot be asked any more; name the folder "
            "or the s3:// prefix that keeps its evaluation files"
        ),
    ),
    (re.compile(r"arn:"), _refuse("mlrek reads ARNs of Rekognition projects and versions only")),
    (re.compile(r"projects/[^/]+/locations/[^/]+/models/"), _open_vertex),
    (re.compile(r"s3://[^/]"), _open_s3),
    (
        re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://"),
        _refuse(_NO_PLACE),
    ),
)
