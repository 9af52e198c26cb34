"""The page as a file: self-contained, safe, and never too large."""

from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from fakes.large_evaluation import make_large_evaluation
from jinja2 import Environment
from jinja2.meta import find_referenced_templates

from mlrek.evaluation import Doubt, DoubtKind, Provider
from mlrek.metrics.compute import compute_metrics
from mlrek.render.report import MAX_BYTES, REPORT_TEMPLATES, render_report

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</script><!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eevil\u202c\u2028\u2029",
    "half \udce4",
    "__proto__",
    "x" * 256,
)


class _Elements(HTMLParser):
    """The elements of a page, and all text outside its script."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] not in {"script", "style"}:
            self.text += data


@pytest.fixture(scope="module")
def hostile(evaluate):
    """Labels and files with names that try to be more than text."""
    n = len(HOSTILE)
    records = [[(i, 0.9), ((i + 1) % n, 0.1)] for i in range(n)]
    images = [f"s3://bucket/{name}.png" for name in HOSTILE]
    return evaluate([[(i + i % 2) % n] for i in range(n)], records, HOSTILE, images=images)


def test_the_page_needs_nothing_from_elsewhere(pets, page_of):
    """No address of a picture, style, script or link but data of its own and places on the page."""
    elements = _Elements(page_of(pets)).found

    addresses = [a.get(name) for _, a in elements for name in ("src", "href", "action", "data")]
    assert [address for address in addresses if address] == []
    assert [tag for tag, _ in elements if tag in {"link", "iframe", "object", "base"}] == []


def test_the_page_forbids_itself_the_network(pets, page_of):
    """A policy in the page allows its own script and style, and pictures that are data."""
    policies = [a["content"] for tag, a in _Elements(page_of(pets)).found if "http-equiv" in a]

    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    ]


def test_hostile_names_are_text(hostile, page_of, data_of):
    """They add no element, and the script gets them as they are."""
    page = page_of(hostile, remarks=HOSTILE)
    elements = _Elements(page)

    assert [tag for tag, _ in elements.found].count("script") == 2
    assert not [a for _, a in elements.found if any(name.startswith("on") for name in a)]
    assert not [tag for tag, _ in elements.found if tag == "img"]
    assert HOSTILE[0] in elements.text
    assert data_of(page)["labels"][:5] == list(HOSTILE[:5])
    assert data_of(page)["labels"][5] == r"half \udce4"


def test_a_hostile_name_of_a_version_is_text(pets, page_of):
    """In the title and in the headline."""
    version = replace(pets.version, name=HOSTILE[1], arn=HOSTILE[2])
    elements = _Elements(page_of(replace(pets, version=version)))

    assert elements.text.count(HOSTILE[1]) == 2
    assert HOSTILE[2] in elements.text
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert "img" not in [tag for tag, _ in elements.found]


def test_the_report_of_a_model_from_anywhere_names_no_service(pets, page_of, data_of):
    """The model assumes its thresholds; those of a service are said to be the service's."""
    project = replace(pets.version.project, provider=Provider.CUSTOM)
    custom = replace(pets, version=replace(pets.version, project=project))
    page = page_of(custom)

    assert "service" not in _Elements(page).text
    assert data_of(page)["who"] == "model"
    assert "the service's own" in _Elements(page_of(pets)).text


def test_a_template_in_a_name_is_not_run(hostile, page_of):
    """Jinja sees names only as values."""
    page = page_of(hostile, remarks=HOSTILE)

    assert "{{ 7 * 7 }}{% raw %}" in page
    assert ">49" not in page


@pytest.mark.parametrize(("images", "labels", "records"), [(250_000, 250, 4), (20_000, 5_000, 3)])
def test_the_page_is_small_whatever_the_evaluation(data_of, images, labels, records):
    """At most 3 MB, and it tells of how many images it knows."""
    evaluation = make_large_evaluation(images, labels, records)
    page = render_report(evaluation, compute_metrics(evaluation, intervals=False))

    assert len(page) <= MAX_BYTES
    held = data_of(page.decode())["images"]
    assert held["total"] == images
    assert 0 < len(held["names"]) < images


def test_a_version_without_images_gets_a_short_page(evaluate, page_of):
    """No curves, matrix or galleries: it says that only the service's numbers are there."""
    page = page_of(evaluate([], [], ("cat", "dog")))

    assert "There is no record of the test images" in page
    assert 'id="threshold"' not in page


def test_doubts_stand_before_the_remarks_and_hostile_text_in_them_is_text(evaluate):
    """In a box of their own: what stops first, each with what it touches."""
    truth = [[i] for i in range(len(HOSTILE))]
    doubts = (
        Doubt(kind=DoubtKind.UNANSWERED, text="said first"),
        *(
            Doubt(kind=DoubtKind.LINES_SKIPPED, text=name, touches=(f"label_recall/{name}",))
            for name in HOSTILE
        ),
    )
    evaluation = evaluate(truth, [[(i, 0.9)] for i in range(len(HOSTILE))], HOSTILE)
    evaluation = replace(evaluation, doubts=doubts)
    metrics = compute_metrics(evaluation, intervals=False)
    page = render_report(evaluation, metrics, remarks=("only a remark",)).decode()
    elements = _Elements(page)

    assert not {tag for tag, _ in elements.found} & {"img", "iframe"}
    assert len([tag for tag, _ in elements.found if tag == "script"]) == 2
    text = elements.text
    assert "10 doubts about these numbers" in text  # one more: thresholds were fitted
    assert text.index("stops checks") < text.index("said first") < text.index("only a remark")
    assert "Touches recall of <script>alert(1)</script>" in text


def test_all_that_the_report_takes_in_is_compiled_once_for_all_processes():
    """The templates that are compiled before processes are forked are those that a report needs."""
    assets = files("mlrek.render").joinpath("assets")
    needed, waiting = set(), ["report.html"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        parsed = Environment().parse(assets.joinpath(name).read_text(encoding="utf-8"))  # noqa: S701
        waiting += {found for found in find_referenced_templates(parsed) if found} - needed

    assert needed == set(REPORT_TEMPLATES)
