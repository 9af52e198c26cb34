"""Predictions of a model from anywhere as a source: whose they are, and what makes them others."""

import json
from dataclasses import replace

import pytest
from builders.evaluations import build_evaluation

from mlrek.errors import EvaluationError, SourceError, SourceNotFoundError, UsageError
from mlrek.evaluation import Provider
from mlrek.formats.predictions import Unmatched
from mlrek.formats.stored import dump_evaluation
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.numbers import list_numbers
from mlrek.sources import open_predictions, open_source
from mlrek.sources.archive import write_archive
from mlrek.sources.custom import CustomOptions, name_version, parse_custom_arn, parse_project

ARN = "arn:aws:rekognition:us-east-1:111122223333:project/digits/1772442724118"
NAMED = CustomOptions(project="pets", version="v3")


@pytest.fixture
def stored(tmp_path):
    """An `evaluation.parquet` of two images."""
    file = tmp_path / "evaluation.parquet"
    file.write_bytes(dump_evaluation(build_evaluation([[0], [1]], [[(0, 0.9)], [(0, 0.8)]])))
    return file


@pytest.fixture
def answers(tmp_path):
    """Truth of two images, and what a model answered: the first is right, the second wrong."""
    folder = tmp_path / "answers"
    folder.mkdir()
    write_truth(folder / "truth.manifest", {"1.jpg": "cat", "2.jpg": "dog"})
    write_answers(folder / "answers.jsonl", {"1.jpg": "cat", "2.jpg": "cat"})
    return folder


def write_truth(file, labels):
    """A Ground Truth manifest."""
    file.write_text(
        "".join(
            json.dumps({"source-ref": image, "pet": 1, "pet-metadata": {"class-name": label}})
            + "\n"
            for image, label in labels.items()
        )
    )


def write_answers(file, labels):
    """Saved answers of DetectCustomLabels, one label each."""
    file.write_text(
        "".join(
            json.dumps(
                {
                    "image": image,
                    "response": {"CustomLabels": [{"Name": label, "Confidence": 90.0}]},
                }
            )
            + "\n"
            for image, label in labels.items()
        )
    )


def open_answers(folder, **options):
    """The predictions of that folder with their truth."""
    chosen = replace(NAMED, truth=str(folder / "truth.manifest"), **options)
    return open_predictions(str(folder / "answers.jsonl"), chosen)


@pytest.mark.parametrize(
    ("text", "arn", "name"),
    [
        ("pets", "mlrek:project/pets", "pets"),
        ("mlrek:project/pets", "mlrek:project/pets", "pets"),
        ("Größe & Co. (1)", "mlrek:project/Größe & Co. (1)", "Größe & Co. (1)"),
        (ARN, ARN, "digits"),
        (ARN.rpartition("/")[0], ARN.rpartition("/")[0], "digits"),
        ("arn:aws:lookoutvision:eu-west-1:1234:project/eights", None, "eights"),
        ("projects/7/locations/us-central1/models/83", None, "83"),
        ("projects/7/locations/us-central1/datasets/ICN9", None, "ICN9"),
    ],
)
def test_a_project_is_an_arn_or_a_name(text, arn, name):
    """Any provider's project may be named; any other name makes one of its own."""
    project = parse_project(text)

    assert project.arn == (arn or text)
    assert project.name == name
    assert project.provider is Provider.CUSTOM


