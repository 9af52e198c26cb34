"""Populations of images whose numbers are known: test sets are drawn from them independently.

Each setting is a model on a population: label counts, difficulty and confidences of a drawn test
set are random. `draw` gives a test set of any size; the population's own numbers are those of a
very large one (`N_TARGET` images), which nothing here depends on otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mlrek.evaluation import (
    Boxes,
    Detections,
    Evaluation,
    LabelSets,
    MaskCounts,
    Outcome,
    Project,
    Provider,
    Records,
    Task,
    Version,
)

PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:project", name="project")
SIDE = 400  # of an image, in pixels
Draw = Callable[[np.random.Generator, int], Evaluation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A population, how many images its test sets have, and how many stand for all of them."""

    draw: Draw
    sizes: tuple[int, ...] = (100, 300)
    n_target: int = 200_000
    n_targets: int = 1
    is_cheap: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One label an image: label k has the score N(0, 1), the true one `signal` more.

    With softmax(signal x score + ln prior) the model is calibrated and its top label the likeliest;
    `heat` times these exponents make it over-confident. `swap` mistakes labels for each other more.
    """

    priors: tuple[float, ...]
    signals: tuple[float, ...]
    heat: float = 1.0
    threshold: float = np.nan

    def __call__(self, rng, n):
        """A test set of n images."""
        priors, signals = np.array(self.priors), np.array(self.signals)
        y_true = rng.choice(len(priors), n, p=priors)
        scores = rng.normal(size=(n, len(priors)))
        scores[np.arange(n), y_true] += signals[y_true]
        exponents = signals * scores - signals**2 / 2 + np.log(priors)
        exponents *= self.heat
        exponents -= exponents.max(axis=1, keepdims=True)
        shares = np.exp(exponents)
        shares /= shares.sum(axis=1, keepdims=True)
        return build(
            truth=LabelSets(offsets=np.arange(n + 1), label_idx=y_true),
            scores=shares,
            thresholds=np.full(len(priors), self.threshold),
            task=Task.CLASSIFICATION,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """Several labels an image: frequent and rare ones, likelier together; scores from 0 to 1."""

    rates: tuple[float, ...]
    signal: float = 2.2

    def __call__(self, rng, n):
        """A test set of n images."""
        rates = np.array(self.rates)
        scene = rng.normal(size=(n, 1)) * 0.7
        is_true = rng.random((n, len(rates))) < 1 / (
            1 + np.exp(-(np.log(rates / (1 - rates)) + scene))
        )
        hard = rng.normal(size=(n, 1)) * 0.5  # some images are hard for all labels
        scores = rng.normal(size=is_true.shape) + hard + self.signal * is_true
        image_idx, label_idx = np.nonzero(is_true)
        return build(
            truth=LabelSets(
                offsets=np.concatenate(([0], np.cumsum(np.bincount(image_idx, minlength=n)))),
                label_idx=label_idx,
            ),
            scores=1 / (1 + np.exp(-1.5 * (scores - 1.2))),
            thresholds=np.full(len(rates), np.nan),
            task=Task.MULTILABEL,
        )


def build(*, truth, scores, thresholds, task):
    """An evaluation with the confidence of every label on every image."""
    n, n_labels = scores.shape
    return Evaluation(
        version=Version(project=PROJECT, arn="arn:version", name="v1"),
        task=task,
        labels=tuple(f"label {i}" for i in range(n_labels)),
        images=tuple(map(str, range(n))),
        truth=truth,
        records=Records(
            offsets=np.arange(n + 1) * n_labels,
            label_idx=np.tile(np.arange(n_labels), n),
            confidence=scores.ravel(),
            outcome=np.full(scores.size, Outcome.UNKNOWN, dtype=np.uint8),
        ),
        thresholds=thresholds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Objects of five labels, from 12 to 200 pixels, on `n` images, some of which are hard."""

    n: int
    image_idx: np.ndarray
    label_idx: np.ndarray
    size: np.ndarray
    corner: np.ndarray
    skill: np.ndarray


def draw_detections(rng, n):
    """A scene of which most objects are found, more or less in place."""
    return detect(rng, draw_scene(rng, n))


def draw_scene(rng, n):
    """What there is to find."""
    n_true = rng.poisson(rng.gamma(4, 0.7, size=n))
    image_idx = np.repeat(np.arange(n), n_true)
    label_idx = rng.choice(5, len(image_idx), p=[0.4, 0.25, 0.2, 0.1, 0.05])
    size = np.exp(rng.uniform(np.log(12), np.log(200), (len(image_idx), 2)))
    corner = rng.random((len(image_idx), 2)) * (SIDE - size)
    skill = np.repeat(rng.normal(size=n) * 0.5, n_true)
    return Scene(
        n=n, image_idx=image_idx, label_idx=label_idx, size=size, corner=corner, skill=skill
    )


