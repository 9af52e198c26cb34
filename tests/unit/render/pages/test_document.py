"""What the script of a page works on, against numbers worked out by hand."""

import numpy as np
from sklearn.metrics import confusion_matrix

from mlrek.evaluation import Task


def _decode_falling(text):
    """The counts again, as the page's script reads them."""
    first, *steps = (int(step, 36) if step else 0 for step in text.split(","))
    return [first - sum(steps[:i]) for i in range(len(steps) + 1)]


def test_counts_are_written_by_how_much_they_fall(evaluate, page_of, data_of):
    """In base 36; where nothing changes, nothing stands."""
    confidences = [0.01] * 36 + [0.02] + [0.03] * 63
    evaluation = evaluate([[0]] * 100, [[(0, c)] for c in confidences], ("cat", "dog"))
    text, nothing = data_of(page_of(evaluation))["curves"]["tp"]

    assert text == "2s,,10,1,1r" + "," * 96
    assert _decode_falling(text) == [100, 100, 64, 63, *[0] * 97]
    assert _decode_falling(nothing) == [0] * 101


def test_rising_numbers_are_written_as_distances(evaluate, page_of, data_of):
    """The first from 0."""
    truth = [[], [], [], [0, 1], [], [], [], [1]]
    records = [[(code, 0.5) for code in codes] for codes in truth]
    evaluation = evaluate(truth, records, ("a", "b"), task=Task.MULTILABEL)

    assert data_of(page_of(evaluation))["records"]["image"] == [3, 0, 4]


def test_a_confidence_reaches_the_threshold_that_it_equals(evaluate, page_of, data_of):
    """Its whole number of thousandths of a percent is never below, as in `confidence >= t`."""
    at = [step / 100 for step in range(101)]
    below = [float(np.nextafter(threshold, -1)) for threshold in at[1:]]
    records = [[(0, confidence)] for confidence in (*at, *below)]
    rows = data_of(page_of(evaluate([[0]] * 201, records, ("cat",))))["rows"]

    assert [part // 1000 for part in rows["confidence"]] == [*range(101), *range(100)]


def test_no_confidence_is_told_from_none(evaluate, page_of, data_of):
    """-1 stands where there is no confidence, 0 where it is zero."""
    evaluation = evaluate([[0]] * 3, [[], [(0, 0.0)], [(0, 1.0)]], ("cat",))

    assert data_of(page_of(evaluation))["rows"]["confidence"] == [-1, 0, 100_000]


def test_curves_hold_the_counts_at_each_threshold(pets, page_of, data_of):
    """At 50 % cat is right once and wrong once; dog is right twice. At 60 % one dog is missed."""
    curves = data_of(page_of(pets))["curves"]
    tp, fp = ([_decode_falling(text) for text in curves[name]] for name in ("tp", "fp"))

    assert curves["support"] == [1, 3]
    assert [(tp[0][s], fp[0][s], tp[1][s], fp[1][s]) for s in (0, 50, 60, 100)] == [
        (1, 3, 3, 1),
        (1, 1, 2, 0),
        (1, 1, 1, 0),
        (0, 0, 0, 0),
    ]


def test_the_matrix_is_that_of_scikit_learn(pets, page_of, data_of):
    """Rows true, columns predicted; cells as pairs of column and count."""
    matrix = data_of(page_of(pets))["matrix"]
    expected = confusion_matrix([0, 1, 1, 1], [0, 1, 0, 1])

    cells = np.zeros((2, 2), dtype=int)
    for row, flat in enumerate(matrix["cells"]):
        cells[row, flat[::2]] = flat[1::2]
    assert cells.tolist() == expected.tolist()
    assert matrix["row_sums"] == [1, 3]


def test_rows_tell_what_is_true_and_predicted_on_each_image(pets, page_of, data_of):
    """One row an image, and the sure mistake is suspect: 0.7 for a label usually right at 0.9."""
    rows = data_of(page_of(pets))["rows"]

    assert rows["truth"] == [0, 1, 1, 1]
    assert rows["predicted"] == [0, 1, 0, 1]
    assert rows["confidence"] == [90_000, 80_000, 70_000, 55_000]
    assert rows["suspects"] == []


def test_a_mistake_as_sure_as_what_is_right_is_suspect(evaluate, page_of, data_of):
    """Two cats are right with 0.8 on average; a dog is called a cat with 0.85, another with 0.6."""
    evaluation = evaluate(
        [[0], [0], [1], [1], [1]],
        [[(0, 0.9)], [(0, 0.7)], [(0, 0.6)], [(0, 0.85)], [(1, 0.5)]],
        ("cat", "dog"),
    )

    assert data_of(page_of(evaluation))["rows"]["suspects"] == [3]


def test_records_tell_truth_and_confidence(evaluate, page_of, data_of):
    """A true label without a record is there without a confidence."""
    evaluation = evaluate(
        [[0, 1], [1]], [[(0, 0.5)], [(0, 0.25), (1, 0.75)]], ("a", "b"), task=Task.MULTILABEL
    )
    records = data_of(page_of(evaluation))["records"]

    assert np.cumsum(records["image"]).tolist() == [0, 0, 1, 1]
    assert records["label"] == [0, 1, 0, 1]
    assert records["code"] == [100_001, -1, 50_000, 150_001]


def test_labels_confused_with_each_other_stand_together(evaluate, page_of, data_of):
    """Labels a and c are taken for each other, and so are b and d."""
    wrong = {0: 2, 2: 0, 1: 3, 3: 1}
    truth = [[code] for code in range(4) for _ in range(4)]
    records = [
        [(wrong[codes[0]] if i % 4 == 0 else codes[0], 0.9)] for i, codes in enumerate(truth)
    ]
    order = data_of(page_of(evaluate(truth, records, "abcd")))["matrix"]["by_cluster"]

    places = {code: place for place, code in enumerate(order)}
    assert abs(places[0] - places[2]) == 1
    assert abs(places[1] - places[3]) == 1
