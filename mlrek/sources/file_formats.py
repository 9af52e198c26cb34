"""The table of file formats: how each provider's evaluations are found among files, and read.

A new provider is a module with these functions, and one row.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mlrek.evaluation import Evaluation
from mlrek.sources import saved_google, saved_lookout, saved_rekognition
from mlrek.sources.catalogue import VersionEntry
from mlrek.sources.parts import PartReader
from mlrek.sources.tree import Found, Tree


def _not_told(_entry: VersionEntry, _reader: PartReader) -> int | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """What there is to do with the files of one provider.

    `roles` are those of the files that an evaluation consists of, without which it is not saved;
    `optional_roles` of those that add something and may be out of reach. `looked_for` names files
    for people. `reads_threshold` tells whether published numbers depend on
    the threshold that was asked for. `read_test_images` asks a file where no listing tells them.
    """

    find: Callable[[Tree], Found]
    load: Callable[[VersionEntry, PartReader], Evaluation]
    roles: Collection[str]
    looked_for: str
    optional_roles: Collection[str] = ()
    reads_threshold: bool = False
    read_test_images: Callable[[VersionEntry, PartReader], int | None] = _not_told


FILE_FORMATS: Mapping[str, FileFormat] = MappingProxyType(
    {
        saved_rekognition.FORMAT: FileFormat(
            find=saved_rekognition.find_versions,
            load=saved_rekognition.load_evaluation,
            roles=saved_rekognition.ROLES,
            optional_roles=saved_rekognition.OPTIONAL_ROLES,
            looked_for="EvaluationResultSummary-….json and TestingGroundTruth-….json",
            read_test_images=saved_rekognition.read_test_images,
        ),
        saved_lookout.FORMAT: FileFormat(
            find=saved_lookout.find_versions,
            load=saved_lookout.load_evaluation,
            roles=saved_lookout.ROLES,
            looked_for="EvaluationResult-….json and EvaluationManifest-….json",
        ),
        saved_google.FORMAT: FileFormat(
            find=saved_google.find_versions,
            load=saved_google.load_evaluation,
            roles=saved_google.ROLES,
            looked_for="Google's lists of model evaluations",
            reads_threshold=True,
        ),
    }
)
"""By `VersionEntry.format`. Each finder sees the files that those before it did not take."""
