"""Why a number moved: one cause at a time, two in both orders, and the sum of all."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from builders.detections import build_detection
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.why import MIXTURES, simulate
from sklearn.metrics import f1_score

from mlrek.evaluation import Reported, Task

OWN, AT_THRESHOLD, REPORTED = "aggregate/f1_macro", "at_threshold/f1_macro", "reported/f1"
MIN_SHARED = 30  # images, below which the parts are not told apart
N = 20  # times that few images stand there, under other names: fewer are not separable
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
    """The candidate was also tested on images of a label that the baseline does not know.

    The images moved the number, whatever their label: the shared ones do not have it.
    """
    y_true, y_pred = [0, 0, 1, 1] * N, [0, 1, 1, 1] * N
    baseline = make(y_true, y_pred, n_labels=2, thresholds=[0.5] * 2)
    candidate = make([*y_true, 2, 2], [*y_pred, 2, 2])

    why = compare(baseline, candidate).why[OWN]

    before, after = _f1(y_true, y_pred), _f1([*y_true, 2, 2], [*y_pred, 2, 2])
    _only(why, test_set=after - before)


def test_a_new_label_of_shared_images(make, compare):
    """A quarter of the images got a label of their own, and the candidate finds it.

    By the baseline's labels alone the candidate is as good, F1 of one label being 2/3 and 1 before
    and after: the new truth costs what the new model gains, and the new label is the rest.
    """
    baseline = make([0, 0, 1, 1] * N, [0, 0, 1, 1] * N, n_labels=2, thresholds=[0.5] * 2)
    candidate = make([0, 0, 1, 2] * N, [0, 0, 1, 2] * N)

    why = compare(baseline, candidate).why[OWN]

    # where only the truth or only the model is new, half of what label 1 is said of is another's
    value = {"": 1, "l": 1, "r": 5 / 6, "m": 5 / 6, "lr": 5 / 9, "lm": 5 / 9, "mr": 1, "lmr": 1}
    parts = _shapley("lmr", value)
    _only(why, relabelled=parts["r"], model=parts["m"], label_set=parts["l"])


def test_a_label_that_is_never_met_moves_nothing(make, compare):
    """A longer list of labels alone is no cause."""
    baseline = make([0, 1] * N, [0, 0] * N, n_labels=2, thresholds=[0.5] * 2)
    candidate = make([0, 1] * N, [0, 0] * N, n_labels=3)

    _only(compare(baseline, candidate).why[OWN])


def test_easier_images(make, compare):
    """Images that one version alone was tested on; on the others both say the same."""
    y_true, y_pred = [0, 0, 1, 1] * N, [0, 1, 1, 0] * N
    names = [f"shared {i}" for i in range(len(y_true))]
    baseline = make([*y_true, 0, 1], [*y_pred, 1, 0], images=[*names, "e", "f"])
    candidate = make([*y_true, 0, 1], [*y_pred, 0, 1], images=[*names, "g", "h"])

    why = compare(baseline, candidate).why[OWN]

    _only(why, test_set=42 / 82 - 40 / 82)


def test_relabelled_images(make, compare):
    """The same predictions, of which one in four is right by the new truth."""
    old, new, said = [0, 0, 1, 1] * N, [0, 1, 1, 1] * N, [0, 1, 1, 1] * N

    why = compare(make(old, said), make(new, said)).why[OWN]

    _only(why, relabelled=1 - _f1(old, said))


def test_a_better_model(make, compare):
    """The same images and truth, other predictions."""
    true, said = [0, 0, 1, 1] * N, [0, 1, 1, 1] * N

    _only(compare(make(true, said), make(true, true)).why[OWN], model=1 - _f1(true, said))


def test_changed_truth_and_a_model_that_learned_it(make, compare):
    """Each version is right by its own truth alone: each order gives one of them all the blame.

    Truth first costs 1/4 of the F1 of both labels, the model then gains it; the other way round the
    model costs it. On average neither moves anything.
    """
    old, new = [0, 0, 1, 1] * N, [0, 1, 1, 0] * N

    forth = compare(make(old, old), make(new, new), intervals=True).why[OWN]
    back = compare(make(new, new), make(old, old), intervals=True).why[OWN]

    _only(forth)
    _only(back)
    for why in (forth, back):
        for part in ("relabelled", "model"):
            low, high = why.intervals[part]
            assert low < 0 < high


def test_changed_truth_and_a_better_model(make, compare):
    """Two causes at once, by hand: the average of both orders, mirrored when swapped.

    With truth first F1 goes 3/4, 1/2, 1; with the model first 3/4, 3/4, 1.
    """
    old, new = [0, 1, 0, 1] * N, [0, 1, 1, 0] * N
    said, says = [0, 1, 0, 0] * N, [0, 1, 1, 0] * N
    before, between, other = _f1(old, said), _f1(new, said), _f1(old, says)
    relabelled = ((between - before) + (1 - other)) / 2
    model = ((1 - between) + (other - before)) / 2

    forth = compare(make(old, said), make(new, says), intervals=True).why[OWN]
    back = compare(make(new, says), make(old, said), intervals=True).why[OWN]

    _only(forth, relabelled=relabelled, model=model)
    _only(back, relabelled=-relabelled, model=-model)
    for part in ("relabelled", "model"):
        assert forth.intervals[part] == pytest.approx([-x for x in back.intervals[part][::-1]])


def _build_at(build, confidences, threshold, truth=([0], [0], [1], [1]), **options):
    """Four images, N times, each with a record of its true label and of the other one."""
    records = [
        [(0, sure), (1, 0.1)] if true == [0] else [(0, 0.1), (1, sure)]
        for true, sure in zip(truth, confidences, strict=True)
    ]
    options = {"n_labels": 2, "thresholds": [threshold] * 2} | options
    return build([*truth] * N, records * N, **options)


SURE, LESS_SURE = (0.9, 0.6, 0.9, 0.6), (0.7, 0.4, 0.7, 0.4)


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
def test_other_thresholds(build, compare, task):
    """The same confidences: the number at the thresholds moved, and nothing else did it."""
    baseline, candidate = (
        replace(
            _build_at(build, SURE, threshold, task=task), reported=Reported(aggregate={"f1": f1})
        )
        for threshold, f1 in ((0.8, 2 / 3), (0.5, 1.0))
    )

    why = compare(baseline, candidate).why

    _only(why[AT_THRESHOLD], threshold=1 / 3)
    _only(why[REPORTED], threshold=1 / 3)
    if task is Task.CLASSIFICATION:
        _only(why[OWN])


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
def test_lower_confidences_at_equal_thresholds(build, compare, task):
    """The same top labels; what no longer reaches the threshold is the model's doing."""
    baseline, candidate = (_build_at(build, c, 0.5, task=task) for c in (SURE, LESS_SURE))

    _only(compare(baseline, candidate).why[AT_THRESHOLD], model=-1 / 3)


