"""The pages that the printed links open, in headless Chromium on a real MLflow server."""

import os
import re

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.browser

GRID_PICTURES = "img[src*='get-artifact?path=images']"


def test_the_charts_page_shows_all_versions_side_by_side(page, synced):
    """One bar a version in each chart of the headline numbers, without a click."""
    link = synced["projects"][0]["links"]["charts"]
    words = (r"score\s*\(4\)", "v1-naive-bayes", "v4-new-split", r"0\.93", r"0\.83")

    assert "accuracy" in page("charts", link, *words)


def test_the_charts_page_shows_the_heat_maps_in_its_picture_grid(page, synced, browser):
    """One picture a version, under `charts/`."""
    from selenium.webdriver.common.by import By

    page("charts-loaded", synced["projects"][0]["links"]["charts"], "aggregate", "v1-naive-bayes")
    search = browser.find_element(By.CSS_SELECTOR, "input[placeholder*='Search metric']")
    search.send_keys("confusion_matrix")
    sizes = page.wait_for_pictures("img[src*='get-artifact?path=images']", 8)
    page.screenshot("picture-grid")

    assert len(sizes) == 8  # the heat map, and the one with a slider
    assert len(set(sizes)) <= 2


def test_the_compare_page_shows_the_numbers_of_all_versions(page, synced):
    """A column a version: names, times, params and metrics."""
    link = synced["projects"][0]["links"]["compare"]
    text = page("compare", link, "Comparing 4 Runs", "v3-neighbours", "aggregate/f1_macro")

    assert "test_images" in text
    assert "754" in text
    assert "359" in text


def test_the_image_link_shows_the_heat_maps_of_all_versions(small_window, synced):
    """Side by side, in the first screen, with all else folded; also with the Assistant open."""
    page = small_window
    page("heat-maps", synced["projects"][0]["links"]["images"], r"charts\s*\(2\)")
    page.wait_for_pictures(GRID_PICTURES, 4)
    shown = page.run(
        f'return [...document.querySelectorAll("{GRID_PICTURES}")]'
        ".filter(i => i.getBoundingClientRect().top < innerHeight).length"
    )
    page.screenshot("heat-maps")

    assert shown >= 4


def test_the_report_of_the_newest_version_opens_from_its_link(page, synced):
    """As the terminal prints it."""
    link = synced["projects"][0]["links"]["report"]

    assert synced["versions"][-1]["run_id"] in link
    page("report-link", link, "report.html")
    page.enter_frame()
    assert "v4-new-split" in page.text
    page.browser.switch_to.default_content()


def test_two_versions_compare_with_their_files(small_window, synced):
    """The list of files has room where the link names the last two, once the side panel is shut."""
    page = small_window
    page("compare-two", synced["projects"][0]["links"]["compare_newest"], "Comparing 2 Runs")
    page.run(
        "document.querySelectorAll(\"[data-component-id='mlflow.assistant.chat_panel.close']\")"
        ".forEach(button => button.click())"
    )
    width = """
        const named = [...document.querySelectorAll('*')]
            .filter(e => e.textContent.trim() === 'report.html').pop();
        return named && named.getBoundingClientRect().width > 50;
    """

    assert page.wait(lambda: page.run(width), "report.html in the list of files")


def test_the_experiments_note_links_what_opens(page, synced):
    """A click on the last version opens its report."""
    link = synced["projects"][0]["links"]["runs"]
    page("note", link, "Evaluations of digits: 4 versions", "Test sets differ")
    note = MlflowClient(link.partition("/#/")[0]).get_experiment(
        synced["projects"][0]["experiment_id"]
    )
    place = re.findall(r"\]\((#[^)]*report\.html[^)]*)\)", note.tags["mlflow.note.content"])[-1]

    page("report-from-note", f"{link.partition('/#/')[0]}/{place}", "report.html")
    page.enter_frame()
    page.browser.switch_to.default_content()


def test_the_table_view_compares_predictions_by_image(page, synced):
    """`predictions.json`, grouped by image, one column a version."""
    link = synced["projects"][0]["links"]["runs"].replace("=TABLE", "=ARTIFACT")
    words = ("predictions.json", "s3://digits/", "v1-naive-bayes", r"Compare:\s*predicted")

    assert "Group by" in page("predictions", link, *words)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ("multilabel", ("pair-04", "two, three, four", "two, four")),
        ("detection", ("scene-26", "zero ×2, three, four, five, six", "one ×6")),
    ],
)
def test_the_table_view_compares_all_that_versions_predict(
    page, request, sync_to, mlflow_server, example, words
):
    """Where an image has several labels or boxes its one row joins them, for both versions."""
    folder = request.config.rootpath / "examples" / example
    synced = sync_to(folder, mlflow_server, f"{example}-{os.getpid()}")
    link = synced["projects"][0]["links"]["runs"].replace("=TABLE", "=ARTIFACT")

    assert "Group by" in page(f"predictions-{example}", link, *words)


def test_areas_have_pictures_side_by_side(page, request, sync_to, mlflow_server, browser):
    """The IoU of each label stands in the picture grid, and the link shows it."""
    from selenium.webdriver.common.by import By

    folder = request.config.rootpath / "examples" / "lookout-segmentation"
    links = sync_to(folder, mlflow_server, f"areas-{os.getpid()}")["projects"][0]["links"]
    page("areas", links["charts"], "aggregate", r"charts\s*\(1\)")
    search = browser.find_element(By.CSS_SELECTOR, "input[placeholder*='Search metric']")
    search.send_keys("label_iou")
    sizes = page.wait_for_pictures("img[src*='get-artifact?path=images']", 2)
    page.screenshot("areas-grid")

    assert len(set(sizes)) == 1
    page("label-iou", links["images"], "label_iou")
    page.wait_for_pictures(GRID_PICTURES, 2)


def test_the_runs_page_shows_the_note(page, synced):
    """A plain sentence, then the metrics that the run holds."""
    run = synced["versions"][1]
    link = synced["projects"][0]["links"]["runs"].partition("/#/")[0]
    link += f"/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"
    link += "?workflowType=machine_learning"
    text = page("run", link, "Version v2-linear of digits", "aggregate/accuracy")

    assert "at_threshold/f1_macro" in text
    assert "0.93" in text
