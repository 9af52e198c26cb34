"""Predictions as MLflow's table: small pictures of rows, read once, where images can be read."""

import json
from io import BytesIO

import pytest
from PIL import Image

from mlrek.metrics.compute import compute_metrics
from mlrek.render.picture_table import MAX_PICTURES, describe_table
from mlrek.render.report import read_pictures
from mlrek.runs.content import describe_run
from mlrek.tracking.description import Options

FOLDER = "table_images/predictions"


def make_png(shade):
    """A picture of one grey."""
    buffer = BytesIO()
    Image.new("RGB", (300, 200), (shade, shade, shade)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def table_of():
    """The table of an evaluation and its further files, with what reads the images."""

    def make(evaluation, read_images):
        metrics = compute_metrics(evaluation, intervals=False)
        pictures = read_pictures(evaluation, metrics, read_images)
        files = describe_table(evaluation, metrics.predictions, pictures.thumbnails.by_image)
        return json.loads(files.pop("predictions.json")), files

    return make


def test_rows_have_pictures_in_the_last_column(pets, table_of):
    """As `mlflow.log_table` writes them; image 2 is the mistake, and so the first row."""
    table, files = table_of(pets, lambda uris: [make_png(40 * int(uri[-5])) for uri in uris])
    assert table["columns"] == ["image", "predicted", "truth", "confidence", "outcome", "picture"]
    first = table["data"][0]
    assert first[0] == "s3://pets/2.png"
    path = first[5]["filepath"]
    assert first[5] == {"type": "image", "filepath": path, "compressed_filepath": path}
    shown = Image.open(BytesIO(files[path])).convert("RGBA")
    assert shown.size == (96, 2 * 64)
    assert shown.getpixel((48, 32)) == pytest.approx((80, 80, 80, 255), abs=3)
    assert shown.getpixel((48, 96))[3] == 0, "MLflow cuts off the lower half"


def test_without_images_the_table_has_no_pictures(pets, table_of):
    """Nor a column for them: it is as it always was."""
    table, files = table_of(pets, None)
    assert table["columns"] == ["image", "predicted", "truth", "confidence", "outcome"]
    assert files == {}


def test_images_of_which_none_can_be_read_give_no_column(pets, table_of):
    """Each is damaged."""
    table, files = table_of(pets, lambda uris: [b"no picture"] * len(uris))
    assert (len(table["columns"]), files) == (5, {})


def test_a_row_whose_image_cannot_be_read_names_a_grey_picture(pets, table_of):
    """MLflow's page complains of a cell without one."""
    table, files = table_of(
        pets, lambda uris: [make_png(9) if uri.endswith("0.png") else b"" for uri in uris]
    )
    paths = {row[0]: row[5]["filepath"] for row in table["data"]}
    assert paths.pop("s3://pets/0.png") != f"{FOLDER}/none.webp"
    assert set(paths.values()) == {f"{FOLDER}/none.webp"}
    assert Image.open(BytesIO(files[f"{FOLDER}/none.webp"])).size == (48, 96)


def test_at_most_so_many_rows_have_pictures(evaluate, table_of):
    """All of 300 images are wrong."""
    many = evaluate([[0]] * 300, [[(1, 0.9), (0, 0.1)]] * 300, ("cat", "dog"))
    _, files = table_of(many, lambda uris: [make_png(9)] * len(uris))
    assert len(files) == MAX_PICTURES + 1


def test_each_image_is_read_once_for_report_and_table(pets):
    """Both show the same small pictures."""
    asked = []

    def read(uris):
        asked.extend(uris)
        return [make_png(9)] * len(uris)

    run = describe_run(pets, Options(), state="", logged_at="", read_images=read)
    assert sorted(asked) == sorted(pets.images)
    assert sum(path.startswith(FOLDER) for path in run.files) == 5
