"""The page of a comparison: what it holds, and that it is safe and never too large."""

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from fakes.large_evaluation import make_large_evaluation
from PIL import Image

from mlrek.comparison import Scope
from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.render.comparison import write_summary
from mlrek.render.comparison_page import MAX_IMAGES, MAX_MOVES, render_comparison_page
from mlrek.render.report import MAX_BYTES

HOSTILE = ("<script>alert(1)</script>", "</script><!--", "\"'>\u202ex", "{{ 7 * 7 }}", "x" * 256)


def build(y_true, y_pred, **options):
    """One record an image."""
    records = [[(code, 0.9)] for code in y_pred]
    return build_evaluation([[code] for code in y_true], records, **options)


def named(evaluation, name):
    """The same of a version with another name."""
    return replace(evaluation, version=replace(evaluation.version, name=name, arn=f"arn:{name}"))


def compare(baseline, candidate):
    """Two evaluations compared."""
    sides = (Side(evaluation=side) for side in (baseline, candidate))
    return compare_versions(*sides, CompareSettings())


@pytest.fixture(scope="module")
def pair():
    """Six images: one is fixed, two are broken, one is wrong in another way, two stay right."""
    y_true = [0, 0, 1, 1, 2, 2]
    old, new = build(y_true, [1, 0, 1, 1, 0, 2]), build(y_true, [0, 1, 0, 1, 1, 2])
    return named(old, "old"), named(new, "new")


@pytest.fixture(scope="module")
def large():
    """Two versions with 250 labels and 250,000 images, of which a fifth is answered otherwise."""
    baseline = make_large_evaluation(250_000, 250, 1)
    rng = np.random.default_rng(5)
    label_idx = baseline.records.label_idx.copy()
    other = rng.random(len(label_idx)) < 0.2
    label_idx[other] = rng.integers(0, 250, other.sum())
    candidate = replace(baseline, records=replace(baseline.records, label_idx=label_idx))
    return compare(baseline, candidate), candidate


def test_page_and_summary_show_the_parts_with_their_intervals():
    """Of 60 images a third is answered otherwise: the model's part and its interval in points."""
    y_true = [0, 1] * 30
    old = build(y_true, [0, 0, 1] * 20)
    new = named(build(y_true, y_true), "new")
    comparison = compare(old, new)
    why = comparison.why["aggregate/f1_macro"]
    low, high = why.intervals["model"]
    shown = f"{100 * why.model:+.2f} ({100 * low:+.1f} to {100 * high:+.1f})"

    assert 0 < low < why.model < high
    assert f'<td class="n">{shown}</td>' in render_comparison_page(comparison, new).decode()
    assert "| points of change | F1 macro |" in write_summary(comparison)
    assert f"| the model | {shown} |" in write_summary(comparison)


def test_the_galleries_hold_what_was_fixed_broken_and_changed(pair, data_of):
    """By image: truth, the baseline's answer and the candidate's, each with its confidence."""
    data = data_of(render_comparison_page(compare(*pair), pair[1]).decode())
    changes = {
        kind: [[data["images"]["names"][change[0]], *change[1:]] for change in found]
        for kind, found in data["changes"].items()
    }

    assert data["totals"] == {"broken": 2, "fixed": 1, "changed": 1}
    assert changes["fixed"] == [["0", [0], [1], 0.9, [0], 0.9]]
    assert changes["broken"] == [
        ["1", [0], [0], 0.9, [1], 0.9],
        ["2", [1], [1], 0.9, [0], 0.9],
    ]
    assert changes["changed"] == [["4", [2], [0], 0.9, [1], 0.9]]


def test_the_cells_hold_the_images_that_moved(pair, data_of):
    """Image 0 left (a, b) for (a, a); every count is what its moves add up to."""
    data = data_of(render_comparison_page(compare(*pair), pair[1]).decode())
    names = data["images"]["names"]
    moves = {(names[i], row, column, change) for i, row, column, change in data["moves"]}
    sums = {}
    for _, row, column, change in moves:
        sums[row, column] = sums.get((row, column), 0) + change

    assert {("0", 0, 1, -1), ("0", 0, 0, 1)} <= moves
    assert {(i, j): n for i, j, n in data["cells"]} == {cell: n for cell, n in sums.items() if n}
    assert data["moves_total"] == len(moves) == 8


def test_the_baseline_s_own_cells_go_with_the_changes(pair, data_of):
    """Of six images: a as b and as a, b twice right, c as a and as c."""
    data = data_of(render_comparison_page(compare(*pair), pair[1]).decode())

    assert data["baseline_cells"][:3] == [[0, 1, 1, 1], [1, 2], [0, 1, 2, 1]]
    assert data["drawn"] == []


def test_of_many_labels_those_of_the_project_are_drawn_else_those_that_changed_most(data_of):
    """Of 30: the labels that were named, in their order; else 24, without those that stayed."""
    y_true = [code for code in range(30) for _ in range(2)]
    answers = [(code + 1) % 30 if i % 2 and code < 24 else code for i, code in enumerate(y_true)]
    labels = [f"label {code}" for code in range(30)]
    old, new = (
        named(build(y_true, codes, labels=labels), n)
        for codes, n in ((y_true, "old"), (answers, "new"))
    )
    comparison = compare(old, new)
    chosen = [f"label {code}" for code in range(29, 5, -1)]

    assert data_of(render_comparison_page(comparison, new).decode())["drawn"] == [*range(24)]
    page = render_comparison_page(comparison, new, drawn_labels=chosen).decode()
    assert data_of(page)["drawn"] == [*range(29, 5, -1)]


