"""The rules by which all readers agree on one run of a version."""

import json

import pytest

from mlrek.errors import TrackingError
from mlrek.tracking import (
    LoggedRun,
    current_run,
    current_runs,
    join_tags,
    part_tags,
    read_doubts,
    superseded_runs,
)


def logged(run_id, *, arn="v1", key="k", complete=True, at="2026-01-01", start_ms=0, beat=None):
    """A run as MLflow lists it."""
    tags = {"version_arn": arn, "mlrek.evaluation_key": key, "mlrek.logged_at": at}
    tags |= {"mlrek.complete": "true"} if complete else {}
    tags |= {"mlrek.heartbeat": beat} if beat is not None else {}
    return LoggedRun(run_id=run_id, start_ms=start_ms, tags=tags)


def test_a_run_that_is_not_complete_counts_for_nothing():
    """Neither alone nor next to a complete one."""
    half = logged("a", complete=False)

    assert current_run([half]) is None
    assert current_run([half, logged("b")]).run_id == "b"


def test_of_equal_evaluations_the_smallest_run_id_is_kept():
    """Whoever reads, in whatever order, picks the same run."""
    runs = [logged("b", at="2026-01-02"), logged("a", at="2026-01-01")]

    assert current_run(runs).run_id == "a"
    assert current_run(runs[::-1]).run_id == "a"


def test_of_different_evaluations_the_newest_counts():
    """An old run that a killed process did not delete does not win."""
    runs = [logged("a", key="old", at="2026-01-01"), logged("b", key="new", at="2026-01-02")]

    assert current_run(runs).run_id == "b"
    assert [run.run_id for run in superseded_runs(runs, runs[1])] == ["a"]


def test_one_run_for_each_version_by_training_start():
    """Versions stand in the order they were trained."""
    runs = [
        logged("a", arn="v2", start_ms=2),
        logged("b", arn="v1", start_ms=1),
        logged("c", arn=""),
    ]

    assert [run.run_id for run in current_runs(runs)] == ["b", "a"]


def test_versions_of_one_training_time_stand_by_name():
    """Their numbers count as numbers; the ids of runs are made by chance."""
    names = ("v10", "v2", "v1")
    runs = [
        LoggedRun(
            run_id=f"{i}", start_ms=1, tags=logged("x", arn=name).tags | {"version_name": name}
        )
        for i, name in enumerate(names)
    ]

    assert [run.version_arn for run in current_runs(runs)] == ["v1", "v2", "v10"]


def test_what_only_mlrek_reads_is_one_tag():
    """Read again it is what it was; the tags that people look at stay."""
    tags = {
        "task": "detection",
        "mlrek.complete": "true",
        "mlrek.log_schema": "4",
        "mlrek.picture_steps": "0 10",
        "mlrek.exam_name": "ours \u732b",
        "mlrek.doubts": '[{"kind":"lines_skipped"}]',
    }
    joined = join_tags(tags)

    assert joined.keys() == {"task", "mlrek.complete", "mlrek.bookkeeping"}
    assert joined["mlrek.bookkeeping"].isascii()
    assert part_tags(joined) == tags
    assert part_tags(tags) == tags


def test_doubts_that_fill_a_tag_leave_the_joined_one_alone():
    """Their file then tells them, as where they are too many for a tag of their own."""
    doubts = json.dumps([{"kind": "lines_skipped", "text": "x" * 4950}], separators=(",", ":"))
    joined = join_tags({"mlrek.log_schema": "4", "mlrek.doubts": doubts})

    assert len(joined["mlrek.bookkeeping"]) <= 5000
    assert part_tags(joined) == {"mlrek.log_schema": "4", "mlrek.doubts": "evaluation.json"}


def test_a_tag_that_was_set_by_itself_counts():
    """An earlier mlrek, which knows no other form, may have written to the run since."""
    joined = join_tags({"mlrek.log_schema": "4"}) | {"mlrek.log_schema": "3"}

    assert part_tags(joined) == {"mlrek.log_schema": "3"}


@pytest.mark.parametrize("text", ["{", "3", "[]", '"doubts"'])
def test_doubts_that_somebody_wrote_over_are_not_none(text):
    """A check must not pass for it."""
    run = LoggedRun(run_id="a", start_ms=0, tags=part_tags({"mlrek.bookkeeping": text}))

    with pytest.raises(TrackingError, match="doubts cannot be read"):
        read_doubts(run, None)


def test_a_leftover_is_work_in_progress_for_fifteen_minutes():
    """Only a heartbeat older than that makes it one; a complete run never is."""
    minute = 60_000

    assert not logged("a", complete=False, beat="0").is_leftover(15 * minute)
    assert logged("a", complete=False, beat="0").is_leftover(15 * minute + 1)
    assert logged("a", complete=False, beat="²").is_leftover(16 * minute)
    assert not logged("a", complete=True, beat="0").is_leftover(99 * minute)
