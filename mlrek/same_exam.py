"""Test sets of one's own that a candidate and its baseline both sat, so that they compare."""

from collections.abc import Iterable
from dataclasses import replace

from mlrek.references import Referred, read_run
from mlrek.tracking.runs import OWN_TEST_SET_TAG, LoggedRun, current_run
from mlrek.tracking.store import Store


def follow_exam(baseline: Referred, candidate: LoggedRun, store: Store) -> Referred:
    """The baseline's run on the candidate's test set of one's own, else the baseline as it is.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not candidate.own_test_set:
        return baseline
    alike = store.list_runs(candidate.experiment_id, {OWN_TEST_SET_TAG: candidate.own_test_set})
    run = _find_run(alike, baseline.evaluation.version.arn)
    if run is None:
        return baseline
    found = read_run(run, store)
    return replace(baseline, evaluation=found.evaluation, run=run, sha256=found.sha256)


def advise_exam(baseline: str, referred: Referred, candidate: LoggedRun, store: Store) -> str:
    """How a candidate and a baseline of other test images compare, '' where nothing is known.

    Args:
        baseline: As typed.
        referred: The baseline.
        candidate: The candidate's run.
        store: Where both may have sat one exam.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if candidate.own_test_set:
        return (
            f"evaluate the baseline on {candidate.own_test_set_name!r}, too "
            f"(mlrek evaluate {baseline} --on MANIFEST)"
        )
    run = _find_common(referred.evaluation.version.arn, candidate, store)
    if run is None:
        return ""
    name = run.own_test_set_name
    return f"both were tested on {name!r} as well: check runs:/{run.run_id} instead"


def _find_common(baseline_arn: str, candidate: LoggedRun, store: Store) -> LoggedRun | None:
    """The candidate's newest run on a test set of one's own that the baseline sat, too."""
    runs = store.list_own_test_set_runs(candidate.experiment_id)
    own = [run for run in runs if run.is_complete and run.version_arn == baseline_arn]
    test_sets = {run.own_test_set for run in own}
    return _find_run((run for run in runs if run.own_test_set in test_sets), candidate.version_arn)


def _find_run(runs: Iterable[LoggedRun], version_arn: str) -> LoggedRun | None:
    return current_run(run for run in runs if run.version_arn == version_arn and version_arn)
