"""Reported numbers next to computed ones."""

from math import isnan

import pytest

from mlrek.evaluation import DoubtKind, Effect, Provider, Reported
from mlrek.metrics.compute import compute_metrics

NAN = float("nan")

# Real output of the service, from the Amazon Rekognition Custom Labels developer guide.
CAP_WATCH = Reported(
    aggregate={
        "f1": 0.9726959470546408,
        "precision": 0.9719115848331294,
        "recall": 0.9735042735042735,
    },
    per_label={
        "CAP": {
            "f1": 0.9794344473007711,
            "precision": 0.9819587628865979,
            "recall": 0.9769230769230769,
            "threshold": 0.9879502058029175,
            "test_images": 390.0,
        },
        "WATCH": {
            "f1": 0.9659574468085106,
            "precision": 0.961864406779661,
            "recall": 0.9700854700854701,
            "threshold": 0.014450683258473873,
            "test_images": 234.0,
        },
    },
    confusion=(
        ("CAP", "CAP", 0.9948717948717949),
        ("CAP", "WATCH", 0.008547008547008548),
        ("WATCH", "CAP", 0.1794871794871795),
        ("WATCH", "WATCH", 0.7008547008547008),
    ),
    test_images=624,
    train_images=5216,
)


@pytest.fixture
def cap_watch(build):
    """Images as the real numbers imply them, one confidence each at, above and below thresholds.

    Top labels: [[388, 2], [70, 164]]. At the thresholds 381 of 388 predictions of CAP are right and
    227 of 236 of WATCH: 7 images of WATCH reach CAP's threshold, 9 images of CAP that of WATCH.
    """
    high, low = 0.9879502058029175, 0.014450683258473873
    cap, watch = 0, 1
    groups = [
        (381 - 7, cap, (high, 0.001)),
        (7, cap, (high, low)),
        (7, cap, (0.9, 0.001)),
        (2, cap, (0.4, 0.5)),
        (7, watch, (high, low)),
        (63 - 7, watch, (0.9, low)),
        (7, watch, (0.9, 0.001)),
        (164, watch, (0.2, low + 0.5)),
    ]
    truth = [[true] for n, true, _ in groups for _ in range(n)]
    records = [list(enumerate(scores)) for n, _, scores in groups for _ in range(n)]
    return build(
        truth, records, labels=("CAP", "WATCH"), thresholds=[high, low], reported=CAP_WATCH
    )


def _by_name(metrics):
    return {(number.name, number.rule): number for number in metrics.reconciliation}


def test_real_aggregates_are_means_of_real_label_values(build):
    """Without any image: F1 is the mean of the F1s, not the harmonic mean of the other two."""
    metrics = compute_metrics(build([], [], labels=("CAP", "WATCH"), reported=CAP_WATCH))

    for name, value in CAP_WATCH.aggregate.items():
        number = _by_name(metrics)[name, "unweighted mean of the labels' reported values"]
        assert number.computed == pytest.approx(value, abs=1e-15)
        assert number.agrees


def test_without_images_the_rest_cannot_be_compared(build):
    """Nothing computed, nothing claimed."""
    metrics = compute_metrics(build([], [], labels=("CAP", "WATCH"), reported=CAP_WATCH))

    others = [n for n in metrics.reconciliation if n.name not in CAP_WATCH.aggregate]
    assert {number.agrees for number in others} == {None}
    assert all(isnan(number.computed) for number in others)
    assert metrics.test_images == 624


def test_images_that_fit_agree_in_every_number(cap_watch):
    """Labels at their thresholds, macro averages, images, and top labels in each cell."""
    metrics = compute_metrics(cap_watch)

    apart = [n for n in metrics.reconciliation if not n.agrees]
    assert [(number.name, number.agrees) for number in apart] == [("train_images", None)]
    assert metrics.warnings == ()


def test_a_threshold_is_no_result(build):
    """Neither of a label nor of all."""
    reported = Reported(aggregate={"threshold": 0.5}, per_label={"a": {"threshold": 0.5}})

    assert compute_metrics(build([[0]], [[(0, 0.9)]], reported=reported)).reconciliation == ()


def test_names_and_rules(cap_watch):
    """Every reported number is there, a threshold is none."""
    names = [number.name for number in compute_metrics(cap_watch).reconciliation]

    assert names == [
        "test_images",
        "train_images",
        *["f1", "f1", "precision", "precision", "recall", "recall"],
        *["f1/CAP", "precision/CAP", "recall/CAP", "test_images/CAP"],
        *["f1/WATCH", "precision/WATCH", "recall/WATCH", "test_images/WATCH"],
        *["confusion_matrix/CAP/CAP", "confusion_matrix/CAP/WATCH"],
        *["confusion_matrix/WATCH/CAP", "confusion_matrix/WATCH/WATCH"],
    ]


