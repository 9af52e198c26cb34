"""The page of all versions of a project: what it says, holds, leaves out, and reads again."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from math import nan

import pytest

from mlrek.errors import EvaluationError
from mlrek.metrics import Number
from mlrek.metrics.compute import compute_metrics
from mlrek.render.document import describe_tables
from mlrek.render.project_data import (
    OTHER,
    CountCurve,
    HeldCells,
    HeldNumbers,
    draw_cells,
    parse_held,
)
from mlrek.render.project_page import (
    PageVersion,
    choose_drawn,
    read_project_page,
    render_moved_page,
    render_project_page,
)
from mlrek.render.report import MAX_BYTES

HEADLINES = ("aggregate/accuracy", "reported/f1")
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</script><!--<script>",
    "{{ 7 * 7 }}",
    "\u202eevil\u202c\u2028",
    "half \udce4",
    "__proto__",
)


class _Elements(HTMLParser):
    """The elements of a page, and all text outside its scripts."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] not in {"script", "style"}:
            self.text += data


def hold(labels=("cat", "dog"), counts=((0, 0, 5), (1, 0, 1), (1, 1, 4)), **changed):
    """What the run of a small version holds."""
    n = len(labels)
    held = HeldNumbers(
        numbers={
            "aggregate/accuracy": Number(value=0.9, low=0.6, high=0.98),
            "aggregate/log_loss": Number(value=nan, reason="records are partial"),
        },
        labels=tuple(labels),
        columns={
            "support": (5.0,) * n,
            "f1": tuple(0.9 - i / 1000 for i in range(n)),
            "f1_low": (0.5,) * n,
            "f1_high": (0.97,) * n,
            "recall": (None,) * (n - 1) + (0.8,),
        },
        cells=HeldCells(counts=counts),
        curve=CountCurve(tp=(9, 9, 4), fp=(1, 0, 0), support=10),
    )
    return replace(held, **changed)


def version(name, test_set="A", held=None, **changed):
    """One version of the project."""
    fields = {"run_id": f"run-{name}", "name": name, "test_set": test_set, "images": "10"}
    fields |= {"task": "classification", "trained_ms": 1690474772815, "held": held or hold()}
    return PageVersion(**fields | changed)


def render(*versions, project="pets", **options):
    """The page as text."""
    return render_project_page(project, versions, headlines=HEADLINES, **options).decode()


def data_in(page):
    """What is embedded in a page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_says_first_that_test_sets_differ():
    """Before any number: which versions were tested on which images."""
    text = _Elements(render(version("v1"), version("v2", test_set="B"))).text

    assert text.index("numbers compare only within a test set (A, B)") < text.index("2 versions")
    assert "Test set B: 10 images, v2" in " ".join(text.split())


def test_the_page_says_nothing_of_test_sets_that_are_one():
    """Versions of one test set need no warning."""
    assert "Not all versions" not in _Elements(render(version("v1"), version("v2"))).text


def test_the_page_holds_the_numbers_that_were_logged(pets):
    """Of each number value and interval, of each label too, as the run's own file has them."""
    metrics = compute_metrics(pets)
    held = parse_held(describe_tables(pets, metrics)["evaluation.json"])
    (entry,) = data_in(render(version("v1", held=held)))["versions"]

    accuracy = metrics.aggregate["accuracy"]
    expected = [float(f"{x:.6g}") for x in (accuracy.value, accuracy.low, accuracy.high)]
    assert entry["held"]["numbers"]["aggregate/accuracy"] == expected
    assert entry["held"]["columns"]["f1"] == [float(f"{x:.6g}") for x in metrics.per_label.f1]
    assert entry["held"]["cells"]["counts"] == [0, 0, 1, 1, 0, 1, 1, 1, 2]


def test_an_undefined_number_has_its_reason():
    """Never 0, never nothing."""
    (entry,) = data_in(render(version("v1")))["versions"]

    assert entry["held"]["numbers"]["aggregate/log_loss"] == [
        None,
        None,
        None,
        "records are partial",
    ]


def test_names_are_never_markup():
    """Projects, versions, labels, addresses: none of them makes an element or ends the data."""
    plain = _Elements(render(version("v1"))).found
    hostile = version(HOSTILE[0], held=hold(labels=HOSTILE), colour="red;}*{", report=HOSTILE[1])
    page = render(hostile, project=HOSTILE[2], charts="http://h/#<b>")

    found = _Elements(page).found
    charts = [("p", {}), ("a", {"href": "http://h/#<b>"}), ("code", {"class": "address"})]
    assert [tag for tag, _ in found if tag in {"img", "b", "link", "iframe"}] == []
    assert len(found) == len(plain) + len(charts)
    assert data_in(page)["label_lists"] == [[*HOSTILE]]
    assert data_in(page)["versions"][0]["colour"] == ""


def test_the_page_forbids_itself_the_network():
    """A policy in the page itself, wherever it is opened."""
    assert "default-src 'none'" in render(version("v1"))


def test_without_a_script_the_headline_numbers_are_there():
    """In a table that needs none."""
    text = _Elements(render(version("v1"))).text

    assert "0.900 (0.600–0.980)" in text


