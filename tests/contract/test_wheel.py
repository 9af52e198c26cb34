"""The wheel holds the package and nothing else, and works with what it declares alone."""

import json
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from conftest import clean_env
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ONLY_DECLARED = """
import json, sys
blocked = frozenset(json.loads(sys.argv.pop(1)))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is not declared", name=name)
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv.pop(1))
import mlrek
assert mlrek.__file__.startswith(sys.path[0]), mlrek.__file__
from mlrek.cli import main
sys.argv[0] = "mlrek"
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "-q", "-w", folder]
    subprocess.run(command, check=True, cwd=folder)
    (built,) = folder.glob("mlrek-*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    """Its files."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def list_declared(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """A distribution and all that it needs, in lower case."""
    found, waiting = set(), [(name, extras)]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in found:
            continue
        found.add((name, extras))
        for text in distribution(name).requires or []:
            needed = Requirement(text)
            contexts = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if needed.marker is None or any(map(needed.marker.evaluate, contexts)):
                waiting.append((_fold(needed.name), frozenset(needed.extras)))
    return {name for name, _ in found}


def _fold(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def list_undeclared() -> list[str]:
    """Top-level modules here that nothing brings which mlrek declares."""
    declared = list_declared("mlrek")
    return [
        module
        for module, owners in packages_distributions().items()
        if module != "mlrek" and not declared & {_fold(owner) for owner in owners}
    ]


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Every file of `mlrek/`, the license, and the wheel's own."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    there = (path for path in (ROOT / "mlrek").rglob("*") if path.is_file())
    expected = {
        path.relative_to(ROOT).as_posix() for path in there if "__pycache__" not in path.parts
    }
    own = {name for name in names if name.partition("/")[0].endswith(".dist-info")}

    assert names - own == expected
    assert {name.partition("/")[2] for name in own} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


@pytest.mark.parametrize("module", ["pytest", "hypothesis", "moto", "selenium", "psycopg2"])
def test_what_tests_need_is_not_declared(module):
    """So the next test says something."""
    assert module in list_undeclared()


def test_the_wheel_works_with_what_it_declares(unpacked, tmp_path, digits):
    """Help, a sync and what it logged; nothing else can be imported."""
    blocked = json.dumps(list_undeclared())

    def run(*args: object) -> str:
        command = [sys.executable, "-I", "-c", ONLY_DECLARED, blocked, unpacked, *args]
        done = subprocess.run(
            command, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    store = ("--tracking-uri", "sqlite:///mlflow.db")
    assert "Usage:" in run("--help")
    synced = run("sync", digits, "--version", "v2-linear", *store, "--json")
    run_id = json.loads(synced)["versions"][0]["run_id"]
    assert "v2-linear" in run("show", f"runs:/{run_id}", *store)
    assert "same test set" in run("compare", f"{digits}#v1-naive-bayes", f"runs:/{run_id}", *store)
