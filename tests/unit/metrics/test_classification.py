"""One label an image, as a whole."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import RecordsKind, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics

CONTRACT_NAMES = {
    "accuracy",
    "balanced_accuracy",
    "hamming_loss",
    "mcc",
    "cohen_kappa",
    "ece",
    "ece_debiased",
    "log_loss",
    "roc_auc_macro",
    "average_precision_macro",
} | {
    f"{score}_{average}"
    for score in ("precision", "recall", "f1", "jaccard")
    for average in ("micro", "macro", "weighted")
}

# A real model's answers: (true, predicted, pairs), recorded by the notebook of github.com/
# aws-samples/rekognition-custom-label-training-metrics (MIT-0) at commit 58ac254, with the numbers
# that it printed.
NOTEBOOK_LABELS = (
    "backyard",
    "bathroom",
    "bedroom",
    "living space",
    "closet",
    "entry way",
    "front yard",
    "kitchen",
    "patio",
)
NOTEBOOK_PAIRS = [
    ("backyard", "backyard", 2),
    ("bathroom", "bathroom", 7),
    ("bathroom", "bedroom", 1),
    ("bedroom", "bedroom", 6),
    ("bedroom", "living space", 1),
    ("closet", "closet", 2),
    ("entry way", "entry way", 2),
    ("front yard", "front yard", 3),
    ("kitchen", "kitchen", 4),
    ("living space", "living space", 7),
    ("patio", "patio", 2),
]
NOTEBOOK_NUMBERS = {
    "precision_micro": 0.9459459459459459,
    "precision_macro": 0.9702380952380953,
    "precision_weighted": 0.9493243243243243,
    "recall_micro": 0.9459459459459459,
    "recall_macro": 0.9702380952380953,
    "recall_weighted": 0.9459459459459459,
    "f1_micro": 0.9459459459459459,
    "f1_macro": 0.9693121693121695,
    "f1_weighted": 0.9459459459459459,
    "accuracy": 0.9459459459459459,
    "balanced_accuracy": 0.9702380952380953,
    "hamming_loss": 0.05405405405405406,
    "jaccard_micro": 0.8974358974358975,
    "jaccard_macro": 0.9444444444444444,
    "jaccard_weighted": 0.902027027027027,
    "mcc": 0.9373927958833619,
}
NOTEBOOK_REPORT = [  # rounded as printed, under the right names
    ("backyard", 1.0, 1.0, 1.0, 2),
    ("bathroom", 1.0, 0.88, 0.93, 8),
    ("bedroom", 0.86, 0.86, 0.86, 7),
    ("living space", 0.88, 1.0, 0.93, 7),
    ("closet", 1.0, 1.0, 1.0, 2),
    ("entry way", 1.0, 1.0, 1.0, 2),
    ("front yard", 1.0, 1.0, 1.0, 3),
    ("kitchen", 1.0, 1.0, 1.0, 4),
    ("patio", 1.0, 1.0, 1.0, 2),
]


@pytest.fixture
def notebook(build):
    """The recorded run: each misclassified pair shares its image with the pair before it."""
    codes = {label: i for i, label in enumerate(NOTEBOOK_LABELS)}
    truth, records = [], []
    for true, predicted, n in NOTEBOOK_PAIRS:
        for _ in range(n):
            record = (codes[predicted], 0.9)
            if true == predicted:
                truth.append([codes[true]])
                records.append([record])
            else:
                records[-1].append(record)
    return build(truth, records, labels=NOTEBOOK_LABELS)


@pytest.fixture
def unsure(build):
    """One right, one wrong, one missed and one without truth."""
    return build(
        [[0], [1], [2], []],
        [[(0, 0.9), (1, 0.05)], [(0, 0.7)], [], [(1, 0.8)]],
        thresholds=[0.5, 0.5, 0.5],
    )


def test_notebook_rule_reproduces_the_recorded_numbers(notebook):
    """To the last printed digit."""
    aggregate = compute_metrics(notebook, prediction_rule=PredictionRule.NOTEBOOK).aggregate

    assert {name: aggregate[name].value for name in NOTEBOOK_NUMBERS} == NOTEBOOK_NUMBERS


def test_notebook_rule_reproduces_the_recorded_matrix(notebook):
    """37 pairs of 35 images, rows true, columns predicted, in the order of the summary file."""
    confusion = compute_metrics(notebook, prediction_rule=PredictionRule.NOTEBOOK).confusion

    expected = np.diag([2, 7, 6, 7, 2, 2, 3, 4, 2])
    expected[1, 2] = expected[2, 3] = 1
    assert confusion.counts.tolist() == expected.tolist()
    assert confusion.rows == confusion.columns == NOTEBOOK_LABELS


def test_notebook_rule_gives_the_report_its_right_names(notebook):
    """The notebook printed these rows under the names of other labels."""
    scores = compute_metrics(notebook, prediction_rule=PredictionRule.NOTEBOOK).per_label

    columns = (scores.precision, scores.recall, scores.f1, scores.support)
    rows = zip(NOTEBOOK_LABELS, *(column.round(2).tolist() for column in columns), strict=True)
    assert list(rows) == NOTEBOOK_REPORT


def test_notebook_rule_has_no_interval_where_images_count_twice(notebook):
    """Pairs of one image are no independent draws."""
    number = compute_metrics(notebook, prediction_rule=PredictionRule.NOTEBOOK).aggregate["mcc"]

    assert isnan(number.low)
    assert "some images count several times" in number.reason


@st.composite
def _answers(draw):
    """True codes (-1: no truth) and scores of some images, three labels."""
    n = draw(st.integers(1, 25))
    truth = draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    seed = draw(st.integers(0, 2**32 - 1))
    scores = np.random.default_rng(seed).dirichlet([0.6, 0.6, 0.6], size=n)
    return np.array(truth), scores


@settings(max_examples=50)
@given(answers=_answers())
def test_complete_records_give_scikit_learns_numbers(build_scores, answers):
    """All that need scores, over the images with truth."""
    truth, scores = answers
    evaluation = build_scores([[code] if code >= 0 else [] for code in truth], scores)

    aggregate = compute_metrics(evaluation, intervals=False).aggregate

    known, scores = truth[truth >= 0], scores[truth >= 0]
    if not len(known):
        assert all(isnan(number.value) for number in aggregate.values())
        return
    present = np.unique(known)
    one_hot = np.eye(3)[known]
    assert aggregate["log_loss"].value == pytest.approx(
        sk.log_loss(known, scores, labels=range(3)), abs=1e-12
    )
    assert aggregate["average_precision_macro"].value == pytest.approx(
        sk.average_precision_score(one_hot[:, present], scores[:, present]), abs=1e-12
    )
    if len(present) > 1:
        aucs = [sk.roc_auc_score(one_hot[:, i], scores[:, i]) for i in present]
        assert aggregate["roc_auc_macro"].value == pytest.approx(np.mean(aucs), abs=1e-12)
    else:
        assert isnan(aggregate["roc_auc_macro"].value)
    assert aggregate["accuracy"].value == pytest.approx(
        sk.accuracy_score(known, scores.argmax(axis=1)), abs=1e-12
    )


@settings(max_examples=25)
@given(answers=_answers(), data=st.data())
def test_order_of_images_does_not_matter(build_scores, answers, data):
    """Neither for the numbers nor for their intervals."""
    truth, scores = answers
    order = data.draw(st.permutations(range(len(truth))))
    both = [
        compute_metrics(
            build_scores(
                [[truth[i]] if truth[i] >= 0 else [] for i in images],
                scores[images],
                images=[f"image {i}" for i in images],
                thresholds=[0.5, 0.4, 0.3],
            ),
        )
        for images in (list(range(len(truth))), order)
    ]

    for name in CONTRACT_NAMES:
        first, second = (metrics.aggregate[name] for metrics in both)
        assert (first.value, first.low, first.high) == pytest.approx(
            (second.value, second.low, second.high), abs=1e-12, nan_ok=True
        )
        assert first.reason == second.reason
    assert both[0].warnings == both[1].warnings
    assert np.array_equal(both[0].confusion.counts, both[1].confusion.counts)


def test_all_names_of_the_contract_are_there(unsure):
    """Also the undefined ones, with their reasons."""
    aggregate = compute_metrics(unsure).aggregate

    assert set(aggregate) == CONTRACT_NAMES
    assert {name for name, number in aggregate.items() if isnan(number.value)} == {
        "log_loss",
        "roc_auc_macro",
        "average_precision_macro",
    }
    assert aggregate["log_loss"].reason == (
        "needs the confidence of every label on every image; records are partial"
    )


def test_no_prediction_counts_as_a_miss(unsure):
    """Of three images with truth one is right; two have a prediction."""
    aggregate = compute_metrics(unsure).aggregate

    assert aggregate["accuracy"].value == pytest.approx(1 / 3)
    assert aggregate["recall_micro"].value == pytest.approx(1 / 3)
    assert aggregate["precision_micro"].value == pytest.approx(1 / 2)
    assert aggregate["f1_macro"].value == pytest.approx((2 / 3) / 3)


def test_no_prediction_is_a_column_of_the_matrix(unsure):
    """And no row; the image without truth is not in it."""
    confusion = compute_metrics(unsure).confusion

    assert confusion.counts.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert confusion.rows == ("a", "b", "c")
    assert confusion.columns == ("a", "b", "c", "(none)")


def test_warnings_say_what_was_left_out_and_what_counts_as_zero(unsure):
    """The image without truth, and the labels whose precision is 0 / 0."""
    never = "for labels never predicted: 'b', 'c'"
    assert compute_metrics(unsure).warnings == (
        "1 of 4 test images have no true label and are left out",
        f"precision counts as 0 in the averages {never}",
        f"precision counts as 0 in the averages at the assumed thresholds {never}",
    )


def test_label_scores_are_undefined_where_nothing_is_divided(unsure):
    """Label b is never predicted: no precision, recall 0, F1 0."""
    scores = compute_metrics(unsure).per_label

    assert scores.precision.tolist() == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    assert scores.recall.tolist() == [1, 0, 0]
    assert scores.f1.tolist() == pytest.approx([2 / 3, 0, 0])
    assert (scores.tp.tolist(), scores.fp.tolist(), scores.fn.tolist()) == (
        [1, 0, 0],
        [1, 0, 0],
        [0, 1, 1],
    )


def test_label_scores_have_wilson_intervals(unsure):
    """Of the images predicted, and of those where the label is true."""
    scores = compute_metrics(unsure).per_label

    assert (scores.precision_low[0], scores.precision_high[0]) == pytest.approx(
        proportion_confint(1, 2, method="wilson")
    )
    assert (scores.recall_low[0], scores.recall_high[0]) == pytest.approx(
        proportion_confint(1, 1, method="wilson")
    )
    assert isnan(scores.precision_low[1])


def test_plain_shares_have_wilson_intervals(unsure):
    """Shares of the three images with truth, or of the two with a prediction."""
    aggregate = compute_metrics(unsure).aggregate

    for name, successes, n in (
        ("accuracy", 1, 3),
        ("recall_micro", 1, 3),
        ("recall_weighted", 1, 3),
        ("hamming_loss", 2, 3),
        ("precision_micro", 1, 2),
    ):
        expected = proportion_confint(successes, n, method="wilson")
        assert (aggregate[name].low, aggregate[name].high) == pytest.approx(expected)


def test_other_numbers_have_bootstrap_intervals(build):
    """The interval of macro F1 is the bootstrap's of scikit-learn, but for the draws.

    400 images in 4 kinds of pairs; both ways draw 1,000 times.
    """
    kinds = [(0, 0, 250), (0, 1, 30), (1, 1, 100), (1, 0, 20)]
    y_true, y_pred = np.array([(t, p) for t, p, n in kinds for _ in range(n)]).T
    number = compute_metrics(
        build([[t] for t in y_true], [[(p, 0.9)] for p in y_pred], n_labels=2)
    ).aggregate["f1_macro"]

    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(1000):
        images = rng.integers(400, size=400)
        drawn.append(sk.f1_score(y_true[images], y_pred[images], average="macro"))
    assert (number.low, number.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)


def test_two_images_tell_no_macro_average(build):
    """Wilson's still speaks of shares; one image a label is too few for a mean over labels."""
    aggregate = compute_metrics(build([[0], [1]], [[(0, 0.9)], [(1, 0.9)]])).aggregate

    assert aggregate["accuracy"].low == pytest.approx(proportion_confint(2, 2, method="wilson")[0])
    assert isnan(aggregate["f1_macro"].low)
    assert "the rarest labels have too few images" in aggregate["f1_macro"].reason


