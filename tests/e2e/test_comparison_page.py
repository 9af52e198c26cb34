"""The page of a comparison, in MLflow's own sandboxed frame, in headless Chromium."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from fakes.large_evaluation import make_large_evaluation

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.metrics.compute import compute_metrics
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.report import render_report

pytestmark = pytest.mark.browser

BASELINE, CANDIDATE = "v1-naive-bayes", "v3-neighbours"
HOSTILE = (
    "<script>document.title = 'owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "\u202ereversed\u202c \u05e9\u05dc\u05d5\u05dd",
    "{{ 7 * 7 }}",
    "x" * 256,
)
CONTRASTS = """
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const ground = node => {
        const found = parts(getComputedStyle(node).backgroundColor);
        return found.length < 4 || found[3] === 1 ? found : ground(node.parentElement);
    };
    return [...document.querySelectorAll('body *')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => e.checkVisibility() && !e.closest('.hidden'))
        .map(e => {
            const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 90)];
        });
"""
"""The contrast of every text with what is behind it."""
ENOUGH = 4.5
"""WCAG 2's, level AA."""


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
    page.enter_frame()
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
    assert images_in(frame, "#gallery-fixed") == fixed
    assert frame.run("return document.querySelectorAll('#gallery-fixed img').length") > 0


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


def test_a_link_gives_its_address_where_a_frame_opens_no_page(frame, synced):
    """By keyboard: selected, to copy; Escape goes back to the link, and the page stays."""
    from selenium.webdriver.common.keys import Keys

    runs = {version["version"]: version["run_id"] for version in synced["versions"]}
    links = frame.browser.find_elements("css selector", "#places a")
    links[1].send_keys(Keys.ENTER)
    field = frame.browser.find_element("css selector", "#offered input")
    address = field.get_attribute("value")
    said = frame.run("return document.querySelector('#offered [role=status]').textContent")
    frame.screenshot("comparison-address")
    field.send_keys(Keys.ESCAPE)

    assert [link.text for link in links] == [
        "report of the candidate",
        "report of the baseline",
        "run of the candidate",
        "run of the baseline",
        "all versions of the project",
    ]
    assert f"/runs/{runs[BASELINE]}/artifacts/report.html?" in address
    assert said.endswith("open it in a new tab.")
    assert frame.run("return document.activeElement.textContent") == "report of the baseline"


@pytest.fixture
def open_pair(page, tmp_path):
    """Open the page of two evaluations as a file; its script makes no error."""

    def compare(baseline, candidate):
        sides = (Side(evaluation=side) for side in (baseline, candidate))
        comparison = compare_versions(*sides, CompareSettings())
        path = tmp_path / "comparison.html"
        path.write_bytes(render_comparison_page(comparison, candidate))
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        return page

    page.browser.get_log("browser")
    yield compare
    assert [m for m in page.browser.get_log("browser") if m["level"] == "SEVERE"] == []


