"""`mlrek check` as a process, on registered versions of the shipped example."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from builders.projects import make_test, save_project

REPOSITORY = Path(__file__).parents[2]
POLICY = REPOSITORY / "examples" / "policy.toml"
VERSIONS = ("v1-naive-bayes", "v2-linear", "v3-neighbours", "v4-new-split")


@pytest.fixture(scope="module")
def registered(tmp_path_factory, digits, digits_synced):
    """A store with the four versions; v2 is the champion of `digits`, `empty` has no alias."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{shutil.copy(digits_synced, tmp_path_factory.mktemp('check'))}"
    client = MlflowClient(uri, registry_uri=uri)
    (experiment,) = client.search_experiments(filter_string="name = 'mlrek/digits'")
    found = client.search_runs([experiment.experiment_id])
    runs = {run.info.run_name: run.info.run_id for run in found}
    for name in ("digits", "empty"):
        client.create_registered_model(name)
        for version in VERSIONS:
            client.create_model_version(name, f"runs:/{runs[version]}/model", runs[version])
    client.set_registered_model_alias("digits", "champion", "2")
    return SimpleNamespace(uri=uri, runs=runs, client=client)


@pytest.fixture
def check(run_mlrek, registered):
    """Run `mlrek check … --json` in that store: the process and its document."""

    def run(candidate, *args, policy=POLICY, env=None):
        args = ("check", candidate, "--policy", policy, "--tracking-uri", registered.uri, *args)
        done = run_mlrek(*args, "--json", check=False, env=env)
        return done, json.loads(done.stdout) if done.stdout else None

    return run


@pytest.mark.parametrize(
    ("number", "code", "verdict", "tag"),
    [("3", 0, "passed", "approved"), ("1", 3, "failed", "rejected"), ("4", 4, "undecided", None)],
)
def test_a_registered_version_against_the_champion(check, registered, number, code, verdict, tag):
    """Better: 0; worse: 3; on another test set: 4. The registry and the run keep the answer."""
    done, found = check(f"models:/digits/{number}")
    run_id = registered.runs[VERSIONS[int(number) - 1]]
    kept = Path(registered.client.download_artifacts(run_id, "check/policy.toml.json"))

    assert (done.returncode, found["verdict"]) == (code, verdict), done.stderr
    assert found["candidate"]["run_id"] == run_id
    assert found["baseline"]["version"] == "v2-linear"
    assert json.loads(kept.read_text()) == found
    tags = registered.client.get_model_version("digits", number).tags
    assert tags["validation_status"] == (tag or "undecided")


def test_a_byte_order_mark_is_no_part_of_a_policy(check, tmp_path):
    """Notepad and PowerShell write one."""
    marked = tmp_path / "policy.toml"
    marked.write_bytes(b"\xef\xbb\xbf" + POLICY.read_bytes())
    done, found = check("models:/digits/3", policy=marked)

    assert (done.returncode, found["verdict"]) == (0, "passed"), done.stderr


def test_numbers_and_intervals_agree_with_the_run(check, registered):
    """A floor shows what MLflow shows; without a confidence no interval is claimed."""
    _, found = check("models:/digits/3")
    checks = {(c["kind"], c["metric"], c["label"]): c for c in found["checks"]}
    metrics = registered.client.get_run(registered.runs["v3-neighbours"]).data.metrics
    floor = checks["floor", "aggregate/f1_macro", None]

    assert floor["value"] == pytest.approx(metrics["aggregate/f1_macro"], abs=1e-12)
    assert floor["low"] == pytest.approx(metrics["interval/f1_macro_low"], abs=1e-12)
    recall = checks["floor", "label_recall", "eight"]
    assert recall["value"] == pytest.approx(metrics["label_recall/eight"], abs=1e-12)
    assert recall["low"] is None


def test_another_test_set_says_what_would_change_the_answer(check):
    """Counts of images, the command for your own test set, and no way around it."""
    done, found = check("models:/digits/4", "--undecided", "pass")
    same = found["checks"][0]

    assert done.returncode == 4
    assert (same["metric"], same["status"]) == ("same", "undecided")
    assert "150 shared" in same["reason"]
    assert "mlrek evaluate" in same["reason"]
    relative = [c for c in found["checks"] if c["kind"] in {"no_worse", "better"}]
    assert {c["status"] for c in relative} == {"undecided"}


