"""Joins of truth and predictions that must not pass silently: each ends in one clear line."""

import numpy as np
import pytest
from builders.answers import VERSION, make_answers, make_truth

from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Effect, Task
from mlrek.formats.predictions import JoinOptions, Match, Unmatched
from mlrek.formats.predictions.join import join_answers

N = 40
LABELS = ("cat", "dog", "fox", "owl")
IMAGES = tuple(f"s3://bucket/set/photo {i:02}.jpg" for i in range(N))
Y_TRUE = tuple(LABELS[i % 4] for i in range(N))
DROP = JoinOptions(unmatched=Unmatched.DROP)
BY_NAME = JoinOptions(match=Match.NAME)


def score(label, i=0, labels=LABELS):
    """A sure answer, different for each image."""
    rest = 0.3 - i / 1000
    return {one: 1 - rest if one == label else rest / 3 for one in labels}


def answer(images=IMAGES, y_pred=Y_TRUE, labels=LABELS, **fields):
    """Scores of each image."""
    rows = [(im, score(y, i, labels)) for i, (im, y) in enumerate(zip(images, y_pred, strict=True))]
    return make_answers(rows, labels=labels, **fields)


def spell(change):
    """All images, written differently."""
    return answer([change(image) for image in IMAGES])


TRUTH = make_truth([*zip(IMAGES, Y_TRUE, strict=True)])
WRONG = tuple("dog" if i % 10 == 0 else label for i, label in enumerate(Y_TRUE))


def join(answers, truth=TRUTH, options=None):
    """The evaluation."""
    return join_answers(VERSION, truth, answers, options or JoinOptions())


def say(answers, truth=TRUTH, options=None):
    """The error of a join."""
    with pytest.raises(EvaluationError) as caught:
        join(answers, truth, options)
    text = str(caught.value)
    assert "\n" not in text
    return text


