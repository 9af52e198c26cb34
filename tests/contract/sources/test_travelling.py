"""An evaluation read in one process is described in another: it arrives as it was."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.evaluation import Contents, DoubtKind, Evaluation, SourceFile
from mlrek.formats.stored import dump_evaluation, load_stored
from mlrek.runs.workers import Work, describe_read, is_in_parts, read_version
from mlrek.sources import AwsOptions, VersionEntry, open_source
from mlrek.tracking import NO_IMAGES
from mlrek.tracking.description import Options

EXAMPLES = Path(__file__).parents[3] / "examples"
OPTIONS = Options(images=NO_IMAGES)


@pytest.mark.parametrize(
    "folder",
    [
        "automl-flowers",
        "detection",
        "digits",
        "lookout-classification",
        "lookout-segmentation",
        "multilabel",
        "vertex",
    ],
)
def test_a_run_is_the_same_when_another_process_describes_it(folder: str) -> None:
    """Every provider's and task's evaluation is the same after its way between processes."""
    source = open_source(str(EXAMPLES / folder))
    entry = next(e for e in source.list_versions() if not (e.refused or e.skipped))
    work = Work(
        source=source, entry=entry, options=OPTIONS, state="s", logged_at="t", aws=AwsOptions()
    )
    read = read_version(work)
    here = describe_read(work, read)
    there = describe_read(work, pickle.loads(pickle.dumps(read)))  # noqa: S301 our own
    assert there == here


@pytest.mark.parametrize(
    ("versions", "jobs", "first_in_parts"), [(4, 2, None), (5, 2, 3), (3, 2, 1), (7, 4, 1)]
)
def test_what_does_not_come_out_even_is_read_and_described_apart(
    versions: int, jobs: int, first_in_parts: int | None
) -> None:
    """The last versions, as many as there are processes and those left over, go in two parts."""
    numbers = [n for n in range(1, versions + 1) if is_in_parts(n, versions, jobs)]
    expected = [] if first_in_parts is None else list(range(first_in_parts, versions + 1))
    assert numbers == expected


def test_what_was_known_of_the_same_files_is_kept(tmp_path: Path) -> None:
    """Of other files, or where nothing was known, it is not."""
    file = SourceFile(role="manifest", uri="s3://x/m.json", size=1, sha256="ab")
    read = replace(build_evaluation([[0], [1]], [[(0, 0.9)]] * 2, images="ab"), files=(file,))
    contents = Contents(
        sizes=np.array([5, -1]),
        etags=("", ""),
        is_md5=np.zeros(2, dtype=bool),
        sha256=("cd", ""),
        modified_ms=np.full(2, -1),
    )
    known = replace(read, contents=contents, seen_in_training=np.array([False, True]))

    kept, doubts = describe_again(tmp_path, read, dump_evaluation(known))
    assert (kept.sizes.tolist(), kept.sha256) == ([5, -1], ("cd", ""))
    assert DoubtKind.SEEN_IN_TRAINING in doubts
    other = replace(known, files=(replace(file, sha256="ef"),))
    nothing = replace(known, contents=None)
    for earlier in (dump_evaluation(other), dump_evaluation(nothing), b"no parquet"):
        kept, doubts = describe_again(tmp_path, read, earlier)
        assert kept is None
        assert DoubtKind.SEEN_IN_TRAINING not in doubts


def describe_again(
    folder: Path, read: Evaluation, earlier: bytes
) -> tuple[Contents | None, list[DoubtKind]]:
    """What the run of an evaluation keeps of its images' bytes, after an earlier run; its doubts.

    No image lies in the folder.
    """
    work = Work(
        source=open_source(str(folder)),
        entry=VersionEntry(version=read.version),
        options=Options(),
        state="s",
        logged_at="t",
        aws=AwsOptions(),
        earlier=earlier,
    )
    described = describe_read(work, read)
    logged = load_stored(described.files["evaluation.parquet"])
    return logged.contents, [doubt.kind for doubt in described.doubts]
