"""What the numbers of boxes and areas mean, in plain words, by the key they are logged under."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mlrek.evaluation import Task
from mlrek.metrics.detection_errors import BOX_ERRORS

_COCO: Final = (
    "COCO's average precision: mean over labels with a true box of the greatest precision at "
    "recall 0, 0.01 … 1 or more; at most 100 detections of an image and label"
)
_MEAN_IOU: Final = "mean over IoU 0.50, 0.55 … 0.95"
_AVERAGES: Final = MappingProxyType(
    {
        "micro": "of the boxes of all labels together",
        "macro": "unweighted mean over the labels that are true or predicted; 0 where undefined",
        "weighted": "mean over labels, weighted by their true boxes; 0 where undefined",
    }
)
_SCORES: Final = MappingProxyType(
    {
        "precision": "TP / (TP + FP)",
        "recall": "TP / (TP + FN)",
        "f1": "2 TP / (2 TP + FP + FN)",
    }
)
_ERRORS: Final = MappingProxyType(
    {
        "classification": "at the place of a true box of another label (IoU 0.5 or more)",
        "localization": "on a true box of the label, with IoU 0.1 to 0.5",
        "both": "on a true box of another label, with IoU 0.1 to 0.5",
        "duplicate": "on a true box of the label that a surer prediction has found",
        "background": "on no true box (IoU 0.1 at most)",
        "missed": "true boxes that no prediction finds, nor would but for its label or place",
    }
)
_PIXELS: Final = "counts are of the pixels of all labels on all images; the background is no label"
_IMAGES: Final = "mean over the images where truth or prediction has the label, then over labels"

_AGGREGATES: Final = {
    "ap": f"{_COCO}; {_MEAN_IOU}",
    "ap_50": f"{_COCO}; at IoU 0.50",
    "ap_75": f"{_COCO}; at IoU 0.75",
    "ar_100": f"COCO's average recall, at most 100 detections of an image and label; {_MEAN_IOU}",
    "ap_small": f"{_COCO}; {_MEAN_IOU}; boxes of at most 32² pixels",
    "ap_medium": f"{_COCO}; {_MEAN_IOU}; boxes of 32² to 96² pixels",
    "ap_large": f"{_COCO}; {_MEAN_IOU}; boxes of 96² pixels or more",
}
_LABEL_BOXES: Final = {
    "precision": "share of the predicted boxes that have found a true box of the label",
    "recall": "share of the label's true boxes that a prediction has found",
    "f1": "2 TP / (2 TP + FP + FN) of the label",
    "ap": f"COCO's average precision of the label; {_MEAN_IOU}",
}
_DETECTION: Final = {
    **{f"aggregate/{name}": text for name, text in _AGGREGATES.items()},
    **{
        f"at_threshold/{score}_{average}": (
            "boxes at or above the assumed threshold of their label, right or wrong by the "
            f"provider's own flags: {formula}, {how}"
        )
        for score, formula in _SCORES.items()
        for average, how in _AVERAGES.items()
    },
    **{
        f"curve/{score}": (
            "predicted is every box with confidence >= step / 100, right when it has found a true "
            f"box of its label by greedy matching at IoU 0.5: {formula} of all labels together"
        )
        for score, formula in _SCORES.items()
    },
    **{
        f"label_{name}": f"{text}; found by greedy matching at IoU 0.5" if name != "ap" else text
        for name, text in _LABEL_BOXES.items()
    },
    **{
        f"extra/{name}_optimistic": (
            f"{name} with the matched boxes below the threshold among the detections, although "
            "the unmatched ones there were not published: too high"
        )
        for name in ("ap", "ap_50", "ap_75", "ar_100")
    },
    **{
        f"errors/{kind}": f"predictions of the kind of error that TIDE names: {_ERRORS[kind]}"
        for kind in BOX_ERRORS
        if kind != "missed"
    },
    "errors/missed": _ERRORS["missed"],
    "interval": (
        "95 % interval over images (or groups of them): jackknife of value and bias on the logit "
        "scale, without each image, of many without each of 200 random parts; of a label's boxes "
        "Wilson's at as many boxes as they are worth, since those of an image go together"
    ),
}
_SEGMENTATION: Final = {
    "aggregate/mean_iou": f"intersection over union, {_IMAGES}",
    "aggregate/mean_dice": f"2 TP / (2 TP + FP + FN) of pixels, {_IMAGES}",
    **{f"aggregate/pixel_{score}": f"{text}; {_PIXELS}" for score, text in _SCORES.items()},
    "extra/mean_iou_pooled": (
        "mean over labels of intersection over union, the pixels of all images together"
    ),
    "extra/mean_iou_all_images": (
        "mean over all images of intersection over union, 1 where neither truth nor prediction "
        "has the label, then over labels"
    ),
    **{f"label_{score}": f"{text} of the label's pixels" for score, text in _SCORES.items()},
    "label_iou": "intersection over union, mean over the images where truth or prediction has it",
    "label_dice": "2 TP / (2 TP + FP + FN) of pixels, mean over the same images",
    "interval": (
        "95 % interval over images (or groups of them), of single labels too: jackknife of value "
        "and bias on the logit scale, without each image, of many without each of 200 random parts"
    ),
}
AREA_DEFINITIONS: Mapping[Task, Mapping[str, str]] = MappingProxyType(
    {Task.DETECTION: _DETECTION, Task.SEGMENTATION: _SEGMENTATION}
)