SPELLINGS = {
    "other folder": (lambda image: image.replace("set/", "copy/"), "their folder"),
    "no folder": (lambda image: image.rpartition("/")[2], "their folder"),
    "other bucket": (lambda image: image.replace("bucket", "other"), "their bucket"),
    "case": (str.upper, "case"),
    "percent-encoding": (lambda image: image.replace(" ", "%20"), "percent-encoding"),
    "plus for blank": (lambda image: image.replace(" ", "+"), "percent-encoding"),
    "backslashes": (lambda image: image.replace("/", "\\"), "slashes and backslashes"),
    "blanks at the end": (lambda image: image + " ", "blanks at the ends"),
    "folder and case": (lambda image: image.rpartition("/")[2].upper(), "their folder and case"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_images_spelt_otherwise_are_an_error_that_names_difference_and_way_out(name):
    """Both spellings are shown, what differs, and that file names may join them; then they do."""
    change, what = SPELLINGS[name]

    said = say(spell(change))

    assert f"which differ in {what}" in said
    assert repr(change(IMAGES[0])) in said
    assert repr(IMAGES[0]) in said
    assert "--match name" in said
    joined = join(spell(change), options=BY_NAME)
    assert joined.records.counts.tolist() == [4] * N
    assert any("--match name" in one for one in joined.warnings)


def test_accents_composed_otherwise_are_named():
    """A name in NFC and in NFD looks the same and is another one."""
    truth = make_truth([("caf\u00e9.jpg", "cat"), ("b.jpg", "dog")])
    answers = make_answers([("cafe\u0301.jpg", {"cat": 0.9}), ("b.jpg", {"dog": 0.8})])

    assert "how accents are composed (NFC, NFD)" in say(answers, truth)
    assert join(answers, truth, BY_NAME).records.counts.tolist() == [1, 1]


@pytest.mark.parametrize("prefix", ["./", "/"])
def test_a_leading_dot_or_slash_is_named(prefix):
    """Paths from a folder and from its root."""
    truth = make_truth([("a/1.jpg", "cat"), ("a/2.jpg", "dog")])
    answers = make_answers([(f"{prefix}a/{i}.jpg", {"cat": 0.9 - i / 10}) for i in (1, 2)])

    assert "./ or / at the beginning" in say(answers, truth)


def test_another_ending_is_named():
    """No option joins photo.png with photo.jpg: they may be other pictures."""
    answers = spell(lambda image: image.replace(".jpg", ".png"))

    for options in (None, BY_NAME):
        said = say(answers, options=options)
        assert "'s3://bucket/set/photo 00.png' and 's3://bucket/set/photo 00.jpg'" in said
        assert "their ending" in said


def test_signatures_of_addresses_do_not_matter_and_are_never_printed():
    """The same image signed at another time is the same; errors hide what signs it."""
    plain = [f"https://b.s3.amazonaws.com/{i}.jpg" for i in range(N)]
    signed = [f"{url}?X-Amz-Signature=5ecret{i}&X-Amz-Expires=9" for i, url in enumerate(plain)]
    truth = make_truth([*zip(plain, Y_TRUE, strict=True)])

    assert join(answer(signed), truth).records.counts.tolist() == [4] * N
    other = say(answer([url.replace("b.s3", "c.s3") for url in signed]), truth)
    assert "5ecret" not in other


def test_one_matching_image_in_ten_is_an_error():
    """Said with counts, first images, and what to type; dropping the rest stops a gate."""
    images = [im if i % 10 == 0 else im.replace("set/", "old/") for i, im in enumerate(IMAGES)]

    said = say(answer(images))

    assert "36 of 40 images of the truth have no prediction" in said
    assert "36 of 40 predictions are of images that the truth does not hold" in said
    assert "--unmatched drop" in said
    joined = join(answer(images), options=DROP)
    assert len(joined.images) == 4
    (doubt,) = [one for one in joined.doubts if one.effect is Effect.STOPS]
    assert (doubt.kind, doubt.count, doubt.of) == ("images_missing", 36, 40)


def test_predictions_of_more_images_are_an_error_unless_dropped():
    """A superset of the images: those that the truth does not hold are left out and counted."""
    truth = make_truth([*zip(IMAGES[:30], Y_TRUE[:30], strict=True)])

    assert "10 of 40 predictions are of images that the truth does not hold" in say(answer(), truth)
    joined = join(answer(), truth, DROP)
    assert len(joined.images) == 30
    assert any(one.startswith("10 of 40 predictions") for one in joined.warnings)


def test_predictions_of_another_test_set_are_an_error_whatever_unmatched_says():
    """A model that is always wrong is not what a wrong file is."""
    answers = answer([f"s3://bucket/other/{i}.png" for i in range(N)])

    for unmatched in Unmatched:
        said = say(answers, options=JoinOptions(unmatched=unmatched))
        assert said.startswith("not one prediction is of an image of the truth")
        assert "give the predictions of this test set" in said


def test_no_predictions_are_an_error():
    """An empty file."""
    assert "of no image at all" in say(answer((), ()))


def test_doubled_answers_count_once_where_they_are_equal():
    """A row twice is the row; two different answers of an image are an error that names it."""
    twice = answer((*IMAGES, IMAGES[0]), (*Y_TRUE, Y_TRUE[0]))
    answers = make_answers([(IMAGES[0], {"cat": 0.9}), (IMAGES[0], {"cat": 0.9})])

    truth = make_truth([(IMAGES[0], "cat")])
    assert join(answers, truth).records.confidence.tolist() == [0.9]
    assert f"answer {IMAGES[0]!r} twice, in different ways" in say(twice)


def test_a_file_name_of_two_images_is_an_error_that_names_it():
    """Folders that number their images alike cannot be joined by file name."""
    truth = make_truth([("cat/1.jpg", "cat"), ("dog/1.jpg", "dog")])
    answers = make_answers([("x/1.jpg", {"cat": 0.9})])

    assert "'1.jpg' is the name of several in the truth" in say(answers, truth, BY_NAME)


def test_labels_of_which_none_is_shared_are_an_error():
    """Both lists are shown, and the option that says what is what."""
    said = say(
        answer(y_pred=[f"animal-{y}" for y in Y_TRUE], labels=[f"animal-{y}" for y in LABELS])
    )

    assert "not one label in common" in said
    assert "'animal-cat'" in said
    assert "'cat'" in said
    assert "--label-map" in said


def test_indices_for_names_are_an_error_that_says_so():
    """Predictions as numbers, truth as names."""
    numbers = ("0", "1", "2", "3")
    said = say(answer(y_pred=[numbers[LABELS.index(y)] for y in Y_TRUE], labels=numbers))

    assert "labels are numbers in predictions and names in the truth" in said
    assert "--label-map" in said


def test_a_label_map_with_an_unknown_label_is_an_error():
    """What would change nothing is a typing mistake."""
    options = JoinOptions(label_map={"catt": "cat"})

    assert "--label-map: 'catt' is no label of the predictions" in say(answer(), options=options)


def swap(y_pred, names):
    """The predictions with other names."""
    return [names.get(label, label) for label in y_pred]


RENAMED = {
    "two names swapped": ({"cat": "dog", "dog": "cat"}, "'cat' for 'dog'"),
    "all names shuffled": ({"cat": "owl", "owl": "dog", "dog": "fox", "fox": "cat"}, "'owl' for"),
    "indices off by one": ({"cat": "dog", "dog": "fox", "fox": "owl"}, "'dog' for 'cat'"),
}


@pytest.mark.parametrize("name", RENAMED)
def test_shuffled_names_of_labels_stop_a_gate_and_are_named(name):
    """Where another naming would make most predictions right, the doubt says which."""
    names, shown = RENAMED[name]

    joined = join(answer(y_pred=swap(WRONG, names)))

    (doubt,) = joined.doubts
    assert (doubt.kind, doubt.effect) == ("other_rule", Effect.STOPS)
    assert shown in doubt.text
    assert "--label-map" in doubt.text
    mapped = join(
        answer(y_pred=swap(WRONG, names)),
        options=JoinOptions(label_map={v: k for k, v in names.items()}),
    )
    assert mapped.doubts == () or name == "indices off by one"


def test_indices_from_one_instead_of_zero_are_named():
    """Class numbers of two tools, shifted by a background class."""
    truth = make_truth([(im, str(LABELS.index(y))) for im, y in zip(IMAGES, Y_TRUE, strict=True)])
    answers = answer(y_pred=[str(LABELS.index(y) + 1) for y in Y_TRUE], labels=("1", "2", "3", "4"))

    (doubt,) = join(answers, truth).doubts
    assert "each its neighbour in the list, as where indices begin at 0 and at 1" in doubt.text


def test_a_model_that_errs_often_is_not_taken_for_misnamed():
    """Half of one label predicted as another raises nothing."""
    y_pred = ["dog" if y == "cat" and i % 8 else y for i, y in enumerate(Y_TRUE)]

    joined = join(answer(y_pred=y_pred))

    assert joined.doubts == ()
    assert not any("--label-map" in one for one in joined.warnings)


def test_rows_out_of_order_are_said_to_agree_by_chance_alone():
    """Answers of other images under these names."""
    rng = np.random.default_rng(3)
    images = [f"{i}.jpg" for i in range(200)]
    y_true = rng.choice(LABELS, 200).tolist()
    truth = make_truth([*zip(images, y_true, strict=True)], labels=LABELS)

    joined = join(answer(images, rng.permutation(y_true).tolist()), truth)

    assert any("dealt out by chance" in one for one in joined.warnings)


@pytest.mark.parametrize("other", ["Cat", "cat ", "c_at"])
def test_labels_that_look_alike_are_told_apart_and_named(other):
    """Case, blanks and underscores make other labels, which is said."""
    y_pred = [other if i == 0 else y for i, y in enumerate(Y_TRUE)]

    joined = join(answer(y_pred=y_pred, labels=(*LABELS, other)))

    assert joined.labels == (*LABELS, other)
    said = f"'cat' and {other!r}"
    assert any(said in one and "count as different ones" in one for one in joined.warnings)


def test_thresholds_in_the_column_of_confidences_stop_a_gate():
    """Each label has one number wherever it stands."""
    sure = dict(zip(LABELS, (0.5, 0.6, 0.7, 0.8), strict=True))
    answers = make_answers([(im, {y: sure[y]}) for im, y in zip(IMAGES, WRONG, strict=True)])

    (doubt,) = join(answers).doubts
    assert (doubt.kind, doubt.effect) == ("confidence_constant", Effect.STOPS)
    assert "'cat' 0.5" in doubt.text


def test_the_truth_given_as_predictions_is_an_error():
    """Right on every image and without confidences; a file that holds both columns may be."""
    answers = make_answers([*zip(IMAGES, Y_TRUE, strict=True)])

    assert "this is the truth itself" in say(answers)
    both = make_answers([*zip(IMAGES, Y_TRUE, strict=True)], truth=TRUTH)
    assert join(both).labels == LABELS


@pytest.mark.parametrize("other", [{}, dict.fromkeys(LABELS, 0.0)])
def test_the_truth_with_one_confidence_everywhere_is_an_error(other):
    """Also as ones and zeros of every label."""
    answers = make_answers([(im, {**other, y: 1.0}) for im, y in zip(IMAGES, Y_TRUE, strict=True)])

    assert "hold the same confidence everywhere: this is the truth itself" in say(answers)


def test_columns_of_confidences_in_another_order_are_an_error():
    """The file's own predicted labels contradict the highest confidence on most images."""
    predicted = np.array([LABELS.index(y) for y in Y_TRUE])
    columns = ("dog", "cat", "owl", "fox")

    said = say(
        answer(y_pred=swap(Y_TRUE, dict(zip(LABELS, columns, strict=True))), predicted=predicted)
    )
    assert "40 of 40 images have another predicted label" in said
    assert "columns of confidences in another order" in said


def test_some_contradicted_predictions_are_counted():
    """The highest confidence decides."""
    predicted = np.array([LABELS.index(y) for y in WRONG])

    joined = join(answer(predicted=predicted))

    assert any(one.startswith("4 of 40 images have another predicted") for one in joined.warnings)


def test_ids_that_the_truth_does_not_know_are_an_error():
    """Answers by id, of images and of labels."""
    ids = {str(100 + i): image for i, image in enumerate(IMAGES)}
    label_ids = {str(i + 1): label for i, label in enumerate(LABELS)}
    truth = make_truth([*zip(IMAGES, Y_TRUE, strict=True)], image_ids=ids, label_ids=label_ids)
    numbers = tuple(label_ids)
    y_pred = [numbers[LABELS.index(y)] for y in WRONG]

    good = answer([*ids], y_pred, numbers, by_id=True)
    assert join(good, truth).labels == LABELS
    assert "'0'" in say(answer([*map(str, range(N))], y_pred, numbers, by_id=True), truth)
    shifted = [str(int(y) + 1) for y in y_pred]
    said = say(answer([*ids], shifted, ("2", "3", "4", "5"), by_id=True), truth)
    assert "1 of 4 ids of labels in the predictions are none of the truth's" in said


def test_file_names_for_ids_are_accepted_and_said():
    """Ultralytics writes the stem of the file for the id of an image."""
    ids = {str(i): image for i, image in enumerate(IMAGES)}
    truth = make_truth([*zip(IMAGES, Y_TRUE, strict=True)], image_ids=ids)
    stems = [image.rpartition("/")[2].removesuffix(".jpg") for image in IMAGES]

    joined = join(answer(stems, by_id=True), truth)

    assert joined.records.counts.tolist() == [4] * N
    assert any("are read as file names" in one for one in joined.warnings)


def test_names_without_ending_join_and_are_said():
    """As in a folder of YOLO's text files."""
    stems = [image.rpartition("/")[2].removesuffix(".jpg") for image in IMAGES]

    joined = join(answer(stems, lacks_ending=True))

    assert joined.records.counts.tolist() == [4] * N
    assert any("without its ending" in one for one in joined.warnings)


def test_one_confidence_everywhere_stops_a_gate():
    """Where a column was filled with a constant."""
    answers = make_answers([(im, {y: 0.5}) for im, y in zip(IMAGES, WRONG, strict=True)])

    (doubt,) = join(answers).doubts
    assert (doubt.kind, doubt.effect) == ("confidence_constant", Effect.STOPS)


def test_a_truth_that_names_some_images_twice_is_said():
    """Two true labels make an image one of several labels, whatever the predictions look like."""
    truth = make_truth([(IMAGES[0], ("cat", "dog")), *zip(IMAGES[1:], Y_TRUE[1:], strict=True)])

    joined = join(answer(y_pred=WRONG), truth)

    assert joined.task == "multilabel"
    said = "1 of 40 images have several true labels, so each may have several"
    assert any(one.startswith(said) and "labelled twice" in one for one in joined.warnings)


@pytest.mark.parametrize(
    ("task", "truth", "said"),
    [
        (Task.CLASSIFICATION, make_truth([(IMAGES[0], ("cat", "dog"))]), "several true labels"),
        (Task.DETECTION, TRUTH, "there are no boxes"),
        (Task.SEGMENTATION, TRUTH, "there are no boxes"),
    ],
)
def test_a_task_that_the_data_contradict_is_wrong_usage(task, truth, said):
    """The line says what the data are of."""
    with pytest.raises(UsageError, match=f"--task {task}: .*{said}.*; the data are of"):
        join(answer(), truth, JoinOptions(task=task))


def test_labels_that_differ_in_case_alone_are_an_error_that_says_so():
    """Where no label is the same in both."""
    upper = tuple(label.upper() for label in LABELS)

    said = say(answer(y_pred=[y.upper() for y in Y_TRUE], labels=upper))

    assert "differ only in case, blanks or underscores" in said


def test_a_good_model_of_rare_labels_is_not_said_to_agree_by_chance():
    """97 of 100 images have one label, and two of the three others are found."""
    images = [f"{i}.jpg" for i in range(100)]
    y_true = ["dog"] * 3 + ["cat"] * 97
    truth = make_truth([*zip(images, y_true, strict=True)])

    joined = join(answer(images, ["cat", *y_true[1:]], labels=("cat", "dog")), truth)

    assert not any("by chance" in one for one in joined.warnings)


def test_thresholds_of_a_label_that_nobody_has_are_an_error():
    """A typing mistake; thresholds of some labels leave 0.5 to the others, which is said."""
    said = say(answer(), options=JoinOptions(thresholds={"catt": 0.7}))
    assert "thresholds: 'catt' is no label" in said

    joined = join(answer(thresholds={"dog": 0.4}), options=JoinOptions(thresholds={"cat": 0.7}))
    assert joined.thresholds.tolist() == [0.7, 0.4, 0.5, 0.5]
    assert any(one.startswith("2 of 4 labels have no threshold given") for one in joined.warnings)


def test_ids_of_images_need_a_truth_with_ids():
    """Numbers name nothing in a table; file names do, whatever the truth calls ids."""
    numbers = answer([*map(str, range(N))], by_id=True)
    assert "it has no ids of images; a COCO file of boxes has" in say(numbers)

    stems = [image.rpartition("/")[2].removesuffix(".jpg") for image in IMAGES]
    assert join(answer(stems, by_id=True)).records.counts.tolist() == [4] * N


def test_the_first_image_that_is_spelt_otherwise_is_shown():
    """Also where the first ones of both sides are no pair."""
    images = ["s3://bucket/set/strange.jpg", *(im.upper() for im in IMAGES[1:])]

    said = say(answer(images))

    assert f"{IMAGES[1].upper()!r} and {IMAGES[1]!r}, which differ in case" in said


def test_images_with_an_error_are_misses_unless_they_are_answered_too():
    """A file may hold the error of a first try."""
    errors = {IMAGES[0]: "throttled", IMAGES[1]: "not found"}
    answers = answer(IMAGES[1:], WRONG[1:], errors=errors)

    (doubt,) = join(answers).doubts

    assert (doubt.kind, doubt.count) == ("unanswered", 1)
    assert "throttled" in doubt.text


def test_labels_of_every_image_are_not_said_to_agree_by_chance():
    """Where each image has all labels, nothing could be otherwise."""
    truth = make_truth([(image, ("cat", "dog")) for image in IMAGES])
    answers = make_answers([(image, {"cat": 0.9, "dog": 0.8}) for image in IMAGES])

    assert not any("by chance" in one for one in join(answers, truth).warnings)


def test_labels_that_the_model_does_not_know_are_named():
    """A true label without any answer can only be missed; one that no image has says nothing."""
    truth = make_truth([*zip(IMAGES, Y_TRUE, strict=True)], labels=(*LABELS, "yak"))
    y_pred = ["cat" if y == "owl" else y for y in Y_TRUE]

    warnings = join(answer(y_pred=y_pred, labels=LABELS[:3]), truth).warnings

    said = "1 of 4 labels of the truth occur nowhere in the predictions, and can only be missed"
    assert f"{said}: 'owl'" in warnings
