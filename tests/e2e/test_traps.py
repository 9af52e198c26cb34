"""Situations in which a team was told yes, and what the gate says now: `check` and `promote`."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from builders.projects import Tested, find_manifest, make_test, save_project, write_manifest

REPOSITORY = Path(__file__).parents[2]
DETECTION = REPOSITORY / "examples" / "detection"
ABOVE_0 = re.compile(r'"confidence":\s*(?!0(?:\.0*)?[,}\]])[0-9.]+')
TWO = ("good", "bad")
ACCURACY = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = {}\n'
CHAMPION = '[baseline]\nversion = "models:/parts@champion"\n'


@dataclass(frozen=True)
class Ended:
    """What both commands said, and what the registry holds then."""

    check: dict
    promote: dict
    codes: tuple[int, int]
    champion: int | None
    statuses: dict[int, str]

    def reasons(self, **wanted: str) -> str:
        """The reasons of the checks that are so."""
        return " | ".join(
            str(c["reason"])
            for c in self.check["checks"]
            if all(c[key] == value for key, value in wanted.items())
        )


@pytest.fixture
def decide(run_mlrek, new_store, tmp_path):
    """Register a project, let v1 be the champion, then check and promote its newest version."""
    from mlflow import MlflowClient

    def run(
        folder: Path,
        policy: str,
        *args: str,
        sync: tuple[str, ...] = (),
        champion: int | None = 1,
        candidate: int = 2,
    ) -> Ended:
        store = ("--tracking-uri", new_store)
        run_mlrek("sync", folder, "--register=parts", "--quiet", *sync, *store)
        client = MlflowClient(new_store, registry_uri=new_store)
        if champion:
            client.set_registered_model_alias("parts", "champion", str(champion))
        path = tmp_path / "policy.toml"
        path.write_text(policy)
        asked = (f"models:/parts/{candidate}", "--policy", path, "--json", *args, *store)
        done = [
            run_mlrek("check", *asked, check=False),
            run_mlrek("promote", *asked, "--yes", check=False),
        ]
        check, promote = (json.loads(d.stdout) if d.stdout else {"said": d.stderr} for d in done)
        number = client.get_registered_model("parts").aliases.get("champion")
        versions = client.search_model_versions("name = 'parts'")
        return Ended(
            check=check,
            promote=promote,
            codes=(done[0].returncode, done[1].returncode),
            champion=int(number) if number else None,
            statuses={int(v.version): v.tags.get("validation_status", "") for v in versions},
        )

    return run


def answer(n: int, n_right: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Truth and predictions of two labels, of which so many are right."""
    generator = np.random.default_rng(seed)
    truth = [TWO[i % 2] for i in range(n)]
    wrong = set(generator.permutation(n)[n_right:].tolist())
    return truth, [TWO[(TWO.index(t) + (i in wrong)) % 2] for i, t in enumerate(truth)]


def save_two(folder: Path, right: tuple[int, int], n: int = 400) -> Path:
    """A project of two versions on the same images."""
    tests = {
        f"v{i + 1}": make_test(*answer(n, count, seed=i), TWO) for i, count in enumerate(right)
    }
    return save_project(folder, **tests)


NO_WORSE = '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.005\n'


def test_an_alias_that_is_misspelt_is_no_first_promotion(decide, tmp_path):
    """Row 1: the champion of .95 keeps its place, and its right name is said."""
    folder = save_two(tmp_path / "p", (380, 120))
    ended = decide(folder, CHAMPION.replace("champion", "champoin") + NO_WORSE)

    assert ended.codes == (4, 4)
    assert ended.champion == 1
    assert "models:/parts@champion" in ended.reasons(metric="same")


