"""The rooms of the package: few names at the root, few modules, imports in one direction."""

from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mlrek"
AT_THE_ROOT = 18
MODULES = 146


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The modules that each module imports, also late; those for types alone are left out."""
    graph = grimp.build_graph("mlrek", exclude_type_checking_imports=True, cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def test_few_names_are_at_the_root():
    """Whoever opens the package sees its rooms on one screen."""
    names = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}

    assert len(names) <= AT_THE_ROOT, sorted(names)


def test_modules_are_few(imports):
    """A module that has one importer in its own room belongs to it."""
    assert len(imports) <= MODULES


def test_no_module_imports_itself_over_others(imports):
    """There is no circle, not even by a late import."""
    order = list(TopologicalSorter(imports).static_order())

    assert len(order) == len(imports)