@pytest.fixture
def screen(page):
    """Set the width of the window, and the scheme or medium; all is put back at the end."""
    command = page.browser.execute_cdp_cmd

    def show(width, **media):
        size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": media.pop("scheme", "light")}]
        command("Emulation.setEmulatedMedia", {"features": scheme, **media})

    yield show
    command("Emulation.setEmulatedMedia", {"media": "", "features": []})
    command("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def hostile():
    """Two versions whose names, and those of labels and files, try to be more than text."""
    images = [f"s3://bucket/{name}.png" for name in HOSTILE]
    truth = [[i] for i in range(len(HOSTILE))]

    def build(codes, name):
        records = [[(code, 0.9)] for code in codes]
        made = build_evaluation(truth, records, labels=HOSTILE, images=images)
        return replace(made, version=replace(made.version, name=name))

    return build([1, 1, 2, 4, 4], HOSTILE[0]), build([0, 2, 3, 3, 4], HOSTILE[1])


@pytest.fixture(scope="module")
def hundred():
    """Two versions with a hundred labels and long names."""
    baseline = make_large_evaluation(5_000, 100, 3)
    candidate = make_large_evaluation(5_000, 100, 2)
    return baseline, replace(candidate, truth=baseline.truth)


def test_hostile_names_show_as_text(open_pair, hostile):
    """Names of versions, labels and files are there letter by letter; none became an element."""
    page = open_pair(*hostile)
    page.screenshot("comparison-hostile")
    page.run("document.querySelectorAll('#matrix td.full, button').forEach(b => b.click())")
    text = page.run("return document.body.textContent")
    elements = page.run("return document.querySelectorAll('script, img, [onerror]').length")

    assert set(HOSTILE[:4]) <= {name for name in HOSTILE if name in text}
    assert HOSTILE[0] in page.run("return document.querySelector('h1').textContent")
    assert elements == 2  # the data and the script of the page
    assert page.browser.title == f"{HOSTILE[1]} against {HOSTILE[0]}"


def test_enter_on_a_cell_lists_its_images(open_pair, hundred):
    """As a click does, and the cell is marked."""
    from selenium.webdriver.common.keys import Keys

    page = open_pair(*hundred)
    cell = page.browser.find_elements("css selector", "#matrix td.full")[0]
    cell.send_keys(Keys.ENTER)

    assert cell.get_attribute("aria-selected") == "true"
    assert images_in(page, "#cell")


def test_better_is_blue_and_worse_is_orange(open_pair, hundred):
    """More on the diagonal is better, more off it worse, in the matrix and the page's words."""
    page = open_pair(*hundred)
    cells = page.run(
        "return [...document.querySelectorAll('#matrix td.full:not(:has(.split))')].map(c => ["
        "[c.dataset.y, c.dataset.x].map(Number), c.textContent,"
        "getComputedStyle(c).backgroundColor.match(/\\d+/g).map(Number)])"
    )

    assert {text[0] for _, text, _ in cells} == {"+", "−"}
    for (row, column), text, (red, _, blue) in cells:
        is_better = (row == column) == (text[0] == "+")
        assert (blue > red) == is_better


def test_labels_are_sorted_by_what_their_column_says(open_pair, hundred):
    """By keyboard, once up and once down; without a press those that changed most come first."""
    from selenium.webdriver.common.keys import Keys

    page = open_pair(*hundred)
    read = """
        const column = Number(arguments[0]);
        return [...document.querySelectorAll('#label-table tbody tr')]
            .map(row => row.children[column].textContent.replace('−', '-'))
    """
    first = [abs(float(text)) for text in page.run(read, 3)]
    page.run("document.querySelector('#label-table .more').click()")
    sorted_by = {}
    for key, column in (("difference", 3), ("p", 6)):
        for _ in range(2):
            button = page.browser.find_element("css selector", f"#label-table [data-key={key}]")
            button.send_keys(Keys.ENTER)
            order = page.run("return document.querySelector('th[aria-sort]').ariaSort")
            sorted_by[key, order] = [float(text) for text in page.run(read, column)]

    assert first == sorted(first, reverse=True)
    for (_, order), values in sorted_by.items():
        assert len(values) == 100
        assert values == sorted(values, reverse=order == "descending")
    assert {order for _, order in sorted_by} == {"ascending", "descending"}


def test_labels_that_only_their_own_interval_tells_are_in_a_quiet_colour(open_pair, hundred):
    """No label of two versions that differ by chance alone is blue or orange."""
    page = open_pair(*hundred)
    page.run("document.querySelector('#label-table .more').click()")
    rows = page.run(
        "return [...document.querySelectorAll('#label-table tbody tr')].map(row => [row.className,"
        "row.lastChild.textContent, getComputedStyle(row.lastChild).color])"
    )
    slate = page.run(
        "const probe = document.createElement('i'); probe.style.color = 'var(--slate)';"
        "document.body.append(probe); return getComputedStyle(probe).color"
    )
    lost = {(said, colour) for kind, said, colour in rows if kind == "lost"}

    assert {kind for kind, _, _ in rows} == {"lost", "undecided", "unchanged"} & {
        kind for kind, _, _ in rows
    }
    assert lost == {("not after adjustment", slate)}


@pytest.mark.parametrize("width", [1000, 1200, 1400, 1920])
def test_no_name_or_number_is_cut(open_pair, hundred, screen, width):
    """Of metrics and labels, in both tables."""
    screen(width)
    page = open_pair(*hundred)
    cut = page.run(
        "return [...document.querySelectorAll('.differences th, .differences td')]"
        ".filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1)"
        ".map(e => e.textContent)"
    )
    beyond = page.run(
        "return [...document.querySelectorAll('.scroll:has(> .differences)')]"
        ".filter(e => e.scrollWidth > e.clientWidth).map(e => e.scrollWidth - e.clientWidth)"
    )

    assert cut == beyond == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [600, 900, 1400])
