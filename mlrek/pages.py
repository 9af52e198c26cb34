"""Which page of MLflow shows the versions of a project."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlrek.errors import MlrekError, TrackingError
from mlrek.sources import AwsOptions, open_source
from mlrek.tracking.links import Links, build_links
from mlrek.tracking.pictures import find_main_pictures
from mlrek.tracking.runs import current_runs
from mlrek.tracking.store import Store
from mlrek.tracking.view import VIEW_TAG

if TYPE_CHECKING:
    from mlflow.entities import Experiment

MAX_SUGGESTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An experiment, and what its links need besides the address of the server."""

    experiment: str
    experiment_id: str
    run_ids: tuple[str, ...]
    has_view: bool
    picture: str
    workspace: str = ""

    def build_links(self, address: str) -> Links:
        """The links to the pages of a server."""
        return build_links(
            address,
            self.experiment_id,
            self.run_ids,
            has_view=self.has_view,
            picture=self.picture,
            workspace=self.workspace,
        )


def find_page(store: Store, text: str, aws: AwsOptions) -> Page:
    """The experiment that a name, an ARN or a source means; '' is the one written to last.

    Raises:
        TrackingError: There is none.
    """
    experiments = store.list_experiments()
    if not experiments:
        raise TrackingError(f"{store.tracking_uri}: nothing is logged yet: mlrek sync SOURCE")
    experiment = _choose(experiments, text, aws) if text else experiments[0]
    if experiment is None:
        known = ", ".join(e.name for e in experiments[:MAX_SUGGESTED])
        raise TrackingError(f"{text}: not logged here; there are: {known}; or mlrek sync {text}")
    runs = current_runs(store.list_runs(experiment.experiment_id, {"mlrek.complete": "true"}))
    return Page(
        experiment=experiment.name,
        experiment_id=experiment.experiment_id,
        run_ids=tuple(run.run_id for run in runs),
        has_view=VIEW_TAG in experiment.tags,
        picture=next(iter(find_main_pictures(runs)), ""),
        workspace=store.workspace,
    )


def _choose(
    experiments: "tuple[Experiment, ...]", text: str, aws: AwsOptions
) -> "Experiment | None":
    """By its own name, its project's name or ARN, else by the project of the source."""
    for experiment in experiments:
        if experiment.name == text:
            return experiment
    for experiment in experiments:
        project = (experiment.tags.get("project_arn", ""), experiment.tags.get("project_name", ""))
        if text in project:
            return experiment
    try:
        arns = {entry.version.project.arn for entry in open_source(text, aws).list_versions()}
    except MlrekError:
        return None
    return next((e for e in experiments if e.tags.get("project_arn") in arns), None)
