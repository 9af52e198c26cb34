"""A policy to start from: its own version passes it, and every name is safe in it."""

import tomllib

import pytest
from builders.policies import make_candidate, make_comparison, make_difference, make_opponent
from hypothesis import given
from hypothesis import strategies as st

from mlrek.comparison import Leakage
from mlrek.evaluation import Doubt, DoubtKind, Task
from mlrek.policy import Figure, LeakageRule, Metric, NoWorse, Numbers, TestImages
from mlrek.policy.deciding import decide
from mlrek.policy.parsing import parse_policy, write_policy, write_text
from mlrek.policy.starting import Start, write_starter

F1, ACCURACY = "aggregate/f1_macro", "aggregate/accuracy"
NASTY = ['"', "\\", "a\nb", '"""\n[baseline]\n', "\x7f", "\x00", "🌹", "ü", "# x", "\u2028", " "]


def make_start(recalls=None, *, baseline="p#v1", champion="", columns=(), **changed) -> Start:
    """A version with F1 and accuracy 0.9 (0.875 to 0.92) and labels of these recalls."""
    recalls = recalls if recalls is not None else {"a": 0.93, "b": 0.83}
    whole = Figure(value=0.9, low=0.875, high=0.92)
    figures = {F1: whole, ACCURACY: whole, "aggregate/ece": Figure(value=0.03)}
    figures |= {("label_recall", label): Figure(value=value) for label, value in recalls.items()}
    candidate = make_candidate(
        changed.pop("figures", figures),
        labels=tuple(recalls),
        per_label=changed.pop("per_label", dict.fromkeys(recalls, 250)),
        **changed,
    )
    return Start(candidate=candidate, baseline=baseline, champion=champion, columns=columns)


def decide_itself(start: Start):
    """The decision on the version by the policy that was begun with it, a twin its baseline."""
    policy = parse_policy(write_starter(start))
    opponent = make_opponent(
        make_comparison(make_difference(-0.005, 0.005, name=ACCURACY), shared=500)
    )
    return decide(policy, start.candidate, opponent)


def test_limits_lie_below_what_the_version_reaches():
    """A point below the interval, five below the lowest label, rounded down; a point to lose."""
    policy = parse_policy(write_starter(make_start()))
    whole, labels = policy.floors

    assert (whole.metric, whole.min, whole.confidence) == (Metric(name=F1), 0.86, 0.95)
    assert (labels.metric, labels.min) == (Metric(name="label_recall", label="*"), 0.75)
    assert policy.relative == (NoWorse(metric=Metric(name=ACCURACY), margin=0.01),)
    assert (policy.test_set.min_images, policy.test_set.min_images_per_label) == (450, 10)
    assert policy.baseline == "p#v1"


def test_its_own_version_passes():
    """Against a twin of itself."""
    assert decide_itself(make_start()).verdict == "passed"


@given(
    value=st.floats(0, 1),
    room=st.floats(0, 0.5),
    recalls=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=30),
)
def test_its_own_version_never_fails(value, room, recalls):
    """Whatever its numbers are: a floor that it would not pass is not proposed."""
    whole = Figure(value=value, low=max(0, value - room), high=min(1, value + room))
    figures = {F1: whole, ACCURACY: whole}
    named = {f"label {i}": recall for i, recall in enumerate(recalls)}
    figures |= {("label_recall", label): Figure(value=one) for label, one in named.items()}
    decision = decide_itself(make_start(named, figures=figures))

    assert not [check for check in decision.checks if check.status == "failed"]


def test_every_line_that_is_commented_out_is_valid_too():
    """Whoever takes away its mark gets what the comment says."""
    start = make_start(
        champion="models:/p@champion",
        doubts=(Doubt(kind=DoubtKind.IMAGES_MISSING, text="x", touches=("aggregate/*",)),),
    )
    text = write_starter(start)
    lines = text.replace('version = "p#v1"\n', "").splitlines()
    code = (
        "[[",
        "version =",
        "leakage =",
        "accept =",
        "group_by =",
        "adjust_",
        "metric =",
        "max =",
    )
    marks = tuple(f"# {one}" for one in (*code, "min =", "confidence ="))
    taken = [line.removeprefix("# ") if line.startswith(marks) else line for line in lines]
    policy = parse_policy("\n".join(taken))

    assert policy.baseline == "models:/p@champion"
    assert policy.test_set.leakage is LeakageRule.FORBIDDEN
    assert policy.test_set.accept == {DoubtKind.IMAGES_MISSING}
    assert policy.test_set.group_by
    assert policy.test_set.adjust_for_looks
    assert [str(floor.metric) for floor in policy.floors] == [F1, "aggregate/ece", "label_recall/*"]
    assert policy.floors[1].max == 0.05
    assert [asked.kind for asked in policy.relative] == ["no_worse", "better"]


@pytest.mark.parametrize("name", [*NASTY, "\ud800"])
def test_a_name_of_any_kind_is_no_more_than_a_name(name):
    """In comments, in the metric of a label, and in the version that is compared with."""
    recalls = {name: 0.83, "b": float("nan")}
    baseline = f"{name}#{name}"
    text = write_starter(make_start(recalls, baseline=baseline))
    text.encode()
    policy = parse_policy(text, baseline="models:/any/1")
    own = tomllib.loads(text)["baseline"]

    assert len(policy.floors) == 2
    if name == "\ud800":  # half a character: TOML has none
        assert own == {}
        assert policy.floors[1].metric.label == "*"
    else:
        assert own == {"version": baseline}
        assert policy.floors[1].metric == Metric(name="label_recall", label=name)


