"""Images that two versions do not judge alike, by hand."""

import numpy as np

from mlrek.comparison import ImageAnswer, ImageChange
from mlrek.evaluation import Task


def test_images_that_changed_by_hand(build, compare):
    """Fixed, broken, and wrong in another way, each with what both said, and how surely."""
    truth = [[0], [0], [1], [1], [2]]
    baseline = build(truth, [[(1, 0.6)], [(0, 0.7)], [(0, 0.8)], [(1, 0.9)], []], images="edcba")
    candidate = build(
        truth, [[(0, 0.5)], [(1, 0.4)], [(2, 0.3)], [(1, 0.2)], [(0, 0.1)]], images="edcba"
    )

    comparison = compare(baseline, candidate)

    def change(image, true, before, after):
        answers = [ImageAnswer(labels=labels, confidence=c) for labels, c in (before, after)]
        return ImageChange(image=image, truth=(true,), baseline=answers[0], candidate=answers[1])

    assert comparison.fixed == (change("e", "a", (("b",), 0.6), (("a",), 0.5)),)
    assert comparison.broken == (change("d", "a", (("a",), 0.7), (("b",), 0.4)),)
    empty, other = comparison.changed
    assert other == change("c", "b", (("a",), 0.8), (("c",), 0.3))
    assert (empty.image, empty.truth, empty.baseline.labels) == ("a", ("c",), ())
    assert np.isnan(empty.baseline.confidence)
    assert empty.candidate == ImageAnswer(labels=("a",), confidence=0.1)


def test_images_of_several_labels_that_changed_by_hand(build, compare):
    """An image is right when all its labels are; its confidence is that of the least sure one."""
    options = {"task": Task.MULTILABEL, "thresholds": [0.5] * 3}
    baseline = build([[0, 1], [2]], [[(0, 0.9), (1, 0.4)], [(2, 0.6)]], **options)
    candidate = build([[0, 1], [2]], [[(0, 0.9), (1, 0.7)], [(1, 0.8), (2, 0.6)]], **options)

    comparison = compare(baseline, candidate)

    (fixed,), (broken,) = comparison.fixed, comparison.broken
    assert (fixed.image, fixed.truth, fixed.baseline.labels) == ("0", ("a", "b"), ("a",))
    assert fixed.candidate == ImageAnswer(labels=("a", "b"), confidence=0.7)
    assert (broken.image, broken.candidate.labels) == ("1", ("b", "c"))
