"""What Google's own page shows of a model: its published numbers come out of the command."""

import json

import pytest


@pytest.fixture
def example(digits):
    """The shipped example, with batch predictions and ground truth next to the evaluations."""
    return digits.parent / "automl-flowers"


@pytest.fixture
def published(example, tmp_path):
    """The same without any image: saved answers of the service alone."""
    folder = tmp_path / "saved"
    folder.mkdir()
    for number, name in enumerate(("list_model_evaluations", "get_model", "get_dataset")):
        (folder / f"{number}.json").write_bytes((example / f"{name}.json").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--label", "roses"], "computed 0.5 58 4 6 93.55 % 90.63 %"),
        (["--label", "roses", "--threshold", "0.84"], "computed 0.84 56 2 8 96.55 % 87.5 %"),
        ([], "computed 0.5 354 11 13 96.99 % 96.46 %"),
    ],
)
def test_the_page_of_a_threshold(run_mlrek, example, options, says):
    """Precision and recall of a label and of all, rounded half up."""
    lines = run_mlrek("show", example, *options).stdout.splitlines()
    assert [line for line in lines if " ".join(line.split()).startswith(says)]


def test_without_images_the_nearest_published_threshold_is_named(run_mlrek, published):
    """Nothing is interpolated, and nothing computed that needs images."""
    done = run_mlrek("show", published, "--label", "roses", "--threshold", "0.84")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "the service says 0.85 56 2 8 96.55 % 87.5 % 91.8 %" in lines
    assert not [line for line in lines if line.startswith("computed ")]
    assert "no numbers at threshold 0.84; the nearest published ones stand for it: 0.85" in (
        " ".join(done.stderr.split())
    )


def test_the_published_matrix_gives_numbers_without_images(run_mlrek, published):
    """356 of 367 on its diagonal."""
    shown = json.loads(run_mlrek("show", published, "--json").stdout)
    assert shown["aggregate"]["accuracy"]["value"] == pytest.approx(356 / 367)
    assert shown["most_confused"][0] == {"true": "roses", "predicted": "tulips", "count": 4}
    assert (shown["published"]["threshold"], shown["published"]["tp"]) == (0.5, 354)


def test_the_evaluations_are_listed_by_label(run_mlrek, published, tmp_path):
    """With id, time, test images and area under the curve."""
    listing = run_mlrek(
        "versions", published, "--json", "--tracking-uri", f"sqlite:///{tmp_path}/none.db"
    )
    (version,) = json.loads(listing.stdout)["versions"]
    assert version["reported"]["precision"] == pytest.approx(0.9698630, abs=1e-6)
    found = {one["label"]: one["test_images"] for one in version["evaluations"]}
    assert found == {
        None: 367,
        "tulips": 80,
        "dandelion": 90,
        "sunflowers": 70,
        "daisy": 63,
        "roses": 64,
    }


def test_another_threshold_is_another_run_of_google_alone(run_mlrek, example, digits, tmp_path):
    """Amazon's numbers are published at thresholds of its own."""
    store = ["--tracking-uri", f"sqlite:///{tmp_path}/m.db", "--json"]
    sources = [example, digits, "--version", "cloud_model", "--version", "v2-linear"]
    run_mlrek("sync", *sources, *store)
    again = run_mlrek("sync", *sources, "--threshold", "0.85", *store)
    actions = {v["version"]: v["action"] for v in json.loads(again.stdout)["versions"]}
    assert actions == {"cloud_model": "replaced", "v2-linear": "unchanged"}
