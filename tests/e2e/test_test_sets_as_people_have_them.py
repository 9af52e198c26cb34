"""`mlrek evaluate` on the files that tools and labelling jobs leave behind."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

CASES = Path(__file__).parents[1] / "data" / "cases"
DOCUMENTS = CASES / "one-document-instead-of-lines"
UNLABELLED = CASES / "unlabelled-images"


@pytest.fixture
def evaluate(run_mlrek, new_store):
    """Evaluate a version; the exit code, the numbers by name, and doubts or an error."""

    def run(version, manifest, responses):
        args = ["evaluate", version, "--on", manifest, "--responses", responses, "--json"]
        done = run_mlrek(*args, "--tracking-uri", new_store, check=False)
        if not done.stdout:
            return done.returncode, {}, done.stderr
        (version,) = json.loads(done.stdout)["versions"]
        numbers = MlflowClient(new_store).get_run(version["run_id"]).data.metrics
        said = "\n".join(doubt["text"] for doubt in version["doubts"])
        return done.returncode, numbers, said

    return run


@pytest.mark.parametrize(
    ("manifest", "responses"),
    [
        ("ok.manifest", "ok.jsonl"),
        ("entries.json", "ok.jsonl"),
        ("entries_one_line.json", "ok.jsonl"),
        ("array.manifest", "ok.jsonl"),
        ("utf16.manifest", "ok.jsonl"),
        ("ok.manifest.gz", "ok.jsonl"),
        ("ok.manifest", "resp_dict.json"),
        ("ok.manifest", "resp_array.json"),
    ],
)
def test_documents_are_read_where_their_meaning_is_plain(evaluate, manifest, responses):
    """All three labelled images are answered rightly: accuracy 1, whatever the form."""
    code, numbers, _ = evaluate(DOCUMENTS / "version", DOCUMENTS / manifest, DOCUMENTS / responses)
    assert code == 0
    assert numbers["aggregate/accuracy"] == 1.0


@pytest.mark.parametrize(
    ("responses", "reason"),
    [
        ("resp_pretty.json", "an answer of DetectCustomLabels that names no image; this makes a"),
        (
            "resp_fraction.jsonl",
            "are fractions (none is above 1), but DetectCustomLabels gives",
        ),
    ],
)
def test_what_means_nothing_is_one_line(evaluate, responses, reason):
    """It fails and says what to do."""
    code, numbers, said = evaluate(
        DOCUMENTS / "version", DOCUMENTS / "ok.manifest", DOCUMENTS / responses
    )
    assert (code, numbers, len(said.splitlines())) == (1, {}, 1)
    assert reason in said


@pytest.mark.parametrize("name", ["boxes-failed", "boxes-not-labelled", "boxes-only-source-ref"])
def test_boxes_of_images_that_nobody_has_labelled(evaluate, name):
    """Three labelled images with all boxes found: AP and AR are 1, the fourth image is left out."""
    code, numbers, said = evaluate(
        UNLABELLED / "detector", UNLABELLED / f"{name}.manifest", UNLABELLED / "boxes.jsonl"
    )
    assert code == 0
    assert numbers["aggregate/ap"] == 1.0
    assert numbers["aggregate/ar_100"] == 1.0
    assert "1 of 4 lines of the test set are of images that nobody has labelled" in said


def test_an_empty_list_of_boxes_is_an_image_without_objects(evaluate):
    """Per label one false alarm before 3 right ones of 3: precision 3/4 at every recall."""
    code, numbers, said = evaluate(
        UNLABELLED / "detector", UNLABELLED / "boxes-empty.manifest", UNLABELLED / "boxes.jsonl"
    )
    assert code == 0
    assert numbers["aggregate/ap"] == pytest.approx(0.75)
    assert "nobody has labelled" not in said


def test_labels_of_images_that_nobody_has_labelled(evaluate):
    """3 of 3 labels of two images are found and nothing else is: F1 is 1."""
    code, numbers, said = evaluate(
        UNLABELLED / "multilabel",
        UNLABELLED / "labels-not-labelled.manifest",
        UNLABELLED / "labels.jsonl",
    )
    assert code == 0
    assert numbers["aggregate/f1_micro"] == 1.0
    assert "1 of 3 lines of the test set are of images that nobody has labelled" in said


def test_an_attribute_renamed_without_its_metadata(evaluate):
    """It is named, with its missing half."""
    manifest = CASES / "small-messages" / "half-renamed.manifest"
    code, _, said = evaluate(DOCUMENTS / "version", manifest, DOCUMENTS / "ok.jsonl")
    assert code == 1
    assert (
        "'auto-label-metadata' stands alone on all lines: its attribute 'auto-label' is missing"
    ) in said
