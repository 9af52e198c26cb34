"""Rebuild this folder, byte for byte: `python examples/lookout-segmentation/make.py [FOLDER]`.

Takes real masks of cracked cookies for the truth, makes up what two versions of a model would have
marked by moving, thinning and thickening them, and writes both in the form that Amazon Lookout for
Vision and its successor on the edge use. README.md says what is real and what is made. Nothing here
needs mlrek.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

sys.path.append(str(Path(__file__).parents[1] / "making"))

from files import Json, to_json, to_lines, to_palette_png, write_files
from lookout import Model, Verdict, describe_result, describe_verdict, judge, to_plain_text

PROJECT = "cookies"
HERE = Path(__file__).parent
ANOMALIES = (2, 5, 11, 13, 20, 22, 26, 31)
NORMAL = (29, 30, 31)
HEIGHT, WIDTH = 768, 576
LABEL, TRUE_COLOUR, COLOUR = "cracked", "#23A436", "#23a436"
OPAQUE = 128  # of 255: what belongs to a mask
MISSED, FALSE_ALARM, ALARM_LIKE = "anomaly-11", "normal-30", "anomaly-11"
TRAIN_IMAGES = 63 - len(ANOMALIES) - len(NORMAL)  # the rest of the 63 cookies

Mask = NDArray[np.bool_]
MakeUp = Callable[[Mask, Random], Mask]


@dataclass(frozen=True, slots=True)
class Cookie:
    """An image by its name, what is cracked in it, and what a version says of it."""

    name: str
    mask_true: Mask
    mask_pred: Mask
    verdict: Verdict


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else HERE
    write_files(folder, build_files(), owned=("*.json", "detected-*/*"))


def build_files() -> Mapping[str, bytes]:
    """Every file by its path in the folder; the true masks come back unchanged."""
    files = {mask: (HERE / mask).read_bytes() for mask in map(name_true_mask, list_anomalies())}
    for model, make_up in list_versions():
        cookies = [imagine(model, make_up, name) for name in (*list_anomalies(), *list_normal())]
        is_anomaly = np.array([cookie.mask_true.any() for cookie in cookies])
        more = {"PixelAnomalyClassMetrics": [compute_pixel_metrics(cookies)]}
        result = describe_result(model, is_anomaly, [cookie.verdict for cookie in cookies], more)
        files[model.name_file("EvaluationResult")] = to_json(result)
        lines = [describe_cookie(model, cookie) for cookie in cookies]
        files[model.name_file("EvaluationManifest")] = to_lines(lines)
        for cookie in cookies:
            if cookie.mask_pred.any():
                codes = cookie.mask_pred.astype(np.uint8)
                files[name_mask(model, cookie)] = to_palette_png(codes, ("#ffffff", COLOUR))
    return files


def list_versions() -> tuple[tuple[Model, MakeUp], ...]:
    """Two versions, tested on the same images."""
    first = datetime(2025, 5, 6, 8, 12, 20, 104000, tzinfo=UTC)
    second = datetime(2025, 5, 20, 11, 39, 55, 730000, tzinfo=UTC)
    return (
        (Model(PROJECT, 1, first, 4102, TRAIN_IMAGES), make_up_roughly),
        (Model(PROJECT, 2, second, 4377, TRAIN_IMAGES), make_up_closely),
    )


def list_anomalies() -> tuple[str, ...]:
    """The cracked cookies."""
    return tuple(f"anomaly-{number}" for number in ANOMALIES)


def list_normal() -> tuple[str, ...]:
    """The whole ones."""
    return tuple(f"normal-{number}" for number in NORMAL)


# What the versions would have said: made up


def imagine(model: Model, make_up: MakeUp, name: str) -> Cookie:
    """A cookie as a version would have seen it; the first one misses one and sees one too many."""
    dice = Random(f"{PROJECT}/{model.version}/{name}")
    mask_true = read_mask(name)
    seen = mask_true
    if model.version == 1 and name in (MISSED, FALSE_ALARM):
        seen = read_mask(ALARM_LIKE) & (name == FALSE_ALARM)
    mask_pred = make_up(seen, dice) if seen.any() else seen
    doubt = 0.45 * dice.random()
    score = 1 - doubt if mask_pred.any() else doubt
    return Cookie(name, mask_true, mask_pred, judge(score))


def make_up_roughly(mask: Mask, dice: Random) -> Mask:
    """Moved by up to 8 pixels, and 4 pixels thinner all around."""
    return binary_erosion(_move(mask, dice, 8), iterations=4)


def make_up_closely(mask: Mask, dice: Random) -> Mask:
    """Moved by up to 3 pixels, and 2 pixels thicker all around."""
    return binary_dilation(_move(mask, dice, 3), iterations=2)


def read_mask(name: str) -> Mask:
    """What is cracked in a cookie, (768, 576); nothing in a whole one."""
    if name not in list_anomalies():
        return np.zeros((HEIGHT, WIDTH), dtype=bool)
    return np.asarray(Image.open(HERE / name_true_mask(name)).convert("RGBA"))[:, :, 3] >= OPAQUE


def _move(mask: Mask, dice: Random, most: int) -> Mask:
    """The mask elsewhere; none of the real ones comes near the edge."""
    x, y = (round((2 * dice.random() - 1) * most) for _ in range(2))
    return np.roll(mask, (y, x), axis=(0, 1))


# What the service publishes


def compute_pixel_metrics(cookies: Sequence[Cookie]) -> Json:
    """The label's numbers: pixels of all images pooled; IoU averaged over images that have it."""
    tp = [int((c.mask_true & c.mask_pred).sum()) for c in cookies]
    n_true = [int(c.mask_true.sum()) for c in cookies]
    n_pred = [int(c.mask_pred.sum()) for c in cookies]
    union = np.array(n_true) + n_pred - tp
    return {
        "Precision": sum(tp) / sum(n_pred),
        "Recall": sum(tp) / sum(n_true),
        "F1Score": 2 * sum(tp) / (sum(n_true) + sum(n_pred)),
        "AIOU": fmean(t / u for t, u in zip(tp, union.tolist(), strict=True) if u),
        "ClassName": LABEL,
    }


