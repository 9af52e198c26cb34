"""Small pictures in MLflow's table view, as a person sees them."""

import os

import pytest
from builders.screens import make_project

PICTURES = "img[src*='table_images']"


@pytest.fixture(scope="module")
def garden(tmp_path_factory, sync_to, mlflow_server):
    """A project of three versions with pictures, on the server."""
    folder = tmp_path_factory.mktemp("garden")
    project = make_project(folder, 10)
    name = f"garden-{os.getpid()}"
    return sync_to(project, mlflow_server, name, "--images", str(folder / "pictures"))


def count_pictures(page, least):
    """Wait until so many pictures are loaded."""
    script = (
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter(i => i.complete && i.naturalWidth > 20).length"
    )
    return page.wait(lambda: page.run(script, PICTURES) >= least, f"{least} pictures")


def test_the_table_view_compares_predictions_until_pictures_are_chosen(page, garden, browser):
    """By default what versions predict is compared, as without pictures; the list has `picture`."""
    from selenium.webdriver.common.by import By

    link = garden["projects"][0]["links"]["runs"].replace("=TABLE", "=ARTIFACT")
    page("table-with-pictures", link, "predictions.json", r"Compare:\s*predicted")
    browser.find_element(By.XPATH, "//*[@role='combobox'][contains(., 'predicted')]").click()
    option = "//*[@role='option'][contains(., 'picture')]"
    page.wait(lambda: browser.find_elements(By.XPATH, option), "the list")
    browser.find_element(By.XPATH, option).click()
    count_pictures(page, 3)
    page.screenshot("table-pictures")


def test_a_run_shows_its_table_with_pictures(page, garden):
    """Among its artifacts, without a message of a cell that could not be shown."""
    version = garden["versions"][-1]
    base = garden["projects"][0]["links"]["runs"].partition("/#/")[0]
    place = f"experiments/{version['experiment_id']}/runs/{version['run_id']}"
    page(
        "run-table-pictures",
        f"{base}/#/{place}/artifacts/predictions.json?workflowType=machine_learning",
        "predicted",
        "picture",
    )
    count_pictures(page, 2)
    page.screenshot("run-table-pictures")
    assert "Error parsing" not in page.text
