"""The experiment's Models tab and the registry's pages, in headless Chromium on a real server."""

import os

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def registered(digits, mlflow_server, sync_to) -> dict:
    """The digits, registered, version 3 being the champion; as `mlrek sync --json` tells of it."""
    name = f"pages-{os.getpid()}"
    told = sync_to(digits, mlflow_server, name, f"--register={name}")
    MlflowClient(mlflow_server).set_registered_model_alias(name, "champion", "3")
    return told


SCROLL = """
    const table = document.querySelector('.ag-body-horizontal-scroll-viewport');
    const isAtEnd = table.scrollLeft + table.clientWidth >= table.scrollWidth - 1;
    table.scrollLeft = isAtEnd ? 0 : table.scrollLeft + 250;
    return document.body.textContent;
"""


def test_the_models_tab_shows_the_numbers_of_each_version(page, registered, mlflow_server):
    """Columns of each test set, the same for its versions; those further right need scrolling."""
    experiment_id = registered["versions"][0]["experiment_id"]
    link = f"{mlflow_server}/#/experiments/{experiment_id}/models?workflowType=machine_learning"
    page("models-tab", link, "v1-naive-bayes", "v4-new-split", "Model name")
    wanted = {f"pages-{os.getpid()}", "digits test set fe5c42c5", "aggregate/accuracy"}
    wanted |= {"0.8302", "0.9323", "0.9854", "0.9916"}

    def find_all() -> bool:
        text = page.run(SCROLL)
        wanted.difference_update([word for word in wanted if word in text])
        return not wanted

    page.wait(find_all, "the columns of both test sets")


def test_the_models_page_shows_the_alias(page, registered, mlflow_server):
    """All versions of the registered model, with their tags."""
    name = registered["versions"][0]["model"]["name"]
    link = f"{mlflow_server}/#/models/{name}"
    text = page("registered-model", link, "champion", "Version 4", "validation_status")

    assert "registered by mlrek" in text


def test_the_versions_page_shows_tags_description_and_run(page, registered, mlflow_server):
    """What it is, how good it is, whether it was checked, and where it came from."""
    name = registered["versions"][0]["model"]["name"]
    link = f"{mlflow_server}/#/models/{name}/versions/3"
    words = ("champion", "version_arn", "validation_status", "v3-neighbours", "f1_macro")
    text = page("model-version", link, *words)

    assert "costs money by the hour" in text
    assert "Source Run" in text
