"""The confusion matrices of report and comparison and the list of labels, in headless Chromium."""

import re
from dataclasses import replace

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from fakes.large_evaluation import make_large_evaluation

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.metrics.compute import compute_metrics
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.report import render_report
from mlrek.sources import open_source

pytestmark = pytest.mark.browser


@pytest.fixture
def open_report(page, tmp_path):
    """Open the report of an evaluation as a file; its script makes no error."""

    def show(evaluation, **options):
        path = tmp_path / "report.html"
        metrics = compute_metrics(evaluation, intervals=False)
        path.write_bytes(render_report(evaluation, metrics, **options))
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        return page

    page.browser.get_log("browser")
    yield show
    assert [m for m in page.browser.get_log("browser") if m["level"] == "SEVERE"] == []


@pytest.fixture
def open_pair(page, tmp_path):
    """Open the comparison of two evaluations as a file; its script makes no error."""

    def show(*sides, intervals=False):
        comparison = compare_versions(
            *(Side(evaluation=side) for side in sides), CompareSettings(intervals=intervals)
        )
        path = tmp_path / "comparison.html"
        path.write_bytes(render_comparison_page(comparison, sides[1]))
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        return page

    page.browser.get_log("browser")
    yield show
    assert [m for m in page.browser.get_log("browser") if m["level"] == "SEVERE"] == []


@pytest.fixture
def screen(page):
    """Set the size of the window, put back at the end."""
    command = page.browser.execute_cdp_cmd

    def show(width, height=1000):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", size)

    yield show
    command("Emulation.clearDeviceMetricsOverride", {})


def draw_answers(n_images, n_labels, seed=11):
    """Truth, top label and its confidence as arrays, and the evaluation that holds them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_labels, n_images)
    top = np.where(rng.random(n_images) < 0.7, truth, rng.integers(0, n_labels, n_images))
    sure = rng.integers(0, 101, n_images) / 100
    evaluation = build_evaluation(
        [[code] for code in truth.tolist()],
        [[pair] for pair in zip(top.tolist(), sure.tolist(), strict=True)],
        labels=[f"label {code}" for code in range(n_labels)],
    )
    return truth, top, sure, evaluation


def press(page, value):
    """Press a button of the matrix's controls."""
    page.run(f"document.querySelector('#confusion-controls [data-value=\"{value}\"]').click()")


def search(page, text):
    """Type into the search of the matrix."""
    page.run(
        "const box = document.querySelector('#confusion-controls input');"
        "box.value = arguments[0]; box.dispatchEvent(new Event('input'))",
        text,
    )


def move_slider(page, step):
    """Set the slider as a person does."""
    page.run(
        "const s = document.getElementById('threshold-slider'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        step,
    )


def list_rows(page):
    """The names of the rows, in their order."""
    return page.run("return [...document.querySelectorAll('#matrix tbody th')].map(t => t.title)")


def list_columns(page):
    """The names of the columns, in their order."""
    script = "return [...document.querySelectorAll('#matrix thead th:not(.corner)')]"
    return page.run(f"{script}.map(t => t.title)")


def read_counts(page):
    """The counts that the cells say to a screen reader, as an array."""
    said = page.run(
        "return [...document.querySelectorAll('#matrix tbody tr')].map(tr =>"
        "[...tr.querySelectorAll('td')].map(td => td.getAttribute('aria-label')))"
    )
    found = [[re.search(r": ([\d,]+)", text).group(1) for text in row] for row in said]
    return [[int(text.replace(",", "")) for text in row] for row in found]


def test_the_matrix_follows_the_slider(open_report):
    """At any threshold each cell has numpy's count; what no label reaches it for is (none)."""
    truth, top, sure, evaluation = draw_answers(400, 6)
    page = open_report(evaluation)
    press(page, "threshold")
    for step in (1, 33, 61, 90, 100):
        move_slider(page, step)
        expected = np.zeros((6, 7), dtype=int)
        np.add.at(expected, (truth, np.where(sure >= step / 100, top, 6)), 1)
        assert list_columns(page)[-1] == "(none)"
        assert read_counts(page) == expected.tolist()

    press(page, "rule")
    expected = np.zeros((6, 6), dtype=int)
    np.add.at(expected, (truth, top), 1)
    assert read_counts(page) == expected.tolist()


