"""The one in-memory shape: what it refuses, and the identity of a test set."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.errors import EvaluationError, ParseError, SourceNotFoundError
from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    MaskCounts,
    Project,
    Provider,
    Records,
    RecordsKind,
    Task,
    Version,
    order_labels,
)
from mlrek.metrics.test_set import test_set_digest as digest_of


def evaluate(test_set, label_list=("a", "b"), records=(), **changes):
    """An evaluation of (uri, true labels) with records (image, label, confidence)."""
    codes = [sorted(label_list.index(name) for name in names) for _, names in test_set]
    per_image = [sorted(r[1:] for r in records if r[0] == i) for i in range(len(test_set))]
    rows = [row for image in per_image for row in image]
    version = Version(
        project=Project(provider=Provider.REKOGNITION, arn="p", name="p"), arn="v", name="v"
    )
    values = {
        "version": version,
        "task": Task.CLASSIFICATION,
        "labels": label_list,
        "images": tuple(uri for uri, _ in test_set),
        "truth": LabelSets(
            offsets=np.cumsum([0, *map(len, codes)]),
            label_idx=np.array(list(chain.from_iterable(codes)), np.int64),
        ),
        "records": Records(
            offsets=np.cumsum([0, *map(len, per_image)]),
            label_idx=np.array([label for label, _ in rows], np.int64),
            confidence=np.array([confidence for _, confidence in rows], np.float64),
            outcome=np.zeros(len(rows), np.uint8),
        ),
        "thresholds": np.full(len(label_list), np.nan),
    }
    return Evaluation(**(values | changes))


TEST_SET = (("s3://b/1", ("a",)), ("s3://b/2", ("b",)), ("s3://b/3", ("a", "b")))


@given(st.permutations(TEST_SET), st.permutations(("a", "b", "c")))
def test_order_of_images_and_labels_does_not_change_the_test_set(images, labels):
    """The test set is the same, however it is written down."""
    assert digest_of(evaluate(images, tuple(labels))) == digest_of(evaluate(TEST_SET))


@pytest.mark.parametrize(
    "other",
    [
        TEST_SET[:2],
        (TEST_SET[0], TEST_SET[1], ("s3://b/3", ("a",))),
        (TEST_SET[0], TEST_SET[1], ("s3://b/4", ("a", "b"))),
        (("s3://b/1", ()), *TEST_SET[1:]),
    ],
)
def test_another_image_or_truth_is_another_test_set(other):
    """One image fewer, relabelled, renamed, or without truth."""
    assert digest_of(evaluate(other)) != digest_of(evaluate(TEST_SET))


def test_a_copy_of_a_line_is_the_same_test_set():
    """Distinct images count, not lines."""
    assert digest_of(evaluate((*TEST_SET, TEST_SET[0]))) == digest_of(evaluate(TEST_SET))


def test_predictions_do_not_change_the_test_set():
    """Two versions tested on the same images share it."""
    one = evaluate(TEST_SET, records=[(0, 0, 0.9)])
    two = evaluate(TEST_SET, records=[(0, 1, 0.2), (2, 0, 0.4)])

    assert digest_of(one) == digest_of(two)
    assert len(digest_of(one)) == 32
    assert digest_of(evaluate(())) == ""


def test_true_masks_belong_to_the_test_set_and_predicted_ones_do_not():
    """Pixels found (TP) or missed (FN) are true; those only predicted (FP) are not."""

    def with_masks(tp, fp, fn):
        counts = {"tp": tp, "fp": fp, "fn": fn}
        masks = MaskCounts(
            image_idx=np.array([0, 2]),
            label_idx=np.array([0, 1]),
            readable=np.ones(3, np.bool_),
            **{name: np.array(values, np.int64) for name, values in counts.items()},
        )
        return digest_of(evaluate(TEST_SET, task=Task.SEGMENTATION, masks=masks))

    assert with_masks([5, 0], [0, 9], [1, 7]) == with_masks([6, 7], [3, 0], [0, 0])
    assert with_masks([5, 0], [0, 9], [1, 7]) != with_masks([5, 0], [0, 9], [2, 7])


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        ([(0, 0, 0.9), (0, 1, 0.1), (1, 0, 0.4), (1, 1, 0.6)], RecordsKind.COMPLETE),
        ([(0, 0, 0.9), (1, 1, 0.6)], RecordsKind.TOP1),
        ([(0, 0, 0.9), (0, 1, 0.1), (1, 1, 0.6)], RecordsKind.PARTIAL),
        ([(0, 0, 0.9)], RecordsKind.PARTIAL),
        ([], RecordsKind.PARTIAL),
    ],
)
def test_records_are_complete_top1_or_partial(records, kind):
    """Every label on every image; one an image; anything else."""
    assert evaluate(TEST_SET[:2], records=records).records_kind == kind


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ("a", "a")},
        {"thresholds": np.array([0.5])},
        {"images": ("s3://b/1",)},
        {"truth": LabelSets(offsets=np.array([0, 1, 1, 1]), label_idx=np.array([7]))},
    ],
)
def test_columns_that_contradict_each_other_are_refused(changes):
    """A doubled label, a missing threshold, a missing image, a code without label."""
    with pytest.raises(EvaluationError):
        evaluate(TEST_SET, **changes)


def test_labels_of_an_image_are_sorted_and_distinct():
    """Later code relies on it."""
    for label_idx in ([1, 0], [0, 0], [-1, 0]):
        with pytest.raises(EvaluationError):
            LabelSets(offsets=np.array([0, 2]), label_idx=np.array(label_idx))


def test_a_confidence_lies_between_0_and_1():
    """A percentage or NaN never becomes a record."""
    for confidence in (95.0, -0.1, np.nan):
        with pytest.raises(EvaluationError):
            evaluate(TEST_SET, records=[(0, 0, confidence)])


def test_label_order_is_the_providers_then_alphabetical():
    """Further labels do not push the published ones about."""
    assert order_labels(["z", "b", "z"], {"a", "b", "c"}) == ("z", "b", "a", "c")


def test_errors_cross_process_boundaries():
    """A worker's error arrives with its place."""
    import pickle

    error = pickle.loads(pickle.dumps(ParseError("s3://b/k", 7, "not JSON")))  # noqa: S301
    gone = pickle.loads(pickle.dumps(SourceNotFoundError("s3://b/k", "not there")))  # noqa: S301

    assert (str(error), error.line, error.uri) == ("s3://b/k:7: not JSON", 7, "s3://b/k")
    assert str(gone) == "s3://b/k: not there"
