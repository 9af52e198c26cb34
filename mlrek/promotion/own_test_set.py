"""Runs on your own test set: that of a baseline, and whether one is of what its version is now."""

from collections.abc import Iterable
from dataclasses import replace

from mlrek.errors import RunNotFoundError
from mlrek.formats.predictions.of_version import has_same_predictions, may_be_replaced
from mlrek.promotion import Referred, read_run
from mlrek.tracking import OWN_TEST_SET_TAG, LoggedRun, current_run
from mlrek.tracking.store import Store


def is_of(own: Referred, version: Referred) -> bool:
    """Whether a run on your own test set was made of the predictions that a version has now.

    One that keeps no digests of them was if it is the newer one; else nothing tells, so it was not.
    """
    if not may_be_replaced(own.evaluation):
        return True
    is_same = has_same_predictions(own.evaluation, version.evaluation)
    if is_same is not None:
        return is_same
    if own.run is None or version.run is None or not version.run.logged_at:
        return False
    return own.run.logged_at >= version.run.logged_at


def is_of_run(own: Referred, run_id: str, store: Store) -> bool:
    """The same where the version's run is named: one that is gone tells nothing.

    Raises:
        EvaluationError: The run's file is not what it should be.
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not may_be_replaced(own.evaluation):
        return True
    try:
        return bool(run_id) and is_of(own, read_run(store.get_run(run_id), store))
    except RunNotFoundError:
        return False


def is_replaced(own: Referred, store: Store) -> bool:
    """Whether the version of a run on your own test set has other predictions by now.

    Raises:
        EvaluationError: The file of the version's run is not what it should be.
        TrackingError: MLflow cannot be reached or refuses.
    """
    if own.run is None or not may_be_replaced(own.evaluation):
        return False
    counting = store.find_counting_run(own.run)
    return counting is not None and not is_of(own, read_run(counting, store))


def follow_test_set(baseline: Referred, candidate: LoggedRun, store: Store) -> Referred:
    """The baseline's run on the candidate's own test set, else the baseline as it is."""
    if not candidate.own_test_set:
        return baseline
    alike = store.list_runs(candidate.experiment_id, {OWN_TEST_SET_TAG: candidate.own_test_set})
    run = _find_run(alike, baseline.evaluation.version.arn)
    if run is None:
        return baseline
    found = read_run(run, store)
    if not is_of(found, baseline):
        return baseline
    return replace(baseline, evaluation=found.evaluation, run=run, sha256=found.sha256)


def advise_test_set(baseline: str, referred: Referred, candidate: Referred, store: Store) -> str:
    """How a candidate and a baseline of other test images compare, '' where nothing is known."""
    if candidate.run is None:
        return ""
    if candidate.run.own_test_set:
        return (
            f"evaluate the baseline on {candidate.run.own_test_set_name!r}, too "
            f"(mlrek evaluate {baseline} --on MANIFEST)"
        )
    run = _find_common(referred.evaluation.version.arn, candidate.run, store)
    if run is None or not is_of(read_run(run, store), candidate):
        return ""
    name = run.own_test_set_name
    return f"both were tested on {name!r} as well: check runs:/{run.run_id} instead"


def _find_common(baseline_arn: str, candidate: LoggedRun, store: Store) -> LoggedRun | None:
    """The candidate's newest run on an own test set that the baseline was tested on, too."""
    runs = store.list_own_test_set_runs(candidate.experiment_id)
    own = [run for run in runs if run.is_complete and run.version_arn == baseline_arn]
    test_sets = {run.own_test_set for run in own}
    return _find_run((run for run in runs if run.own_test_set in test_sets), candidate.version_arn)


def _find_run(runs: Iterable[LoggedRun], version_arn: str) -> LoggedRun | None:
    return current_run(run for run in runs if run.version_arn == version_arn and version_arn)
