"""Situations in which a team was told yes, and what the gate says now: `check` and `promote`."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from builders.projects import find_manifest, make_test, save_project

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
    """Row 2: whatever floors stand beside it."""
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
    """Row 14: the numbers of a better version lie beside the manifest."""
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
