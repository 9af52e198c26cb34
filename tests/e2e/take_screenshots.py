"""Take the README's pictures: `python tests/e2e/take_screenshots.py`.

Syncs the digits project to a server of its own and keeps the charts and the compare page, a report
and a comparison, small, in `examples/screenshots`. Needs Chromium and its driver, and the
development dependencies.
"""

import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "examples" / "screenshots"
WIDTH = 900
COLOURS = 256
PATIENCE_S = 60
CLOSE_ASSISTANT = """
    document.querySelectorAll("[data-component-id='mlflow.assistant.chat_panel.close']")
        .forEach(button => button.click())
"""
SCROLL_TO_PICTURES = """
    const count = [...document.querySelectorAll('*')].find(
        e => !e.children.length && e.parentElement.textContent.replace(' ', '') === 'charts(2)');
    if (count) count.scrollIntoView({block: 'start'});
    return document.querySelectorAll("img[src*='get-artifact']").length > 3;
"""
OPEN_PICTURES = """
    const file = [...document.querySelectorAll('*')]
        .filter(e => e.textContent.trim() === 'confusion_matrix.png').pop();
    if (file) file.click();
    return document.querySelectorAll("img[src^='blob:']").length > 3;
"""


def main() -> None:
    """Sync, serve, look."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mlrek"]
        store = ["--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
        digits = str(REPOSITORY / "examples" / "digits")
        subprocess.run([*command, "sync", digits, "-q", *store], cwd=folder, check=True)
        versions = [f"{digits}#{name}" for name in ("v1-naive-bayes", "v2-linear")]
        page = Path(folder, "comparison.html")
        compare = ["compare", *versions, "-q", "--no-log", "--html", str(page)]
        subprocess.run([*command, *compare], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        pages = subprocess.Popen(
            [*command, "ui", "--no-open", *store], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        browser = _open_browser()
        try:
            links = [pages.stdout.readline().split()[-1] for _ in range(3)]
            _take_charts(browser, links[1])
            _take_compare(browser, links[2])
            (report,) = list(Path(folder).glob("mlruns/**/report.html"))[:1]
            _take_file(browser, report, "report", "#threshold")
            _take_file(browser, page, "comparison", "main")
        finally:
            browser.quit()
            pages.terminate()
            pages.wait(30)


def _open_browser() -> Chrome:
    options = ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1700,1150"):
        options.add_argument(f"--{flag}")
    return Chrome(options=options)


def _take_charts(browser: Chrome, link: str) -> None:
    """The first screen, and the pictures further down."""
    browser.get(link)
    _wait(browser, "return document.querySelectorAll('.bars .point').length > 10")
    browser.execute_script(CLOSE_ASSISTANT)
    time.sleep(3)
    _keep(browser, "charts")
    _wait(browser, SCROLL_TO_PICTURES)
    time.sleep(3)
    _keep(browser, "charts-pictures")


def _take_compare(browser: Chrome, link: str) -> None:
    """The heat maps of all versions side by side."""
    browser.get(link)
    _wait(browser, OPEN_PICTURES)
    browser.execute_script(CLOSE_ASSISTANT)
    time.sleep(3)
    browser.execute_script(
        "document.querySelector(\"img[src^='blob:']\").scrollIntoView({block: 'center'})"
    )
    time.sleep(1)
    _keep(browser, "compare")


def _take_file(browser: Chrome, path: Path, name: str, part: str) -> None:
    """A page of ours, from one of its parts on."""
    browser.set_window_size(1250, 1150)
    browser.get(path.as_uri())
    _wait(browser, "return document.documentElement.dataset.ready === 'true'")
    browser.execute_script(
        "document.documentElement.style.scrollBehavior = 'auto';"
        "document.querySelector(arguments[0]).scrollIntoView()",
        part,
    )
    time.sleep(1)
    _keep(browser, name)


def _wait(browser: Chrome, script: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not browser.execute_script(script):
        if time.monotonic() > deadline:
            raise TimeoutError(script)
        time.sleep(1)


def _keep(browser: Chrome, name: str) -> None:
    """The window as a small PNG."""
    picture = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    few = small.quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
