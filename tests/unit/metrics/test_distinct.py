"""Each image counts once, whatever the order of lines."""

from dataclasses import replace

import numpy as np
from builders.detections import build_detection
from builders.evaluations import build_evaluation
from builders.masks import build_segmentation
from hypothesis import given
from hypothesis import strategies as st

from mlrek.evaluation import DoubtKind, Effect
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.test_set import count_images, count_once, take_images
from mlrek.metrics.test_set import test_set_digest as digest_test_set


def _kinds(evaluation):
    return [(doubt.kind, doubt.count, doubt.of) for doubt in evaluation.doubts]


def _read(evaluation):
    """Truth and records of each image by label names."""
    labels, truth, records = evaluation.labels, evaluation.truth, evaluation.records
    return {
        image: (
            [labels[c] for c in truth.label_idx[truth.offsets[i] : truth.offsets[i + 1]]],
            [
                (labels[records.label_idx[r]], records.confidence[r])
                for r in range(records.offsets[i], records.offsets[i + 1])
            ],
        )
        for i, image in enumerate(evaluation.images)
    }


def test_distinct_images_are_returned_as_they_are():
    """Nothing is copied where nothing repeats."""
    evaluation = build_evaluation([[0], [1]], [[(0, 0.9)], [(1, 0.8)]])
    assert count_once(evaluation) is evaluation


@given(st.lists(st.text(max_size=2), max_size=6), st.booleans())
def test_different_images_are_counted_in_any_order(names, rise):
    """As many images are counted as a set of their names has, whether names rise or not."""
    names = tuple(sorted(names) if rise else names)
    assert count_images(names) == len(set(names))


def test_equal_lines_count_once():
    """Sixty images, five equal lines each: sixty images, and their digest."""
    truth = [[i % 3] for i in range(60)]
    records = [[(i % 2, 0.9), (2, 0.1)] for i in range(60)]
    images = [f"s3://b/{i}.jpg" for i in range(60)]
    once = build_evaluation(truth, records, images=images)
    five = build_evaluation(truth * 5, records * 5, images=images * 5)
    counted = count_once(five)
    assert counted.images == once.images
    assert _read(counted) == _read(once)
    assert _kinds(counted) == [(DoubtKind.IMAGES_REPEATED, 60, 60)]
    assert counted.doubts[0].effect is Effect.SAID
    assert digest_test_set(five) == digest_test_set(once)
    ours, wanted = compute_metrics(counted), compute_metrics(once)
    assert repr(ours.aggregate) == repr(wanted.aggregate)  # nan is not nan


def test_the_smallest_line_counts():
    """Records by label name, not code: here `a` is code 1, and 0.3 stands before 0.9."""
    evaluation = build_evaluation(
        [[0], [0], [0]],
        [[(0, 0.5)], [(1, 0.9)], [(1, 0.3)]],
        labels=("b", "a"),
        images=["x", "x", "x"],
    )
    assert _read(count_once(evaluation)) == {"x": (["b"], [("a", 0.3)])}


def test_contradicted_truth_is_left_out():
    """An image with two truths has none; the others stay."""
    evaluation = build_evaluation(
        [[0], [1], [1], [2], [2]],
        [[(0, 0.9)], [(1, 0.8)], [(0, 0.9)], [(2, 0.7)], [(1, 0.6)]],
        images=["x", "y", "x", "z", "z"],
    )
    counted = count_once(evaluation)
    assert counted.images == ("y", "z")
    assert _kinds(counted) == [
        (DoubtKind.IMAGES_REPEATED, 1, 3),
        (DoubtKind.TRUTH_UNKNOWN, 1, 3),
    ]
    assert "first: 'x'" in counted.doubts[1].text


def test_counting_again_changes_nothing():
    """What was counted once is distinct; and stored doubts are not doubled."""
    evaluation = build_evaluation([[0], [0]], [[(0, 0.9)], [(1, 0.8)]], images=["x", "x"])
    counted = count_once(evaluation)
    assert count_once(counted) is counted
    assert count_once(replace(evaluation, doubts=counted.doubts)).doubts == counted.doubts


@given(st.permutations(range(8)))
def test_the_order_of_lines_does_not_matter(order):
    """For any order of lines the same images with the same content remain."""
    evaluation = build_evaluation(
        [[0], [0], [0], [1], [2], [2], [1], []],
        [[(0, 0.9)], [(1, 0.2)], [(2, 0.2)], [(1, 1.0)], [], [(0, 0.1)], [(1, 0.5)], []],
        images=["x", "x", "x", "y", "z", "z", "w", "w"],
    )
    seen = np.array([True, False, True, False, True, False, True, False])
    evaluation = replace(evaluation, seen_in_training=seen)
    mixed = count_once(take_images(evaluation, np.array(order)))
    plain = count_once(evaluation)
    assert _read(mixed) == _read(plain)
    assert mixed.doubts == plain.doubts
    assert dict(zip(mixed.images, mixed.seen_in_training.tolist(), strict=True)) == dict(
        zip(plain.images, plain.seen_in_training.tolist(), strict=True)
    )


def test_signed_addresses_stay_secret():
    """A doubt names an image without what signs its address."""
    image = "https://h/a.jpg?X-Amz-Signature=abcdef&X-Amz-Credential=me"
    evaluation = build_evaluation([[0], [0]], [[(0, 0.9)]] * 2, images=[image, image])
    assert "abcdef" not in count_once(evaluation).doubts[0].text


def test_true_boxes_are_truth_in_any_order():
    """Two lines with the same true boxes agree; one with a moved box contradicts."""
    first, second = (0, (0, 0, 10, 10)), (1, (5, 5, 20, 20))
    found = [(0, (0, 0, 9, 9), 0.8)]
    counted = count_once(
        build_detection(
            [[first, second], [second, first], [first], [(0, (0, 0, 10, 11))]],
            [found, [], found, found],
            images=["x", "x", "y", "y"],
        )
    )
    assert counted.images == ("x",)
    assert counted.detections.records.confidence.tolist() == [0.8]  # "[[" stands before "[]"
    assert _kinds(counted) == [
        (DoubtKind.IMAGES_REPEATED, 1, 2),
        (DoubtKind.TRUTH_UNKNOWN, 1, 2),
    ]


def test_masks_that_could_be_read_count():
    """A line whose masks are gone says nothing against one whose masks are there."""
    counted = count_once(
        build_segmentation(
            [{}, {0: (4, 1, 2)}, {0: (3, 0, 3)}, {0: (3, 0, 4)}],
            readable=[False, True, True, True],
            images=["x", "x", "x", "y"],
        )
    )
    assert counted.images == ("x", "y")
    assert counted.masks.readable.tolist() == [True, True]
    assert counted.masks.tp.tolist() == [3, 3]  # 3 of 6 before 4 of 6, by their digits
    assert counted.masks.fn.tolist() == [3, 4]