def test_disagreement_is_one_warning(build):
    """It counts, and names the farthest apart first."""
    reported = Reported(
        aggregate={"recall": 0.5},
        per_label={
            "a": {"recall": 0.9, "test_images": 2.0},
            "b": {"recall": 0.1, "test_images": 1.0},
        },
        test_images=4,
    )
    evaluation = build(
        [[0], [0], [1]],
        [[(0, 0.9)], [(0, 0.9), (1, 0.6)], [(1, 0.4), (0, 0.1)]],
        n_labels=2,
        thresholds=[0.5, 0.3],
        reported=reported,
    )

    found = compute_metrics(evaluation).doubts
    (doubt,) = (doubt for doubt in found if doubt.kind is DoubtKind.REPORTED_DIFFERS)

    assert doubt.text == (
        "3 of 6 reported numbers that can be compared differ from what the records give: "
        "'recall/b' reported 0.1, computed 1 (one label against the rest, at its assumed "
        "threshold); 'recall' reported 0.5, computed 1 (macro average at the assumed "
        "thresholds); 'recall/a' reported 0.9, computed 1 (one label against the rest, at its "
        "assumed threshold)"
    )
    assert (doubt.count, doubt.of, doubt.effect) == (3, 6, Effect.STOPS)
    assert doubt.touches_number("reported/recall")
    assert doubt.touches_number("label_reported_recall", "b")
    assert not doubt.touches_number("aggregate/recall_macro")


def test_single_precision_agrees(build):
    """The service's interface gives F1 in 32 bits."""
    reported = Reported(aggregate={"f1": 0.9726959466934204}, per_label=CAP_WATCH.per_label)

    metrics = compute_metrics(build([], [], labels=("CAP", "WATCH"), reported=reported))

    assert [number.agrees for number in metrics.reconciliation if number.name == "f1"] == [True]


def test_records_of_the_top_label_cannot_refute(build):
    """What else reaches its threshold is not recorded: equal or unknown, never wrong."""
    reported = Reported(per_label={"a": {"precision": 1.0}, "b": {"precision": 0.5}})
    evaluation = build(
        [[0], [1]],
        [[(0, 0.9)], [(1, 0.8)]],
        n_labels=2,
        thresholds=[0.5, 0.1],
        reported=reported,
    )

    numbers = compute_metrics(evaluation).reconciliation

    assert [(n.name, n.computed, n.agrees) for n in numbers] == [
        ("precision/a", 1.0, True),
        ("precision/b", 1.0, None),
    ]


def test_a_row_with_unknown_top_labels_cannot_refute(build):
    """The image without record may stand in any cell of row a."""
    reported = Reported(
        per_label={"a": {"test_images": 2.0}, "b": {"test_images": 1.0}},
        confusion=(("a", "a", 0.5), ("a", "b", 0.5), ("b", "b", 1.0)),
    )
    evaluation = build([[0], [0], [1]], [[(0, 0.9)], [], [(1, 0.8)]], n_labels=2, reported=reported)

    cells = {
        n.name: n.agrees for n in compute_metrics(evaluation).reconciliation if "conf" in n.name
    }

    assert cells == {
        "confusion_matrix/a/a": True,
        "confusion_matrix/a/b": None,
        "confusion_matrix/b/b": True,
    }


def test_a_cell_left_out_is_zero(build):
    """We count one image where the provider lists nothing."""
    reported = Reported(per_label={"a": {"test_images": 2.0}}, confusion=(("a", "a", 1.0),))
    evaluation = build([[0], [0]], [[(0, 0.9)], [(1, 0.9)]], n_labels=2, reported=reported)

    numbers = {n.name: n for n in compute_metrics(evaluation).reconciliation}

    missing = numbers["confusion_matrix/a/b"]
    assert (missing.reported, missing.computed, missing.agrees) == (0, 0.5, False)


def test_unknown_normalisation_cannot_be_compared(build):
    """Fractions that fit neither way are left alone."""
    reported = Reported(confusion=(("a", "a", 0.7), ("a", "z", 0.1)))

    numbers = compute_metrics(build([[0]], [[(0, 0.9)]], reported=reported)).reconciliation

    assert {(n.name, n.agrees, n.rule) for n in numbers} == {
        ("confusion_matrix/a/a", None, "top label, divided by an unknown number"),
        ("confusion_matrix/a/z", None, "top label, divided by an unknown number"),
    }


def test_numbers_without_a_known_rule_are_listed(build):
    """Another provider's aggregates, and names that no rule is known for."""
    reported = Reported(aggregate={"f1": 0.5, "roc_auc": 0.9}, per_label={"a": {"f1": 0.4}})

    numbers = compute_metrics(
        build([[0]], [[(0, 0.9)]], reported=reported, provider=Provider.LOOKOUT)
    ).reconciliation

    assert {(n.name, n.agrees, n.rule) for n in numbers} == {
        (name, None, "no rule is known to compute this number")
        for name in ("f1", "roc_auc", "f1/a")
    }
