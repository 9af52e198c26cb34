"""What doubts do to a decision, on literal numbers: the contract's table, kind by kind."""

from dataclasses import replace
from math import nan

import pytest
from builders.policies import (
    F1,
    make_candidate,
    make_comparison,
    make_difference,
    make_opponent,
    run,
)
from hypothesis import given
from hypothesis import strategies as st

from mlrek.evaluation import Doubt, DoubtKind, Effect
from mlrek.policy import Figure

VALUE = f'[[floor]]\nmetric = "{F1}"\nmin = 0.85\n'
SURE = VALUE + "confidence = 0.95\n"
BETTER = f'[[better]]\nmetric = "{F1}"\n'
GOOD = make_difference(0.01, 0.03)
OF_CANDIDATE = {
    DoubtKind.IMAGES_MISSING: (4, 4, 4),
    DoubtKind.LINES_SKIPPED: (4, 4, 4),
    DoubtKind.FOREIGN_SUMMARY: (4, 4, 4),
    DoubtKind.TRUTH_UNKNOWN: (0, 0, 0),
    DoubtKind.IMAGES_REPEATED: (0, 0, 0),
    DoubtKind.UNANSWERED: (0, 0, 0),
    DoubtKind.TRUTH_CHANGED: (0, 0, 0),
    DoubtKind.PICTURES_CHANGED: (0, 0, 4),
    DoubtKind.SEEN_IN_TRAINING: (4, 4, 4),
    DoubtKind.OTHER_RULE: (0, 0, 4),
    DoubtKind.THRESHOLDS_FITTED: (4, 4, 4),
    DoubtKind.GROUPED: (0, 4, 4),
    DoubtKind.CONFIDENCE_CONSTANT: (4, 4, 4),
    DoubtKind.RECORDS_PARTIAL: (0, 0, 4),
    DoubtKind.REPORTED_DIFFERS: (4, 4, 4),
    DoubtKind.INTERVAL_SHORT: (0, 4, 0),
    DoubtKind.SUPERSEDED: (0, 0, 0),
    DoubtKind.DOUBTS_UNKNOWN: (0, 0, 0),
}
"""Exit codes of a floor on the value, one with a confidence, and a relative check."""


def doubt(kind: DoubtKind, **changed) -> Doubt:
    """A doubt of the candidate that touches everything."""
    return Doubt(**({"kind": kind, "text": f"some {kind.value}", "side": "candidate"} | changed))


def decide(toml: str, *doubts: Doubt, difference=GOOD):
    """A policy whose every check would pass, with doubts of the comparison and of the candidate."""
    own = [d for d in doubts if d.side == "candidate"]
    opponent = make_opponent(make_comparison(difference, doubts=doubts))
    return run(toml, make_candidate(doubts=own), opponent)


@pytest.mark.parametrize("kind", DoubtKind)
def test_each_kind_stops_what_the_contract_says(kind):
    """Of the candidate; what is stopped names the doubt and how to accept it."""
    decisions = [decide(toml, doubt(kind)) for toml in (VALUE, SURE, BETTER)]

    assert tuple(d.exit_code() for d in decisions) == OF_CANDIDATE[kind]
    for decision in decisions:
        if decision.exit_code() == 4:
            assert f"some {kind.value}" in decision.checks[-1].reason
            assert f'accept = ["{kind.value}"]' in decision.checks[-1].reason
        assert [d.kind for d in decision.doubts] == [kind]


@pytest.mark.parametrize("kind", DoubtKind)
@pytest.mark.parametrize("side", ["baseline", "both"])
def test_a_baselines_doubts_stop_comparisons_alone(kind, side):
    """Its own numbers are not promoted; that it left images out makes it too easy to beat."""
    found = [decide(toml, doubt(kind, side=side)).exit_code() for toml in (VALUE, SURE, BETTER)]
    expected = list(OF_CANDIDATE[kind])
    if kind == DoubtKind.UNANSWERED:
        expected[2] = 4

    assert found[2] == expected[2]
    if side == "baseline":
        assert found[:2] == [0, 0]


@pytest.mark.parametrize("kind", DoubtKind)
def test_what_a_policy_accepts_stops_nothing(kind):
    """It is said all the same."""
    accept = f'[test_set]\naccept = ["{kind.value}"]\n'
    decision = decide(accept + SURE + BETTER, doubt(kind), doubt(kind, side="baseline"))

    assert decision.exit_code() == 0
    assert len(decision.doubts) == 2


