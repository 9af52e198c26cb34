"""Slices on the report and the comparison, in headless Chromium."""

import re
from dataclasses import replace

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from builders.screens import Screen, find_faults, list_unnamed, press_tab, show
from builders.slices import add_columns, write_difference, write_report, write_row
from fakes.large_evaluation import make_large_evaluation
from selenium.webdriver.common.keys import Keys
from sklearn.metrics import confusion_matrix

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.evaluation import SliceColumn
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.slices import list_slices
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.report import MAX_BYTES, render_report

pytestmark = pytest.mark.browser

HOSTILE = (
    "<script>document.title = 'owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "\u202ereversed \u05e9\u05dc\u05d5\u05dd",
    "two\nlines = * & `x`",
    "y" * 10_000,
    "__proto__",
)
ROWS = "[...document.querySelectorAll('#slices-table tbody tr:not(.detail)')]"
NAMES = f"return {ROWS}.map(row => row.dataset.name)"
CARDS = "return [...document.querySelectorAll(arguments[0])].map(c => Number(c.dataset.image))"
MORE = "let b; while ((b = document.querySelector('.more:not([hidden])'))) b.click()"


@pytest.fixture
def open_page(page, tmp_path):
    """Open a page as a file; its script makes no error."""

    def show_page(content):
        path = tmp_path / "page.html"
        path.write_bytes(content)
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        page.run("document.documentElement.style.scrollBehavior = 'auto'")
        return page

    page.browser.get_log("browser")
    yield show_page
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [m for m in page.browser.get_log("browser") if m["level"] == "SEVERE"] == []


def report_on(evaluation, rows=(), pairs=(), **facts):
    """The report's page: slices of all columns by the share of images that are right."""
    metrics = compute_metrics(evaluation, intervals=False)
    y_true, y_pred = metrics.predictions.y_true, metrics.predictions.y_pred
    listed = list_slices(evaluation)
    is_right = (y_true == y_pred).astype(float)
    made = [write_row(one.name, one.images, is_right, 20) for one in listed.slices]
    report = write_report([*made, *rows], [*listed.columns, "firmware"], pairs, **facts)
    return render_report(evaluation, metrics, slices=report)


@pytest.fixture(scope="module")
def answers():
    """Truth, top label, its confidence and site of 300 images; the evaluation, and who is right."""
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 4, 300)
    top = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 4, 300))
    sure = rng.integers(0, 101, 300) / 100
    site = rng.choice(["A", "B", "C"], 300)
    evaluation = build_evaluation(
        [[code] for code in truth.tolist()],
        [[pair] for pair in zip(top.tolist(), sure.tolist(), strict=True)],
        n_labels=4,
    )
    camera = [f"camera {i % 17}" for i in range(300)]
    return truth, top, sure, site, add_columns(evaluation, site=site, camera=camera)


def press_slice(page, name, key=Keys.ENTER):
    """Press the button of a slice by keyboard."""
    selector = f'#slices-table tr[data-name="{name}"] [data-slice]'
    page.browser.find_element("css selector", selector).send_keys(key)


def read_counts(page):
    """The counts that the cells say to a screen reader."""
    said = page.run(
        "return [...document.querySelectorAll('#matrix tbody tr')].map(tr =>"
        "[...tr.querySelectorAll('td')].map(td => td.getAttribute('aria-label')))"
    )
    return [[int(re.search(r": ([\d,]+)", text)[1].replace(",", "")) for text in r] for r in said]


def list_cards(page, selector):
    """The images of all cards of a part of the page, rising."""
    page.run(MORE)
    return sorted(page.run(CARDS, f"{selector} .card"))


