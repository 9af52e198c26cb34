"""The action of this repository: its steps as GitHub's runner takes them, on a stand-in."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
import yaml
from builders.projects import make_test, save_project
from fakes.code_hosts import READER, TOKEN, GitHubServer
from fakes.runner import ROOT, Runner, make_environment

from mlrek.render.comment import write_marker

WORKFLOWS = ROOT / "examples" / "ci"
HEAD = "a" * 40
POLICY = """[[floor]]
metric = "label_recall/*"
min = 0.9

[[better]]
metric = "aggregate/accuracy"
"""
HOSTILE = "@team ![x](http://x) </details>\n::error::label #12"


@pytest.fixture(scope="module")
def _github():
    server = GitHubServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """What the jobs of these tests keep: mlrek is installed once."""
    return tmp_path_factory.mktemp("runner")


def save_checkout(folder: Path) -> Path:
    """A repository with four versions and a policy: v2 is better than v0, v1 worse, v3 untested."""
    labels = ("cat", "dog", HOSTILE)
    truth = [labels[i % 3] for i in range(300)]
    weak = [labels[0] if i % 4 == 0 else label for i, label in enumerate(truth)]
    some = [labels[0] if i % 40 == 1 else label for i, label in enumerate(truth)]
    versions = {
        "v0": make_test(truth, some, labels),
        "v1": make_test(truth, weak, labels),
        "v2": make_test(truth, truth, labels),
        "v3": make_test(truth[:9], truth[:9], labels),
    }
    save_project(folder / "evaluations", **versions)
    (folder / "policy.toml").write_text(POLICY)
    return folder


def make_runner(server: GitHubServer, machine: Path, checkout: Path) -> Runner:
    """A runner with a job of pull request 7."""
    for name in ("comments", "pulls", "faults", "requests", "tokens"):
        setattr(server, name, getattr(GitHubServer(), name))
    event = {"pull_request": {"number": 7, "head": {"sha": HEAD}}}
    (machine / "event.json").write_text(json.dumps(event))
    job = {
        "GITHUB_EVENT_PATH": str(machine / "event.json"),
        "GITHUB_RUN_ID": "12",
        "GITHUB_WORKFLOW": "Check",
        "GITHUB_JOB": "check",
    }
    env = make_environment(dict(os.environ)) | server.env | job
    return Runner(
        workspace=checkout, temp=machine, env=env, github={"token": TOKEN, "event": event}
    )


@pytest.fixture
def runner(_github, machine, tmp_path) -> Runner:
    """A runner with a fresh checkout, of a pull request without comments."""
    return make_runner(_github, machine, save_checkout(tmp_path / "checkout"))


@pytest.fixture
def github(_github, runner):
    """GitHub, as the runner finds it."""
    return _github


def check(runner, version="v2", **given):
    """Check a version of the checkout against v0."""
    given = {"candidate": f"evaluations#{version}", "baseline": "evaluations#v0"} | given
    return runner.run_action(**given)


def ask_floor(runner, limits="min = 0.9"):
    """Let the policy of the checkout ask for a share of right answers alone."""
    (runner.workspace / "policy.toml").write_text(
        f'[[floor]]\nmetric = "aggregate/accuracy"\n{limits}\n'
    )


@pytest.fixture(scope="module")
def twice(_github, machine, tmp_path_factory):
    """Two jobs of one pull request, in which somebody has said something: v2, then v1."""
    checkout = save_checkout(tmp_path_factory.mktemp("empty") / "checkout")
    runner = make_runner(_github, machine, checkout)
    _github.add("Please have a look.")
    jobs, bodies = [], []
    for version in ("v2", "v1"):
        jobs.append(check(runner, version))
        bodies.append(list(_github.bodies))
    folder = shutil.copytree(machine / "mlrek-check", checkout / "kept")
    return SimpleNamespace(jobs=jobs, bodies=bodies, folder=folder)


def test_from_an_empty_checkout_to_one_comment(twice):
    """Installed, checked, commented; the next commit's answer is in the same comment."""
    first, second = twice.bodies

    assert first[0] == second[0] == "Please have a look."
    assert len(first) == len(second) == 2
    assert "v2 against v0" in first[1]
    assert "✅ passed" in first[1]
    assert "v1 against v0" in second[1]
    assert "❌ failed" in second[1]
    assert "✅ passed" not in second[1]


