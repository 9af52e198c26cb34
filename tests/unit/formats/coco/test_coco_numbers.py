"""COCO files give the numbers of pycocotools."""

import pytest
from builders.answers import VERSION
from builders.coco import draw_coco, give_file, give_folder, run_coco_eval

from mlrek.formats.coco import read_coco_answers, read_coco_truth
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.yolo import read_yolo_answers
from mlrek.metrics.compute import compute_metrics


def compute(truth, results):
    """Our numbers of what the two files hold."""
    joined = join_answers(
        VERSION,
        read_coco_truth(give_file(truth)),
        read_coco_answers(give_file(results)),
        JoinOptions(),
    )
    metrics = compute_metrics(joined)
    numbers = {name: number.value for name, number in metrics.aggregate.items()}
    return numbers | dict(zip(metrics.labels, metrics.per_label.ap.tolist(), strict=True))


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


@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_yolo_on_truth_of_coco_are_pycocotools(seed):
    """Shares of the image become pixels of the truth's sizes, with its crowds and areas."""
    truth, results = draw_coco(seed)
    lines = {f"labels/{image['file_name'][:-4]}.txt": "" for image in truth["images"]}
    for row in results:
        (left, top, width, height), code = row["bbox"], row["category_id"] // 3
        x, y, w, h = (left + width / 2) / 130, (top + height / 2) / 123, width / 130, height / 123
        name = f"labels/{row['image_id'] - 10:04}.txt"
        lines[name] += f"{code} {x!r} {y!r} {w!r} {h!r} {row['score']!r}\n"
    joined = join_answers(
        VERSION,
        read_coco_truth(give_file(truth)),
        read_yolo_answers(give_folder(lines | {"data.yaml": "names: [label 0, label 1, label 2]"})),
        JoinOptions(),
    )
    values = {name: number.value for name, number in compute_metrics(joined).aggregate.items()}
    expected = run_coco_eval(truth, results)
    assert values == pytest.approx({name: expected[name] for name in values}, abs=1e-9, nan_ok=True)