def test_scores_that_are_no_shares_have_no_log_loss(build_scores):
    """The reason counts the images."""
    evaluation = build_scores([[0], [1]], [[0.9, 0.4, 0.2], [0.2, 0.7, 0.1]])

    number = compute_metrics(evaluation).aggregate["log_loss"]

    assert isnan(number.value)
    assert number.reason == "the confidences of 1 of 2 images do not sum to 1 within 0.001"


def test_calibration_is_of_images_with_a_prediction(unsure):
    """0.9 right and 0.7 wrong, in bins of their own: (0.1 + 0.7) / 2."""
    assert compute_metrics(unsure).aggregate["ece"].value == pytest.approx(0.4)


def test_threshold_rule_uses_thresholds(build):
    """Below its threshold the top label is no prediction."""
    evaluation = build([[0], [0]], [[(0, 0.9)], [(0, 0.4)]], thresholds=[0.5, 0.5, 0.5])

    metrics = compute_metrics(evaluation, prediction_rule=PredictionRule.THRESHOLD)

    assert metrics.prediction_rule == "threshold"
    assert metrics.aggregate["accuracy"].value == 0.5
    assert metrics.predictions.outcome == ("correct", "missed")


def test_one_label(build):
    """Everything is that label: accuracy is defined, what compares classes is not."""
    aggregate = compute_metrics(build([[0], [0]], [[(0, 0.9)], [(0, 0.2)]], n_labels=1)).aggregate

    assert aggregate["accuracy"].value == 1
    assert aggregate["average_precision_macro"].value == 1
    assert {name for name, number in aggregate.items() if isnan(number.value)} == {
        "mcc",
        "cohen_kappa",
        "roc_auc_macro",
        "log_loss",
    }