def test_a_cell_at_the_threshold_lists_its_images(open_report):
    """In the column (none) those whose top label is less sure than the slider says."""
    truth, _, sure, evaluation = draw_answers(200, 3)
    page = open_report(evaluation)
    press(page, "threshold")
    move_slider(page, 64)
    page.run("document.querySelector('#matrix tbody tr').lastChild.click()")
    page.run("let b; while ((b = document.querySelector('#cell .more:not([hidden])'))) b.click()")
    found = page.run(
        "return [...document.querySelectorAll('#cell .card')].map(c => c.dataset.image)"
    )

    assert sorted(map(int, found)) == np.flatnonzero((truth == 0) & (sure < 0.64)).tolist()


def test_boxes_say_which_threshold_their_matrix_is_of(open_report, request):
    """They are matched anew at whole tens: between two of them the lower one's counts are shown."""
    source = open_source(str(request.config.rootpath / "examples" / "detection"))
    page = open_report(source.load(source.list_versions()[0]))
    press(page, "threshold")
    move_slider(page, 60)
    before = read_counts(page)
    move_slider(page, 67)
    lead = page.run("return document.getElementById('confusion-lead').textContent")

    assert "at least 60 %" in lead
    assert "next lower threshold" in lead
    assert read_counts(page) == before


def test_the_labels_that_are_not_shown_are_split_in_right_and_mixed_up(open_report):
    """24 of 40 labels and (other): both counts are said, neither as a hit nor as a mistake."""
    truth, top, _, evaluation = draw_answers(2_000, 40)
    page = open_report(evaluation)
    rows = list_rows(page)
    shown = [int(name.split()[1]) for name in rows[:-1]]
    is_rest = ~np.isin(truth, shown) & ~np.isin(top, shown)
    right, mixed = int((is_rest & (truth == top)).sum()), int((is_rest & (truth != top)).sum())
    cell = "document.querySelector('#matrix tbody tr:last-child td:last-child')"

    assert (len(shown), rows[-1]) == (24, "(other)")
    said = page.run(f"return {cell}.getAttribute('aria-label')")
    assert said.endswith(f"; {right} right among the rest, {mixed} mixed up among the rest")
    red, _, blue = map(
        int, re.findall(r"\d+", page.run(f"return getComputedStyle({cell}).backgroundColor"))
    )
    assert abs(red - blue) < 20  # neither blue nor orange
    page.run(f"{cell}.click()")
    page.run("let b; while ((b = document.querySelector('#cell .more:not([hidden])'))) b.click()")
    titles = page.run("return [...document.querySelectorAll('#cell h4')].map(h => h.textContent)")
    looks = page.run(
        "return [...document.querySelectorAll('#cell .card')]"
        ".map(c => [c.dataset.image, c.classList.contains('right')])"
    )
    assert titles == [f"Right among the rest ({right})", f"Mixed up among the rest ({mixed})"]
    assert {int(image): look for image, look in looks} == {
        int(i): bool(truth[i] == top[i]) for i in np.flatnonzero(is_rest)
    }
    assert "Rightly predicted" not in page.run("return document.getElementById('cell').textContent")


def test_the_labels_that_were_chosen_for_the_project_are_drawn(open_report):
    """In the order of the choice, and the page says that all versions have them."""
    *_, evaluation = draw_answers(500, 40)
    chosen = [f"label {code}" for code in range(30, 6, -1)]
    page = open_report(evaluation, drawn_labels=chosen)

    assert list_rows(page) == [*chosen, "(other)"]
    note = page.run("return document.getElementById('matrix-note').textContent")
    assert "the same of every version of the project" in note


def test_rows_and_columns_stand_from_a_to_z(open_report):
    """Case and accents aside, and numbers in names by their value; labels as the model has them."""
    names = ["pear 10", "Zebra", "apple", "pear 9", "Äpfel"]
    evaluation = build_evaluation(
        [[0], [1], [2], [3], [4]], [[(code, 0.9)] for code in (0, 2, 2, 3, 0)], labels=names
    )
    page = open_report(evaluation)
    assert list_rows(page) == names
    press(page, "name")

    assert list_rows(page) == list_columns(page) == ["Äpfel", "apple", "pear 9", "pear 10", "Zebra"]
    assert np.trace(read_counts(page)) == 3


