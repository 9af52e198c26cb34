"""The documentation is held to the code: metrics, policies, options, messages, names, links."""

import ast
import re
from collections import Counter

import pytest
import typer
from docs_outputs import DOCS, README, ROOT, list_pages, read_blocks, read_page
from docs_reference import generate, list_keys, list_words, select_keys

import mlrek
from mlrek.cli import make_app
from mlrek.evaluation import DoubtKind
from mlrek.policy.parsing import parse_policy
from mlrek.policy.schema import build_schema

PAGES = (README, *list_pages())
IN_THE_REPOSITORY = re.compile(r"https://github\.com/mlrek/mlrek/(?:blob|tree)/main/([^)#\s>]+)")
RELATIVE = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
MESSAGE = re.compile(r"^#{2,4} `(.+)`$", re.MULTILINE)
TYPED = re.compile(r"(?<![\w/])mlrek ((?:policy )?[a-z]+)\b([^\n|;&#]*)")
SECTION = re.compile(r"^(?=##+ )", re.MULTILINE)


@pytest.mark.parametrize("page", list_pages())
def test_generated_parts_are_those_of_the_code(page):
    """`python tests/docs_outputs.py --write` makes them anew."""
    text = read_page(page)

    assert generate(text) == text


def test_every_metric_is_documented_once():
    """The page of metrics has each number that `metrics/numbers.py` defines, in one place."""
    patterns = list_words(read_page("metrics.md"), "numbers")
    found = Counter(key for one in patterns for key in select_keys(one))

    assert list_keys() - set(found) == set()
    assert {key for key, times in found.items() if times > 1} == set()


def test_every_metric_has_a_formula_a_source_and_when_it_is_left_out():
    """Below each list of numbers the page says all three."""
    sections = [
        one for one in SECTION.split(read_page("metrics.md")) if "generated: numbers" in one
    ]
    wanted = ("**Formula:**", "**Source:**", "**Left out:**")

    assert sections
    assert [one.splitlines()[0] for one in sections if any(w not in one for w in wanted)] == []


def test_every_table_and_key_of_a_policy_is_documented():
    """Those of the JSON Schema."""
    tables = build_schema()["properties"]

    assert sorted(list_words(read_page("policy.md"), "policy")) == sorted(tables)


def test_every_doubt_is_explained():
    """Each kind has a row with its effect, and a sentence on when it is there."""
    page = read_page("policy.md")
    sections = set(re.findall(r"^- `(\w+)`: \S", page, re.MULTILINE))

    assert {str(kind) for kind in DoubtKind} - sections == set()


def test_every_command_is_documented():
    """Each has its options and an example on the page of commands."""
    page = read_page("commands.md")
    commands = typer.main.get_command(make_app()).commands
    names = [name for name, one in commands.items() if not one.hidden and name != "policy"]
    names += [f"policy {name}" for name in commands["policy"].commands]
    typed = "\n".join(block.body for block in read_blocks(page) if block.language == "sh")

    assert sorted(list_words(page, "options")) == sorted(names)
    assert [name for name in names if f"mlrek {name}" not in typed] == []


def test_every_public_name_of_python_is_documented():
    """Those of `mlrek.__all__`."""
    names = set(mlrek.__all__) - {"__version__"}

    assert sorted(list_words(read_page("python.md"), "python")) == sorted(names)


def list_said() -> set[str]:
    """Every text of the code, of f-strings the parts between what is put in."""
    found: set[str] = set()
    for path in (ROOT / "mlrek").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_each_message_is_one_of_the_code():
    """Headings of the page of troubles are messages, with `…` for what differs each time."""
    said = "\n".join(list_said())
    headings = MESSAGE.findall(read_page("troubleshooting.md"))

    assert len(headings) > 15
    for heading in headings:
        parts = [part.strip(" '`") for part in heading.split("…")]
        assert [part for part in parts if part and part not in said] == [], heading


@pytest.mark.parametrize("page", PAGES)
def test_links_into_the_repository_lead_somewhere(page):
    """Files that are named by their address are there; so are relative links on GitHub."""
    text = read_page(page)
    folder = ROOT if page == README else DOCS
    blobs = [name for name in IN_THE_REPOSITORY.findall(text) if not (ROOT / name).exists()]
    links = [name for name in RELATIVE.findall(text) if not (folder / name).exists()]

    assert blobs == []
    assert links == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page):
    """Each `mlrek …` that a page shows, also where it is not run."""
    group = typer.main.get_command(make_app())
    text = read_page(page)
    shown = [b.body for b in read_blocks(text) if b.language in ("", "sh", "yaml")]
    shown += re.findall(r"`([^`\n]*\bmlrek [^`\n]*)`", text)
    for command, rest in (found for one in shown for found in TYPED.findall(one)):
        known = group
        for word in command.split():
            assert word in known.commands, command
            known = known.commands[word]
        options = {o for p in getattr(known, "params", ()) for o in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"(?<!\S)(--[a-z-]+)", rest)) - {"--help"} <= options, (command, rest)


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_be_pasted_into_zsh(page):
    """Where somebody types, zsh takes a comment for words of the command: blocks have none."""
    typed = [block.body for block in read_blocks(read_page(page)) if block.language == "sh"]

    assert [body for body in typed if re.search(r"(^|\s)#\s", body, re.MULTILINE)] == []


@pytest.mark.parametrize("page", list_pages())
def test_policies_of_the_pages_are_valid(page):
    """A policy that a page shows can be pasted; a part of one is shown as `text`."""
    for block in read_blocks(read_page(page)):
        if block.language == "toml":
            parse_policy(block.body)


def test_jobs_of_the_pages_are_those_of_the_examples():
    """A workflow that a page shows is a file of `examples/ci`, word by word."""
    shown = [
        b.body
        for page in list_pages()
        for b in read_blocks(read_page(page))
        if b.language == "yaml"
    ]
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "examples/ci").glob("*.yml")]

    assert shown
    assert [body for body in shown if body not in files] == []


def test_no_page_is_long():
    """A page of the guides is read in a few minutes: at most 1,500 words without outputs."""
    reference = {"metrics.md", "python.md", "commands.md", "statistics.md", "troubleshooting.md"}
    long = {}
    for page in set(list_pages()) - reference:
        text = read_page(page)
        for block in reversed(read_blocks(text)):
            text = text[: block.start] + text[block.end :]
        if len(text.split()) > 1_500:
            long[page] = len(text.split())

    assert long == {}
