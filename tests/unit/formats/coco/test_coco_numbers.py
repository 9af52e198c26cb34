"""COCO files give the numbers of pycocotools."""

import pytest
from builders.answers import VERSION
from builders.coco import draw_coco, give_file, run_coco_eval

from mlrek.formats.coco import read_coco_answers, read_coco_truth
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.metrics.compute import compute_metrics


def compute(truth, results):
    """Our numbers of what the two files hold."""
    joined = join_answers(
        VERSION,
        read_coco_truth(give_file(truth)),
        read_coco_answers(give_file(results)),
        JoinOptions(),
    )
    return {name: number.value for name, number in compute_metrics(joined).aggregate.items()}


@pytest.mark.parametrize("seed", range(12))
def test_boxes_with_crowds_and_areas_are_pycocotools(seed):
    """All averages of boxes equal pycocotools', with crowds, flags, areas and tenths of pixels."""
    truth, results = draw_coco(seed)
    assert compute(truth, results) == pytest.approx(
        run_coco_eval(truth, results), abs=1e-12, nan_ok=True
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("has_boxes", [True, False])
def test_masks_are_pycocotools(seed, has_boxes):
    """All averages of masks equal pycocotools', of polygons and both kinds of RLE."""
    truth, results = draw_coco(seed, masks=True)
    if not has_boxes:
        for row in results:
            del row["bbox"]
    assert compute(truth, results) == pytest.approx(
        run_coco_eval(truth, results, "segm"), abs=1e-12, nan_ok=True
    )


@pytest.mark.parametrize("seed", range(4))
def test_masks_without_true_masks_are_compared_as_boxes(seed):
    """Results that are masks alone are boxes around them, with the masks' areas, as there."""
    truth, results = draw_coco(seed, masks=True)
    for row in truth["annotations"]:
        del row["segmentation"]
    for row in results:
        del row["bbox"]
    assert compute(truth, results) == pytest.approx(
        run_coco_eval(truth, results), abs=1e-12, nan_ok=True
    )
