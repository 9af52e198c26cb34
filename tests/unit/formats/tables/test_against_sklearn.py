"""Numbers of published data, read from tables, are scikit-learn's."""

import io

import numpy as np
import pandas as pd
import pytest
from builders.tables import make_files
from sklearn import datasets, metrics
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB

from mlrek.evaluation import Project, Provider, Task, Version
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.tables import read_table_answers, read_table_truth
from mlrek.metrics.compute import compute_metrics

ARN = "mlrek:project/published"
VERSION = Version(
    project=Project(provider=Provider.CUSTOM, arn=ARN, name="published"),
    arn=f"{ARN}/custom/v1",
    name="v1",
)


def write_csv(frame):
    """As `DataFrame.to_csv` writes it, with its index."""
    return frame.to_csv()


def write_parquet(frame):
    """As `DataFrame.to_parquet` writes it."""
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


def write_lines(frame):
    """As `DataFrame.to_json` writes lines, with all digits."""
    return frame.to_json(orient="records", lines=True, double_precision=15)


def write_array(frame):
    """As `DataFrame.to_json` writes one array."""
    return frame.to_json(orient="records", double_precision=15)


WRITERS = [write_csv, write_parquet, write_lines, write_array]


@pytest.fixture(scope="module", params=["iris", "wine", "digits"])
def model(request):
    """The test images of published data with truth and probabilities (n, n_labels).

    These have 12 decimals, as JSON of pandas cuts them at 15.
    """
    data = getattr(datasets, f"load_{request.param}")()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.target))
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    fitted = GaussianNB(var_smoothing=1e-3).fit(data.data[train], data.target[train])
    images = np.array([f"s3://bucket/{request.param}/{i}.png" for i in test])
    scores = fitted.predict_proba(data.data[test])
    return images, data.target[test], np.round(0.9 * scores + 0.1 / scores.shape[1], 12)


def compute(predictions, truth):
    """The numbers of predictions and truth."""
    answers = read_table_answers(make_files(predictions))
    true = read_table_truth(make_files(truth)) if truth is not None else answers.truth
    evaluation = join_answers(VERSION, true, answers, JoinOptions())
    return compute_metrics(evaluation, intervals=False).aggregate


def expect(y_true, scores):
    """What scikit-learn makes of them."""
    y_pred, n_labels = scores.argmax(axis=1), scores.shape[1]
    one_hot = np.eye(n_labels)[y_true]
    return {
        "accuracy": metrics.accuracy_score(y_true, y_pred),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_true, y_pred),
        "f1_macro": metrics.f1_score(y_true, y_pred, average="macro"),
        "precision_weighted": metrics.precision_score(y_true, y_pred, average="weighted"),
        "mcc": metrics.matthews_corrcoef(y_true, y_pred),
        "cohen_kappa": metrics.cohen_kappa_score(y_true, y_pred),
        "log_loss": metrics.log_loss(y_true, scores),
        "roc_auc_macro": metrics.roc_auc_score(one_hot, scores, average="macro"),
        "average_precision_macro": metrics.average_precision_score(
            one_hot, scores, average="macro"
        ),
    }


@pytest.mark.parametrize("write", WRITERS)
def test_long_tables_give_scikit_learns_numbers(model, write):
    """A row for each image and label, shuffled, with a table of truth apart."""
    images, y_true, scores = model
    n_labels = scores.shape[1]
    long = pd.DataFrame(
        {
            "filename": np.repeat(images, n_labels),
            "category": np.tile(np.arange(n_labels), len(images)),
            "prob": scores.ravel(),
        }
    ).sample(frac=1, random_state=1)
    truth = pd.DataFrame({"image": images, "label": y_true.astype(float)}).iloc[::-1]

    found = compute(write(long.reset_index(drop=True)), write(truth.reset_index(drop=True)))

    expected = expect(y_true, scores)
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("scale", [1, 100], ids=["fractions", "percent"])
def test_wide_tables_give_scikit_learns_numbers(model, write, scale):
    """A row for each image, with its truth and a column of scores for each label."""
    images, y_true, scores = model
    wide = pd.DataFrame(scores * scale, columns=[f"score_{i}" for i in range(scores.shape[1])])
    wide.insert(1, "truth", y_true)
    wide["image"] = images

    found = compute(write(wide), None)

    expected = expect(y_true, scores)
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-9)


def test_several_labels_give_scikit_learns_numbers():
    """Lists of true labels and a long table of scores, of several labels an image."""
    x, y_true = datasets.make_multilabel_classification(300, n_classes=5, random_state=0)
    fitted = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(x[:150], y_true[:150])
    scores, y_true = fitted.predict_proba(x[150:]), y_true[150:]
    images = [f"{i}.jpg" for i in range(150)]
    labels = np.array(list("abcde"))
    truth = pd.DataFrame({"image": images, "labels": [labels[row == 1].tolist() for row in y_true]})
    long = pd.DataFrame(
        {"image": np.repeat(images, 5), "label": np.tile(labels, 150), "score": scores.ravel()}
    )

    found = compute(write_csv(long), write_parquet(truth))

    y_pred = scores >= 0.5
    expected = {
        "f1_macro": metrics.f1_score(y_true, y_pred, average="macro", zero_division=0),
        "f1_samples": metrics.f1_score(y_true, y_pred, average="samples", zero_division=0),
        "subset_accuracy": metrics.accuracy_score(y_true, y_pred),
        "hamming_loss": metrics.hamming_loss(y_true, y_pred),
        "roc_auc_macro": metrics.roc_auc_score(y_true, scores, average="macro"),
        "average_precision_micro": metrics.average_precision_score(y_true, scores, average="micro"),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-9)
    assert read_table_truth(make_files(write_parquet(truth))).task == Task.MULTILABEL
