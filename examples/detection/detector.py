"""A sliding-window detector: the picture at several scales, one classifier, overlap suppressed."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scenes import Scene, compute_iou, find_ink
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

WINDOW = 8  # the classifier sees 8 x 8 values
WINDOW_SIZES = (14, 17, 21, 26, 32, 39, 48, 59)  # pixels of the scene
LOWEST_CONTRAST = 3  # grey levels; a flatter window is empty
BACKGROUND = 10  # the class of what is no digit
IS_DIGIT, IS_BACKGROUND = 0.6, 0.35  # IoU with a digit's cell, for windows to learn from
EVERY = 17  # background windows to learn from are plenty: each 17th will do
EVERY_HARD = 4  # and of those that do look like a digit, each 4th
LOWEST_CONFIDENCE = 0.02
SUPPRESSED = 0.3  # IoU with a more confident box of the same digit
DECIMALS = 5
SHRINKAGE = 0.05
MOSTLY_BACKGROUND = 0.9
NEIGHBOURS = 25
KERNEL_WIDTH = 1.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Greys = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector says of a scene: `boxes_xyxy` (n, 4), `digits` and `confidence` (n,)."""

    boxes_xyxy: Ints
    digits: Ints
    confidence: Floats


@dataclass(frozen=True, slots=True)
class Detector:
    """`spots` finds windows with a digit and names it; where there is one, `names` knows better.

    `tightens`: boxes are drawn around the ink, not around the window.
    """

    spots: ClassifierMixin
    names: ClassifierMixin | None
    tightens: bool

    def detect(self, grey: Greys) -> Detections:
        """All boxes with at least the lowest confidence, one of a digit at a place."""
        values, squares = cut_windows(grey)
        y_score = self.spots.predict_proba(values)
        if self.names is not None:
            worth = y_score[:, BACKGROUND] < MOSTLY_BACKGROUND
            values, squares = values[worth], squares[worth]
            y_score = self.names.predict_proba(values)
        window, digit = np.nonzero(y_score[:, :BACKGROUND].round(DECIMALS) >= LOWEST_CONFIDENCE)
        confidence = y_score[window, digit].round(DECIMALS)
        boxes = (tighten(grey, squares) if self.tightens else squares)[window]
        kept = suppress(boxes, digit, confidence)
        return Detections(boxes[kept], digit[kept], confidence[kept])


def train_linear(scenes: list[Scene]) -> Detector:
    """A linear classifier alone; boxes are its windows."""
    return Detector(_learn_to_spot(*_label_all(scenes)), names=None, tightens=False)


def train_neighbours(scenes: list[Scene]) -> Detector:
    """Where the linear classifier spots something, the nearest windows it knows vote."""
    values, y_true = _label_all(scenes)
    spots = _learn_to_spot(values, y_true)
    worth = spots.predict_proba(values)[:, BACKGROUND] < MOSTLY_BACKGROUND
    worth &= (y_true != BACKGROUND) | (np.arange(len(y_true)) % EVERY_HARD == 0)
    names = KNeighborsClassifier(NEIGHBOURS, weights=_weigh, algorithm="brute")
    return Detector(spots, names.fit(values[worth], y_true[worth]), tightens=True)


def cut_windows(grey: Greys) -> tuple[Floats, Ints]:
    """All windows with some contrast: values (n, 64) from 0 to 1, and their squares (n, 4)."""
    values, squares = [], []
    for size in WINDOW_SIZES:
        small = shrink(grey, size / WINDOW)
        windows = sliding_window_view(small, (WINDOW, WINDOW))
        y, x = (at.ravel() for at in np.indices(windows.shape[:2]))
        corner = (np.stack([x, y], axis=1) * size / WINDOW).round().astype(np.int64)
        values.append(windows.reshape(len(corner), -1))
        squares.append(np.hstack([corner, corner + size]))
    return _stretch(np.concatenate(values), np.concatenate(squares))


def shrink(grey: Greys, factor: float) -> Floats:
    """The picture in pixels `factor` times as large, each the mean of what it covers.

    Rounded, so that no comparison of means hangs on the last bit of a sum.
    """
    rows, columns = (_average(length, factor) for length in grey.shape)
    return (rows @ grey @ columns.T).round(6)


def tighten(grey: Greys, squares: Ints) -> Ints:
    """The boxes around the ink in the squares."""
    boxes = []
    for x0, y0, x1, y1 in squares.tolist():
        part = grey[y0:y1, x0:x1].astype(float)
        box = find_ink(part - part.min())
        boxes.append((box[0] + x0, box[1] + y0, box[2] + x0, box[3] + y0))
    return np.array(boxes)


def suppress(boxes: Ints, digits: Ints, confidence: Floats) -> Ints:
    """The boxes that no more confident one of the same digit overlaps, the most confident first."""
    order = np.argsort(-confidence, kind="stable")
    kept: list[int] = []
    while len(order):
        first, others = order[0], order[1:]
        kept.append(int(first))
        overlap = compute_iou(boxes[[first]], boxes[others])[0]
        order = others[(overlap <= SUPPRESSED) | (digits[others] != digits[first])]
    return np.array(kept, dtype=np.int64)


def label_windows(scene: Scene) -> tuple[Floats, Ints]:
    """The windows of a scene that are clearly a digit or clearly none, and which."""
    values, squares = cut_windows(scene.grey)
    overlap = compute_iou(squares, scene.cells_xyxy)
    best = overlap.max(axis=1)
    y_true = np.where(best >= IS_DIGIT, scene.digits[overlap.argmax(axis=1)], BACKGROUND)
    clear = (best >= IS_DIGIT) | (best <= IS_BACKGROUND)
    return values[clear], y_true[clear]


def _label_all(scenes: list[Scene]) -> tuple[Floats, Ints]:
    seen = [label_windows(scene) for scene in scenes]
    values, y_true = (np.concatenate(columns) for columns in zip(*seen, strict=True))
    return values, y_true


def _learn_to_spot(values: Floats, y_true: Ints) -> ClassifierMixin:
    """Learn twice: the second time also from the windows that the first got wrong."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
    chosen = (y_true != BACKGROUND) | (np.arange(len(y_true)) % EVERY == 0)
    chosen |= model.fit(values[chosen], y_true[chosen]).predict(values) != y_true
    return model.fit(values[chosen], y_true[chosen])


def _weigh(distances: Floats) -> Floats:
    """The vote of a neighbour at such a distance."""
    return np.exp(-0.5 * (distances / KERNEL_WIDTH) ** 2)


def _average(length: int, factor: float) -> Floats:
    """The matrix that averages `length` pixels in groups of `factor`, whole groups only."""
    edges = np.arange(int(length / factor) + 1)[:, None] * factor
    filled = np.clip(edges - np.arange(length), 0, 1)
    return np.diff(filled, axis=0) / factor


def _stretch(values: Floats, squares: Ints) -> tuple[Floats, Ints]:
    """Each window from its darkest to its brightest value; flat ones are left out."""
    low, high = values.min(axis=1), values.max(axis=1)
    clear = high - low >= LOWEST_CONTRAST
    spread = (high - low)[clear, None]
    return (values[clear] - low[clear, None]) / spread, squares[clear]