@pytest.mark.parametrize("kind", DoubtKind)
def test_what_failed_stays_failed(kind):
    """A doubt explains nothing away."""
    worse = make_difference(-0.03, -0.01)
    floor = VALUE.replace("0.85", "0.95")

    assert decide(floor, doubt(kind)).exit_code() == 3
    assert decide(BETTER, doubt(kind), difference=worse).exit_code() == 3


@pytest.mark.parametrize(
    ("touches", "code"),
    [
        (("aggregate/*",), 4),
        (("aggregate/f1_macro",), 4),
        (("aggregate/accuracy", "reported/*"), 0),
        (("label_recall/a",), 0),
    ],
)
def test_a_doubt_stops_what_it_touches(touches, code):
    """Other numbers are as good as before."""
    touching = doubt(DoubtKind.LINES_SKIPPED, touches=touches)

    assert decide(VALUE, touching).exit_code() == code
    assert decide(BETTER, touching).exit_code() == code


def test_a_label_is_doubted_by_its_raw_name():
    """Of two labels the one that is named."""
    figures = {("label_recall", label): Figure(value=0.9) for label in ("a/b", "c")}
    candidate = make_candidate(
        figures,
        labels=("a/b", "c"),
        doubts=[doubt(DoubtKind.LINES_SKIPPED, touches=("label_recall/a/b",))],
    )
    checks = run('[[floor]]\nmetric = "label_recall/*"\nmin = 0.8', candidate).checks

    assert [c.status for c in checks] == ["undecided", "passed"]


def test_an_interval_that_is_short_stops_floors_that_read_it():
    """By the name that a run keeps it under."""
    short = doubt(DoubtKind.INTERVAL_SHORT, touches=("interval/f1_macro",))
    other = replace(short, touches=("interval/mcc",))

    assert [decide(SURE, d).exit_code() for d in (short, other)] == [4, 0]
    assert decide(VALUE, short).exit_code() == 0


def test_a_short_interval_of_the_difference_stops_the_comparison():
    """Which is the comparison's own doubt, of no side."""
    own = doubt(DoubtKind.INTERVAL_SHORT, side=None)

    assert (decide(BETTER, own).exit_code(), decide(SURE, own).exit_code()) == (4, 0)


@pytest.mark.parametrize(("leakage", "code"), [("", 4), ('leakage = "allowed"', 0)])
def test_images_of_the_training_stop_unless_they_are_allowed(leakage, code):
    """To say nothing is not to allow it."""
    seen = doubt(DoubtKind.SEEN_IN_TRAINING)

    assert decide(f"[test_set]\n{leakage}\n{VALUE}", seen).exit_code() == code


def test_forgiving_too_little_evidence_forgives_no_doubt():
    """`--undecided pass`: also where the number is undecided by itself."""
    wide = SURE.replace("0.85", "0.89")
    skipped = doubt(DoubtKind.LINES_SKIPPED)

    assert decide(wide).exit_code("pass") == 0
    assert [decide(t, skipped).exit_code("pass") for t in (VALUE, wide)] == [4, 4]
    assert decide(VALUE, skipped).exit_code("fail") == 3


@pytest.mark.parametrize(
    "toml",
    [
        '[[floor]]\nmetric = "aggregate/acuracy"\nmin = 0.95\n',
        '[[floor]]\nmetric = "aggregate/acuracy"\nmin = 0.95\nconfidence = 0.95\n',
        '[[floor]]\nmetric = "label_recall/bb"\nmin = 0.95\n',
        '[[floor]]\nmetric = "label_recal/*"\nmin = 0.95\n',
        '[[floor]]\nmetric = "aggregate/log_loss"\nmax = 0.3\n',
        '[[floor]]\nmetric = "label_recall/b"\nmin = 0.95\n',
        '[[no_worse]]\nmetric = "aggregate/acuracy"\n',
        '[[no_worse]]\nmetric = "label_recall/bb"\n',
        '[[better]]\nmetric = "aggregate/mcc"\n',
        '[[better]]\nmetric = "reported/f1"\n',
    ],
)
def test_forgiving_too_little_evidence_forgives_nothing_that_is_not_there(toml):
    """A slip in a name, an undefined number, one that nothing tells how sure it is."""
    figures = {
        F1: Figure(value=0.9, low=0.88, high=0.92),
        "aggregate/log_loss": Figure(value=nan, reason="the records are partial"),
        ("label_recall", "a"): Figure(value=0.96, low=0.9, high=0.98),
        ("label_recall", "b"): Figure(value=nan, reason="never predicted"),
    }
    shown = replace(make_difference(0, 0, name="reported/f1"), evidence=None)
    comparison = make_comparison(GOOD, make_difference(name="aggregate/mcc"), shown)
    decision = run(VALUE + toml, make_candidate(figures), make_opponent(comparison))

    assert decision.verdict == "undecided"
    assert (decision.exit_code("pass"), decision.exit_code("fail")) == (4, 3)