def test_a_search_without_a_hit_says_so_and_closes_the_cell(open_report):
    """Nothing is painted, and the images of an earlier view are gone; a hit paints again."""
    truth, top, _, evaluation = draw_answers(1_000, 60)
    page = open_report(evaluation)
    page.run("document.querySelector('#matrix td.full').click()")
    assert page.run("return !document.getElementById('cell').hidden")
    search(page, "no such name")

    assert page.run("return document.getElementById('cell').hidden")
    assert page.run("return document.querySelectorAll('#matrix td, #matrix canvas').length") == 0
    assert "No label" in page.run("return document.getElementById('matrix').textContent")
    search(page, "LABEL 17")
    near = {*top[truth == 17].tolist(), *truth[top == 17].tolist(), 17}
    assert {int(name.split()[1]) for name in list_rows(page)[:-1]} == near


@pytest.fixture
def fitted(open_report, screen):
    """All of 250 labels as a picture, and their counts by numpy."""
    screen(1400)
    evaluation = make_large_evaluation(20_000, 250, 1)
    y_pred = compute_metrics(evaluation, intervals=False).predictions.y_pred
    counts = np.zeros((250, 250), dtype=int)
    np.add.at(counts, (evaluation.truth.label_idx, y_pred), 1)
    page = open_report(evaluation)
    press(page, "all")
    page.run("document.getElementById('confusion').scrollIntoView({behavior: 'instant'})")
    return page, counts


def test_a_picture_of_250_labels_is_read_and_opened_by_the_pointer(fitted):
    """It fits, has few elements, and the cell that is clicked is the one that numpy counts."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    page, counts = fitted
    page.screenshot("report-250-fitted")
    assert page.run("return document.querySelectorAll('#matrix *').length") < 40
    left, top, width, height, *extent = page.run(
        "const p = document.querySelector('#matrix .pane'), e = p.querySelector('.extent');"
        "const {left, top} = p.getBoundingClientRect();"
        "return [left, top, p.clientWidth, p.clientHeight, e.offsetWidth, e.offsetHeight]"
    )
    assert extent[0] <= width
    assert extent[1] <= height
    size = (extent[1] - 18) / 250
    actions = ActionBuilder(page.browser)
    actions.pointer_action.move_to_location(
        *(round(start + 18 + 7.5 * size) for start in (left, top))
    )
    actions.perform()

    name = "a label with a rather long name 7"
    said = page.run("return document.querySelector('.readout').textContent")
    assert said.startswith(f"true {name}, predicted {name}: {counts[7, 7]}, ")
    actions.pointer_action.click()
    actions.perform()
    title = page.run("return document.getElementById('cell-title').textContent")
    assert title.startswith(f"{counts[7, 7]} images")


def test_a_picture_of_250_labels_is_read_opened_and_zoomed_by_keys(fitted):
    """A screen reader has the size of the grid and the cell; plus zooms to digits, 0 fits again."""
    from selenium.webdriver.common.keys import Keys

    page, counts = fitted

    def send(*keys):
        for key in keys:
            page.browser.switch_to.active_element.send_keys(key)
        return page.browser.switch_to.active_element

    grid = page.browser.find_element("css selector", "#matrix [role=grid]")
    assert [grid.get_attribute(f"aria-{side}count") for side in ("row", "col")] == ["251", "251"]
    page.run("document.querySelector('#matrix [role=gridcell]').focus({preventScroll: true})")
    cell = send(Keys.ARROW_DOWN, Keys.END, Keys.ARROW_LEFT, Keys.PAGE_DOWN, Keys.HOME)
    name = "a label with a rather long name"
    said = f"true {name} 11, predicted {name} 0: {counts[11, 0]}"
    assert cell.get_attribute("role") == "gridcell"
    assert cell.get_attribute("aria-label").startswith(said)
    send(*[Keys.ARROW_RIGHT] * 11, Keys.ENTER)
    title = page.run("return document.getElementById('cell-title').textContent")
    assert title.startswith(f"{counts[11, 11]} images")
    send(*"++++++++")
    assert page.run("return document.querySelector('.zoom output').textContent") == "100 %"
    page.screenshot("report-250-zoomed")
    send("0")
    assert page.run("return document.querySelector('.zoom output').textContent") == "fitted"


def measure_ms(page, script, n):
    """The time that a step of a script (`i` counts them) takes of the page's thread, each."""
    command = page.browser.execute_cdp_cmd

    def read():
        found = command("Performance.getMetrics", {})["metrics"]
        return {one["name"]: one["value"] for one in found}["TaskDuration"]

    command("Performance.enable", {"timeDomain": "threadTicks"})
    before = read()
    page.browser.execute_async_script(
        "const [n, done] = arguments; let i = 0; const go = () => {"
        f"if (i < n) {{ {script}; i += 1; requestAnimationFrame(go); }} else done(); }}; go()",
        n,
    )
    took = read() - before
    command("Performance.disable", {})
    return 1000 * took / n