def test_a_slice_narrows_galleries_matrix_and_cells_and_is_taken_away(open_page, answers):
    """By keyboard; its matrix is scikit-learn's of its images, and the chip brings all back."""
    truth, top, _, site, evaluation = answers
    page = open_page(report_on(evaluation))
    inside, whole = site == "B", confusion_matrix(truth, top).tolist()
    assert read_counts(page) == whole
    press_slice(page, "site=B")

    assert read_counts(page) == confusion_matrix(truth[inside], top[inside]).tolist()
    assert list_cards(page, "#gallery-tp") == np.flatnonzero(inside & (truth == top)).tolist()
    assert list_cards(page, "#gallery-fp") == np.flatnonzero(inside & (truth != top)).tolist()
    said = page.run("return document.getElementById('slices-said').textContent")
    assert said == f"Images and confusion matrix show the slice site=B alone: {sum(inside)} images."
    cell = page.browser.find_elements("css selector", "#matrix td.full")[0]
    cell.send_keys(Keys.ENTER)
    expected = np.flatnonzero(inside & (truth == 0) & (top == 0)).tolist()
    assert list_cards(page, "#cell") == expected
    (image, *_) = page.run(CARDS, "#cell .card")
    page.run("document.querySelector('#cell .card button').click()")
    said = page.run("return document.querySelector('dialog .of-slices').textContent")
    assert said == f"In the slices site=B, camera=camera {image % 17}"
    page.run("document.querySelector('dialog').close()")
    chips = page.browser.find_elements("css selector", ".chip")
    assert [chip.get_attribute("aria-label") for chip in chips] == [
        "site=B: take this slice away"
    ] * 2
    assert [chip.text for chip in chips] == ["site=B ×"] * 2
    chips[0].send_keys(Keys.ENTER)
    assert read_counts(page) == whole
    assert list_cards(page, "#gallery-tp") == np.flatnonzero(truth == top).tolist()
    assert page.run("return document.querySelectorAll('.chip').length") == 0
    assert page.run("return document.activeElement.tagName") == "H2"


def test_the_matrix_of_a_slice_follows_the_slider_where_the_page_holds_all(open_page, answers):
    """At any threshold each cell has numpy's count; the galleries have the same images."""
    truth, top, sure, site, evaluation = answers
    page = open_page(report_on(evaluation))
    press_slice(page, "site=C")
    page.run("document.querySelector('#confusion-controls [data-value=threshold]').click()")
    inside = site == "C"
    for step in (33, 64):
        page.run(
            "const s = document.getElementById('threshold-slider'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('input', {bubbles: true}))",
            step,
        )
        kept = sure >= step / 100
        expected = np.zeros((4, 5), dtype=int)
        np.add.at(expected, (truth[inside], np.where(kept, top, 4)[inside]), 1)
        assert read_counts(page) == expected.tolist()
        right = np.flatnonzero(inside & kept & (truth == top)).tolist()
        assert list_cards(page, "#gallery-tp") == right
    lead = page.run("return document.getElementById('confusion-lead').textContent")
    assert lead.startswith(f"The {sum(inside)} images of the slice alone. Confidence at least 64 %")


@pytest.fixture
def nested(open_page, answers):
    """A report in which firmware=1, which is batch=7 too, stands in site=A; with one pair."""
    truth, top, _, site, evaluation = answers
    is_right = (truth == top).astype(float)
    images = np.flatnonzero(site == "A")
    inner = write_row(
        "firmware=1", images[3:], is_right, names=("firmware=1", "batch=7"), part_of="site=A"
    )
    pair = write_row("site=A & firmware=1", images[::2], is_right)
    return open_page(report_on(evaluation, [inner], [pair], n_pairs_tried=12))


def test_slices_stand_worst_first_and_are_sorted_by_their_heads(nested):
    """By keyboard, up and down; the head that was pressed keeps the focus and says the order."""
    read = "return " + ROWS + ".map(row => Number(row.children[{}].textContent.replace('−', '-')))"
    differences = nested.run(read.format(4))
    assert len(differences) == 20
    assert differences == sorted(differences)
    for key, column in (("n", 1), ("p", 7)):
        for order in ("ascending", "descending"):
            head = nested.browser.find_element("css selector", f"#slices-table [data-key={key}]")
            head.send_keys(Keys.SPACE)
            found = nested.run(read.format(column))
            assert found == sorted(found, reverse=order == "descending")
            said = nested.run("return document.querySelector('#slices th[aria-sort]').ariaSort")
            assert said == order
            assert nested.run("return document.activeElement.dataset.key") == key


