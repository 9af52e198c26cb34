"""`mlrek policy check`, and the hook of pre-commit that runs it."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GOOD = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.9\n'
BAD = '[test_set]\nmin_imges = 3\n[[floor]]\nmetric = "aggregate/accuracy"\nmin = 2e400\n'


@pytest.fixture(scope="module")
def hook() -> dict:
    """The one hook of the repository."""
    (found,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return found


@pytest.fixture
def run_hook(run_mlrek, hook, tmp_path):
    """Run the hook's entry on files of these texts, as pre-commit does: names behind its words."""

    def run(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.toml").write_text(text)
        program, *words = [*shlex.split(hook["entry"]), *hook.get("args", ())]
        assert program == "mlrek"
        return run_mlrek(*words, *(f"{name}.toml" for name in texts), check=False)

    return run


def test_the_hook_lets_valid_policies_pass(run_hook):
    """Any number of them."""
    done = run_hook(policy=GOOD, policy_of_parts=GOOD)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["policy.toml: valid", "policy_of_parts.toml: valid"]


def test_the_hook_says_all_that_is_wrong_in_all_files(run_hook):
    """Exit code 2, a line for each mistake with its place, and which files are valid."""
    done = run_hook(one=BAD, two=GOOD, three="[[floor]\n")

    assert (done.returncode, done.stdout) == (2, "two.toml: valid\n")
    assert [line.partition(": ")[2].partition(": ")[0] for line in done.stderr.splitlines()] == [
        "one.toml:2",
        "one.toml:5",
        "three.toml:1",
    ]


@pytest.mark.parametrize(
    ("name", "is_policy"),
    [
        ("policy.toml", True),
        ("models/policy-parts.toml", True),
        ("a/parts.policy.toml", True),
        ("pyproject.toml", False),
        ("policy.toml.bak", False),
        ("policies/other.toml", False),
    ],
)
def test_the_hook_is_for_policies(hook, name, is_policy):
    """Files in TOML with `policy` in their names; a repository may say `files:` itself."""
    assert hook["types"] == ["toml"]
    assert bool(re.search(hook["files"], name)) == is_policy


def test_a_baseline_that_the_command_names_later_need_not_be_in_the_file(run_mlrek, tmp_path):
    """`--baseline` says that there will be one."""
    (tmp_path / "p.toml").write_text('[[better]]\nmetric = "aggregate/accuracy"\n')
    alone = run_mlrek("policy", "check", "p.toml", check=False)
    named = run_mlrek("policy", "check", "p.toml", "--baseline", "models:/m@champion")

    assert alone.returncode == 2
    assert "none is named" in alone.stderr
    assert named.returncode == 0


def test_as_json_each_file_has_its_mistakes(run_mlrek, tmp_path):
    """An empty list for a valid one."""
    (tmp_path / "good.toml").write_text(GOOD)
    done = run_mlrek("policy", "check", "good.toml", "gone.toml", "--json", check=False)
    good, gone = json.loads(done.stdout)["policies"]

    assert done.returncode == 2
    assert good == {"file": "good.toml", "mistakes": []}
    assert gone["file"] == "gone.toml"
    assert "no such file or folder" in gone["mistakes"][0]