def test_all_is_legible_and_nothing_scrolls_sideways(open_pair, hundred, screen, width, scheme):
    """A hundred labels with long names, at any width, in both schemes; contrast of level AA."""
    screen(width, scheme=scheme)
    page = open_pair(*hundred)
    page.run("document.querySelector('#matrix td.full').click(); window.scrollTo(0, 0)")
    page.screenshot(f"comparison-{width}-{scheme}")
    pale = [found for found in page.run(CONTRASTS) if found[0] < ENOUGH]

    assert page.run("return document.documentElement.scrollWidth") <= width
    assert pale == []
    assert page.run("return document.querySelectorAll('#matrix tbody tr').length") == 25
    assert (
        page.run("return document.querySelector('#matrix tbody tr:last-child th').title")
        == "(other)"
    )


def test_it_prints_without_its_controls(open_pair, hundred, screen):
    """Nothing to press, nothing cut off in a box that scrolls."""
    screen(900, media="print")
    page = open_pair(*hundred)
    page.screenshot("comparison-print")

    assert not page.run(
        "return [...document.querySelectorAll('nav, .controls, .more')]"
        ".filter(e => e.checkVisibility()).length"
    )
    assert (
        page.run("return getComputedStyle(document.querySelector('#matrix')).maxHeight") == "none"
    )


def test_a_hundred_labels_and_250000_images_are_there_within_a_second(open_pair, page):
    """Its thread takes no more CPU."""
    baseline = make_large_evaluation(250_000, 100, 1)
    label_idx = np.roll(baseline.records.label_idx, 1)
    candidate = replace(baseline, records=replace(baseline.records, label_idx=label_idx))
    open_pair(baseline, candidate)

    assert 0 < page.measure_cpu_s(page.browser.current_url) < 1


def test_pictures_that_lie_in_google_storage_are_said_to_be_unread(page, tmp_path):
    """On both pages; of others both say that there are none."""
    said = {}
    for scheme in ("gs", "s3"):
        images = [f"{scheme}://bucket/{i}.jpg" for i in range(4)]
        sides = [
            build_evaluation([[0], [1], [0], [1]], [[(c, 0.9)] for c in codes], images=images)
            for codes in ((0, 0, 1, 1), (0, 1, 1, 0))
        ]
        comparison = compare_versions(
            *(Side(evaluation=side) for side in sides), CompareSettings(intervals=False)
        )
        pages = {
            "report": render_report(sides[1], compute_metrics(sides[1], intervals=False)),
            "comparison": render_comparison_page(comparison, sides[1]),
        }
        for kind, content in pages.items():
            path = tmp_path / f"{scheme}-{kind}.html"
            path.write_bytes(content)
            page.browser.get(path.as_uri())
            page.wait_until_drawn()
            note = page.run("return document.getElementById('images-note').textContent")
            said[scheme, kind] = [
                words
                for words in (
                    "Pictures in Google Cloud Storage (gs://) are not read",
                    "No pictures:",
                )
                if words in note
            ]

    assert said == {
        ("gs", "report"): ["Pictures in Google Cloud Storage (gs://) are not read"],
        ("gs", "comparison"): ["Pictures in Google Cloud Storage (gs://) are not read"],
        ("s3", "report"): ["No pictures:"],
        ("s3", "comparison"): ["No pictures:"],
    }