def test_a_weak_label_stands_among_the_slices_of_files(open_page):
    """The sentence names it, so the table has it without being asked; other labels are left out."""
    truth = [[i % 4] for i in range(200)]
    records = [[(0 if code == [3] else code[0], 0.9)] for code in truth]
    evaluation = build_evaluation(truth, records, n_labels=4)
    page = open_page(report_on(add_columns(evaluation, site=["A", "B"] * 100)))

    assert sorted(page.run(NAMES)) == ["label=d", "site=A", "site=B"]


def test_slices_are_filtered_searched_and_unfolded(nested):
    """Labels on request alone; a slice in another is folded under it, with all its names."""
    page = nested
    assert not [name for name in page.run(NAMES) if name.startswith(("label=", "firmware="))]
    fold = page.browser.find_element("css selector", "[data-nest]")
    assert fold.get_attribute("aria-expanded") == "false"
    fold.send_keys(Keys.ENTER)
    place = page.run(NAMES).index("site=A") + 1
    assert page.run(NAMES)[place] == "firmware=1"
    shown = page.run(f"return {ROWS}[{place}].firstChild.textContent")
    assert shown == "firmware=1the same images: batch=7in site=A"
    pick = (
        "const s = document.querySelector('#slices-controls select'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('change')); return s.selectedOptions[0].text"
    )
    assert page.run(pick, "0") == "site"
    assert sorted(page.run(NAMES)) == ["site=A", "site=B", "site=C"]
    assert page.run(pick, "all") == "all columns"
    search = page.browser.find_element("css selector", "#slices-controls input")
    search.send_keys("LABEL=")
    assert sorted(page.run(NAMES)) == [f"label={label}" for label in "abcd"]
    title = page.run("return document.getElementById('pairs-title').textContent")
    assert title.startswith("Pairs of slices (own family): 12 tried, ")


def test_tab_alone_reaches_every_control_of_the_slices(nested):
    """Heads, names, what unfolds and what a chosen slice offers: in the window, and marked."""
    nested.run("document.querySelector('tr[data-name=\"site=A\"] [data-slice]').click()")
    stops = list(press_tab(nested.browser))
    texts = [stop["text"] for stop in stops]

    assert [stop["text"] for stop in stops if not (stop["inside"] and stop["marked"])] == []
    first = texts.index("slice")
    assert {"images", "accuracy", "the rest", "difference", "p (Holm)"} <= set(texts[first:])
    after = texts[texts.index("site=A") :][:5]
    assert after[1:] == [
        "▸ 1 slice in it: firmware=1",
        "Its images",
        "Its confusion matrix",
        "All images again",
    ]
    assert list_unnamed(nested.browser) == []