def test_a_job_ends_as_its_check_does(twice):
    """The same code, verdict and files, as outputs of the action."""
    first, second = twice.jobs
    document = json.loads((twice.folder / "check.json").read_text())
    (suite,) = ET.parse(twice.folder / "check.xml").getroot()  # noqa: S314 - our own file

    assert (first.code, first.outputs["verdict"], first.outputs["exit-code"]) == (0, "passed", "0")
    assert (second.code, second.outputs["verdict"]) == (3, "failed")
    assert second.outputs["exit-code"] == "3"
    assert Path(second.outputs["json"]).name == "check.json"
    assert Path(second.outputs["markdown"]).name == "check.md"
    assert document["verdict"] == "failed"
    assert int(suite.get("failures")) == sum(c["status"] == "failed" for c in document["checks"])


def test_a_job_has_annotations_and_a_summary(twice):
    """Of what failed, and of the verdict; the log has the text, too."""
    first, second = twice.jobs
    text = (twice.folder / "check.md").read_text()

    assert first.annotations[-1].startswith("::notice file=policy.toml,title=mlrek check%3A passed")
    assert second.annotations[-1].startswith("::error file=policy.toml,title=mlrek check%3A failed")
    assert text in second.summary
    assert text in second.log


def test_names_of_labels_call_nobody_and_break_out_of_nothing(twice):
    """In the comment, the annotations, the log and the summary."""
    for text in (twice.bodies[1][1], twice.jobs[1].summary):
        assert "@&#8203;team" in text
        assert "@team" not in text
        assert "!\\[x\\](http" in text
        assert "\\</details\\>" in text
        assert "\\#&#8203;12" in text
        assert text.count("\n</details>\n") == text.count("\n<details>")
    assert "error::label" in twice.jobs[1].log
    assert not [one for one in twice.jobs[1].annotations if one.strip().startswith("::error::")]


def test_only_the_step_that_comments_has_the_token(twice):
    """No step prints it, and no program gets it as a word."""
    done = twice.jobs[0]

    assert TOKEN not in done.log
    assert ["GITHUB_TOKEN" in env for env in done.environments] == [False, False, True, False]
    assert sum(TOKEN in str(env) for env in done.environments) == 1


def test_too_little_evidence_ends_with_4_unless_it_is_decided(runner, github):
    """`undecided` says what it counts as; the comment says what it is."""
    ask_floor(runner, "min = 0.9\nconfidence = 0.95")
    left_open = check(runner, "v3", baseline="")
    forgiven = check(runner, "v3", baseline="", undecided="pass")

    assert (left_open.code, left_open.outputs["verdict"]) == (4, "undecided")
    assert (forgiven.code, forgiven.outputs["verdict"]) == (0, "undecided")
    assert len(github.comments) == 1
    assert "❔ undecided" in github.bodies[0]


def test_inputs_are_never_code(runner, github):
    """Whatever words a pull request can bring into them."""
    nasty = "\"; touch pwned; $(touch pwned) `touch pwned` ${{ github.token }} '; touch pwned #"
    checked = dict.fromkeys(("candidate", "policy", "baseline", "undecided", "comment"), nasty)
    for words in (checked, {"source": nasty, "register": nasty}):
        done = check(runner, **words)
        assert done.code in {1, 2}
        assert TOKEN not in done.log

    assert not list(runner.workspace.rglob("pwned"))
    assert not list(runner.temp.glob("pwned"))


