"""A run that was computed from images is never lost to an evaluation that knows less."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fakes.evaluations import make_manifest, save_archive
from mlflow import MlflowClient

IMAGES = 6
EXAMPLE_EXAM = "holdout"


@pytest.fixture
def project(tmp_path) -> Path:
    """One version that was tested on six images."""
    folder = save_archive(tmp_path / "pets", "v1")
    find_manifest(folder).write_bytes(make_manifest(2))
    return folder


@pytest.fixture
def sync(run_mlrek, project, new_store):
    """A function: sync the project, tell its exit code and what became of the version."""

    def run(*args: str) -> tuple[int, dict]:
        done = run_mlrek("sync", project, "--tracking-uri", new_store, "--json", *args, check=False)
        (version,) = json.loads(done.stdout)["versions"]
        return done.returncode, version

    return run


@pytest.fixture
def client(new_store) -> MlflowClient:
    """What is in the store, asked without mlrek."""
    return MlflowClient(new_store)


def find_manifest(folder: Path) -> Path:
    """The manifest of the one version."""
    (file,) = folder.glob("versions/*/TestingGroundTruth*")
    return file


def cut_lines(content: bytes, n: int) -> bytes:
    """The first lines, whole."""
    return b"".join(content.splitlines(keepends=True)[:n])


def list_active(client: MlflowClient, name: str = "mlrek/pets") -> list:
    """The runs that are not deleted."""
    experiment = client.get_experiment_by_name(name)
    return list(client.search_runs([experiment.experiment_id]))


LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
XML_ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
    b"<Message>The specified key does not exist.</Message></Error>\n"
)


def test_a_manifest_that_is_gone_leaves_the_run(sync, project, client):
    """`unchanged`, exit 0, with a warning that names the way to replace it."""
    _, first = sync()
    find_manifest(project).unlink()
    code, again = sync()

    assert (code, again["action"], again["run_id"]) == (0, "unchanged", first["run_id"])
    assert "--force" in again["warnings"][0]
    (run,) = list_active(client)
    assert run.data.metrics["example_count"] == IMAGES


def test_a_manifest_that_is_cut_at_a_lines_end_leaves_the_run(sync, project):
    """Five of six images: fewer than the run was computed from."""
    _, first = sync()
    content = make_manifest(2)
    find_manifest(project).write_bytes(cut_lines(content, 5))
    code, again = sync()

    assert (code, again["action"], again["run_id"]) == (0, "unchanged", first["run_id"])
    assert "5 images are there now, and the run was computed from 6" in again["warnings"][0]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(LFS_POINTER, id="Git LFS pointer"),
        pytest.param(XML_ERROR, id="XML error"),
        pytest.param(make_manifest(2)[:-40], id="cut within a line"),
    ],
)
def test_a_manifest_that_is_something_else_fails_and_leaves_the_run(sync, project, client, content):
    """`failed`, exit 1; the run stays as it is."""
    _, first = sync()
    find_manifest(project).write_bytes(content)
    code, again = sync()

    assert (code, again["action"]) == (1, "failed")
    assert [run.info.run_id for run in list_active(client)] == [first["run_id"]]


def test_repeats_of_images_are_no_loss(sync, project):
    """Twelve lines of six images, then six lines of the same six: nothing is less."""
    find_manifest(project).write_bytes(make_manifest(2) * 2)
    sync()
    find_manifest(project).write_bytes(make_manifest(2))
    code, again = sync()

    assert (code, again["action"]) == (0, "replaced")


def test_more_images_replace_the_run(sync, project):
    """What knows more is logged anew."""
    sync()
    find_manifest(project).write_bytes(make_manifest(3))

    assert sync()[1]["action"] == "replaced"


def test_with_force_fewer_images_replace_the_run(sync, project, client):
    """The old run is deleted."""
    _, first = sync()
    find_manifest(project).write_bytes(make_manifest(1))
    _, again = sync("--force")

    assert again["action"] == "replaced"
    assert [run.info.run_id for run in list_active(client)] == [again["run_id"]]
    assert again["run_id"] != first["run_id"]


def test_a_summary_that_is_gone_leaves_the_run(sync, project):
    """Thresholds and reported numbers would be lost."""
    _, first = sync()
    next(project.glob("versions/*/EvaluationResultSummary*")).unlink()
    code, again = sync()

    assert (code, again["action"], again["run_id"]) == (0, "unchanged", first["run_id"])
    assert "gone: summary" in again["warnings"][0]


def test_a_dry_run_says_the_same(sync, project):
    """It would be `unchanged`."""
    sync()
    find_manifest(project).unlink()

    assert sync("--dry-run")[1]["action"] == "unchanged"


def test_the_run_of_an_aliased_version_is_never_deleted(sync, project, client, run_mlrek):
    """With --force it is marked superseded; it counts for nobody but the registry."""
    _, first = sync("--register")
    client.set_registered_model_alias("pets", "champion", "1")
    find_manifest(project).write_bytes(make_manifest(1))
    _, second = sync("--register", "--force")
    _, third = sync("--register")

    assert (second["action"], third["action"]) == ("replaced", "unchanged")
    assert third["run_id"] == second["run_id"]
    assert second["model"]["version"] == 2
    found = {run.info.run_id: run.data.tags for run in list_active(client)}
    assert found.keys() == {first["run_id"], second["run_id"]}
    assert found[first["run_id"]]["mlrek.superseded"] == "true"
    assert "mlrek.superseded" not in found[second["run_id"]]
    shown = run_mlrek("show", "models:/pets@champion", "--tracking-uri", client.tracking_uri)
    assert "6 images" in shown.stdout


def test_the_run_of_a_sealed_decision_is_never_deleted(sync, project, client):
    """The tag of the decision is enough, on the run or on its registered version."""
    _, first = sync("--register")
    client.set_model_version_tag("pets", "1", "mlrek.decision", "0" * 64)
    find_manifest(project).write_bytes(make_manifest(1))
    _, second = sync("--force")
    client.set_tag(second["run_id"], "mlrek.decision", "1" * 64)
    _, third = sync("--force")

    found = {run.info.run_id: run.data.tags for run in list_active(client)}
    marked = {run_id for run_id, tags in found.items() if tags.get("mlrek.superseded") == "true"}
    assert marked == {first["run_id"], second["run_id"]}
    assert found.keys() - marked == {third["run_id"]}


def test_content_that_comes_back_is_logged_beside_its_superseded_run(sync, project, client):
    """A superseded run is not what counts again by having the same content."""
    _, first = sync("--register")
    client.set_registered_model_alias("pets", "champion", "1")
    content = find_manifest(project).read_bytes()
    find_manifest(project).write_bytes(make_manifest(1))
    sync("--force")
    find_manifest(project).write_bytes(content)
    _, third = sync()

    assert third["action"] == "replaced"
    assert third["run_id"] != first["run_id"]
    assert sync()[1] == third | {"action": "unchanged"}


@pytest.mark.parametrize("purged", [False, True])
def test_a_champion_whose_run_was_deleted_before_says_the_way_out(
    sync, client, run_mlrek, new_store, purged
):
    """Restore it while that goes; else log it anew."""
    _, first = sync("--register")
    client.set_registered_model_alias("pets", "champion", "1")
    client.delete_run(first["run_id"])
    if purged:
        with closing(sqlite3.connect(new_store.removeprefix("sqlite:///"))) as database:
            database.execute("DELETE FROM runs")  # as `mlflow gc` does
            database.commit()
    done = run_mlrek("show", "models:/pets@champion", "--tracking-uri", new_store, check=False)

    assert done.returncode == 1
    assert first["run_id"] in done.stderr
    advice = "mlrek sync SOURCE --register" if purged else f"restore --run-id {first['run_id']}"
    assert advice in done.stderr


def test_an_evaluation_of_a_few_answers_leaves_the_run_of_many(
    run_mlrek, digits, digits_store, tmp_path
):
    """5 answers where the run has all: `unchanged`; with --force they replace it."""
    manifest = tmp_path / "holdout.manifest"
    answers = tmp_path / "answers.jsonl"
    write_own_test_set(digits, manifest, answers)
    few = tmp_path / "few.jsonl"
    few.write_bytes(cut_lines(answers.read_bytes(), 5))
    place = ("--on", manifest, "--tracking-uri", digits_store, "--json", "--responses")

    def evaluate(file: Path, *args: str) -> dict:
        done = run_mlrek("evaluate", f"{digits}#v2-linear", *place, file, *args)
        return json.loads(done.stdout)["versions"][0]

    first, second = evaluate(answers), evaluate(few)
    forced = evaluate(few, "--force")

    assert (first["action"], second["action"], forced["action"]) == (
        *("created", "unchanged", "replaced"),
    )
    assert second["run_id"] == first["run_id"]
    assert "5 images have an answer now, and 20 had one in the run" in second["warnings"][0]
    assert "mlrek evaluate --force" in second["warnings"][0]


def write_own_test_set(digits: Path, manifest: Path, answers: Path) -> None:
    """Twenty images whose truth is `3`, and answers that say so."""
    truth = {"class-name": "3", "type": "groundtruth/image-classification"}
    names = [f"s3://own/{i}.png" for i in range(20)]
    manifest.write_text(
        "".join(
            json.dumps({"source-ref": name, "digit": 3, "digit-metadata": truth}) + "\n"
            for name in names
        )
    )
    found = {"CustomLabels": [{"Name": "3", "Confidence": 90.0}]}
    answers.write_text(
        "".join(json.dumps({"image": name, "response": found}) + "\n" for name in names)
    )


def test_all_that_is_gone_leaves_the_run(sync, project):
    """Manifest and summary are both gone from where the description names them."""
    _, first = sync()
    for file in project.glob("versions/*/*"):
        if file.name != "version.json":
            file.unlink()
    code, again = sync()

    assert (code, again["action"], again["run_id"]) == (0, "unchanged", first["run_id"])


def test_a_run_of_the_services_numbers_alone_is_replaced_by_one_of_images(sync, project, tmp_path):
    """The other way about nothing is lost."""
    manifest = find_manifest(project)
    shutil.move(manifest, tmp_path / "aside")
    assert sync()[1]["action"] == "created"
    shutil.move(tmp_path / "aside", manifest)

    assert sync()[1]["action"] == "replaced"
