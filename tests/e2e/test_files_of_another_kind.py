"""A file that has a service's name and holds something else fails its version; its run stays."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlrek.errors import SourceError
from mlrek.sources import open_source

REPOSITORY = Path(__file__).parents[2]
CASES = REPOSITORY / "tests" / "data" / "cases" / "named-file-not-recognised"
MANIFEST = "TestingGroundTruth-parts-v1.json"
SUMMARY = "EvaluationResultSummary-parts-v1.json"
LFS = (CASES / "lfs-pointer" / MANIFEST).read_bytes()
S3_ERROR = (CASES / "s3-error" / MANIFEST).read_bytes()
KINDS = {
    "empty": (lambda _: b"", "is empty"),
    "blank": (lambda _: b"\n \n", "is empty but for blanks"),
    "zeros": (lambda _: bytes(4096), "nothing but zero bytes"),
    "lfs": (lambda _: LFS, "is a Git LFS pointer, not the file itself; run `git lfs pull`"),
    "s3": (lambda _: S3_ERROR, "is an error message of S3 (XML, ExpiredToken)"),
    "html": (lambda _: b"<!DOCTYPE html><html><body>Sign in", "is a web page (HTML)"),
    "utf-16": (lambda data: data.decode().encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    "utf-16 without mark": (lambda data: data.decode().encode("utf-16-le"), "is UTF-16 text"),
    "utf-32": (lambda data: data.decode().encode("utf-32"), "is UTF-32 text"),
    "gzip": (gzip.compress, "is compressed (gzip); unpack it with `gunzip`"),
    "zip": (lambda _: b"PK\x03\x04" + bytes(60), "is a ZIP archive"),
    "text": (lambda _: b"An error occurred (403)", "is text, not JSON; it begins with 'An error"),
    "other JSON": (lambda _: b'{"message": "Forbidden"}', "another kind; it begins with '{\"mess"),
}


@pytest.fixture
def folder(tmp_path):
    """The files of one version as they were downloaded."""
    return Path(shutil.copytree(CASES / "good", tmp_path / "w"))


@pytest.fixture
def sync(run_mlrek, folder, new_store):
    """Sync the folder; the exit code and the one version."""

    def run():
        args = ["sync", folder, "--tracking-uri", new_store, "--json"]
        done = run_mlrek(*args, check=False)
        (version,) = json.loads(done.stdout)["versions"]
        return done.returncode, version

    return run


def read_runs(store: str) -> dict[str, float]:
    """The accuracy of each run by its id."""
    client = MlflowClient(store)
    places = [experiment.experiment_id for experiment in client.search_experiments()]
    return {r.info.run_id: r.data.metrics["aggregate/accuracy"] for r in client.search_runs(places)}


@pytest.mark.parametrize("name", [MANIFEST, SUMMARY])
def test_whatever_it_is_the_earlier_run_stays(sync, folder, new_store, name):
    """Of 20 images the answers to 0, 5, 10 and 15 are wrong: 0.80, whatever comes of the files."""
    whole = (folder / name).read_bytes()
    code, version = sync()
    assert (code, version["action"]) == (0, "created")
    before = read_runs(new_store)
    assert list(before.values()) == [0.8]
    for spoil, said in KINDS.values():
        (folder / name).write_bytes(spoil(whole))
        code, failed = sync()
        assert (code, failed["action"]) == (1, "failed")
        assert f"{name}: " in failed["reason"]
        assert said in failed["reason"]
        named = ("project_arn", "version", "version_arn")
        assert [failed[key] for key in named] == [version[key] for key in named]
    assert read_runs(new_store) == before
    (folder / name).write_bytes(whole)
    assert sync()[1]["action"] == "unchanged"


@pytest.mark.parametrize("kind", ["empty", "lfs-pointer", "s3-error", "utf-16"])
def test_a_first_sync_of_such_a_file_fails(run_mlrek, new_store, kind):
    """Nothing is logged of a version whose manifest is not what it says."""
    args = ["sync", CASES / kind, "--tracking-uri", new_store]
    done = run_mlrek(*args, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("failed   v1: ")
    assert read_runs(new_store) == {}


@pytest.mark.parametrize(
    "name", [f"{MANIFEST}.gz", "TestingGroundTruth-parts-v1 (1).json.gz", f"{MANIFEST}.txt"]
)
def test_a_name_that_a_tool_made_longer_is_known(sync, folder, name):
    """A packed copy in the place of the manifest is not overlooked."""
    whole = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).unlink()
    packed = name.endswith(".gz")
    (folder / name).write_bytes(gzip.compress(whole) if packed else whole)
    code, version = sync()
    assert (code, version["action"]) == ((1, "failed") if packed else (0, "created"))


def test_a_packed_copy_beside_the_file_is_said(sync, folder):
    """`gzip -k` leaves both; the one that can be read counts."""
    (folder / f"{MANIFEST}.gz").write_bytes(gzip.compress((folder / MANIFEST).read_bytes()))
    code, version = sync()
    assert (code, version["action"]) == (0, "created")
    assert any(f"{MANIFEST}.gz: is compressed" in said for said in version["warnings"])


def test_files_under_each_other_s_names_fail(sync, folder):
    """A summary called TestingGroundTruth-… is no manifest."""
    shutil.copy(folder / SUMMARY, folder / MANIFEST)
    code, version = sync()
    assert (code, version["action"]) == (1, "failed")
    assert "holds another file of the service's (summary) under this name" in version["reason"]


def test_a_file_of_any_name_in_utf_16_is_not_overlooked(sync, folder):
    """What it holds can be told all the same."""
    whole = (folder / MANIFEST).read_text()
    (folder / MANIFEST).unlink()
    (folder / "manifest.json").write_text(whole, "utf-16")
    code, version = sync()
    assert (code, version["action"]) == (1, "failed")
    assert "manifest.json: is UTF-16 text" in version["reason"]


@pytest.mark.parametrize("spoil", [b"", LFS, S3_ERROR, "utf-16", "gzip"])
@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("file", ["EvaluationManifest-eights-2", "EvaluationResult-eights-2"])
def test_lookouts_files(run_mlrek, tmp_path, new_store, spoil, described, file):
    """The version fails, also where no description names the file; the other one is logged."""
    folder = Path(
        shutil.copytree(REPOSITORY / "examples" / "lookout-classification", tmp_path / "l")
    )
    if not described:
        (folder / "describe-model.json").unlink()
    path = folder / f"{file}.json"
    whole = path.read_bytes()
    packed = {"utf-16": whole.decode().encode("utf-16"), "gzip": gzip.compress(whole)}
    path.write_bytes(packed.get(spoil, spoil) if isinstance(spoil, str) else spoil)
    done = run_mlrek("sync", folder, "--dry-run", "--tracking-uri", new_store, check=False)
    assert done.returncode == 1
    assert "created  1\n" in done.stdout
    assert f"failed   2: {path}: is " in done.stdout


HTML = b"<!DOCTYPE html><html><title>Sign in"
REFUSAL = b'{"error": {"code": 401, "message": "invalid credentials", "status": "UNAUTHENTICATED"}}'


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (LFS, "is a Git LFS pointer"),
        (HTML, "is a web page (HTML)"),
        (b"\x28\xb5\x2f\xfd\0\0", "is compressed (Zstandard)"),
        (REFUSAL, "names no image"),
        (b"ERROR: (gcloud.storage.cp) 403", "1: not valid JSON"),
    ],
)
def test_googles_batch_predictions(tmp_path, spoil, said):
    """The version fails, and is not taken for one without, or one that is always wrong."""
    folder = Path(shutil.copytree(REPOSITORY / "examples" / "automl-flowers", tmp_path / "g"))
    (folder / "image_classification_1.jsonl").write_bytes(spoil)
    source = open_source(str(folder))
    (entry,) = source.list_versions()
    with pytest.raises(SourceError) as caught:
        source.load(entry)

    assert str(caught.value).startswith(f"{folder}/image_classification_1.jsonl:")
    assert said in str(caught.value)


def test_an_error_that_google_answered_is_no_empty_list(tmp_path):
    """As `curl` saves it under the name of the list."""
    folder = Path(shutil.copytree(REPOSITORY / "examples" / "automl-flowers", tmp_path / "g"))
    (folder / "list_model_evaluations.json").write_bytes(REFUSAL)
    (entry,) = open_source(str(folder)).list_versions()
    assert 'it is an error that the service answered: \'{"code": 401' in entry.refused


@pytest.mark.parametrize("spoil", [b"", LFS, S3_ERROR, "utf-16", "gzip"])
@pytest.mark.parametrize(
    "which",
    [
        ("automl-flowers", "list_model_evaluations.json", "cloud_model"),
        ("vertex", "v1/list_model_evaluations.json", "1"),
        ("vertex", "v1/list_model_evaluation_slices.json", "1"),
    ],
)
def test_googles_lists(run_mlrek, tmp_path, new_store, spoil, which):
    """The version whose list it is fails, and is not taken for one without an evaluation."""
    example, file, version = which
    folder = Path(shutil.copytree(REPOSITORY / "examples" / example, tmp_path / "g"))
    whole = (folder / file).read_bytes()
    packed = {"utf-16": whole.decode().encode("utf-16"), "gzip": gzip.compress(whole)}
    (folder / file).write_bytes(packed.get(spoil, spoil) if isinstance(spoil, str) else spoil)
    done = run_mlrek("sync", folder, "--dry-run", "--tracking-uri", new_store, check=False)
    assert done.returncode == 1
    assert f"failed   {version}: {folder / file}: " in done.stdout
