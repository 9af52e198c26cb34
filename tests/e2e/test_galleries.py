"""Galleries of our pages, what narrows them, and the view that an image opens in, in Chromium."""

import json
from functools import partial

import pytest
from builders.evaluations import build_evaluation
from fakes.large_evaluation import make_large_evaluation
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.figures.pictures import Unread
from mlrek.metrics.compute import compute_metrics
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.report import render_report
from mlrek.sources import open_source

pytestmark = pytest.mark.browser

READ_LARGE = """
    const text = (s) => [...document.querySelectorAll(s)].map(e => e.textContent);
    const dialog = document.querySelector('dialog');
    return dialog.open && {
        file: dialog.querySelector('h2').textContent,
        place: dialog.querySelector('[role=status]').textContent,
        scores: [...dialog.querySelectorAll('.scores tbody tr')].map(
            r => [...r.children].map(c => c.textContent)),
        uri: dialog.querySelector('.address').value,
    };
"""
FOCUSED = "const card = document.activeElement.closest('.card'); return card && card.dataset.image"
SHOWN = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"


@pytest.fixture(scope="module")
def examples(request):
    """Read a version of an example: its evaluation, and what reads its images."""

    def read(example, place):
        source = open_source(str(request.config.rootpath / "examples" / example))
        entry = source.list_versions()[place]
        return source.load(entry), partial(source.read_images, entry)

    return read


@pytest.fixture
def open_page(page, tmp_path):
    """Open a page as a file; its script makes no error."""

    def show(content):
        path = tmp_path / "page.html"
        path.write_bytes(content)
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        page.run("document.documentElement.style.scrollBehavior = 'auto'")
        return page

    page.browser.get_log("browser")
    yield show
    assert page.browser.get_log("browser") == []


@pytest.fixture
def report(open_page):
    """Open the report of an evaluation."""

    def show(evaluation, read_images=None):
        metrics = compute_metrics(evaluation, intervals=False)
        return open_page(render_report(evaluation, metrics, read_images=read_images))

    return show


@pytest.fixture
def comparison(open_page):
    """Open the page of two evaluations."""

    def show(baseline, candidate, read_images=None):
        sides = (Side(evaluation=side) for side in (baseline, candidate))
        compared = compare_versions(*sides, CompareSettings(intervals=False))
        return open_page(render_comparison_page(compared, candidate, read_images))

    return show


