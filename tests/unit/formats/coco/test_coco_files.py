"""What COCO files may hold, and what is refused."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from builders.answers import VERSION
from builders.coco import draw_coco, give_file

from mlrek.errors import EvaluationError, MlrekError, ParseError
from mlrek.formats.coco import (
    read_coco_answers,
    read_coco_truth,
    seems_coco_answers,
    seems_coco_truth,
)
from mlrek.formats.forms import read_answers, read_truth
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.stored import dump_evaluation
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.test_set import digest_test_set

IMAGES = [
    {"id": 7, "file_name": "a.jpg", "width": 100, "height": 50},
    {"id": 5, "file_name": "b.jpg", "width": 100, "height": 50},
]
CATEGORIES = [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}]
BOX = {"id": 1, "image_id": 5, "category_id": 2, "bbox": [10, 5, 20, 10], "area": 200, "iscrowd": 0}
FOUND = {"image_id": 5, "category_id": 2, "bbox": [10, 5, 20, 10], "score": 0.75}
SQUARE = {"size": [50, 100], "counts": [1005, 10, 3985]}
"""Ten pixels of the 21st column of an image of 100 x 50 pixels."""


def make_file(*annotations, **parts):
    """An instances file of two images and two categories, in which parts may be others."""
    file = {"images": IMAGES, "annotations": [*annotations], "categories": CATEGORIES} | parts
    return {key: value for key, value in file.items() if value is not None}


def test_images_without_boxes_and_labels_without_boxes_stay():
    """Images stand in file order, also empty ones, and labels as the file lists them."""
    truth = read_coco_truth(give_file(make_file(BOX)))
    assert truth.images == ("a.jpg", "b.jpg")
    assert truth.labels == ("dog", "cat")
    assert truth.boxes.offsets.tolist() == [0, 0, 1]
    assert truth.boxes.boxes_xyxy.tolist() == [[10, 5, 30, 15]]
    assert truth.boxes.label_idx.tolist() == [1]
    assert truth.image_sizes.tolist() == [[100, 50], [100, 50]]
    assert truth.image_ids == {"7": "a.jpg", "5": "b.jpg"}
    assert truth.label_ids == {"9": "dog", "2": "cat"}
    assert truth.warnings == ()


def test_what_corners_tell_is_told_once():
    """Without crowds, other areas or odd fractions, boxes have no further columns."""
    boxes = read_coco_truth(give_file(make_file(BOX))).boxes
    assert (boxes.is_crowd, boxes.areas, boxes.sizes, boxes.masks) == (None, None, None, None)


def test_crowds_areas_and_exact_sizes_are_read():
    """A crowd, an area of a mask, and a width that its corners would round."""
    rows = [BOX | {"iscrowd": 1}, BOX | {"id": 2, "bbox": [0.1, 0, 0.2, 1], "area": 0.05}]
    boxes = read_coco_truth(give_file(make_file(*rows))).boxes
    assert boxes.is_crowd.tolist() == [True, False]
    assert boxes.areas.tolist() == [200, 0.05]
    assert boxes.sizes.tolist() == [[20, 10], [0.2, 1]]


def test_keys_may_stand_in_any_order():
    """A file is recognised by its keys, wherever annotations stand, also packed or with a mark."""
    file = make_file(BOX) | {"info": {"year": 2017}, "licenses": [{"id": 1, "name": "x"}]}
    for keys in (sorted(file), sorted(file, reverse=True)):
        text = json.dumps({key: file[key] for key in keys}, indent=1).encode()
        for data in (
            text,
            b"\xef\xbb\xbf" + text,
            gzip.compress(text),
            text.decode().encode("utf-16"),
        ):
            assert seems_coco_truth(give_file(data))
            assert read_truth(give_file(data)).images == ("a.jpg", "b.jpg")


def test_results_are_recognised():
    """An array of objects with an image_id and a category_id, in any order of keys."""
    turned = dict(reversed(FOUND.items()))
    assert seems_coco_answers(give_file([turned]))
    assert not seems_coco_answers(give_file(make_file(BOX)))
    assert not seems_coco_truth(give_file([turned]))
    assert not seems_coco_answers(give_file([{"image": "a", "label": "b"}]))
    assert not seems_coco_truth(give_file({"image": "a", "labels": [{"name": "b"}]}))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (make_file(BOX | {"image_id": 1}), "1 of 1 annotations are of an unknown image.* id 1"),
        (make_file(BOX | {"category_id": 1}), "1 of 1 annotations are of an unknown category"),
        (make_file(images=[IMAGES[0], IMAGES[0]]), "2 images have the id '7'"),
        (
            make_file(images=[IMAGES[0], IMAGES[0] | {"id": 8}]),
            "images have the file_name 'a.jpg'",
        ),
        (make_file(images=[{"id": 7}]), "image 7 has neither file_name nor coco_url"),
        (make_file(images=[]), "holds no image"),
        (make_file(annotations=None), "has no annotations"),
        (make_file(categories=[{"id": 1, "name": "x"}] * 2), "2 categories have the id '1'"),
        (
            make_file(categories=[{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]),
            "2 categories have the name 'x'",
        ),
        (make_file(categories=[{"id": 1, "name": " "}]), "category 1 has no name"),
        (make_file(BOX | {"bbox": [1, 2, 3]}), r"annotation 1: bbox is \[1.0, 2.0, 3.0\]"),
        (
            make_file(BOX, BOX | {"bbox": [9, 9, -1, 2]}),
            "annotation 2: .* negative width",
        ),
        (make_file({"id": 1, "image_id": 5, "caption": "a cat"}), "annotations are captions"),
        (
            make_file({"image_id": 5, "file_name": "b.png", "segments_info": [{"id": 1}]}),
            "segments of a panoptic file",
        ),
        (
            make_file({"id": 1, "image_id": 5, "category_id": 2, "keypoints": [1, 2, 2]}),
            "annotation 1 has only keypoints",
        ),
        (make_file(BOX | {"score": 0.5}), "is predictions, not truth: each annotation has a score"),
        (make_file(BOX | {"area": -1}), "annotation 1 has a negative area"),
        (make_file(BOX | {"bbox": ["1", 2, 3, 4]}), "annotations.*bbox"),
        ([FOUND], "is predictions"),
        (b'{"images": [{"id": 1, "file_name": "a"}], "annotations": [', "ends within a value"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(file, reason):
    """Each in one line that names the file."""
    with pytest.raises(ParseError, match=reason) as caught:
        read_coco_truth(give_file(file, "s3://b/truth.json"))
    assert str(caught.value).startswith("s3://b/truth.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (make_file(BOX), "is truth .COCO instances., not predictions"),
        ([FOUND, {**FOUND, "score": None}], "result 2 has no score: is it truth"),
        ([FOUND | {"score": -1.5}], "1 of 1 scores are neither fractions"),
        ([FOUND | {"score": 400}], "1 of 1 scores are neither fractions"),
        ([{"image_id": 5, "category_id": 2, "score": 1}], "result 1 has no bbox and no segm"),
        ([{"image_id": 5, "bbox": [1, 2, 3, 4], "score": 1}], "result 1 has no category_id"),
        ([{"image_id": 5, "category_id": 1, "keypoints": [1], "score": 1}], "holds keypoints"),
        ([{"image_id": 5, "caption": "a cat"}], "holds captions"),
        ([FOUND | {"bbox": [1, 2, -3, 4]}], "result 1: .* negative width or height"),
        (
            [{"image_id": 5, "category_id": 2, "score": 1, "segmentation": [[1, 2, 3, 4, 5, 6]]}],
            "holds polygons",
        ),
        (
            [FOUND | {"segmentation": {"size": [50, 100], "counts": "~"}}],
            "is no compressed RLE of COCO: '~'",
        ),
        (
            [FOUND | {"segmentation": {"size": [50, 100], "counts": [1, 2]}}],
            "is no RLE of 50 x 100 pixels: its counts sum to 3",
        ),
        (
            [
                FOUND | {"segmentation": SQUARE},
                FOUND | {"segmentation": {"size": [1, 9], "counts": [9]}},
            ],
            "masks of image 5 differ in size",
        ),
        ([], "holds no result"),
    ],
)
def test_results_that_are_none_are_refused(file, reason):
    """Each in one line that names the file."""
    with pytest.raises(ParseError, match=reason) as caught:
        read_coco_answers(give_file(file, "s3://b/results.json"))
    assert str(caught.value).startswith("s3://b/results.json")
    assert "\n" not in str(caught.value)


def test_scores_in_percent_are_said():
    """Scores above 1 are percentages."""
    answers = read_coco_answers(give_file([FOUND | {"score": 87.5}, FOUND | {"score": 0.5}]))
    assert answers.boxes.confidence.tolist() == [0.875, 0.005]
    assert answers.warnings == ("scores are above 1 and are read as percentages",)


def test_places_of_images_may_be_addresses():
    """Any file_name is the place as it stands, else coco_url is."""
    images = [{"id": 1, "file_name": "s3://b/1.jpg"}, {"id": 2, "coco_url": "http://x/2.jpg"}]
    truth = read_coco_truth(give_file(make_file(images=images)))
    assert truth.images == ("s3://b/1.jpg", "http://x/2.jpg")
    assert np.isnan(truth.image_sizes).all()


def test_a_background_without_boxes_is_no_label():
    """Category 0 of that name is passed over, and that is said; with boxes it is a label."""
    categories = [{"id": 0, "name": "__background__"}, *CATEGORIES]
    truth = read_coco_truth(give_file(make_file(BOX, categories=categories)))
    assert truth.labels == ("dog", "cat")
    assert any("taken for no label" in said for said in truth.warnings)
    used = make_file(BOX | {"category_id": 0}, categories=categories)
    assert read_coco_truth(give_file(used)).labels == ("__background__", "dog", "cat")


def test_without_categories_labels_are_their_numbers():
    """A file without categories has the numbers of its annotations as labels, and says so."""
    rows = [BOX | {"category_id": number} for number in (10, 9)]
    truth = read_coco_truth(give_file(make_file(*rows, categories=None)))
    assert truth.labels == ("9", "10")
    assert any("no categories" in said for said in truth.warnings)


def test_flags_that_coco_does_not_read_are_said():
    """`ignore` alone, keypoints, equal ids and the id 0 of annotations."""
    rows = [
        BOX | {"id": 0, "ignore": 1},
        BOX | {"id": 3, "keypoints": [1, 2, 2]},
        BOX | {"id": 3},
    ]
    said = " ".join(read_coco_truth(give_file(make_file(*rows))).warnings)
    for part in ("flag `ignore` without", "keypoints, which are not", "stand twice", "the id 0"):
        assert part in said


def test_ids_may_be_numbers_or_texts():
    """1, 1.0 and "1" are one id."""
    truth = make_file(BOX | {"image_id": "5", "category_id": 2.0})
    joined = join_answers(
        VERSION,
        read_truth(give_file(truth)),
        read_answers(give_file([FOUND | {"image_id": "5", "category_id": 2.0}])),
        JoinOptions(),
    )
    assert joined.detections.records.offsets.tolist() == [0, 0, 1]
    assert joined.labels[joined.detections.records.label_idx[0]] == "cat"


def test_masks_give_missing_boxes():
    """Truth and results that hold masks alone have the boxes around them."""
    row = {"id": 1, "image_id": 5, "category_id": 2, "segmentation": SQUARE}
    truth = read_coco_truth(give_file(make_file(row)))
    assert truth.boxes.boxes_xyxy.tolist() == [[20, 5, 21, 15]]
    found = {"image_id": 5, "category_id": 2, "score": 1, "segmentation": SQUARE}
    answers = read_coco_answers(give_file([found]))
    assert answers.boxes.boxes_xyxy.tolist() == [[20, 5, 21, 15]]
    assert answers.image_sizes.tolist() == [[100, 50]]
    assert answers.boxes.masks == truth.find_masks()


def test_masks_of_another_size_are_refused():
    """A mask of another picture is no mask of this one."""
    truth = read_coco_truth(give_file(make_file(BOX | {"segmentation": SQUARE})))
    other = FOUND | {"segmentation": {"size": [2, 3], "counts": [6]}}
    answers = read_coco_answers(give_file([other]))
    with pytest.raises(EvaluationError, match=r"'b.jpg', 3 x 2 instead of 100 x 50 pixels"):
        join_answers(VERSION, truth, answers, JoinOptions())


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 2, 3, 4, 5]], "annotation 1: its segmentation is no list of polygons"),
        ({"size": [9, 9], "counts": [81]}, r"has the size \[9, 9\], its image \[50, 100\]"),
        ({"size": [50, 100], "counts": "~~"}, "is no compressed RLE"),
    ],
)
def test_malformed_true_masks_are_refused(segmentation, reason):
    """Where masks are compared, each must be one; the file is named."""
    truth = read_coco_truth(give_file(make_file(BOX | {"segmentation": segmentation}), "t.json"))
    answers = read_coco_answers(give_file([FOUND | {"segmentation": SQUARE}]))
    with pytest.raises(ParseError, match=f"t.json.*{reason}"):
        join_answers(VERSION, truth, answers, JoinOptions())


def test_results_between_0_and_1_are_shares():
    """Boxes smaller than a pixel are shares of the image's size, and that is said."""
    answers = read_coco_answers(give_file([FOUND | {"bbox": [0.1, 0.1, 0.2, 0.2]}]))
    assert answers.normalized
    assert any("read as shares" in said for said in answers.warnings)
    truth = read_coco_truth(give_file(make_file(BOX)))
    joined = join_answers(VERSION, truth, answers, JoinOptions())
    assert joined.detections.records.boxes_xyxy.tolist() == pytest.approx(
        np.array([[10, 5, 30, 15]])
    )


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[1]", b'[{"image_id": 1}]', b"\xff\xfe"])
def test_other_files_are_refused(data):
    """By both readers, without anything but an error of one line."""
    for read in (read_coco_truth, read_coco_answers):
        with pytest.raises(MlrekError) as caught:
            read(give_file(data))
        assert "\n" not in str(caught.value)


