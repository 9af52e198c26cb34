"""The rules by which all readers agree on one run of a version."""

from mlrek.tracking import LoggedRun, current_run, current_runs, superseded_runs


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


def test_a_leftover_is_work_in_progress_for_fifteen_minutes():
    """Only a heartbeat older than that makes it one; a complete run never is."""
    minute = 60_000

    assert not logged("a", complete=False, beat="0").is_leftover(15 * minute)
    assert logged("a", complete=False, beat="0").is_leftover(15 * minute + 1)
    assert logged("a", complete=False, beat="²").is_leftover(16 * minute)
    assert not logged("a", complete=True, beat="0").is_leftover(99 * minute)