@pytest.fixture
def screen(page):
    """Set the size of the window in CSS pixels; all is put back at the end."""
    command = page.browser.execute_cdp_cmd

    def show(width, scale=1):
        size = {"width": width, "height": 900, "deviceScaleFactor": scale, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", size)

    yield show
    command("Emulation.clearDeviceMetricsOverride", {})


def list_files(page, group):
    """The file names of all cards of a group."""
    page.run(
        "let b; while ((b = document.querySelector(arguments[0] + ' .more:not([hidden])')))"
        "b.click()",
        f"#gallery-{group}",
    )
    return page.run(SHOWN, f"#gallery-{group} .card .open > .name:last-child")


def enter(page, label, text):
    """Type into a field of the gallery's filters."""
    field = page.browser.find_element("xpath", f"//label[contains(., '{label}')]/input")
    field.send_keys(Keys.CONTROL + "a")
    field.send_keys(Keys.BACKSPACE, *text)


@pytest.fixture(scope="module")
def animals():
    """Six images of three labels: two cats and a dog are taken for others."""
    files = ("cat-10", "cat-9", "cat-1", "dog-1", "dog-2", "cow-1")
    return build_evaluation(
        [[0], [0], [0], [1], [1], [2]],
        [
            [(0, 0.9)],
            [(1, 0.8), (0, 0.15)],
            [(1, 0.6), (0, 0.3)],
            [(1, 0.95)],
            [(2, 0.7)],
            [(2, 0.5), (0, 0.4)],
        ],
        labels=["cat", "dog", "cow"],
        images=[f"s3://zoo/{name}.png" for name in files],
    )


def test_the_gallery_begins_with_all_labels_and_each_kind_can_be_hidden(report, animals):
    """Three false alarms, which are all that is missed: shown once, until both are asked for."""
    page = report(animals)
    buttons = page.run(SHOWN, "#images-controls .several button")

    assert buttons == ["False alarms (3)", "Missed (3)", "Right (3)"]
    assert list_files(page, "fp") == ["cat-1.png", "dog-2.png", "cat-9.png"]
    assert list_files(page, "tp") == ["cow-1.png", "cat-10.png", "dog-1.png"]
    assert page.run(SHOWN, "#gallery-fn") == []
    page.browser.find_element("css selector", "[data-value=fn]").send_keys(Keys.SPACE)
    page.browser.find_element("css selector", "[data-value=tp]").send_keys(Keys.ENTER)
    assert sorted(list_files(page, "fn")) == ["cat-1.png", "cat-9.png", "dog-2.png"]
    assert page.run(SHOWN, "#gallery-tp") == []
    pressed = page.run(SHOWN, "#images-controls .several [aria-pressed=true]")
    assert pressed == ["False alarms (3)", "Missed (3)"]


def test_the_label_of_the_gallery_is_that_of_the_whole_page(report, animals):
    """Choosing it in one place chooses it in the other, and all labels can be chosen again."""
    page = report(animals)
    choose = (
        "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    page.run(choose, "#images-controls select", "1")

    assert page.run("return document.getElementById('threshold-label').textContent") == "dog"
    chosen = "[...document.querySelectorAll('[role=option][aria-selected=true]')]"
    assert page.run(f"return {chosen}.map(o => o.title)") == ["dog"]
    assert list_files(page, "fp") == ["cat-1.png", "cat-9.png"]
    assert list_files(page, "fn") == ["dog-2.png"]
    page.run("document.querySelector('[role=option]').click()")
    assert page.run("return document.querySelector('#images-controls select').value") == "-1"
    assert len(list_files(page, "fp")) == 3


def test_images_are_found_by_name_and_by_confidence(report, animals):
    """And the page says, also aloud, how many were found among how many."""
    page = report(animals)
    enter(page, "File name", "CAT")

    assert list_files(page, "fp") == ["cat-1.png", "cat-9.png"]
    assert list_files(page, "tp") == ["cat-10.png"]
    said = page.run("return document.getElementById('images-count').textContent")
    assert said == "False alarms: 2 found among 3 images. Right: 1 found among 3 images."
    assert page.run("return document.getElementById('images-count').role") == "status"
    enter(page, "File name", "")
    least = page.browser.find_element("css selector", "[aria-label='Confidence from']")
    most = page.browser.find_element("css selector", "[aria-label='Confidence to']")
    least.clear()
    least.send_keys("70")
    most.clear()
    most.send_keys("90")
    assert list_files(page, "fp") == ["dog-2.png", "cat-9.png"]
    assert list_files(page, "tp") == ["cat-10.png"]
    enter(page, "File name", "nothing")
    (said,) = page.run(SHOWN, "#gallery-fp p")
    assert said == "None of them passes the filters."


@pytest.mark.parametrize(
    ("order", "files"),
    [
        ("least", ["cat-1.png", "dog-2.png", "cat-9.png"]),
        ("surest", ["cat-9.png", "dog-2.png", "cat-1.png"]),
        ("name", ["cat-1.png", "cat-9.png", "dog-2.png"]),
    ],
)
def test_the_order_can_be_chosen(report, animals, order, files):
    """The least sure first, the surest first, or by name."""
    page = report(animals)
    page.run(
        "const s = [...document.querySelectorAll('#images-controls select')].pop();"
        "s.value = arguments[0]; s.dispatchEvent(new Event('change', {bubbles: true}))",
        order,
    )

    assert list_files(page, "fp") == files


def test_a_card_opens_large_and_gives_the_focus_back_by_keyboard_alone(report, animals):
    """Enter opens it, the arrows go on and back, Escape closes it on the card seen last."""
    page = report(animals)
    first = page.browser.find_element("css selector", "#gallery-fp .card button")
    first.send_keys(Keys.ENTER)
    keys = lambda *sent: ActionChains(page.browser).send_keys(*sent).perform()  # noqa: E731

    large = page.run(READ_LARGE)
    assert large["file"] == "cat-1.png"
    assert large["place"] == "1 of 3"
    assert large["uri"] == "s3://zoo/cat-1.png"
    assert large["scores"] == [["dog", "0.6000", "predicted"], ["cat", "0.3000", "true"]]
    keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.run(READ_LARGE)["file"] == "cat-9.png"
    keys(Keys.ARROW_LEFT)
    large = page.run(READ_LARGE)
    assert large["place"] == "2 of 3"
    assert large["scores"] == [["cow", "0.7000", "predicted"], ["dog", "not recorded", "true"]]
    keys(Keys.ESCAPE)
    assert page.run(READ_LARGE) is False
    assert page.run(FOCUSED) == "s3://zoo/dog-2.png"


def test_the_large_view_goes_on_past_the_cards_that_were_shown(report, examples):
    """From the twelfth of 51 to the thirteenth, whose card then has the focus."""
    page = report(*examples("digits", 1))
    cards = page.browser.find_elements("css selector", "#gallery-fp .card button")
    assert len(cards) == 12
    page.run("arguments[0].click()", cards[11])
    ActionChains(page.browser).send_keys(Keys.ARROW_RIGHT).perform()

    large = page.run(READ_LARGE)
    assert large["place"] == "13 of 51"
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert page.run(FOCUSED) == large["uri"]


def test_the_large_view_has_every_record_of_the_manifest(report, examples, digits):
    """The labels that one line of the manifest tells of, with their confidences."""
    page = report(*examples("digits", 1))
    page.browser.find_element("css selector", "#gallery-fp .card button").send_keys(Keys.ENTER)
    large = page.run(READ_LARGE)
    (path,) = (digits / "versions" / "v2-linear").glob("TestingGroundTruth*")
    lines = map(json.loads, path.read_text().splitlines())
    (line,) = (line for line in lines if line["source-ref"] == large["uri"])
    recorded = {
        value["class-name"]: value["confidence"]
        for key, value in line.items()
        if "evaluation" in key and key.endswith("-metadata")
    }

    shown = {label: float(score) for label, score, _ in large["scores"]}
    assert shown == pytest.approx(recorded, abs=1e-4)
    assert len(shown) > 2
    assert page.run("return document.querySelector('dialog img').naturalWidth") == 8


def test_the_uri_is_copied_or_else_selected(frame):
    """In MLflow's frame, which may deny the clipboard: then the whole of it is selected."""
    frame.run("document.querySelector('#images .card button').click()")
    uri = frame.run(READ_LARGE)["uri"]
    frame.browser.find_element("css selector", "dialog .copy button").click()
    said = frame.run("return document.querySelector('dialog .copy [role=status]').textContent")
    selected = frame.run(
        "const f = document.querySelector('dialog .address');"
        "return f.value.slice(f.selectionStart, f.selectionEnd)"
    )
    frame.screenshot("large-view-in-mlflow")

    assert uri.startswith("s3://digits/")
    assert selected == uri
    assert said in {"Copied.", "Selected: press Ctrl+C."}


@pytest.fixture
def frame(page, synced):
    """The report of the digits in MLflow's own frame."""
    run = next(found for found in synced["versions"] if found["version"] == "v2-linear")
    base = synced["projects"][0]["links"]["runs"].partition("/#/")[0]
    link = f"{base}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}/artifacts"
    page("large-view", f"{link}/report.html?workflowType=machine_learning", "report.html")
    page.enter_frame()
    yield page
    page.browser.switch_to.default_content()


def test_boxes_can_be_hidden_by_kind(report, examples):
    """Found, false alarms and missed, each by a box to tick; the counts are those of the image."""
    page = report(*examples("detection", 1))
    page.run("document.querySelector('#gallery-fn .card button').click()")
    visible = (
        "return ['tp', 'fp', 'fn'].map(k => [...document.querySelectorAll('dialog rect.' + k)]"
        ".filter(r => r.checkVisibility()).length)"
    )
    told = page.run(SHOWN, "dialog .ticks label")
    counts = page.run(visible)

    assert told == [
        f"found ({counts[0]})",
        f"false alarms ({counts[1]})",
        f"missed ({counts[2]})",
    ]
    assert counts[2] > 0
    page.browser.find_element("css selector", "dialog .ticks input:checked").send_keys(Keys.SPACE)
    assert page.run(visible) == [0, *counts[1:]]
    assert len(page.run(SHOWN, "dialog .scores tbody tr")) == sum(counts)


def test_a_comparison_narrows_its_images_and_opens_them_large(comparison, examples):
    """By label and by kind; the large view has both versions' answers."""
    baseline, _ = examples("digits", 0)
    page = comparison(baseline, *examples("digits", 1))
    page.run(
        "const s = document.querySelector('#images-controls select');"
        "s.value = [...s.options].find(o => o.text === 'eight').value;"
        "s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    page.browser.find_element("css selector", "[data-value=fixed]").send_keys(Keys.SPACE)
    words = page.run(SHOWN, "#gallery .card")

    assert words
    assert all("eight" in text for text in words)
    assert page.run(SHOWN, "#gallery-fixed") == []
    page.run("document.querySelector('#gallery-broken .card button').click()")
    rows = page.run(READ_LARGE)["scores"]
    assert [row[0].partition(":")[0] for row in rows] == ["v1-naive-bayes", "v2-linear"]
    assert [row[2] for row in rows] == ["right", "wrong"]
    assert page.run("return document.querySelector('dialog img').naturalWidth") == 8


def test_of_an_image_behind_a_cell_the_comparison_opens_the_same_view(comparison, examples):
    """With its URI, and the focus comes back to it."""
    baseline, _ = examples("digits", 0)
    page = comparison(baseline, *examples("digits", 1))
    page.run("document.querySelector('#matrix td.full').click()")
    page.browser.find_element("css selector", "#cell .card button").send_keys(Keys.ENTER)
    uri = page.run(READ_LARGE)["uri"]
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()

    assert uri.startswith("s3://digits/")
    assert page.run(FOCUSED) == uri


@pytest.mark.parametrize(
    ("read_images", "said"),
    [
        (None, "No pictures: they were not asked for"),
        (lambda uris: [b""] * len(uris), "(6 were wanted): they are not where the test set says"),
        (lambda uris: [Unread("access denied; this needs s3:GetObject")] * len(uris), "s3:Get"),
    ],
)
def test_the_page_says_which_kind_of_pictures_lack_and_what_to_type(
    report, animals, read_images, said
):
    """Not asked for, not there, or denied; a folder with a copy helps with each."""
    page = report(animals, read_images)
    note = page.run("return document.getElementById('images-note').textContent")

    assert said in note
    assert "--images FOLDER" in note


@pytest.mark.parametrize(("width", "scale"), [(700, 2), (1000, 1), (1400, 1), (1920, 1)])
@pytest.mark.parametrize("example", ["digits", "detection", "multilabel", "lookout-segmentation"])
def test_nothing_of_the_large_view_is_cut_off(report, examples, screen, example, width, scale):
    """At any width, also that of 200 % zoom; looked at."""
    screen(width, scale)
    page = report(*examples(example, 1))
    page.run(
        "document.getElementById('images').scrollIntoView();"
        "document.querySelector('#images .card button').click()"
    )
    page.screenshot(f"large-{example}-{width}")
    sizes = page.run(
        "const d = document.querySelector('dialog'); const box = d.getBoundingClientRect();"
        "return [box.left, box.right, d.scrollWidth - d.clientWidth,"
        "document.documentElement.scrollWidth, box.height]"
    )

    assert sizes[0] >= 0
    assert sizes[1] <= width
    assert sizes[2] <= 0
    assert sizes[3] <= width
    assert sizes[4] <= 900


def test_how_sure_right_and_wrong_predictions_are_is_drawn(report, animals):
    """A bar for each bin that holds any: here six predictions, three of them wrong."""
    page = report(animals)
    titles = page.run(SHOWN, ".histogram rect title")

    assert sorted(titles) == sorted(
        [
            "0.47–0.53: 1 right, 0 wrong",
            "0.53–0.60: 0 right, 1 wrong",
            "0.67–0.73: 0 right, 1 wrong",
            "0.73–0.80: 0 right, 1 wrong",
            "0.87–0.93: 1 right, 0 wrong",
            "0.93–1.00: 1 right, 0 wrong",
        ]
    )


def test_a_report_of_250000_images_and_250_labels_answers_at_once(report):
    """It opens in a second of the processor; a step of the slider and a cell take a fifth."""
    page = report(make_large_evaluation(250_000, 250, 3))
    took_s = page.measure_cpu_s(page.browser.current_url)
    command = page.browser.execute_cdp_cmd

    def measure(script):
        command("Performance.enable", {"timeDomain": "threadTicks"})
        before = read_s()
        page.run(script + "; document.body.offsetHeight")
        return read_s() - before

    def read_s():
        metrics = command("Performance.getMetrics", {})["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    steps = [
        measure(
            "const s = document.getElementById('threshold-slider');"
            f"s.value = {step}; s.dispatchEvent(new Event('input', {{bubbles: true}}))"
        )
        for step in (20, 40, 60, 80)
    ]
    cells = [
        measure(f"document.querySelectorAll('#matrix [role=gridcell]')[{26 * i}].click()")
        for i in range(4)
    ]
    command("Performance.disable", {})
    assert 0 < took_s < 1
    assert 0 < min(steps) < 0.2
    assert 0 < min(cells) < 0.2