def test_the_numbers_are_those_of_the_comparison(pair, data_of):
    """Each once, in a table that needs no script: both values, difference, interval, p, verdict."""
    comparison = compare(*pair)
    page = render_comparison_page(comparison, pair[1]).decode()
    by_name = {d.name: d for d in comparison.differences if d.scope is Scope.SHARED and not d.label}
    accuracy = by_name["aggregate/accuracy"]
    row = page.partition('<th scope="row">accuracy</th>')[2].partition("</tr>")[0]
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", row)
    # mid-p of 1 against 2 images: 2 (P(X < 1) + P(X = 1) / 2) of 3 fair coins = 0.625
    low, high = (f"{end:+.4f}".replace("-", "−") for end in (accuracy.low, accuracy.high))

    assert page.count('<th scope="row">accuracy</th>') == 1
    assert cells == ["0.6667", "0.5000", "−0.1667", f"{low} to {high}", "0.62", "undecided"]
    assert "-0.1667" not in page
    assert "f1_macro" not in page.partition('<script type="application/json"')[0]
    rows = data_of(page)["label_numbers"]["rows"]
    assert {row["name"] for row in rows} <= {"a", "b", "c"}


def test_the_page_says_what_the_two_are_and_were_tested_on(pair):
    """Names, the verdict before all, and the test sets."""
    page = render_comparison_page(compare(*pair), pair[1]).decode()

    assert "<title>new against old" in page
    assert page.index('id="verdict"') < page.index('id="numbers"') < page.index('id="images"')
    assert "arn:old" in page
    assert "images that both were tested on" in page


def test_hostile_names_are_text(data_of):
    """Of labels, files and versions: none ends the script, opens an element or runs a template."""
    images = [f"s3://b/{name}.png" for name in HOSTILE]
    y_true = [0, 1, 2, 3, 4]
    options = {"labels": HOSTILE, "images": images}
    old = named(build(y_true, [1, 1, 2, 3, 4], **options), HOSTILE[1])
    new = named(build(y_true, [0, 2, 2, 3, 0], **options), HOSTILE[0])
    page = render_comparison_page(compare(old, new), new).decode()
    data = data_of(page)

    assert data["labels"][:5] == list(HOSTILE)
    assert data["names"] == [HOSTILE[1], HOSTILE[0]]
    assert HOSTILE[0] not in page
    assert page.count("<script") == 2
    assert "49" not in "".join(data["labels"])


def test_a_large_comparison_is_cut_and_says_so(large, data_of):
    """250,000 images with noise for pictures: at most 3 MB, and the totals are of all of it."""
    comparison, candidate = large
    noise = np.random.default_rng(0)
    asked = []

    def read(uris):
        asked.extend(uris)
        for _ in uris:
            buffer = BytesIO()
            pixels = noise.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
            yield buffer.getvalue()

    page = render_comparison_page(comparison, candidate, read)
    data = data_of(page.decode())

    assert len(page) <= MAX_BYTES
    assert 0 < len(asked) <= 300
    assert data["images"]["thumbnails"]
    assert data["totals"]["broken"] == len(comparison.broken) > 30_000
    assert len(data["changes"]["broken"]) <= MAX_IMAGES
    assert len(data["moves"]) <= MAX_MOVES < data["moves_total"]


def test_names_without_end_do_not_make_it_larger(data_of):
    """20,000 broken images whose names have 400 characters and nothing in common."""
    n = 20_000
    rng = np.random.default_rng(2)
    images = [f"{row.tobytes().hex()}.png" for row in rng.integers(0, 256, (n, 200), np.uint8)]
    options = {"n_labels": 2, "images": images}
    old, new = build([0] * n, [0] * n, **options), build([0] * n, [1] * n, **options)
    page = render_comparison_page(compare(old, new), new)

    assert len(page) <= MAX_BYTES
    assert data_of(page.decode())["totals"]["broken"] == n


def test_pictures_belong_to_their_images(pair, data_of):
    """The first image that can be read is red; one that cannot has none."""
    asked = []

    def read(uris):
        asked.extend(uris)
        buffer = BytesIO()
        Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
        return [b"", *[buffer.getvalue()] * (len(uris) - 1)]

    data = data_of(render_comparison_page(compare(*pair), pair[1], read).decode())
    with_picture = {data["images"]["names"][int(i)] for i in data["images"]["thumbnails"]}

    assert with_picture == set(asked[1:])
    assert all(uri.startswith("data:image/") for uri in data["images"]["thumbnails"].values())


def test_a_comparison_without_shared_images_has_a_page(pair, data_of):
    """Nothing was fixed or broken, and the page says why."""
    old, new = pair
    other = replace(new, images=tuple(f"other-{i}" for i in range(6)))
    page = render_comparison_page(compare(old, other), other).decode()

    assert data_of(page)["totals"] == {"broken": 0, "fixed": 0, "changed": 0}
    assert data_of(page)["cells"] == []
