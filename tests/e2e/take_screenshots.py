"""Take the README's pictures: `python tests/e2e/take_screenshots.py`.

Syncs the digits project to a server of its own and keeps the charts, the project's page, a report
and a comparison in `docs/pictures`. Needs Chromium and its driver, and the
development dependencies.

    python tests/e2e/take_screenshots.py --all FOLDER

takes every page instead, ours and MLflow's, of projects with 2, 10 and 100 labels, in windows of
1000, 1400 and 1920 px and at 200 %, light and dark, and prints what a reader would call broken.
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
sys.path.insert(0, str(REPOSITORY / "tests"))

from builders.screens import (  # noqa: E402 found by the line above
    MLFLOW_IS_DARK,
    Screen,
    find_faults,
    list_our_pages,
    make_project,
    show,
    take_all,
)

FOLDER = REPOSITORY / "docs" / "pictures"
WIDTH = 1400
SCHEMES = ("light", "dark")
PATIENCE_S = 60
SIZES = (2, 10, 100)
SCREENS = (
    *(Screen(width=width, scheme=scheme) for width in (1000, 1400, 1920) for scheme in SCHEMES),
    Screen(width=1400, zoom=2),
)
CLOSE_ASSISTANT = """
    document.querySelectorAll("[data-component-id='mlflow.assistant.chat_panel.close']")
        .forEach(button => button.click())
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
            _take_charts(browser, _read_links(pages)["charts"])
            (project,) = (
                path
                for path in Path(folder).glob("mlruns/**/project.html")
                if "moved" not in path.read_text()[:2000]
            )
            _take_file(browser, project, "project", "main")
            _take_file(browser, project.with_name("report.html"), "report", "main")
            _take_file(browser, page, "comparison", "main")
        finally:
            browser.quit()
            pages.terminate()
            pages.wait(30)


def take_every_page(folder: Path) -> None:
    """All pages at all sizes, as `NAME-LABELS-WINDOW.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    browser = _open_browser()
    try:
        for n in SIZES:
            with tempfile.TemporaryDirectory() as place:
                _take_project(browser, n, Path(place), folder)
    finally:
        browser.quit()


def _take_project(browser: Chrome, n: int, place: Path, folder: Path) -> None:
    """The pages of a project with so many labels."""

    def run(*args: object) -> str:
        command = [sys.executable, "-m", "mlrek", *map(str, args)]
        done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    pages = list_our_pages(run, make_project(place, n), place)
    for name, path in pages.items():
        for screen in SCREENS:
            show(browser, screen)
            browser.get(path.as_uri())
            _wait(browser, "return document.documentElement.dataset.ready === 'true'")
            take_all(browser, folder / f"{name}-{n}-{screen}.png")
            for fault in find_faults(browser):
                print(f"{name}-{n}-{screen}: {fault}")  # noqa: T201
    served = subprocess.Popen(
        [sys.executable, "-m", "mlrek", "ui", "--no-open"],
        cwd=place,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        links = _read_links(served)
        for name, link in links.items():
            for screen in SCREENS[:-1]:
                _take_mlflow(browser, link, screen)
                browser.save_screenshot(folder / f"mlflow-{name}-{n}-{screen}.png")
    finally:
        served.terminate()
        served.wait(30)


def _read_links(served: subprocess.Popen) -> dict[str, str]:
    """The addresses of MLflow's pages, made of what `mlrek ui` prints."""
    for line in served.stdout:
        link = line.split()[-1]
        if "compareRunsMode=CHART" in link:
            break
    experiment = link.partition("&compareRunsMode")[0]
    return {
        "charts": link,
        "runs": link.replace("=CHART", "=TABLE"),
        "table": link.replace("=CHART", "=ARTIFACT"),
        "experiments": f"{experiment.partition('/#/')[0]}/#/experiments",
    }


def _take_mlflow(browser: Chrome, link: str, screen: Screen) -> None:
    """A page of MLflow as it opens on a first visit, in its own light or dark look."""
    show(browser, screen)
    browser.get(link.partition("/#/")[0] + "/health")
    browser.execute_script(
        "localStorage.clear(); localStorage.setItem(arguments[0], arguments[1])",
        MLFLOW_IS_DARK,
        str(screen.scheme == "dark").lower(),
    )
    browser.get(link)
    _wait(browser, "return document.body.innerText.length > 400")
    time.sleep(4)


WITH_MOUSE = (
    "blink-settings=primaryHoverType=2,availableHoverTypes=2,"
    "primaryPointerType=4,availablePointerTypes=4"
)
"""Without one, charts keep their tool bars over their bars, which nobody sees who has a mouse."""


def _open_browser() -> Chrome:
    options = ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,1000"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--{WITH_MOUSE}")
    return Chrome(options=options)


def _take_charts(browser: Chrome, link: str) -> None:
    """The first screen."""
    browser.get(link)
    _wait(browser, "return document.querySelectorAll('.bars .point').length > 10")
    browser.execute_script(CLOSE_ASSISTANT)
    time.sleep(3)
    _keep(browser, "charts")


def _take_file(browser: Chrome, path: Path, name: str, part: str) -> None:
    """A page of ours, from one of its parts on."""
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
    """The window as a PNG."""
    picture = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--all"]:
        take_every_page(Path(sys.argv[2]).resolve())
    else:
        main()
