"""The tables that mlrek writes itself are read: numbers made from decisions come out again."""

from dataclasses import replace

import pytest
from builders.answers import VERSION
from builders.tables import answer, list_truth, make_files

from mlrek.errors import ParseError
from mlrek.formats.forms import read_answers
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.stored import dump_evaluation
from mlrek.formats.tables import read_table_answers, read_table_truth, seems_table
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.test_set import count_once
from mlrek.render.document import describe_tables
from mlrek.sources import AwsOptions, open_source

DECIDED = ("accuracy", "hamming_loss", "mcc", "cohen_kappa", "subset_accuracy")
AVERAGES = ("micro", "macro", "weighted", "samples")
AVERAGED = tuple(f"{n}_{a}" for n in ("precision", "recall", "f1", "jaccard") for a in AVERAGES)
"""Those of a positive class need its name, which the table does not have."""


def load_versions(folder):
    """Every version of an example with its numbers and its tables."""
    source = open_source(str(folder), AwsOptions())
    for version in source.list_versions():
        evaluation = count_once(source.load(version))
        if evaluation.images:
            metrics = compute_metrics(evaluation, intervals=False)
            yield evaluation, metrics, describe_tables(evaluation, metrics)


def join(evaluation, answers):
    """The evaluation that answers make with their own truth."""
    return join_answers(evaluation.version, answers.truth, answers, JoinOptions())


@pytest.mark.parametrize(
    "example", ["digits", "multilabel", "lookout-classification", "automl-flowers", "vertex"]
)
def test_numbers_of_decisions_come_out_again(examples, example):
    """`predictions.csv` with `labels.json` gives each number made from predicted labels again."""
    n_versions = 0
    for evaluation, metrics, tables in load_versions(examples / example):
        names = {name: tables[name] for name in ("predictions.csv", "labels.json")}
        again = join(evaluation, read_table_answers(make_files(names)))
        found = compute_metrics(again, intervals=False)
        expected = {
            name: number.value
            for name, number in metrics.aggregate.items()
            if name in DECIDED + AVERAGED
        }
        n_versions += 1

        assert again.labels == metrics.labels
        assert set(again.images) == set(evaluation.images)
        assert {name: found.aggregate[name].value for name in expected} == pytest.approx(
            expected, abs=1e-12, rel=0, nan_ok=True
        )
        assert found.confusion.counts.tolist() == metrics.confusion.counts.tolist()
    assert n_versions


def test_an_image_without_a_prediction_stays_unanswered():
    """In `predictions.csv`, and in `evaluation.parquet` as predictions of a truth of its own."""
    rows = "a,cat,cat,0.5,correct\nb,(none),cat,,wrong\n"
    again = answer({"predictions.csv": f"image,predicted,truth,confidence,outcome\n{rows}"})
    evaluation = join_answers(VERSION, again.truth, again, JoinOptions())
    stored = read_answers(make_files(dump_evaluation(evaluation)))
    joined = join_answers(VERSION, stored.truth, stored, JoinOptions())

    for one in (evaluation, joined):
        found = [(doubt.kind, doubt.count, doubt.of) for doubt in one.doubts]
        assert found == [("unanswered", 1, 2)]


def test_an_image_without_truth_stays_unlabelled():
    """Of one label an image, `(none)` is no label."""
    rows = "a,cat,cat,0.5,correct\nb,cat,(none),0.5,no truth\n"
    table = {"predictions.csv": f"image,predicted,truth,confidence,outcome\n{rows}"}

    for truth in (answer(table).truth, read_table_truth(make_files(table))):
        assert list_truth(truth) == {"a": ["cat"]}
        assert [(doubt.kind, doubt.count) for doubt in truth.doubts] == [("truth_unknown", 1)]


def test_truth_of_own_table_is_read_alone(examples):
    """`predictions.csv` given as the truth gives its truth."""
    evaluation, _, tables = next(load_versions(examples / "multilabel"))
    names = {name: tables[name] for name in ("predictions.csv", "labels.json")}
    ends = evaluation.truth.offsets.tolist()
    codes = evaluation.truth.label_idx.tolist()

    truth = read_table_truth(make_files(names))

    assert list_truth(truth) == {
        image: [evaluation.labels[code] for code in codes[ends[i] : ends[i + 1]]]
        for i, image in enumerate(evaluation.images)
    }


@pytest.mark.parametrize(
    ("example", "said"), [("detection", "boxes"), ("lookout-segmentation", "areas of pixels")]
)
def test_boxes_and_areas_are_refused(examples, example, said):
    """A table of boxes or areas of pixels does not hold all that numbers are made from."""
    _, _, tables = next(load_versions(examples / example))

    with pytest.raises(ParseError, match=f"predictions.csv of {said}"):
        answer({"predictions.csv": tables["predictions.csv"]})


def test_labels_keep_their_own_names(examples):
    """Labels named like mlrek's own rows, or like formulas, come back as they were."""
    evaluation, _, _ = next(load_versions(examples / "digits"))
    odd = ("(none)", '"(none)"', "=1+1", "'x", "a,b", 'say "hi"', "-", "@me", " x", "(other)")
    odd = replace(evaluation, labels=odd[: len(evaluation.labels)])
    tables = describe_tables(odd, compute_metrics(odd, intervals=False))
    both = {name: tables[name] for name in ("predictions.csv", "labels.json")}

    assert read_table_answers(make_files(both)).labels == odd.labels
    alone = read_table_answers(make_files({"": tables["predictions.csv"]}))
    assert alone.labels == tuple(sorted(odd.labels))
    assert any("no labels.json" in said for said in alone.warnings)


def test_folder_of_a_run_is_recognised(examples):
    """All artifacts of a run in one folder are a table of predictions."""
    _, metrics, tables = next(load_versions(examples / "digits"))
    files = make_files(tables)

    assert seems_table(files)
    assert read_answers(files).labels == metrics.labels
    pictures = {f"images/{i}.jpg": b"" for i in range(99)} | {f"p/{i}.jpg": b"" for i in range(99)}
    assert read_answers(make_files(tables | pictures)).labels == metrics.labels


@pytest.mark.parametrize("row", [1, 2])
@pytest.mark.parametrize("read", [read_table_answers, read_table_truth])
def test_a_row_without_an_image_is_refused(row, read):
    """It counts for no image, least of all for the last one."""
    rows = ["b,cat,cat,1,correct\n"]
    rows.insert(row - 1, ",cat,(none),0.5,no truth\n")
    content = f"image,predicted,truth,confidence,outcome\n{''.join(rows)}"
    with pytest.raises(ParseError, match=f"row {row}: names no image"):
        read(make_files({"predictions.csv": content}))
