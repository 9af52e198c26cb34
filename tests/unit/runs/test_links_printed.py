"""Where to look, as a sync says it on the terminal."""

import pytest

from mlrek.evaluation import Project, Provider
from mlrek.runs.results import ProjectResult, SyncResult, list_links
from mlrek.tracking import LoggedRun
from mlrek.tracking.links import build_links


def synced(*names, versions=2):
    """What became of a sync of those projects."""
    runs = tuple(LoggedRun(run_id=f"r{i}", start_ms=i) for i in range(versions))
    projects = tuple(
        ProjectResult(
            project=Project(provider=Provider.REKOGNITION, arn=f"arn/{name}", name=name),
            experiment=f"mlrek/{name}",
            experiment_id="7",
            links=build_links("http://h", "7", [run.run_id for run in runs], picture="m.png"),
            runs=runs,
        )
        for name in names
    )
    return SyncResult(tracking_uri="http://h", projects=projects, versions=())


def test_the_pages_of_one_project_are_printed_with_what_they_are():
    """The last two versions alone: MLflow's compare page has no room for the files of more."""
    printed = [line.text.split("http")[0] for line in list_links(synced("cats", versions=4))]
    text = "\n".join(line.text for line in list_links(synced("cats", versions=4)))

    assert [line.strip() for line in printed] == [
        *("mlrek/cats:", "charts", "pictures", "last two compared", "newest report")
    ]
    assert "%22r2%22%2C%22r3%22" in text
    assert "%22r0%22" not in text


def test_one_version_compares_with_none():
    """A compare page of one run shows nothing."""
    assert not any("compared" in line.text for line in list_links(synced("cats", versions=1)))


@pytest.mark.parametrize(("n", "lines"), [(3, 15), (4, 4), (13, 13)])
def test_many_projects_are_a_line_each(n, lines):
    """Their pages link the others."""
    printed = list(list_links(synced(*(f"p{i}" for i in range(n)))))

    assert len(printed) == lines
    assert printed[-1].text.startswith(("mlrek/p", "  newest report"))
