"""An evaluation read in one process is described in another: it arrives as it was."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from mlrek.runs.workers import Work, describe_read, is_in_parts, read_version
from mlrek.sources import open_source
from mlrek.sources.aws import AwsOptions
from mlrek.tracking.description import NO_IMAGES, Options

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
    assert replace(there, picture=None) == replace(here, picture=None)


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
