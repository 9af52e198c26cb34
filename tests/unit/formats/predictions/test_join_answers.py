"""Truth and the answers of a model from anywhere -> an evaluation."""

from dataclasses import replace

import numpy as np
import pytest
from builders.answers import VERSION, make_answers, make_truth

from mlrek.errors import EvaluationError
from mlrek.evaluation import Task
from mlrek.formats.predictions import JoinOptions, Match, Unmatched, images
from mlrek.formats.predictions.join import join_answers


def test_answers_find_their_images_whatever_their_order():
    """Each image has the answer of its own name, and labels stand in the truth's order."""
    truth = make_truth([("s3://b/1.jpg", "cat"), ("s3://b/2.jpg", "dog")])
    answers = make_answers(
        [("s3://b/2.jpg", {"dog": 0.75, "cat": 0.25}), ("s3://b/1.jpg", {"dog": 0.5, "cat": 0.5})]
    )

    joined = join_answers(VERSION, truth, answers, JoinOptions())

    assert joined.labels == ("cat", "dog")
    assert joined.images == ("s3://b/1.jpg", "s3://b/2.jpg")
    assert joined.records.confidence.tolist() == [0.5, 0.5, 0.25, 0.75]


def test_images_of_another_folder_join_by_name_when_asked():
    """Other folders are refused with both spellings, and joined by file name on demand."""
    truth = make_truth([("s3://b/1.jpg", "cat"), ("s3://b/2.jpg", "dog")])
    answers = make_answers([("x/1.jpg", {"cat": 0.75}), ("x/2.jpg", {"cat": 0.75})])

    with pytest.raises(EvaluationError, match=r"'x/1.jpg' and 's3://b/1.jpg'.* --match name"):
        join_answers(VERSION, truth, answers, JoinOptions())
    joined = join_answers(VERSION, truth, answers, JoinOptions(match=Match.NAME))

    assert joined.records.counts.tolist() == [1, 1]
    assert "images are joined by file name (--match name)" in joined.warnings


@pytest.mark.parametrize(
    ("unmatched", "images"),
    [(Unmatched.DROP, ("2",)), (Unmatched.MISS, ("1", "2"))],
)
def test_images_of_one_side_mean_what_is_said(unmatched, images):
    """Left out, or a miss for those of the truth; counted either way."""
    truth = make_truth([("1", "cat"), ("2", "dog")])
    answers = make_answers([("2", {"dog": 0.75}), ("3", {"dog": 0.75})])

    with pytest.raises(EvaluationError, match="1 of 2 images of the truth have no prediction"):
        join_answers(VERSION, truth, answers, JoinOptions())
    joined = join_answers(VERSION, truth, answers, JoinOptions(unmatched=unmatched))

    assert joined.images == images
    assert len(joined.doubts) == 1
    assert joined.doubts[0].count == 1
    assert any(said.startswith("1 of 2 predictions are of images") for said in joined.warnings)


@pytest.mark.parametrize("unmatched", Unmatched)
@pytest.mark.parametrize("names", ["abcd", "dcba"])
def test_blank_answers_are_misses_and_counted(names, unmatched):
    """They are `unanswered`, as images without a row are, whatever is said of those."""
    truth = make_truth([(name, "cat") for name in "abcd"])
    answers = make_answers([(name, "cat" if name in "ab" else []) for name in names])
    blank = np.array([name in "ab" for name in names])

    joined = join_answers(
        VERSION, truth, replace(answers, is_answered=blank), JoinOptions(unmatched=unmatched)
    )

    (doubt,) = joined.doubts
    assert (doubt.kind, doubt.count, doubt.of) == ("unanswered", 2, 4)
    assert doubt.text.endswith("have no prediction and count as misses: 'c'; 'd'")
    assert joined.images == tuple("abcd")
    assert joined.records.counts.tolist() == [1, 1, 0, 0]


def test_blank_and_missing_answers_are_counted_together():
    """Each image once, whichever of the two it is."""
    truth = make_truth([(name, "cat") for name in "abcd"])
    answers = make_answers([("a", "cat"), ("b", []), ("c", [])])
    answers = replace(answers, is_answered=np.array([True, False, False]))

    joined = join_answers(VERSION, truth, answers, JoinOptions(unmatched=Unmatched.MISS))

    assert [(doubt.kind, doubt.count) for doubt in joined.doubts] == [("unanswered", 3)]