@pytest.mark.parametrize(
    "baseline", ["models:/prts@champion", "models:/parts@challenger", "models:/parts/9", "runs:/0f"]
)
def test_a_baseline_that_is_not_there_is_undecided(decide, tmp_path, baseline):
    """Row 1's kind: another model, another alias, a number, a run; with floors that pass."""
    folder = save_two(tmp_path / "p", (380, 390))
    policy = f'[baseline]\nversion = "{baseline}"\n' + NO_WORSE + ACCURACY.format(0.9)
    ended = decide(folder, policy, champion=None)

    assert ended.codes == (4, 4)
    assert ended.champion is None
    assert baseline in ended.reasons(metric="same")


@pytest.mark.parametrize("check", [NO_WORSE, '[[better]]\nmetric = "aggregate/accuracy"\n'])
def test_a_comparison_with_nobody_is_an_invalid_policy(decide, tmp_path, check):
    """Row 2: whatever floors are next to it."""
    ended = decide(save_two(tmp_path / "p", (380, 390)), check + ACCURACY.format(0.1))

    assert ended.codes == (2, 2)
    assert "none is named" in ended.check["said"]
    assert ended.champion == 1


def test_a_first_promotion_needs_a_floor_that_passes(decide, tmp_path):
    """Row 3: with a floor it passes and is called what it is."""
    folder = save_two(tmp_path / "p", (380, 390))
    ended = decide(folder, CHAMPION + NO_WORSE + ACCURACY.format(0.9), champion=None)

    assert ended.codes == (0, 0)
    assert ended.champion == 2
    assert "first promotion" in ended.check["warnings"][0]
    assert "first promotion" in ended.reasons(kind="no_worse", status="ignored")


def test_a_first_promotion_by_comparisons_alone_is_undecided(decide, tmp_path):
    """Row 3: nothing shows that it is any good."""
    folder = save_two(tmp_path / "p", (380, 390))
    ended = decide(folder, CHAMPION + NO_WORSE, champion=None)

    assert ended.codes == (4, 4)
    assert ended.champion is None
    assert any("add a [[floor]]" in warning for warning in ended.check["warnings"])


def test_who_was_promoted_once_makes_no_second_first_promotion(decide, tmp_path, new_store):
    """An alias that was taken away does not open the gate for the next version."""
    from mlflow import MlflowClient

    folder = save_two(tmp_path / "p", (380, 300))
    first = decide(folder, CHAMPION + NO_WORSE + ACCURACY.format(0.5), champion=None, candidate=1)
    client = MlflowClient(new_store, registry_uri=new_store)
    tags = client.get_registered_model("parts").tags
    client.delete_registered_model_alias("parts", "champion")
    second = decide(folder, CHAMPION + NO_WORSE + ACCURACY.format(0.5), champion=None)

    assert first.codes == (0, 0)
    assert "mlrek.promoted.champion" in tags
    assert second.codes == (4, 4)
    assert second.champion is None


def test_the_champion_is_not_asked_again(decide, tmp_path, new_store):
    """Row 19: a job that runs twice ends as the first time, and nothing is written."""
    policy = CHAMPION + '[[better]]\nmetric = "aggregate/accuracy"\n' + ACCURACY.format(0.9)
    folder = save_two(tmp_path / "p", (300, 390))
    first, again = decide(folder, policy), decide(folder, policy, champion=None)

    assert (first.codes, again.codes) == ((0, 0), (0, 0))
    assert (first.check["already_champion"], again.check["already_champion"]) == (False, True)
    assert again.promote["already_champion"]
    assert again.promote["promotion"]["outcome"] == "unchanged"
    assert again.champion == 2
    assert again.statuses[2] == "approved"
    statuses = {c["kind"]: c["status"] for c in again.check["checks"]}
    assert statuses == {"test_set": "ignored", "floor": "passed", "better": "ignored"}


def test_a_champion_that_misses_a_floor_stays_what_it_is(decide, tmp_path):
    """The floors are shown; a status that somebody gave is not touched by a check."""
    folder = save_two(tmp_path / "p", (300, 390))
    ended = decide(folder, ACCURACY.format(0.99), champion=2)

    assert ended.codes == (0, 0)
    assert [c["status"] for c in ended.check["checks"]] == ["failed"]
    assert ended.statuses[2] == "pending"


