"""Detections written down as plain lists, and pycocotools, which computes them independently."""

import pytest
from builders.detections import build_detection, draw_random_scenes, run_pycocotools


@pytest.fixture(scope="session")
def build():
    """Make an evaluation of lists: per image (code, box) and (code, box, confidence[, flag])."""
    return build_detection


@pytest.fixture(scope="session")
def run_coco():
    """Numbers of pycocotools by our names, and the average precision of each label; -1 is NaN."""
    return run_pycocotools


@pytest.fixture(scope="session")
def draw_scenes():
    """Make random scenes `(truth, records)`: boxes near true ones, doubled, moved, relabelled."""
    return draw_random_scenes