def test_one_test_set_in_two_forms_has_one_digest():
    """A Ground Truth manifest and a COCO file of the same boxes are one test set."""
    box = {"class_id": 0, "left": 10, "top": 5, "width": 20, "height": 10}
    size = [{"width": 100, "height": 50, "depth": 3}]
    metadata = {"class-map": {"0": "cat"}, "type": "groundtruth/object-detection"}
    lines = [
        {
            "source-ref": name,
            "b": {"annotations": boxes, "image_size": size},
            "b-metadata": metadata,
        }
        for name, boxes in (("b.jpg", [box]), ("a.jpg", []))
    ]
    manifest = "\n".join(map(json.dumps, lines)).encode()
    answers = read_coco_answers(give_file([FOUND]))
    coco = join_answers(VERSION, read_truth(give_file(make_file(BOX))), answers, JoinOptions())
    named = replace(answers, by_id=False, images=("b.jpg",), labels=("cat",))
    other = join_answers(VERSION, read_truth(give_file(manifest)), named, JoinOptions())
    assert digest_test_set(coco) == digest_test_set(other)


def test_labels_that_were_looked_for_are_said():
    """LVIS judges an image by some labels alone; COCO's evaluation by all, which is said."""
    images = [IMAGES[0] | {"neg_category_ids": [2]}, IMAGES[1]]
    said = read_coco_truth(give_file(make_file(BOX, images=images))).warnings
    assert any("(LVIS)" in one for one in said)


@pytest.mark.parametrize("masks", [False, True])
def test_a_stored_evaluation_gives_the_numbers_of_its_files_again(masks):
    """As truth and as predictions, with crowds, areas and masks."""
    truth, results = draw_coco(2, masks=masks)
    files = read_coco_truth(give_file(truth)), read_coco_answers(give_file(results))
    joined = join_answers(VERSION, *files, JoinOptions())
    stored = give_file(dump_evaluation(joined))
    again = join_answers(VERSION, read_truth(stored), read_answers(stored), JoinOptions())
    values = [
        {name: number.value for name, number in compute_metrics(one).aggregate.items()}
        for one in (joined, again)
    ]
    assert values[0] == pytest.approx(values[1], abs=0, nan_ok=True)
