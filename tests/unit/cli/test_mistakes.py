"""Wrong words of every command and option: one line in our words, exit code 2."""

import pytest
from fakes.commands import COMMANDS
from typer.testing import CliRunner

from mlrek.cli import make_app

LIBRARIES = (
    "Input should be",
    "Value error",
    "is not a valid",
    "is not one of",
    "Got unexpected extra",
    "Missing argument",
    "Missing option",
    "Invalid value",
    "No such option",
    "No such command",
    "requires an argument",
    "does not take a value",
    "Try '",
    "╭",
)
"""What Typer and pydantic say of wrong words."""
NUMBERS = {"N": ["x", "-3", "1.5"], "PORT": ["x", "99999"], "FRACTION": ["70", "x", "-0.1"]}


def _list_arguments(command) -> list[str]:
    return ["x" for p in command.params if p.param_type_name == "argument" and p.required]


def _list_required(command) -> list[str]:
    required = [p for p in command.params if p.param_type_name == "option" and p.required]
    return [word for param in required for word in (param.opts[0], "x")]


def _list_wrong() -> list[list[str]]:
    """Words that are wrong in one place, for each command and each of its options."""
    wrong = [["nothing"], ["--nothing"]]
    for name, command in COMMANDS.items():
        if hasattr(command, "commands"):
            continue
        words = [*name.split(), *_list_arguments(command), *_list_required(command)]
        wrong.append([*words, "--nothing"])
        if not any(p.nargs == -1 for p in command.params):
            wrong.append([*words, "too", "many"])
        if len(words) > len(name.split()):
            wrong.append(name.split())
        for param in command.params:
            if param.param_type_name != "option":
                continue
            option = param.opts[0]
            if getattr(param, "is_flag", False):
                wrong.append([*words, f"{option}=3"])
                continue
            if option != "--register":
                wrong.append([*words, option])
            values = NUMBERS.get(param.metavar, ["xx"] if "|" in param.metavar.lower() else [])
            if param.metavar.upper() != param.metavar or param.metavar in NUMBERS:
                wrong += [[*words, option, value] for value in values]
    return wrong


@pytest.mark.parametrize("words", _list_wrong(), ids=" ".join)
def test_wrong_words_are_answered_in_one_line_of_ours(words):
    """Whatever is wrong with a command's words, no library's wording is shown."""
    done = CliRunner().invoke(make_app(), words)

    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("mlrek: ")
    assert done.stderr.count("\n") == 1
    assert [said for said in LIBRARIES if said in done.stderr] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sink", "x"], "`mlrek` has no command 'sink'; did you mean sync"),
        (["show"], "`mlrek show` needs VERSION (Version ARN, SOURCE#VERSION"),
        (["show"], "; for example: mlrek show examples/digits#v2-linear"),
        (["show", "a", "b"], "`mlrek show` takes VERSION alone: 'b' is too much"),
        (["show", "x", "--threshold", "70"], "--threshold 70: give a fraction from 0 to 1: 0.7"),
        (["show", "x", "--threshold", "70%"], "give a fraction from 0 to 1: 0.7"),
        (["show", "x", "--threshold", "0,7"], "--threshold 0,7: give a fraction from 0 to 1: 0.7"),
        (["show", "x", "--threshold", "much"], "--threshold much: give a fraction from 0 to 1\n"),
        (["show", "x", "--outcome", "xx"], "--outcome xx: give tp, fn or fp\n"),
        (["sync", "x", "--task", "clasification"], "did you mean classification?"),
        (["sync", "x", "--jobs", "x"], "--jobs x: give a whole number, 0 or more\n"),
        (["evaluate", "x", "--on", "y", "--jobs", "99"], "give a whole number from 1 to 64\n"),
        (["sync", "x", "--experimnt", "e"], "has no option --experimnt; did you mean --experiment"),
        (["sync", "--jobs"], "--jobs needs a value: --jobs N"),
        (["sync", "x", "--dry-run=3"], "--dry-run takes no value; leave =3 out"),
        (["check", "x"], "name a policy: --policy FILE; `mlrek policy init x -o policy.toml` "),
        (["evaluate", "x"], "`mlrek evaluate` needs --on "),
        (["policy", "int", "x"], "`mlrek policy` has no command 'int'; did you mean init?"),
    ],
)
def test_an_answer_says_what_to_type(words, said):
    """What is wrong, where, and what was probably meant."""
    assert said in CliRunner().invoke(make_app(), words).stderr
