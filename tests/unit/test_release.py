"""The workflows may do little, what they promise is tested, and a tag agrees with the package."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlrek import __version__

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"].values()]
RELEASE = WORKFLOWS["release"]["jobs"]
PACKAGE = '__version__ = "1.2.3"\n'

read_notes = runpy.run_path(str(ROOT / ".ci/check_tag.py"))["read_notes"]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """What the package declares."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pythons() -> list[str]:
    """The Pythons that `.ci/run` runs mlrek on."""
    return (ROOT / ".ci/pythons").read_text().split()


def list_steps(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps of a job; one that calls another workflow has none."""
    yield from job.get("steps", [])


def test_zizmor_finds_nothing_in_the_workflows_and_the_action():
    """No words of others in scripts, no wide permissions, loose actions or kept credentials."""
    program = shutil.which("zizmor", path=Path(sys.executable).parent) or "zizmor"
    command = [program, "--offline", "--no-progress", "--color=never"]

    command += ["--min-severity=medium", FOLDER, ROOT / "action.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_action_is_a_commit_with_its_version():
    """A tag may be moved to other code; a commit cannot, and people read the version next to it."""
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.yml"))
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", text, re.MULTILINE)
    others = [use for use in used if not use.startswith("./")]

    assert len(others) >= 8
    assert [
        o for o in others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", o)
    ] == []


def test_one_action_has_one_commit():
    """An update changes all places."""
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.yml"))
    used = set(re.findall(r"uses: ([\w-]+/[\w./-]+)(@\S+ # \S+)", text))

    assert len({action for action, _ in used}) == len(used)


def test_no_script_is_written_by_what_others_say():
    """Names of branches, tags and inputs reach a script as variables, never as its text."""
    scripts = [step["run"] for _, job in JOBS for step in list_steps(job) if "run" in step]

    assert len(scripts) >= 5
    assert [script for script in scripts if "${{" in script] == []


def test_a_job_has_the_permissions_that_it_names():
    """Without a name there is none, and only publishing may say who it is."""
    assert [workflow["permissions"] for workflow in WORKFLOWS.values()] == [{}] * len(WORKFLOWS)
    assert {name: job["permissions"] for name, job in RELEASE.items()} == {
        "ci": {"contents": "read"},
        "build": {"contents": "read"},
        "wheel": {"contents": "read"},
        "publish": {"id-token": "write", "attestations": "write"},
        "announce": {"contents": "write"},
    }


def test_no_workflow_has_a_secret():
    """PyPI knows the workflow and its environment; there is no token to lose."""
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.yml"))

    assert "secrets." not in text
    assert "password" not in text
    assert RELEASE["publish"]["environment"]["name"] == "pypi"


def test_what_is_published_was_built_once_and_tested():
    """Publishing waits for all of CI and for the wheel on each Python, and builds nothing."""
    steps = list(list_steps(RELEASE["publish"]))

    assert set(RELEASE["publish"]["needs"]) == {"ci", "build", "wheel"}
    assert RELEASE["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert [step["uses"].split("@")[0] for step in steps] == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
        "pypa/gh-action-pypi-publish",
    ]


def test_only_a_tag_of_a_version_releases():
    """No branch and no button publishes."""
    starts = WORKFLOWS["release"][True]  # YAML reads the key `on` as a boolean

    assert starts == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+*"]}}


def test_ci_is_what_runs_anywhere():
    """`.ci/run` on each change and on main, with a time-out."""
    workflow = WORKFLOWS["ci"]
    (job,) = workflow["jobs"].values()

    assert {"push", "pull_request"} <= workflow[True].keys()
    assert [step["run"] for step in list_steps(job) if "run" in step] == [".ci/run"]
    assert job["timeout-minutes"] <= 90


def test_the_classifiers_are_the_pythons_that_are_tested(project, pythons):
    """What the package index says of Python is what runs in CI and before a release, no more."""
    start = "Programming Language :: Python :: 3."
    said = ["3." + text.removeprefix(start) for text in project["classifiers"] if start in text]

    assert said == pythons
    assert RELEASE["wheel"]["strategy"]["matrix"]["python"] == pythons
    assert project["requires-python"] == f">={pythons[0]}"


def test_ci_runs_each_python_of_the_list(pythons):
    """The first with the lowest versions, the others with the newest; one that lacks fails."""
    run, versions = ((ROOT / ".ci" / name).read_text() for name in ("run", "versions"))

    assert "for python in $(tail -n +2 .ci/pythons)" in run
    assert ".ci/versions lowest" in run
    assert f'python="{pythons[0]}"' in versions


def test_the_package_says_where_it_comes_from(project):
    """Licence as an expression, what it is in one line, words to find it by, and its pages."""
    assert project["license"] == "Apache-2.0"
    assert 40 < len(project["description"]) < 200
    assert len(project["keywords"]) >= 5
    assert {"Homepage", "Source", "Issues", "Changelog"} <= project["urls"].keys()
    assert all(url.startswith("https://") for url in project["urls"].values())
    assert not [text for text in project["classifiers"] if text.startswith("License")]


def test_the_changelog_begins_with_this_version():
    """What is to be released is said under its number."""
    newest = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest[1] == __version__
    assert re.fullmatch(r"not released|\d{4}-\d\d-\d\d", newest[2])


def test_a_tag_that_agrees_gives_the_notes_of_its_release():
    """The newest part of the changelog, without its heading."""
    newest = "## 1.2.3 (2026-01-02)\n\n- New.\n- More.\n"
    changelog = f"# Changelog\n\n{newest}\n## 1.2.2 (2025-01-01)\n\n- Old.\n"

    assert read_notes("v1.2.3", PACKAGE, changelog) == "- New.\n- More.\n"


@pytest.mark.parametrize(
    ("tag", "heading", "said"),
    [
        ("v1.2.4", "1.2.3 (2026-01-02)", "the tag is v1.2.4, the version 1.2.3"),
        ("1.2.3", "1.2.3 (2026-01-02)", "the tag is 1.2.3, the version 1.2.3"),
        ("v1.2.3", "1.2.3 (not released)", "begins with '1.2.3 (not released)'"),
        ("v1.2.3", "1.2.2 (2026-01-02)", "begins with '1.2.2 (2026-01-02)'"),
        ("v1.2.3", "1x2.3 (2026-01-02)", "write `## 1.2.3 (YYYY-MM-DD)`"),
    ],
)
def test_a_tag_that_disagrees_releases_nothing(tag, heading, said):
    """Another version, no `v`, a heading without a day, or one of another version."""
    with pytest.raises(ValueError, match=re.escape(said)):
        read_notes(tag, PACKAGE, f"# Changelog\n\n## {heading}\n\n- New.\n")


def test_the_check_of_a_tag_is_a_command_that_fails():
    """The job stops there, with one line that says why."""
    command = [sys.executable, ROOT / ".ci/check_tag.py", "v0.0.0"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"the tag is v0.0.0, the version {__version__}\n"
