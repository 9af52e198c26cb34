"""Evaluations from lists, arrays and frames have the numbers of scikit-learn and pycocotools."""

import numpy as np
import pandas as pd
import pytest
from builders.coco import draw_coco, run_coco_eval
from builders.detections import draw_random_scenes, run_pycocotools
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_digits, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import label_binarize

from mlrek.api.arrays import evaluate
from mlrek.errors import EvaluationError, UsageError

CLOSE = 1e-12
NAMES = ("cat", "dog", "owl")
nan = float("nan")


@pytest.fixture(scope="module")
def digits():
    """True and predicted digits of 450 images as pandas has them, and probabilities."""
    x, y = load_digits(return_X_y=True, as_frame=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    model = GaussianNB().fit(x_train, y_train)
    return y_test, model.predict(x_test), model.predict_proba(x_test)


@pytest.fixture(scope="module")
def cancer():
    """True and predicted classes of two, 0 and 1, and probabilities of both."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    model = GaussianNB().fit(x_train, y_train)
    return y_test, model.predict(x_test), model.predict_proba(x_test)


@pytest.fixture(scope="module")
def several():
    """A matrix of true labels, one of predicted ones, and probabilities, each (200, 5)."""
    x, y = make_multilabel_classification(400, n_classes=5, random_state=0)
    model = RandomForestClassifier(random_state=0).fit(x[:200], y[:200])
    scores = np.stack([part[:, 1] for part in model.predict_proba(x[200:])], axis=1)
    return y[200:], (scores >= 0.5).astype(int), scores


def read(evaluated, names):
    """The values of aggregate numbers."""
    return [evaluated.metrics[f"aggregate/{name}"].value for name in names]


def test_one_label_equals_scikit_learn(digits):
    """A pandas column of truth, an array of predictions and one of probabilities: each number."""
    y_true, y_pred, y_score = digits
    expected = {
        "accuracy": metrics.accuracy_score(y_true, y_pred),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_true, y_pred),
        "f1_macro": metrics.f1_score(y_true, y_pred, average="macro"),
        "f1_micro": metrics.f1_score(y_true, y_pred, average="micro"),
        "f1_weighted": metrics.f1_score(y_true, y_pred, average="weighted"),
        "mcc": metrics.matthews_corrcoef(y_true, y_pred),
        "cohen_kappa": metrics.cohen_kappa_score(y_true, y_pred),
        "log_loss": metrics.log_loss(y_true, y_score),
        "roc_auc_macro": metrics.roc_auc_score(y_true, y_score, multi_class="ovr"),
        "average_precision_macro": metrics.average_precision_score(
            label_binarize(y_true, classes=range(10)), y_score
        ),
    }

    evaluated = evaluate(y_true, y_pred, y_score=y_score)

    assert read(evaluated, expected) == pytest.approx(list(expected.values()), abs=CLOSE)
    assert evaluated.confusion_matrix().to_numpy().tolist() == (
        metrics.confusion_matrix(y_true, y_pred).tolist()
    )


@pytest.mark.parametrize(
    "give",
    [
        list,
        np.asarray,
        pd.Series,
        lambda y: pd.Series(y).astype("category"),
        lambda y: pd.Series(y).astype("Int64"),
        lambda y: np.asarray(y, dtype=np.float64),
        lambda y: np.asarray(y, dtype=object),
        lambda y: [str(label) for label in y],
        lambda y: pd.DataFrame({"y": np.asarray(y)}),
        lambda y: np.asarray(y)[:, None],
    ],
)
def test_labels_may_be_held_by_anything(cancer, give):
    """Lists, arrays, pandas of every kind: the same numbers."""
    y_true, y_pred, _ = cancer

    found = evaluate(give(y_true), give(y_pred))

    assert found.metrics["aggregate/accuracy"].value == metrics.accuracy_score(y_true, y_pred)
    assert found.evaluation.labels == ("0", "1")


class Tensor:
    """What a tensor on a graphics card does: numpy cannot read it before `cpu`."""

    def __init__(self, values, is_here=False):
        self.values, self.is_here = np.asarray(values), is_here

    def detach(self):
        """The same without what gradients need."""
        return self

    def cpu(self):
        """The same where numpy can read it."""
        return Tensor(self.values, is_here=True)

    def __array__(self, dtype=None, copy=None):
        assert self.is_here
        return self.values.astype(dtype)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return map(Tensor, self.values)

    @property
    def shape(self):
        """As arrays have it."""
        return self.values.shape


def test_tensors_are_read(cancer):
    """Labels, scores and boxes may be in tensors, wherever these are."""
    y_true, y_pred, y_score = cancer
    boxes = {"boxes": Tensor([[1, 2, 30, 40]]), "labels": Tensor([1])}

    evaluated = evaluate(Tensor(y_true), Tensor(y_pred), y_score=Tensor(y_score))
    found = evaluate([boxes], [{**boxes, "scores": Tensor([0.5])}])

    assert read(evaluated, ("accuracy", "log_loss")) == pytest.approx(
        [metrics.accuracy_score(y_true, y_pred), metrics.log_loss(y_true, y_score)], abs=CLOSE
    )
    assert read(found, ("ap",)) == [1.0]


def test_the_truth_is_no_prediction():
    """The very list of the truth as predictions is refused: all would be right."""
    y_true = ["a", "b"]

    with pytest.raises(UsageError, match="y_pred is y_true itself"):
        evaluate(y_true, y_true)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "further"),
    [
        ([[], []], [[], [("cat", 1, 2, 30, 40, 0.5)]], {}),
        ([np.zeros((0, 5)), np.array([[0, 1, 2, 30, 40.0]])], [[], []], {"labels": ["cat"]}),
        ([[], []], [[], []], {"boxes": "xyxy", "labels": ["cat"]}),
    ],
)
def test_images_may_have_no_boxes(y_true, y_pred, further):
    """Empty lists and arrays are images without boxes, also where all are."""
    evaluated = evaluate(y_true, y_pred, **further)

    assert evaluated.task == "detection"
    assert evaluated.test_images == 2
    assert evaluated.evaluation.labels == ("cat",)


def test_a_project_may_be_a_service_s():
    """A successor is a version of the project whose ARN is given."""
    arn = "arn:aws:rekognition:eu-west-1:111122223333:project/pets/1690474772815"

    evaluated = evaluate(["a", "b"], ["a", "b"], project=arn, version="next")

    assert evaluated.version_arn == f"{arn}/custom/next"


def test_one_probability_is_of_the_second_label(cancer):
    """Of two labels in scikit-learn's order one column of probabilities is enough."""
    y_true, y_pred, y_score = cancer
    expected = [metrics.roc_auc_score(y_true, y_score[:, 1]), metrics.log_loss(y_true, y_score)]

    evaluated = evaluate(y_true, y_pred, y_score=y_score[:, 1], labels=["bad", "good"])

    assert read(evaluated, ("roc_auc_macro", "log_loss")) == pytest.approx(expected, abs=CLOSE)
    assert evaluated.evaluation.labels == ("bad", "good")


def test_the_positive_label_has_its_own_numbers(cancer):
    """With `pos_label` F1 and AUC of that label are those of scikit-learn's binary average."""
    y_true, y_pred, y_score = cancer

    evaluated = evaluate(y_true, y_score=y_score, labels=["bad", "good"], pos_label="bad")

    assert read(evaluated, ("f1",)) == pytest.approx(
        [metrics.f1_score(y_true, y_pred, pos_label=0)], abs=CLOSE
    )
    assert evaluated.evaluation.pos_label == "bad"


def test_columns_of_a_frame_are_found_by_their_label(cancer):
    """Scores in another order of columns, named by the labels, give the same numbers."""
    y_true, _, y_score = cancer
    names = np.array(["bad", "good"])
    frame = pd.DataFrame({"score_good": y_score[:, 1], "score_bad": y_score[:, 0]})

    evaluated = evaluate(names[y_true], y_score=frame, labels=["bad", "good"])

    assert read(evaluated, ("log_loss",)) == pytest.approx(
        [metrics.log_loss(y_true, y_score)], abs=CLOSE
    )


def test_a_label_without_scores_is_said():
    """A model that does not know a label: its records are partial, and that is said."""
    frame = pd.DataFrame({"a": [0.9, 0.2, 0.6], "b": [0.1, 0.8, 0.4]})

    evaluated = evaluate(["a", "b", "c"], ["a", "b", "a"], y_score=frame, labels=["a", "b", "c"])

    assert evaluated.metrics["aggregate/accuracy"].value == pytest.approx(2 / 3)
    assert np.isnan(evaluated.metrics["aggregate/log_loss"].value)
    assert [said for said in evaluated.warnings if "no column for 1 of 3 labels: 'c'" in said]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "labels"),
    [
        ([0, 1, 2], [0, 2, 2], NAMES),
        (["cat", "dog", "owl"], [0, 2, 2], NAMES),
        ([7, 8, 9], [7, 9, 9], {7: "cat", 8: "dog", 9: "owl"}),
        (["7", "8", "9"], [7, 9, 9], [7, 8, 9]),
    ],
)
def test_numbers_stand_for_labels(y_true, y_pred, labels):
    """A number is a label's position, or its key in a dict."""
    evaluated = evaluate(y_true, y_pred, labels=labels)

    assert evaluated.metrics["aggregate/accuracy"].value == pytest.approx(2 / 3)
    assert evaluated.evaluation.labels == (NAMES if labels != [7, 8, 9] else ("7", "8", "9"))


