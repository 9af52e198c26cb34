"""The file names of MLflow's picture grid."""

import re

import numpy as np
import pytest
from mlflow import MlflowClient

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


def test_the_layout_of_this_mlflow_is_found(tmp_path, monkeypatch):
    """By what its own `log_image` writes."""
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/m.db")
    run_id = client.create_run("0").info.run_id
    pixels = np.zeros((4, 4, 3), np.uint8)
    client.log_image(run_id, pixels, key="charts/confusion_matrix", step=0)
    client.log_image(run_id, pixels, key="charts/x", step=30)
    paths = [file.path for file in client.list_artifacts(run_id, "images")]
    ours = name_pictures([PICTURE], find_layout(paths), 1)

    def shapes(names):
        return sorted(re.sub(rf"(?<=timestamp.)\d+|{UUID}", "", name) for name in names)

    assert shapes(ours) == shapes(path for path in paths if "confusion" not in path)