def test_without_the_alias_only_floors_are_checked(check):
    """It says so; a floor can still fail."""
    for number, code in (("3", 0), ("1", 3)):
        done, found = check(f"models:/empty/{number}", "--baseline", "models:/empty@champion")
        relative = [c for c in found["checks"] if c["kind"] in {"no_worse", "better"}]

        assert done.returncode == code
        assert {c["status"] for c in relative} == {"ignored"}
        assert found["baseline"] is None
        assert "first promotion" in found["warnings"][0]
        assert "models:/empty@champion does not exist yet" in found["warnings"][0]
        assert "models:/empty@champion does not exist yet" in done.stderr


def test_the_alias_of_another_model_that_is_not_there_is_no_first_promotion(check):
    """A slip of the pen in the policy must not leave floors alone."""
    done, found = check("models:/digits/3", "--baseline", "models:/dgits@champion")
    relative = [c for c in found["checks"] if c["kind"] in {"no_worse", "better"}]

    assert done.returncode == 4
    assert {c["status"] for c in relative} == {"undecided"}
    assert "the candidate is a version of models:/digits" in found["checks"][0]["reason"]


def test_a_numbered_baseline_that_is_gone_is_undecided(check):
    """It was there once: that it is not is no first promotion. What there is is named."""
    done, found = check("models:/digits/3", "--baseline", "models:/digits/77")

    assert (done.returncode, found["verdict"]) == (4, "undecided")
    assert "models:/digits/77" in found["checks"][0]["reason"]
    assert "models:/digits@champion" in found["checks"][0]["reason"]


def test_a_version_is_not_compared_with_itself(check):
    """Neither better nor worse: undecided, with the reason."""
    done, found = check("models:/digits/3", "--baseline", "models:/empty/3", "--undecided", "pass")

    assert done.returncode == 4
    assert "the candidate itself" in found["checks"][0]["reason"]


def test_a_check_of_the_champion_itself_leaves_all_as_it_was(check, registered):
    """Its approval, its run's tags and files: a job that runs again asks nothing new."""
    client = registered.client

    def look():
        version = client.get_model_version("digits", "2")
        folder = Path(client.download_artifacts(version.run_id, ""))
        files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        tags = client.get_run(version.run_id).data.tags
        return version.tags, version.last_updated_timestamp, tags, files

    client.set_model_version_tag("digits", "2", "validation_status", "approved")
    before = look()
    done, found = check("models:/digits/2")

    assert (done.returncode, found["verdict"], found["already_champion"]) == (0, "passed", True)
    assert look() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[test_set]\nmin_imges = 3\n", ["p.toml:2", "min_imges", "did you mean 'min_images'"]),
        ("[[floor]]\nmetric = 'aggregate/f1'\nmin = 'x'\n", ["p.toml:3", "finite number"]),
        ("[[floor]\n", ["p.toml:1", "TOML"]),
        (None, ["p.toml", "no such file or folder", "`mlrek policy init VERSION -o FILE`"]),
    ],
)
def test_an_invalid_policy_is_wrong_usage(check, tmp_path, text, words):
    """Exit code 2 before anything is read, with line and suggestion."""
    path = tmp_path / "p.toml"
    if text is not None:
        path.write_text(text)
    done, found = check("models:/no-such-model/1", policy=path)

    assert (done.returncode, found) == (2, None)
    for word in words:
        assert word in done.stderr


def test_a_missing_metric_is_undecided(check, tmp_path):
    """And named, with what was probably meant."""
    path = tmp_path / "p.toml"
    path.write_text('[[floor]]\nmetric = "aggregate/acuracy"\nmin = 0.1\n')
    done, found = check("models:/digits/3", policy=path)

    assert (done.returncode, found["verdict"]) == (4, "undecided")
    assert "aggregate/accuracy" in found["checks"][0]["reason"]


