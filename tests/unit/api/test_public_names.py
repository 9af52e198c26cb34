"""What `import mlrek` promises: the names, what they cost, and that their examples hold."""

import ast
import doctest
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mlrek

ROOT = Path(mlrek.__file__).parent
HEAVY = {"mlflow", "pandas", "sklearn", "matplotlib", "numpy", "scipy", "boto3", "pyarrow", "typer"}
FUNCTIONS = ("check", "compare", "evaluate", "log", "read", "sync")
CLASSES = tuple(
    name for name in mlrek.__all__ if isinstance(getattr(mlrek, name), type) and name[0].isupper()
)
COST = f"""
import sys, time
began = time.process_time()
import mlrek
print(time.process_time() - began, sorted({HEAVY} & set(sys.modules)))
"""


def test_the_import_costs_nothing():
    """Less than 50 ms, and nothing heavy comes with it."""
    found = [
        subprocess.run([sys.executable, "-c", COST], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    spent, _, heavy = min(done.stdout for done in found).partition(" ")

    assert float(spent) < 0.05
    assert heavy.strip() == "[]"


def test_all_names_are_there_and_no_other():
    """Completion in a notebook shows the promise, each name can be had, others are an error."""
    assert dir(mlrek) == sorted(mlrek.__all__)
    assert set(FUNCTIONS) < set(mlrek.__all__)
    assert all(getattr(mlrek, name) is not None for name in mlrek.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mlrek.nothing  # noqa: B018


def test_type_checkers_see_the_same_names():
    """What is imported late is imported for types too, and the package says that it is typed."""
    tree = ast.parse(Path(mlrek.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body for alias in node.names}

    assert seen | {"__version__"} == set(mlrek.__all__)
    assert (ROOT / "py.typed").exists()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_and_raise(name):
    """Each argument is explained, so are the errors, and an example is shown."""
    function = getattr(mlrek, name)
    said = inspect.getdoc(function)

    for argument in inspect.signature(function).parameters:
        assert f"    {argument}: " in said or f"    **{argument}: " in said, argument
    assert "Raises:" in said
    assert ">>> " in said


@pytest.mark.parametrize("name", CLASSES)
def test_results_explain_themselves(name):
    """A class, and all that can be had of one, has a docstring."""
    kind = getattr(mlrek, name)

    own = [field for field in getattr(kind, "__dataclass_fields__", ()) if field[0] != "_"]
    assert kind.__doc__
    assert [field for field in own if field not in kind.__doc__] == []
    for attribute, value in vars(kind).items():
        if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), attribute


@pytest.mark.parametrize(
    "module", ["mlrek", *sorted(f"mlrek.api.{p.stem}" for p in ROOT.glob("api/[a-z]*.py"))]
)
def test_examples_in_docstrings_hold(module, monkeypatch, examples, tmp_path):
    """What a docstring shows is what comes out."""
    (tmp_path / "examples").symlink_to(examples)
    monkeypatch.chdir(tmp_path)  # MLflow keeps files of runs in the working folder

    assert doctest.testmod(import_module(module)).failed == 0