def test_lower_confidences_and_lower_thresholds(build, compare):
    """By hand: at the old thresholds the new model finds half, at the new ones the old finds all.

    F1 is 1 in each version. Model first: 1, 2/3, 1; thresholds first: 1, 1, 1. The model's part is
    half of a third less, the thresholds' half of a third more.
    """
    baseline, candidate = _build_at(build, SURE, 0.5), _build_at(build, LESS_SURE, 0.3)

    forth = compare(baseline, candidate).why[AT_THRESHOLD]
    back = compare(candidate, baseline).why[AT_THRESHOLD]

    _only(forth, model=-1 / 6, threshold=1 / 6)
    _only(back, model=1 / 6, threshold=-1 / 6)


def test_thresholds_of_predictions_are_part_of_the_model(build, compare):
    """Of several labels an image, whose predictions reach the thresholds: one part, and a note."""
    baseline, candidate = (
        _build_at(build, SURE, threshold, task=Task.MULTILABEL) for threshold in (0.8, 0.5)
    )

    why = compare(baseline, candidate).why[OWN]

    assert why.model == why.total == pytest.approx(1 / 3)
    assert np.isnan(why.threshold)
    assert "part of the model" in why.note


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.5), (0.5, 0.3)], ids=["above", "below"])
def test_records_that_stop(build, compare, first, second):
    """What the service left out below a threshold cannot be held against a lower one.

    Where the candidate's records stop above the baseline's threshold, one part is the model's;
    where they reach down to it, the baseline's are not asked for what they lack.
    """
    truth = [[0], [0], [1], [1]] * N
    full = [[(0, 0.9)], [(0, 0.4), (1, 0.35)], [(1, 0.9)], [(1, 0.4)]] * N
    baseline, candidate = (
        build(
            truth,
            [[r for r in records if r[1] >= threshold] for records in full],
            n_labels=2,
            thresholds=[threshold] * 2,
        )
        for threshold in (first, second)
    )

    why = compare(baseline, candidate).why[AT_THRESHOLD]

    if first < second:
        assert np.isnan(why.threshold)
        assert why.model == why.total < 0
        assert "records stop above the baseline's thresholds" in why.note
    else:
        _only(why, threshold=why.total)
        assert why.total > 0


