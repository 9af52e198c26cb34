"""Why a number moved, through `mlrek compare`: the causes that used to be taken for each other."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from builders.projects import make_test, save_project
from sklearn.metrics import f1_score

LABELS = ("bolt", "nut", "washer")
PARTS = ("label_set", "test_set", "relabelled", "model", "threshold", "unexplained")


@pytest.fixture
def explain(run_mlrek, tmp_path):
    """Compare two tests: the parts of each number's change, by name."""

    def run(v1, v2):
        folder = save_project(tmp_path / "p", v1=v1, v2=v2)
        done = run_mlrek("compare", f"{folder}#v1", f"{folder}#v2", "--no-log", "--json")
        (candidate,) = json.loads(done.stdout)["candidates"]
        return candidate["why"]

    return run


def _answer(rng, truth, share):
    """Answers of which so many are right; the others are any other label."""
    wrong = rng.random(len(truth)) >= share
    shift = rng.integers(1, len(LABELS), len(truth)) * wrong
    codes = (np.array([LABELS.index(label) for label in truth]) + shift) % len(LABELS)
    return [LABELS[code] for code in codes]


def _add_up(why):
    assert sum(why[part] or 0 for part in PARTS) == pytest.approx(why["total"], abs=1e-12)


def _macro(truth, said):
    return f1_score(truth, said, average="macro", labels=LABELS, zero_division=0)


def test_lower_confidences_at_equal_thresholds_are_the_model(explain):
    """Thresholds .5 in both, the same top labels, a fifth of them no longer reaches .5."""
    rng = np.random.default_rng(1)
    truth = [LABELS[code] for code in rng.integers(3, size=300)]
    first = make_test(truth, _answer(rng, truth, 0.9), LABELS)
    lower = np.where(np.arange(300)[:, np.newaxis] % 5 == 0, 0.5, 1) * first.scores
    second = replace(first, scores=lower)

    why = explain(first, second)

    at = why["at_threshold/f1_macro"]
    assert at["total"] < -0.05
    assert at["model"] == at["total"]
    assert at["threshold"] == 0
    low, high = at["intervals"]["model"]
    assert low < at["model"] < high < 0
    assert at["intervals"]["threshold"] == [0, 0]
    assert why["aggregate/f1_macro"]["total"] == why["aggregate/f1_macro"]["model"] == 0
    for one in why.values():
        _add_up(one)


def test_few_shared_images_are_not_separable(explain):
    """Equal models of which 10 of 1,990 images were answered by both: nobody can say why."""
    rng = np.random.default_rng(2)
    truth = [LABELS[code] for code in rng.integers(3, size=1990)]
    said = _answer(rng, truth, 0.8)
    names = [f"s3://parts/{i:05}.jpg" for i in range(1990)]
    tests = [
        make_test(
            [truth[i] for i in kept],
            [said[i] for i in kept],
            LABELS,
            images=[names[i] for i in kept],
        )
        for kept in (range(1000), [*range(10), *range(1000, 1990)])
    ]

    why = explain(*tests)

    for one in why.values():
        assert [one[part] for part in PARTS] == [None] * len(PARTS)
        assert set(one["intervals"].values()) == {None}
        assert one["note"].startswith("not separable: 10 images are shared")
        assert one["total"] is not None


def test_corrected_truth_and_a_retrained_model_share_the_change(explain, run_mlrek, tmp_path):
    """The truth of 12 % was corrected and the model learned that: the average of both orders.

    One after the other, each alone costs a tenth of F1 which the other brings back, so that who
    comes first gets the blame. By hand with scikit-learn.
    """
    rng = np.random.default_rng(3)
    new = [LABELS[code] for code in rng.integers(3, size=1000)]
    old = [*_answer(rng, new[:120], 0), *new[120:]]
    said, says = _answer(rng, old, 0.88), _answer(rng, new, 0.89)

    why = explain(make_test(old, said, LABELS), make_test(new, says, LABELS))

    own = why["aggregate/f1_macro"]
    start, truth_first = _macro(old, said), _macro(new, said)
    model_first, end = _macro(old, says), _macro(new, says)
    assert truth_first - start < -0.08
    assert end - model_first > 0.08
    relabelled = ((truth_first - start) + (end - model_first)) / 2
    model = ((end - truth_first) + (model_first - start)) / 2
    assert own["relabelled"] == pytest.approx(relabelled, abs=1e-12)
    assert own["model"] == pytest.approx(model, abs=1e-12)
    for part in ("relabelled", "model"):
        low, high = own["intervals"][part]
        assert low < own[part] < high
        assert high - low < 0.1
    for one in why.values():
        _add_up(one)

    folder = tmp_path / "p"
    shown = run_mlrek("compare", f"{folder}#v1", f"{folder}#v2", "--no-log").stdout
    row = next(line for line in shown.splitlines() if line.startswith("changed truth"))
    assert re.search(rf"\{100 * own['relabelled']:+.2f} \([+-]\d+\.\d to [+-]\d+\.\d\)", row)


def test_how_many_images_would_decide_is_a_range(run_mlrek, tmp_path):
    """300 images, of which 7 % are right for one version alone: 5,492 would tell a true point.

    By `compare` in JSON, on the terminal and in markdown, and by `check`; no word of the side.
    """
    truth = ["bolt"] * 150 + ["nut"] * 150
    other = {"bolt": "nut", "nut": "bolt"}
    v1, v2 = (
        [other[t] if i in wrong else t for i, t in enumerate(truth)]
        for wrong in (range(12), range(12, 21))
    )
    folder = save_project(
        tmp_path / "p", v1=make_test(truth, v1, LABELS[:2]), v2=make_test(truth, v2, LABELS[:2])
    )
    versions = f"{folder}#v1", f"{folder}#v2"
    policy = tmp_path / "p.toml"
    policy.write_text('[[better]]\nmetric = "aggregate/accuracy"\n')

    done = run_mlrek("compare", *versions, "--no-log", "--json")
    shown = run_mlrek("compare", *versions, "--no-log").stdout
    checked = run_mlrek(
        "check", versions[1], "--baseline", versions[0], "--policy", policy, "--json", check=False
    )

    (candidate,) = json.loads(done.stdout)["candidates"]
    low, high = candidate["images_needed_range"]
    assert 300 < low < 5492 < high < 10_000
    assert candidate["images_needed"] == high
    assert re.search(
        r"Estimate: 3,\d00 to 8,\d00 test images would decide a true difference", shown
    )
    decision = json.loads(checked.stdout)
    assert decision["verdict"] == "undecided"
    low, high = decision["images_needed_range"]
    assert 300 < low < 5492 < high < 10_000
    assert decision["images_needed"] == high
    assert "as passed" not in checked.stdout
