"""A run's file must be of the version and project that the run names."""

import pytest
from builders.evaluations import build_evaluation

from mlrek.errors import OtherVersionError
from mlrek.formats.stored import dump_evaluation
from mlrek.promotion import parse_run
from mlrek.tracking import LoggedRun


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"version_arn": "arn:other"}, ["is of arn:other", "is of arn:version"]),
        (
            {"version_arn": "arn:version", "project_arn": "arn:others"},
            ["is of arn:others", "is of arn:project"],
        ),
    ],
)
def test_a_file_of_another_version_or_project_is_refused(tags, words):
    """The message names the run, and both of them."""
    content = dump_evaluation(build_evaluation([[0]], [[(0, 0.9)]]))
    with pytest.raises(OtherVersionError) as refused:
        parse_run(LoggedRun(run_id="r1", start_ms=0, tags=tags), content)
    for word in ["runs:/r1", *words]:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"version_arn": "arn:version", "project_arn": "arn:project"},
        {"version_arn": "arn:version", "project_arn": "arn:project/1690474772815"},
    ],
)
def test_a_file_of_the_runs_own_version_is_read(tags):
    """A project may lack its number on one side; a run without such tags names nothing."""
    content = dump_evaluation(build_evaluation([[0]], [[(0, 0.9)]]))
    read = parse_run(LoggedRun(run_id="r1", start_ms=0, tags=tags), content)

    assert read.evaluation.version.arn == "arn:version"