def test_labels_that_are_not_drawn_are_counted_together():
    """Mistakes among them are mistakes of the rest, and what is right among them is told apart."""
    cells = ((0, 0, 5), (1, 1, 4), (1, 2, 3), (2, 2, 2), (0, 2, 1))
    drawn = draw_cells(hold(labels=("a", "b", "c"), counts=cells), {"a"}).cells

    assert sorted(drawn.counts) == [(OTHER, OTHER, 9), (0, OTHER, 1), (0, 0, 5)]
    assert (drawn.drawn, drawn.right) == ((0,), 6)


def test_the_labels_of_the_project_are_drawn():
    """Those that were chosen for all its versions, in label order, as far as they are there."""
    names = [f"l{i}" for i in range(30)]
    chosen = [f"l{i}" for i in range(24)]

    assert choose_drawn([hold(labels=names)], [*chosen[1:], "gone"]) == tuple(chosen[1:])


def test_few_labels_are_all_drawn():
    """Of several versions those of each, the order that of the oldest."""
    found = [hold(labels=("b", "a"), counts=()), hold(labels=("a", "c"), counts=())]

    assert choose_drawn(found) == ("b", "a", "c")


def test_without_a_choice_the_most_confused_labels_are_drawn():
    """Mistakes of all versions count together."""
    names = [f"l{i}" for i in range(30)]
    found = [hold(labels=names, counts=((29, 28, 3), (5, 5, 99))), hold(labels=names, counts=())]

    assert {"l28", "l29"} <= set(choose_drawn(found))
    assert len(choose_drawn(found)) == 24


def test_a_page_is_read_again_as_it_was_made():
    """A later page takes from it what it shows, without the runs."""
    found = {"run-v1": hold(), "run-v2": hold(labels=("cat", "dog", "emu"), counts=())}
    page = render(version("v1"), version("v2", held=found["run-v2"]))

    again = read_project_page(page.encode())
    assert render(version("v1", held=again["run-v1"]), version("v2", held=again["run-v2"])) == page


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>",
        b'<script type="application/json" id="data">[1]</script>',
        b'<script type="application/json" id="data">{"schema": 1}</script>',
        b'<script type="application/json" id="data">{"schema": 1, "label_lists": [], '  # noqa: ISC004
        b'"versions": [{"run": "a", "is_read": true, "held": {"labels": 7}}]}</script>',
        b'<script type="application/json" id="data">{"schema": 0, "versions": []}</script>',
    ],
)
def test_what_is_no_such_page_holds_nothing(page):
    """Of another edition, cut, or somebody else's: it is read from the runs then."""
    assert read_project_page(page) == {}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"aggregate": 3}', b'{"labels": 7}'])
def test_a_file_that_is_not_what_a_run_holds_is_refused(content):
    """With what it should have been."""
    with pytest.raises(EvaluationError, match=r"evaluation\.json"):
        parse_held(content)


def test_a_hundred_versions_of_250_labels_are_all_there():
    """Nothing is left out, and the page is small enough to open at once."""
    names = [f"a label of some length {i}" for i in range(250)]
    cells = tuple((i, (i * k) % 250, 1 + k) for i in range(250) for k in range(1, 12))
    columns = {
        f"{name}{end}": tuple(0.123456 + i / 1000 for i in range(250))
        for name in ("f1", "precision", "recall")
        for end in ("", "_low", "_high")
    }
    held = hold(labels=names, counts=cells, columns=columns)
    page = render(*(version(f"v{i}", held=held) for i in range(100)))

    assert len(page.encode()) <= MAX_BYTES
    assert len(data_in(page)["versions"]) == 100
    assert {len(v["held"]["columns"]) for v in data_in(page)["versions"]} == {9}


def test_what_a_page_leaves_out_is_said():
    """Of more versions and labels than there is room for, the newest, and the most frequent."""
    names = [f"{i} {'x' * 250}" for i in range(1500)]
    columns = {"support": tuple(map(float, range(1500))), "f1": (0.123456,) * 1500}
    held = hold(labels=names, counts=((0, 1, 5),), columns=columns)
    page = render(*(version(f"v{i}", held=held) for i in range(130)))
    text = " ".join(_Elements(page).text.split())

    assert len(page.encode()) <= MAX_BYTES
    assert "of 130 versions are here" in text
    assert "of 1500 labels are here" in text
    assert data_in(page)["versions"][-1]["name"] == "v129"


def test_a_version_whose_run_cannot_be_read_is_named():
    """Its numbers of all labels are there all the same."""
    text = _Elements(render(version("v1"), version("v2", is_read=False))).text

    assert "v2 only the numbers of all labels are here" in " ".join(text.split())


def test_one_version_alone_has_a_page():
    """Nothing to compare is no reason for an error."""
    assert "1 version<" in render(version("only"))


def test_a_version_without_images_has_its_reported_numbers():
    """No matrix, no curve, no labels: what the service says is there."""
    held = HeldNumbers(numbers={"reported/f1": Number(value=0.7)})
    page = render(version("v1", test_set="", images="", held=held))

    assert data_in(page)["versions"][0]["held"]["numbers"] == {"reported/f1": [0.7]}
    assert "0.700" in _Elements(page).text


def test_the_page_that_moved_names_where_it_is_now():
    """As a link and as text to copy, and no more than that."""
    page = render_moved_page(HOSTILE[0], "http://h/#/experiments/1/runs/b", "").decode()
    found = _Elements(page)

    assert ("a", {"href": "http://h/#/experiments/1/runs/b"}) in found.found
    assert HOSTILE[0] in found.text
    assert found.text.count("http://h/#/experiments/1/runs/b") == 1
    assert read_project_page(page.encode()) == {}
