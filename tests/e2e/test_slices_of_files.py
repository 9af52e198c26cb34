"""Slices by a table of images and by image URIs, through the command line."""

import json
from pathlib import Path

import pytest
from builders.columns import list_columns
from mlflow import MlflowClient
from typer.testing import CliRunner

from mlrek.cli import make_app
from mlrek.formats.stored import load_stored

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mlrek(new_store, monkeypatch):
    """Run a command in this process against a store of its own: its exit code and result."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store)

    def run(*words):
        return CliRunner().invoke(make_app(), [*map(str, words), "--json"])

    return run


def _sync(mlrek, *words):
    result = mlrek("sync", *words)
    (found,) = json.loads(result.stdout)["versions"]
    return result.exit_code, found


def _read_stored(store, run_id, folder):
    path = MlflowClient(store).download_artifacts(run_id, "evaluation.parquet", str(folder))
    return load_stored(Path(path).read_bytes())


def test_a_table_of_slices_is_kept_and_replaced(mlrek, new_store, tmp_path):
    """The same table changes nothing, another replaces the run, and the digest of images stays."""
    predictions = tmp_path / "predictions.csv"
    lights = ["day" if i % 2 else "night" for i in range(60)]
    rows = [f"{i}.jpg,cat,{'cat' if i % 4 else 'dog'},{lights[i]}\n" for i in range(60)]
    predictions.write_text("image,truth,predicted,light\n" + "".join(rows))
    of = (predictions, "--project", "pets", "--version", "v1")
    table = tmp_path / "slices.csv"
    table.write_text("image,site\n" + "".join(f"{i}.jpg,s{i % 3}\n" for i in range(60)))
    asked = ("--slices", table, "--slice-by", "ten=^([0-9])[0-9]")

    plain = _sync(mlrek, *of)[1]
    first = _sync(mlrek, *of, *asked)[1]
    again = _sync(mlrek, *of, *asked)[1]
    table.write_text("image,site\n" + "".join(f"{i}.jpg,t{i % 2}\n" for i in range(60)))
    other = _sync(mlrek, *of, *asked)[1]

    actions = [found["action"] for found in (plain, first, again, other)]
    assert actions == ["created", "replaced", "unchanged", "replaced"]
    assert again["run_id"] == first["run_id"]
    stored = list_columns(_read_stored(new_store, other["run_id"], tmp_path))
    assert list(stored) == ["site", "ten", "light"]
    assert stored["site"] == [f"t{i % 2}" for i in range(60)]
    assert stored["ten"] == [None] * 10 + [str(i // 10) for i in range(10, 60)]
    assert stored["light"] == lights
    shown = json.loads(mlrek("show", f"runs:/{other['run_id']}", "--slices").stdout)
    assert "site=t1" in json.dumps(shown)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--slices", "{tmp}/none.csv"], 1, "none.csv"),
        (["--slice-by", "site"], 2, "NAME=REGEX"),
        (["--slice-by", "site=("], 2, "no regular expression"),
        (["--slice-by", "a=x", "--slice-by", "a=y"], 2, "twice"),
    ],
)
def test_what_cannot_be_sliced_by_is_refused(mlrek, tmp_path, options, code, said):
    """A table that is not there and a wrong pattern are refused before anything is logged."""
    result = mlrek("sync", "examples/digits", *(o.format(tmp=tmp_path) for o in options))
    assert result.exit_code == code
    assert said in result.output
    assert not result.stdout.startswith("{") or not json.loads(result.stdout).get("versions")


def test_a_table_of_other_images_logs_nothing(mlrek, tmp_path):
    """A table of which no image is of the test set fails the version, and no run is written."""
    table = tmp_path / "slices.csv"
    table.write_text("image,site\nelsewhere.png,a\n")
    code, found = _sync(mlrek, "examples/digits", "--version", "v2-linear", "--slices", table)
    assert code == 1
    assert found["action"] == "failed"
    assert "not one of its 1 images is of the test set" in found["reason"]
