"""Tables of a model of scikit-learn -> its numbers, equal to those of scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
from builders.answers import VERSION
from builders.detections import draw_random_scenes, run_pycocotools
from sklearn import metrics as sk
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from mlrek.evaluation import RecordsKind, Task
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.forms import read_answers, read_truth
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.metrics import NO_CONFIDENCES
from mlrek.metrics.compute import compute_metrics

RTOL = 1e-9


def join_tables(truth, predictions, options=None):
    """The evaluation of two tables as CSV, the predictions in reverse order."""
    files = [
        Files(uri="t.csv", names=(ITSELF,), read=lambda _, frame=frame: [_write(frame)])
        for frame in (truth, predictions.iloc[::-1])
    ]
    return join_answers(
        VERSION, read_truth(files[0]), read_answers(files[1]), options or JoinOptions()
    )


def _write(frame):
    return frame.to_csv(index=False).encode()


@pytest.fixture(scope="module")
def digits():
    """The names of images, their digits as words, and a model's probabilities of 400 of them."""
    x, y = load_digits(return_X_y=True)
    words = np.array(
        ["nil", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    )
    with warnings.catch_warnings(action="ignore"):
        model = LogisticRegression(max_iter=15).fit(x[400:700], words[y[400:700]])
    images = np.array([f"s3://digits/{i:04}.png" for i in range(400)])
    scores = model.predict_proba(x[:400])
    return images, words[y[:400]], model.classes_, scores


@pytest.fixture(scope="module")
def several():
    """Images with several labels, and a model's probability of each."""
    x, y = make_multilabel_classification(600, n_classes=5, n_labels=2, random_state=3)
    labels = np.array(["red", "green", "blue", "round", "square"])
    model = OneVsRestClassifier(LogisticRegression()).fit(x[300:], y[300:])
    images = np.array([f"{i}.jpg" for i in range(300)])
    return images, y[:300].astype(bool), labels, model.predict_proba(x[:300])


def expect_decided(y_true, y_pred):
    """What scikit-learn makes of predicted labels."""
    return {
        "accuracy": sk.accuracy_score(y_true, y_pred),
        "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
        "mcc": sk.matthews_corrcoef(y_true, y_pred),
        "cohen_kappa": sk.cohen_kappa_score(y_true, y_pred),
        **{
            f"{name}_{average}": score(y_true, y_pred, average=average)
            for name, score in (
                ("precision", sk.precision_score),
                ("recall", sk.recall_score),
                ("f1", sk.f1_score),
                ("jaccard", sk.jaccard_score),
            )
            for average in ("micro", "macro", "weighted")
        },
    }


def check(numbers, expected):
    """Each expected number is there."""
    found = {name: numbers[name].value for name in expected}
    assert found == pytest.approx(expected, rel=RTOL, abs=RTOL, nan_ok=True)


def test_a_wide_table_of_probabilities_gives_the_numbers_of_scikit_learn(digits):
    """Predicted labels, areas, log loss; records are complete."""
    images, y_true, labels, scores = digits
    wide = pd.DataFrame(scores, columns=[f"score_{label}" for label in labels])
    wide.insert(0, "image", images)

    joined = join_tables(pd.DataFrame({"image": images, "label": y_true}), wide)

    assert (joined.task, joined.records_kind) == (Task.CLASSIFICATION, RecordsKind.COMPLETE)
    assert joined.doubts == ()
    numbers = compute_metrics(joined, intervals=False).aggregate
    check(numbers, expect_decided(y_true, labels[scores.argmax(axis=1)]))
    check(
        numbers,
        {
            "log_loss": sk.log_loss(y_true, scores, labels=labels),
            "roc_auc_macro": sk.roc_auc_score(y_true, scores, multi_class="ovr", labels=labels),
            "average_precision_macro": sk.average_precision_score(
                y_true[:, None] == labels, scores, average="macro"
            ),
        },
    )


def test_a_long_table_of_top_labels_gives_what_needs_these_alone(digits):
    """Records are those of the top label; areas are undefined."""
    images, y_true, labels, scores = digits
    y_pred, sure = labels[scores.argmax(axis=1)], scores.max(axis=1)
    long = pd.DataFrame({"filename": images, "class": y_pred, "probability": sure})

    joined = join_tables(pd.DataFrame({"path": images, "category": y_true}), long)

    assert (joined.task, joined.records_kind) == (Task.CLASSIFICATION, RecordsKind.TOP1)
    numbers = compute_metrics(joined, intervals=False).aggregate
    check(numbers, expect_decided(y_true, y_pred))
    assert numbers["ece"].is_defined
    assert not numbers["roc_auc_macro"].is_defined


def test_predicted_labels_alone_give_what_needs_no_confidences(digits):
    """All else is left out with that reason."""
    images, y_true, labels, scores = digits
    y_pred = labels[scores.argmax(axis=1)]

    joined = join_tables(
        pd.DataFrame({"image": images, "label": y_true}),
        pd.DataFrame({"image": images, "label": y_pred}),
    )

    assert not joined.is_scored
    numbers = compute_metrics(joined, intervals=False).aggregate
    check(numbers, expect_decided(y_true, y_pred))
    assert {numbers[name].reason for name in ("ece", "log_loss", "roc_auc_macro")} == {
        NO_CONFIDENCES
    }


@pytest.mark.parametrize("scored", [True, False])
def test_several_labels_an_image_give_the_numbers_of_scikit_learn(several, scored):
    """From a wide table of probabilities, and from a row for each predicted label."""
    images, is_true, labels, scores = several
    is_predicted = scores >= 0.5
    truth = pd.DataFrame(
        [(images[i], labels[j]) for i, j in zip(*np.nonzero(is_true), strict=True)],
        columns=["image", "label"],
    )
    known = is_true.any(axis=1) & is_predicted.any(axis=1)
    truth = truth[truth.image.isin(images[known])]
    if scored:
        found = pd.DataFrame(scores[known], columns=[f"score_{label}" for label in labels])
        found.insert(0, "image", images[known])
    else:
        rows = zip(*np.nonzero(is_predicted & known[:, None]), strict=True)
        found = pd.DataFrame([(images[i], labels[j]) for i, j in rows], columns=["image", "label"])

    joined = join_tables(truth, found)

    assert joined.task is Task.MULTILABEL
    numbers = compute_metrics(joined, intervals=False).aggregate
    y_true, y_pred = is_true[known], is_predicted[known]
    check(
        numbers,
        {
            "subset_accuracy": sk.accuracy_score(y_true, y_pred),
            "hamming_loss": sk.hamming_loss(y_true, y_pred),
            **{
                f"f1_{average}": sk.f1_score(y_true, y_pred, average=average)
                for average in ("micro", "macro", "weighted", "samples")
            },
        },
    )
    if scored:
        check(
            numbers,
            {
                f"average_precision_{average}": sk.average_precision_score(
                    y_true, scores[known], average=average
                )
                for average in ("macro", "micro")
            },
        )


def test_the_task_that_is_asked_for_counts_where_the_data_leave_it_open(digits):
    """One true label an image, confidences of any sum: one label, unless somebody says several."""
    images, y_true, labels, scores = digits
    wide = pd.DataFrame(np.minimum(2 * scores, 1), columns=[f"score_{label}" for label in labels])
    wide.insert(0, "image", images)
    truth = pd.DataFrame({"image": images, "label": y_true})

    one = join_tables(truth, wide)
    several = join_tables(truth, wide, JoinOptions(task=Task.MULTILABEL))

    assert (one.task, several.task) == (Task.CLASSIFICATION, Task.MULTILABEL)
    assert any("--task multilabel says otherwise" in said for said in one.warnings)


@pytest.mark.parametrize("as_shares", [False, True])
def test_tables_of_boxes_give_the_numbers_of_pycocotools(as_shares):
    """Corners in pixels, and predictions as shares of images whose size the truth tells."""
    truth, records = (
        [[row for row in image if row[1][0] < row[1][2] and row[1][1] < row[1][3]] for image in one]
        for one in draw_random_scenes(3, n_images=20, n_true=120, n_found=240)
    )
    sure = iter(np.random.default_rng(4).permutation(240) / 240)  # equal ones go by names of images
    records = [[(code, box, float(next(sure))) for code, box, _ in image] for image in records]
    expected, per_label = run_pycocotools(truth, records, n_labels=3)
    size = 512
    true = [
        {"image": f"{i}.png", "label": "abc"[code], "width": size, "height": size} | _name(box)
        for i, image in enumerate(truth)
        for code, box in image
    ]
    scale = 1 / size if as_shares else 1
    found = [
        {"image": f"{i}.png", "label": "abc"[code], "score": score}
        | _name(edge * scale for edge in box)
        for i, image in enumerate(records)
        for code, box, score in image
    ]

    joined = join_tables(pd.DataFrame(true), pd.DataFrame(found).sort_index(ascending=False))

    assert joined.task is Task.DETECTION
    metrics = compute_metrics(joined, intervals=False)
    check(metrics.aggregate, expected)
    assert metrics.per_label.ap == pytest.approx(per_label, abs=RTOL)


def _name(box):
    return dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True))
