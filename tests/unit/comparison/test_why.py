"""Why a number moved: one cause at a time, and the sum of all."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mlrek.comparison.why import AT_THRESHOLD, NOT_SEPARABLE, OWN, REPORTED
from mlrek.evaluation import Reported, Task

PARTS = ("label_set", "test_set", "relabelled", "model", "threshold", "unexplained")


def _only(why, **expected):
    """The other parts are 0, and all add up."""
    parts = {name: getattr(why, name) for name in PARTS}
    assert parts == pytest.approx(dict.fromkeys(PARTS, 0.0) | expected, abs=1e-12)
    assert why.total == pytest.approx(sum(expected.values()), abs=1e-12)
    assert why.note == ""


def _f1(y_true, y_pred, labels=None):
    return f1_score(y_true, y_pred, average="macro", labels=labels, zero_division=0)


def _build_several(build, y_true, y_pred, **options):
    options = {"task": Task.MULTILABEL, "thresholds": [0.5] * 3} | options
    return build([[c] for c in y_true], [[(c, 0.9)] for c in y_pred], **options)


@pytest.fixture(scope="module", params=[False, True], ids=["one label", "several labels"])
def make(request, build, build_top):
    """Make an evaluation of true and predicted codes, of one label or several an image."""

    def build_one(y_true, y_pred, **options):
        if request.param:
            return _build_several(build, y_true, y_pred, **options)
        return build_top(y_true, y_pred, **options)

    return build_one


def test_a_new_label_with_its_own_images(make, compare):
    """The candidate was also tested on images of a label that the baseline does not know."""
    y_true, y_pred = [0, 0, 1, 1], [0, 1, 1, 1]
    baseline = make(y_true, y_pred, n_labels=2, thresholds=[0.5] * 2)
    candidate = make([*y_true, 2, 2], [*y_pred, 2, 2])

    why = compare(baseline, candidate).why[OWN]

    before, after = _f1(y_true, y_pred), _f1([*y_true, 2, 2], [*y_pred, 2, 2])
    _only(why, label_set=after - before)


def test_a_label_that_is_never_met_moves_nothing(make, compare):
    """A longer list of labels alone is no cause."""
    baseline = make([0, 1], [0, 0], n_labels=2, thresholds=[0.5] * 2)
    candidate = make([0, 1], [0, 0], n_labels=3)

    _only(compare(baseline, candidate).why[OWN])


def test_easier_images(make, compare):
    """Images that one version alone was tested on; on the others both say the same."""
    shared = [0, 0, 1, 1], [0, 1, 1, 0]
    baseline = make([*shared[0], 0, 1], [*shared[1], 1, 0], images="abcdef")
    candidate = make([*shared[0], 0, 1], [*shared[1], 0, 1], images="abcdgh")

    why = compare(baseline, candidate).why[OWN]

    before, after = _f1([*shared[0], 0, 1], [*shared[1], 1, 0]), 4 / 6
    _only(why, test_set=after - before)


def test_relabelled_images(make, compare):
    """The same predictions, of which one is right by the new truth."""
    baseline = make([0, 0, 1, 1], [0, 1, 1, 1])
    candidate = make([0, 1, 1, 1], [0, 1, 1, 1])

    _only(compare(baseline, candidate).why[OWN], relabelled=1 - _f1([0, 0, 1, 1], [0, 1, 1, 1]))


def test_a_better_model(make, compare):
    """The same images and truth, other predictions."""
    baseline = make([0, 0, 1, 1], [0, 1, 1, 1])
    candidate = make([0, 0, 1, 1], [0, 0, 1, 1])

    _only(compare(baseline, candidate).why[OWN], model=1 - _f1([0, 0, 1, 1], [0, 1, 1, 1]))


def test_other_thresholds(build, compare):
    """The same confidences: the number at the thresholds moved, that of the top labels did not."""
    truth = [[0], [0], [1], [1]]
    records = [[(0, 0.9)], [(0, 0.6)], [(1, 0.9)], [(1, 0.6)]]
    baseline, candidate = (
        replace(
            build(truth, records, n_labels=2, thresholds=[threshold] * 2),
            reported=Reported(aggregate={"f1": f1}),
        )
        for threshold, f1 in ((0.8, 2 / 3), (0.5, 1.0))
    )

    why = compare(baseline, candidate).why

    _only(why[OWN])
    _only(why[AT_THRESHOLD], threshold=1 / 3)
    _only(why[REPORTED], threshold=1 / 3)


def test_other_thresholds_of_several_labels(build, compare):
    """There the predictions are those at the thresholds: the change is the model's."""
    truth = [[0], [0], [1], [1]]
    records = [[(0, 0.9)], [(0, 0.6)], [(1, 0.9)], [(1, 0.6)]]
    options = {"n_labels": 2, "task": Task.MULTILABEL}
    baseline, candidate = (
        build(truth, records, thresholds=[threshold] * 2, **options) for threshold in (0.8, 0.5)
    )

    _only(compare(baseline, candidate).why[AT_THRESHOLD], model=1 / 3)


def test_a_reported_number_that_nothing_explains(make, compare):
    """The provider's figure moved, ours did not."""
    baseline, candidate = (
        make(
            [0, 1], [0, 1], n_labels=2, thresholds=[0.5] * 2, reported=Reported(aggregate={"f1": f})
        )
        for f in (0.7, 0.9)
    )

    why = compare(baseline, candidate).why

    _only(why[OWN])
    _only(why[REPORTED], unexplained=0.2)