def test_a_label_without_any_image_is_too_little_evidence():
    """It is known, and images of it would decide: somebody may say that this is enough."""
    figures = {
        F1: Figure(value=0.9),
        ("label_recall", "b"): Figure(value=nan, reason="nothing of this label"),
    }
    candidate = make_candidate(figures, per_label={"a": 500, "b": 0})
    none = make_difference(name="label_recall", label="b")
    floor = '[[floor]]\nmetric = "label_recall/b"\nmin = 0.95\n'
    no_worse = '[[no_worse]]\nmetric = "label_recall/b"\n'
    opponent = make_opponent(make_comparison(none))

    codes = [run(VALUE + t, candidate, opponent).exit_code("pass") for t in (floor, no_worse)]

    assert codes == [0, 0]


def test_nothing_passes_where_no_number_did():
    """A test set that is large enough shows no good version; nor does `--undecided pass`."""
    decision = run("[test_set]\nmin_images = 100\n")

    assert [c.status for c in decision.checks] == ["passed"]
    assert (decision.verdict, decision.exit_code(), decision.exit_code("pass")) == (
        "undecided",
        4,
        4,
    )
    assert any("add a [[floor]]" in warning for warning in decision.warnings)


def test_groups_answer_that_images_go_together():
    """Once intervals are over groups; groups that do not hold them together are no answer."""
    policy = '[test_set]\ngroup_by = "object-[0-9]+"\n'
    grouped = doubt(DoubtKind.GROUPED)
    apart = replace(grouped, own_effect=Effect.STOPS_INTERVALS)
    codes = {}
    for name, found in (("answered", grouped), ("apart", apart)):
        opponent = make_opponent(make_comparison(GOOD, doubts=[found]))
        candidate = make_candidate(doubts=[found], is_grouped=True)
        codes[name] = [run(policy + t, candidate, opponent).exit_code() for t in (SURE, BETTER)]

    assert codes == {"answered": [0, 0], "apart": [4, 4]}


def test_an_interval_over_single_images_answers_no_question_about_groups():
    """Nor does forgiving; the value itself may be held to the limit."""
    policy = '[test_set]\ngroup_by = "object-[0-9]+"\n'
    sure, value = (run(policy + toml) for toml in (SURE, VALUE))

    assert (sure.exit_code(), sure.exit_code("pass"), value.exit_code()) == (4, 4, 0)
    assert "single images" in sure.checks[0].reason


def test_images_that_are_in_no_group_are_counted():
    """With the pattern as it was written, braces and all; each version's by itself."""
    policy = "[test_set]\ngroup_by = 'o{2}[0-9]'\n"
    candidate = make_candidate(is_grouped=True, n_alone=20, n_images=1_500)
    opponent = make_opponent(make_comparison(GOOD), n_alone=7)
    decision = run(policy + SURE + BETTER, candidate, opponent)

    assert decision.exit_code() == 0
    said = "group_by 'o{2}[0-9]' finds no object in the URIs of "
    assert [w.partition(":")[0] for w in decision.warnings] == [
        f"{said}20 of 1,500 test images of the candidate",
        f"{said}7 test images of the baseline",
    ]


AT = "at_threshold/f1_macro"
FITTED = doubt(DoubtKind.THRESHOLDS_FITTED, touches=("at_threshold/*",))


def test_a_floor_reads_the_cross_fitted_value_where_there_is_one():
    """.90 at thresholds that were chosen on these images, .70 at others'."""
    figures = {AT: Figure(value=0.9), "crossfit/f1_macro": Figure(value=0.7)}
    floors = [f'[[floor]]\nmetric = "{AT}"\nmin = {limit}\n' for limit in (0.8, 0.6)]
    candidate = make_candidate(figures, doubts=[FITTED])
    high, low = (run(floor, candidate) for floor in floors)

    assert (high.exit_code(), low.exit_code()) == (3, 0)
    assert (low.checks[0].metric.name, low.checks[0].value) == (AT, 0.7)
    assert "cross-fitted" in low.checks[0].reason


