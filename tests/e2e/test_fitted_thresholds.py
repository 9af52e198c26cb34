"""Thresholds that were chosen on the test set, and images of one object, from sync to promote."""

import json

import numpy as np
import pytest
from builders import projects
from builders.projects import make_test, save_project

LABELS = ("a", "b", "c", "d")
CHAMPION = '[baseline]\nversion = "models:/parts@champion"\n'
BETTER = '[[better]]\nmetric = "{}"\n'
FLOOR = '[[floor]]\nmetric = "{}"\nmin = {}\n'


@pytest.fixture
def decide(run_mlrek, new_store, tmp_path):
    """Register a project, let v1 be the champion, then check and promote v2: codes and answer."""
    from mlflow import MlflowClient

    def run(folder, policy, *args):
        store = ("--tracking-uri", new_store)
        run_mlrek("sync", folder, "--register=parts", "--quiet", *store)
        client = MlflowClient(new_store, registry_uri=new_store)
        client.set_registered_model_alias("parts", "champion", "1")
        path = tmp_path / "policy.toml"
        path.write_text(policy)
        asked = ("models:/parts/2", "--policy", path, "--json", *args, *store)
        check = run_mlrek("check", *asked, check=False)
        promote = run_mlrek("promote", *asked, "--yes", check=False)
        return (check.returncode, promote.returncode), json.loads(check.stdout)

    return run


def draw(n, *, seed, sharpness=1.5):
    """Truth and confidences of a model of four labels, one true label an image."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, len(LABELS), n)
    logits = rng.normal(size=(n, len(LABELS)))
    logits[np.arange(n), true] += sharpness
    scores = np.exp(logits)
    return true, (scores / scores.sum(axis=1, keepdims=True)).round(6)


def choose_thresholds(true, scores):
    """The threshold of best F1 of each label, by trying all."""
    best = []
    for label, own in enumerate(scores.T):
        is_true = true == label
        scored = [
            (2 * np.sum(is_true & (own >= t)) / (is_true.sum() + np.sum(own >= t)), t)
            for t in np.unique(own)
        ]
        best.append(max(scored)[1])
    return np.array(best)


def build(true, scores, thresholds=None, *, is_complete=True, images=None):
    """What a version's test is."""
    return projects.Tested(
        images=images or [f"s3://parts/{i:05}.jpg" for i in range(len(true))],
        truth=[LABELS[i] for i in true],
        labels=LABELS,
        scores=scores,
        thresholds=thresholds,
        is_complete=is_complete,
    )


def find_check(answer, kind):
    """The first check of a kind."""
    return next(check for check in answer["checks"] if check["kind"] == kind)


def test_thresholds_that_were_fitted_here_make_no_better_version(decide, tmp_path):
    """Row 6: the same model twice; v2's thresholds have the best F1 here, v1's are .5."""
    true, scores = draw(300, seed=1)
    folder = save_project(
        tmp_path / "p",
        v1=build(true, scores),
        v2=build(true, scores, choose_thresholds(true, scores)),
    )

    codes, answer = decide(folder, CHAMPION + BETTER.format("at_threshold/f1_macro"))

    check = find_check(answer, "better")
    assert codes == (4, 4)
    assert check["status"] == "undecided"
    assert check["baseline"] == check["value"]
    assert "only thresholds differ between the versions" in check["reason"]
    assert "chosen on this very test set" in check["reason"]


def test_a_better_model_is_better_at_cross_fitted_thresholds(decide, tmp_path):
    """Where the model itself is better, the cross-fitted values show it."""
    true, scores = draw(600, seed=2, sharpness=1.0)
    same, better = draw(600, seed=2, sharpness=3.0)
    assert same.tolist() == true.tolist()
    folder = save_project(
        tmp_path / "p",
        v1=build(true, scores, choose_thresholds(true, scores)),
        v2=build(true, better, choose_thresholds(true, better)),
    )

    codes, answer = decide(folder, CHAMPION + BETTER.format("at_threshold/f1_macro"))

    assert codes == (0, 0)
    assert "cross-fitted" in find_check(answer, "better")["reason"]


