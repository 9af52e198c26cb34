"""The labels that the matrices of a project are drawn with: chosen once, and kept."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from builders.projects import make_test, save_project
from mlflow import MlflowClient
from PIL import Image

import mlrek
from mlrek.figures.confusion import plan_layout

N_LABELS = 100
LABELS = tuple(f"class {i:02}" for i in range(N_LABELS))
TAG = "mlrek.drawn_labels"
MAX_GREY = 40  # of 255: another name would differ by far more
DATA = re.compile(r'<script[^>]* id="data"[^>]*>(.*?)</script>', re.DOTALL)


def make_version(first, labels=LABELS):
    """A version that takes each of 24 labels from `first` on for the next, in one of 4 images."""
    n = len(labels)
    truth = [label for label in labels for _ in range(4)]
    confused = {(first + i) % n for i in range(24)}
    predicted = [
        labels[(i + 1) % n] if i in confused and k == 0 else label
        for i, label in enumerate(labels)
        for k in range(4)
    ]
    return make_test(truth, predicted, labels)


def expect_drawn(first):
    """By hand: the first and the last of the 25 labels have one mistake each, the others two.

    So the last one of a row of 25 is left out, of equal ones the later.
    """
    return [LABELS[first + i] for i in range(24)]


class Project:
    """An archive, what it is synced to, and what lies there."""

    def __init__(self, folder, store, run_mlrek):
        self.folder, self.store, self.run = folder, store, run_mlrek
        self.client = MlflowClient(store)

    def sync(self, *args, source=None):
        """The action of each version by name."""
        command = ("sync", source or self.folder, "--json", "--tracking-uri", self.store, *args)
        told = json.loads(self.run(*command).stdout)
        self.hints = told.get("hints", ())
        return {one["version"]: one["action"] for one in told["versions"]}

    @property
    def experiment(self):
        """The project's experiment."""
        (found,) = self.client.search_experiments(filter_string="name LIKE 'mlrek/%'")
        return found

    @property
    def drawn(self):
        """What the tag holds."""
        return json.loads(self.experiment.tags[TAG])

    def list_runs(self):
        """The runs by version, the older first."""
        runs = self.client.search_runs([self.experiment.experiment_id])
        ordered = sorted(runs, key=lambda run: run.info.start_time)
        return {run.data.tags["version_name"]: run for run in ordered}

    def read(self, run, path):
        """An artifact."""
        return Path(self.client.download_artifacts(run.info.run_id, path)).read_bytes()

    def read_report(self, run):
        """The labels that the report draws, and whether they are those of all versions."""
        page = self.read(run, "report.html").decode()
        data = json.loads(DATA.search(page)[1])
        matrix = data["matrix"]
        return [data["labels"][i] for i in matrix["drawn"]], matrix["is_drawn_alike"]

    def read_names(self, run):
        """The pixels where the names of rows are: of the heat map, and of the slider's pictures."""
        folder = self.client.list_artifacts(run.info.run_id, "images")
        paths = [f.path for f in folder if "at_threshold" in f.path and f.path.endswith(".png")]
        assert paths
        files = [self.read(run, path) for path in ("confusion_matrix.png", *sorted(paths))]
        return [crop_names(file) for file in files]


def crop_names(png):
    """Left of the grid and as high, whatever the size; of each file its own few greys."""
    pixels = np.asarray(Image.open(BytesIO(png)).convert("L"), dtype=int)
    layout = plan_layout(LABELS, 25, [])
    scale = pixels.shape[0] / layout.height
    top, bottom = layout.grid.top * scale, (layout.grid.top + layout.grid.height) * scale
    return pixels[round(top) + 1 : round(bottom), : round((layout.grid.left - 4) * scale)]


@pytest.fixture
def project(tmp_path, new_store, run_mlrek):
    """Three versions of 100 labels, each with mistakes of its own."""
    versions = {"v1": make_version(0), "v2": make_version(30), "v3": make_version(60)}
    return Project(save_project(tmp_path / "p", **versions), new_store, run_mlrek)


def test_all_versions_show_the_rows_of_the_oldest_one(project):
    """Heat maps, the slider's pictures and reports; the tag has them, and a second sync agrees."""
    assert project.sync() == {"v1": "created", "v2": "created", "v3": "created"}
    assert project.drawn == expect_drawn(0)
    runs = project.list_runs()
    assert [project.read_report(run) for run in runs.values()] == [(expect_drawn(0), True)] * 3
    first, *others = [project.read_names(run) for run in runs.values()]
    for names in others:
        assert max(np.abs(a - b).max() for a, b in zip(first, names, strict=False)) < MAX_GREY
    assert project.sync() == {"v1": "unchanged", "v2": "unchanged", "v3": "unchanged"}
    assert project.drawn == expect_drawn(0)


def test_a_version_that_comes_later_follows(project, tmp_path):
    """Whatever it confuses, and though it is synced alone."""
    alone = tmp_path / "alone"
    shutil.copytree(project.folder, alone)
    for later in ("v2", "v3"):
        shutil.rmtree(alone / "versions" / later)
    assert project.sync(source=alone) == {"v1": "created"}
    assert project.sync("--version", "v3") == {"v3": "created"}
    assert project.read_report(project.list_runs()["v3"]) == (expect_drawn(0), True)


