"""What the README says can be typed: its jobs are YAML, its policy is valid, its options exist."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from mlrek.cli import app
from mlrek.policy.parsing import parse_policy

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
INLINE = re.compile(r"`mlrek ([a-z]+)([^`]*)`")
TYPED = re.compile(
    r"^ *(?:- )?(?:run: )?(?:pip install \. && )?mlrek ([a-z]+)([^\n#]*)", re.MULTILINE
)


def read_blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def list_options() -> dict[str, set[str]]:
    """The options of each command."""
    commands = typer.main.get_command(app).commands
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


def test_the_jobs_are_yaml_and_promote():
    """Both jobs, for GitHub and for GitLab, sync, check and promote."""
    jobs = [yaml.safe_load(block) for block in read_blocks("yaml")]

    assert len(jobs) == 2
    for job in jobs:
        steps = "\n".join(find_steps(job))
        assert re.findall(r"^mlrek (\w+)", steps, re.MULTILINE) == ["sync", "check", "promote"]


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
