"""The page of all versions of a project, in MLflow's own sandboxed frame and by itself."""

from itertools import pairwise

import pytest
from fakes.evaluations import save_archive
from mlflow import MlflowClient

from mlrek.metrics import Number
from mlrek.render.project_data import CountCurve, HeldCells, HeldNumbers
from mlrek.render.project_page import PageVersion, render_project_page

pytestmark = pytest.mark.browser

CELL = "#numbers-table tr[data-key='{}'] td[data-version='{}'] b"
LABEL_CELL = "#labels-table tr[data-label='{}'] td[data-version='{}']"


@pytest.fixture
def frame(page, synced):
    """The page of the digits in MLflow's frame; no error may be in the browser's log."""
    link = synced["projects"][0]["links"]["project"]
    page.browser.get_log("browser")
    page("project", link, "project.html")
    page.enter_frame()
    page.screenshot("project")
    yield page
    errors = [
        line["message"]
        for line in page.browser.get_log("browser")
        if "blob:" in line["message"] and line["level"] == "SEVERE"
    ]
    page.browser.switch_to.default_content()
    assert errors == []


@pytest.fixture
def client(mlflow_server) -> MlflowClient:
    """What MLflow itself says."""
    return MlflowClient(mlflow_server)


def read(page, selector: str) -> str:
    """The text of the one element."""
    return page.run("return document.querySelector(arguments[0]).firstChild.textContent", selector)


def press(page, *keys: str) -> None:
    """Type these keys where the focus is."""
    from selenium.webdriver import ActionChains

    ActionChains(page.browser).send_keys(*keys).perform()


def test_the_numbers_are_those_of_the_runs(frame, synced, client):
    """Of each version the headline numbers and each label's F1, as MLflow has them."""
    for i, version in enumerate(synced["versions"]):
        metrics = client.get_run(version["run_id"]).data.metrics
        for key in ("aggregate/accuracy", "aggregate/f1_macro", "aggregate/mcc", "reported/f1"):
            assert read(frame, CELL.format(key, i)) == f"{metrics[key]:.3f}"
        for label in ("zero", "eight", "nine"):
            expected = f"{metrics[f'label_f1/{label}']:.3f}"
            assert read(frame, LABEL_CELL.format(label, i)) == expected


def test_the_change_is_since_the_version_before_on_the_same_images(frame, synced, client):
    """The fourth version was tested on other images: it has none."""
    row = "#numbers-table tr[data-key='aggregate/accuracy']"
    changes = frame.run(
        f'return [...document.querySelectorAll("{row} td")]'
        ".map(td => td.querySelector('.change')?.textContent ?? null)"
    )
    values = [
        client.get_run(version["run_id"]).data.metrics["aggregate/accuracy"]
        for version in synced["versions"]
    ]

    steps = [f"{after - before:+.3f}" for before, after in pairwise(values[:3])]
    assert changes == [None, *steps, None]


def test_heat_maps_show_the_same_labels_in_the_same_order(frame):
    """One of each version, all lines alike."""
    heads = frame.run(
        "return [...document.querySelectorAll('.map')]"
        ".map(map => [...map.querySelectorAll('tbody th')].map(th => th.title).join())"
    )

    assert len(heads) == 4
    assert set(heads) == {"zero,one,two,three,four,five,six,seven,eight,nine"}


def test_arrow_keys_read_the_same_cell_of_every_version(frame):
    """With the keyboard alone: one stop for each map, and the arrows within it."""
    frame.run("document.querySelector('.map td[tabindex=\"0\"]').focus()")
    press(frame, "\ue014", "\ue015")  # right, down
    read_out = frame.run("return document.getElementById('readout').textContent")
    same = frame.run("return document.querySelectorAll('.map td.same').length")

    assert "true one, rightly predicted" in read_out
    assert [name in read_out for name in ("v1-naive-bayes 73 of 76", "v2-linear 66 of 76")] == [
        True,
        True,
    ]
    assert same == 4
    stops = "return document.querySelectorAll('.map td[tabindex=\"0\"]').length"
    assert frame.run(stops) == 4


def test_a_reader_picks_which_versions_are_drawn(frame):
    """Heat maps, curves and the table under them follow."""
    frame.run("document.querySelector('.picks input').click()")

    assert frame.run("return document.querySelectorAll('.map').length") == 3
    assert frame.run("return document.querySelectorAll('#legend button').length") == 3
    assert frame.run("return document.querySelectorAll('#step-table tbody tr').length") == 3
    assert frame.run("return document.getElementById('pick-note').textContent") == (
        "3 of 4 are drawn."
    )
    frame.run("document.querySelector('.picks input').click()")