@pytest.mark.parametrize(
    "give",
    [
        lambda matrix, _: matrix,
        lambda matrix, _: matrix.tolist(),
        lambda matrix, names: pd.DataFrame(matrix, columns=names),
        lambda matrix, _: matrix.astype(bool),
        lambda matrix, names: [{names[i] for i in np.flatnonzero(row)} for row in matrix],
        lambda matrix, names: [[names[i] for i in np.flatnonzero(row)] for row in matrix],
    ],
)
def test_several_labels_equal_scikit_learn(several, give):
    """A matrix of 0 and 1, a frame, sets and lists of labels give the same numbers."""
    y_true, y_pred, y_score = several
    names = ["a", "b", "c", "d", "e"]
    expected = {
        "subset_accuracy": metrics.accuracy_score(y_true, y_pred),
        "hamming_loss": metrics.hamming_loss(y_true, y_pred),
        "f1_macro": metrics.f1_score(y_true, y_pred, average="macro"),
        "f1_micro": metrics.f1_score(y_true, y_pred, average="micro"),
        "jaccard_samples": metrics.jaccard_score(
            y_true, y_pred, average="samples", zero_division=0
        ),
        "roc_auc_macro": metrics.roc_auc_score(y_true, y_score),
        "average_precision_micro": metrics.average_precision_score(
            y_true, y_score, average="micro"
        ),
    }

    evaluated = evaluate(give(y_true, names), give(y_pred, names), y_score=y_score, labels=names)

    assert read(evaluated, expected) == pytest.approx(list(expected.values()), abs=CLOSE)
    assert not [said for said in evaluated.warnings if "y_pred" in said]


