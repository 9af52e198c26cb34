"""Columns of a table -> slices in runs, in the terminal, in a comparison and in Python."""

import csv
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import mlrek

SITES = ("A", "B", "C", "<script>alert(1)</script>")
LIGHT = "=cmd|' /C calc'!A0"
"""The name of a column that a spreadsheet would run."""
WEAK = {"v1": "C", "v2": "A"}


def make_table(version):
    """1,200 images of four sites; one site is 30 points worse, another one in each version."""
    rng = np.random.default_rng(7)
    n = 1_200
    sites = np.array(SITES)[np.arange(n) % len(SITES)]
    truth = np.array(["cat", "dog"])[rng.integers(0, 2, n)]
    is_right = rng.random(n) < np.where(sites == WEAK[version], 0.6, 0.9)
    return pd.DataFrame(
        {
            "image": [f"img/{i}.png" for i in range(n)],
            "truth": truth,
            "predicted": np.where(is_right, truth, np.where(truth == "cat", "dog", "cat")),
            "site": sites,
            "lux": rng.gamma(2, 100, n).round(1),
            LIGHT: np.where(rng.random(n) < 0.5, "on\nfire", "off|*"),
        }
    )


@dataclass(frozen=True)
class Pets:
    """Two versions, logged and compared."""

    uri: str
    tables: dict
    runs: dict
    client: MlflowClient

    def read(self, version, path, folder):
        """The text of a file of a version's run."""
        run_id = self.runs[version].info.run_id
        file = Path(self.client.download_artifacts(run_id, path, folder))
        return file.read_bytes().decode()


