"""Pages of a real MLflow server in headless Chromium, and the screenshots that are kept of them."""

import json
import os
import re
from pathlib import Path

import pytest

PATIENCE_S = 400
SCREENSHOTS = Path(os.environ.get("MLREK_SCREENSHOTS", Path(__file__).parents[2] / "screenshots"))


class Page:
    """What a person sees of MLflow in a browser."""

    def __init__(self, browser):
        self.browser = browser

    def __call__(self, name: str, link: str, *words: str) -> str:
        """Open a link, wait until all words (patterns) are on the page, keep a screenshot."""
        self.browser.get(link.partition("/#/")[0] + "/health")
        self.browser.execute_script("localStorage.clear(); sessionStorage.clear()")  # searches, …
        self.browser.get(link)
        self.wait(lambda: all(re.search(word, self.text) for word in words), f"{words} on {link}")
        self.screenshot(name)
        return self.text

    @property
    def text(self) -> str:
        """All text of the page, charts included."""
        return self.run("return document.body.textContent") or ""

    def run(self, script: str, *args):
        """What a script returns that runs in the page."""
        return self.browser.execute_script(script, *args)

    def wait(self, condition, reason: str = ""):
        """Wait until a function returns something true, which is the result."""
        from selenium.common.exceptions import (
            NoSuchElementException,
            StaleElementReferenceException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        passing = (NoSuchElementException, StaleElementReferenceException)  # it is drawn anew
        waiting = WebDriverWait(self.browser, PATIENCE_S, ignored_exceptions=passing)
        return waiting.until(lambda _: condition(), reason)

    def wait_until_drawn(self) -> None:
        """Wait until the script of one of our own pages has done all its work."""
        self.wait(lambda: self.run("return document.documentElement.dataset.ready") == "true")

    def measure_cpu_s(self, address: str) -> float:
        """Open one of our own pages: the CPU that its thread takes, however busy the machine is."""
        command = self.browser.execute_cdp_cmd
        command("Performance.enable", {"timeDomain": "threadTicks"})
        self.browser.get(address)
        self.wait_until_drawn()
        measured = command("Performance.getMetrics", {})["metrics"]
        command("Performance.disable", {})
        return {one["name"]: one["value"] for one in measured}["TaskDuration"]

    def enter_frame(self) -> None:
        """Go into the frame that shows a page of ours; MLflow may replace it while it loads."""
        from selenium.common.exceptions import WebDriverException

        def is_drawn() -> bool:
            self.browser.switch_to.default_content()
            frames = self.browser.find_elements("css selector", "iframe")
            if not frames:
                return False
            try:
                self.browser.switch_to.frame(frames[0])
                return self.run("return document.documentElement.dataset.ready") == "true"
            except WebDriverException:
                return False

        self.wait(is_drawn, "the page in its frame")

    def wait_for_pictures(self, selector: str, n: int) -> list[tuple[int, int]]:
        """Wait until `n` pictures are loaded and say their sizes."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter(i => i.complete && i.naturalWidth > 100)"
            ".map(i => [i.naturalWidth, i.naturalHeight])"
        )

        def loaded():
            sizes = self.run(script, selector)
            return sizes if len(sizes) >= n else None

        return [tuple(size) for size in self.wait(loaded, f"{n} pictures {selector}")]

    def screenshot(self, name: str) -> Path:
        """Keep a picture of what is seen now."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.browser.save_screenshot(path)
        return path


@pytest.fixture(scope="session")
def sync_to(tmp_path_factory, warm):
    """Sync a source to a server: what `mlrek sync --json` tells of it."""

    def sync(source, tracking_uri: str, experiment: str = "", *args: str) -> dict:
        place = ("--tracking-uri", tracking_uri, "--experiment", experiment, "--json")
        done = warm.run("sync", source, *place, *args, cwd=tmp_path_factory.mktemp("sync"))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return sync


@pytest.fixture(scope="session")
def synced(sync_to, digits, mlflow_server):
    """The digits project on the server, as `mlrek sync --json` tells of it."""
    return sync_to(digits, mlflow_server, f"pages-{os.getpid()}")


@pytest.fixture
def page(browser) -> Page:
    """A browser to open pages with."""
    return Page(browser)


@pytest.fixture
def small_window(page):
    """A window of 1400 by 900 pixels, in which MLflow's side panel is open as at a first visit."""
    command = page.browser.execute_cdp_cmd
    size = {"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    command("Emulation.setDeviceMetricsOverride", size)
    yield page
    command("Emulation.clearDeviceMetricsOverride", {})