def test_thresholds_decide_several_labels(several):
    """Each label is predicted from its own threshold on."""
    y_true, _, y_score = several
    thresholds = [0.2, 0.3, 0.4, 0.5, 0.6]
    expected = metrics.f1_score(y_true, y_score >= thresholds, average="macro")

    evaluated = evaluate(y_true, y_score=y_score, thresholds=thresholds)

    assert read(evaluated, ("f1_macro",)) == pytest.approx([expected], abs=CLOSE)


def test_crowds_and_areas_equal_pycocotools():
    """Dicts with `iscrowd` and `area`, boxes as COCO writes them: numbers by size, too."""
    truth, results = draw_coco(seed=5)
    images = [image["id"] for image in truth["images"]]
    y_true, y_pred = (
        [_collect(rows, i) for i in images] for rows in (truth["annotations"], results)
    )
    expected = run_coco_eval(truth, results)
    labels = {row["id"]: row["name"] for row in truth["categories"]}
    keys = [f"label_ap/{n}" if n in labels.values() else f"aggregate/{n}" for n in expected]

    evaluated = evaluate(y_true, y_pred, boxes="xywh", image_sizes=(130, 123), labels=labels)

    assert [evaluated.metrics[key].value for key in keys] == pytest.approx(
        list(expected.values()), abs=CLOSE, nan_ok=True
    )


