"""The job for GitLab: its script as a runner takes it, on a stand-in of GitLab's API."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from builders.projects import make_test, save_project
from fakes.code_hosts import READER, TOKEN, GitLabServer

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples" / "ci" / "gitlab.yml"
POLICY = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.9\n'
LABELS = ("cat", "@dog\n/close")


def read_job(**given) -> dict:
    """The one job that GitLab makes of the file with these inputs."""
    spec, jobs = yaml.safe_load_all(TEMPLATE.read_text())
    inputs = spec["spec"]["inputs"]
    assert set(given) <= set(inputs)
    values = {name: given.get(name, one.get("default")) for name, one in inputs.items()}
    assert None not in values.values(), "GitLab makes no pipeline without a mandatory input"

    def fill(value):
        if isinstance(value, dict):
            return {fill(name): fill(one) for name, one in value.items()}
        if isinstance(value, list):
            return [fill(one) for one in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda m: _show(values[m[1]]), value)

    ((_, job),) = fill(jobs).items()
    return job


def _show(value) -> str:
    return str(value).lower() if isinstance(value, bool) else value


@pytest.fixture(scope="module")
def _gitlab():
    server = GitLabServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def gitlab(_gitlab):
    """GitLab without notes."""
    for name in ("comments", "faults", "requests", "tokens"):
        setattr(_gitlab, name, getattr(GitLabServer(), name))
    return _gitlab


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository with a right and a wrong version."""
    truth = [LABELS[i % 2] for i in range(40)]
    versions = {"v1": make_test(truth, [LABELS[1]] * 40, LABELS)}
    versions["v2"] = make_test(truth, truth, LABELS)
    save_project(tmp_path / "checkout" / "evaluations", **versions)
    (tmp_path / "checkout" / "policy.toml").write_text(POLICY)
    return tmp_path / "checkout"


@pytest.fixture
def programs(tmp_path) -> Path:
    """An image with this mlrek, in which pip writes down what it should install."""
    folder = tmp_path / "programs"
    folder.mkdir()
    scripts = {
        "mlrek": f'exec {sys.executable} -m mlrek "$@"',
        "pip": 'for word; do last="$word"; done; printf "%s" "$last" >"$(dirname "$0")/asked"',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def run_job(gitlab, checkout, programs, clean_environment):
    """Run the job in a merge request: with bash where an image has it, else with its `sh`."""

    def run(version="v2", *, token=TOKEN, program="bash", **given):
        job = read_job(**({"candidate": f"evaluations#{version}"} | given))
        path = f"{programs}{os.pathsep}{clean_environment['PATH']}"
        own = {"PATH": path, "GITLAB_TOKEN": token, "GITHUB_ACTIONS": "", **gitlab.env}
        flags = {"bash": ["-eo", "pipefail"], "sh": ["-e"]}[program]
        return subprocess.run(
            [program, *flags, "-c", "\n".join(job["script"])],
            cwd=checkout,
            env=clean_environment | own | job["variables"],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_merge_request_has_one_note(run_job, gitlab, checkout):
    """The next commit's answer is in the same one, and the job ends as the check does."""
    gitlab.add("Please have a look.")
    first, second = run_job("v2"), run_job("v1", program="sh")
    (suite,) = ET.parse(checkout / "mlrek-check" / "check.xml").getroot()  # noqa: S314 - ours

    assert (first.returncode, second.returncode) == (0, 3), first.stderr + second.stderr
    assert len(gitlab.comments) == 2
    assert "❌ failed" in gitlab.bodies[1]
    assert "passed" not in gitlab.bodies[1].splitlines()[3]
    assert int(suite.get("failures")) == 1


def test_names_of_labels_are_no_orders_to_gitlab(run_job, gitlab, checkout):
    """No mention, and no line that begins with a slash."""
    (checkout / "policy.toml").write_text('[[floor]]\nmetric = "label_recall/*"\nmin = 0.99\n')
    run_job("v1", source="")
    (body,) = gitlab.bodies

    assert "@&#8203;dog\\\\n/close" in body
    assert not [line for line in body.splitlines() if line.startswith("/")]


@pytest.mark.parametrize("token", [READER, ""])
def test_a_job_without_a_token_shows_its_verdict_all_the_same(run_job, gitlab, checkout, token):
    """As in a fork: the checks are there as tests, and why there is no note is said."""
    done = run_job("v1", token=token)

    assert done.returncode == 3
    assert "GITLAB_TOKEN" in done.stderr
    assert gitlab.comments == []
    assert (checkout / "mlrek-check" / "check.xml").exists()
    assert TOKEN not in done.stdout + done.stderr


def test_a_check_without_an_answer_is_noted(run_job, gitlab):
    """The job ends with the check's code."""
    done = run_job("v9")

    assert done.returncode == 1
    assert "no answer" in gitlab.bodies[0]


def test_no_note_is_written_where_none_is_wanted(run_job, gitlab):
    """`comment: false`."""
    done = run_job("v2", comment=False)

    assert done.returncode == 0
    assert gitlab.requests == []


def test_a_source_that_cannot_be_read_ends_the_job(run_job, gitlab):
    """Nothing is checked then."""
    done = run_job("v2", source="no-such-folder/\n", register="parts")

    assert done.returncode not in {0, 3, 4}
    assert "no such file or folder" in done.stderr
    assert "no answer" in gitlab.bodies[0]


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_inputs_are_never_code(run_job, checkout, programs, program):
    """Whatever stands in them."""
    nasty = "\"; touch pwned; $(touch pwned) `touch pwned` '; touch pwned #\nEND\ntouch pwned"
    names = ("candidate", "policy", "baseline", "undecided", "mlrek")
    for words in (dict.fromkeys(names, nasty), {"source": nasty, "register": nasty}):
        assert run_job(program=program, **words).returncode in {1, 2}

    assert not list(checkout.rglob("pwned"))
    assert (programs / "asked").read_text() == read_job(candidate="x")["variables"][
        "MLREK_REQUIREMENT"
    ]


def test_no_input_stands_in_the_script():
    """GitLab fills inputs in as text; in a variable they are no code."""
    _, jobs = yaml.safe_load_all(TEMPLATE.read_text())
    (job,) = jobs.values()

    assert not [line for line in job["script"] if "$[[" in line]
    assert len(job["script"]) == 1


def test_the_jobs_are_what_gitlab_reads(tmp_path):
    """By the JSON Schema of pipelines; the template as it is with its inputs."""
    path = tmp_path / "job.yml"
    path.write_text(yaml.safe_dump({"mlrek-check": read_job(candidate="models:/parts/7")}))
    for file in (path, TEMPLATE.with_name("gitlab-promote.yml")):
        command = ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_job_s_script_has_no_faults(tmp_path):
    """By shellcheck, for any `sh`."""
    path = tmp_path / "job.sh"
    path.write_text("#!/bin/sh\n" + read_job(candidate="x")["script"][0])
    done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
