"""Versions that nothing but a broken file's name tells: what the store knows of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from mlrek.evaluation import Version
from mlrek.tracking.store import Store

MADE_UP: Final = "local:"
"""What identities begin with that no ARN tells."""


def find_logged_version(store: Store, version: Version) -> Version:
    """The version of that project's and its own name that was logged, if there is just one.

    The service joins both names with a hyphen, which either may hold too.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not version.arn.startswith(MADE_UP):
        return version
    found = {one.arn: one for one in _list_namesakes(store, version)}
    return next(iter(found.values())) if len(found) == 1 else version


def _list_namesakes(store: Store, version: Version) -> Iterator[Version]:
    wanted = f"{version.project.name}-{version.name}"
    for experiment in store.list_experiments():
        project_name = experiment.tags.get("project_name", "")
        if not (project_name and wanted.startswith(f"{project_name}-")):
            continue
        for run in store.list_version_runs(experiment.experiment_id):
            name = run.tags.get("version_name", "")
            if run.version_arn.startswith(MADE_UP) or f"{project_name}-{name}" != wanted:
                continue
            project = replace(version.project, arn=run.project_arn, name=project_name)
            yield replace(version, project=project, arn=run.version_arn, name=name)
