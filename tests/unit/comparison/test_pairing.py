"""What two test sets have in common, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.masks import build_segmentation
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.comparison import Scope, Verdict
from mlrek.comparison.pairing import group_images, pair_images
from mlrek.errors import UsageError
from mlrek.evaluation import Contents, DoubtKind, Task
from mlrek.metrics.test_set import count_once
from mlrek.metrics.test_set import test_set_digest as digest_test_set


def _facts(test_sets):
    return (
        test_sets.verdict,
        test_sets.shared,
        test_sets.only_baseline,
        test_sets.only_candidate,
        test_sets.relabelled,
        test_sets.duplicated,
    )


def _pair(baseline, candidate):
    return pair_images(count_once(baseline), count_once(candidate))


def test_counts_by_hand(build_top):
    """Two shared, of which c has another truth; d stands there twice."""
    baseline = build_top([0, 0, 0, 1, 1], [0] * 5, images="abcdd")
    candidate = build_top([1, 1, 0], [0] * 3, images="cde")

    pairing = _pair(baseline, candidate)

    assert _facts(pairing.test_sets) == (Verdict.OVERLAPPING, 2, 2, 1, 1, 1)
    assert pairing.images == ("c", "d")
    assert pairing.relabelled.tolist() == [True, False]


def test_the_same_test_set(build_top):
    """Order of images and of labels, and what was predicted, do not matter."""
    baseline = build_top([0, 1], [0, 0], images="ab", labels=("x", "y"))
    candidate = build_top([0, 1], [1, 1], images="ba", labels=("y", "x"))

    assert _facts(_pair(baseline, candidate).test_sets) == (Verdict.SAME, 2, 0, 0, 0, 0)


def test_the_same_images_with_another_truth_are_another_test_set(build_top):
    """Truth is part of a test set."""
    sides = (build_top([0, code], [0, 0], images="ab") for code in (0, 1))

    assert _facts(_pair(*sides).test_sets) == (Verdict.OVERLAPPING, 2, 0, 0, 1, 0)


_LINES = st.dictionaries(
    st.sampled_from("abc"), st.sets(st.sampled_from(["x", "xy", "y"])), min_size=1
)


@settings(max_examples=40)
@given(
    lines=st.tuples(_LINES, _LINES),
    orders=st.tuples(*[st.permutations(["x", "xy", "y"])] * 2),
    is_twice=st.booleans(),
)
def test_the_same_test_set_has_the_same_digest(build, lines, orders, is_twice):
    """And the other way round, with an image that stands there twice or without."""
    sides = []
    for line, labels in zip(lines, orders, strict=True):
        images = [*line, *([next(iter(line))] * is_twice)]
        truth = [sorted(labels.index(name) for name in line[image]) for image in images]
        options = {"images": images, "labels": labels, "task": Task.MULTILABEL}
        sides.append(build(truth, [[] for _ in images], **options))

    pairing = _pair(*sides)

    digests = [digest_test_set(side) for side in sides]
    shared = sorted(lines[0].keys() & lines[1].keys())
    assert (pairing.test_sets.verdict is Verdict.SAME) == (digests[0] == digests[1])
    assert pairing.images == tuple(shared)
    assert pairing.relabelled.tolist() == [lines[0][i] != lines[1][i] for i in shared]


def test_nothing_in_common(build_top, compare):
    """No number of shared images, but those of both whole test sets."""
    sides = build_top([0, 1], [0, 1], images="ab"), build_top([0, 1], [0, 0], images="cd")

    comparison = compare(*sides)

    assert _facts(comparison.test_sets) == (Verdict.DISJOINT, 0, 2, 2, 0, 0)
    assert {d.scope for d in comparison.differences} == {Scope.WHOLE}
    assert comparison.find("aggregate/accuracy", scope=Scope.WHOLE).difference == -0.5
    assert (comparison.fixed, comparison.broken, comparison.confusion) == ((), (), None)


def test_labels_that_one_version_alone_knows(build_top):
    """In the order of its list."""
    baseline = build_top([0], [0], labels=("z", "cat", "b"))
    candidate = build_top([0], [0], labels=("cat", "dog"))

    test_sets = _pair(baseline, candidate).test_sets

    assert test_sets.labels_only_baseline == ("z", "b")
    assert test_sets.labels_only_candidate == ("dog",)


def test_renamed_labels_are_the_same_test_set(build_top, compare):
    """With a label map; without one, all truth was changed."""
    baseline = build_top([0, 1], [0, 1], labels=("cat", "dog"))
    candidate = build_top([0, 1], [0, 1], labels=("Katze", "Hund"))

    mapped = compare(baseline, candidate, label_map={"Katze": "cat", "Hund": "dog"})

    assert _facts(mapped.test_sets) == (Verdict.SAME, 2, 0, 0, 0, 0)
    assert mapped.find("aggregate/f1_macro").difference == 0
    assert _facts(compare(baseline, candidate).test_sets) == (Verdict.OVERLAPPING, 2, 0, 0, 2, 0)


def test_two_labels_can_swap_their_names(build_top, compare):
    """The map is applied at once, not name after name; to both versions."""
    baseline = build_top([0, 1], [0, 1], labels=("a", "b"))

    comparison = compare(baseline, baseline, label_map={"a": "b", "b": "a"})

    assert comparison.labels == ("b", "a")


def test_labels_are_never_merged(build_top, compare):
    """Two labels of one version that would share a name."""
    side = build_top([0, 1], [0, 1], labels=("cat", "kitten"))

    with pytest.raises(UsageError, match="renamed, not merged"):
        compare(side, side, label_map={"kitten": "cat"})


def test_a_map_of_unknown_labels_is_refused(build_top, compare):
    """It names those that there are."""
    side = build_top([0, 1], [0, 1], labels=("cat", "dog"))

    with pytest.raises(UsageError, match=r"'kat', which neither version has; there are: 'cat'"):
        compare(side, side, label_map={"kat": "cat"})


def test_a_box_that_was_moved_is_another_truth():
    """The second of two images."""
    box, moved = (0, (0, 0, 10, 10)), (0, (0, 0, 10, 11))
    baseline = build_detection([[box, box], [box]], [[], []])
    candidate = build_detection([[box, box], [moved]], [[], []])

    pairing = _pair(baseline, candidate)

    assert _facts(pairing.test_sets) == (Verdict.OVERLAPPING, 2, 0, 0, 1, 0)
    assert pairing.relabelled.tolist() == [False, True]


def test_a_mask_with_other_true_pixels_is_another_truth():
    """What is predicted does not matter."""
    baseline = build_segmentation([{0: (5, 1, 2)}, {0: (5, 0, 0)}])
    candidate = build_segmentation([{0: (7, 4, 0)}, {0: (5, 0, 1)}])

    assert _pair(baseline, candidate).relabelled.tolist() == [False, True]


def test_an_image_without_truth_on_one_side_is_relabelled_and_does_not_count(build_top, compare):
    """One label an image: only what both can be judged by."""
    baseline = build_top([0, 1, -1], [0, 0, 0])
    candidate = build_top([0, 1, 0], [0, 1, 0])

    comparison = compare(baseline, candidate)

    assert _facts(comparison.test_sets) == (Verdict.OVERLAPPING, 3, 0, 0, 1, 0)
    assert [change.image for change in comparison.fixed] == ["1"]
    accuracy = comparison.find("aggregate/accuracy")
    assert (accuracy.baseline, accuracy.candidate) == (1 / 2, 1)


@settings(max_examples=40)
@given(
    lines=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from([0.5, 0.9])),
        min_size=2,
        max_size=6,
    ),
    data=st.data(),
)
@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_which_line_of_an_image_counts_does_not_depend_on_their_order(
    build, compare, values, task, lines, data
):
    """Nor on the order of the list of labels."""
    places = data.draw(st.permutations(range(len(lines))))
    codes = data.draw(st.permutations(range(3)))
    other = build([[0]], [[(0, 0.9)]], images="a", labels="xyz", task=task)

    def make(order, names):
        mine = [lines[i] for i in order]
        new = [names.index(label) for label in "xyz"]
        return build(
            [[new["ab".index(image)]] for image, *_ in mine],
            [[(new[pred], confidence)] for _, pred, confidence in mine],
            images=[image for image, *_ in mine],
            labels=names,
            task=task,
        )

    expected = compare(make(range(len(lines)), "xyz"), other, intervals=True)
    actual = compare(make(places, ["xyz"[code] for code in codes]), other, intervals=True)

    found, sought = values(actual), values(expected)
    assert found.keys() == sought.keys()
    for key, pair in sought.items():
        assert found[key] == pytest.approx(pair, abs=1e-12, nan_ok=True), key
    assert {(c.image, c.truth, c.baseline) for c in actual.fixed} == {
        (c.image, c.truth, c.baseline) for c in expected.fixed
    }


def _judge_both_orders(compare, make, other, name):
    """The baseline's number with its two lines in either order."""
    return [compare(make(order), other).find(name).baseline for order in ((0, 1), (1, 0))]