def test_without_a_cross_fitted_value_the_doubt_stops():
    """Nothing tells what new images would show."""
    candidate = make_candidate({AT: Figure(value=0.9)}, doubts=[FITTED])

    assert run(f'[[floor]]\nmetric = "{AT}"\nmin = 0.8\n', candidate).exit_code() == 4


def test_other_doubts_of_a_cross_fitted_number_stay():
    """What touches the number that the policy names touches what is read for it."""
    figures = {AT: Figure(value=0.9), "crossfit/f1_macro": Figure(value=0.9)}
    skipped = doubt(DoubtKind.LINES_SKIPPED, touches=("at_threshold/*",))
    candidate = make_candidate(figures, doubts=[FITTED, skipped])

    assert run(f'[[floor]]\nmetric = "{AT}"\nmin = 0.8\n', candidate).exit_code() == 4


def test_a_comparison_reads_cross_fitted_values():
    """Better by its own thresholds, no different by those of the other images."""
    differences = (
        make_difference(0.05, 0.15, name=AT),
        make_difference(-0.02, 0.02, name="crossfit/f1_macro"),
    )
    comparison = make_comparison(*differences, doubts=[replace(FITTED, side="both")])
    opponent = replace(make_opponent(comparison), differs_in_thresholds=True)
    decision = run(f'[[better]]\nmetric = "{AT}"\n', opponent=opponent)

    assert decision.exit_code() == 4
    assert "cross-fitted" in decision.checks[-1].reason
    assert "only thresholds differ" in decision.checks[-1].reason


ECE = "aggregate/ece"


@pytest.mark.parametrize(
    ("confidence", "limit", "code", "value"),
    [("", 0.05, 3, 0.051), ("", 0.06, 0, 0.051), ("confidence = 0.95", 0.05, 0, 0.01)],
)
def test_a_calibration_error_with_a_confidence_is_the_debiased_one(confidence, limit, code, value):
    """Both are shown; without a confidence the plain value is held to the limit."""
    figures = {
        ECE: Figure(value=0.051, reason="no interval"),
        "aggregate/ece_debiased": Figure(value=0.01, low=0.0, high=0.03),
    }
    toml = f'[[floor]]\nmetric = "{ECE}"\nmax = {limit}\n{confidence}\n'
    decision = run(toml, make_candidate(figures))
    (check,) = decision.checks

    assert (decision.exit_code(), check.value) == (code, value)
    if confidence:
        assert "0.051" in check.reason


def test_calibration_errors_are_compared_debiased():
    """The plain ones are given with them."""
    differences = (
        make_difference(name=ECE, baseline=0.06, candidate=0.05),
        make_difference(
            -0.02, -0.01, name="aggregate/ece_debiased", baseline=0.03, candidate=0.015
        ),
    )
    decision = run(
        f'[[better]]\nmetric = "{ECE}"\n', opponent=make_opponent(make_comparison(*differences))
    )

    assert decision.exit_code() == 0
    assert decision.checks[-1].value == 0.015
    assert "0.06 and now 0.05" in decision.checks[-1].reason


def test_a_failed_floor_never_contradicts_the_value_it_prints():
    """The value lies within the limit, its whole interval beyond it: so the limit is not proved."""
    candidate = make_candidate({F1: Figure(value=0.051, low=0.054, high=0.09)})
    (check,) = run(f'[[floor]]\nmetric = "{F1}"\nmax = 0.0537\nconfidence = 0.95', candidate).checks

    assert check.status == "undecided"
    assert (check.low, check.high) == (0.051, 0.09)


def test_a_floor_that_an_interval_decides_speaks_of_the_interval():
    """From .06 to .09, all above the maximum."""
    candidate = make_candidate({F1: Figure(value=0.07, low=0.06, high=0.09)})
    (check,) = run(f'[[floor]]\nmetric = "{F1}"\nmax = 0.05\nconfidence = 0.95', candidate).checks

    assert check.status == "failed"
    assert "interval, 0.06 to 0.09, lies above the maximum 0.05" in check.reason


def test_a_value_and_its_limit_are_printed_with_the_digits_that_tell_them_apart():
    """0.89999 is not 0.9."""
    (check,) = run(
        f'[[floor]]\nmetric = "{F1}"\nmin = 0.9', make_candidate({F1: Figure(value=0.89999)})
    ).checks

    assert check.reason.startswith("0.89999 is 1e-05 below the minimum 0.9")


