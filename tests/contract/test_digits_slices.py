"""`examples/digits/slices.csv`: what it says of the digits, against the images themselves."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

FOLDER = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[float, float]]:
    """Stroke width and slant by image."""
    with (FOLDER / "slices.csv").open(newline="") as file:
        return {
            row["image"]: (float(row["stroke_width"]), float(row["slant"]))
            for row in csv.DictReader(file)
        }


def _read(image: str) -> np.ndarray:
    """The grey levels of an image, 0 to 1."""
    return np.asarray(Image.open(FOLDER / "images" / Path(image).name), dtype=float) / 255


def test_each_image_has_a_row(rows):
    """Every test image of the folder is there once, by the URI that manifests write."""
    names = sorted(path.name for path in (FOLDER / "images").iterdir())
    assert list(rows) == [f"s3://digits/{name}" for name in names]


def test_slant_is_that_of_the_moments(rows):
    """The slant is the angle of the central moments as scipy's center of mass gives them."""
    for image, (_, slant) in list(rows.items())[::50]:
        ink = _read(image)
        cy, cx = ndimage.center_of_mass(ink)
        y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
        mu11, mu02 = (ink * (x - cx) * (cy - y)).sum(), (ink * (cy - y) ** 2).sum()
        assert slant == pytest.approx(np.degrees(np.arctan2(mu11, mu02)), abs=0.5)


def test_thicker_strokes_are_wider(rows):
    """Images whose stroke is wider keep more of their ink when a pixel is taken off its edges."""
    widths = np.array([width for width, _ in rows.values()])
    inks = [np.pad(_read(image), 1) for image in rows]
    kept = np.array([ndimage.grey_erosion(ink, size=(2, 2)).sum() / ink.sum() for ink in inks])
    assert np.corrcoef(widths, kept)[0, 1] > 0.8
