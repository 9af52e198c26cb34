"""What tables say: confidences, predicted labels, thresholds, boxes; and what is said of it."""

from io import BytesIO

import numpy as np
import pytest
from builders.tables import answer, list_answers, list_truth, make_files, tell_truth, write_parquet
from pyarrow.parquet import read_table

from mlrek.errors import ParseError
from mlrek.evaluation import Task
from mlrek.formats.tables import read_label_map, read_table_truth, read_thresholds

BOXES = "image,label,confidence,xmin,ymin,xmax,ymax\n"


def test_percent_is_read_as_such_and_said():
    """A file of percentages, also small ones next to large ones, is read as fractions."""
    answers = answer("image,label,score\na,cat,93.25\na,dog,6.25\na,cow,0.5\nb,dog,100\n")

    assert list_answers(answers) == {
        "a": {"cat": 0.9325, "dog": 0.0625, "cow": 0.005},
        "b": {"dog": 1.0},
    }
    assert answers.warnings == ("'score' is in percent (up to 100) and is read as such",)


def test_low_percentages_of_many_images_are_no_mixture():
    """Images whose highest percentage is below 1 occur where others are a little above 1."""
    rows = "".join(f"{i},cat,{100 * 0.8**i!r}\n" for i in range(40))

    assert answer(f"image,label,score\n{rows}").confidence == pytest.approx(
        [0.8**i for i in range(40)], abs=1e-15
    )


def test_noise_above_one_is_cut():
    """What rounding to 32 bits adds to 1 is no percentage."""
    answers = answer("image,label,score\na,cat,1.0000001\nb,cat,0.25\n")

    assert answers.confidence.tolist() == [1.0, 0.25]
    assert answers.warnings == ()


def test_repeated_rows_count_once_and_are_said():
    """A row that is there twice counts once, in long tables and in wide ones."""
    long = answer("image,label,score\na,cat,0.5\nb,dog,0.25\na,cat,0.5\n")
    wide = answer("image,truth,predicted\na,cat,dog\nb,dog,dog\na,cat,dog\n")
    said = "1 of 3 rows are there twice and count once; first: 'a'"

    assert list_answers(long) == {"a": {"cat": 0.5}, "b": {"dog": 0.25}}
    assert list_answers(wide) == {"a": {"dog": 1.0}, "b": {"dog": 1.0}}
    assert said in long.warnings
    assert said in wide.warnings


BLANK = {
    "long": "image,label,score\na,cat,0.5\nb,,\n",
    "long without scores": "image,label\na,cat\nb,\nb,\n",
    "wide": "image,truth,predicted\na,cat,cat\nb,cat,\n",
    "wide with a confidence": "image,truth,predicted,confidence\na,cat,cat,0.5\nb,cat,,\n",
    "nothing but blanks": "image,truth,predicted\na,cat,cat\nb,cat,  \n",
    "lists as text": 'image,predicted\na,"[""cat""]"\nb,\n',
    "scores": "image,truth,score_cat,score_dog\na,cat,0.5,0.5\nb,cat,,\n",
    "null in JSON": '{"image": "a", "predicted": "cat"}\n{"image": "b", "predicted": null}\n',
    "no key in JSON": '{"image": "a", "predicted": "cat"}\n{"image": "b"}\n',
    "null among lists in JSON": '{"image": "a", "predicted": ["cat"]}\n'
    '{"image": "b", "predicted": null}\n',
    "nulls in a list": '{"image": "a", "predicted": ["cat"]}\n'
    '{"image": "b", "predicted": [null]}\n',
    "null in Parquet": write_parquet({"image": ["a", "b"], "predicted": ["cat", None]}),
    "null among lists in Parquet": write_parquet(
        {"image": ["a", "b"], "predicted": [["cat"], None]}
    ),
}
BLANK_LABELS = [name for name in BLANK if name not in {"long", "wide with a confidence", "scores"}]
EMPTY = {
    "JSON": '{"image": "a", "LABEL": ["cat"]}\n{"image": "b", "LABEL": []}\n',
    "Parquet": {"image": ["a", "b"], "LABEL": [["cat"], []]},
    "lists as text": 'image,LABEL\na,"[""cat""]"\nb,[]\n',
    "among labels": "image,LABEL\na,cat\nb,[]\n",
}


