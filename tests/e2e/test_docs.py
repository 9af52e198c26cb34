"""README and documentation as their reader types them, and the site as it is built and looks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_outputs import DOCS, README, ROOT, fill_in, list_pages, read_blocks, read_page, run_pages

HOST = re.compile(r"""(?:src|srcset|action|data-src)\s*=\s*["']?\s*(?:https?:)?//[^"'\s>]+""")
LINKED = re.compile(r"<link\b[^>]*>")
IMPORTED = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")
CUT_OFF = """
    const right = document.documentElement.clientWidth;
    const scrolls = e => !e.matches(".md-content") &&
        (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
    const cut = [...document.querySelectorAll(".md-content *")].filter(e => {
        const place = e.getBoundingClientRect();
        return place.width && place.right > right + 1 && !scrolls(e.parentElement);
    });
    return cut.map(e => `${e.tagName}: ${e.textContent.slice(0, 60)}`);
"""


@pytest.fixture(scope="module")
def read_docs():
    """Each block of the site that was run, in one folder and one store."""
    if shutil.which("jq") is None:
        pytest.skip("needs jq: apt-get install jq")
    return run_pages(list_pages())


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built without a warning: a link or an anchor that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def say_ends(ran) -> list[str]:
    """The blocks that ended otherwise than their page says."""
    return [
        f"{one.page}: {one.codes}, not {one.block.codes}:\n{one.block.body}\n{one.printed}"
        for one in ran
        if one.codes != one.block.codes
    ]


def test_the_readme_can_be_pasted():
    """Every command and every Python line of the README, one after the other, in one store."""
    ran = run_pages([README])

    assert ran
    assert say_ends(ran) == []


def test_the_pages_can_be_pasted(read_docs):
    """Every command of the site ends as its page says, in the order in which pages are read."""
    assert {one.page for one in read_docs} >= {"index.md", "commands.md", "gate.md"}
    assert say_ends(read_docs) == []


@pytest.mark.parametrize("page", list_pages())
def test_a_page_shows_what_its_commands_print(page, read_docs):
    """`python tests/docs_outputs.py --write` would change nothing."""
    text = read_page(page)

    assert fill_in(text, [one for one in read_docs if one.page == page]) == text


def test_the_site_asks_no_other_host(site):
    """No page, style or script of the site loads a font, an image or a script from elsewhere."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    styles = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    loading = [link for text in pages.values() for link in LINKED.findall(text) if "//" in link]

    assert len(pages) > len(list_pages())
    assert [found for text in pages.values() for found in HOST.findall(text)] == []
    assert loading == []
    assert [path.name for path, text in styles.items() if IMPORTED.search(text)] == []


def test_the_site_holds_every_page(site):
    """What is in `docs` is on the site, and in its navigation."""
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}

    assert pages == {Path(name).with_suffix(".html").as_posix() for name in list_pages()}
    assert {name for name in pages if not (site / name).exists()} == set()


@pytest.mark.browser
def test_no_page_is_wider_than_a_telephone(site, browser):
    """At 400 pixels nothing of a page is cut off: what is wider scrolls by itself."""
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    found = {}
    for name in list_pages():
        browser.get((site / name).with_suffix(".html").as_uri())
        found[name] = browser.execute_script(CUT_OFF)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert {name: cut for name, cut in found.items() if cut} == {}


def test_each_block_that_is_not_run_has_its_reason():
    """Commands that need more than a clone say why no test pastes them, in at least a few words."""
    reasons = [
        (page, block.notes["not run"])
        for page in (README, *list_pages())
        for block in read_blocks(read_page(page))
        if "not run" in block.notes
    ]

    assert reasons
    assert [found for found in reasons if len(found[1].split()) < 4] == []