def describe_cookie(model: Model, cookie: Cookie) -> Json:
    """A line of the manifest; an image without a mask has no keys for it."""
    uri, truth = f"s3://{PROJECT}/training-images/{cookie.name}.jpg", cookie.mask_true
    line = describe_verdict(model, uri, bool(truth.any()), cookie.verdict)
    if truth.any():
        colours = {"0": {"class-name": LABEL, "hex-color": TRUE_COLOUR}}
        line |= _describe_mask(model, "", name_true_mask(cookie.name), colours)
    if cookie.mask_pred.any():
        area = float(cookie.mask_pred.mean())
        colours = {
            "0": _describe_area("background", "#ffffff", 1 - area),
            "1": _describe_area(LABEL, COLOUR, area),
        }
        line |= _describe_mask(model, "-detected", name_mask(model, cookie), colours)
    return line


def name_true_mask(name: str) -> str:
    """The file of a true mask, and its key in the bucket."""
    return f"mask-images/{name}.png"


def name_mask(model: Model, cookie: Cookie) -> str:
    """The file of a made mask, and its key in the bucket."""
    return f"detected-{model.version}/{cookie.name}.mask.png"


def _describe_mask(model: Model, suffix: str, file: str, colours: Json) -> Json:
    return {
        f"anomaly-mask-ref{suffix}": f"s3://{PROJECT}/{file}",
        f"anomaly-mask-ref{suffix}-metadata": {
            "internal-color-map": colours,
            "type": "groundtruth/semantic-segmentation",
            "human-annotated": "no" if suffix else "yes",
            "job-name": "labeling-job/segmentation-job",
            "creation-date": to_plain_text(model.evaluated),
        },
    }


def _describe_area(name: str, colour: str, area: float) -> Json:
    return {"name": name, "hex-color": colour, "total-percentage-area": round(area, 6)}


if __name__ == "__main__":
    main(sys.argv[1:])