def write_empty(name, label):
    """One of the tables that say with an empty list that an image has no label."""
    table = EMPTY[name]
    if isinstance(table, str):
        return table.replace("LABEL", label)
    return write_parquet({column.replace("LABEL", label): cells for column, cells in table.items()})


def rename_to_truth(table):
    """The table with its predictions as the truth alone."""
    if isinstance(table, bytes):
        columns = read_table(BytesIO(table))
        return write_parquet({"image": columns["image"], "truth": columns["predicted"]})
    return table.replace("truth,", "site,").replace("predicted", "truth")


@pytest.mark.parametrize("table", BLANK.values(), ids=BLANK)
def test_a_blank_prediction_is_no_answer(table):
    """An image whose predicted label or scores are blank stays, without an answer."""
    answers = answer(table)

    assert [*list_answers(answers)] == ["a", "b"]
    assert list_answers(answers)["b"] == {}
    assert answers.is_answered.tolist() == [True, False]


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_list_is_a_prediction_of_no_label(name):
    """A list that is written empty is an answer without labels, which is said."""
    answers = answer(write_empty(name, "predicted"))

    assert list_answers(answers) == {"a": {"cat": 1.0}, "b": {}}
    assert answers.is_answered.all()
    assert answers.warnings == ("1 of 2 images are predicted to have no label; first: 'b'",)


def test_an_empty_list_leaves_other_columns_as_they_are():
    """Where only predictions have one, a blank truth stays blank and one label stays one."""
    answers = answer("image,truth,predicted\na,dog,cat\nb,cat,[]\nc,cat,\n")

    assert list_answers(answers) == {"a": {"cat": 1.0}, "b": {}, "c": {}}
    assert answers.is_answered.tolist() == [True, True, False]
    assert list_truth(answers.truth) == {"a": ["dog"], "b": ["cat"], "c": ["cat"]}
    assert answers.truth.task == Task.CLASSIFICATION


def test_blank_and_empty_predictions_of_one_image_differ():
    """Rows of one image that say nothing, and that it has no label, are refused as others are."""
    rows = '{"image": "a", "truth": ["cat"], "predicted": ["cat"]}\n'
    rows += "".join(
        f'{{"image": "b", "truth": ["cat"], "predicted": {one}}}\n' for one in ("null", "[]")
    )

    with pytest.raises(ParseError, match="differs from row 2"):
        answer(rows)


def test_table_without_confidences_is_not_scored():
    """Without a column of confidences each is 1, and the answers say that they have none."""
    without, with_them = answer("image,label\na,cat\n"), answer("image,label,conf\na,cat,1\n")

    assert (without.is_scored, without.confidence.tolist()) == (False, [1.0])
    assert with_them.is_scored


def test_wide_table_holds_truth_and_predictions():
    """`image,truth,predicted,confidence` gives both, and each image's named prediction."""
    answers = answer("image,truth,predicted,confidence\na,cat,dog,0.5\nb,dog,dog,0.75\nc,cat,,\n")

    assert list_answers(answers) == {"a": {"dog": 0.5}, "b": {"dog": 0.75}, "c": {}}
    assert [answers.labels[code] if code >= 0 else "" for code in answers.predicted] == [
        "dog",
        "dog",
        "",
    ]
    assert list_truth(answers.truth) == {"a": ["cat"], "b": ["dog"], "c": ["cat"]}
    assert answers.truth.labels == ("cat", "dog")


def test_label_next_to_predictions_is_the_truth():
    """Where predictions have a column of their own, `label` is the truth, which is said."""
    answers = answer("image,label,predicted\na,cat,dog\n")

    assert list_truth(answers.truth) == {"a": ["cat"]}
    assert list_answers(answers) == {"a": {"dog": 1.0}}
    assert any("'label' is read as the truth" in said for said in answers.warnings)


def test_long_table_may_repeat_the_truth():
    """Truth that stands in each row of an image is its truth once."""
    answers = answer("image,truth,label,score\na,cat,cat,0.75\na,cat,dog,0.25\nb,dog,cat,1\n")

    assert list_truth(answers.truth) == {"a": ["cat"], "b": ["dog"]}
    assert list_answers(answers) == {"a": {"cat": 0.75, "dog": 0.25}, "b": {"cat": 1.0}}