@pytest.mark.parametrize("shown", ["drawn", "all"])
def test_a_step_and_a_cell_of_250_labels_are_quick(open_report, page, shown):
    """In a tenth of a second of processor time, with as much again for a busy machine.

    `tests/benchmarks/bench_page.py` prints how long it is.
    """
    open_report(make_large_evaluation(20_000, 250, 2))
    press(page, "threshold")
    press(page, shown)
    move_slider(page, 20)
    step = (
        "const s = document.getElementById('threshold-slider'); s.value = 30 + i;"
        "s.dispatchEvent(new Event('input'))"
    )
    assert measure_ms(page, step, 12) < 200
    if shown == "drawn":
        cell = "document.querySelectorAll('#matrix td.full')[i].click()"
        assert measure_ms(page, cell, 8) < 200


@pytest.mark.parametrize("width", [1000, 1400, 1920])
def test_nothing_of_the_matrix_is_cut_off_at_first(open_report, screen, width):
    """24 labels with long names and (other) fit next to the list of labels."""
    screen(width)
    page = open_report(make_large_evaluation(3_000, 100, 2))
    page.run("document.getElementById('confusion').scrollIntoView({behavior: 'instant'})")
    page.screenshot(f"matrix-{width}")

    assert page.run(
        "return document.querySelector('#matrix table').offsetWidth"
        "<= document.querySelector('#matrix').clientWidth"
    )


def test_a_label_of_the_list_is_chosen_by_keys_for_the_whole_page(open_report, screen):
    """Threshold, gallery and matrix show it, and the list says so to a screen reader."""
    from selenium.webdriver.common.keys import Keys

    screen(1400)
    truth, *_, evaluation = draw_answers(600, 12)
    page = open_report(evaluation)
    option = page.browser.find_element("css selector", "[role=option][tabindex='0']")
    page.run("arguments[0].focus()", option)
    option.send_keys(Keys.ARROW_DOWN, Keys.END)
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_UP)
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.screenshot("report-label-chosen")

    chosen = page.run(
        "return [...document.querySelectorAll('[role=option][aria-selected=true]')]"
        ".map(o => o.title)"
    )
    assert chosen == ["label 10"]
    assert page.run("return document.getElementById('threshold-label').textContent") == "label 10"
    marked = page.run(
        "return [...document.querySelectorAll('#matrix th.chosen')].map(t => t.title)"
    )
    assert marked == ["label 10", "label 10"]
    tp_and_fn = page.run(
        "return ['tp', 'fn'].map(k => Number(document.getElementById('at-' + k).value))"
    )
    assert sum(tp_and_fn) == (truth == 10).sum()


