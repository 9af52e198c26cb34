"""Pages of ours at the sizes people have, light and dark: nothing cut off, empty or pale.

`python tests/e2e/take_screenshots.py --all FOLDER` takes all sizes; here are some of them.
"""

import pytest
from builders.screens import (
    OUR_PAGES,
    Screen,
    find_faults,
    list_our_pages,
    list_unnamed,
    make_project,
    press_tab,
    show,
    take_all,
)

pytestmark = pytest.mark.browser

SIZES = (10, 100)
LOOKS = [
    (10, Screen(width=1400)),
    (100, Screen(width=1400)),
    (10, Screen(width=1400, scheme="dark")),
]
ENLARGED = Screen(width=1400, zoom=2)


@pytest.fixture(scope="module")
def our_pages(tmp_path_factory, warm):
    """Of projects with that many labels: each page of ours by its name, as a file."""
    found = {}
    for n in SIZES:
        folder = tmp_path_factory.mktemp(f"garden-{n}")
        project = make_project(folder, n)

        def run(*args, cwd=folder):
            done = warm.run(*args, cwd=cwd)
            assert done.returncode == 0, done.stderr
            return done.stdout

        found[n] = list_our_pages(run, project, folder)
    return found


@pytest.fixture
def look(page, our_pages, request):
    """Open a page of a project in a window; its script makes no error."""

    def open_page(name, n, screen):
        show(page.browser, screen)
        page.browser.get(our_pages[n][name].as_uri())
        page.wait_until_drawn()
        return page

    page.browser.get_log("browser")
    yield open_page
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [m for m in page.browser.get_log("browser") if m["level"] == "SEVERE"] == []


@pytest.mark.parametrize(("n", "screen"), LOOKS, ids=str)
@pytest.mark.parametrize("name", OUR_PAGES)
def test_nothing_is_cut_off_empty_or_pale(look, name, n, screen):
    """Titles are whole, panes are filled, text is large and stands out; a picture is kept."""
    page = look(name, n, screen)
    take_all(page.browser, page.screenshot(f"{name}-{n}-{screen}"))

    assert find_faults(page.browser) == []


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", OUR_PAGES)
def test_a_page_at_200_percent_is_as_good(look, name, n):
    """Half the room for everything, and nothing scrolls sideways or is cut off."""
    page = look(name, n, ENLARGED)
    take_all(page.browser, page.screenshot(f"{name}-{n}-{ENLARGED}"))

    assert find_faults(page.browser) == []


@pytest.mark.parametrize("name", OUR_PAGES)
def test_tab_alone_reaches_all_and_shows_where_it_is(look, name):
    """What has the focus is in the window and marked; every control has a name to be read out."""
    page = look(name, 10, Screen(width=1400))
    stops = list(press_tab(page.browser))

    assert len(stops) > 5
    assert [stop["text"] for stop in stops if not (stop["inside"] and stop["marked"])] == []
    assert list_unnamed(page.browser) == []