def test_scores_of_all_labels_are_complete_records():
    """A column a label gives each image a confidence for each, in the order of the columns."""
    answers = answer("image,score_dog,prob_Cat,confidence_a b\nx,0.5,0.25,0.25\ny,0,1,0\n")

    assert answers.labels == ("dog", "Cat", "a b")
    assert list_answers(answers)["x"] == {"dog": 0.5, "Cat": 0.25, "a b": 0.25}
    assert np.diff(answers.offsets).tolist() == [3, 3]


def test_scores_with_a_named_prediction_keep_both():
    """The named prediction need not be the label with the highest score."""
    answers = answer("image,truth,pred,score_cat,score_dog\na,cat,dog,0.75,0.25\nb,cow,cow,0,1\n")

    assert answers.labels == ("cat", "dog", "cow")
    assert answers.predicted.tolist() == [1, 2]
    assert list_truth(answers.truth) == {"a": ["cat"], "b": ["cow"]}


def test_thresholds_stand_in_a_column():
    """`threshold` gives that of each label, in percent as well."""
    one = answer("image,label,score,threshold\na,cat,0.5,0.25\nb,dog,0.5,0.75\nc,cat,1,0.25\n")
    percent = answer("image,label,score,threshold\na,cat,50,25\nb,dog,50,75\n")

    assert one.thresholds == percent.thresholds == {"cat": 0.25, "dog": 0.75}


def test_labels_that_differ_in_case_or_blanks_are_told_apart_and_said():
    """Labels that look alike may be one label or two; both spellings are named."""
    answers = answer("image,label\na,Red Car\nb,red car\nc,red  car\nd,cat\n")

    assert len(answers.labels) == 4
    names = "'Red Car' and 'red car' and 'red  car'"
    said = f"labels that differ in case or blanks only are told apart: {names}"
    assert answers.warnings == (said,)


def test_label_that_joins_others_is_one_label_and_said():
    """`cat|dog` is one label, but may have been meant as two."""
    truth = tell_truth("image,label\na,cat|dog\nb,cat\nc,dog\n")

    assert list_truth(truth)["a"] == ["cat|dog"]
    assert any("look like several joined by `|`" in said for said in truth.warnings)


def test_truth_values_as_labels_are_said():
    """Labels of a column of truth values are their names."""
    answers = answer(write_parquet({"image": ["a", "b"], "label": [True, False]}))

    assert answers.labels == ("False", "True")
    assert any("truth values" in said for said in answers.warnings)


@pytest.mark.parametrize("table", [BLANK[name] for name in BLANK_LABELS], ids=BLANK_LABELS)
def test_a_blank_truth_is_unknown(table):
    """Nobody has labelled the image: it is left out, and a doubt counts it."""
    truth = tell_truth(rename_to_truth(table))

    assert list_truth(truth) == {"a": ["cat"]}
    assert truth.unlabelled == {"b"}
    assert truth.warnings == ()
    (doubt,) = truth.doubts
    assert (doubt.kind, doubt.count, doubt.of) == ("truth_unknown", 1, 2)
    assert doubt.text.startswith("1 of 2 images are labelled by nobody")


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_list_is_the_truth_of_an_image_without_a_label(name):
    """A list that is written empty tells that the image has no label, which is said."""
    truth = tell_truth(write_empty(name, "truth"))

    assert list_truth(truth) == {"a": ["cat"], "b": []}
    assert (truth.doubts, truth.unlabelled) == ((), frozenset())
    assert truth.warnings == ("1 of 2 images are labelled as having no label; first: 'b'",)


def test_blank_truth_next_to_predictions_is_unknown():
    """Also where one table holds both, and what else it says of images stays with them."""
    table = "image,truth,predicted,place\na,,dog,x\nb,cat,cat,y\nc,,,x\n"
    answers, truth = answer(table), tell_truth(table)

    assert [*list_answers(answers)] == ["a", "b", "c"]
    for one in (answers.truth, truth):
        assert list_truth(one) == {"b": ["cat"]}
        assert one.unlabelled == {"a", "c"}
        assert [(doubt.kind, doubt.count) for doubt in one.doubts] == [("truth_unknown", 2)]
    assert [column.codes.tolist() for column in truth.columns] == [[1]]


def test_truth_that_is_blank_throughout_is_refused():
    """A test set that nobody has labelled is none."""
    with pytest.raises(ParseError, match="holds no labelled image: 'label' is blank in every row"):
        tell_truth("image,label\na,\nb,\n")


