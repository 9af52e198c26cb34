"""Our pages and MLflow's at several sizes, light and dark: projects for them, pictures, faults."""

import base64
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from builders.projects import Tested, save_project
from PIL import Image, ImageDraw

WORDS = (
    "tulip",
    "rose",
    "oak leaf",
    "maple leaf with long stalk",
    "daisy",
    "Zebra grass",
    "écorce",
)
VERSIONS = ("v1-first", "v2-more-images", "v3-deeper")
SITES = ("north gate", "greenhouse with the long name by the river", "South")
DARK_SITE = "cellar"
SLICES = "slices.csv"
ACCURACY = {"v1-first": 0.78, "v2-more-images": 0.88, "v3-deeper": 0.93}
PICTURES = 160
FAULTS = (Path(__file__).parent / "screens.js").read_text()
OUR_PAGES = ("report", "comparison", "project")
MLFLOW_IS_DARK = "_mlflow_dark_mode_toggle_enabled"


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A window: its width in CSS pixels, its scheme, and how much all in it is enlarged."""

    width: int
    scheme: str = "light"
    zoom: int = 1

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}" + (f"-{self.zoom}x" if self.zoom > 1 else "")


def name_labels(n: int) -> tuple[str, ...]:
    """Names as people give them: words, long ones, capitals, accents, numbers that sort badly."""
    return tuple(
        WORDS[i] if i < min(n, len(WORDS)) else f"class {i} of {n}" for i in reversed(range(n))
    )


def make_project(folder: Path, n_labels: int, *, images_a_label: int = 20) -> Path:
    """A project with three versions on one test set, and small pictures of some images."""
    labels = name_labels(n_labels)
    rng = np.random.default_rng(n_labels)
    y_true = np.repeat(np.arange(n_labels), max(images_a_label, 300 // n_labels))
    names = [f"s3://garden/photos/{i % 7}/IMG_{i:05}.jpg" for i in range(len(y_true))]
    columns = _draw_columns(len(y_true))
    is_dark = np.array([site == DARK_SITE for site in columns["site"]])
    tests = {
        version: Tested(
            images=names,
            truth=[labels[i] for i in y_true],
            labels=labels,
            scores=_draw_scores(rng, y_true, n_labels, ACCURACY[version] - 0.3 * is_dark),
            is_complete=n_labels <= 10,
        )
        for version in VERSIONS
    }
    draw_pictures(folder / "pictures", names, y_true, rng)
    write_columns(folder / SLICES, names, columns)
    return save_project(folder / "project", f"garden-{n_labels}", **tests)


def write_columns(path: Path, names: list[str], columns: dict[str, list]) -> None:
    """A table with what else is known of each image."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *columns])
        writer.writerows(zip(names, *columns.values(), strict=True))


def draw_pictures(folder: Path, names: list[str], y_true: np.ndarray, rng) -> None:
    """A picture for some images: a disc whose colour tells the label."""
    folder.mkdir(parents=True)
    for i in rng.permutation(len(names))[:PICTURES].tolist():
        image = Image.new("RGB", (120, 90), tuple(rng.integers(150, 230, 3).tolist()))
        colour = f"hsl({37 * int(y_true[i]) % 360}, 70%, 40%)"
        ImageDraw.Draw(image).ellipse((30, 15, 90, 75), fill=colour)
        image.save(folder / names[i].rpartition("/")[2])


def _draw_columns(n: int) -> dict[str, list]:
    """What else is known of each image: site, camera, light; the images of one site are dark."""
    rng = np.random.default_rng(n)
    sites = rng.choice([*SITES, DARK_SITE], n)
    lux = np.where(sites == DARK_SITE, rng.uniform(1, 40, n), rng.uniform(60, 20_000, n))
    cameras = [f"camera {i}" for i in rng.integers(1, 13, n).tolist()]
    return {"site": sites.tolist(), "camera": cameras, "lux": np.round(lux, 1).tolist()}