def test_a_check_of_another_version_leaves_the_champion_alone(decide, tmp_path):
    """Its status is its own."""
    ended = decide(save_two(tmp_path / "p", (380, 120)), CHAMPION + NO_WORSE)

    assert ended.codes == (3, 3)
    assert ended.statuses == {1: "pending", 2: "rejected"}


def test_copies_of_an_image_count_once(decide, tmp_path):
    """Row 9: 169 of 300 images are right; a hundred right ones stand there 31 times."""
    truth, predicted = answer(300, 169)
    right = [i for i in range(300) if truth[i] == predicted[i]][:100]
    order = [*range(300), *(right * 30)]
    copied = make_test(
        [truth[i] for i in order],
        [predicted[i] for i in order],
        TWO,
        images=[f"s3://parts/{i:05}.jpg" for i in order],
    )
    folder = save_project(tmp_path / "p", v1=make_test(truth, predicted, TWO), v2=copied)
    ended = decide(folder, ACCURACY.format(0.9))

    assert ended.codes == (3, 3)
    assert ended.check["checks"][0]["value"] == pytest.approx(169 / 300)
    assert "images_repeated" in [d["kind"] for d in ended.check["doubts"]]


def test_equal_lines_make_nothing_surer(decide, tmp_path):
    """Row 10: 60 images five times each are answered as 60 images."""
    truth, predicted = answer(60, 59)
    names = [f"s3://parts/{i:05}.jpg" for i in range(60)]
    five = make_test(truth * 5, predicted * 5, TWO, images=names * 5)
    folder = save_project(tmp_path / "p", v1=make_test(truth, predicted, TWO), v2=five)
    policy = ACCURACY.format(0.95) + "confidence = 0.95\n"
    ended, once = (decide(folder, policy, champion=None, candidate=n) for n in (2, 1))

    assert ended.codes[0] == once.codes[0] == 4
    keys = ("value", "low", "high")
    assert [ended.check["checks"][0][k] for k in keys] == [once.check["checks"][0][k] for k in keys]


def test_a_truth_that_was_changed_to_the_answers_makes_no_better_version(decide, tmp_path):
    """Row 11: the model is the same; 120 images of 1,000 were relabelled as it answered."""
    truth, predicted = answer(1000, 800)
    wrong = [i for i in range(1000) if truth[i] != predicted[i]][:120]
    edited = [predicted[i] if i in wrong else t for i, t in enumerate(truth)]
    folder = save_project(
        tmp_path / "p", v1=make_test(truth, predicted, TWO), v2=make_test(edited, predicted, TWO)
    )
    policy = CHAMPION + '[test_set]\nsame = "overlapping"\n'
    ended = decide(folder, policy + '[[better]]\nmetric = "aggregate/accuracy"\n')
    (doubt,) = (d for d in ended.check["doubts"] if d["kind"] == "truth_changed")

    assert ended.codes == (4, 4)
    assert (doubt["count"], doubt["of"]) == (120, 1000)


def test_other_images_are_named_as_such(decide, tmp_path):
    """Row 12: `any` lets disjoint sets pass, and the line says that they are."""
    names = [f"s3://parts/other/{i:05}.jpg" for i in range(500)]
    easier = make_test(*answer(500, 490), TWO, images=names)
    folder = save_project(tmp_path / "p", v1=make_test(*answer(400, 300), TWO), v2=easier)
    policy = CHAMPION + '[test_set]\nsame = "any"\n'
    ended = decide(folder, policy + '[[better]]\nmetric = "aggregate/accuracy"\n')
    line = ended.reasons(metric="same", status="passed")

    assert ended.codes == (0, 0)
    assert "none in common" in line
    assert "400 only the baseline's" in line
    assert "500 only the candidate's" in line