def family(intervals: dict[float, tuple[float, float]], others: int):
    """Label `a` with an interval for each confidence, and others that reach any limit."""

    def numbers_at(confidence: float):
        low, high = intervals[round(confidence, 9)]
        figures = {("label_recall", "a"): Figure(value=0.5, low=low, high=high)}
        figures |= {
            ("label_recall", f"b{i}"): Figure(value=0.95, low=0.9, high=0.99) for i in range(others)
        }
        labels = ("a", *(f"b{i}" for i in range(others)))
        return make_candidate(figures, labels=labels).numbers

    whole = numbers_at(0.95)
    labelled = {(m.name, m.label): figure for m, figure in whole.figures.items()}
    return replace(make_candidate(labelled, labels=whole.labels), numbers_at=numbers_at)


@pytest.mark.parametrize(("high", "status"), [(0.71, "undecided"), (0.69, "failed")])
def test_one_of_many_labels_fails_by_holm_alone(high, status):
    """Of five the first is held to 99 %: there the limit .7 lies within or beyond its interval."""
    candidate = family({0.95: (0.4, 0.65), 0.99: (0.3, high), 0.9875: (0.3, 0.7)}, 4)
    toml = '[[floor]]\nmetric = "label_recall/*"\nmin = 0.7\nconfidence = 0.95\n'
    decision = run(toml, candidate)

    assert decision.checks[0].status == status
    assert {c.status for c in decision.checks[1:]} == {"passed"}
    if status == "undecided":
        assert "of 5 labels" in decision.checks[0].reason


def test_a_label_alone_fails_by_its_own_interval():
    """Nothing else is checked with it."""
    candidate = family({0.95: (0.4, 0.65)}, 4)
    toml = '[[floor]]\nmetric = "label_recall/a"\nmin = 0.7\nconfidence = 0.95\n'

    assert run(toml, candidate).exit_code() == 3


def test_without_a_confidence_every_label_is_held_to_its_value():
    """.5 is below .7, however many there are."""
    candidate = family({0.95: (0.4, 0.95)}, 40)

    assert run('[[floor]]\nmetric = "label_recall/*"\nmin = 0.7\n', candidate).exit_code() == 3


KINDS = st.sampled_from(list(DoubtKind))
SIDES = st.sampled_from(["candidate", "baseline", "both", None])
TOUCHES = st.sampled_from([("*",), ("aggregate/*",), ("reported/*",), ("interval/*",)])
EFFECTS = st.sampled_from([None, *Effect])
DOUBTS = st.builds(
    Doubt,
    kind=KINDS,
    text=st.just("x"),
    side=SIDES,
    touches=TOUCHES,
    own_effect=EFFECTS,
)
NUMBERS = st.floats(-0.1, 0.1).map(lambda value: round(value, 2))
POLICIES = st.lists(st.sampled_from([VALUE, SURE, BETTER]), min_size=1, max_size=3)


@given(st.lists(DOUBTS, max_size=4), DOUBTS, POLICIES, NUMBERS, st.sampled_from(["", "pass"]))
def test_one_more_doubt_never_turns_no_into_yes(doubts, further, policy, change, forgive):
    """Of whatever kind, side and effect, with and without forgiving."""
    toml = "\n".join(policy)
    difference = make_difference(change - 0.02, change + 0.02)
    with_it = decide(toml, *doubts, further, difference=difference)

    if with_it.exit_code(forgive) == 0:
        assert decide(toml, *doubts, difference=difference).exit_code(forgive) == 0


@given(st.lists(DOUBTS, max_size=4), POLICIES, KINDS, NUMBERS)
def test_accepting_less_never_turns_no_into_yes(doubts, policy, kind, change):
    """A kind less in `accept`, or no word of `leakage`."""
    toml = "\n".join(policy)
    difference = make_difference(change - 0.02, change + 0.02)
    loose = f'[test_set]\nleakage = "allowed"\naccept = ["{kind.value}"]\n'

    if decide(toml, *doubts, difference=difference).exit_code() == 0:
        assert decide(loose + toml, *doubts, difference=difference).exit_code() == 0


@given(st.lists(DOUBTS, max_size=3), POLICIES, st.sampled_from([VALUE, SURE, BETTER]), NUMBERS)
def test_one_more_check_never_turns_no_into_yes(doubts, policy, further, change):
    """All are to pass."""
    difference = make_difference(change - 0.02, change + 0.02)
    more = decide("\n".join([*policy, further]), *doubts, difference=difference)

    if more.exit_code() == 0:
        assert decide("\n".join(policy), *doubts, difference=difference).exit_code() == 0