@pytest.fixture(scope="module")
def pets(tmp_path_factory, warm, empty_store):
    """In a database of their own."""
    folder = tmp_path_factory.mktemp("pets")
    uri = f"sqlite:///{shutil.copy(empty_store, folder / 'mlflow.db')}"
    place = ("--tracking-uri", uri, "-q")
    tables = {version: make_table(version) for version in WEAK}
    for version, table in tables.items():
        table.to_csv(folder / f"{version}.csv", index=False)
        args = (f"{version}.csv", "--project", "pets", "--version", version)
        done = warm.run("sync", *args, *place, cwd=folder)
        assert done.returncode == 0, done.stderr
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("mlrek/pets").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    names = [f"runs:/{runs[version].info.run_id}" for version in WEAK]
    done = warm.run("compare", *names, *place, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Pets(uri=uri, tables=tables, runs=runs, client=client)


def list_keys(run):
    """The metrics of slices."""
    return {key: value for key, value in run.data.metrics.items() if key.startswith("slice/")}


@pytest.mark.parametrize("version", WEAK)
def test_metrics_of_slices_are_the_accuracy_of_their_images(pets, version):
    """By pandas; labels have keys of their own."""
    table = pets.tables[version]
    right = (table["truth"] == table["predicted"]).groupby(table["site"]).mean()
    found = list_keys(pets.runs[version])

    for site in "ABC":
        assert found[f"slice/site_x3D_{site}"] == pytest.approx(right[site], abs=1e-12)
    hostile = "slice/site_x3D__x3C_script_x3E_alert_x28_1_x29__x3C__x2F_script_x3E_"
    assert found[hostile] == pytest.approx(right[SITES[3]], abs=1e-12)
    assert len(found) == 4 + 2 + 4  # sites, lights, quarters of the numbers
    assert not any("label" in key for key in found)


def test_versions_with_one_test_set_have_the_same_keys(pets):
    """So that charts show them side by side."""
    one, other = (list_keys(run) for run in pets.runs.values())

    assert list(one) == list(other)


@pytest.mark.parametrize("version", WEAK)
def test_the_note_names_the_weak_slice_after_its_first_sentence(pets, version):
    """The site that was made worse, and no other."""
    lines = pets.runs[version].data.tags["mlflow.note.content"].splitlines()

    assert lines[0].startswith(f"Version {version} of pets, tested on 1,200 images")
    assert re.match(
        rf"- Weak: “site={WEAK[version]}” \(accuracy 0\.\d{{3}} of 300 images, "
        r"\d\d(\.\d)? points below the rest, p \S+ after Holm over 12 slices\)\.",
        lines[2],
    )
    assert sum(line.startswith("- Weak: ") for line in lines) == 1


def test_the_table_of_slices_is_in_the_run(pets, tmp_path):
    """All rows, those of pairs too; no cell begins a formula."""
    rows = list(csv.DictReader(io.StringIO(pets.read("v1", "slices.csv", tmp_path), newline="")))
    singles = [row for row in rows if row["family"] == "single"]
    worst = singles[0]

    assert (worst["slice"], worst["images"], worst["judgement"]) == ("site=C", "300", "worse")
    assert {row["column"] for row in singles} == {"site", "lux", "label", f"'{LIGHT}"}
    assert not any(cell.startswith(("=", "@")) for row in rows for cell in row.values())
    assert any(row["family"] == "pair" for row in rows)


def test_every_logged_number_of_a_slice_is_in_the_document(pets, tmp_path):
    """`evaluation.json` has each key with its slice and its definition."""
    slices = json.loads(pets.read("v1", "evaluation.json", tmp_path))["slices"]
    values = {row["name"]: row["numbers"]["accuracy"]["value"] for row in slices["singles"]}
    logged = slices["logged"]

    assert list_keys(pets.runs["v1"]) == {key: values[name] for key, name in logged["keys"].items()}
    assert logged["number"] == "accuracy"
    assert "of the images of the slice alone" in logged["definition"]


def test_the_command_shows_a_run_s_slices_without_its_files(pets, run_mlrek):
    """From `evaluation.parquet`: the same as its file has; names as text on one line."""
    name = f"runs:/{pets.runs['v1'].info.run_id}"
    place = ("--tracking-uri", pets.uri)
    shown = run_mlrek("show", name, "--slices", *place).stdout
    document = json.loads(run_mlrek("show", name, "--by", "site", "--json", *place).stdout)

    assert "weak: site=C (accuracy 0." in shown
    assert "\\nfire" in shown
    assert "the numbers of 'lux' are cut into 4 parts by quantile" in shown
    assert {row["column"] for row in document["slices"]["singles"]} == {"site"}
    assert document["slices"]["tried"] == 4


def test_an_unknown_column_is_wrong_usage(pets, run_mlrek):
    """The nearest name is there."""
    name = f"runs:/{pets.runs['v1'].info.run_id}"
    args = ("show", name, "--by", "sites", "--tracking-uri", pets.uri)
    done = run_mlrek(*args, check=False)

    assert done.returncode == 2
    assert "no column 'sites'; did you mean site?" in done.stderr


def test_without_columns_the_command_says_how_to_give_some(run_mlrek, examples):
    """The slices of labels are there all the same; a regular expression gives a column."""
    version = f"{examples}/digits#v1-naive-bayes"
    plain = run_mlrek("show", version, "--slices")
    cut = run_mlrek("show", version, "--slice-by", r"end=(\d)\.png$", "--by", "end")

    assert "weak: label=eight (accuracy 0.589 of 73 images" in plain.stdout
    assert "`--slice-by NAME=REGEX`" in plain.stderr
    assert "10 slices of 1 column tried" in cut.stdout
    assert "--slice-by" not in cut.stderr


def test_a_comparison_names_the_slice_that_got_worse(pets, run_mlrek, tmp_path):
    """Site A, though the versions are as good in all; in terminal, JSON and the run's files."""
    names = [f"runs:/{pets.runs[version].info.run_id}" for version in WEAK]
    place = ("--no-log", "--tracking-uri", pets.uri)
    shown = run_mlrek("compare", *names, *place).stdout
    document = json.loads(run_mlrek("compare", *names, *place, "--json").stdout)
    candidate = document["candidates"][0]
    worst = candidate["slices"][0]

    assert re.search(r"Slices: 1 significantly worse, 1 better, of \d+ tried", shown)
    assert (worst["name"], worst["judgement"], worst["images"]) == ("site=A", "worse", 300)
    assert worst["p_adjusted"] < 0.001
    assert "| site=A | 300 |" in pets.read("v2", "comparison/v1/summary.md", tmp_path)


def test_python_has_the_same_slices(pets, tmp_path):
    """Of a run and of a comparison; nothing is written."""
    place = {"tracking_uri": pets.uri}
    one, other = (
        mlrek.read(f"runs:/{pets.runs[version].info.run_id}", **place) for version in WEAK
    )
    frame, compared = one.slices(), mlrek.compare(one, other, **place).slices
    written = pd.read_csv(io.StringIO(pets.read("v1", "slices.csv", tmp_path)))

    assert frame["images"].tolist() == written["images"].tolist()
    assert frame["p"].tolist() == pytest.approx(written["p"].tolist(), nan_ok=True)
    assert compared.loc[0, "slice"] == "site=A"
    assert compared.loc[0, "judgement"] == "worse"