def test_forgiving_decides_the_exit_code_alone(check, tmp_path):
    """The verdict stays what it is; what would decide it is told."""
    path = tmp_path / "p.toml"
    path.write_text('[[floor]]\nmetric = "label_recall/eight"\nmin = 0.9\nconfidence = 0.99\n')
    codes = {}
    for forgive in ("", "pass", "fail"):
        done, found = check("models:/digits/3", "--undecided", forgive, policy=path)
        codes[forgive] = done.returncode
        assert found["verdict"] == "undecided"
        low, high = found["images_needed_range"]
        assert 754 < low < high == found["images_needed"]

    assert codes == {"": 4, "pass": 0, "fail": 3}


def test_a_source_without_any_store(run_mlrek, digits, tmp_path):
    """Files on disk are enough; the verdict is the first line, and `--all` shows every check."""
    baseline = ("--baseline", f"{digits}#v2-linear")
    check = ("check", f"{digits}#v3-neighbours", "--policy", POLICY, *baseline)
    folded, done = run_mlrek(*check), run_mlrek(*check, "--all")
    lines = done.stdout.strip().splitlines()

    assert lines[0].startswith("passed: v3-neighbours may be promoted: 17 of 17 checks passed")
    assert sum(line.startswith(("test_set", "floor", "no_worse", "better")) for line in lines) == 17
    assert folded.stdout.splitlines()[0] == lines[0]
    assert "all 10 labels passed label_recall ≥ 0.80 (lowest: 0.9589 'eight')" in folded.stdout
    assert "--all shows the check of each label" in folded.stderr
    assert "\x1b" not in folded.stdout + done.stdout
    assert not list(tmp_path.glob("mlflow.db"))


def test_files_for_ci(check, tmp_path):
    """JUnit, markdown, and under GitHub Actions its summary and annotations; stdout stays JSON."""
    summary = tmp_path / "summary.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    files = ("--junit", tmp_path / "j.xml", "--markdown", tmp_path / "m.md")
    done, found = check("models:/digits/1", *files, env=env)
    (suite,) = ET.parse(tmp_path / "j.xml").getroot()  # noqa: S314 - our own file
    n_failed = sum(c["status"] == "failed" for c in found["checks"])

    assert done.returncode == 3
    assert int(suite.get("tests")) == len(found["checks"])
    assert int(suite.get("failures")) == n_failed > 0
    assert "::error " in done.stderr
    text = (tmp_path / "m.md").read_text()
    assert text in summary.read_text()
    assert text.count("❌ failed") == n_failed + 1


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_hundred_labels_fit_a_terminal(clean_environment, tmp_path, columns):
    """About a screen, no line of the result wider than that, and colours for how checks ended."""
    labels = tuple(f"label number {i:03}" for i in range(100))
    truth = [label for label in labels for _ in range(20)]
    wrong = {i: labels[99] for i in range(0, len(truth), 3) if i // 20 % 7 == 0}
    predicted = [wrong.get(i, label) for i, label in enumerate(truth)]
    versions = {"v1": make_test(truth, truth, labels), "v2": make_test(truth, predicted, labels)}
    folder = save_project(tmp_path / "p", **versions)
    command = [sys.executable, "-m", "mlrek", "check", f"{folder}#v2", "--policy", str(POLICY)]
    shown = show_in_terminal(
        [*command, "--baseline", f"{folder}#v1"], clean_environment, tmp_path, columns
    )
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)

    assert "\x1b[1;31mfailed\x1b[0m: v2 may not be promoted" in shown
    assert "85 of 100 labels passed label_recall ≥ 0.80" in " ".join(plain.split())
    assert len(plain.splitlines()) <= {60: 70, 80: 55, 120: 45, 200: 45}[columns]
    wide = [line for line in plain.splitlines() if len(line) > columns]
    assert [line for line in wide if not line.startswith("failed: v2")] == []


def show_in_terminal(command, environ, folder, columns):
    """What a command writes to a terminal of that width as its result."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {**environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=theirs, stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        written = bytearray()
        with contextlib.suppress(OSError):  # the terminal is gone with the process
            while piece := os.read(ours, 65536):
                written += piece
        process.wait()
    os.close(ours)
    return written.decode().replace("\r\n", "\n")