def test_a_label_that_was_lost_is_named_where_the_whole_passes(decide, tmp_path):
    """Row 13: as many images are right, but none of the rare label any more."""
    truth = ["rare"] * 20 + ["common"] * 480
    before = ["rare"] * 20 + ["rare"] * 20 + ["common"] * 460
    after = ["common"] * 20 + ["common"] * 480
    labels = ("common", "rare")
    folder = save_project(
        tmp_path / "p", v1=make_test(truth, before, labels), v2=make_test(truth, after, labels)
    )
    policy = CHAMPION + '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.1\n'
    ended = decide(folder, policy)

    assert ended.codes == (0, 0)
    assert any("rare (recall 1 to 0)" in warning for warning in ended.check["warnings"])
    assert "rare (recall 1 to 0)" in ended.reasons(kind="no_worse", status="passed")


def test_another_versions_summary_promotes_nobody(decide, tmp_path):
    """Row 14: the numbers of a better version lie next to the manifest."""
    good, poor = make_test(*answer(400, 399), TWO), make_test(*answer(400, 351), TWO)
    arn = "arn:aws:rekognition:us-east-1:111122223333:project/parts/version/v9/1690479999999"
    borrowed = replace(poor, summary_of=arn, changed={"F1Score": 0.997})
    folder = save_project(tmp_path / "p", v1=good, v2=borrowed)
    ended = decide(folder, '[[floor]]\nmetric = "reported/f1"\nmin = 0.95\n')

    assert ended.codes == (4, 4)
    assert ended.champion == 1


def test_half_a_manifest_promotes_nobody(decide, tmp_path):
    """Row 15: cut at a line's end after 150 of the summary's 300 images."""
    truth, predicted = answer(150, 148)
    cut = make_test(truth, predicted, TWO, said_images=300)
    folder = save_project(tmp_path / "p", v1=make_test(*answer(300, 200), TWO), v2=cut)
    ended = decide(folder, ACCURACY.format(0.9))

    assert ended.codes == (4, 4)
    assert "images_missing" in ended.reasons(kind="floor")


