"""The page of a comparison, in MLflow's own sandboxed frame, in headless Chromium."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

BASELINE, CANDIDATE = "v1-naive-bayes", "v3-neighbours"


def read_top1(digits: Path, version: str) -> dict[str, tuple[str, str]]:
    """True and top label by image, parsed by nothing of mlrek."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth*")
    found = {}
    for line in map(json.loads, path.read_text().splitlines()):
        records = [v for k, v in line.items() if "evaluation" in k and k.endswith("-metadata")]
        top = max(records, key=lambda record: record["confidence"])
        truth = line["rekognition-custom-labels-training-0-metadata"]["class-name"]
        found[line["source-ref"]] = truth, top["class-name"]
    return found


@pytest.fixture
def frame(page, synced, run_mlrek, mlflow_server, digits):
    """The page of two versions, compared as runs of the server; its script makes no error."""
    runs = {version["version"]: version for version in synced["versions"]}
    names = [f"runs:/{runs[name]['run_id']}" for name in (BASELINE, CANDIDATE)]
    images = ("--images", digits / "images")
    run_mlrek("compare", *names, *images, "--tracking-uri", mlflow_server, "--json")
    base = synced["projects"][0]["links"]["runs"].partition("/#/")[0]
    run = runs[CANDIDATE]
    link = f"{base}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}/artifacts/"
    link += f"comparison/{BASELINE}/comparison.html?workflowType=machine_learning"
    page.browser.get_log("browser")
    page("comparison", link, "comparison.html")
    inner = page.wait(lambda: page.browser.find_elements("css selector", "iframe"))[0]
    page.browser.switch_to.frame(inner)
    page.wait(lambda: page.run("return document.documentElement.dataset.ready") == "true")
    yield page
    log = page.browser.get_log("browser")
    page.browser.switch_to.default_content()
    assert [m for m in log if "blob:" in m["message"] and m["level"] == "SEVERE"] == []


def images_in(page, selector: str) -> set[str]:
    """The images of the cards in a part of the page, all of them opened."""
    while page.run(
        "const more = [...document.querySelectorAll(arguments[0] + ' .more')]"
        ".find(b => !b.hidden); if (more) more.click(); return Boolean(more)",
        selector,
    ):
        pass
    script = "return [...document.querySelectorAll(arguments[0])].map(c => c.dataset.image)"
    return set(page.run(script, f"{selector} .card"))


def test_the_verdict_comes_first_and_the_galleries_hold_the_right_images(frame, digits):
    """Better, in words; the fixed images are just those that only the candidate has right."""
    old, new = read_top1(digits, BASELINE), read_top1(digits, CANDIDATE)
    fixed = {i for i in old if old[i][1] != old[i][0] == new[i][1]}

    assert "Better" in frame.run("return document.querySelector('h2').textContent")
    frame.run("document.querySelector('#images [data-value=fixed]').click()")
    assert images_in(frame, "#gallery") == fixed
    assert frame.run("return document.querySelectorAll('#gallery img').length") > 0


def test_a_cell_of_the_confusion_lists_its_images(frame, digits):
    """Of `eight` taken for `one`: the images that only the baseline, or only the candidate has."""
    old, new = read_top1(digits, BASELINE), read_top1(digits, CANDIDATE)
    cell = ("eight", "one")
    expected = {i for i in old if (old[i] == cell) != (new[i] == cell)}
    frame.run(
        "[...document.querySelectorAll('#matrix td.full')].find(c => c.getAttribute('aria-label')"
        ".startsWith('true eight, predicted one:')).click()"
    )
    frame.screenshot("comparison-cell")

    assert expected
    assert images_in(frame, "#cell") == expected


def test_the_page_does_not_scroll_sideways(frame):
    """At the width of MLflow's frame."""
    assert frame.run("const d = document.documentElement; return d.scrollWidth <= d.clientWidth")
