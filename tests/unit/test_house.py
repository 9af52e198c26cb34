"""The rooms: few names at the root, few modules, imports in one direction, one word per idea."""

import ast
import re
import subprocess
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mlrek"
TESTS = ROOT / "tests"
AT_THE_ROOT = 20
MODULES = 266
FACES = {"cli", "api"}
"""What a command does, Python does under the same name."""
FORBIDDEN = {
    r"exams?": "test set",
    r"one's own": "your own",
    r"told of": "reported, named",
    r"bears?": "has",
    r"beside": "next to, with, as well as",
}
"""House words, and what is said instead: in code, texts, tests and pages."""
KEPT = re.compile(
    r"mlrek\.exam(_name)?\b"  # tags of runs
    r'|"exam": [\[{]'  # `evaluate --json`, and what identifies a run on your own test set
    r'|\["exam"\]'
    r'|or "exam"'  # the name of a test set that has none: part of that identity
    r"|\bexam(\.manifest|/0\.jpg)"  # data of a test
)
"""Where the word "exam" stays: old runs and other programs read it."""
IN_THE_REPOSITORY = {
    *("CHANGELOG.md", "LICENSE", "MLproject", "README.md", "conda.yaml", "pyproject.toml"),
    *("docs", "examples", "mlrek", "tests", "action.yml", "mkdocs.yml"),
}
"""All names at the top of the repository that do not begin with a dot."""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The modules that each module imports, also late; those for types alone are left out."""
    graph = grimp.build_graph("mlrek", exclude_type_checking_imports=True, cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def test_few_names_are_at_the_root():
    """Whoever opens the package sees its rooms on one screen."""
    names = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}

    assert len(names) <= AT_THE_ROOT, sorted(names)


def test_few_names_are_at_the_top_of_the_repository():
    """Whoever opens the repository finds README and site, package, tests and examples."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {line.strip('"').partition("/")[0] for line in done.stdout.splitlines()}

    assert {name for name in names if not name.startswith(".")} - IN_THE_REPOSITORY == set()


def test_modules_are_few(imports):
    """A module that has one importer in its own room belongs to it."""
    assert len(imports) <= MODULES


def test_no_module_imports_itself_over_others(imports):
    """There is no circle, not even by a late import."""
    order = list(TopologicalSorter(imports).static_order())

    assert len(order) == len(imports)


def test_public_names_of_rooms_differ():
    """No two rooms call different things alike; the entry point is no room."""
    rooms = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                rooms[node.name] |= {room} - {"__main__"}

    shared = {name: found for name, found in rooms.items() if len(found) > 1}

    assert {name: found for name, found in shared.items() if found != FACES} == {}


@pytest.mark.parametrize("word", FORBIDDEN)
def test_house_words_are_not_used(word):
    """One word per idea, in plain English."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / ".github").glob("*.md")]
    written = [path for name in ("docs", "examples") for path in (ROOT / name).glob("*.md")]
    code = [path for kind in ("py", "html", "js") for path in PACKAGE.rglob(f"*.{kind}")]
    tests = [path for path in TESTS.rglob("*.py") if path != Path(__file__)]
    said = re.compile(rf"\b{word}\b", re.IGNORECASE)
    found = {
        str(path.relative_to(ROOT)): line
        for path in (*pages, *written, *code, *tests)
        for line in KEPT.sub("", path.read_text()).splitlines()
        if said.search(line)
    }

    assert found == {}, f"say instead: {FORBIDDEN[word]}"
