"""The doubt that right and wrong go together within groups of images."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation
from hypothesis import given
from hypothesis import strategies as st

from mlrek.comparison.pairing import group_images
from mlrek.evaluation import DoubtKind, Effect, Names, Task
from mlrek.metrics import PredictionRule, name_groups
from mlrek.metrics.compute import compute_metrics, compute_numbers
from mlrek.metrics.grouped import (
    ImageOutcomes,
    find_effect,
    find_grouping,
    is_beyond_chance,
)
from mlrek.metrics.name_groups import GROUPINGS, number_name_groups


def build(images, truth, is_right, *, n_labels=2):
    """One label an image; a wrong prediction is the next label."""
    predicted = [
        label if right else (label + 1) % n_labels
        for label, right in zip(truth, is_right, strict=True)
    ]
    return build_evaluation(
        [[label] for label in truth],
        [[(label, 0.9)] for label in predicted],
        n_labels=n_labels,
        images=images,
    )


def find(evaluation):
    """The doubt among those of the numbers, None without it."""
    doubts = compute_metrics(evaluation, intervals=False).doubts
    return next((doubt for doubt in doubts if doubt.kind is DoubtKind.GROUPED), None)


def photograph(pattern, *, n_objects=20, n_photos=25):
    """20 objects of two labels, 25 photographs each; all of an object are right or wrong."""
    images = [pattern.format(o, p) for o in range(n_objects) for p in range(n_photos)]
    truth = np.repeat(np.arange(n_objects) % 2, n_photos).tolist()
    is_right = np.repeat(np.arange(n_objects) % 5 != 0, n_photos).tolist()
    return build(images, truth, is_right)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("s3://bucket/object-{}/{:03}.jpg", "parent folders"),
        ("s3://bucket/object-{}/front-{:03}x.jpg", "parent folders"),
        ("s3://bucket/all/object-{}-{:03}.jpg", "file names without their trailing number"),
    ],
)
def test_photographs_of_one_object_are_found(pattern, name):
    """20 objects with 25 photographs each, of which whole objects are right or wrong."""
    evaluation = photograph(pattern)

    doubt = find(evaluation)

    assert doubt.effect is Effect.STOPS_INTERVALS
    assert (doubt.count, doubt.of) == (500, 500)
    assert name in doubt.text
    assert "--group-by" in doubt.text


@pytest.mark.parametrize(
    "pattern", ["s3://bucket/object-{}/{:03}.jpg", "s3://bucket/all/object-{}-{:03}.jpg"]
)
def test_the_pattern_that_is_named_finds_the_groups(pattern):
    """What the doubt says to write groups the images as it has grouped them."""
    evaluation = photograph(pattern)
    found = find_grouping(evaluation, compute_numbers(evaluation, PredictionRule.TOP1))

    groups, n_alone = group_images(evaluation.images, found.pattern)

    assert found.pattern in find(evaluation).text
    assert (len(set(groups)), n_alone, found.n_groups) == (20, 0, 20)
    assert [groups.index(group) // 25 for group in groups] == np.repeat(range(20), 25).tolist()


@pytest.mark.parametrize(
    "name",
    ["img7.jpg", "1.jpg", "a.b/c", "x.2024", "a1.b2", "img", "d/7", "a1/b", "/9.png", "1.5.6", "9"],
)
@pytest.mark.parametrize("grouping", ["parent folders", "file names without their trailing number"])
def test_groups_are_those_of_the_pattern(grouping, name):
    """Groups are found without a regular expression, but as by it, whatever the name."""
    one = GROUPINGS[grouping]

    groups, _ = group_images([name, f"s3://bucket/{name}"], one.pattern)

    assert list(one.find([name, f"s3://bucket/{name}"])) == groups


@given(
    st.lists(
        st.one_of(
            st.text("a/.09é\n-", max_size=6),
            st.tuples(st.sampled_from(["a/b", "a/b.9/é", ""]), st.integers(0, 200)).map(
                lambda parts: f"{parts[0]}{parts[1]}.jpg"
            ),
        ),
        max_size=30,
    ),
    st.sampled_from([3, 8, 100]),
)
def test_groups_of_many_names_are_those_of_each(names, at_once):
    """Names that continue the group before them are seen in bytes, and change nothing."""
    parts = [name.encode() for name in names]
    held = Names(b"".join(parts), np.cumsum([0, *map(len, parts)]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(name_groups, "_AT_ONCE", at_once)
        found = [number_name_groups(given) for given in (names, held)]

    for grouping, rule in GROUPINGS.items():
        groups = list(rule.find(names))
        expected = [list(dict.fromkeys(groups)).index(group) for group in groups]
        assert [one[grouping].tolist() for one in found] == [expected, expected]


def test_of_names_in_a_row_few_groups_are_looked_up(monkeypatch):
    """Of 2,000 names of one folder, each with the next number, one in 100 or fewer."""
    looked_up = []
    rule = GROUPINGS["parent folders"]
    counted = replace(rule, find=lambda names: looked_up.extend(names) or rule.find(names))
    monkeypatch.setattr(name_groups, "GROUPINGS", {"parent folders": counted})

    number_name_groups([f"s3://bucket/folder/{i:04}.jpg" for i in range(2000)])

    assert len(looked_up) <= 20


def test_one_folder_a_label_is_no_group():
    """25 labels in a folder each, some much harder than others: labels explain it."""
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(25), 20)
    images = [f"s3://bucket/label-{label}/{i}.jpg" for i, label in enumerate(truth)]
    is_right = rng.random(500) < np.linspace(0.3, 1.0, 25)[truth]

    assert find(build(images, truth.tolist(), is_right.tolist(), n_labels=25)) is None


def test_several_labels_in_a_folder_of_one_are_no_group():
    """Images of two labels in a folder of one of them, some labels missed more often: no group."""
    rng = np.random.default_rng(2)
    first = np.repeat(np.arange(25), 20)
    truth = np.sort(np.stack([first, (first + rng.integers(1, 25, 500)) % 25], axis=1), axis=1)
    is_found = rng.random((500, 2)) < np.linspace(0.2, 1.0, 25)[truth]
    evaluation = build_evaluation(
        truth.tolist(),
        [
            [(label, 0.9) for label in labels[found].tolist()]
            for labels, found in zip(truth, is_found, strict=True)
        ],
        n_labels=25,
        task=Task.MULTILABEL,
        images=[f"s3://bucket/{label}/{i}.jpg" for i, label in enumerate(first)],
    )

    assert find(evaluation) is None


def test_independent_images_are_no_group():
    """60 seeded test sets of 20 objects with 25 photographs, images independent: at most 2."""
    images = [f"s3://bucket/object-{i // 25}/{i % 25}.jpg" for i in range(500)]
    truth = [(i // 25) % 2 for i in range(500)]
    rng = np.random.default_rng(3)

    found = [
        find_grouping(evaluation, compute_numbers(evaluation, PredictionRule.TOP1))
        for evaluation in (build(images, truth, rng.random(500) < 0.8) for _ in range(60))
    ]

    assert sum(one is not None for one in found) <= 2


def test_fewer_than_20_groups_are_not_asked():
    """19 objects that are wholly right or wrong are too few to tell."""
    assert find(photograph("s3://bucket/object-{}/{:03}.jpg", n_objects=19)) is None


def test_the_order_of_lines_does_not_matter():
    """The same images in another order have the same doubt to the last letter."""
    evaluation = photograph("s3://bucket/object-{}/{:03}.jpg")
    order = np.random.default_rng(4).permutation(500)
    truth = [evaluation.truth.label_idx[i] for i in order]
    turned = build(
        [evaluation.images[i] for i in order],
        truth,
        [evaluation.records.label_idx[i] == evaluation.truth.label_idx[i] for i in order],
    )

    assert find(turned) == find(evaluation)


def test_boxes_count_by_image():
    """Images whose boxes are all found or none, by folder: found by the share of right boxes."""
    box = (10.0, 10.0, 20.0, 20.0)
    evaluation = build_detection(
        [[(0, box)] for _ in range(200)],
        [[(0, box, 0.9)] if (i // 10) % 4 else [] for i in range(200)],
    )
    images = tuple(f"s3://bucket/scene-{i // 10}/{i % 10}.jpg" for i in range(200))

    assert find(replace(evaluation, images=images)) is not None


def test_the_effect_is_the_variance_of_sums_to_that_of_free_places():
    """Two strata of 4, four groups of 2, worked out by hand.

    In the first stratum sums over groups are 1 and -1, in the second 0 and 0; squares sum to 2.
    Each stratum has variance 1 / 3; freely placed, each group of 2 in 4 adds 2 (1 - 2 / 4) / 3.
    """
    outcomes = ImageOutcomes(
        image_idx=np.arange(8),
        rest=np.array([0.5, 0.5, -0.5, -0.5, 0.5, -0.5, 0.5, -0.5]),
        stratum=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    )

    assert find_effect(outcomes, np.repeat(np.arange(4), 2)) == pytest.approx(2 / (4 / 3))


def test_permutations_agree_with_all_there_are():
    """Six images in groups of 2: 1 of 15 pairings has both wrong ones together, a p of 1 / 5."""
    outcomes = ImageOutcomes(
        image_idx=np.arange(6),
        rest=np.array([2, 2, -1, -1, -1, -1]) / 3,
        stratum=np.zeros(6, dtype=int),
    )
    group = np.repeat(np.arange(3), 2)

    assert not is_beyond_chance(outcomes, group, 0.17)
    assert is_beyond_chance(outcomes, group, 0.23)
