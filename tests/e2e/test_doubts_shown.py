"""A doubt stands wherever somebody looks at a version: files, JSON, terminal, note and page."""

import json
import shutil
from html import unescape
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlrek.tracking import part_tags

VERSION = "v2-linear"
MANIFEST = f"TestingGroundTruth-digits-{VERSION}.json"


@pytest.fixture
def repeated(tmp_path, digits) -> Path:
    """The digits' second version, with the first line of its manifest three times."""
    folder = tmp_path / "digits"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(digits / "project.json", folder)
    version = Path(shutil.copytree(digits / "versions" / VERSION, folder / "versions" / VERSION))
    lines = (version / MANIFEST).read_text().splitlines(keepends=True)
    (version / MANIFEST).write_text("".join([lines[0], lines[0], *lines]))
    return folder


def kinds(described):
    """The kinds in a list of doubts as JSON has it."""
    return [doubt["kind"] for doubt in described]


def test_sync_names_the_doubts_of_a_version_also_when_it_is_unchanged(
    run_mlrek, repeated, new_store
):
    """Created or unchanged, `sync --json` has the same doubts with all their keys."""
    first, again = (
        json.loads(run_mlrek("sync", repeated, "--json", "--tracking-uri", new_store).stdout)
        for _ in range(2)
    )
    actions = [result["versions"][0]["action"] for result in (first, again)]
    doubts = [result["versions"][0]["doubts"] for result in (first, again)]
    assert actions == ["created", "unchanged"]
    assert doubts[0] == doubts[1]
    assert "images_repeated" in kinds(doubts[0])
    assert doubts[0][0].keys() == {"kind", "side", "count", "of", "touches", "text", "effect"}


def test_a_run_holds_its_doubts_in_document_tags_note_and_page(run_mlrek, repeated, new_store):
    """The run alone tells the doubts to whoever opens it in MLflow."""
    synced = json.loads(run_mlrek("sync", repeated, "--json", "--tracking-uri", new_store).stdout)
    run = MlflowClient(new_store).get_run(synced["versions"][0]["run_id"])
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    document = json.loads((folder / "evaluation.json").read_text())
    (doubt,) = [d for d in document["doubts"] if d["kind"] == "images_repeated"]
    page = (folder / "report.html").read_text()
    texts = [d["text"] for d in document["doubts"]]
    assert run.data.tags["mlrek.warnings"].splitlines()[: len(texts)] == texts
    assert document["warnings"][: len(texts)] == texts
    assert json.loads(part_tags(run.data.tags)["mlrek.doubts"]) == document["doubts"]
    assert "- Doubt (said; every number): " in run.data.tags["mlflow.note.content"]
    assert page.index("about these numbers") < page.index('data-title="Threshold"')
    assert doubt["text"] in unescape(page)


def test_show_says_the_doubts_before_the_numbers(run_mlrek, repeated):
    """In the terminal on stdout, with what they do and touch; in JSON as data."""
    shown = run_mlrek("show", repeated).stdout
    described = json.loads(run_mlrek("show", repeated, "--json").stdout)
    (doubt,) = [d for d in described["doubts"] if d["kind"] == "images_repeated"]
    line = f"  said: {doubt['text']} (images_repeated, touches every number)"
    assert line in shown.splitlines()
    assert shown.index(line) < shown.index("95 % interval")
    assert doubt["text"] in described["warnings"]


@pytest.fixture
def own_test_set(tmp_path, digits) -> tuple[Path, Path]:
    """Thirty digits with their truth, and what the version answered about all but the last."""
    lines = (digits / "versions" / VERSION / MANIFEST).read_text().splitlines()[:30]
    truth, answers = [], []
    for line in map(json.loads, lines):
        image = line["source-ref"]
        name = line["rekognition-custom-labels-training-0-metadata"]["class-name"]
        metadata = {"class-name": name, "type": "groundtruth/image-classification"}
        truth.append({"source-ref": image, "own": 0, "own-metadata": metadata})
        label = {"Name": name, "Confidence": 90}
        answers.append({"image": image, "response": {"CustomLabels": [label]}})
    files = tmp_path / "own.manifest", tmp_path / "answers.jsonl"
    for file, rows in zip(files, (truth, answers[:-1]), strict=True):
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return files


def test_evaluate_names_the_doubts_of_an_own_test_set(run_mlrek, digits, own_test_set, new_store):
    """Created or unchanged: an image without an answer weakens what its run says."""
    manifest, answers = own_test_set
    command = ("evaluate", f"{digits}#{VERSION}", "--on", manifest, "--responses", answers)
    first, again = (
        json.loads(run_mlrek(*command, "--json", "--tracking-uri", new_store).stdout)
        for _ in range(2)
    )
    entries = [result["versions"][0] for result in (first, again)]
    (doubt,) = [d for d in entries[0]["doubts"] if d["kind"] == "unanswered"]
    note = MlflowClient(new_store).get_run(entries[0]["run_id"]).data.tags["mlflow.note.content"]
    assert [entry["action"] for entry in entries] == ["created", "unchanged"]
    assert (doubt["count"], doubt["of"]) == (1, 30)
    assert entries[1]["doubts"] == entries[0]["doubts"]
    assert "- Doubt (said; " in note