def test_labels_are_sorted_by_the_change(frame):
    """The newest two versions of one test set, the largest change first."""
    frame.run("document.querySelector('[data-sort=change]').click()")
    script = "return [...document.querySelectorAll('td[data-change]')].map(td => td.dataset.change)"
    changes = [abs(float(change)) for change in frame.run(script)]

    assert changes == sorted(changes, reverse=True)
    assert frame.run("return document.activeElement.dataset.sort") == "change"
    assert frame.run("return document.querySelectorAll('[aria-sort=descending]').length") == 1


def test_a_version_tells_where_its_report_is(frame, synced):
    """As a link, and as text that can be copied where the frame keeps links from opening."""
    frame.run("document.querySelector('#numbers-table thead button').click()")
    address = frame.run("return document.querySelector('#panel .address').textContent")

    assert f"/runs/{synced['versions'][0]['run_id']}/artifacts/report.html" in address
    assert frame.run("return document.activeElement.textContent") == "v1-naive-bayes"
    frame.run("document.querySelector('#panel button').click()")


def test_all_that_can_be_used_has_a_name(frame):
    """Buttons, boxes, selects and regions, for who hears the page."""
    unnamed = frame.run(
        "return [...document.querySelectorAll('button, input, select, a, [role=region],"
        " [role=grid], [role=img]')].filter(node => !(node.textContent.trim()"
        " || node.getAttribute('aria-label') || node.closest('label')?.textContent.trim()))"
        ".map(node => node.outerHTML.slice(0, 120))"
    )

    assert unnamed == []


@pytest.mark.parametrize("width", [360, 700, 1000])
def test_nothing_is_wider_than_the_window(page, tmp_path, width):
    """Tables and maps scroll in themselves, also where the page is enlarged twice."""
    path = tmp_path / "project.html"
    path.write_bytes(make_page(versions=12, labels=30))
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 2, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.browser.get(path.as_uri())
        page.wait_until_drawn()
        over = page.run("return document.documentElement.scrollWidth - innerWidth")
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert over <= 0


def test_a_hundred_versions_of_250_labels_open_in_a_second(page, tmp_path):
    """However busy the machine is: measured is the time of the page's own thread."""
    path = tmp_path / "project.html"
    path.write_bytes(make_page(versions=100, labels=250))
    page.measure_cpu_s(path.as_uri())

    assert page.measure_cpu_s(path.as_uri()) < 1.0
    assert page.run("return document.querySelectorAll('#numbers-table thead th').length") == 101


def test_hostile_names_stay_text(page, tmp_path):
    """What a label or version is called makes no element and runs nothing."""
    path = tmp_path / "project.html"
    names = ("<script>document.title = 'taken'</script>", "\"><img src=x onerror='alert(1)'>")
    path.write_bytes(make_page(versions=3, labels=2, names=names, version_name=names[1]))
    page.browser.get(path.as_uri())
    page.wait_until_drawn()

    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.browser.title == "flowers · all versions"
    heads = "return [...document.querySelectorAll('#labels-table tbody th')].map(th => th.title)"
    assert page.run(heads) == list(names)


def test_the_first_line_printed_opens_the_page(run_mlrek, tmp_path, new_store):
    """Of the links that `mlrek sync` prints, that to all versions comes first."""
    folder = save_archive(tmp_path / "pets", "v1", "v2")
    place = ("--tracking-uri", new_store)
    said = run_mlrek("sync", folder, *place, cwd=tmp_path).stdout
    links = [line for line in said.splitlines() if "/#/" in line]

    assert "artifacts/project.html" in links[0]


def make_page(*, versions: int, labels: int, names=(), version_name: str = "v") -> bytes:
    """A page of made-up numbers, about as full as pages are."""
    names = tuple(names) or tuple(f"a flower of kind {i}" for i in range(labels))
    values = tuple(0.5 + (i % 97) / 200 for i in range(labels))
    columns = {
        f"{name}{end}": values for name in ("f1", "precision", "recall") for end in ("", *ENDS)
    }
    cells = ((i, (i + j * j) % labels, 40 - j) for i in range(labels) for j in range(8))
    unique = {(row, column): n for row, column, n in cells}
    held = HeldNumbers(
        numbers={"aggregate/accuracy": Number(value=0.9, low=0.85, high=0.93)},
        labels=names,
        columns={"support": (40.0,) * labels, **columns},
        cells=HeldCells(counts=tuple((row, column, n) for (row, column), n in unique.items())),
        curve=CountCurve(tp=tuple(range(200, 99, -1)), fp=tuple(range(100, -1, -1)), support=220),
    )
    shown = [
        PageVersion(
            run_id=f"{i:032x}",
            name=f"{version_name}{i}",
            trained_ms=1690474772815 + i * 10**9,
            task="classification",
            test_set="AB"[i % 2],
            images="10000",
            held=held,
        )
        for i in range(versions)
    ]
    return render_project_page("flowers", shown, headlines=["aggregate/accuracy"])


ENDS = ("_low", "_high")
