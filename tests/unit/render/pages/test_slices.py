"""What pages hold of slices: rows, which images are in them, their matrices, within 3 MB."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from builders.slices import add_columns, write_difference, write_report, write_row
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.evaluation import SliceColumn, Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.slices import SliceJudgement, list_slices
from mlrek.metrics.test_set import take_images
from mlrek.render.comparison_page import render_comparison_page
from mlrek.render.report import render_report
from mlrek.render.slice_data import encode_members
from mlrek.sources import open_source

HOSTILE = "<script>alert(1)</script>\n\u202e= \"*'" + "y" * 10_000


@pytest.fixture(scope="module")
def answers():
    """Truth and top label of 400 images with three labels, their sites, and the evaluation."""
    rng = np.random.default_rng(5)
    truth, top = rng.integers(0, 3, (2, 400))
    site = rng.choice(["A", "B", "C"], 400)
    evaluation = build_evaluation(
        [[code] for code in truth.tolist()], [[(code, 0.9)] for code in top.tolist()]
    )
    return truth, top, site, add_columns(evaluation, site=site)


def make_report(evaluation, **facts):
    """A report of all slices of the columns, by the share of images that are right."""
    predictions = compute_metrics(evaluation, intervals=False).predictions
    is_right = np.ones(len(evaluation.images))
    is_wrong = predictions.y_true != predictions.y_pred
    is_right[predictions.image_idx[is_wrong]] = 0
    listed = list_slices(evaluation, [column.name for column in evaluation.slice_columns])
    rows = [write_row(one.name, one.images, is_right) for one in listed.slices]
    return write_report(rows, listed.columns, **facts)


def render(evaluation, report):
    """The report's page as text."""
    metrics = compute_metrics(evaluation, intervals=False)
    return render_report(evaluation, metrics, slices=report).decode()


def decode_matrix(text, size):
    """The counts of a matrix, read as the script does."""
    counts, cell = np.zeros(size * size, dtype=int), 0
    for part in filter(None, text.split(",")):
        distance, _, many = part.partition(":")
        cell += int(distance or "0", 36)
        counts[cell] = int(many or "1", 36)
    return counts.reshape(size, size)


def test_which_images_are_in_which_slice_can_be_read_again():
    """Slices without an image in common share codes of as few bits as they need."""
    rng = np.random.default_rng(2)
    columns = [rng.integers(0, n, 501) for n in (1, 3, 12, 300)]
    slices = [np.flatnonzero(column == k) for column in columns for k in range(column.max() + 1)]
    found = {}
    for own, text in encode_members(slices, 501, 10_000):
        bits = np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8))
        width = len(own).bit_length()
        codes = bits[: 501 * width].reshape(501, width) @ (1 << np.arange(width)[::-1])
        found |= {one: np.flatnonzero(codes == k) for k, one in enumerate(own, start=1)}

    assert sorted(found) == list(range(len(slices)))
    assert all(np.array_equal(found[k], images) for k, images in enumerate(slices))


def test_slices_past_the_room_are_left_out_from_the_end():
    """Their images are then not on the page, those of the first ones are."""
    halves = [np.arange(0, 300), np.arange(300, 600)]
    slices = [half for _ in range(4) for half in halves]

    kept = [one for own, _ in encode_members(slices, 600, 450) for one in own]
    assert kept == [0, 1, 2, 3]


def test_the_matrix_of_a_slice_is_that_of_its_images(answers, data_of):
    """Each as scikit-learn counts it on the images of the slice alone."""
    truth, top, site, evaluation = answers
    report = make_report(evaluation)
    held = data_of(render(evaluation, report))["slices"]

    assert len(held["matrices"]) == 3
    for row, text in zip(report.singles, held["matrices"], strict=True):
        inside = site == row.name.removeprefix("site=")
        expected = confusion_matrix(truth[inside], top[inside], labels=[0, 1, 2])
        assert np.array_equal(decode_matrix(text, 4)[:3, :3], expected)
        assert decode_matrix(text, 4).sum() == expected.sum()


def test_the_matrix_of_a_slice_of_several_labels_is_that_of_its_images(data_of):
    """What is found, missed and a false alarm of each label, as scikit-learn counts it."""
    rng = np.random.default_rng(8)
    y_true, y_pred = rng.random((2, 120, 3)) < 0.5
    site = rng.choice(["A", "B"], 120)
    evaluation = build_evaluation(
        [np.flatnonzero(row).tolist() for row in y_true],
        [[(code, 0.9 if row[code] else 0.1) for code in range(3)] for row in y_pred],
        task=Task.MULTILABEL,
        thresholds=[0.5] * 3,
    )
    evaluation = add_columns(evaluation, site=site)
    report = make_report(evaluation)
    held = data_of(render(evaluation, report))["slices"]

    for row, text in zip(report.singles, held["matrices"], strict=True):
        inside = site == row.name.removeprefix("site=")
        counts = multilabel_confusion_matrix(y_true[inside], y_pred[inside])
        found = decode_matrix(text, 4)
        assert found.diagonal()[:3].tolist() == counts[:, 1, 1].tolist()
        assert found[:3, 3].tolist() == counts[:, 1, 0].tolist()
        assert found[3, :3].tolist() == counts[:, 0, 1].tolist()


