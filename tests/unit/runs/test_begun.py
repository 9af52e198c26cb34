"""Which versions are begun before MLflow is there."""

import os
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest

from mlrek.runs import workers
from mlrek.runs.workers import AHEAD, BEHIND, FEW, WORTH_A_PROCESS, WORTH_SHARING, Work, Workers
from mlrek.sources import open_source
from mlrek.sources.aws import AwsOptions
from mlrek.tracking.description import Options

DIGITS = Path(__file__).parents[3] / "examples" / "digits"


class Pool:
    """Takes work and never does it."""

    def __init__(self) -> None:
        self.n_submitted = 0
        self.works: list[Work] = []

    def submit(self, _: object, work: Work) -> Future[None]:
        """Count what is given."""
        self.n_submitted += 1
        self.works.append(work)
        return Future()

    def shutdown(self, **_: object) -> None:
        """There is nothing to end."""


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """What all workers of a test are."""
    pool = Pool()
    monkeypatch.setattr(workers, "_make_pool", lambda _: pool)
    return pool


def begin(n_versions: int, size: int, *, jobs: int = 2) -> None:
    """Begin so many versions, each of so many bytes."""
    source = open_source(str(DIGITS), AwsOptions())
    entry = source.list_versions()[0]
    with Workers(jobs) as them:
        them.expect(n_versions)
        for number in range(n_versions):
            work = Work(
                source=source, entry=entry, options=Options(), state=str(number), logged_at=""
            )
            them.begin(work, size=size)


def test_many_small_versions_are_begun_at_once(pool: Pool) -> None:
    """Where many versions wait, processes read the first ones while MLflow sets its store up."""
    begin(FEW + 1, size=1)
    assert pool.n_submitted == FEW + 1


def test_few_small_versions_need_no_process(pool: Pool) -> None:
    """A few small versions are described where the command runs."""
    begin(FEW, size=1)
    assert pool.n_submitted == 0


def test_so_many_small_versions_are_begun_and_no_more(pool: Pool) -> None:
    """What is made of small versions before the store is there does not fill the memory."""
    begin(1_000, size=1)
    assert pool.n_submitted == AHEAD


def test_one_job_begins_nothing(pool: Pool) -> None:
    """With one job there is no process besides the command's own."""
    begin(FEW + 1, size=WORTH_A_PROCESS, jobs=1)
    assert pool.n_submitted == 0


def test_one_large_version_is_begun(pool: Pool) -> None:
    """A large version alone is begun in a process, which another one helps."""
    begin(1, size=WORTH_SHARING)
    assert pool.n_submitted == 1


def test_one_small_version_needs_no_process(pool: Pool) -> None:
    """One version that is not large is read where the command runs."""
    begin(1, size=WORTH_SHARING - 1)
    assert pool.n_submitted == 0


def test_one_job_reads_a_large_version_alone(pool: Pool) -> None:
    """With one job there is one process, however large the version is."""
    begin(1, size=WORTH_SHARING, jobs=1)
    assert pool.n_submitted == 0


def test_nobody_helps_where_each_processor_has_a_version(pool: Pool) -> None:
    """A second process helps with a version only where processors would have nothing to do."""
    begin(2, size=WORTH_SHARING)
    assert [work.is_shared for work in pool.works] == [False, False]
    begin(2, size=WORTH_SHARING, jobs=3)
    assert [work.is_shared for work in pool.works] == [False, False, True, True]


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such numbers")
def test_what_logs_goes_before_what_describes() -> None:
    """Where all processors are busy, processes that compute wait for the one that all feed."""
    with workers._make_pool(1) as pool:  # noqa: SLF001 - nobody else starts a process
        assert pool.submit(os.nice, 0).result() == min(os.nice(0) + BEHIND, 19)
