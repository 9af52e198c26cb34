"""Boxes that are read in another way or scale than they were written: one clear line each."""

import numpy as np
import pytest
from builders.answers import VERSION, make_box_answers, make_box_truth

from mlrek.errors import EvaluationError
from mlrek.formats.predictions import JoinOptions, Unmatched
from mlrek.formats.predictions.join import join_answers

RNG = np.random.default_rng(5)
N = 30
SIZE = (640.0, 320.0)
IMAGES = tuple(f"{i}.jpg" for i in range(N))
CORNERS = np.sort(RNG.uniform(0.1, 0.45, (N, 2)), axis=1).repeat(2, axis=1)[:, [0, 2, 1, 3]]
TRUE = (CORNERS + np.array([0, 0, 0.3, 0.4])) * np.tile(SIZE, 2)
FOUND = TRUE + RNG.uniform(-3, 3, TRUE.shape)
LABELS = tuple("ab"[i % 2] for i in range(N))


def truth(corners=TRUE, **fields):
    """One box on each image, whose size is known."""
    fields.setdefault("image_sizes", np.tile(SIZE, (N, 1)))
    rows = zip(IMAGES, LABELS, corners.tolist(), strict=True)
    return make_box_truth([(image, [(label, box)]) for image, label, box in rows], **fields)


def answers(corners=FOUND, labels=LABELS, images=IMAGES, **fields):
    """A box on each image, each of another confidence."""
    rows = enumerate(zip(images, labels, corners.tolist(), strict=False))
    return make_box_answers(
        [(image, [(label, box, 0.9 - i / 100)]) for i, (image, label, box) in rows], **fields
    )


def join(found, true=None, options=None):
    """The evaluation."""
    return join_answers(VERSION, true or truth(), found, options or JoinOptions())


def say(found, true=None):
    """The error of a join."""
    with pytest.raises(EvaluationError) as caught:
        join(found, true)
    text = str(caught.value)
    assert "\n" not in text
    return text


def as_width(corners):
    """Left, top, width, height."""
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])


def as_centre(corners):
    """Centre, width, height."""
    size = corners[:, 2:] - corners[:, :2]
    return np.hstack([corners[:, :2] + size / 2, size])


def widen(numbers):
    """What a reader makes of left, top, width, height."""
    return np.hstack([numbers[:, :2], numbers[:, :2] + numbers[:, 2:]])


WRONG = {
    "x and y swapped": (FOUND[:, [1, 0, 3, 2]], "y before x"),
    "corners read as x, y, width, height": (widen(FOUND), "corners, not x, y, width and height"),
    "centres read as corners of widths": (
        widen(as_centre(FOUND)),
        "centre, not corner, with width and height",
    ),
    "pixels of images half as large": (FOUND / 2, "in another scale"),
    "pixels of square images": (FOUND / np.tile(SIZE, 2) * 224, "in another scale"),
}


@pytest.mark.parametrize("name", WRONG)
def test_boxes_that_fit_when_read_otherwise_are_an_error_that_says_how(name):
    """Few lie on a true one, and most would."""
    corners, what = WRONG[name]

    said = say(answers(corners))

    assert f"if predicted boxes were {what}" in said or "outside their image" in said


def test_widths_read_as_corners_are_an_error():
    """Most then end before they begin, or do not fit."""
    said = say(answers(as_width(FOUND)))

    assert "x, y, width, height" in said or "x, y, width and height" in said


def test_pixels_of_larger_images_lie_outside():
    """Three times as large as the image that the truth names."""
    assert "lie outside their image" in say(answers(FOUND * 3))


@pytest.mark.parametrize("known", ["truth", "answers"])
@pytest.mark.parametrize("shares", ["truth", "answers"])
def test_shares_and_pixels_come_together_where_a_size_is_known(known, shares):
    """By the size that either file tells; the form is that of the truth."""
    sizes = np.tile(SIZE, (N, 1))
    given = {
        "truth": {"image_sizes": sizes if known == "truth" else np.full((N, 2), np.nan)},
        "answers": {"image_sizes": sizes if known == "answers" else None},
    }
    given[shares]["normalized"] = True
    scale = {"truth": np.ones(4), "answers": np.ones(4), shares: 1 / np.tile(SIZE, 2)}

    joined = join(
        answers(FOUND * scale["answers"], **given["answers"]),
        truth(TRUE * scale["truth"], **given["truth"]),
    )

    detections = joined.detections
    assert detections.normalized == (shares == "truth")
    np.testing.assert_allclose(detections.image_sizes, sizes)
    np.testing.assert_allclose(detections.records.boxes_xyxy, FOUND * scale["truth"], rtol=1e-12)


