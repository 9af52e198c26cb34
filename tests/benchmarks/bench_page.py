"""A report in headless Chromium: how long do opening, a step of the slider, a press on a cell take?

Counts what the page's thread takes of the processor, medians of several times: a busy machine makes
it longer, but not many times so.

python tests/benchmarks/bench_page.py --images 250000 --labels 250
"""

import argparse
import sys
import tempfile
from pathlib import Path
from shutil import which
from statistics import median
from time import sleep

from make_manifests import Size, make_project
from rows import print_row
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from mlrek.metrics.compute import compute_metrics
from mlrek.render.report import render_report
from mlrek.sources import AwsOptions, open_source

ROUNDS = 5
STEPS = range(20, 90, 7)
WANTED_MS = {"opening": 1_000.0, "a step of the slider": 50.0, "a press on a cell": 100.0}
MOVE = """
    const slider = document.getElementById('threshold-slider');
    slider.value = arguments[0];
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    document.body.offsetHeight;
"""
PRESS = """
    const cells = document.querySelectorAll('#matrix td.full, #matrix [role=gridcell]');
    const cell = cells[arguments[0] % cells.length];
    cell.click();
    document.body.offsetHeight;
"""


def main() -> int:
    """Make a report, open it, use it; the exit code says whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=250_000)
    parser.add_argument("--labels", type=int, default=250)
    parser.add_argument("--records", choices=("top1", "complete"), default="top1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-page-") as folder:
        page = make_page(Path(folder), options.images, options.labels, options.records)
        browser = open_browser(folder)
        try:
            took = measure(browser, page.as_uri())
        finally:
            browser.quit()
    missed = False
    for what, wanted in WANTED_MS.items():
        missed |= took[what] > wanted
        print_row(
            f"{what}, report of {options.images:,} images and {options.labels} labels",
            f"≤ {wanted:.0f} ms",
            f"{took[what]:.0f} ms of processor",
            met=took[what] <= wanted,
        )
    return missed


def make_page(folder: Path, images: int, labels: int, records: str) -> Path:
    """The report of one version."""
    size = Size(versions=1, images=images, labels=labels, records=records)
    make_project(folder, size)
    source = open_source(str(folder), AwsOptions())
    evaluation = source.load(source.list_versions()[0])
    page = folder / "report.html"
    page.write_bytes(render_report(evaluation, compute_metrics(evaluation, intervals=False)))
    return page


def open_browser(folder: str) -> Chrome:
    """Headless Chromium, with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = which("chromium") or which("google-chrome") or ""
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "disable-component-update",
        "window-size=1400,1000",
        f"user-data-dir={folder}/profile",
    ):
        options.add_argument(f"--{flag}")
    return Chrome(options=options, service=ChromeService(which("chromedriver")))


def measure(browser: Chrome, address: str) -> dict[str, float]:
    """Milliseconds of processor by what was done."""
    opening = [measure_opening(browser, address) for _ in range(ROUNDS)]
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    slider = [measure_script(browser, MOVE, step) for step in STEPS]
    cells = [measure_script(browser, PRESS, 27 * i) for i in range(len(STEPS))]
    return dict(zip(WANTED_MS, map(median, (opening, slider, cells)), strict=True))


def measure_opening(browser: Chrome, address: str) -> float:
    """Until the page's script has done all its work."""
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.get(address)
    while browser.execute_script("return document.documentElement.dataset.ready") != "true":
        sleep(0.05)
    took_ms = read_ms(browser)
    browser.execute_cdp_cmd("Performance.disable", {})
    return took_ms


def measure_script(browser: Chrome, script: str, argument: int) -> float:
    """With the drawing that follows."""
    before = read_ms(browser)
    browser.execute_script(script, argument)
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 0))")
    return read_ms(browser) - before


def read_ms(browser: Chrome) -> float:
    """What the page's thread has taken so far."""
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1_000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")


if __name__ == "__main__":
    sys.exit(main())
