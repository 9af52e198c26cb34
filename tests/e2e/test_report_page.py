"""The report page of a run, in MLflow's own sandboxed frame, in headless Chromium."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from fakes.large_evaluation import make_large_evaluation
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics
from mlrek.render.report import render_report
from mlrek.sources import open_source

pytestmark = pytest.mark.browser

HOSTILE = {
    "zero": "<script>alert(1)</script>",
    "one": "\"><img src=x onerror='alert(1)'>",
    "two": "</script><!-- & &lt;b&gt;",
    "three": "\u202ereversed\u202c \u05e9\u05dc\u05d5\u05dd",
    "four": "__proto__",
    "five": "x" * 256,
    "six": "{{ 7 * 7 }}",
    "seven": "日本語 🌹",
}
"""Label of the digits -> a name that tries to be more than text."""


@pytest.fixture
def frame(page):
    """Open the report of a version and go into its frame; no error may be in the browser's log."""
    browser = page.browser

    def open_report(name, synced, version):
        run = next(found for found in synced["versions"] if found["version"] == version)
        base = synced["projects"][0]["links"]["runs"].partition("/#/")[0]
        link = f"{base}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"
        browser.get_log("browser")  # forget what other pages said
        page(name, f"{link}/artifacts/report.html?workflowType=machine_learning", "report.html")
        page.enter_frame()
        page.screenshot(name)
        return page

    yield open_report
    errors = [
        line["message"]
        for line in browser.get_log("browser")
        if "blob:" in line["message"] and line["level"] == "SEVERE"
    ]
    browser.switch_to.default_content()
    assert errors == []


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, digits, sync_to, mlflow_server):
    """The last version of the digits with hostile names of labels and files, on the server."""
    folder = tmp_path_factory.mktemp("hostile")
    for path in (digits / "versions" / "v4-new-split").iterdir():
        lines = path.read_text().splitlines() if "Testing" in path.name else [path.read_text()]
        renamed = [json.dumps(rename(json.loads(line)), ensure_ascii=False) for line in lines]
        (folder / path.name).write_text("\n".join(renamed), encoding="utf-8")
    (folder / "version.json").unlink()
    return sync_to(folder, mlflow_server, f"hostile-{os.getpid()}")


@pytest.fixture(scope="module")
def scenes(request, sync_to, mlflow_server):
    """The example with boxes, on the server."""
    folder = request.config.rootpath / "examples" / "detection"
    return sync_to(folder, mlflow_server, f"scenes-{os.getpid()}")


