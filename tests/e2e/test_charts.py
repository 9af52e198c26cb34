"""What the charts page and the compare page answer without a click, in headless Chromium."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

pytestmark = pytest.mark.browser

GRID_PICTURES = "img[src*='get-artifact?path=images']"
THRESHOLD_SLIDER = "[role='slider'][aria-valuemax='100']"
CLICK_FILE = """
    const named = [...document.querySelectorAll('*')]
        .filter(e => e.textContent.trim() === arguments[0]).pop();
    if (named) named.click();
    return Boolean(named);
"""
SCORE_TITLES = """
    // the characters of a title that are not cut off, by the box of each
    return [...document.querySelectorAll('*')]
        .filter(e => !e.children.length && /^score\\/\\w+$/.test(e.textContent.trim()))
        .filter(e => e.getBoundingClientRect().width)
        .map(e => {
            const text = e.firstChild, right = e.getBoundingClientRect().right;
            const isCut = e.scrollWidth > e.clientWidth + 1;
            const range = document.createRange();
            let n = 0;
            for (; n < text.length; n++) {
                range.setStart(text, n);
                range.setEnd(text, n + 1);
                if (range.getBoundingClientRect().right > right - (isCut ? 12 : -1)) break;
            }
            return {
                title: e.textContent.trim(),
                seen: e.textContent.trim().slice(0, n),
                left: Math.round(e.getBoundingClientRect().left),
            };
        });
"""
MAX_NODES = 12_000
MAX_SECTIONS = 16


@pytest.fixture
def charts(page, synced):
    """The charts page of the digits project, with nothing in the way of its charts."""

    def open_charts(name, *words, link=synced["projects"][0]["links"]["charts"]):
        page(name, link, *words)
        page.run(
            "document.querySelectorAll(\"[data-component-id='mlflow.assistant.chat_panel.close']\")"
            ".forEach(button => button.click())"
        )
        return page

    return open_charts


def search_charts(page, words):
    """Leave the charts with a name like this."""
    from selenium.webdriver.common.by import By

    field = page.browser.find_element(By.CSS_SELECTOR, "input[placeholder*='Search metric']")
    field.send_keys(words)


def shown_steps(page):
    """The steps of the pictures that are shown now."""
    sources = page.run(f'return [...document.querySelectorAll("{GRID_PICTURES}")].map(i => i.src)')
    return {
        int(step) for src in sources for step in re.findall(r"step.(\d+).timestamp", unquote(src))
    }


def test_the_first_screen_has_a_bar_of_each_version(charts):
    """The headline numbers stand first; four versions, four bars, four colours."""
    page = charts("charts-first-screen", r"score\s*\(4\)", r"0\.93", r"0\.83")
    script = """
        const top = [...document.querySelectorAll('.js-plotly-plot')]
            .filter(plot => plot.getBoundingClientRect().top < innerHeight)[0];
        return top ? [...top.querySelectorAll('.bars .point path')]
            .map(bar => getComputedStyle(bar).fill) : []
    """
    colours = page.wait(lambda: (found := page.run(script)) and len(found) == 4 and found)
    page.screenshot("charts-first-screen")

    assert len(set(colours)) == 4


def test_titles_of_the_first_screen_are_told_apart_at_a_first_visit(small_window, synced):
    """Two columns; of each title at least what tells it from the others is seen."""
    page = small_window
    page("charts-first-visit", synced["projects"][0]["links"]["charts"], "MLflow Assistant")
    cards = page.wait(lambda: (found := page.run(SCORE_TITLES)) and len(found) == 4 and found)
    page.screenshot("charts-first-visit")
    titles = [card["title"] for card in cards]

    assert titles == ["score/accuracy", "score/f1_macro", "score/balanced_accuracy", "score/mcc"]
    assert len({card["left"] for card in cards}) == 2
    for card in cards:
        others = (title for title in titles if title != card["title"])
        assert not any(title.startswith(card["seen"]) for title in others)
    assert [c["title"] == c["seen"] for c in cards if len(c["title"]) < 15] == [True] * 3


def test_no_tool_bar_lies_over_the_bars(small_window, synced):
    """It comes with the mouse alone."""
    page = small_window
    page("charts-tool-bar", synced["projects"][0]["links"]["charts"], r"score\s*\(4\)")
    script = """
        return [...document.querySelectorAll('.modebar-group')]
            .map(part => getComputedStyle(part).opacity)
    """

    assert set(page.wait(lambda: page.run(script))) == {"0"}


def test_the_section_of_curves_says_where_they_end(charts):
    """MLflow shows the value at the last step in tables, which is no result."""
    page = charts("charts-curves", r"curve to threshold 100 %\s*\(3\)")

    assert not re.search(r"curve\s*\(\d+\)", page.text)


def test_sections_stand_in_the_order_of_the_questions(charts):
    """Numbers, then curves, then pictures; what nobody asks first is folded."""
    page = charts("charts-sections", r"score\s*\(4\)", r"100 %\s*\(3\)", r"charts\s*\(2\)")
    names = ["score", "curve to threshold 100 %", "charts", "label_f1", "aggregate"]
    names += ["at_threshold", "reported", "interval"]
    places = [re.search(rf"{name}\s*\(\d+\)", page.text).start() for name in names]

    assert places == sorted(places)


def test_the_slider_runs_through_eleven_thresholds_of_all_versions(charts):
    """Each step shows the matrices at that threshold, one picture a version, of one size."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    page = charts("threshold-slider", "aggregate")
    search_charts(page, "at_threshold$")
    page.wait_for_pictures(GRID_PICTURES, 8)
    slider = page.browser.find_element(By.CSS_SELECTOR, THRESHOLD_SLIDER)
    seen = [int(slider.get_attribute("aria-valuenow"))]
    for _ in range(10):
        before = seen[-1]
        slider.send_keys(Keys.ARROW_RIGHT)
        page.wait(lambda: int(slider.get_attribute("aria-valuenow")) != before)  # noqa: B023
        seen.append(int(slider.get_attribute("aria-valuenow")))
    page.wait(lambda: shown_steps(page) == {0, 100})
    sizes = page.wait_for_pictures(GRID_PICTURES, 8)
    page.screenshot("threshold-slider-100")

    assert seen == list(range(0, 101, 10))
    assert len(set(sizes)) <= 2  # the heat map, and the smaller pictures of the slider