def test_a_label_that_the_baseline_lacks_keeps_its_threshold(build, compare):
    """The baseline's thresholds on the candidate's scores: none of them is of the new label."""
    truth, records = [[0], [1]] * N, [[(0, 0.9), (1, 0.1)], [(0, 0.1), (1, 0.6)]] * N
    baseline = build(truth, records, n_labels=2, thresholds=[0.5] * 2)
    new = [[(0, 0.9), (1, 0.1), (2, 0.2)], [(0, 0.1), (1, 0.6), (2, 0.1)]] * N
    candidate = build(truth, new, n_labels=3, thresholds=[0.5, 0.7, 0.15])

    why = compare(baseline, candidate).why[AT_THRESHOLD]

    # label 2 is predicted on half of the images, falsely, as soon as the model is the candidate's;
    # label 1 is lost as soon as the thresholds are
    value = {"": 1, "l": 1, "m": 1, "t": 1 / 2, "lm": 2 / 3, "lt": 1 / 2, "mt": 1 / 2, "lmt": 1 / 3}
    parts = _shapley("lmt", value)
    _only(why, label_set=parts["l"], model=parts["m"], threshold=parts["t"])


def _shapley(causes, value):
    """The average over all orders, written out."""
    parts = dict.fromkeys(causes, 0.0)
    orders = list(permutations(causes))
    for order in orders:
        done = ""
        for cause in order:
            now = "".join(sorted(done + cause))
            parts[cause] += (value[now] - value[done]) / len(orders)
            done = now
    return parts


def test_a_reported_number_that_nothing_explains(make, compare):
    """The provider's figure moved, ours did not."""
    baseline, candidate = (
        make(
            [0, 1] * N,
            [0, 1] * N,
            n_labels=2,
            thresholds=[0.5] * 2,
            reported=Reported(aggregate={"f1": f}),
        )
        for f in (0.7, 0.9)
    )

    why = compare(baseline, candidate).why

    _only(why[OWN])
    _only(why[REPORTED], unexplained=0.2)


def test_without_thresholds_their_part_is_not_told_apart(build_top, compare):
    """It falls to what is unexplained, and a note says so."""
    baseline, candidate = (
        build_top([0, 1] * N, [0, 1] * N, n_labels=2, reported=Reported(aggregate={"f1": f}))
        for f in (0.7, 0.9)
    )

    why = compare(baseline, candidate).why

    assert AT_THRESHOLD not in why
    assert why[REPORTED].unexplained == pytest.approx(0.2)
    assert why[REPORTED].note.startswith("no number at assumed thresholds")