def rename(value):
    """The document with other names of labels and, in their addresses, of images."""
    if isinstance(value, dict):
        return {key: rename(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rename(inner) for inner in value]
    if isinstance(value, str) and value.startswith("s3://digits/"):
        return value.replace(".png", "<script>alert(2)</script>\"'&.png")
    return HOSTILE.get(value, value) if isinstance(value, str) else value


def read_manifest(digits: Path, version: str) -> list[tuple[str, str, str]]:
    """Image, true and top label of every line of a version's manifest."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth*")
    found = []
    for line in map(json.loads, path.read_text().splitlines()):
        records = [v for k, v in line.items() if "evaluation" in k and k.endswith("-metadata")]
        top = max(records, key=lambda record: record["confidence"])
        truth = line["rekognition-custom-labels-training-0-metadata"]["class-name"]
        found.append((line["source-ref"], truth, top["class-name"]))
    return found


def move_slider(page, step: int) -> None:
    """Set the slider as a person does, with an `input` event."""
    page.run(
        "const s = document.getElementById('threshold-slider'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        step,
    )


def choose_label(page, label: str) -> None:
    """Click a label in the list at the side."""
    page.run(
        "document.getElementById('side-details').open = true;"
        "[...document.querySelectorAll('[role=option]')]"
        ".find(o => o.title === arguments[0]).click()",
        label,
    )


def read_numbers(page) -> dict[str, float | None]:
    """The numbers next to the slider, in full."""
    texts = page.run(
        "return Object.fromEntries([...document.querySelectorAll('#threshold-numbers data')]"
        ".map(d => [d.id.slice(3), d.value]))"
    )
    return {name: float(text) if text else None for name, text in texts.items()}


def list_images(page, selector: str) -> list[str]:
    """The images of a list, all of it shown."""
    page.run(
        "let b; while ((b = document.querySelector(arguments[0] + ' .more:not([hidden])')))"
        "b.click()",
        selector,
    )
    script = (
        "return [...document.querySelectorAll(arguments[0] + ' .card')].map(c => c.dataset.image)"
    )
    return page.run(script, selector)


@pytest.mark.parametrize("label", ["", "eight"])
def test_the_slider_shows_what_the_command_prints(frame, synced, digits, run_mlrek, label):
    """Counts and scores at a threshold are exactly those of `mlrek show --threshold`."""
    page = frame("report-digits", synced, "v2-linear")
    if label:
        choose_label(page, label)
    names = ("tp", "fp", "fn", "precision", "recall", "f1")
    for step in (0, 29, 57, 99, 100):
        move_slider(page, step)
        options = ["--label", label] if label else []
        version = f"{digits}#v2-linear"
        done = run_mlrek("show", version, "--threshold", step / 100, *options, "--json")
        printed = json.loads(done.stdout)["threshold"]
        printed = printed["label"] if label else printed
        assert read_numbers(page) == {name: printed[name] for name in names}


def test_of_boxes_the_slider_shows_what_the_command_prints(frame, scenes, request, run_mlrek):
    """Boxes count, with the same matching; each card of a false alarm draws its box."""
    page = frame("report-detection", scenes, "v2-neighbours")
    names = ("tp", "fp", "fn", "precision", "recall", "f1")
    version = f"{request.config.rootpath / 'examples' / 'detection'}#v2-neighbours"
    for step in (50, 83):
        move_slider(page, step)
        printed = json.loads(run_mlrek("show", version, "--threshold", step / 100, "--json").stdout)
        assert read_numbers(page) == {name: printed["threshold"][name] for name in names}
        assert printed["threshold"]["tp"] > 0
    drawn = page.run(
        "return [...document.querySelectorAll('#gallery-fp .card')]"
        ".map(c => c.querySelectorAll('rect.fp.this').length)"
    )
    assert drawn
    assert set(drawn) == {1}


def test_without_images_the_slider_shows_what_the_service_publishes(
    page, request, run_mlrek, tmp_path
):
    """At the nearest published threshold, as the command tells it; nothing is interpolated."""
    folder = request.config.rootpath / "tests" / "data" / "google" / "vertex-docs-salads"
    source = open_source(str(folder))
    evaluation = source.load(source.list_versions()[0])
    path = tmp_path / "report.html"
    path.write_bytes(render_report(evaluation, compute_metrics(evaluation)))
    page.browser.get_log("browser")
    page.browser.get(path.as_uri())
    page.screenshot("report-published")
    for step in (0, 33, 90):
        move_slider(page, step)
        options = ("--threshold", step / 100, "--json")
        printed = json.loads(run_mlrek("show", folder, *options).stdout)["published"]
        shown = read_numbers(page)
        assert shown == {name: pytest.approx(printed[name], abs=1e-6) for name in shown}
    assert page.browser.get_log("browser") == []


def test_the_arrow_keys_move_the_slider(frame, synced):
    """One step to the right is one percent more, and the numbers follow."""
    from selenium.webdriver.common.keys import Keys

    page = frame("report-digits", synced, "v2-linear")
    slider = page.browser.find_element("id", "threshold-slider")
    move_slider(page, 97)
    before = read_numbers(page)
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)

    assert page.run("return document.getElementById('threshold-value').textContent") == "99 %"
    assert read_numbers(page) != before


def test_the_galleries_follow_the_slider(frame, synced, digits, run_mlrek):
    """At any threshold a label's gallery holds as many images as its number says."""
    page = frame("report-digits", synced, "v2-linear")
    page.run("document.querySelector('#labels-table tbody button').click()")  # the worst label
    for step in (40, 90):
        move_slider(page, step)
        numbers = read_numbers(page)
        found = {name: len(list_images(page, f"#gallery-{name}")) for name in ("tp", "fp", "fn")}
        assert found == {name: numbers[name] for name in ("tp", "fp", "fn")}


def test_the_galleries_hold_what_the_command_lists(frame, synced, digits, run_mlrek):
    """By the top label, and in the same order, the least sure first."""
    page = frame("report-digits", synced, "v2-linear")
    label = page.run(
        "const b = document.querySelector('#labels-table tbody button'); b.click();"
        "return b.textContent"
    )
    for outcome in ("tp", "fn", "fp"):
        version = f"{digits}#v2-linear"
        done = run_mlrek("show", version, "--label", label, "--outcome", outcome, "--json")
        printed = [row["image"] for row in json.loads(done.stdout)["images"]]
        assert list_images(page, f"#gallery-{outcome}") == printed


@pytest.mark.parametrize("by_key", [False, True])
def test_a_cell_lists_exactly_its_images(frame, synced, digits, by_key):
    """By click and by Enter: the images of the manifest with this true and this top label."""
    from selenium.webdriver.common.keys import Keys

    page = frame("report-digits", synced, "v2-linear")
    manifest = read_manifest(digits, "v2-linear")
    for true, predicted in (("eight", "one"), ("one", "two"), ("zero", "zero")):
        label = f"true {true}, predicted {predicted}:"
        cell = page.browser.find_element("css selector", f"#matrix td[aria-label^='{label}']")
        if by_key:
            page.run("arguments[0].focus()", cell)
            cell.send_keys(Keys.ENTER)
        else:
            page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cell)
            cell.click()
        expected = [image for image, *labels in manifest if labels == [true, predicted]]
        assert sorted(list_images(page, "#cell")) == sorted(expected)
        assert len(expected) > 0
    page.screenshot(f"report-cell-{'key' if by_key else 'click'}")