def test_a_job_without_an_answer_says_so_in_the_same_comment(runner, github):
    """What was said of an earlier commit does not stay; the job fails."""
    github.add(f"{write_marker('Check/check')}\n**passed**", "github-actions[bot]", "Bot")
    done = check(runner, policy="gone.toml")

    assert (done.code, done.outputs["verdict"], done.outputs["exit-code"]) == (2, "", "2")
    assert len(github.comments) == 1
    assert "no answer" in github.bodies[0]
    assert "passed" not in github.bodies[0]
    assert any("no answer (exit code 2)" in line for line in done.annotations)


def test_a_source_is_logged_first(runner, github, new_store):
    """Its versions become those of a registered model, one of which is checked."""
    truth = ["cat", "dog"] * 20
    right, wrong = (make_test(truth, said, ("cat", "dog")) for said in (truth, ["cat"] * 40))
    save_project(runner.workspace / "small", v1=wrong, v2=right)
    done = check(
        runner,
        source="small\n",
        register="parts",
        tracking_uri=new_store,
        candidate="models:/parts/1",
        baseline="models:/parts/2",
    )

    assert done.code == 3, done.log
    assert "v1 against v2" in github.bodies[0]


def test_a_source_that_cannot_be_read_is_no_answer(runner, github, new_store):
    """Nothing is checked then, and what another step of the job has left is not shown."""
    (runner.temp / "mlrek-check").mkdir(exist_ok=True)
    (runner.temp / "mlrek-check" / "check.md").write_text("**passed**\n")
    done = check(runner, source="no-such-folder/", tracking_uri=new_store)

    assert done.code != 0
    assert done.outputs["verdict"] == ""
    assert "no answer" in github.bodies[0]


def test_a_job_may_name_its_comment(runner, github):
    """Of several models each has its own."""
    done = check(runner, policy="gone.toml", comment="cats")

    assert done.code == 2
    assert github.bodies[0].startswith(write_marker("cats"))


def test_a_fork_s_token_hides_no_verdict(runner, github):
    """The job ends as the check does, with a warning that names the form of two workflows."""
    done = check(runner, "v1", token=READER)
    (warning,) = [one for one in done.annotations if one.startswith("::warning")]

    assert done.code == 3
    assert "403" in warning
    assert "fork-check.yml and fork-comment.yml" in warning
    assert github.comments == []


@pytest.fixture
def second(runner, github, tmp_path, machine):
    """The runner of the second workflow, which has no checkout and another event."""
    run = {
        "event": "pull_request",
        "id": 11,
        "html_url": "https://github.example/o/r/actions/runs/11",
        "head_sha": HEAD,
        "head_branch": "fix",
        "head_repository": {"full_name": "fork/r", "owner": {"login": "fork"}},
    }
    github.pulls = [
        {"number": 7, "head": {"sha": HEAD, "label": "fork:fix", "repo": {"full_name": "fork/r"}}}
    ]
    path = tmp_path / "workflow_run.json"
    path.write_text(json.dumps({"workflow_run": run}))
    env = {**runner.env, "GITHUB_EVENT_PATH": str(path), "GITHUB_WORKFLOW": "Comment"}
    shutil.rmtree(machine / "left", ignore_errors=True)
    return Runner(
        workspace=tmp_path,
        temp=machine,
        env=env,
        github={"token": TOKEN, "event": {"workflow_run": run}},
    )


def run_both(first, second, places):
    """The two workflows for forks, one after the other."""
    shutil.rmtree(places["mlrek-check"], ignore_errors=True)
    shutil.rmtree(second.temp / "left", ignore_errors=True)
    first.github["token"] = READER
    done = first.run_job(WORKFLOWS / "fork-check.yml", places)
    return done, second.run_job(WORKFLOWS / "fork-comment.yml", places)