def test_lines_that_differ_in_a_flag_alone(build, compare):
    """Where flags decide, which of them counts is not a matter of order."""

    def make(order):
        records = [[(0, 0.5, ("TP", "FN")[i])] for i in order]
        return build([[0], [0]], records, images="aa", task=Task.MULTILABEL)

    other = build([[0]], [[(0, 0.5, "TP")]], images="a", task=Task.MULTILABEL)
    one, reverse = _judge_both_orders(compare, make, other, "aggregate/subset_accuracy")

    assert one == reverse


def test_lines_of_boxes_that_differ_in_what_was_found(compare):
    """Labels, boxes and confidences of a detection."""
    box = (0, 0, 10, 10)

    def make(order):
        found = [[(code, box, 0.9)] for code in order]
        return build_detection([[(0, box)]] * 2, found, images="aa")

    other = build_detection([[(0, box)]], [[(0, box, 0.9)]], images="a")
    one, reverse = _judge_both_orders(compare, make, other, "aggregate/images_right")

    assert one == reverse


def test_lines_of_masks_that_differ_in_what_was_found(compare):
    """Pixels that were found, with the same true ones."""

    def make(order):
        areas = [[{0: (4, 0, 1)}, {0: (3, 0, 2)}][i] for i in order]
        return build_segmentation(areas, images="aa")

    other = build_segmentation([{0: (4, 0, 1)}], images="a")
    one, reverse = _judge_both_orders(compare, make, other, "aggregate/mean_iou")

    assert one == reverse