def test_hostile_names_show_as_text(frame, hostile):
    """Names of labels and files are there letter by letter, and none became an element."""
    page = frame("report-hostile", hostile, "v4-new-split")
    shown = page.run(
        "return [...document.querySelectorAll('#labels-table tbody th')].map(t => t.textContent)"
    )
    elements = page.run(
        "return [...document.querySelectorAll('script, img:not([src^=\"data:image/webp\"])')]"
        ".map(e => e.outerHTML.slice(0, 40))"
    )

    assert set(HOSTILE.values()) <= set(shown)
    assert len(elements) == 2  # the data and the script of the page
    chosen = page.run(
        "document.getElementById('copy-details').open = true;"
        "document.getElementById('copy-details').dispatchEvent(new Event('toggle'));"
        "return document.getElementById('copy-text').value"
    )
    assert set(HOSTILE.values()) <= set(json.loads(chosen))
    names = page.run("return [...document.querySelectorAll('.card .name')].map(n => n.textContent)")
    assert names
    assert all(name.endswith("<script>alert(2)</script>\"'&.png") or "'&" in name for name in names)


SECTIONS = {
    "digits": "Threshold Confusion Labels Images Labelling Calibration About",
    "automl-flowers": "Threshold Confusion Labels Images Labelling Calibration About",
    "vertex": "Threshold Confusion Labels Images Calibration About",
    "lookout-classification": "Threshold Confusion Labels Images Calibration About",
    "multilabel": "Threshold Confusion Labels Images Labelling About",
    "detection": "Threshold Confusion Labels Images Labelling About",
    "lookout-segmentation": "Labels Images About",
}
"""Of each example's first version what has a meaning for its task."""


@pytest.mark.parametrize("example", SECTIONS)
def test_every_task_has_its_page(page, request, tmp_path, example):
    """All its sections, no other, and no error of the script when all is pressed and moved."""
    source = open_source(str(request.config.rootpath / "examples" / example))
    entry = source.list_versions()[0]
    evaluation = source.load(entry)
    path = tmp_path / "report.html"
    path.write_bytes(
        render_report(
            evaluation,
            compute_metrics(evaluation),
            read_images=partial(source.read_images, entry),
        )
    )
    page.browser.get_log("browser")
    page.browser.get(path.as_uri())
    page.run(
        "document.querySelectorAll('details').forEach(d => { d.open = true; });"
        "for (const id of ['threshold-slider', 'copy-goal']) {"
        "  const e = document.getElementById(id); if (!e) continue;"
        "  e.value = id === 'copy-goal' ? '0.9' : 1;"
        "  e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));"
        "}"
        "document.querySelectorAll('[role=option], #matrix td, button').forEach(b => b.click());"
        "window.scrollTo(0, 0)"
    )
    page.screenshot(f"report-{example}")

    sections = page.run("return [...document.querySelectorAll('nav a')].map(a => a.textContent)")
    assert " ".join(sections) == SECTIONS[example]
    assert page.browser.get_log("browser") == []