def break_lines(manifest: Path, n: int) -> None:
    """Half a line in place of each image that is wrong."""
    lines = manifest.read_text().splitlines()
    wrong = [i for i, line in enumerate(lines) if '"is-false-positive": true' in line][:n]
    for i in wrong:
        lines[i] = lines[i][: len(lines[i]) // 2]
    manifest.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(("accept", "code"), [("", 4), ('accept = ["lines_skipped"]\n', 0)])
def test_lines_that_were_skipped_promote_nobody_unless_accepted(decide, tmp_path, accept, code):
    """Row 16: the broken lines are those of the images that are wrong."""
    tests = [make_test(*answer(300, count), TWO) for count in (200, 277)]
    folder = save_project(tmp_path / "p", v1=tests[0], v2=tests[1])
    break_lines(find_manifest(folder, "v2"), 23)
    policy = ACCURACY.format(0.9) + f"[test_set]\n{accept}min_images = 100\n"
    ended = decide(folder, policy, sync=("--skip-bad-lines",))

    assert ended.codes == (code, code)
    assert "lines_skipped" in [d["kind"] for d in ended.check["doubts"]]


def test_other_rules_of_prediction_do_not_compare(decide, tmp_path, run_mlrek, new_store):
    """Row 8: one model, judged by its thresholds first and by its top label later."""
    truth, predicted = answer(400, 380)
    low = replace(make_test(truth, predicted, TWO), thresholds=np.array([0.95, 0.5]))
    folder = save_project(tmp_path / "p", v1=low, v2=low)
    store = ("--tracking-uri", new_store, "--register=parts", "--quiet")
    run_mlrek("sync", folder, "--version", "v1", "--prediction-rule", "threshold", *store)
    policy = CHAMPION + '[[better]]\nmetric = "aggregate/accuracy"\n'
    ended = decide(folder, policy, sync=("--version", "v2"))

    assert ended.codes == (4, 4)
    assert "other_rule" in ended.reasons(kind="better")


def test_a_truth_that_was_changed_makes_none_better_on_whole_test_sets(decide, tmp_path):
    """Row 11's kind: with `any` each version keeps its own images, but not its own truth."""
    truth, predicted = answer(1000, 800)
    wrong = [i for i in range(1000) if truth[i] != predicted[i]][:120]
    edited = [predicted[i] if i in wrong else t for i, t in enumerate(truth)]
    folder = save_project(
        tmp_path / "p", v1=make_test(truth, predicted, TWO), v2=make_test(edited, predicted, TWO)
    )
    policy = CHAMPION + '[test_set]\nsame = "any"\n'
    ended = decide(folder, policy + '[[better]]\nmetric = "aggregate/accuracy"\n')

    assert ended.codes == (4, 4)
    assert "120 of these with another truth and left out" in ended.reasons(metric="same")


def test_images_of_another_truth_make_no_test_set_larger(decide, tmp_path):
    """`min_images` counts what is compared: 30 of 400 shared images."""
    truth, predicted = answer(400, 390)
    other = [TWO[1 - TWO.index(t)] if i >= 30 else t for i, t in enumerate(truth)]
    answers = [TWO[1 - TWO.index(p)] if i >= 30 else p for i, p in enumerate(predicted)]
    folder = save_project(
        tmp_path / "p", v1=make_test(truth, predicted, TWO), v2=make_test(other, answers, TWO)
    )
    policy = CHAMPION + '[test_set]\nsame = "overlapping"\nmin_images = 200\n'
    no_worse = '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.5\n'
    ended = decide(folder, policy + no_worse)

    assert ended.codes == (4, 4)
    assert "has 30 images" in ended.reasons(metric="min_images")


def fit_thresholds(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The threshold of each label with the best F1 on these very images."""
    best = []
    for code in range(scores.shape[1]):
        is_true = truth == code
        f1 = {
            float(t): 2
            * (is_true & (scores[:, code] >= t)).sum()
            / (is_true.sum() + (scores[:, code] >= t).sum())
            for t in scores[is_true, code]
        }
        best.append(max(f1, key=lambda t: f1[t]))
    return np.array(best)


def score(n: int, labels: tuple[str, ...], *, skill: float, seed: int = 0):
    """Truth codes, and confidences that tell it more or less."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % len(labels)
    scores = generator.random((n, len(labels)))
    scores[np.arange(n), truth] += skill
    return truth, np.round(scores / (1 + skill), 5)


def test_thresholds_that_were_chosen_here_make_no_better_version(decide, tmp_path):
    """Row 6: the same model twice; the newer one has the thresholds of best F1 on this test set."""
    labels = tuple("abcde")
    truth, scores = score(200, labels, skill=0.3)
    plain = replace(
        make_test([labels[code] for code in truth], ["a"] * 200, labels, is_complete=True),
        scores=scores,
    )
    fitted = replace(plain, thresholds=fit_thresholds(truth, scores))
    folder = save_project(tmp_path / "p", v1=plain, v2=fitted)
    ended = decide(folder, CHAMPION + '[[better]]\nmetric = "at_threshold/f1_macro"\n')
    reason = ended.reasons(kind="better")

    assert ended.codes == (4, 4)
    assert "only thresholds differ" in reason
    assert "chosen on this very test set" in reason


def photograph(n_objects: int, lucky: set[int]) -> Tested:
    """25 photographs of each object, which are right all together."""
    truth, predicted, images = [], [], []
    for thing in range(n_objects):
        for i in range(25):
            truth.append(TWO[thing % 2])
            predicted.append(TWO[thing % 2 if thing in lucky else 1 - thing % 2])
            images.append(f"s3://parts/object-{thing:02}/{i:02}.jpg")
    return make_test(truth, predicted, TWO, images=images)


@pytest.mark.parametrize("group_by", ["", "object-[0-9]+", "[0-9]+[.]jpg", "object"])
def test_photographs_of_one_object_are_no_independent_luck(decide, tmp_path, group_by):
    """Row 7: one object more is right. Groups that are none do not answer the doubt either."""
    folder = save_project(
        tmp_path / "p",
        v1=photograph(24, set(range(16))),
        v2=photograph(24, set(range(17))),
    )
    grouping = f'[test_set]\ngroup_by = "{group_by}"\n' if group_by else ""
    better = CHAMPION + grouping + '[[better]]\nmetric = "aggregate/accuracy"\n'
    ended = decide(folder, better)

    assert ended.codes == (4, 4)
    assert group_by or "grouped" in ended.reasons(kind="better")


def test_a_floor_of_photographs_of_few_objects_is_not_sure(decide, tmp_path):
    """Row 7's kind: 23 of 24 objects are right; as single images that would be .96 for sure."""
    folder = save_project(
        tmp_path / "p", v1=photograph(24, set(range(16))), v2=photograph(24, set(range(23)))
    )
    floor = ACCURACY.format(0.93) + "confidence = 0.95\n"

    assert decide(folder, floor).codes == (4, 4)
    assert decide(folder, floor, "--group-by", "object-[0-9]+").codes == (4, 4)


def test_one_of_fifty_labels_is_low_by_chance(decide, tmp_path):
    """Row 20: each label has 20 images; 11 of one label's are right, 16 of any other's."""
    labels = tuple(f"label {i:02}" for i in range(50))
    truth = [labels[i // 20] for i in range(1000)]
    n_right = {labels[0]: 11}
    predicted = [
        t if i % 20 < n_right.get(t, 16) else labels[(i // 20 + 1) % 50]
        for i, t in enumerate(truth)
    ]
    folder = save_project(tmp_path / "p", v1=make_test(truth, predicted, labels))
    policy = '[[floor]]\nmetric = "label_recall/*"\nmin = 0.8\nconfidence = 0.95\n'
    ended = decide(folder, policy, champion=None, candidate=1)
    checks = {c["label"]: c for c in ended.check["checks"]}

    assert ended.codes == (4, 4)
    assert checks["label 00"]["status"] == "undecided"
    assert checks["label 00"]["high"] < 0.8
    assert "of 50 labels" in checks["label 00"]["reason"]


def test_an_average_below_its_floor_does_not_pass(decide, tmp_path):
    """Row 4: 100 labels on 300 images, the floor a little above the value."""
    labels = tuple(f"label {i:02}" for i in range(100))
    truth, scores = score(300, labels, skill=0.4)
    tested = replace(
        make_test([labels[code] for code in truth], [labels[0]] * 300, labels, is_complete=True),
        scores=scores,
    )
    folder = save_project(tmp_path / "p", v1=tested)
    name = "aggregate/average_precision_macro"
    floor = f'[[floor]]\nmetric = "{name}"\nmin = {{}}\nconfidence = 0.95\n'
    first = decide(folder, floor.format(0.99), champion=None, candidate=1)
    value = first.check["checks"][0]["value"]
    ended = decide(folder, floor.format(value + 0.0021), champion=None, candidate=1)

    assert first.codes[0] == 3
    assert ended.codes[0] in {3, 4}
    assert ended.champion is None


def test_a_calibrated_model_does_not_fail_by_chance(decide, tmp_path):
    """Row 5: what 200 images show of a calibration error is mostly chance."""
    labels = tuple(f"label {i:02}" for i in range(50))
    generator = np.random.default_rng(5)
    truth = np.arange(200) % 50
    sure = generator.uniform(0.4, 0.98, 200)
    is_right = generator.random(200) < sure
    scores = np.full((200, 50), 0.001)
    scores[np.arange(200), np.where(is_right, truth, (truth + 1) % 50)] = sure
    tested = replace(
        make_test([labels[code] for code in truth], [labels[0]] * 200, labels),
        scores=np.round(scores, 5),
    )
    folder = save_project(tmp_path / "p", v1=tested)
    floor = '[[floor]]\nmetric = "aggregate/ece"\nmax = {}\n'
    plain = decide(folder, floor.format(0.0001), champion=None, candidate=1)
    limit = plain.check["checks"][0]["value"] + 0.0027
    ended = decide(folder, floor.format(limit) + "confidence = 0.95\n", champion=None, candidate=1)

    assert plain.codes[0] == 3
    assert ended.codes[0] in {0, 4}
    assert "above the maximum" not in ended.reasons(kind="floor")


def test_a_version_may_be_better_calibrated(run_mlrek, tmp_path):
    """Both are right on 240 of 300 images; v1 is 98 % sure of each, v2 81 % sure."""
    truth = [TWO[i % 2] for i in range(300)]
    said = [TWO[(i + (i % 5 == 0)) % 2] for i in range(300)]
    sure = {}
    for version, share in (("v1", 0.98), ("v2", 0.81)):
        tested = make_test(truth, said, TWO)
        sure[version] = replace(tested, scores=np.where(tested.scores > 0.5, share, 1 - share))
    folder = save_project(tmp_path / "p", **sure)
    policy = tmp_path / "policy.toml"
    policy.write_text('[[better]]\nmetric = "aggregate/ece"\n')
    asked = ("--policy", policy, "--json")
    old, new = f"{folder}#v1", f"{folder}#v2"
    done = run_mlrek("check", new, "--baseline", old, *asked, check=False)
    turned = run_mlrek("check", old, "--baseline", new, *asked, check=False)
    check = json.loads(done.stdout)["checks"][-1]

    assert (done.returncode, turned.returncode) == (0, 3)
    assert check["low"] < check["value"] - check["baseline"] < check["high"] < -0.1
    assert "aggregate/ece itself is 0.18 and now 0.01" in check["reason"]


def test_boxes_of_one_confidence_have_one_precision_and_promote_nobody(decide, run_mlrek, tmp_path):
    """Row 22: every command ranks them alike, and the ranking is doubted."""
    folder = Path(shutil.copytree(DETECTION, tmp_path / "p"))
    for manifest in folder.glob("versions/*/TestingGroundTruth-*"):
        text = manifest.read_text()
        manifest.write_text(ABOVE_0.sub('"confidence": 0.9', text))
    names = sorted(path.name for path in folder.glob("versions/*"))
    shown = json.loads(run_mlrek("show", f"{folder}#{names[-1]}", "--json").stdout)
    ap = '[[{}]]\nmetric = "aggregate/ap"\n'
    policy = CHAMPION + ap.format("floor") + "min = 0.0001\n" + ap.format("no_worse")
    ended = decide(folder, policy + "margin = 0.9\n", candidate=len(names))
    values = {c["value"] for c in ended.check["checks"] if c["metric"] == "aggregate/ap"}

    assert ended.codes == (4, 4)
    assert values == {shown["aggregate"]["ap"]["value"]}
    assert "confidence_constant" in ended.reasons(kind="floor")


def test_an_ordinary_project_passes(decide, tmp_path):
    """Row 26: a folder a label, labels of different difficulty, records that are partial."""
    labels = ("easy", "fair", "hard")
    generator = np.random.default_rng(26)
    truth = [labels[i % 3] for i in range(900)]
    images = [f"s3://parts/{label}/{i:04}.jpg" for i, label in enumerate(truth)]
    tests = {}
    for version, skills in (("v1", (0.95, 0.9, 0.84)), ("v2", (0.99, 0.97, 0.94))):
        missed = generator.random(900) > np.array([skills[labels.index(t)] for t in truth])
        predicted = [
            labels[(labels.index(t) + 1) % 3] if is_missed else t
            for t, is_missed in zip(truth, missed.tolist(), strict=True)
        ]
        tests[version] = make_test(truth, predicted, labels, images=images)
    policy = (
        (REPOSITORY / "examples" / "policy.toml").read_text().replace("/digits@", "/parts@")
    ).replace('metric = "aggregate/ece"\nmax = 0.05', 'metric = "aggregate/ece"\nmax = 0.2')
    sure = '\n[[floor]]\nmetric = "label_recall/*"\nmin = 0.8\nconfidence = 0.95\n'
    ended = decide(save_project(tmp_path / "p", **tests), policy + sure)

    assert ended.codes == (0, 0), ended.check["checks"]
    assert ended.champion == 2


def test_an_ordinary_detection_passes(run_mlrek, tmp_path):
    """Row 26: the shipped example, by its values, by its intervals and against itself before."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[floor]]\nmetric = "aggregate/ap"\nmin = 0.1\nconfidence = 0.95\n'
        '[[floor]]\nmetric = "aggregate/ar_100"\nmin = 0.1\n'
        '[[floor]]\nmetric = "label_recall/*"\nmin = 0.05\n'
    )
    done = run_mlrek("check", f"{DETECTION}#v1-linear", "--policy", policy, check=False)

    assert done.returncode == 0, done.stdout


def test_a_replaced_evaluation_is_said(decide, run_mlrek, tmp_path, new_store):
    """The registered version keeps the numbers of a run that is no longer its version's newest."""
    from mlflow import MlflowClient

    store = ("--tracking-uri", new_store, "--register=parts", "--quiet")
    folder = save_two(tmp_path / "p", (380, 390))
    run_mlrek("sync", folder, *store)
    client = MlflowClient(new_store, registry_uri=new_store)
    client.set_registered_model_alias("parts", "staging", "2")  # so that its run is kept
    find_manifest(folder, "v2").write_bytes(write_manifest(make_test(*answer(400, 392), TWO)))
    run_mlrek("sync", folder, *store)
    policy = tmp_path / "policy.toml"
    policy.write_text(ACCURACY.format(0.9))
    asked = ("--policy", policy, "--tracking-uri", new_store, "--json")
    found = json.loads(run_mlrek("check", "models:/parts/2", *asked).stdout)

    assert found["checks"][0]["value"] == 390 / 400
    assert "superseded" in [d["kind"] for d in found["doubts"]]


def test_a_project_that_is_logged_but_not_registered_has_its_first_promotion(
    run_mlrek, new_store, tmp_path
):
    """The store knows the project, so its registry is the right one; a slip of the name is told."""
    folder = save_two(tmp_path / "p", (380, 390))
    policy = tmp_path / "policy.toml"
    policy.write_text(CHAMPION + NO_WORSE + ACCURACY.format(0.5))
    asked = (f"{folder}#v2", "--policy", policy, "--tracking-uri", new_store)
    run_mlrek("sync", folder, "--tracking-uri", new_store)
    done = run_mlrek("check", *asked)
    run_mlrek("sync", folder, "--register", "--tracking-uri", new_store)
    policy.write_text(policy.read_text().replace("models:/parts@", "models:/prats@"))
    misspelt = run_mlrek("check", *asked, check=False)

    assert "first promotion: the registry has no model 'parts' yet" in " ".join(done.stdout.split())
    assert misspelt.returncode == 4
    assert "models:/parts@champion" in misspelt.stdout


def test_another_store_is_no_first_promotion(run_mlrek, new_store, tmp_path):
    """A registry that knows no such model is a slip of the address, not the beginning."""
    folder = save_two(tmp_path / "p", (380, 390))
    policy = tmp_path / "policy.toml"
    policy.write_text(CHAMPION + NO_WORSE + ACCURACY.format(0.5))
    asked = (f"{folder}#v2", "--policy", policy, "--tracking-uri", new_store)
    done = run_mlrek("check", *asked, check=False)

    assert done.returncode == 4
    assert "has no model 'parts'" in done.stdout
