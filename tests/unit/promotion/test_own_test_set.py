"""Whether a run on your own test set is of what its version is now."""

from dataclasses import replace

import pytest
from builders.evaluations import build_evaluation

from mlrek.evaluation import Provider, SourceFile
from mlrek.formats.predictions.of_version import keep_predictions
from mlrek.promotion import Referred
from mlrek.promotion.baseline import is_of
from mlrek.tracking import LoggedRun

MORNING, NOON = "2026-11-30T08:00:00+00:00", "2026-11-30T12:00:00+00:00"


def make_version(predictions: str, logged_at: str = MORNING, provider=Provider.CUSTOM) -> Referred:
    """A version whose predictions have a digest, and whose truth is a file of its own."""
    files = [
        SourceFile(role=role, uri=role, size=1, sha256=digest)
        for role, digest in (("truth", "t"), ("predictions", predictions))
    ]
    evaluation = replace(
        build_evaluation([[0]], [[(0, 0.9)]], provider=provider), files=tuple(files)
    )
    run = LoggedRun(run_id="r", start_ms=0, tags={"mlrek.logged_at": logged_at})
    return Referred(evaluation=evaluation, run=run)


def make_own(of: Referred | None, logged_at: str = NOON, provider=Provider.CUSTOM) -> Referred:
    """A run on your own test set; of no version: one that was logged before it kept that."""
    kept = keep_predictions(of.evaluation) if of else ()
    own = make_version("answers of the test set", logged_at, provider)
    return replace(own, evaluation=replace(own.evaluation, files=kept))


def test_the_digests_of_the_predictions_decide_whatever_the_dates():
    """A run that was logged anew, by other rules or with other truth, is the same model."""
    own = make_own(make_version("p1"))

    assert is_of(own, make_version("p1", NOON + "1"))
    assert not is_of(own, make_version("p2", MORNING))


@pytest.mark.parametrize(
    ("own", "version", "is_told"),
    [(NOON, MORNING, True), (MORNING, NOON, False), (NOON, "", False), ("", MORNING, False)],
)
def test_a_run_that_keeps_no_digests_is_of_what_was_logged_before_it(own, version, is_told):
    """One that is older than its version's run may be of another model, so it counts for none."""
    assert is_of(make_own(None, own), make_version("p1", version)) is is_told


def test_the_versions_of_a_service_are_not_replaced():
    """Their ARN stands for one trained model: an evaluation that is read anew is of the same."""
    provider = Provider.REKOGNITION
    version = make_version("p2", NOON, provider)

    assert keep_predictions(version.evaluation) == ()
    assert is_of(make_own(None, MORNING, provider), version)
