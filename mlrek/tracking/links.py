"""Links into the MLflow UI. Without `workflowType` the browser opens another page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from mlrek.tracking.description import HEAT_MAP
from mlrek.tracking.translation import hide_userinfo
from mlrek.tracking.view import VIEW_KEY

LOCAL_UI = "http://127.0.0.1:5000"
WORKFLOW = "workflowType=machine_learning"
VIEW = f"viewStateShareKey={VIEW_KEY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """The pages that show the versions of a project side by side; '' where there is no web page."""

    charts: str
    compare: str
    runs: str
    images: str


def build_links(
    tracking_uri: str,
    experiment_id: str,
    run_ids: Sequence[str],
    *,
    has_view: bool = False,
    picture: str = HEAT_MAP,
    workspace: str = "",
) -> Links:
    """Links to the charts, compare, runs and image pages of an experiment.

    The image page shows the `picture` of the first run; without one ('') there is none. Charts and
    runs are shown in the view that mlrek keeps with the experiment, if it `has_view`: MLflow's
    pages go elsewhere when they are asked for one that is not there. A local store has no page
    until `mlflow ui` runs: its links are those that will work then. Of a server with workspaces
    each link names its `workspace`: without it "Welcome to MLflow" opens.
    """
    base = ui_address(tracking_uri)
    if not base:
        return Links(charts="", compare="", runs="", images="")
    page = f"{base}/#/experiments/{experiment_id}/runs?{WORKFLOW}&compareRunsMode="
    within = _name_workspace(workspace)
    look = f"&{VIEW}{within}" if has_view else within
    runs, experiments = (
        quote(json.dumps(ids, separators=(",", ":")), safe="")
        for ids in (list(run_ids), [experiment_id])
    )
    shown = f"runs/{run_ids[0] if run_ids else ''}/artifacts/{picture}?{WORKFLOW}{within}"
    return Links(
        charts=f"{page}CHART{look}",
        compare=f"{base}/#/compare-runs?runs={runs}&experiments={experiments}&{WORKFLOW}{within}",
        runs=f"{page}TABLE{look}",
        images=f"{base}/#/experiments/{experiment_id}/{shown}" if picture else "",
    )


def build_run_link(tracking_uri: str, experiment_id: str, run_id: str, workspace: str = "") -> str:
    """The page of one run, '' where there is no web page."""
    base = ui_address(tracking_uri)
    asked = f"{WORKFLOW}{_name_workspace(workspace)}"
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}?{asked}" if base else ""


def ui_address(tracking_uri: str) -> str:
    """Where the web pages of a store are, '' when that cannot be told (a managed service)."""
    if tracking_uri.startswith(("http://", "https://")):
        return _drop_login(tracking_uri).rstrip("/")
    return LOCAL_UI if is_local_store(tracking_uri) else ""


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