def test_the_compare_page_shows_pictures_of_one_size(page, synced):
    """Equal paths and equal sizes, so that labels line up from version to version."""
    page("compare-artifacts", synced["projects"][0]["links"]["compare"], "Comparing 4 Runs")
    page.wait(lambda: page.run(CLICK_FILE, "confusion_matrix.png"))
    sizes = page.wait_for_pictures("img[src^='blob:']", 4)
    page.screenshot("compare-artifacts")

    assert len(sizes) >= 4
    assert set(sizes) == {(840, 912)}


def make_large_project(folder):
    """Two versions of 250 labels, by the benchmarks' own maker."""
    path = Path(__file__).parents[1] / "benchmarks" / "make_manifests.py"
    size = ("--versions", "2", "--images", "500", "--labels", "250")
    subprocess.run([sys.executable, path, folder, *size], check=True, capture_output=True)


def test_a_project_of_250_labels_stays_usable(charts, sync_to, mlflow_server, tmp_path):
    """Few sections, not one a label, and a page that answers."""
    make_large_project(tmp_path)
    link = sync_to(tmp_path, mlflow_server, "charts-250")["projects"][0]["links"]["charts"]
    page = charts("charts-250-labels", r"aggregate\s*\(\d+\)", r"label_f1\s*\(\d+\)", link=link)
    sections = re.findall(r"\(\d+\)\s*Add chart", page.text)
    nodes = page.run("return document.querySelectorAll('*').length")
    page.screenshot("charts-250-labels")

    assert 5 <= len(sections) <= MAX_SECTIONS
    assert nodes <= MAX_NODES
