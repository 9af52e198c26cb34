"""What weakens a comparison, through `mlrek compare --json`, and how its numbers are judged."""

import json

import pytest
from builders.projects import find_manifest, make_test, save_project

TWO = ("good", "bad")


def _answer(n, n_right):
    """Truth and answers of `n` images, half of them bad, of which the first ones are right."""
    truth = [TWO[i % 2] for i in range(n)]
    other = {"good": "bad", "bad": "good"}
    return truth, [t if i < n_right else other[t] for i, t in enumerate(truth)]


@pytest.fixture
def compare(run_mlrek):
    """The candidate's part of the document."""

    def run(folder, *args):
        done = run_mlrek("compare", f"{folder}#v1", f"{folder}#v2", "--no-log", "--json", *args)
        (candidate,) = json.loads(done.stdout)["candidates"]
        return candidate

    return run


def _find(candidate, name, label=None, scope="shared"):
    (row,) = (
        r
        for r in candidate["metrics"]
        if (r["name"], r["label"], r["scope"]) == (name, label, scope)
    )
    return row


def _doubts(candidate, kind):
    return [d for d in candidate["doubts"] if d["kind"] == kind]


def test_images_with_another_truth_are_left_out_and_counted(compare, run_mlrek, tmp_path):
    """The model is the same: on the 88 images with one truth nothing differs."""
    truth, answers = _answer(100, 80)
    edited = [*truth[:88], *answers[88:]]
    folder = save_project(
        tmp_path / "p", v1=make_test(truth, answers, TWO), v2=make_test(edited, answers, TWO)
    )

    candidate = compare(folder)

    (doubt,) = _doubts(candidate, "truth_changed")
    assert (doubt["side"], doubt["count"], doubt["of"]) == (None, 12, 100)
    assert doubt["effect"] == "said"
    shown = run_mlrek("compare", f"{folder}#v1", f"{folder}#v2", "--no-log")
    assert "12 of 100 shared images was changed" in shown.stderr
    assert "12 relabelled and left out" in shown.stdout
    accuracy = _find(candidate, "aggregate/accuracy")
    assert (accuracy["baseline"], accuracy["candidate"]) == (80 / 88, 80 / 88)
    assert (accuracy["judgement"], accuracy["p"]) == ("unchanged", 1)
    whole = _find(candidate, "aggregate/accuracy", scope="whole")
    assert (whole["baseline"], whole["candidate"]) == (0.8, 0.92)
    assert whole["low"] < 0 < whole["high"]
    assert whole["judgement"] == "undecided"
    why = candidate["why"]["aggregate/f1_macro"]
    parts = ("label_set", "test_set", "relabelled", "model", "threshold", "unexplained")
    assert sum(why[part] for part in parts) == pytest.approx(why["total"], abs=1e-12)
    assert (why["model"], why["relabelled"]) == (0, pytest.approx(why["total"], abs=1e-12))


def test_a_doubt_says_whose_it_is(compare, tmp_path):
    """A manifest with fewer images than its summary, and one that repeats some of them."""
    half = make_test(*_answer(100, 80), TWO, said_images=200)
    folder = save_project(tmp_path / "p", v1=half, v2=make_test(*_answer(100, 90), TWO))
    manifest = find_manifest(folder, "v2")
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([*lines, *lines[:7]]))

    candidate = compare(folder)

    (missing,) = _doubts(candidate, "images_missing")
    assert (missing["side"], missing["count"], missing["of"]) == ("baseline", 100, 200)
    (repeated,) = _doubts(candidate, "images_repeated")
    assert (repeated["side"], repeated["count"], repeated["of"]) == ("candidate", 7, 100)
    assert candidate["test_set"]["duplicated"] == 7
    assert _find(candidate, "aggregate/accuracy")["candidate"] == 0.9


def test_groups_are_the_units_of_every_interval(compare, tmp_path):
    """25 objects on four images each, of which all are right or all wrong: p is null."""
    names = [f"s3://parts/{i // 4:02}/{i}.jpg" for i in range(100)]
    folder = save_project(
        tmp_path / "p",
        v1=make_test(*_answer(100, 60), TWO, images=names),
        v2=make_test(*_answer(100, 76), TWO, images=names),
    )

    plain = compare(folder)
    grouped = compare(folder, "--group-by", "/([0-9]+)/")

    assert _find(plain, "aggregate/accuracy")["judgement"] == "better"
    for row in grouped["metrics"]:
        assert row["p"] is None, row
    for name in ("aggregate/accuracy", "aggregate/f1_macro"):
        alone, together = _find(plain, name), _find(grouped, name)
        assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_a_label_is_judged_with_all_others(compare, tmp_path):
    """Each of 20 labels is told apart by Holm, and says how."""
    labels = tuple(f"l{i:02}" for i in range(20))
    truth = [labels[i % 20] for i in range(400)]
    lost = [labels[1] if t == labels[0] else t for t in truth]
    slipped = [
        labels[3] if t == labels[2] and i < 120 else a
        for i, (t, a) in enumerate(zip(truth, lost, strict=True))
    ]
    folder = save_project(
        tmp_path / "p",
        v1=make_test(truth, truth, labels),
        v2=make_test(truth, slipped, labels),
    )

    candidate = compare(folder)

    lost = _find(candidate, "label_recall", "l00")
    assert (lost["judgement"], lost["candidate"]) == ("worse", 0)
    assert lost["p_adjusted"] == pytest.approx(20 * 2**-20, rel=1e-9)
    # 6 of 20 images: 2^-6, which the 18 labels that are left raise above 5 %.
    slipped = _find(candidate, "label_recall", "l02")
    assert slipped["p"] == pytest.approx(2**-6)
    assert slipped["judgement"] == "undecided"
    assert _find(candidate, "label_recall", "l04")["judgement"] == "unchanged"