def test_the_matrix_of_a_slice_of_boxes_is_that_of_its_images(data_of, pytestconfig):
    """The same counts as of an evaluation that has these images alone."""
    source = open_source(str(pytestconfig.rootpath / "examples" / "detection"))
    evaluation = source.load(source.list_versions()[0])
    evaluation = add_columns(evaluation, site=["AB"[i % 2] for i in range(len(evaluation.images))])
    report = make_report(evaluation)
    held = data_of(render(evaluation, report))["slices"]
    n = len(evaluation.labels) + 1

    assert len(held["matrices"]) == 2
    for row, text in zip(report.singles, held["matrices"], strict=True):
        alone = compute_metrics(take_images(evaluation, row.images), intervals=False).confusion
        counts = np.zeros((n, n), dtype=int)
        counts[: len(alone.rows), : len(alone.columns)] = alone.counts
        assert np.array_equal(decode_matrix(text, n), counts)


def test_the_first_sentence_names_the_weak_slices_and_how_many_were_tried(answers):
    """Those that stand in another one are not named; where none is weak, that is said."""
    evaluation = answers[3]
    report = make_report(evaluation, n_tried=100, n_small=7)
    worst, other, last = report.singles
    weak = SliceJudgement.WORSE
    rows = (
        replace(worst, judgement=weak),
        replace(other, judgement=weak, part_of=worst.name),
        replace(last, judgement=SliceJudgement.BETTER),
    )
    page = render(evaluation, replace(report, singles=rows))
    none = render(
        evaluation,
        replace(
            report,
            singles=tuple(replace(row, judgement=SliceJudgement.UNDECIDED) for row in rows),
        ),
    )

    assert (
        f'1 of 100 slices tried is significantly weaker than the rest: <b title="{worst.name}">'
        f"<bdi>{worst.name}</bdi></b>." in page
    )
    assert "No slice of 100 tried is significantly weaker than the rest.</p>" in none
    assert "Not judged: 7 values with fewer than 20 images." in none


def test_a_page_without_columns_has_no_part_of_slices(answers, data_of):
    """The labels have a table of their own: slices of labels alone add no part and no script."""
    evaluation = replace(answers[3], slice_columns=())
    without = render(evaluation, None)
    labels = list_slices(evaluation, ["label"])
    is_right = np.arange(400) % 2
    report = write_report(
        [write_row(one.name, one.images, is_right) for one in labels.slices], labels.columns
    )

    assert 'id="slices"' not in without
    assert render(evaluation, report) == without
    assert data_of(without)["slices"] is None


def test_hostile_names_of_slices_are_text(answers, data_of):
    """In the sentence they are cut, with the whole in a title; the script has them as they are."""
    evaluation = replace(
        answers[3],
        slice_columns=(
            SliceColumn(name=HOSTILE[:25], values=(HOSTILE, "b"), codes=np.arange(400) % 2),
        ),
    )
    report = make_report(evaluation)
    weak = tuple(replace(row, judgement=SliceJudgement.WORSE) for row in report.singles)
    page = render(evaluation, replace(report, singles=weak))
    rows = data_of(page)["slices"]["rows"]

    assert page.count("<script") == 2
    assert [HOSTILE[:25]] == rows["columns"]
    assert [f"{HOSTILE[:25]}={HOSTILE}"] in rows["names"]


@pytest.fixture(scope="module")
def compared(answers):
    """Two versions on the images of the answers, with a slice a site, and the candidate."""
    truth, top, site, candidate = answers
    baseline = build_evaluation(
        [[code] for code in truth.tolist()],
        [[(code, 0.9)] for code in np.roll(top, 1).tolist()],
    )
    sides = (Side(evaluation=side) for side in (baseline, candidate))
    comparison = compare_versions(*sides, CompareSettings(intervals=False))
    slices = tuple(
        write_difference(f"site={one}", map(str, np.flatnonzero(site == one)), 0.5, 0.4, p)
        for one, p in zip("ABC", (0.001, 0.6, 1.0), strict=True)
    )
    return replace(comparison, slices=slices, n_slices_tried=3), candidate


def test_a_comparison_names_the_slices_that_got_worse(compared, data_of):
    """With the candidate's images of each slice, and both values in its rows."""
    page = render_comparison_page(*compared).decode()
    rows = data_of(page)["slices"]["rows"]

    assert "1 of 3 slices tried got significantly worse:" in page
    assert '<b title="site=A"><bdi>site=A</bdi></b>.' in page
    assert rows["names"] == [["site=A"], ["site=B"], ["site=C"]]
    assert (rows["first"], rows["second"]) == ([0.5] * 3, [0.4] * 3)
    assert rows["judgement"] == ["worse", "undecided", "undecided"]


def test_changes_of_a_slice_are_counted_where_a_page_cannot_hold_all_images(
    answers, compared, data_of, monkeypatch
):
    """They are scikit-learn's matrix of the candidate minus that of the baseline."""
    monkeypatch.setattr("mlrek.render.comparison_page.MAX_MOVES", 10)
    truth, top, site, _ = answers
    held = data_of(render_comparison_page(*compared).decode())["slices"]
    before = np.roll(top, 1)

    for one, text in zip("ABC", held["matrices"], strict=True):
        inside = site == one
        expected = confusion_matrix(truth[inside], top[inside]) - confusion_matrix(
            truth[inside], before[inside]
        )
        assert np.array_equal(decode_matrix(text, 3), expected)