@pytest.mark.parametrize("metric", ["at_threshold/f1_macro", "label_at_threshold_f1/a"])
def test_a_floor_reads_the_cross_fitted_value(decide, tmp_path, metric):
    """Between the two values: on its own images it would pass, on others it would not."""
    true, scores = draw(120, seed=3)
    thresholds = choose_thresholds(true, scores)
    folder = save_project(
        tmp_path / "p", v1=build(true, scores), v2=build(true, scores, thresholds)
    )
    own = [
        2 * np.sum((true == i) & (s >= t)) / (np.sum(true == i) + np.sum(s >= t))
        for i, (s, t) in enumerate(zip(scores.T, thresholds, strict=True))
    ]
    best = own[0] if metric.endswith("/a") else np.mean(own)

    codes, answer = decide(folder, FLOOR.format(metric, round(best - 0.001, 4)))

    check = find_check(answer, "floor")
    assert codes == (3, 3)
    assert check["value"] < best
    assert "cross-fitted" in check["reason"]

    accepted = '[test_set]\naccept = ["thresholds_fitted"]\n'
    codes, answer = decide(folder, accepted + FLOOR.format(metric, round(best - 0.001, 4)))

    check = find_check(answer, "floor")
    assert codes == (0, 0)
    assert check["value"] == pytest.approx(best, abs=1e-12)


ACCEPT = 'accept = ["thresholds_fitted", "records_partial"]\n'


@pytest.mark.parametrize(("accept", "code"), [("", 4), (ACCEPT, 0)])
@pytest.mark.parametrize("metric", ["at_threshold/f1_macro", "reported/f1"])
def test_partial_records_stop_what_reads_fitted_thresholds(decide, tmp_path, metric, accept, code):
    """Without the confidence of every label nothing can stand in; the policy may accept it."""
    true, scores = draw(300, seed=4, sharpness=6.0)
    tested = build(true, scores, is_complete=False)
    folder = save_project(tmp_path / "p", v1=tested, v2=tested)
    policy = f"[test_set]\nmin_images = 100\n{accept}" + FLOOR.format(metric, 0.5)

    codes, answer = decide(folder, policy)

    assert codes == (code, code), [c["reason"] for c in answer["checks"]]
    assert "thresholds_fitted" in [doubt["kind"] for doubt in answer["doubts"]]


def test_an_ordinary_project_of_top_labels_passes(decide, tmp_path):
    """Row 26: floors on aggregates and recalls, records partial, one folder a label."""
    true, scores = draw(400, seed=5, sharpness=6.0)
    images = [f"s3://parts/{LABELS[label]}/{i:05}.jpg" for i, label in enumerate(true)]
    tested = build(true, scores, is_complete=False, images=images)
    folder = save_project(tmp_path / "p", v1=tested, v2=tested)
    policy = FLOOR.format("aggregate/f1_macro", 0.9) + FLOOR.format("label_recall/*", 0.8)

    codes, _ = decide(folder, policy)

    assert codes == (0, 0)


def test_photographs_of_one_object_are_no_independent_evidence(decide, tmp_path):
    """Row 7: 20 objects with 25 photographs; without their names stopped, with them undecided."""
    truth = [LABELS[(i // 25) % 2] for i in range(500)]
    wrong = {LABELS[0]: LABELS[1], LABELS[1]: LABELS[0]}
    images = [f"s3://parts/object-{i // 25:02}/{i % 25:02}.jpg" for i in range(500)]

    def answer(*objects, luck=0):
        missed = {i for i in range(500) if i // 25 in objects} - set(range(luck))
        said = [wrong[t] if i in missed else t for i, t in enumerate(truth)]
        return make_test(truth, said, LABELS, images=images)

    folder = save_project(tmp_path / "p", v1=answer(0, 3, 6, 9), v2=answer(0, 3, 6, 9, luck=24))
    policy = CHAMPION + BETTER.format("aggregate/accuracy")

    codes, told = decide(folder, policy)
    doubt = next(d for d in told["doubts"] if d["kind"] == "grouped")
    pattern = doubt["text"].partition("--group-by '")[2].partition("'")[0]
    named, _ = decide(folder, policy, "--group-by", pattern)

    assert codes == (4, 4)
    assert "grouped" in find_check(told, "better")["reason"]
    assert named == (4, 4)