def test_shares_and_pixels_without_a_size_are_an_error():
    """Says which image, and what to add."""
    true = truth(image_sizes=np.full((N, 2), np.nan))

    said = say(answers(FOUND / np.tile(SIZE, 2), normalized=True), true)

    assert "30 of 30 images with predicted boxes have no known size; first: '0.jpg'" in said
    assert "give width and height" in said


def test_shares_on_both_sides_need_no_size():
    """They are compared as shares."""
    true = truth(TRUE / np.tile(SIZE, 2), normalized=True, image_sizes=np.full((N, 2), np.nan))

    joined = join(answers(FOUND / np.tile(SIZE, 2), normalized=True), true)

    assert joined.detections.normalized


def test_shares_that_no_file_calls_so_are_seen_by_their_ends():
    """No box of pixels lies within the first pixel; said."""
    joined = join(answers(FOUND / np.tile(SIZE, 2)))

    np.testing.assert_allclose(joined.detections.records.boxes_xyxy, FOUND, rtol=1e-12)
    assert any("are taken for shares of the image's" in one for one in joined.warnings)


def test_images_of_another_size_are_an_error():
    """The predictions tell that their images were resized."""
    said = say(answers(FOUND / 2, image_sizes=np.tile(SIZE, (N, 1)) / 2))

    assert "'0.jpg': 320 x 160, not 640 x 320" in said


def test_some_boxes_beyond_the_edge_are_counted():
    """One of thirty reaches far over it."""
    corners = FOUND.copy()
    corners[3, 2] = 700

    joined = join(answers(corners))

    said = "1 of 30 boxes of the predictions reach beyond the edge of their image; first: '3.jpg'"
    assert said in joined.warnings


def test_boxes_of_other_images_are_said_to_lie_nowhere():
    """No reading mends them, and the model may be that bad: a warning."""
    places = RNG.uniform(0, 0.9, (N, 2)) * SIZE
    joined = join(answers(np.hstack([places, places + 4])))

    assert any("of a model that finds nothing" in one for one in joined.warnings)


def test_boxes_of_labels_that_are_swapped_stop_a_gate():
    """Where boxes lie on true ones of the other label."""
    swapped = tuple("ba"[i % 2] for i in range(N))

    (doubt,) = join(answers(labels=swapped)).doubts
    assert doubt.kind == "other_rule"
    assert "'a' for 'b'; 'b' for 'a'" in doubt.text


def test_an_image_without_a_predicted_box_is_one_on_which_nothing_was_found():
    """COCO's results name no such image; beyond half of them somebody has to say so."""
    some = join(answers(images=IMAGES[:20]))
    assert any(
        one.startswith("10 of 30 images have no box in the predictions") for one in some.warnings
    )
    assert some.doubts == ()

    few = answers(images=IMAGES[:3])
    assert "27 of 30 images of the truth have no prediction" in say(few)
    joined = join(few, options=JoinOptions(unmatched=Unmatched.MISS))
    assert [doubt.kind for doubt in joined.doubts] == ["unanswered"]


@pytest.mark.parametrize("n_named", [1, 15, 20, 29])
def test_images_without_a_predicted_box_are_unanswered_where_they_are_said_to_be_missed(n_named):
    """However few they are: who says `miss` says that no answer is there."""
    some = answers(images=IMAGES[:n_named])
    joined = join(some, options=JoinOptions(unmatched=Unmatched.MISS))

    (doubt,) = joined.doubts
    assert (doubt.kind, doubt.count, doubt.of) == ("unanswered", 30 - n_named, 30)
    assert not any("nothing was found" in said for said in joined.warnings)


def test_true_boxes_given_as_predictions_are_an_error():
    """To the pixel, and without a confidence."""
    assert "this is the truth itself" in say(answers(TRUE, is_scored=False))


def test_boxes_for_labels_are_an_error():
    """One side has boxes, the other labels of whole images."""
    from builders.answers import make_truth

    true = make_truth([*zip(IMAGES, LABELS, strict=True)])

    assert "the truth has labels of images, but the predictions have boxes" in say(answers(), true)