def _draw_several(n_images, n_labels):
    """Several labels an image with all confidences, and truth and scores as arrays."""
    rng = np.random.default_rng(0)
    truth = rng.random((n_images, n_labels)) < 0.4
    scores = 1 / (1 + np.exp(2 - 4.5 * truth - rng.normal(size=truth.shape)))
    evaluation = build_evaluation(
        [np.flatnonzero(row).tolist() for row in truth],
        [list(enumerate(row)) for row in scores.tolist()],
        n_labels=n_labels,
        task=Task.MULTILABEL,
    )
    return evaluation, truth, scores


def test_the_advice_is_what_other_libraries_find(page, tmp_path):
    """The best F1, the precision that can be promised by images, and each label's of both.

    By scikit-learn and SciPy: from the highest threshold with 59 images on which anything is
    predicted downwards, as long as a binomial test shows that fewer than 5 % are wrong.
    """
    evaluation, truth, scores = _draw_several(400, 3)
    path = tmp_path / "report.html"
    path.write_bytes(render_report(evaluation, compute_metrics(evaluation, intervals=False)))

    def score(function, step, label=slice(None)):
        predicted = scores[:, label].ravel() >= step / 100
        return function(truth[:, label].ravel(), predicted, zero_division=0)

    best = max(range(101), key=lambda step: (score(f1_score, step), -step))
    sure = _promise(scores, truth, slice(None), 0.95)
    predicted = scores.ravel() >= sure / 100
    hits = int((truth.ravel() & predicted).sum())
    interval = proportion_confint(hits, int(predicted.sum()), method="wilson")

    page.browser.get(path.as_uri())
    advice = page.run("return document.getElementById('advice').textContent")
    assert f"Best F1 {score(f1_score, best):.3f} at {best} %" in advice
    low, high = (f"{end:.2f}" for end in interval)
    found = f"{score(precision_score, sure):.3f} ({low}–{high})"
    assert f"Precision ≥ 0.95 from {sure} %: {found}" in advice
    assert "true with 95 % confidence, counted by images" in advice

    page.run("document.getElementById('copy-details').open = true")
    text = page.wait(lambda: page.run("return document.getElementById('copy-text').value"))
    assert json.loads(text) == {
        label: max(range(101), key=lambda step: (score(f1_score, step, i), -step))
        for i, label in enumerate(evaluation.labels)
    }
    promised = {n: _promise(scores, truth, [i], 0.95) for i, n in enumerate(evaluation.labels)}
    assert None not in promised.values()
    assert json.loads(_choose(page, "0.95")) == promised


def _promise(scores, truth, label, goal):
    """The lowest threshold of those in a row that show a precision, None where the first does not.

    Image by image: a binomial test from where so many are predicted that it could show it at all.
    """
    found, least = None, {0.8: 14, 0.95: 59}[goal]
    for step in range(100, -1, -1):
        predicted = scores[:, label] >= step / 100
        n, wrong = int(predicted.any(axis=1).sum()), int((predicted & ~truth[:, label]).sum())
        if n < least:
            continue
        if binomtest(min(wrong, n), n, 1 - goal, alternative="less").pvalue > 0.05:
            break
        found = step
    return found


def _choose(page, goal):
    """What there is to copy."""
    return page.run(
        "const goal = document.getElementById('copy-goal');"
        f"goal.value = '{goal}'; goal.dispatchEvent(new Event('change'));"
        "return document.getElementById('copy-text').value"
    )


