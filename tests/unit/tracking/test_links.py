"""Links into the MLflow UI, and the experiment's note."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from mlrek.tracking import LoggedRun
from mlrek.tracking.links import (
    VIEW_TAGS,
    build_artifact_link,
    build_links,
    list_comparison_places,
    list_report_places,
)
from mlrek.tracking.notes import render_experiment_note
from mlrek.tracking.notes import test_set_letters as letters_of


@pytest.mark.parametrize("uri", ["http://mlflow.example.com/base/", "sqlite:////tmp/mlflow.db"])
def test_links_name_the_workflow(uri):
    """Without it the browser opens the page for language models."""
    links = build_links(uri, "7", ["a", "b"], picture="confusion_matrix.png")
    base = "http://mlflow.example.com/base" if uri.startswith("http") else "http://127.0.0.1:5000"

    for link in (links.charts, links.compare, links.runs, links.images):
        assert link.startswith(f"{base}/#/")
        assert "workflowType=machine_learning" in link


def test_compare_link_holds_every_run():
    """The compare page reads JSON lists."""
    fragment = urlsplit(build_links("http://h", "7", ["a", "b"]).compare).fragment
    query = parse_qs(urlsplit(fragment).query)

    assert json.loads(query["runs"][0]) == ["a", "b"]
    assert json.loads(query["experiments"][0]) == ["7"]


def test_pages_are_asked_for_in_the_view_of_the_experiment():
    """Only where it has one: MLflow's pages go elsewhere when there is none."""
    assert build_links("http://h", "7", ["a"], views=VIEW_TAGS).charts == (
        "http://h/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
        "&viewStateShareKey=mlrek"
    )
    assert "viewState" not in build_links("http://h", "7", ["a"]).charts


def test_runs_without_a_picture_have_no_link_to_one():
    """Those with numbers of the provider alone."""
    assert build_links("http://h", "7", ["a"], picture="").images == ""


def test_the_last_two_versions_compare_on_a_page_of_their_own():
    """MLflow's compare page has no room for the files of three runs and more."""
    links = build_links("http://h", "7", ["a", "b", "c"])

    assert links.compare_newest == build_links("http://h", "7", ["b", "c"]).compare
    assert build_links("http://h", "7", ["a"]).compare_newest == ""
    assert links.report == build_artifact_link("http://h", "7", "c", "report.html")


def test_the_image_link_opens_the_view_of_all_pictures():
    """Where the experiment has one; else the picture of the first run."""
    picture = "confusion_matrix.png"
    seen = build_links("http://h", "7", ["a", "b"], views=VIEW_TAGS, picture=picture)

    assert seen.images.endswith("compareRunsMode=CHART&viewStateShareKey=mlrek-pictures")
    assert build_links("http://h", "7", ["a"], picture=picture).images.endswith(
        "/runs/a/artifacts/confusion_matrix.png?workflowType=machine_learning"
    )


def test_an_artifact_has_a_page_of_its_own():
    """Whatever characters its path has: in a note they must not end the link."""
    link = build_artifact_link("http://h", "7", "a", "comparison/v 1 (old).html", "team")

    assert link == (
        "http://h/#/experiments/7/runs/a/artifacts/comparison/v%201%20%28old%29.html"
        "?workflowType=machine_learning&workspace=team"
    )
    assert build_artifact_link("databricks", "7", "a", "report.html") == ""


def test_a_report_names_its_run_what_it_was_compared_with_and_its_project():
    """By places that stay true when other versions come; each names the workspace."""
    places = dict(list_report_places("7", "a", "d1", "team"))
    asked = "workflowType=machine_learning&workspace=team"

    assert places == {
        "this run": f"#/experiments/7/runs/a?{asked}",
        "its comparisons with other versions": (
            f"#/experiments/7/runs/a/artifacts/comparison?{asked}"
        ),
        "versions with this test set": (
            f"#/experiments/7/runs?{asked}&compareRunsMode=TABLE"
            "&searchFilter=tags.test_set_digest%20%3D%20%27d1%27"
        ),
        "all versions of the project": (
            f"#/experiments/7/runs?{asked}&compareRunsMode=CHART&viewStateShareKey=mlrek"
        ),
    }


