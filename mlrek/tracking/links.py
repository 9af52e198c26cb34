"""Links to MLflow's pages of runs and of an experiment."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from mlrek.render.places import Place
from mlrek.tracking.translation import hide_userinfo

VIEW_KEY: Final = "mlrek"
VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW_KEY}"
PICTURES_VIEW_KEY: Final = "mlrek-pictures"
PICTURES_VIEW_TAG: Final = f"mlflow.sharedViewState.{PICTURES_VIEW_KEY}"
VIEW_TAGS: Final = frozenset((VIEW_TAG, PICTURES_VIEW_TAG))

REPORT: Final = "report.html"
COMPARISONS: Final = "comparison"
"""The folder of a run that holds its comparisons, one in a folder of the baseline's name."""

LOCAL_UI = "http://127.0.0.1:5000"
WORKFLOW = "workflowType=machine_learning"
VIEW = f"viewStateShareKey={VIEW_KEY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """The pages that show the versions of a project side by side; '' where there is no web page.

    `compare` has all versions, `compare_newest` the last two: MLflow's compare page has no room
    for the files of more. `report` is that of the newest version, `project` our own page of all
    versions, '' before there is one.
    """

    project: str = ""
    charts: str
    compare: str
    runs: str
    images: str
    compare_newest: str = ""
    report: str = ""


def build_links(
    tracking_uri: str,
    experiment_id: str,
    run_ids: Sequence[str],
    *,
    views: Collection[str] = (),
    picture: str = "",
    workspace: str = "",
) -> Links:
    """Links to the charts, compare, runs and image pages of an experiment, the newest run last.

    The image page shows the pictures of all runs, or without a view of them the `picture` of the
    first run; without one ('') there is none. Charts and runs are shown in the view that mlrek
    keeps with the experiment, if its tag is among `views`: MLflow's pages go elsewhere when they
    are asked for one that is not there. A local store has no page until `mlflow ui` runs: its links
    are those that will work then. Of a server with workspaces each link names its `workspace`:
    without it "Welcome to MLflow" opens.
    """
    base = ui_address(tracking_uri)
    if not base:
        return Links(charts="", compare="", runs="", images="")
    page = f"{base}/#/experiments/{experiment_id}/runs?{WORKFLOW}&compareRunsMode="
    within = _name_workspace(workspace)
    look = f"&{VIEW}{within}" if VIEW_TAG in views else within
    first, newest = (run_ids[0], run_ids[-1]) if run_ids else ("", "")
    images = f"{base}/{build_artifact_place(experiment_id, first, picture, workspace)}"
    if PICTURES_VIEW_TAG in views:
        images = f"{page}CHART&viewStateShareKey={PICTURES_VIEW_KEY}{within}"
    pair = build_compare_place(experiment_id, run_ids[-2:], workspace)
    report = build_artifact_place(experiment_id, newest, REPORT, workspace)
    return Links(
        charts=f"{page}CHART{look}",
        compare=f"{base}/{build_compare_place(experiment_id, run_ids, workspace)}",
        runs=f"{page}TABLE{look}",
        images=images if picture else "",
        compare_newest=f"{base}/{pair}" if len(run_ids) > 1 else "",
        report=f"{base}/{report}" if run_ids else "",
    )


def build_view_places(experiment_id: str, workspace: str = "") -> tuple[str, str]:
    """Where MLflow's pages show the views of an experiment: the numbers, and the pictures."""
    page = f"#/experiments/{experiment_id}/runs?{WORKFLOW}&compareRunsMode=CHART&viewStateShareKey="
    within = _name_workspace(workspace)
    return f"{page}{VIEW_KEY}{within}", f"{page}{PICTURES_VIEW_KEY}{within}"


def build_compare_place(experiment_id: str, run_ids: Sequence[str], workspace: str = "") -> str:
    """Where MLflow's pages compare runs of an experiment, as a link in a note names it."""
    runs, experiments = (
        quote(json.dumps(ids, separators=(",", ":")), safe="")
        for ids in (list(run_ids), [experiment_id])
    )
    asked = f"{WORKFLOW}{_name_workspace(workspace)}"
    return f"#/compare-runs?runs={runs}&experiments={experiments}&{asked}"


