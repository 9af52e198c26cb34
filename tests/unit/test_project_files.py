"""MLproject and conda.yaml agree with pyproject.toml and with the command line."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from typer.main import get_command

from mlrek.cli import make_app
from mlrek.policy.parsing import parse_policy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    """What the package declares."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def conda() -> dict[str, Any]:
    """The environment of `mlflow run`."""
    return yaml.safe_load((ROOT / "conda.yaml").read_text())


@pytest.fixture(scope="module")
def mlproject() -> dict[str, Any]:
    """The MLflow project."""
    return yaml.safe_load((ROOT / "MLproject").read_text())


@pytest.fixture(scope="module")
def main_entry(mlproject) -> dict[str, Any]:
    """What runs when no entry point is named."""
    return mlproject["entry_points"]["main"]


@pytest.fixture(scope="module")
def check_entry(mlproject) -> dict[str, Any]:
    """The gate."""
    return mlproject["entry_points"]["check"]


@pytest.fixture(scope="module")
def sync_command() -> typer.core.TyperCommand:
    """`mlrek sync`, as Typer built it."""
    return get_command(make_app()).commands["sync"]


def test_conda_installs_the_dependencies_of_pyproject(pyproject, conda):
    """The same packages with the same bounds."""
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]

    assert _bounds(pyproject["project"]["dependencies"]) == _bounds(pip)


def test_conda_python_is_the_lowest_that_pyproject_allows(pyproject, conda):
    """MLflow wants one version; the oldest supported is the one that hides no mistake."""
    (python,) = [
        entry.removeprefix("python=")
        for entry in conda["dependencies"]
        if isinstance(entry, str) and entry.startswith("python=")
    ]

    assert SpecifierSet(f">={python}") == SpecifierSet(pyproject["project"]["requires-python"])


def test_conda_has_pip_itself(conda):
    """Conda warns of pip packages without pip."""
    assert "pip" in conda["dependencies"]


def test_mlproject_names_one_environment_that_exists(mlproject):
    """MLflow refuses a project with two environment fields."""
    fields = {"conda_env", "python_env", "docker_env"} & mlproject.keys()

    assert fields == {"conda_env"}
    assert (ROOT / mlproject["conda_env"]).is_file()


def test_mlproject_takes_only_strings(main_entry):
    """Of MLflow's types, `path` has to exist and `uri` needs a scheme: a source is neither."""
    assert {p["type"] for p in main_entry["parameters"].values()} == {"string"}


def test_mlproject_syncs_the_example_by_default(main_entry):
    """`mlflow run .` works without a parameter."""
    source = main_entry["parameters"]["source"]["default"]

    assert source == "examples/digits"
    assert (ROOT / source / "project.json").is_file()


def test_mlproject_uses_each_parameter_once(main_entry):
    """No parameter is without effect, and no placeholder without a parameter."""
    placeholders = re.findall(r"{(\w+)}", main_entry["command"])

    assert sorted(main_entry["parameters"]) == sorted(placeholders)


def test_mlproject_passes_each_parameter_as_the_option_of_its_name(main_entry):
    """`{prediction_rule}` follows `--prediction-rule`; the source alone has no option."""
    words = main_entry["command"].split()
    given = {words[words.index(f"{{{name}}}") - 1] for name in main_entry["parameters"]}

    expected = {f"--{name.replace('_', '-')}" for name in main_entry["parameters"]}

    assert expected - {"--source"} == given - {"sync"}


def test_mlproject_options_are_options_of_sync(main_entry, sync_command):
    """Each one is known to the command line, and takes a value."""
    options = [p for p in sync_command.params if p.param_type_name == "option" and not p.is_flag]
    known = {name for option in options for name in option.opts}
    used = {word for word in main_entry["command"].split() if word.startswith("--")}

    assert used <= known


def test_mlproject_defaults_change_nothing(main_entry, sync_command):
    """With its defaults the project does what `mlrek sync examples/digits` does."""
    parsed = _parse(sync_command, _fill(main_entry))

    assert parsed == _parse(sync_command, ["examples/digits"])


def test_mlproject_passes_values_on(main_entry, sync_command):
    """What is given arrives as the option's value, whatever characters it has."""
    values = {"source": "s3://b/a b;c", "version": "v 1", "experiment": "$HOME", "region": "eu-x-1"}

    parsed = _parse(sync_command, _fill(main_entry, **values, prediction_rule="threshold"))

    assert parsed == {
        **_parse(sync_command, ["s3://b/a b;c"]),
        "version": ["v 1"],
        "experiment": "$HOME",
        "region": "eu-x-1",
        "prediction_rule": "threshold",
    }


def test_mlproject_runs_the_code_of_its_folder(main_entry):
    """`python -m` finds mlrek in the folder, where conda.yaml does not install it."""
    assert main_entry["command"].startswith("python -m mlrek sync ")


def test_the_gate_of_the_project_is_mlrek_check(check_entry):
    """Values arrive whatever characters they have; what is not given counts as not given."""
    command = get_command(make_app()).commands["check"]
    values = {"candidate": "models:/a b;c/3", "policy": "my policy.toml"}

    assert check_entry["command"].startswith("python -m mlrek check ")
    assert {p["type"] for p in check_entry["parameters"].values()} == {"string"}
    assert _parse(command, _fill(check_entry, **values)) == {**values, "alias": "champion"}
    assert _parse(command, _fill(check_entry, **values, baseline="x#v1", undecided="pass")) == {
        **values,
        "alias": "champion",
        "baseline": "x#v1",
        "undecided": "pass",
    }


def test_the_policy_of_the_project_is_the_example(check_entry):
    """`mlflow run . -e check -P candidate=…` has a policy to read."""
    policy = ROOT / check_entry["parameters"]["policy"]["default"]

    assert parse_policy(policy.read_text()).baseline == "models:/digits@champion"


def _bounds(requirements: list[str]) -> dict[str, SpecifierSet]:
    parsed = [Requirement(text) for text in requirements]
    return {requirement.name: requirement.specifier for requirement in parsed}


def _fill(entry: dict[str, Any], **values: str) -> list[str]:
    """The arguments of the command, filled in and quoted as MLflow does."""
    defaults = {name: p.get("default", "") for name, p in entry["parameters"].items()}
    quoted = {name: shlex.quote(value) for name, value in (defaults | values).items()}
    return shlex.split(entry["command"].format(**quoted))[4:]


def _parse(command: typer.core.TyperCommand, arguments: list[str]) -> dict[str, Any]:
    """The options that are given a value: an empty one counts as not given."""
    given = command.make_context("sync", arguments).params
    kept = {name: _without_empty(value) for name, value in given.items()}
    return {name: value for name, value in kept.items() if value}


def _without_empty(value: Any) -> Any:
    return [item for item in value if item] if isinstance(value, list | tuple) else value
