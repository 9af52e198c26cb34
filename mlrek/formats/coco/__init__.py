"""COCO's JSON: an object with images, annotations and categories -> truth; an array of results ->
answers.

| in the file | means |
| --- | --- |
| `images[].file_name` (else `coco_url`, `flickr_url`) | the image's place; `width`, `height` its size |
| `categories[].name` | a label; the file's order is the label order |
| `annotations[].bbox` | left, top, width and height of a true box, in pixels |
| `annotations[].area` | what decides whether it is small, medium or large |
| `annotations[].iscrowd` | it stands for many objects: what it finds is neither right nor wrong |
| `annotations[].segmentation` | its pixels (polygons, RLE); compared where the results have some too |
| `[{"image_id", "category_id", "score", "bbox" or "segmentation"}]` | results; images and labels by id |

What pycocotools does not read (`ignore`, keypoints) is not read here either, and said.
"""  # noqa: D205, E501 (a table)

from mlrek.formats.coco.answers import read_coco_answers
from mlrek.formats.coco.documents import seems_coco_answers, seems_coco_truth
from mlrek.formats.coco.truth import read_coco_truth

__all__ = ["read_coco_answers", "read_coco_truth", "seems_coco_answers", "seems_coco_truth"]