@given(st.text())
def test_a_text_comes_back_from_toml(text):
    """Whatever characters it has."""
    written = write_text(text)

    assert written.isprintable()
    assert tomllib.loads(f"x = {written}") == {"x": text}


def test_a_policy_from_python_may_hold_any_label():
    """A control character is escaped as TOML wants it, not as JSON leaves it."""
    floors = [{"metric": f"label_recall/{name}", "min": 0.5} for name in NASTY]
    policy = parse_policy(write_policy({"floor": floors}))

    assert [floor.metric.label for floor in policy.floors] == NASTY


def test_labels_without_a_number_are_left_out():
    """Else the check of every label would stay undecided for ever."""
    recalls = {"a": 0.9, "b": float("nan"), "c": 0.8}
    text = write_starter(make_start(recalls))
    labels = [floor.metric.label for floor in parse_policy(text).floors[1:]]

    assert labels == ["a", "c"]
    assert "so left out: 'b'" in text


def test_a_label_that_is_hardly_found_leaves_the_limit_open():
    """A floor of 0 says nothing: the line is there to be filled in."""
    text = write_starter(make_start({"a": 0.9, "b": 0.03}))

    assert len(parse_policy(text).floors) == 1
    assert '# metric = "label_recall/*"\n# min = 0.5' in text


def test_a_version_that_knows_only_the_service_s_number_has_a_floor_of_it():
    """Without records nothing is computed, and no interval known."""
    start = make_start({}, figures={"reported/f1": Figure(value=0.913)}, total=None, per_label={})
    (floor,) = parse_policy(write_starter(start)).floors

    assert (str(floor.metric), floor.min) == ("reported/f1", 0.9)
    assert floor.confidence != floor.confidence


def test_where_nothing_is_known_all_floors_are_left_to_be_filled_in():
    """What compares is still asked."""
    start = make_start({}, figures={"training/billable_minutes": Figure(value=3)}, total=None)
    policy = parse_policy(write_starter(start))

    assert policy.floors == ()
    assert len(policy.relative) == 1


@pytest.mark.parametrize(
    ("task", "whole", "label"),
    [
        (Task.CLASSIFICATION, F1, "label_recall"),
        (Task.MULTILABEL, F1, "label_recall"),
        (Task.DETECTION, "aggregate/ap_50", "label_ap"),
        (Task.SEGMENTATION, "aggregate/mean_iou", "label_iou"),
    ],
)
def test_each_task_has_its_own_numbers(task, whole, label):
    """Those that people judge such a model by."""
    figures = {Metric(name=whole): Figure(value=0.8, low=0.7, high=0.9)}
    figures |= {Metric(name=label, label="a"): Figure(value=0.8)}
    numbers = Numbers(figures=figures, labels=("a",), task=task)
    start = make_start()
    candidate = make_candidate()
    changed = type(candidate)(
        identity=candidate.identity,
        numbers=numbers,
        numbers_at=lambda _: numbers,
        test_images=TestImages(total=9, per_label={"a": 9}),
        leakage=Leakage(known=False),
    )
    policy = parse_policy(write_starter(Start(candidate=changed, baseline=start.baseline)))

    assert [str(floor.metric) for floor in policy.floors] == [whole, f"{label}/*"]


def test_fitted_thresholds_are_answered_by_the_cross_fitted_number():
    """The limit is one that the number fulfils which the gate will read."""
    doubt = Doubt(kind=DoubtKind.THRESHOLDS_FITTED, text="fitted", touches=("label_recall",))
    figures = {
        ("label_recall", "a"): Figure(value=0.9),
        ("crossfit/label_recall", "a"): Figure(value=0.72),
    }
    numbers = make_candidate(figures, labels=("a",), doubts=(doubt,))
    candidate = type(numbers)(
        identity=numbers.identity,
        numbers=Numbers(figures=numbers.numbers.figures, labels=("a",), task=Task.MULTILABEL),
        numbers_at=numbers.numbers_at,
        test_images=numbers.test_images,
        leakage=numbers.leakage,
        doubts=(doubt,),
    )
    (floor,) = parse_policy(write_starter(Start(candidate=candidate, baseline="p#v1"))).floors

    assert floor.min == 0.65


@pytest.mark.parametrize("column", ["site", *NASTY, "a=b"])
def test_a_version_with_columns_gets_a_check_in_slices_to_begin_with(column):
    """Commented out, for its first column; whatever that is called, the policy stays one."""
    text = write_starter(make_start(columns=(column,)))
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith('# slice = "'))
    taken = [line.removeprefix("# ") for line in lines[start - 2 : start + 3]]
    policy = parse_policy("\n".join(taken))
    (floor,) = policy.floors

    assert not any(one.slice for one in parse_policy(text).floors)
    assert (floor.metric, floor.min, floor.confidence) == (Metric(name=F1), 0.75, 0.95)
    assert floor.slice == ("site=*" if "=" in column or not column.strip() else f"{column}=*")


def test_a_version_without_columns_gets_none():
    """Nothing is proposed that it could not fulfil."""
    assert "slice" not in write_starter(make_start())