def _collect(rows, image):
    """The boxes of an image as torchvision's dict, with the keys of COCO where there are any."""
    found = [row for row in rows if row["image_id"] == image]
    keys = {"boxes": "bbox", "labels": "category_id", "scores": "score"}
    keys |= {"iscrowd": "iscrowd", "area": "area"}
    known = {name for row in rows for name in row}
    return {name: [row[key] for row in found] for name, key in keys.items() if key in known}


@pytest.mark.parametrize("form", ["tuples", "dicts", "xywh", "pair"])
def test_boxes_equal_pycocotools(form):
    """Boxes in tuples, in torchvision's dicts and as COCO writes them have COCO's numbers."""
    truth, drawn = draw_random_scenes(seed=3)
    found = [
        [
            (code, (*np.minimum(box[:2], box[2:]), *np.maximum(box[:2], box[2:])), score)
            for code, box, score, *_ in image
        ]
        for image in drawn
    ]
    y_true = [[(code, *box) for code, box in image] for image in truth]
    y_pred = [[(code, *box, score) for code, box, score in image] for image in found]
    if form == "dicts":
        y_true, y_pred = (
            [
                {
                    "boxes": np.array([row[1:5] for row in image]).reshape(-1, 4),
                    "labels": np.array([row[0] for row in image], dtype=np.int64),
                }
                | ({"scores": np.array([row[5] for row in image])} if side is y_pred else {})
                for image in side
            ]
            for side in (y_true, y_pred)
        )
    elif form == "xywh":
        y_true, y_pred = (
            [[(c, x, y, r - x, b - y, *score) for c, x, y, r, b, *score in image] for image in side]
            for side in (y_true, y_pred)
        )
    boxes, further = "xywh" if form == "xywh" else None, {}
    if form == "pair":
        boxes = tuple([[row[1:5] for row in image] for image in side] for side in (y_true, y_pred))
        further = {"y_score": [[row[5] for row in image] for image in y_pred]}
        y_true, y_pred = (
            [[row[0] for row in image] for image in side] for side in (y_true, y_pred)
        )
    codes = {code for image in truth for code, _ in image}
    expected, _ = run_pycocotools(truth, found, max(codes) + 1)

    evaluated = evaluate(
        y_true,
        y_pred,
        boxes=boxes,
        **further,
        labels=[f"label {code}" for code in range(max(codes) + 1)],
    )

    assert evaluated.task == "detection"
    names = ("ap", "ap_50", "ap_75", "ar_100")
    assert read(evaluated, names) == pytest.approx([expected[name] for name in names], abs=CLOSE)


def test_without_scores_there_is_no_confidence(digits):
    """Predicted labels alone: what needs a confidence is undefined, with its reason."""
    y_true, y_pred, _ = digits

    evaluated = evaluate(y_true, y_pred)

    assert not evaluated.evaluation.is_scored
    assert np.isnan(evaluated.metrics["aggregate/log_loss"].value)
    assert evaluated.metrics["aggregate/log_loss"].reason


def test_predictions_against_their_scores_are_said():
    """Where `y_pred` is not what the scores say, the scores count, and it is counted."""
    y_score = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]

    evaluated = evaluate(["a", "b", "b"], ["a", "b", "b"], y_score=y_score)

    assert evaluated.metrics["aggregate/accuracy"].value == pytest.approx(2 / 3)
    assert [said for said in evaluated.warnings if said.startswith("of 1 of 3 images y_pred")]