@pytest.mark.parametrize(
    ("n_shared", "n_alone", "reason"),
    [
        (0, 40, "no image in common"),
        (29, 1, "29 images are shared, and fewer than 30"),
        (30, 271, "30 images are shared, fewer than a tenth of the 301"),
        (30, 270, ""),
    ],
)
def test_few_shared_images_are_not_separable(make, compare, n_shared, n_alone, reason):
    """Under 30, or under a tenth of the larger test set: the total alone is known."""
    names = [f"shared {i}" for i in range(n_shared)]
    both = [0, 1] * n_shared
    alone = [f"candidate {i}" for i in range(n_alone)]
    baseline = make([*both[:n_shared], 0, 1], [*both[:n_shared], 0, 1], images=[*names, "x", "y"])
    said = [*both[:n_shared], *[0] * n_alone]
    candidate = make(
        [*both[:n_shared], *[0, 1] * (n_alone // 2), *[0] * (n_alone % 2)],
        said,
        images=[*names, *alone],
    )

    why = compare(baseline, candidate).why[OWN]

    if reason:
        assert why.note.startswith("not separable")
        assert reason in why.note
        assert all(np.isnan(getattr(why, part)) for part in PARTS)
        assert not why.intervals
    else:
        assert why.test_set == pytest.approx(why.total)


BOX, FAR = (0, 0, 10, 10), (50, 50, 60, 60)


def _boxes(found, *, truth=((0, BOX),), **options):
    """Images with the same truth; `found` on each."""
    options = {"thresholds": [0.5] * 2} | options
    truth = [list(truth) for _ in found]
    return build_detection(truth, [[(0, box, 0.9)] for box in found], **options)


def test_boxes_of_a_better_model(compare):
    """One of two boxes found, then both: F1 from 1/2 to 1."""
    _only(compare(_boxes([BOX, FAR] * N), _boxes([BOX, BOX] * N)).why[AT_THRESHOLD], model=1 / 2)


def test_boxes_that_were_drawn_again(compare):
    """The same predictions, found right by the new truth of the second image."""
    candidate = build_detection(
        [[(0, BOX)], [(0, FAR)]] * N,
        [[(0, BOX, 0.9)], [(0, FAR, 0.9)]] * N,
        thresholds=[0.5] * 2,
    )

    _only(compare(_boxes([BOX, FAR] * N), candidate).why[AT_THRESHOLD], relabelled=1 / 2)


def test_boxes_of_other_images(compare):
    """Images that the candidate alone was tested on."""
    names = [f"shared {i}" for i in range(2 * N)]
    own = [f"own {i}" for i in range(N)]
    baseline = _boxes([BOX, FAR] * N, images=names)
    candidate = _boxes([*[BOX, FAR] * N, *[BOX] * N], images=[*names, *own])

    _only(compare(baseline, candidate).why[AT_THRESHOLD], test_set=2 / 3 - 1 / 2)


def test_boxes_at_other_thresholds(compare):
    """The same boxes and confidences, all recorded: half of them reach the higher threshold."""
    truth = [[(0, BOX)], [(0, BOX)]] * N
    found = [[(0, BOX, 0.9), (0, FAR, 0.2)], [(0, BOX, 0.6), (0, FAR, 0.2)]] * N
    baseline, candidate = (
        build_detection(truth, found, thresholds=[threshold] * 2) for threshold in (0.8, 0.5)
    )

    _only(compare(baseline, candidate).why[AT_THRESHOLD], threshold=1 / 3)


def test_boxes_that_the_flags_judge_otherwise(compare):
    """The service calls a box right that lies elsewhere: nothing here explains it."""
    baseline, candidate = (
        build_detection([[(0, BOX)]] * 2 * N, [[(0, FAR, 0.9, flag)]] * 2 * N, thresholds=[0.5] * 2)
        for flag in ("FP", "TP")
    )

    _only(compare(baseline, candidate).why[AT_THRESHOLD], unexplained=1)


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
        [[c] for c in y_true] * MIN_SHARED,
        [[(c, p)] for c, p in zip(y_pred, confidence, strict=True)] * MIN_SHARED,
        images=[f"{image} {i}" for i in range(MIN_SHARED) for image in images],
        n_labels=4,
        task=task,
        thresholds=[threshold] * 4,
        reported=Reported(aggregate={"f1": f1}),
    )


@settings(max_examples=20)
@given(versions=st.tuples(_version(), _version()), task=st.sampled_from(list(Task)[:2]))
def test_the_parts_add_up_to_the_change(build, compare, values, versions, task):
    """And the total is the change of the number itself."""
    comparison = compare(*(_build_version(build, version, task) for version in versions))

    for name, why in comparison.why.items():
        whole = next(d for d in comparison.differences if (d.name, d.scope) == (name, "whole"))
        assert why.total == pytest.approx(whole.difference, abs=1e-12)
        if comparison.test_sets.shared:
            parts = [getattr(why, part) for part in PARTS]
            assert np.nansum(parts) == pytest.approx(why.total, abs=1e-12)
            assert np.isnan(why.threshold) == bool(why.note)
        else:
            assert why.note.startswith("not separable")


@settings(max_examples=20)
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


@settings(max_examples=20)
@given(version=_version(), task=st.sampled_from(list(Task)[:2]))
def test_nothing_moves_between_a_version_and_itself(build, compare, version, task):
    """Exactly."""
    evaluation = _build_version(build, version, task)

    for why in compare(evaluation, evaluation).why.values():
        assert [getattr(why, part) for part in (*PARTS, "total")] == [0] * 7


def test_groups_are_left_out_in_place_of_images(build_top, compare):
    """Ten groups that know nothing of right and wrong: about as sure as single images.

    Of nine groups nothing is told; the parts stay.
    """
    rng = np.random.default_rng(0)
    true = rng.integers(3, size=600)
    said = [np.where(rng.random(600) < share, true, (true + 1) % 3) for share in (0.8, 0.9)]

    def explain(n_groups, **options):
        names = [f"{i % n_groups}-{i}" for i in range(600)]
        sides = [build_top(true.tolist(), one.tolist(), images=names) for one in said]
        return compare(*sides, intervals=True, **options).why[OWN]

    plain = explain(10)
    grouped, nine = (explain(n, group_by="^[0-9]") for n in (10, 9))

    assert grouped.model == plain.model == nine.model > 0.05
    widths = [np.diff(one.intervals["model"])[0] for one in (plain, grouped)]
    assert 0.5 < widths[1] / widths[0] < 2
    assert all(np.isnan(nine.intervals["model"]))


@pytest.mark.parametrize("name", ["truth and model", "all at once"])
def test_intervals_hold_the_parts_of_large_test_sets(name):
    """Each part in 93 of 100 pairs of test sets at least, within three simulation errors.

    `python tests/proof/why.py` draws 1,000 pairs of more mixtures.
    """
    pairs = 50
    tallies, target = simulate(MIXTURES[name], 100, pairs, times=100)

    error = np.sqrt(0.07 * 0.93 / pairs)
    assert {number for number, _ in tallies} == set(target)
    for held in tallies.values():
        assert held[0] / held.sum() >= 0.93 - 3 * error