def test_without_thresholds_their_part_is_not_told_apart(build_top, compare):
    """It falls to what is unexplained, and a note says so."""
    baseline, candidate = (
        build_top([0, 1], [0, 1], n_labels=2, reported=Reported(aggregate={"f1": f}))
        for f in (0.7, 0.9)
    )

    why = compare(baseline, candidate).why

    assert AT_THRESHOLD not in why
    assert why[REPORTED].unexplained == pytest.approx(0.2)
    assert why[REPORTED].note.startswith("no number at assumed thresholds")


def test_nothing_in_common_is_not_separable(make, compare):
    """The total alone is known."""
    why = compare(make([0, 1], [0, 1], images="ab"), make([0, 1], [0, 0], images="cd")).why[OWN]

    assert why.note == NOT_SEPARABLE
    assert why.total == pytest.approx(_f1([0, 1], [0, 0]) - 1)
    assert all(np.isnan(getattr(why, part)) for part in PARTS)


BOX, FAR = (0, 0, 10, 10), (50, 50, 60, 60)


def _boxes(found, *, truth=((0, BOX),), **options):
    """Two images with the same truth; `found` on each."""
    options = {"thresholds": [0.5] * 2} | options
    truth = [list(truth) for _ in found]
    return build_detection(truth, [[(0, box, 0.9)] for box in found], **options)


def test_boxes_of_a_better_model(compare):
    """One of two boxes found, then both: F1 from 1/2 to 1."""
    _only(compare(_boxes([BOX, FAR]), _boxes([BOX, BOX])).why[AT_THRESHOLD], model=1 / 2)


def test_boxes_that_were_drawn_again(compare):
    """The same predictions, found right by the new truth of the second image."""
    candidate = build_detection(
        [[(0, BOX)], [(0, FAR)]], [[(0, BOX, 0.9)], [(0, FAR, 0.9)]], thresholds=[0.5] * 2
    )

    _only(compare(_boxes([BOX, FAR]), candidate).why[AT_THRESHOLD], relabelled=1 / 2)


def test_boxes_of_other_images(compare):
    """An image that the candidate alone was tested on."""
    baseline = _boxes([BOX, FAR], images="ab")
    candidate = _boxes([BOX, FAR, BOX], images="abc")

    _only(compare(baseline, candidate).why[AT_THRESHOLD], test_set=2 / 3 - 1 / 2)


def test_boxes_that_the_flags_judge_otherwise(compare):
    """The service calls a box right that lies elsewhere: its threshold part."""
    baseline = build_detection([[(0, BOX)]], [[(0, FAR, 0.9, "FP")]], thresholds=[0.5] * 2)
    candidate = build_detection([[(0, BOX)]], [[(0, FAR, 0.9, "TP")]], thresholds=[0.5] * 2)

    _only(compare(baseline, candidate).why[AT_THRESHOLD], threshold=1)


@st.composite
def _version(draw):
    """Codes of a version on some of eight images, with thresholds and a reported F1."""
    places = draw(st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True))
    codes = st.lists(st.integers(0, 3), min_size=len(places), max_size=len(places))
    confidences = st.lists(
        st.sampled_from([0.3, 0.5, 0.9]), min_size=len(places), max_size=len(places)
    )
    return (
        [f"i{place}" for place in places],
        draw(codes),
        draw(codes),
        draw(confidences),
        draw(st.sampled_from([0.4, 0.6])),
        draw(st.sampled_from([0.25, 0.75])),
    )


def _build_version(build, version, task, truth=None):
    images, y_true, y_pred, confidence, threshold, f1 = version
    if truth is not None:
        y_true = [truth[image] for image in images]
    return build(
        [[c] for c in y_true],
        [[(c, p)] for c, p in zip(y_pred, confidence, strict=True)],
        images=images,
        n_labels=4,
        task=task,
        thresholds=[threshold] * 4,
        reported=Reported(aggregate={"f1": f1}),
    )


@settings(max_examples=40)
@given(versions=st.tuples(_version(), _version()), task=st.sampled_from(list(Task)[:2]))
def test_the_parts_add_up_to_the_change(build, compare, values, versions, task):
    """And the total is the change of the number itself."""
    comparison = compare(*(_build_version(build, version, task) for version in versions))

    for name, why in comparison.why.items():
        whole = next(d for d in comparison.differences if (d.name, d.scope) == (name, "whole"))
        assert why.total == pytest.approx(whole.difference, abs=1e-12)
        if comparison.test_sets.shared:
            assert sum(getattr(why, part) for part in PARTS) == pytest.approx(why.total, abs=1e-12)
        else:
            assert why.note == NOT_SEPARABLE


@settings(max_examples=40)
@given(
    versions=st.tuples(_version(), _version()),
    truth=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    task=st.sampled_from(list(Task)[:2]),
)
def test_swapped_versions_mirror_every_part(build, compare, versions, truth, task):
    """Where truth is the same for both: a chain of steps, walked the other way."""
    by_image = {f"i{i}": code for i, code in enumerate(truth)}
    sides = [_build_version(build, version, task, by_image) for version in versions]

    forth, back = compare(*sides).why, compare(*reversed(sides)).why

    assert forth.keys() == back.keys()
    for name, why in forth.items():
        for part in (*PARTS, "total"):
            mirrored = -getattr(back[name], part)
            assert getattr(why, part) == pytest.approx(mirrored, abs=1e-12, nan_ok=True), part


@settings(max_examples=40)
@given(version=_version(), task=st.sampled_from(list(Task)[:2]))
def test_nothing_moves_between_a_version_and_itself(build, compare, version, task):
    """Exactly."""
    evaluation = _build_version(build, version, task)

    for why in compare(evaluation, evaluation).why.values():
        assert [getattr(why, part) for part in (*PARTS, "total")] == [0] * 7
