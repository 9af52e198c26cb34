"""The file names of MLflow's picture grid."""

import re
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from mlrek.figures.style import encode_thumbnail
from mlrek.tracking.artifacts import ask_layout
from mlrek.tracking.description import GridPicture
from mlrek.tracking.view import PictureLayout, find_layout, name_pictures

PICTURE = GridPicture(key="charts/x", step=30, png=b"p", webp=b"w")
UUID = r"[0-9a-z]{8}-[0-9a-f-]{27}"


@pytest.mark.parametrize(("slash", "sign"), [("~", "+"), ("#", "%")])
def test_names_follow_those_that_mlflow_gave(slash, sign):
    """Its versions have used other characters."""
    sample = f"images/charts{slash}confusion_matrix{sign}step{sign}0{sign}timestamp{sign}17{sign}"
    layout = find_layout([f"{sample}ab-c{sign}compressed.webp", f"{sample}ab-c.png"])

    assert layout == PictureLayout(slash, sign)
    png, webp = name_pictures([PICTURE], layout, 99).items()
    start = re.escape(f"images/charts{slash}x{sign}step{sign}30{sign}timestamp{sign}99{sign}")
    assert re.fullmatch(f"{start}{UUID}\\.png", png[0])
    assert webp[0] == png[0].removesuffix(".png") + f"{sign}compressed.webp"
    assert (png[1], webp[1]) == (b"p", b"w")


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """A function: the files of a picture, by name, as MLflow's own `log_image` writes them."""
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/m.db"
    client = MlflowClient(tracking_uri=uri)

    def log(pixels, **named):
        run = client.create_run("0").info
        client.log_image(run.run_id, pixels, synchronous=True, **named)
        folder = Path(run.artifact_uri.removeprefix("file://"), "images")  # some download no `%`
        return uri, {f"images/{file.name}": file.read_bytes() for file in folder.iterdir()}

    return log


def test_the_layout_of_this_mlflow_is_found(logged):
    """By the names that its own `log_image` gives, and without a run."""
    uri, files = logged(np.zeros((4, 4, 3), np.uint8), key="charts/x", step=30)
    ours = name_pictures([PICTURE], ask_layout(uri), 1)

    def shapes(names):
        return sorted(re.sub(rf"(?<=timestamp.)\d+|{UUID}", "", name) for name in names)

    assert shapes(ours) == shapes(files)


@pytest.mark.parametrize("size", [(912, 840), (840, 912), (20, 30), (7, 7), (301, 5)])
def test_the_small_picture_is_the_one_that_mlflow_would_make(logged, size):
    """To the byte, whatever its shape."""
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    _, files = logged(pixels, key="charts/x", step=0)
    (expected,) = (content for name, content in files.items() if name.endswith(".webp"))

    assert encode_thumbnail(pixels) == expected