def test_a_report_in_somebody_else_s_run_names_that_alone():
    """Its experiment has no view of ours, and other runs there are no versions."""
    assert [text for text, _ in list_report_places("7", "a", "d1", is_hosted=True)] == ["this run"]


def test_a_comparison_names_both_reports_and_both_runs():
    """Of different experiments, too; a version without a run has neither."""
    both = dict(list_comparison_places(("7", "a"), ("8", "b")))
    alone = dict(list_comparison_places(("", ""), ("8", "b")))

    assert both["report of the baseline"].startswith("#/experiments/7/runs/a/artifacts/report.html")
    assert both["run of the candidate"].startswith("#/experiments/8/runs/b?")
    assert list(alone) == [
        "report of the candidate",
        "run of the candidate",
        "all versions of the project",
    ]


def test_a_managed_service_has_no_links_to_guess():
    """Databricks and SageMaker have pages elsewhere."""
    assert build_links("databricks", "7", ["a"]).charts == ""
    assert build_links("arn:aws:sagemaker:eu-west-1:1:mlflow-app/x", "7", ["a"]).runs == ""


def test_user_and_password_are_not_printed():
    """A tracking URI may carry them."""
    assert "secret" not in build_links("https://me:secret@h:5000", "7", ["a"]).charts


def _tags(project: str, version: str) -> dict[str, str]:
    return {
        "project_arn": f"arn/{project}",
        "project_name": project,
        "version_arn": f"arn/{project}/{version}",
        "version_name": version,
        "mlrek.complete": "true",
    }


def test_experiment_note_has_a_table_for_each_project():
    """Any number of projects may be logged in one experiment; leftovers count for nothing."""
    runs = [
        LoggedRun(run_id=f"{i}", start_ms=i, tags=_tags(*names), metrics={"aggregate/accuracy": 1})
        for i, names in enumerate([("cats", "v1"), ("dogs", "v1"), ("cats", "v2")])
    ]
    runs += [LoggedRun(run_id="x", start_ms=9, tags=_tags("cats", "v3") | {"mlrek.complete": ""})]
    note = render_experiment_note(runs)

    assert note.index("cats: 2 versions,") < note.index("dogs: 1 version,")
    assert note.count("| v1 |") == 2
    assert "v3" not in note


def test_experiment_note_tells_changes_within_a_test_set():
    """v3 was tested on the images of v1, v2 on others."""
    runs = [
        LoggedRun(
            run_id=name,
            start_ms=i,
            tags=_tags("cats", name) | {"test_set_digest": digest},
            metrics={"aggregate/accuracy": accuracy},
        )
        for i, (name, digest, accuracy) in enumerate(
            (("v1", "x", 0.5), ("v2", "y", 0.9), ("v3", "x", 0.625))
        )
    ]
    lines = render_experiment_note(runs).splitlines()

    assert [line.split("|")[5:7] for line in lines if line.startswith("| v")][1:] == [
        [" 0.500 ", "  "],
        [" 0.900 ", "  "],
        [" 0.625 ", " +0.125 "],
    ]


def test_experiment_note_marks_different_test_sets():
    """A table of the versions, and a warning where numbers do not compare."""
    runs = [
        LoggedRun(
            run_id=name,
            start_ms=1_700_000_000_000,
            tags=_tags("my|project", name) | {"test_set_digest": digest},
            metrics={"aggregate/accuracy": 0.5, "reported/f1": 0.25},
            params={"test_images": "10"},
        )
        for name, digest in (("v1", "x"), ("v2", "y"), ("v3", "x"))
    ]
    note = render_experiment_note(runs)

    assert note.splitlines()[0] == (
        "Evaluations of my\\|project: 3 versions, logged by mlrek. "
        "Test sets differ: compare within one only."
    )
    assert "| v2 | 2023-11-14 | 10 | B | 0.500 |  | 0.250 |" in note
    assert letters_of(runs) == {"x": "A", "y": "B"}


