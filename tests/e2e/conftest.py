"""Pages of a real MLflow server in headless Chromium, and the screenshots that are kept of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 120
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
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, PATIENCE_S).until(lambda _: condition(), reason)

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
def sync_to(tmp_path_factory):
    """Sync a source to a server: what `mlrek sync --json` tells of it."""

    def sync(source, tracking_uri: str, experiment: str = "") -> dict:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}
        command = [sys.executable, "-m", "mlrek", "sync", str(source), "--json"]
        command += ["--tracking-uri", tracking_uri, "--experiment", experiment]
        done = subprocess.run(
            command,
            env=env | {"AWS_EC2_METADATA_DISABLED": "true"},
            cwd=tmp_path_factory.mktemp("sync"),
            capture_output=True,
            text=True,
            check=False,
        )
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