@pytest.mark.parametrize("records", [[[], []], [[(0, 0.2, "FN")], [(1, 0.1, "FN")]]])
def test_no_prediction_at_all(build, records):
    """Everything is missed: precision counts as 0 and has no interval, calibration is undefined."""
    aggregate = compute_metrics(build([[0], [1]], records)).aggregate

    assert (aggregate["accuracy"].value, aggregate["precision_micro"].value) == (0, 0)
    assert isnan(aggregate["precision_micro"].low)
    assert aggregate["ece"].reason == "no image has a prediction"


def test_no_image_with_truth_leaves_all_undefined(build):
    """Each number says why; the images stand in the predictions."""
    metrics = compute_metrics(build([[], []], [[(0, 0.9)], []]))

    assert {number.reason for number in metrics.aggregate.values()} == {
        "no test image has a true label"
    }
    assert metrics.predictions.outcome == ("no truth", "no truth")
    assert not metrics.confusion.counts.any()


def test_complete_records_without_truth_are_undefined_too(build_scores):
    """Nothing to rank."""
    aggregate = compute_metrics(build_scores([[]], [[0.2, 0.8]])).aggregate

    assert all(isnan(number.value) for number in aggregate.values())


def test_evaluation_without_images_has_reported_numbers_only(build):
    """Nothing is computed, and that is said."""
    metrics = compute_metrics(build([], []))

    assert (metrics.task, metrics.records, metrics.test_images) == (
        Task.CLASSIFICATION,
        None,
        None,
    )
    assert (metrics.aggregate, metrics.per_label, metrics.predictions) == ({}, None, None)
    assert len(metrics.warnings) == 1