def detect(rng, scene, strength=1.6):
    """What a version finds, which is the more the greater its strength."""
    n, image_idx, label_idx = scene.n, scene.image_idx, scene.label_idx
    size, corner, skill = scene.size, scene.corner, scene.skill
    is_found = rng.random(len(image_idx)) < 1 / (
        1 + np.exp(-(strength + skill + 0.3 * (size[:, 0] > 50)))
    )
    jitter = rng.normal(size=(len(image_idx), 4)) * 0.07 * np.tile(size, 2)
    found = np.concatenate([corner, corner + size], axis=1) + jitter
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    said = np.where(
        rng.random(len(image_idx)) < 0.93, label_idx, rng.integers(5, size=len(image_idx))
    )
    n_false = rng.poisson(0.8, size=n)
    false_image = np.repeat(np.arange(n), n_false)
    false_size = np.exp(rng.uniform(np.log(12), np.log(200), (len(false_image), 2)))
    false_corner = rng.random((len(false_image), 2)) * (SIDE - false_size)
    images = np.concatenate([image_idx[is_found], false_image])
    labels = np.concatenate([said[is_found], rng.integers(5, size=len(false_image))])
    boxes = np.concatenate(
        [found[is_found], np.concatenate([false_corner, false_corner + false_size], axis=1)]
    )
    sure = np.concatenate(
        [rng.normal(1.2 + skill[is_found], 1), rng.normal(-0.6, 1, len(false_image))]
    )
    order = np.argsort(images, kind="stable")
    truth = np.concatenate([corner, corner + size], axis=1)
    return _detection(
        n,
        (image_idx, label_idx, truth, np.full(len(image_idx), np.nan)),
        (images[order], labels[order], boxes[order], (1 / (1 + np.exp(-sure)))[order]),
    )


def _detection(n, truth, records):
    empty, none = np.zeros(n + 1, dtype=int), np.empty(0, dtype=int)
    return Evaluation(
        version=Version(project=PROJECT, arn="arn:version", name="v1"),
        task=Task.DETECTION,
        labels=tuple("abcde"),
        images=tuple(map(str, range(n))),
        truth=LabelSets(offsets=empty, label_idx=none),
        records=Records(
            offsets=empty,
            label_idx=none,
            confidence=np.empty(0),
            outcome=np.empty(0, dtype=np.uint8),
        ),
        thresholds=np.full(5, 0.5),
        detections=Detections(
            truth=_boxes(n, *truth),
            records=_boxes(n, *records),
            image_sizes=np.full((n, 2), float(SIDE)),
        ),
    )


def _boxes(n, image_idx, label_idx, boxes_xyxy, confidence):
    return Boxes(
        offsets=np.concatenate(([0], np.cumsum(np.bincount(image_idx, minlength=n)))),
        label_idx=label_idx,
        boxes_xyxy=boxes_xyxy,
        confidence=confidence,
        outcome=np.full(len(label_idx), Outcome.UNKNOWN, dtype=np.uint8),
    )


def draw_masks(rng, n):
    """Areas of three labels, of very different size; overlaps with the truth vary by image."""
    rates = np.array([0.9, 0.5, 0.15])
    has_label = rng.random((n, 3)) < rates
    sees_label = np.where(has_label, rng.random((n, 3)) < 0.95, rng.random((n, 3)) < 0.04)
    image_idx, label_idx = np.nonzero(has_label | sees_label)
    is_true, is_seen = has_label[image_idx, label_idx], sees_label[image_idx, label_idx]
    area = np.round(np.exp(rng.normal(7, 1, len(image_idx)))) + 1
    overlap = rng.beta(8, 2, len(image_idx))
    tp = np.where(is_true & is_seen, np.round(area * overlap), 0)
    fn = np.where(is_true, area - tp, 0)
    fp = np.where(is_seen, np.where(is_true, np.round(area * (1 - overlap) * 0.8), area), 0)
    empty, none = np.zeros(n + 1, dtype=int), np.empty(0, dtype=int)
    return Evaluation(
        version=Version(project=PROJECT, arn="arn:version", name="v1"),
        task=Task.SEGMENTATION,
        labels=tuple("abc"),
        images=tuple(map(str, range(n))),
        truth=LabelSets(offsets=empty, label_idx=none),
        records=Records(
            offsets=empty,
            label_idx=none,
            confidence=np.empty(0),
            outcome=np.empty(0, dtype=np.uint8),
        ),
        thresholds=np.full(3, np.nan),
        masks=MaskCounts(
            image_idx=image_idx,
            label_idx=label_idx,
            tp=tp.astype(np.int64),
            fp=fp.astype(np.int64),
            fn=fn.astype(np.int64),
            readable=np.ones(n, dtype=bool),
        ),
    )


def _vary(signal, n_labels, spread=0.15):
    """Labels of different difficulty about the signal."""
    return tuple(signal * np.exp(np.linspace(-spread, spread, n_labels)))


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "10 labels, 75 %": Setting(
            draw=Scored(priors=(0.1,) * 10, signals=_vary(2.29, 10), threshold=0.5)
        ),
        "10 labels, 98 %": Setting(draw=Scored(priors=(0.1,) * 10, signals=_vary(3.98, 10))),
        "20 labels, ten rare": Setting(
            draw=Scored(priors=(0.087,) * 10 + (0.013,) * 10, signals=_vary(2.9, 20))
        ),
        "2 labels, 97:3": Setting(draw=Scored(priors=(0.97, 0.03), signals=(1.8, 1.8))),
        "50 labels": Setting(
            draw=Scored(priors=(0.02,) * 50, signals=_vary(3.0, 50)), sizes=(300,)
        ),
        "over-confident": Setting(
            draw=Scored(priors=(0.1,) * 10, signals=_vary(2.29, 10), heat=1.6)
        ),
        "several labels": Setting(
            draw=Several(rates=(0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05))
        ),
        "detection": Setting(draw=draw_detections, n_target=40_000, n_targets=5, is_cheap=False),
        "masks": Setting(draw=draw_masks, is_cheap=False),
    }
)