def test_a_row_with_an_image_alone_is_one_without_objects():
    """Of boxes it tells that nothing is there, and of predictions that nothing was found."""
    table = f"{BOXES}a,cat,1,1,1,9,9\nb,,,,,,\n"
    truth, answers = tell_truth(table), answer(table)

    assert list_truth(truth) == {"a": ["cat"], "b": []}
    assert answers.boxes.offsets.tolist() == [0, 1, 1]
    assert (truth.doubts, answers.is_answered) == ((), None)


def test_truth_alone_is_read_of_a_table_with_predictions():
    """A table of both, given as the truth, gives its truth, and says so."""
    truth = tell_truth("image,truth,predicted\na,cat,dog\n")

    assert list_truth(truth) == {"a": ["cat"]}
    assert any("only its truth is read" in said for said in truth.warnings)


def test_people_that_are_sure_give_truth():
    """Truth whose confidence is 1 throughout, as Open Images has it, is truth."""
    assert list_truth(tell_truth("ImageID,LabelName,Confidence\na,cat,1\n")) == {"a": ["cat"]}


@pytest.mark.parametrize(
    ("header", "numbers"),
    [
        ("xmin,ymin,xmax,ymax", "10,20,40,60"),
        ("x1,y1,x2,y2", "10,20,40,60"),
        ("left,top,right,bottom", "10,20,40,60"),
        ("x,y,width,height", "10,20,30,40"),
        ("left,top,w,h", "10,20,30,40"),
        ("x_center,y_center,width,height", "25,40,30,40"),
    ],
)
def test_boxes_are_written_by_corners_or_by_size(header, numbers):
    """A box may have two corners, a corner and its size, or its middle and its size."""
    answers = answer(f"image,label,score,{header}\na,cat,0.5,{numbers}\n")

    assert answers.boxes.boxes_xyxy.tolist() == [[10, 20, 40, 60]]
    assert answers.boxes.confidence.tolist() == [0.5]
    assert not answers.normalized


def test_width_next_to_corners_is_that_of_the_image():
    """Tables of Pascal VOC have the image's size and the box's corners."""
    truth = tell_truth(
        "filename,width,height,class,xmin,ymin,xmax,ymax\na,200,100,cat,1,2,30,40\nb,50,60,,,,,\n"
    )

    assert truth.task == Task.DETECTION
    assert truth.image_sizes.tolist() == [[200, 100], [50, 60]]
    assert truth.boxes.boxes_xyxy.tolist() == [[1, 2, 30, 40]]
    assert np.isnan(truth.boxes.confidence).all()
    assert list_truth(truth) == {"a": ["cat"], "b": []}


def test_boxes_in_shares_of_the_image_are_recognised():
    """Corners from 0 to 1 are shares of the image's size, which is said."""
    answers = answer(f"{BOXES}a,cat,0.5,0,0.25,0.5,1\n")

    assert answers.normalized
    assert any("shares of the image's size" in said for said in answers.warnings)


def test_boxes_keep_the_order_of_the_file_on_each_image():
    """Boxes of an image stand in file order, wherever its rows are."""
    answers = answer(f"{BOXES}b,cat,0.5,1,1,9,9\na,dog,0.25,2,2,8,8\nb,dog,0.75,3,3,7,7\n")

    assert answers.images == ("b", "a")
    assert answers.boxes.offsets.tolist() == [0, 2, 3]
    assert answers.boxes.confidence.tolist() == [0.5, 0.75, 0.25]


def test_some_equal_boxes_are_said():
    """A box that is there twice among others counts twice, with a warning."""
    rows = "a,cat,0.5,1,1,9,9\n" * 2 + "b,cat,0.5,1,1,9,9\nb,dog,0.5,1,1,9,9\n"
    answers = answer(f"{BOXES}{rows}")

    assert len(answers.boxes.confidence) == 4
    assert any("1 of 4 rows repeat a box" in said for said in answers.warnings)


def test_a_box_without_area_is_kept_and_said():
    """Models write one now and then: it can only be a false positive."""
    rows = "".join(f"{i},cat,0.5,{i},1,9,9\n" for i in range(3))
    answers = answer(f"{BOXES}{rows}a,cat,0.25,7,2,7,8\n")

    assert answers.boxes is not None
    assert answers.boxes.boxes_xyxy[3].tolist() == [7, 2, 7, 8]
    said = "1 of 4 boxes have no area, and can overlap nothing; first: row 4 ('a')"
    assert said in answers.warnings