def test_experiment_note_links_pages_of_versions():
    """All side by side, each with the one before it, and the report of each; newest ten of many."""
    runs = [
        LoggedRun(
            run_id=f"r{i}",
            start_ms=i,
            experiment_id="7",
            tags=_tags("cats", f"v[{i}]")
            | {
                "mlflow.loggedImages": "True",
                "mlflow.mlrek_project_page": "moved" if i < 11 else "x",
            },
        )
        for i in range(12)
    ]
    note = render_experiment_note(runs, workspace="team")
    linked = [line for line in note.splitlines() if "](" in line]

    assert "](" not in render_experiment_note(runs)
    assert [line.partition(":")[0] for line in linked] == [
        *("Side by side", "Two at a time, with their files", "Reports")
    ]
    assert (
        "[all versions on one page](#/experiments/7/runs/r11/artifacts/project.html?" in linked[0]
    )
    assert "viewStateShareKey=mlrek-pictures&workspace=team)" in linked[0]
    assert linked[1].count("#/compare-runs?runs=") == 9
    assert "[v\\[10\\] and v\\[11\\]](#/compare-runs?runs=%5B%22r10%22%2C%22r11%22%5D&" in note
    assert linked[2].count("/artifacts/report.html?") == 10
    assert "[v\\[11\\]](#/experiments/7/runs/r11/artifacts/report.html?" in linked[2]


def test_the_note_of_a_hundred_versions_with_links_fits_into_a_tag():
    """MLflow cuts longer ones, and a cut link leads nowhere."""
    runs = [
        LoggedRun(run_id="a" * 31 + f"{i}", start_ms=i, experiment_id="7", tags=_tags("c", f"v{i}"))
        for i in range(120)
    ]

    assert len(render_experiment_note(runs, workspace="")) < 20_000


def test_experiment_note_has_a_table_of_own_test_sets():
    """By test set; the newest run of a version alone, changes within a test set."""
    runs = [LoggedRun(run_id="own", start_ms=1, tags=_tags("cats", "v1"))]
    own = [
        LoggedRun(
            run_id=f"{version}{test_set}{logged}",
            start_ms=int(version[1:]),
            tags=_tags("cats", version)
            | {
                "mlrek.exam": test_set,
                "test_set_digest": test_set,
                "mlrek.exam_name": f"{test_set}|",
            }
            | {"mlrek.logged_at": logged, "mlrek.evaluation_key": logged},
            metrics={"aggregate/accuracy": accuracy},
            params={"test_images": "8"},
        )
        for version, test_set, logged, accuracy in (
            ("v2", "b", "1", 0.75),
            ("v1", "b", "1", 0.125),
            ("v1", "b", "2", 0.5),
            ("v1", "a", "1", 0.25),
        )
    ]
    first, second = render_experiment_note(runs, own).split("\n\nOn your own test sets")

    assert first == render_experiment_note(runs)
    assert second.splitlines()[2:] == [
        "| own test set | version | test images | accuracy | change in accuracy |",
        "| --- | --- | --- | --- | --- |",
        "| a\\| | v1 | 8 | 0.250 |  |",
        "| b\\| | v1 | 8 | 0.500 |  |",
        "| b\\| | v2 | 8 | 0.750 | +0.250 |",
    ]


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("http://host:81/teams/me@example.org/", "http://host:81/teams/me@example.org"),
        ("https://host/a@b", "https://host/a@b"),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("http://me:secret@host:5000/a@b", "http://host:5000/a@b"),
        ("https://TOKEN@host/a@b?token=x", "https://host/a@b"),
        ("http://me:Sup3r/S@cret@host:5000/a", "http://host:5000/a"),
    ],
)
def test_an_at_sign_in_a_servers_path_is_kept(uri, base):
    """What was connected to stands before the first slash; a login that holds one connects not."""
    assert build_links(uri, "7", ["a"]).charts.partition("/#/")[0] == base