def list_report_places(
    experiment_id: str, run_id: str, digest: str, workspace: str = "", *, is_hosted: bool = False
) -> tuple[Place, ...]:
    """What a run's report names: the run, what it was compared with, its experiment.

    Each is there however long ago the report was written. `digest` is that of its test set. An
    experiment that somebody else made (`is_hosted`) has no view of ours.
    """
    within = _name_workspace(workspace)
    page = f"#/experiments/{experiment_id}/runs?{WORKFLOW}{within}&compareRunsMode="
    own = Place("this run", _build_run_place(experiment_id, run_id, workspace))
    compared = build_artifact_place(experiment_id, run_id, COMPARISONS, workspace)
    same = quote(f"tags.test_set_digest = '{digest}'", safe="")
    alike = Place("versions with this test set", f"{page}TABLE&searchFilter={same}")
    if is_hosted:
        return (own,)
    return (
        own,
        Place("its comparisons with other versions", compared),
        *((alike,) if digest else ()),
        Place("all versions of the project", f"{page}CHART&{VIEW}"),
    )


def list_comparison_places(
    baseline: tuple[str, str], candidate: tuple[str, str], workspace: str = ""
) -> tuple[Place, ...]:
    """What the page of a comparison names of each run, (experiment id, run id): report and page.

    An id that is '' is of a version without a run.
    """
    sides = {"candidate": candidate, "baseline": baseline}
    logged = {side: ids for side, ids in sides.items() if ids[1]}
    return (
        *(
            Place(f"report of the {side}", build_artifact_place(*ids, REPORT, workspace))
            for side, ids in logged.items()
        ),
        *(
            Place(f"run of the {side}", _build_run_place(*ids, workspace))
            for side, ids in logged.items()
        ),
        *(
            Place(
                "all versions of the project",
                f"#/experiments/{ids[0]}/runs?{WORKFLOW}{_name_workspace(workspace)}"
                f"&compareRunsMode=CHART&{VIEW}",
            )
            for side, ids in logged.items()
            if side == "candidate"
        ),
    )


def build_run_link(tracking_uri: str, experiment_id: str, run_id: str, workspace: str = "") -> str:
    """The page of one run, '' where there is no web page."""
    base = ui_address(tracking_uri)
    return f"{base}/{_build_run_place(experiment_id, run_id, workspace)}" if base else ""


def build_artifact_link(
    tracking_uri: str, experiment_id: str, run_id: str, path: str, workspace: str = ""
) -> str:
    """The page of MLflow that shows one artifact, '' where there is no web page."""
    base = ui_address(tracking_uri)
    place = build_artifact_place(experiment_id, run_id, path, workspace)
    return f"{base}/{place}" if base else ""


def build_artifact_place(experiment_id: str, run_id: str, path: str, workspace: str = "") -> str:
    """Where MLflow's pages show one artifact, as a link in a note names it.

    >>> build_artifact_place("7", "a1", "report.html")
    '#/experiments/7/runs/a1/artifacts/report.html?workflowType=machine_learning'
    """
    asked = f"{WORKFLOW}{_name_workspace(workspace)}"
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{quote(path)}?{asked}"


def ui_address(tracking_uri: str) -> str:
    """Where the web pages of a store are, '' when that cannot be told (a managed service)."""
    if tracking_uri.startswith(("http://", "https://")):
        return _drop_login(tracking_uri).rstrip("/")
    return LOCAL_UI if is_local_store(tracking_uri) else ""


def _build_run_place(experiment_id: str, run_id: str, workspace: str) -> str:
    asked = f"{WORKFLOW}{_name_workspace(workspace)}"
    return f"#/experiments/{experiment_id}/runs/{run_id}?{asked}"


def _drop_login(uri: str) -> str:
    """The web address that a client has connected to, without login and query.

    What it connected to, it took from before the first `/`: an `@` behind that is in the path.
    """
    try:
        parts = urlsplit(uri)
        place = parts.netloc.rpartition("@")[2] if parts.port != 0 else ""
    except ValueError:  # a password with a `/` was no port: nobody can have connected
        place = ""
    return urlunsplit((parts.scheme, place, parts.path, "", "")) if place else hide_userinfo(uri)


def is_local_store(tracking_uri: str) -> bool:
    """Whether the store is a database or folder here, which `mlflow ui` shows."""
    managed = ("http://", "https://", "databricks", "arn:", "uc:", "azureml:")
    return not tracking_uri.startswith(managed)


def _name_workspace(workspace: str) -> str:
    return f"&workspace={quote(workspace, safe='')}" if workspace else ""