def test_many_score_columns_are_read():
    """A thousand columns of scores in any form come out as they are."""
    scores = np.random.default_rng(0).dirichlet(np.ones(1000), 50)
    columns = {"image": [f"{i}.jpg" for i in range(50)]}
    columns |= {f"score_l{i}": scores[:, i].tolist() for i in range(1000)}
    answers = answer(write_parquet(columns))

    assert answers.confidence.reshape(50, 1000).tolist() == scores.tolist()
    assert answers.labels == tuple(f"l{i}" for i in range(1000))


@pytest.mark.parametrize(
    "content",
    [
        b"label,threshold\ncat,0.5\ndog,0.75\n",
        b"threshold;class\n50;cat\n75;dog\n",
        b"image,label,support,threshold\nx,cat,1,0.5\nx,dog,2,0.75\nx,cow,3,\n",
        b'{"cat": 0.5, "dog": 0.75}',
        b'[{"label": "cat", "threshold": 0.5}, {"label": "dog", "threshold": 0.75}]',
        '\ufeff{"cat": 50, "dog": 75}'.encode(),
    ],
)
def test_thresholds_are_read_from_a_file(content):
    """Thresholds by label stand in CSV or JSON, as fractions or percent."""
    assert read_thresholds(content, "t.csv") == {"cat": 0.5, "dog": 0.75}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"label,threshold\ncat,0.5\ncat,0.6\n", "row 2: 'cat' has a second threshold, 0.6"),
        (b"label,threshold\ncat,0.5\ndog,70\n", "mixes fractions .*'cat': 0.5.* percent"),
        (b"label,threshold\ncat,-1\n", "row 1: the threshold of 'cat' is '-1'"),
        (b"label,threshold\ncat,high\n", "'high', no fraction"),
        (b"label,score\ncat,0.5\n", "needed are `label` and `threshold`"),
        (b"", "is empty"),
        (b"{", "is not valid JSON"),
        (b'{"cat": 0.5, "cat": 0.6}', "names 'cat' twice"),
    ],
)
def test_wrong_thresholds_are_refused(content, said):
    """What is no list of thresholds says what is wrong with it."""
    with pytest.raises(ParseError, match=f"t.csv: .*{said}"):
        read_thresholds(content, "t.csv")


@pytest.mark.parametrize(
    "content",
    [
        b'{"Katze": "cat", "Hund": "dog"}',
        b"Katze,cat\nHund,dog\n",
        b"from,to\nKatze,cat\nHund,dog\n",
        b"truth;predicted\ncat;Katze\ndog;Hund\n",
    ],
)
def test_label_map_is_read(content):
    """Labels of predictions get their names in the truth, by JSON or by CSV of two columns."""
    assert read_label_map(content, "map") == {"Katze": "cat", "Hund": "dog"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Katze,cat\nKatze,dog\n", "row 2: 'Katze' gets two names, 'cat' and 'dog'"),
        (b"Katze,cat,x\n", "are not two columns"),
        (b'{"Katze": 1}', "gets 1, which is none"),
        (b"[1]", "is a list"),
        (b'{"a": "b", "a": "c"}', "names 'a' twice"),
    ],
)
def test_wrong_label_map_is_refused(content, said):
    """What is no label map says what is wrong with it."""
    with pytest.raises(ParseError, match=f"map: .*{said}"):
        read_label_map(content, "map")


def test_truth_of_several_files_is_one():
    """A folder of tables, as Spark writes it, is one table; what is no table is said."""
    files = make_files(
        {"_SUCCESS": "", "p-1.csv": "image,label\na,cat\n", "p-2.csv": "image,label\nb,dog\n"}
    )
    truth = read_table_truth(files)

    assert list_truth(truth) == {"a": ["cat"], "b": ["dog"]}
    assert any("1 files that are no tables" in said for said in truth.warnings)


@pytest.mark.parametrize("read", [read_label_map, read_thresholds])
@pytest.mark.parametrize("content", [b"\x1c", "\u00a0\n\u2028".encode()])
def test_a_list_of_nothing_but_blanks_is_said_to_be_empty(read, content):
    """Unusual blanks alone are no list of thresholds or of names, and are told as an empty file."""
    with pytest.raises(ParseError, match="is empty"):
        read(content, "list")
