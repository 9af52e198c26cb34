"""Whether masks are compared, or the boxes around them."""

from dataclasses import replace

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import FloatArray
from mlrek.formats.json_text import quoted
from mlrek.formats.predictions import Answers
from mlrek.formats.truth import GroundTruth


def choose_masks(
    truth: GroundTruth, answers: Answers
) -> tuple[GroundTruth, Answers, tuple[str, ...]]:
    """Both with the masks of their boxes where both have some, else without; and what is said.

    Raises:
        ParseError: A true mask is malformed.
    """
    if truth.boxes is None or answers.boxes is None:
        return truth, answers, ()
    if answers.boxes.masks is None:
        return replace(truth, boxes=replace(truth.boxes, masks=None)), answers, ()
    masked = truth.boxes
    if truth.find_masks is not None:
        masked = replace(masked, masks=truth.find_masks())
    if masked.masks is None:
        said = "the truth has not a mask for each of its boxes: boxes are compared, not masks"
        return truth, replace(answers, boxes=replace(answers.boxes, masks=None)), (said,)
    said = (
        "truth and predictions have masks, which are compared instead of their boxes; predictions "
        "without masks are compared as boxes"
    )
    return replace(truth, boxes=masked), answers, (said,)


def check_mask_sizes(truth: GroundTruth, sizes: FloatArray) -> None:
    """Refuse found masks of another size than the images of the truth.

    Args:
        truth: Its images have sizes.
        sizes: Width and height of the found masks of each image, (n_images, 2); NaN: none.

    Raises:
        EvaluationError: One is.
    """
    if truth.image_sizes is None:
        return
    known = np.isfinite(sizes).all(axis=1) & np.isfinite(truth.image_sizes).all(axis=1)
    differs = known & (sizes != truth.image_sizes).any(axis=1)
    if n := np.count_nonzero(differs):
        first = int(np.argmax(differs))
        found, true = (
            " x ".join(f"{side:g}" for side in both[first]) for both in (sizes, truth.image_sizes)
        )
        raise EvaluationError(
            f"masks of {n} images have another size than the image; first: "
            f"{quoted(truth.images[first])}, {found} instead of {true} pixels"
        )