def test_two_workflows_comment_on_a_fork_s_pull_request(runner, second, github, tmp_path):
    """The first may write nothing and needs no token; the second writes one comment, twice."""
    ask_floor(runner)
    places = {"mlrek-check": tmp_path / "artifact"}
    passed, commented = run_both(runner, second, places)
    assert (passed.code, commented.code) == (0, 0)
    assert "✅ passed" in github.bodies[0]

    ask_floor(runner, "min = 1.1")
    failed, commented = run_both(runner, second, places)

    assert (failed.code, commented.code) == (3, 0)
    assert len(github.comments) == 1
    assert "❌ failed" in github.bodies[0]
    assert "[This job](https://github.example/o/r/actions/runs/11) ran mlrek" in github.bodies[0]


def test_the_second_workflow_believes_no_file(runner, second, github, tmp_path):
    """Text that mlrek does not write is not shown, whoever left it; and nothing is run from it."""
    place = tmp_path / "artifact"
    place.mkdir()
    (place / "check.md").write_text("### Passed\n\n[approve](https://evil.example) @team\n")
    (place / "pyproject.toml").write_text("[build-system]\nrequires = []\n")
    done = second.run_job(WORKFLOWS / "fork-comment.yml", {"mlrek-check": place})

    assert done.code == 0
    assert "evil" not in github.bodies[0]
    assert "is no text of mlrek" in github.bodies[0]


def test_the_second_workflow_says_that_there_is_no_answer(second, github, tmp_path):
    """The first one left nothing, or broke."""
    done = second.run_job(WORKFLOWS / "fork-comment.yml", {"mlrek-check": tmp_path / "none"})

    assert done.code == 0
    assert "no answer" in github.bodies[0]


def test_the_second_workflow_fails_where_it_cannot_comment(second, github, tmp_path):
    """That is all that it is for."""
    second.github["token"] = READER
    done = second.run_job(WORKFLOWS / "fork-comment.yml", {"mlrek-check": tmp_path / "none"})

    assert done.code == 1


def test_workflows_of_other_events_are_left_alone(second, github, tmp_path):
    """A push runs the first workflow as well, perhaps."""
    second.github["event"]["workflow_run"]["event"] = "push"

    assert second.run_job(WORKFLOWS / "fork-comment.yml", {}) is None


def test_the_plain_workflow_comments(runner, github):
    """The example that is pasted first, as it is but for the names of its own project."""
    given = yaml.safe_load((WORKFLOWS / "check.yml").read_text())["jobs"]["check"]["steps"][1]
    ask_floor(runner)
    done = runner.run_job(WORKFLOWS / "check.yml", {})

    assert given["with"]["candidate"] == "evaluations#v3"
    assert done.code == 0, done.log
    assert "v3, without a baseline" in github.bodies[0]


@pytest.mark.parametrize("name", ["check", "fork-check", "fork-comment", "promote"])
def test_workflows_are_what_github_reads(name):
    """By the JSON Schema of workflows."""
    lint("vendor.github-workflows", WORKFLOWS / f"{name}.yml")


def test_the_action_is_what_github_reads():
    """By the JSON Schema of actions."""
    lint("vendor.github-actions", ROOT / "action.yml")


def lint(schema, path):
    """Hold a file to a schema that SchemaStore keeps."""
    command = ["check-jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_action_s_scripts_have_no_faults(tmp_path):
    """By shellcheck; and no expression is filled into them, as that would be code."""
    for i, step in enumerate(yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]):
        if "run" in step:
            assert "${{" not in step["run"]
            path = tmp_path / f"{i}.sh"
            path.write_text(f"#!/usr/bin/env bash\n{step['run']}")
            command = ["shellcheck", "--severity=style", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


def test_other_actions_are_named_by_their_commits():
    """A tag may be moved, and with it what runs in everybody's job."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    used = [step["uses"].partition("@")[2] for step in steps if "uses" in step]

    assert used
    assert all(len(commit) == 40 and set(commit) <= set("0123456789abcdef") for commit in used)