def test_columns_of_another_order_are_suspected():
    """Where most predictions contradict their scores, the order of the columns is asked for."""
    y_score = [[0.1, 0.9], [0.8, 0.2], [0.7, 0.3]]

    evaluated = evaluate(["a", "b", "b"], ["a", "b", "b"], y_score=y_score)

    assert [said for said in evaluated.warnings if said.endswith("in the order of the labels?")]


def test_several_predictions_against_their_scores_are_said():
    """The same of several labels, at the thresholds."""
    y_true, y_score = [[1, 0], [1, 1]], [[0.9, 0.4], [0.8, 0.6]]

    evaluated = evaluate(y_true, [[1, 1], [1, 1]], y_score=y_score)
    agreeing = evaluate(y_true, [[1, 1], [1, 1]], y_score=y_score, thresholds=0.4)

    assert [said for said in evaluated.warnings if said.startswith("of 1 of 2 images y_pred")]
    assert not [said for said in agreeing.warnings if "y_pred" in said]


def test_a_missing_prediction_is_a_miss_where_that_is_said():
    """An image with None as its prediction is wrong, and counted as unanswered."""
    evaluated = evaluate(["a", "b", "a", "b"], ["a", None, "a", "b"], unmatched="miss")

    assert evaluated.metrics["aggregate/accuracy"].value == 3 / 4
    assert [doubt.kind for doubt in evaluated.doubts if doubt.count == 1] == ["unanswered"]


def test_another_model_is_another_version():
    """Without a name the version is named by the content: equal for equal predictions alone."""
    y_true = ["a", "b", "b"]
    first, same, other = (
        evaluate(y_true, y_pred) for y_pred in (["a", "b", "a"], ["a", "b", "a"], list(y_true))
    )

    assert first.version_arn == same.version_arn != other.version_arn
    assert first.version_arn.startswith("mlrek:project/python/custom/model-")
    assert first.test_set_digest == other.test_set_digest