def test_images_are_grouped_by_the_next_part_of_their_path():
    """An image that stands right below the prefix is an object of its own."""
    images = ["s3://b/cup/1.jpg", "s3://b/cup/x/2.jpg", "s3://b/3.jpg", "s3://other/s3://b/cup/1"]

    assert group_images(images, "s3://b/") == (
        ["s3://b/cup/", "s3://b/cup/", "s3://b/3.jpg", "s3://other/s3://b/cup/1"],
        2,
    )


def test_images_are_grouped_by_the_first_group_or_the_whole_match():
    """Of a regular expression."""
    assert group_images(["cup-1", "cup-2", "pot-1"], "([a-z]+)-")[0] == ["cup", "cup", "pot"]
    assert group_images(["cup-1", "cup-2", "pot-1"], "^[a-z]+")[0] == ["cup", "cup", "pot"]


def test_a_regular_expression_may_end_in_a_slash():
    """It is a prefix only where URIs begin so."""
    images = ["s3://b/07/1.jpg", "s3://b/07/2.jpg", "s3://b/08/1.jpg"]

    assert group_images(images, "/([0-9]+)/") == (["07", "07", "08"], 0)


def test_an_empty_match_names_no_object():
    """A pattern that matches nothing anywhere does not make one object of all images."""
    assert group_images(["1", "2"], "x*") == (["1", "2"], 2)


def test_a_pattern_that_is_none_is_refused():
    """With what to do about a prefix."""
    with pytest.raises(UsageError, match="no regular expression"):
        group_images(["a"], "(")


def test_uris_that_differ_in_a_trailing_nul_are_two_images(build_top, compare):
    """Names are untrusted text: arrays of numpy would drop it."""
    sides = [build_top([0, 1, 0], pred, images=("a", "a\0", "b")) for pred in ([0] * 3, [1] * 3)]

    comparison = compare(*sides, intervals=True)

    difference = comparison.find("aggregate/precision_macro")
    assert comparison.test_sets.shared == 3
    assert comparison.test_sets.duplicated == 0
    # One of three images is a b: the baseline says a always, the candidate b.
    assert (difference.baseline, difference.candidate) == pytest.approx((1 / 3, 1 / 6))


def test_training_images_are_counted_and_named(build_top, compare):
    """An image that stands there twice counts once; unknown where nothing tells."""
    side = build_top([0, 1, 1], [0, 1, 1], images="abb")
    leaky = replace(side, seen_in_training=np.array([False, True, True]))

    comparison = compare(side, leaky)

    assert not comparison.baseline_leakage.known
    assert comparison.candidate_leakage.known
    assert comparison.candidate_leakage.images == ("b",)
    [doubt] = [d for d in comparison.doubts if d.kind is DoubtKind.SEEN_IN_TRAINING]
    assert (doubt.side, doubt.count, doubt.of) == ("candidate", 1, 2)
    assert "was trained on 1 of its 2 test images: 'b'" in doubt.text


def _with_sizes(evaluation, sizes):
    n = len(sizes)
    contents = Contents(
        sizes=np.array(sizes),
        etags=("",) * n,
        is_md5=np.zeros(n, dtype=bool),
        sha256=("",) * n,
        modified_ms=np.full(n, -1),
    )
    return replace(evaluation, contents=contents)


def test_pictures_of_another_size_are_other_pictures(build_top, compare):
    """Counted among shared images whose size both know, whatever their order."""
    baseline = _with_sizes(build_top([0, 1, 0, 1], [0, 1, 0, 1], images="abcd"), [5, 6, 7, -1])
    candidate = _with_sizes(build_top([1, 0, 1, 0], [1, 0, 0, 0], images="dcbe"), [1, 7, 9, 3])

    doubts = compare(baseline, candidate).doubts
    (doubt,) = [doubt for doubt in doubts if doubt.kind is DoubtKind.PICTURES_CHANGED]
    assert (doubt.count, doubt.of, doubt.side) == (1, 2, None)
    assert doubt.text.endswith("the versions were not tested on the same pictures: 'b'")
    silent = compare(replace(baseline, contents=None), candidate).doubts
    assert DoubtKind.PICTURES_CHANGED not in {doubt.kind for doubt in silent}
