"""What the README says can be typed: its jobs are YAML, its policy is valid, its options exist."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from mlrek.cli import make_app
from mlrek.policy.parsing import parse_policy

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
README = (ROOT / "README.md").read_text(encoding="utf-8")
INLINE = re.compile(r"`mlrek ([a-z]+)([^`]*)`")
TYPED = re.compile(
    r"^ *(?:- )?(?:run: )?(?:pip install \. && )?mlrek ([a-z]+)([^\n#]*)", re.MULTILINE
)


def read_blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def list_options() -> dict[str, set[str]]:
    """The options of each command."""
    commands = typer.main.get_command(make_app()).commands
    return {
        name: {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        for name, command in commands.items()
    }


def find_steps(job: object) -> list[str]:
    """Every line of shell in a job."""
    if isinstance(job, dict):
        found = [job["run"]] if "run" in job else []
        return found + [step for value in job.values() for step in find_steps(value)]
    if isinstance(job, list):
        own = [line for line in job if isinstance(line, str) and line.startswith(("mlrek", "pip"))]
        return own + [step for value in job for step in find_steps(value)]
    return []


@pytest.mark.parametrize("name", ["promote.yml", "gitlab-promote.yml"])
def test_the_jobs_are_yaml_and_promote(name):
    """Both jobs, for GitHub and for GitLab, sync, check and promote."""
    steps = "\n".join(find_steps(yaml.safe_load((CI / name).read_text())))

    assert re.findall(r"^mlrek (\w+)", steps, re.MULTILINE) == ["sync", "check", "promote"]


@pytest.mark.parametrize("page", [README, (CI / "README.md").read_text(encoding="utf-8")])
def test_a_check_in_ci_is_six_lines(page):
    """Steps for GitHub and an include for GitLab, whose inputs are those that there are."""
    github, gitlab = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[:2]
    _, step = yaml.safe_load(github)
    (include,) = yaml.safe_load(gitlab)["include"]
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    spec, _ = yaml.safe_load_all((CI / "gitlab.yml").read_text())

    assert len(github.splitlines()) == 6
    assert len(gitlab.splitlines()) <= 6
    assert set(step["with"]) <= set(action["inputs"])
    assert include["remote"].endswith("/main/examples/ci/gitlab.yml")
    assert set(include["inputs"]) <= set(spec["spec"]["inputs"])


def test_the_policies_are_valid():
    """The README's policy can be pasted."""
    blocks = read_blocks("toml")

    assert blocks
    for block in blocks:
        parse_policy(block)


@pytest.mark.parametrize(
    ("command", "rest"), sorted({*INLINE.findall(README), *TYPED.findall(README)})
)
def test_commands_and_options_exist(command, rest):
    """Each `mlrek …` that the README shows."""
    options = list_options()

    assert command in options
    assert set(re.findall(r"(?<!\S)(--[a-z-]+)", rest)) <= options[command]