@pytest.fixture(scope="module")
def hostile():
    """An evaluation whose column and values try to be more than text, and its slices."""
    truth, top = np.arange(240) % 2, np.arange(240) % 3 % 2
    evaluation = build_evaluation(
        [[code] for code in truth.tolist()], [[(code, 0.9)] for code in top.tolist()], n_labels=2
    )
    column = SliceColumn(name=HOSTILE[0], values=HOSTILE, codes=np.arange(240) // 40)
    return replace(evaluation, slice_columns=(column,))


@pytest.mark.parametrize(
    "screen", [Screen(width=400), Screen(width=1400, scheme="dark"), Screen(width=1400, zoom=2)]
)
def test_hostile_names_of_slices_are_text_and_fit_the_window(open_page, hostile, screen):
    """Cut, with the whole in a title; with one chosen nothing is cut off, pale or unnamed."""
    show(open_page(b"<html data-ready=true>").browser, screen)
    page = open_page(report_on(hostile))
    page.run("document.querySelectorAll('[data-slice]')[1].click()")
    titles = page.run(
        "return [...document.querySelectorAll('#slices th[title]')].map(t => t.title)"
    )
    page.screenshot(f"slices-hostile-{screen}")

    weak = {"label=b"}  # of which the model has a third right, of the other two thirds
    assert set(page.run(NAMES)) == {f"{HOSTILE[0]}={value}" for value in HOSTILE} | weak
    assert f"{HOSTILE[0]}={HOSTILE[4]}" in titles
    assert page.run("return document.querySelectorAll('script, img, [onerror]').length") == 2
    assert page.browser.title != "owned"
    assert find_faults(page.browser) == []
    assert list_unnamed(page.browser) == []


def test_a_slice_of_a_comparison_narrows_its_images_and_its_matrix(open_page, answers):
    """Fixed and broken images of the slice; the matrix is the difference of scikit-learn's two."""
    truth, top, _, site, candidate = answers
    old = np.roll(top, 3)
    baseline = build_evaluation(
        [[code] for code in truth.tolist()], [[(c, 0.5)] for c in old.tolist()], n_labels=4
    )
    sides = (Side(evaluation=side) for side in (baseline, candidate))
    comparison = compare_versions(*sides, CompareSettings(intervals=False))
    slices = tuple(
        write_difference(f"site={one}", map(str, np.flatnonzero(site == one)), 0.5, 0.3, p)
        for one, p in zip("ABC", (0.001, 0.6, 1.0), strict=True)
    )
    comparison = replace(comparison, slices=slices, n_slices_tried=3)
    page = open_page(render_comparison_page(comparison, candidate))
    lead = page.run("return document.querySelector('#slices .lead').textContent")
    assert lead == "1 of 3 slices tried got significantly worse: site=A."
    judged = page.run(f"return {ROWS}.map(row => row.lastChild.textContent)")
    assert judged == ["− worse", "undecided", "undecided"]
    press_slice(page, "site=B", Keys.SPACE)
    inside, right, was_right = site == "B", top == truth, old == truth

    fixed = np.flatnonzero(inside & right & ~was_right).tolist()
    assert list_cards(page, "#gallery-fixed") == fixed
    broken = np.flatnonzero(inside & ~right & was_right).tolist()
    assert list_cards(page, "#gallery-broken") == broken
    texts = page.run(
        "return [...document.querySelectorAll('#matrix tbody tr')].map(tr =>"
        "[...tr.querySelectorAll('td')].map(td => Number(td.textContent.replace('−', '-'))))"
    )
    after, before = (confusion_matrix(truth[inside], codes[inside]) for codes in (top, old))
    assert texts == (after - before).tolist()


def test_a_slice_of_250000_images_is_shown_at_once(open_page):
    """50 columns and 250 labels: a second of the processor to open, a tenth for a press."""
    rng = np.random.default_rng(1)
    evaluation = make_large_evaluation(250_000, 250, 3)
    values = tuple(f"value {v}" for v in range(20))
    columns = [
        SliceColumn(name=f"column {c}", values=values, codes=rng.integers(0, 20, 250_000))
        for c in range(50)
    ]
    evaluation = replace(evaluation, slice_columns=tuple(columns))
    content = report_on(evaluation)
    page = open_page(content)
    took_s = page.measure_cpu_s(page.browser.current_url)
    command = page.browser.execute_cdp_cmd

    def read_s():
        metrics = command("Performance.getMetrics", {})["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    command("Performance.enable", {"timeDomain": "threadTicks"})
    presses = []
    for i in range(5):
        before = read_s()
        page.run(
            f"document.querySelectorAll('[data-slice]')[{i}].click(); document.body.offsetHeight"
        )
        presses.append(read_s() - before)
    command("Performance.disable", {})
    page.run("document.querySelector('#confusion-controls [data-value=threshold]').click()")
    lead = page.run("return document.getElementById('confusion-lead').textContent")
    page.run(MORE.replace(".more", "#slices .more"))
    rows = page.run(NAMES)
    page.run("[...document.querySelectorAll('#slices-table [data-slice]')].pop().click()")
    without = page.run("return document.getElementById('matrix').textContent")

    assert len(content) <= MAX_BYTES
    assert 0 < took_s < 1
    assert 0 < min(presses) < 0.1
    assert "the slider does not move it" in lead
    assert len(rows) == 1_000
    assert without.startswith("This page holds the confusion matrices of the first ")