def test_a_version_that_was_there_before_there_was_a_choice_decides(project):
    """A sync of the newest alone, where the tag is gone, asks the older run that is logged."""
    project.sync("--version", "v2")
    project.client.delete_experiment_tag(project.experiment.experiment_id, TAG)
    assert project.sync("--version", "v3") == {"v3": "created"}
    assert project.drawn == expect_drawn(30)


def test_asked_for_other_labels_all_versions_are_drawn_again(project):
    """The ten most confused of the oldest; further syncs keep to them."""
    project.sync()
    assert project.sync("--top-labels", "10") == dict.fromkeys(("v1", "v2", "v3"), "replaced")
    ten = LABELS[1:11]  # of those with two mistakes the first
    assert project.drawn == list(ten)
    runs = project.list_runs()
    assert [project.read_report(run) for run in runs.values()] == [(list(ten), True)] * 3
    assert project.sync() == dict.fromkeys(("v1", "v2", "v3"), "unchanged")
    assert project.sync("--top-labels", "10") == dict.fromkeys(("v1", "v2", "v3"), "unchanged")


def test_a_run_that_is_evidence_stays_when_labels_are_chosen_anew(project):
    """It is superseded, not deleted; its pictures stay as they were."""
    project.sync("--register", "digits")
    before = project.list_runs()["v1"]
    project.client.set_registered_model_alias("digits", "champion", "1")
    project.sync("--top-labels", "10")
    kept = project.client.get_run(before.info.run_id)
    assert kept.info.lifecycle_stage == "active"
    assert kept.data.tags["mlrek.superseded"] == "true"
    assert project.read_report(kept) == (expect_drawn(0), True)


def test_few_labels_need_no_choice(tmp_path, new_store, run_mlrek):
    """Up to 25 all are shown: no tag."""
    labels = LABELS[:25]
    folder = save_project(tmp_path / "p", v1=make_version(0, labels), v2=make_version(9, labels))
    project = Project(folder, new_store, run_mlrek)
    project.sync()
    assert TAG not in project.experiment.tags
    assert project.read_report(project.list_runs()["v1"]) == ([], False)


def test_a_dry_run_chooses_nothing(project):
    """And the sync after it does."""
    project.sync("--dry-run")
    assert not project.client.search_experiments(filter_string="name LIKE 'mlrek/%'")
    project.sync("--version", "v3")
    project.sync("--dry-run", "--top-labels", "5")
    assert project.drawn == expect_drawn(60)


def test_versions_that_are_not_synced_again_are_named(project):
    """Chosen anew for one version, the others keep their pictures until they are synced."""
    project.sync()
    said = project.run(
        "sync", project.folder, "--version", "v2", "--top-labels", "10",
        "--tracking-uri", project.store,
    ).stderr  # fmt: skip
    assert "the matrices of 'v1', 'v3' show other labels" in " ".join(said.split())
    assert project.sync() == {"v1": "replaced", "v2": "unchanged", "v3": "replaced"}


def test_a_difference_of_runs_shows_the_labels_of_the_project(project):
    """In its picture, kept in the candidate's run, and in its page."""
    project.sync()
    runs = project.list_runs()
    two = [f"runs:/{runs[name].info.run_id}" for name in ("v2", "v3")]
    project.run("compare", *two, "--tracking-uri", project.store)
    page = project.read(runs["v3"], "comparison/v2/comparison.html").decode()
    data = json.loads(DATA.search(page)[1])
    assert [data["labels"][i] for i in data["drawn"]] == expect_drawn(0)
    difference = crop_names(project.read(runs["v3"], "comparison/v2/confusion_difference.png"))
    heat_map = crop_names(project.read(runs["v3"], "confusion_matrix.png"))
    rows = slice(0, heat_map.shape[0] * 9 // 16)  # the note below is another one
    assert np.abs(difference[rows] - heat_map[rows]).max() < MAX_GREY


def test_two_processes_at_once_draw_the_same_rows(project):
    """Each of the whole project: the choice is the same, and one run a version is left."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: project.sync(), range(2)))
    runs = project.list_runs()
    assert len(project.client.search_runs([project.experiment.experiment_id])) == 3
    assert [project.read_report(run) for run in runs.values()] == [(expect_drawn(0), True)] * 3


def test_a_run_that_is_read_in_python_is_drawn_with_the_labels_of_its_project(project):
    """Its figure and its page; asked for other labels, its own most confused ones."""
    project.sync()
    run = project.list_runs()["v3"]
    version = mlrek.read(f"runs:/{run.info.run_id}", tracking_uri=project.store)
    texts = [text.get_text() for text in version.plot_confusion_matrix().texts]
    assert [text for text in texts if text in LABELS][:24] == expect_drawn(0)
    data = json.loads(DATA.search(version.report())[1])
    assert [data["labels"][i] for i in data["matrix"]["drawn"]] == expect_drawn(0)
    few = [text.get_text() for text in version.plot_confusion_matrix(top_labels=3).texts]
    assert [text for text in few if text in LABELS][:3] == list(LABELS[61:64])