@pytest.mark.parametrize(
    ("task", "kinds"), [("multilabel", []), ("classification", ["unanswered"])]
)
def test_no_label_is_an_answer_only_where_an_image_may_have_none(task, kinds):
    """Of one label an image, an empty list is no prediction; of several it is one."""
    truth = make_truth([("a", "cat"), ("b", "cat")])
    answers = replace(make_answers([("a", "cat"), ("b", [])]), is_answered=np.ones(2, dtype=bool))

    joined = join_answers(VERSION, truth, answers, JoinOptions(task=Task(task)))

    assert [doubt.kind for doubt in joined.doubts] == kinds


@pytest.mark.parametrize("seed", range(3))
def test_order_of_the_answers_does_not_matter(seed):
    """Answers in the order of the truth are joined as those in any other, with labels in any."""
    rng = np.random.default_rng(seed)
    images, labels = [f"image {i}" for i in range(50)], ("a", "b", "c")
    truth = make_truth([(image, labels[rng.integers(3)]) for image in images])
    rows = [
        (image, dict(zip(labels, rng.dirichlet(np.ones(3)).tolist(), strict=True)))
        for image in images
    ]
    shuffled = [
        (rows[i][0], dict(rng.permutation([*rows[i][1].items()]).tolist()))
        for i in rng.permutation(len(rows))
    ]
    shuffled = [(image, {k: float(v) for k, v in said.items()}) for image, said in shuffled]
    one, other = (
        join_answers(VERSION, truth, make_answers(said, labels=labels), JoinOptions())
        for said in (rows, shuffled)
    )

    assert one.records.label_idx.tolist() == [0, 1, 2] * 50
    assert one.records.confidence.tolist() == [said[x] for _, said in rows for x in labels]
    for name in ("offsets", "label_idx", "confidence"):
        assert np.array_equal(getattr(one.records, name), getattr(other.records, name))


@pytest.mark.parametrize("names", [("1", "2", "3"), ("3", "1", "2")])
def test_images_that_are_the_same_on_both_sides_are_not_looked_up(names, monkeypatch):
    """Of the same names in the same order, rising or not, no answer is searched for."""
    monkeypatch.setattr(images, "_find_images", pytest.fail)
    truth = make_truth([(name, "cat") for name in names])
    answers = make_answers([(name, {"cat": 0.25 * int(name)}) for name in names])

    joined = join_answers(VERSION, truth, answers, JoinOptions())

    assert joined.records.confidence.tolist() == [0.25 * int(name) for name in names]


def test_image_that_is_twice_on_both_sides_is_looked_up():
    """Equal lists of names may hold one twice: where its answers differ, they are refused."""
    truth = make_truth([("1", "cat"), ("2", "cat"), ("1", "cat")])
    answers = make_answers([("1", {"cat": 0.5}), ("2", {"cat": 0.5}), ("1", {"cat": 0.25})])

    with pytest.raises(EvaluationError, match="answer '1' twice, in different ways"):
        join_answers(VERSION, truth, answers, JoinOptions())


def test_addresses_signed_alike_on_both_sides_are_looked_up_without_their_signatures():
    """Two signatures of one image are one image, also where both sides hold the same addresses."""
    signed = [f"https://host/1.png?sig={i}" for i in range(2)]
    truth = make_truth([(name, "cat") for name in signed])
    answers = make_answers([(signed[0], {"cat": 0.5}), (signed[1], {"cat": 0.25})])

    with pytest.raises(EvaluationError, match=r"answer 'https://host/1.png' twice"):
        join_answers(VERSION, truth, answers, JoinOptions())


def test_images_without_an_answer_sum_up_to_nothing():
    """Confidences above 1 in sum are counted by image, also next to images without any."""
    truth = make_truth([(name, "cat") for name in "12345"], labels=("cat", "dog"))
    both = {"cat": 0.75, "dog": 0.5}
    answers = make_answers([("1", {}), ("2", both), ("3", {}), ("4", both), ("5", {})])

    joined = join_answers(VERSION, truth, answers, JoinOptions())

    assert any(said.startswith("2 of 5 predictions have confid") for said in joined.warnings)