@pytest.mark.parametrize(
    "text",
    ["", " ", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[31m", "a ", "x" * 201, "\udc80"],
)
def test_names_that_cannot_be_are_wrong_usage(text):
    """A project's or version's name has no slash, no control character, no blank at its ends."""
    with pytest.raises(UsageError, match="--version"):
        name_version(CustomOptions(project="pets", version=text))
    with pytest.raises(UsageError, match="--project"):
        name_version(CustomOptions(project=text, version="v3"))


@pytest.mark.parametrize("text", ["arn:aws:s3:::bucket", f"{ARN}/x", ARN.replace("/", "/v/")])
def test_an_arn_of_something_else_is_wrong_usage(text):
    """What begins as an ARN and is none of a project is no name either."""
    with pytest.raises(UsageError, match="not the ARN of a project"):
        parse_project(text)


def test_a_version_is_named_below_its_project():
    """The version's ARN is the project's with /custom/ and its name, and can be read again."""
    version = name_version(CustomOptions(project=ARN, version="v3"))

    assert version.arn == f"{ARN}/custom/v3"
    assert parse_custom_arn(version.arn) == version


@pytest.mark.parametrize("text", ["data/custom/v3.csv", "s3://b/custom/v3.csv", f"{ARN}/custom/"])
def test_a_path_is_no_version_arn(text):
    """A folder may be called custom."""
    assert parse_custom_arn(text) is None


def test_both_names_are_asked_for():
    """Who names no project and no version learns the options."""
    with pytest.raises(UsageError, match=r"--project ARN or NAME and --version NAME"):
        name_version(CustomOptions(truth="x"))


def test_a_stored_evaluation_comes_back_whole(stored):
    """It is another version's now, with everything else that it was."""
    source = open_predictions(str(stored), NAMED)
    (entry,) = source.list_versions()

    evaluation = source.load(entry)

    assert evaluation.version.arn == "mlrek:project/pets/custom/v3"
    assert evaluation.version.project.provider is Provider.CUSTOM
    assert evaluation.images == ("0", "1")
    assert evaluation.records.confidence.tolist() == [0.9, 0.8]
    assert [file.role for file in evaluation.files] == ["predictions"]


def test_answers_meet_a_manifest(answers):
    """Predictions and truth in two files become one evaluation, the truth's file first."""
    source = open_answers(answers)

    evaluation = source.load(source.list_versions()[0])

    assert evaluation.labels == ("cat", "dog")
    assert evaluation.truth.label_idx.tolist() == [0, 1]
    assert evaluation.records.label_idx.tolist() == [0, 0]
    assert [file.role for file in evaluation.files] == ["ground_truth", "predictions"]


def test_predictions_without_truth_name_the_option(answers):
    """Nothing is computed where nobody says what is true."""
    source = open_predictions(str(answers / "answers.jsonl"), NAMED)

    with pytest.raises(SourceError, match=r"answers.jsonl: .*--truth FILE"):
        source.load(source.list_versions()[0])


@pytest.mark.parametrize("missing", ["predictions", "truth"])
def test_a_place_that_is_not_there_is_named(answers, missing):
    """Neither file may be missing."""
    places = {"predictions": answers / "answers.jsonl", "truth": answers / "truth.manifest"}
    places[missing] = answers / "nothing"

    with pytest.raises(SourceNotFoundError, match="nothing: no such file or folder"):
        open_predictions(str(places["predictions"]), replace(NAMED, truth=str(places["truth"])))


def test_options_make_it_another_state(answers):
    """What changes a number is seen before anything is read."""
    plain, other = open_answers(answers), open_answers(answers, unmatched=Unmatched.DROP)

    states = [source.read_state(source.list_versions()[0]) for source in (plain, other)]

    assert states[0] != states[1]
    files = [
        {(file.role, file.sha256) for file in source.load(source.list_versions()[0]).files}
        for source in (plain, other)
    ]
    assert files[0] < files[1]


def test_an_archive_gives_the_same_evaluation(answers, tmp_path):
    """What is archived is read again as a source, options and all."""
    source = open_answers(answers, unmatched=Unmatched.MISS)
    before = source.load(source.list_versions()[0])

    write_archive(source, tmp_path / "kept")
    for file in answers.iterdir():
        file.unlink()
    archived = open_source(str(tmp_path / "kept"))
    (entry,) = archived.list_versions()
    after = archived.load(entry)

    assert after.version == before.version
    assert after.records.confidence.tolist() == before.records.confidence.tolist()
    assert [(f.role, f.sha256) for f in after.files] == [(f.role, f.sha256) for f in before.files]
    kept = sorted(path.name for path in (tmp_path / "kept/versions/v3").iterdir())
    assert kept == ["answers.jsonl", "truth.manifest", "version.json"]


def test_a_guest_in_a_services_archive_leaves_its_head(stored, tmp_path):
    """A project's archive stays its service's when a model from anywhere joins it."""
    head = {"provider": "rekognition", "project_arn": ARN, "project_name": "digits"}
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/project.json").write_text(json.dumps(head))

    source = open_predictions(str(stored), CustomOptions(project=ARN, version="v3"))
    write_archive(source, tmp_path / "kept")

    assert json.loads((tmp_path / "kept/project.json").read_text()) == head
    (entry,) = open_source(str(tmp_path / "kept")).list_versions()
    assert entry.version.arn == f"{ARN}/custom/v3"


def test_a_lone_file_with_its_truth_is_a_source(stored):
    """It is called after its folder and itself, for whoever only looks at it."""
    (entry,) = open_source(str(stored)).list_versions()

    assert entry.version.name == "evaluation"
    assert entry.version.project.name == stored.parent.name
    assert entry.version.arn.startswith("local:project/")


@pytest.mark.parametrize("place", ["run/predictions.csv", "./run/predictions.csv", "run"])
def test_labels_next_to_own_predictions_give_their_order(tmp_path, monkeypatch, place):
    """The `labels.json` next to a run's `predictions.csv` counts, however the file is named."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "predictions.csv").write_text(
        "image,predicted,truth,confidence,outcome\n1.jpg,b,b,0.5,correct\n2.jpg,a,b,0.5,wrong\n"
    )
    (folder / "labels.json").write_text(
        '{"b": {"metric_key": "b", "index": 0, "display": "b"},'
        ' "a": {"metric_key": "a", "index": 1, "display": "a"}}'
    )
    monkeypatch.chdir(tmp_path)
    source = open_predictions(place, NAMED)

    assert source.load(source.list_versions()[0]).labels == ("b", "a")


def test_predictions_in_s3_meet_a_truth_on_disk(answers, s3_server):
    """Each file is read where it is."""
    s3_server.put("models", "v3/answers.jsonl", (answers / "answers.jsonl").read_bytes())
    chosen = replace(NAMED, truth=str(answers / "truth.manifest"))

    source = open_predictions("s3://models/v3/answers.jsonl", chosen)
    evaluation = source.load(source.list_versions()[0])

    assert evaluation.images == ("1.jpg", "2.jpg")


def list_all_numbers(evaluation):
    """Every number by its name and label."""
    rows = list_numbers(evaluation, compute_metrics(evaluation))
    return {(row.name, row.label): row.number.value for row in rows}


def test_all_numbers_of_all_examples_come_out_again(examples, tmp_path):
    """`evaluation.parquet` of any service's version gives the very same numbers as a custom one."""
    source, n_versions = open_source(str(examples)), 0
    for entry in source.list_versions():
        evaluation = source.load(entry)
        (tmp_path / "evaluation.parquet").write_bytes(dump_evaluation(evaluation))
        named = CustomOptions(project=entry.version.project.arn, version="again")
        again = open_predictions(str(tmp_path / "evaluation.parquet"), named)
        expected = list_all_numbers(evaluation)

        found = list_all_numbers(again.load(again.list_versions()[0]))

        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True), entry.version.arn
        n_versions += 1
    assert n_versions >= 15


def test_a_stored_evaluation_meets_another_truth(stored, tmp_path):
    """Its records count, its thresholds stay doubted, and the truth is the one that was named."""
    write_truth(tmp_path / "truth.manifest", {"0": "b", "1": "b"})
    named = replace(NAMED, truth=str(tmp_path / "truth.manifest"))
    source = open_predictions(str(stored), named)

    evaluation = source.load(source.list_versions()[0])

    assert evaluation.labels[0] == "b"
    assert evaluation.truth.label_idx.tolist() == [0, 0]
    assert evaluation.records.confidence.tolist() == [0.9, 0.8]
    assert "thresholds_fitted" in [doubt.kind for doubt in evaluation.doubts]


def test_a_bad_join_names_both_files(answers):
    """Predictions of other images are one line that says which files do not fit."""
    write_answers(answers / "answers.jsonl", {"9.jpg": "cat", "8.jpg": "dog"})
    source = open_answers(answers)

    with pytest.raises(EvaluationError, match=r"answers.jsonl with .*truth.manifest: not one"):
        source.load(source.list_versions()[0])