def _draw_scores(rng, y_true: np.ndarray, n_labels: int, accuracy: np.ndarray) -> np.ndarray:
    """Confidences (images, labels): mostly the true label, else one of its neighbours."""
    y_pred = np.where(
        rng.random(len(y_true)) < accuracy,
        y_true,
        (y_true + rng.integers(1, min(4, n_labels), len(y_true), endpoint=True)) % n_labels,
    )
    top = rng.uniform(0.45, 0.99, len(y_true))
    rest = rng.dirichlet(np.ones(n_labels), len(y_true)) * (1 - top)[:, None]
    rest[np.arange(len(y_true)), y_pred] += top
    return rest


def list_our_pages(run: Callable[..., str], project: Path, folder: Path) -> dict[str, Path]:
    """Sync a project, compare its first version with its last: our pages by name, as files.

    `run` runs a command in that folder and gives what it prints.
    """
    pictures = ("--images", folder / "pictures")
    table = ("--slices", folder / SLICES)
    told = json.loads(run("sync", project, *pictures, *table, "--json"))
    runs = {version["version"]: version["run_id"] for version in told["versions"]}
    last = runs[VERSIONS[-1]]
    comparison = folder / "comparison.html"
    sides = (f"runs:/{runs[VERSIONS[0]]}", f"runs:/{last}")
    run("compare", *sides, "--no-log", "--html", comparison, *pictures)
    (artifacts,) = folder.glob(f"mlruns/**/{last}/artifacts")
    pages = {"comparison": comparison, **{path.stem: path for path in artifacts.glob("*.html")}}
    return {name: pages[name] for name in OUR_PAGES if name in pages}


def show(browser, screen: Screen) -> None:
    """Make the window so; `zoom` gives the page as much less room as a reader's 200 % does."""
    command = browser.execute_cdp_cmd
    size = {"width": screen.width // screen.zoom, "height": 900 // screen.zoom}
    command(
        "Emulation.setDeviceMetricsOverride",
        {**size, "deviceScaleFactor": screen.zoom, "mobile": False},
    )
    wanted = {"prefers-color-scheme": screen.scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    command("Emulation.setEmulatedMedia", {"features": features})


def take_all(browser, path: Path) -> None:
    """A picture of the whole page, however long it is, once its own pictures are there."""
    browser.execute_async_script(DECODED)
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 9000), "scale": 1}
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    path.write_bytes(base64.b64decode(taken["data"]))


def find_faults(browser) -> list[str]:
    """What a reader would call broken on one of our pages, a line each."""
    return browser.execute_script(FAULTS)


def list_unnamed(browser) -> list[str]:
    """What a screen reader could only call "button": controls without a name."""
    command = browser.execute_cdp_cmd
    command("Accessibility.enable", {})
    nodes = command("Accessibility.getFullAXTree", {})["nodes"]
    command("Accessibility.disable", {})
    controls = ("button", "link", "textbox", "slider", "combobox", "checkbox", "radio", "searchbox")
    return [
        str(node)
        for node in nodes
        if not node.get("ignored")
        and node.get("role", {}).get("value") in (*controls, "img", "gridcell", "spinbutton")
        and not node.get("name", {}).get("value")
    ]


def press_tab(browser, most: int = 400) -> Iterator[dict]:
    """What gets the focus as Tab is pressed from the top, until it leaves the page."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    seen = set()
    for _ in range(most):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        found = browser.execute_script(FOCUSED)
        if found is None or found["path"] in seen:
            return
        seen.add(found["path"])
        yield found


DECODED = """
    const done = arguments[arguments.length - 1];
    for (const image of document.images) image.loading = "eager";
    Promise.allSettled([...document.images].map((image) => image.decode())).then(() => done());
"""
FOCUSED = """
    const e = document.activeElement;
    if (!e || e === document.body) return null;
    const path = [];
    for (let n = e; n.parentElement; n = n.parentElement)
        path.push(n.tagName + [...n.parentElement.children].indexOf(n));
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const drawn = (s) => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0
        || s.boxShadow !== 'none';
    return {
        path: path.join(' '),
        text: (e.textContent || e.getAttribute('aria-label') || e.id).slice(0, 60),
        inside: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
            && box.right > 0 && box.left < innerWidth,
        marked: drawn(style),
    };
"""