def test_records_without_advice_say_why_once_and_offer_the_service_s_own(page, tmp_path):
    """Of each image the top label alone: the page says so, and has the published thresholds."""
    n = 40
    evaluation = build_evaluation(
        [[i % 2] for i in range(n)],
        [[(i % 2, 0.9)] for i in range(n)],
        labels=["good", "bad"],
        thresholds=[0.5, 0.625],
    )
    path = tmp_path / "report.html"
    path.write_bytes(render_report(evaluation, compute_metrics(evaluation, intervals=False)))

    page.browser.get(path.as_uri())
    said = "only the top label of each image is recorded"
    text = page.run("return document.getElementById('threshold').innerText")
    assert text.count(said) == 1
    assert f"No threshold is advised: {said}. The service's own are below, to copy." in text
    text = page.wait(lambda: page.run("return document.getElementById('copy-text').value"))
    assert json.loads(text) == {"good": 50, "bad": 62.5}
    offered = page.run("return [...document.getElementById('copy-goal')].map(o => o.value)")
    assert offered == ["service"]
    assert page.run("return document.getElementById('copy-note').textContent") == ""


def test_what_cannot_be_promised_says_what_is_missing(page, tmp_path):
    """Fifty-eight images, all right: 59 would show a precision of 0.95. Nothing is to be copied."""
    n = 58
    evaluation = build_evaluation(
        [[i % 2] for i in range(n)],
        [[(i % 2, 0.9), (1 - i % 2, 0.1)] for i in range(n)],
        labels=["good", "bad"],
    )
    path = tmp_path / "report.html"
    path.write_bytes(render_report(evaluation, compute_metrics(evaluation, intervals=False)))

    page.browser.get(path.as_uri())
    advice = page.run("return document.getElementById('advice').textContent")
    assert "Precision ≥ 0.95 cannot be promised: 58 images, at least 59 are needed." in advice
    choose_label(page, "good")
    advice = page.run("return document.getElementById('advice').textContent")
    assert "Precision ≥ 0.99 cannot be promised: 58 predictions, at least 299 are needed" in advice
    page.run("document.getElementById('copy-details').open = true")
    page.wait(lambda: page.run("return document.getElementById('copy-text').value"))
    assert _choose(page, "0.99") == ""
    note = page.run("return document.getElementById('copy-note').textContent")
    assert note.startswith("Nothing to copy: it cannot be promised")


def test_a_page_of_many_labels_is_there_within_a_second(page, tmp_path):
    """250 labels and 20,000 images; its thread takes no more CPU."""
    evaluation = make_large_evaluation(20_000, 250, 250)
    path = tmp_path / "report.html"
    path.write_bytes(render_report(evaluation, compute_metrics(evaluation, intervals=False)))
    took_s = page.measure_cpu_s(path.as_uri())
    page.screenshot("report-250-labels")

    assert 0 < took_s < 1
    assert page.run("return document.querySelectorAll('#matrix tbody tr').length") == 25
    page.run("document.querySelector('#matrix tbody td').click()")  # right: more than are held
    code = page.run("return document.querySelector('#matrix tbody th').title").rpartition(" ")[2]
    y_pred = compute_metrics(evaluation, intervals=False).predictions.y_pred
    n = int(((evaluation.truth.label_idx == int(code)) & (y_pred == int(code))).sum())
    told = page.run("return document.getElementById('cell').textContent")
    held = len(list_images(page, "#cell"))
    assert f"{n} images: true" in told
    assert held < n
    assert f"This page holds {held} of them" in told


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [900, 1400])
def test_nothing_scrolls_sideways(page, tmp_path, width, scheme):
    """Wide tables scroll in boxes of their own; looked at in both schemes."""
    evaluation = make_large_evaluation(2_000, 60, 4)
    path = tmp_path / "report.html"
    path.write_bytes(render_report(evaluation, compute_metrics(evaluation, intervals=False)))
    command = page.browser.execute_cdp_cmd
    screen = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
    command("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    command("Emulation.setEmulatedMedia", {"features": features})
    try:
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        page.screenshot(f"report-{width}-{scheme}")
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        command("Emulation.setEmulatedMedia", {"features": []})
        command("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_fits_its_width(frame, synced, hostile):
    """Nothing but tables in boxes of their own scrolls sideways, in a frame of any width."""
    for name, project, version in (
        ("report-digits", synced, "v2-linear"),
        ("report-hostile", hostile, "v4-new-split"),
    ):
        page = frame(name, project, version)
        root = "document.documentElement"
        assert page.run(f"return {root}.scrollWidth <= {root}.clientWidth"), name
        page.browser.switch_to.default_content()