def test_facts_of_the_run(unsure):
    """What the params of a run say."""
    metrics = compute_metrics(unsure)

    assert (metrics.prediction_rule, metrics.records, metrics.test_images, metrics.labels) == (
        "top1",
        RecordsKind.PARTIAL,
        4,
        ("a", "b", "c"),
    )


def test_a_real_label_named_none_stays_apart(build):
    """The provider's `(none)` is a label; ours stands after all labels."""
    confusion = compute_metrics(
        build([[0], [1]], [[(0, 0.9)], []], labels=("(none)", "b"))
    ).confusion

    assert confusion.columns == ("(none)", "b", "(none)")
    assert confusion.counts.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_250_labels_of_which_most_never_occur(build):
    """Averages are over the two that do."""
    metrics = compute_metrics(
        build(
            [[3], [200]],
            [[(3, 0.9)], [(3, 0.8)]],
            labels=[f"label {i}" for i in range(250)],
        )
    )

    assert metrics.aggregate["recall_macro"].value == 0.5
    assert metrics.confusion.counts.shape == (250, 250)


def test_without_intervals_wilson_speaks_alone(unsure):
    """Asked for none, there are none."""
    aggregate = compute_metrics(unsure, intervals=False).aggregate

    assert aggregate["mcc"].reason == "no interval: none was asked for"
    assert not isnan(aggregate["accuracy"].low)