def test_the_list_of_labels_is_searched_and_sorted_with_its_numbers(open_report, screen):
    """The lowest F1 first, as scikit-learn computes it, and the number of images."""
    from sklearn.metrics import f1_score

    screen(1400)
    truth, top, _, evaluation = draw_answers(600, 12)
    page = open_report(evaluation)
    page.run(
        "const sort = document.querySelector('#side-box select'); sort.value = 'low';"
        "sort.dispatchEvent(new Event('change'))"
    )
    shown = page.run(
        "return [...document.querySelectorAll('[role=option][title]')]"
        ".map(o => [...o.querySelectorAll('span')].map(s => s.textContent))"
    )
    f1 = f1_score(truth, top, average=None)
    order = np.argsort(f1, kind="stable")
    assert shown == [
        [f"label {code}", str((truth == code).sum()), f"{f1[code]:.3f}"] for code in order
    ]
    page.run(
        "const box = document.querySelector('#side-box input'); box.value = 'nothing';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert "No label" in page.run("return document.getElementById('side-note').textContent")


def test_the_table_says_how_its_numbers_of_a_label_differ(open_report, request):
    """F1 by the top label, at the assumed threshold, and as published: each with what it means."""
    source = open_source(str(request.config.rootpath / "examples" / "digits"))
    page = open_report(source.load(source.list_versions()[0]))
    heads = page.run(
        "return [...document.querySelectorAll('#labels-table thead button')]"
        ".map(b => [b.textContent.replace(/ [↑↓]/, ''), b.title])"
    )
    titles = dict(heads)
    note = page.run("return document.getElementById('labels-note').textContent")

    for header, words in (
        ("F1", "each image's top label is its answer"),
        ("F1 at that threshold", "predicted wherever its confidence reaches its assumed threshold"),
        ("service F1", "the number as it was published"),
    ):
        assert words in titles[header]
        assert words in note


@pytest.mark.parametrize(("width", "is_open"), [(1000, False), (1400, True)])
def test_the_list_of_labels_folds_above_a_narrow_page(open_report, screen, width, is_open):
    """At the side of a wide one it stays in sight; a narrow one shows it at a press."""
    screen(width)
    *_, evaluation = draw_answers(300, 12)
    page = open_report(evaluation)

    assert page.run("return document.getElementById('side-details').open") is is_open
    page.run("document.getElementById('side-details').open = true")
    left, right = page.run(
        "return ['side', 'headline'].map(id => document.getElementById(id).getBoundingClientRect())"
    )
    assert (right["left"] > left["right"]) is is_open


def test_a_cell_of_a_comparison_says_both_counts_and_the_change(open_pair):
    """Of all labels and of (other), as numpy counts them."""
    *_, old = draw_answers(800, 30)
    truth, first = old.truth.label_idx, old.records.label_idx
    rng = np.random.default_rng(2)
    second = np.where(rng.random(800) < 0.3, rng.integers(0, 30, 800), first)
    new = replace(old, records=replace(old.records, label_idx=second))
    new = replace(new, version=replace(new.version, name="v2"))
    page = open_pair(old, new)
    press(page, "all")
    before, after = np.zeros((2, 30, 30), dtype=int)
    np.add.at(before, (truth, first), 1)
    np.add.at(after, (truth, second), 1)
    said = page.run(
        "return [...document.querySelectorAll('#matrix td')].map(c => c.getAttribute('aria-label'))"
    )
    for text, old_n, new_n in zip(said, before.ravel(), after.ravel(), strict=True):
        ends = f"{old_n} in v1 and {new_n} in v2" if old_n != new_n else f"{old_n} in both"
        assert text.endswith(ends)

    press(page, "drawn")
    shown = [int(name.split()[1]) for name in list_rows(page)[:-1]]
    rest = ~np.isin(truth, shown) & ~np.isin(second, shown)
    was_rest = ~np.isin(truth, shown) & ~np.isin(first, shown)
    assert len(shown) == 24
    said = page.run(
        "return document.querySelector('#matrix tbody tr:last-child td:last-child')"
        ".getAttribute('aria-label')"
    )
    assert (
        f"{was_rest.sum()} in v1 and {rest.sum()} in v2" in said or f"{rest.sum()} in both" in said
    )
    right = int((rest & (truth == second)).sum() - (was_rest & (truth == first)).sum())
    assert f"{abs(right)} right among the rest" in said


def test_the_matrix_of_a_comparison_is_searched_sorted_and_fitted(open_pair):
    """As that of a report: A to Z, a search that says what it lacks, all labels as a picture."""
    *_, old = draw_answers(1_000, 50)
    *_, new = draw_answers(1_000, 50, seed=12)
    page = open_pair(old, replace(new, truth=old.truth))
    press(page, "name")
    names = list_rows(page)[:-1]
    assert names == sorted(names, key=lambda name: int(name.split()[1]))
    search(page, "nothing of the kind")
    assert page.run("return document.querySelectorAll('#matrix td').length") == 0
    search(page, "")
    press(page, "all")
    page.screenshot("comparison-fitted")
    assert page.run("return document.querySelectorAll('#matrix canvas').length") == 1
    assert page.run("return document.querySelectorAll('#matrix-most button').length") == 8
    page.run("document.querySelector('#matrix-most button').click()")
    assert page.run("return document.querySelectorAll('#cell .card').length") > 0


def draw_pair(n_images, n_labels):
    """Truth and both versions' answers, and their evaluations; the second forgot label 3."""
    truth, first, _, old = draw_answers(n_images, n_labels)
    rng = np.random.default_rng(5)
    second = np.where((truth == 3) | (rng.random(n_images) < 0.05), (first + 2) % n_labels, first)
    second = np.where(truth == 3, rng.permutation(np.delete(np.arange(n_labels), 3))[0], second)
    new = replace(old, records=replace(old.records, label_idx=second))
    return truth, first, second, old, replace(new, version=replace(new.version, name="v2"))


def choose(page, label):
    """Press a label of the list at the side; without a name all of them."""
    page.run(
        "[...document.querySelectorAll('[role=option]')]"
        ".find(o => o.title === arguments[0]).click()",
        label,
    )


def list_gallery(page):
    """The images of the comparison's gallery, as numbers."""
    page.run(
        "let b; while ((b = document.querySelector('#gallery .more:not([hidden])'))) b.click()"
    )
    cards = "return [...document.querySelectorAll('#gallery .card')].map(c => c.dataset.image)"
    return sorted(map(int, page.run(cards)))


def test_the_list_of_a_comparison_has_both_values_and_the_change(open_pair, screen):
    """F1 as scikit-learn computes it; sorted, the largest change comes first; others by search."""
    from sklearn.metrics import f1_score

    screen(1400)
    truth, first, second, old, new = draw_pair(900, 12)
    page = open_pair(old, new)
    page.run(
        "const sort = document.querySelector('#side-box select'); sort.value = 'change';"
        "sort.dispatchEvent(new Event('change'))"
    )
    read = (
        "return [...document.querySelectorAll('[role=option][title]')].map(o =>"
        "[o.title, ...[...o.querySelectorAll('span')].slice(1, 3).map(s => s.textContent)])"
    )
    before, after = (f1_score(truth, answers, average=None) for answers in (first, second))
    change = after - before

    assert page.run(read) == [
        [
            f"label {code}",
            f"{change[code]:+.3f}".replace("-", "−"),
            f"{before[code]:.3f} → {after[code]:.3f}",
        ]
        for code in np.argsort(-abs(change), kind="stable")
    ]
    page.run(
        "const box = document.querySelector('#side-box input'); box.value = 'LABEL 1';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert {title for title, *_ in page.run(read)} == {"label 1", "label 10", "label 11"}


def test_the_list_of_a_comparison_is_coloured_as_the_table_of_labels_judges(open_pair, screen):
    """Better and worse are said and coloured where the table says so, and nowhere else."""
    screen(1400)
    *_, old, new = draw_pair(900, 12)
    page = open_pair(old, new, intervals=True)
    judged = page.run(
        "return Object.fromEntries([...document.querySelectorAll('#label-table tbody tr')]"
        ".map(r => [r.dataset.name, r.lastChild.textContent]))"
    )
    listed = page.run(
        "return [...document.querySelectorAll('[role=option][title]')].map(o => [o.title,"
        "o.querySelector('.judged').textContent,"
        "getComputedStyle(o.querySelector('.moved')).color.match(/\\d+/g).map(Number)])"
    )
    blue, orange = (0, 98, 154), (168, 74, 0)  # --blue-text and --orange-text

    assert judged["label 3"] == "worse"
    for label, said, colour in listed:
        assert said == (judged[label] if judged[label] in {"better", "worse"} else "")
        expected = {"better": [blue], "worse": [orange]}.get(judged[label])
        assert (tuple(colour) in expected) if expected else (tuple(colour) not in (blue, orange))
    assert {said for _, said, _ in listed} > {"worse"}


def test_a_label_of_a_comparisons_list_is_chosen_by_keys_for_the_whole_page(open_pair, screen):
    """Images, the table's row and the matrix; the choice above the images says it, too."""
    from selenium.webdriver.common.keys import Keys

    screen(1400)
    truth, first, second, old, new = draw_pair(900, 12)
    page = open_pair(old, new)
    is_changed = ((first == truth) != (second == truth)) | (
        (first != second) & (first != truth) & (second != truth)
    )
    is_about = (truth == 10) | (first == 10) | (second == 10)
    option = page.browser.find_element("css selector", "[role=option][tabindex='0']")
    option.send_keys(Keys.END, Keys.NULL)
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_UP)
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.screenshot("comparison-label-chosen")

    assert page.run("return document.activeElement.getAttribute('aria-selected')") == "true"
    assert page.run("return document.getElementById('side-chosen').textContent") == "label 10"
    assert list_gallery(page) == np.flatnonzero(is_changed & is_about).tolist()
    assert page.run("return document.querySelector('#images-controls select').value") == "10"
    row = "return [...document.querySelectorAll('tr[aria-current=true]')].map(r => r.dataset.name)"
    assert page.run(row) == ["label 10"]
    marked = "return [...document.querySelectorAll('#matrix th.chosen')].map(t => t.title)"
    assert page.run(marked) == ["label 10", "label 10"]

    choose(page, "")
    assert list_gallery(page) == np.flatnonzero(is_changed).tolist()
    assert page.run(row) == page.run(marked) == []
    assert page.run("return document.getElementById('side-chosen').textContent") == "all"


def test_a_chosen_label_is_brought_into_sight_in_table_and_matrix(open_pair, screen):
    """Past the first 25 rows too, and in the matrix's box, the page staying where it is."""
    screen(1400, 700)
    *_, old, new = draw_pair(1_200, 40)
    page = open_pair(old, new)
    rows = list_rows(page)
    in_matrix, among_other = rows[-2], min({f"label {c}" for c in range(40)} - set(rows))
    listed = page.run(
        "return [...document.querySelectorAll('#label-table tbody tr')].map(r => r.dataset.name)"
    )
    assert len(listed) == 25
    unlisted = next(label for c in range(40) if (label := f"label {c}") not in listed)
    choose(page, unlisted)
    assert page.run("return document.querySelector('tr[aria-current]').dataset.name") == unlisted

    choose(page, in_matrix)
    page.run("document.getElementById('confusion').scrollIntoView({behavior: 'instant'})")
    box, head, name = page.run(
        "return ['#matrix', '#matrix .corner', '#matrix tbody th.chosen']"
        ".map(s => document.querySelector(s).getBoundingClientRect())"
    )
    assert head["bottom"] <= name["top"]
    assert name["bottom"] <= box["bottom"]
    page.browser.execute_async_script(
        "const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(done))"
    )
    top = "return document.getElementById('matrix').getBoundingClientRect().top"
    before = page.run(top)
    choose(page, among_other)
    assert page.run("return document.querySelector('#matrix tbody th.chosen').title") == "(other)"
    note = page.run("return document.getElementById('matrix-note').textContent")
    assert f"{among_other}\u2069 is among (other)." in note
    assert abs(page.run(top) - before) < 2


@pytest.mark.parametrize(("width", "is_open"), [(1000, False), (1400, True)])
def test_the_list_of_a_comparison_folds_above_a_narrow_page(open_pair, screen, width, is_open):
    """As that of a report."""
    screen(width)
    *_, old, new = draw_pair(400, 12)
    page = open_pair(old, new)
    page.screenshot(f"comparison-side-{width}")

    assert page.run("return document.getElementById('side-details').open") is is_open
    page.run("document.getElementById('side-details').open = true")
    left, right = page.run(
        "return ['side', 'verdict'].map(id => document.getElementById(id).getBoundingClientRect())"
    )
    assert (right["left"] > left["right"]) is is_open