def test_images_name_the_test_set():
    """Names of images are kept; without them they are counted, which is said."""
    named = evaluate(["a", "b"], ["a", "b"], images=["x.jpg", "y.jpg"])
    counted = evaluate(["a", "b"], ["a", "b"])

    assert named.evaluation.images == ("x.jpg", "y.jpg")
    assert counted.evaluation.images == ("0", "1")
    assert [said for said in counted.warnings if said.startswith("the images have no names")]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "further", "said"),
    [
        (["a", "b"], ["a"], {}, "y_true has 2 images, y_pred 1: they differ in length"),
        ([], [], {}, "y_true: is empty: there is not one image"),
        (3, 3, {}, "y_true: is 3, not a list, an array or a column"),
        ("ab", "ab", {}, "y_true: is 'ab', not a list, an array or a column"),
        ([1.0, nan], [1, 2], {}, "y_true: 1 of 2 images have no label; first: '1'; leave out"),
        ([1, 2], [nan, 1.0], {}, "y_pred: 1 of 2 images have no label; first: '0'; unmatched="),
        ([1, 2], [1.0, float("inf")], {}, "y_pred: holds infinite numbers"),
        ([0, 1], [0.3, 0.7], {}, "y_pred: holds 0.3, no label: are these scores? give them as"),
        ([0, 1], np.full((2, 2), 0.5), {}, "y_pred: holds numbers other than 0 and 1: are these"),
        (["a", 3], ["a", "b"], {}, "y_true: holds names and numbers, as 'a' and 3: give labels"),
        (["a", "b"], [0, 1], {}, "y_true and y_pred: one holds names, the other numbers: say"),
        ([b"a", b"b"], [b"a", b"b"], {}, "y_true: holds b'a'; labels are names or whole numbers"),
        (["a", "b"], [["a"], ["b"]], {}, "y_pred: holds ['a'] and the like, no labels"),
        ([["a"], ["b"]], ["a", "b"], {}, "y_pred: holds 'a' where the labels of an image belong"),
        (["a", "b"], ["a", "c"], {"labels": ["a", "b"]}, "y_pred: 1 of its labels are none of"),
        ([0, 1], [0, 7], {"labels": ["a", "b"]}, "y_pred: 1 of its labels are none of `labels`: 7"),
        ([0, 1], [0, 1], {"labels": ["a", "a"]}, "labels: 'a' stands twice"),
        ([0, 1], [0, 1], {"images": ["x", "x"]}, "images: 1 of 2 stand there a second time; first"),
        ([0, 1], [0, 1], {"images": ["x"]}, "y_true has 2 images, images 1: they differ in length"),
        ([0, 1], [0, 1], {"images": ["x", None]}, "images: an image has no name"),
        (np.eye(2), np.eye(3)[:2], {}, "y_true has 2 columns, y_pred 3: each is a label"),
        (np.eye(2) * 2, np.eye(2), {}, "y_true: holds numbers other than 0 and 1"),
        ([[("a", 9, 9, 5, 5)]], [[]], {}, "y_true: 1 of 1 boxes end before they begin, as [9.0"),
        ([[("a", 1, 1, nan, 5)]], [[]], {}, "y_true: 1 of 4 numbers are NaN or infinite"),
        ([[("a", 1, 1, 5, 5, 0.5)]], [[]], {}, "y_true: true boxes have no scores; is it y_pred?"),
        ([[("a", 1, 1, 5, 5)]], [[("a", 1, 1, 5, 5, 50)]], {}, "y_pred: scores: goes up to 50"),
        ([[("a", 1, 1, 5, 5)]], [[("a", 1, 1, 5)]], {}, "y_pred[0]: holds ('a', 1, 1, 5); a box"),
        ([[("a", 1, 1, 5, 5)]], ["a"], {}, "y_pred[0]: is 'a', not a list, an array or a column"),
        ([{"boxes": [[1, 2, 3]], "labels": [1]}], [[]], {}, "y_true: a box is four numbers, not"),
        ([{"boxes": [[1, 2, 3, 4]]}], [[]], {}, "y_true[0]: has no 'labels'"),
        (["a", "b"], ["a", "b"], {"pos_label": "c"}, "pos_label: 1 of its labels are none of"),
    ],
)
def test_what_is_wrong_with_labels_is_said_in_one_line(y_true, y_pred, further, said):
    """Each mistake is refused with the name of the argument and what to do."""
    with pytest.raises(EvaluationError) as raised:
        evaluate(y_true, y_pred, **further)

    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("y_score", "said"),
    [
        ([[95, 5], [10, 90]], "y_score: goes up to 95: confidences are fractions from 0 to 1; if"),
        ([[-3, 5], [1, 2]], "y_score: goes from -3 to 5: confidences are from 0 to 1; make"),
        ([[0.5, nan], [0.5, 0.5]], "y_score: 1 of 4 numbers are NaN or infinite; the first is at"),
        ([[0.5, None], [0.5, 0.5]], "y_score: 1 of 4 numbers are NaN or infinite; the first is"),
        ([[0.2, 0.3, 0.5]] * 2, "y_score: has the shape (2, 3), but there are 2 images and 2"),
        ([[0.5, 0.5], [1]], "y_score: not everything in it is a number"),
        ([["x", "y"], ["x", "y"]], "y_score: not everything in it is a number"),
        (pd.DataFrame({"a": [1, 0], "c": [0, 1]}), "y_true: 1 of its labels are none of `labels`"),
    ],
)
def test_what_is_wrong_with_scores_is_said_in_one_line(y_score, said):
    """Percent, logits, NaN, another shape and texts are refused, each with its reason."""
    with pytest.raises(EvaluationError) as raised:
        evaluate(["a", "b"], y_score=y_score)

    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"y_pred": None}, "give what the model said: y_pred (labels) or y_score (confidences)"),
        ({"task": "guess"}, "task: 'guess' is none of 'classification', 'multilabel', 'detection'"),
        ({"boxes": "corners"}, "boxes: 'corners' is none of 'xyxy', 'xywh', 'cxcywh'"),
        ({"boxes": [[1, 2, 3, 4]]}, "boxes: give what their numbers are (xyxy, xywh, cxcywh), or"),
        ({"match": "stem"}, "match: 'stem' is none of 'uri', 'name'"),
        ({"unmatched": "skip"}, "unmatched: 'skip' is none of 'error', 'drop', 'miss'"),
        ({"thresholds": 50}, "thresholds: 50 is no number from 0 to 1"),
        ({"thresholds": {"c": 0.5}}, "thresholds: no such labels: 'c'"),
        ({"thresholds": [0.5]}, "thresholds: 1 for 2 labels"),
    ],
)
def test_options_are_refused_by_name(further, said):
    """An option that is no option is wrong usage."""
    with pytest.raises(UsageError) as raised:
        evaluate(["a", "b"], **{"y_pred": ["a", "b"], **further})

    assert str(raised.value).startswith(said)


def test_rows_of_another_order_are_refused():
    """Two pandas columns with the same index in another order are not joined by position."""
    y_true = pd.Series(["a", "b"], index=["x", "y"])
    shuffled = pd.Series(["b", "a"], index=["y", "x"])

    with pytest.raises(EvaluationError, match="the rows of y_true and y_pred have another index"):
        evaluate(y_true, shuffled)

    assert evaluate(y_true, shuffled.loc[y_true.index]).test_images == 2
    assert evaluate(y_true, pd.Series(["a", "b"])).test_images == 2  # an index that only counts


def test_tables_are_joined_by_their_images(digits):
    """Frames that name their images are joined by them, whatever the order of their rows."""
    y_true, y_pred, y_score = digits
    images = [f"{i}.png" for i in y_true.index]
    truth = pd.DataFrame({"image": images, "label": y_true.to_numpy()})
    scores = {f"score_{digit}": y_score[:, digit] for digit in range(10)}
    found = pd.DataFrame({"image": images, **scores}).sample(frac=1, random_state=0)
    both = truth.rename(columns={"label": "truth"}).assign(predicted=y_pred)

    evaluated = evaluate(truth, found)
    together = evaluate(both)

    assert read(evaluated, ("accuracy", "log_loss")) == pytest.approx(
        [metrics.accuracy_score(y_true, y_pred), metrics.log_loss(y_true, y_score)], abs=CLOSE
    )
    assert read(together, ("accuracy",)) == [metrics.accuracy_score(y_true, y_pred)]
    assert not [said for said in evaluated.warnings if "have no names" in said]


def test_boxes_may_stand_in_tables():
    """A row for each box, with its image: the same numbers as of lists."""
    truth = pd.DataFrame(
        [("a", "cat", 0, 0, 10, 10), ("b", "dog", 5, 5, 20, 20)],
        columns=["image", "label", "x_min", "y_min", "x_max", "y_max"],
    )
    found = truth.iloc[[1, 0]].assign(confidence=[0.5, 0.9])

    evaluated = evaluate(truth, found)

    assert evaluated.task == "detection"
    assert read(evaluated, ("ap",)) == [1.0]


@pytest.mark.parametrize(
    ("y_pred", "further", "said"),
    [
        (["a"], {}, "y_true names its images in a column, y_pred does not: give both as"),
        (None, {}, "y_true: the table has no column of true labels, or y_pred is missing"),
        (None, {"y_score": [0.5]}, "y_score: y_true is a table that names its images; scores"),
    ],
)
def test_tables_come_in_pairs(y_pred, further, said):
    """One table of truth needs one of predictions, and nothing besides."""
    with pytest.raises(UsageError) as raised:
        evaluate(pd.DataFrame({"image": ["x"], "label": ["a"]}), y_pred, **further)

    assert str(raised.value).startswith(said)
