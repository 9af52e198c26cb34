"""What is released, as somebody gets it: the wheel, installed in an environment with nothing else.

`MLREK_WHEEL` names a wheel that is tested instead of one that is built here: that of a release.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from fakes.shells import Shell

from mlrek import __version__

ROOT = Path(__file__).parents[2]
SHELLS = {
    "bash": ["bash", "-i"],
    "zsh": ["zsh", "-i"],
    "fish": ["fish", "-i"],
}
NO_CACHES = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", ".hypothesis", ".git")
UV = shutil.which("uv", path=Path(sys.executable).parent) or "uv"


def build(repository: Path, folder: Path) -> list[Path]:
    """The sdist and the wheel of a repository, by the script of the release."""
    env = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    env["PATH"] = f"{Path(UV).parent}:{env['PATH']}"
    subprocess.run([repository / ".ci/build", folder], env=env, check=True)
    return sorted(folder.iterdir(), reverse=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> list[Path]:
    """Sdist and wheel of this repository."""
    return build(ROOT, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    """The wheel that is tested."""
    return Path(os.environ.get("MLREK_WHEEL") or built[1])


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    """What the wheel tells the package index."""
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(f"mlrek-{__version__}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A new environment in which only the wheel and what it needs were installed."""
    place = tmp_path_factory.mktemp("installed") / "environment"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, place], check=True)
    python = place / "bin/python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, wheel], check=True)
    return place / "bin"


@pytest.fixture
def home(tmp_path) -> Path:
    """The home folder of somebody who has nothing yet."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(installed, home) -> dict[str, str]:
    """The variables of somebody for whom `mlrek` is the installed one, and Python no other."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": f"{installed}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
    }


@pytest.fixture
def run(environment, tmp_path):
    """Run the installed command in a folder outside the repository: what it prints."""

    def run(*args) -> str:
        command = [shutil.which("mlrek", path=environment["PATH"]), *map(str, args)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def list_files(folder: Path) -> set[str]:
    """Names of all files below a folder, without what Python and tools leave."""
    left = {"__pycache__", ".git"}
    return {
        str(path.relative_to(ROOT))
        for path in folder.rglob("*")
        if path.is_file() and not left & set(path.parts)
    }


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Modules, pages, the mark of typed packages; no test, no example, no leftover."""
    info = f"mlrek-{__version__}.dist-info"
    told = ["METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"]

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert len(names) == len(set(names))
    assert set(names) == list_files(ROOT / "mlrek") | {f"{info}/{name}" for name in told}
    assert "mlrek/py.typed" in names
    assert "mlrek/render/assets/page.css" in names


def test_the_sdist_holds_what_builds_and_tests_it(built):
    """All that is kept in the repository, and what the index reads; nothing that is ignored."""
    listed = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "-z"]
    kept = subprocess.run(
        [*listed, "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    there = {name for name in kept.stdout.split("\0") if name and (ROOT / name).is_file()}

    with tarfile.open(built[0]) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}

    assert names == {f"mlrek-{__version__}/{name}" for name in there | {"PKG-INFO"}}
    assert {".ci/run", "tests/conftest.py", "examples/policy.toml", "LICENSE"} <= there


def test_the_same_files_give_the_same_bytes(built, tmp_path):
    """In another folder, with other times and permissions for others."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=NO_CACHES, copy_function=copy_without_time)

    again = build(copy, tmp_path / "again")

    assert [path.name for path in again] == [path.name for path in built]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def copy_without_time(source: str, target: str) -> None:
    """Copy a file as somebody has it who cloned the repository today, for themselves alone."""
    shutil.copyfile(source, target)
    Path(target).chmod(0o700 if os.access(source, os.X_OK) else 0o600)


def test_the_page_of_the_index_has_no_dead_link(metadata):
    """A package index has no files next to the README: each link is a whole address."""
    page = metadata.get_payload()
    links = re.findall(r"\]\(([^)]+)\)", page)

    assert len(links) >= 10
    assert [link for link in links if not link.startswith("https://")] == []
    start = "https://github.com/mlrek/mlrek/blob/v" + __version__
    own = [link for link in links if link.startswith(start)]
    paths = [link.removeprefix(f"{start}/").partition("#")[0] for link in own]
    assert len(own) >= 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_metadata_is_what_indexes_know(metadata):
    """Licence as an expression with its file, text as markdown, in a version that uploads know."""
    assert metadata["Metadata-Version"] == "2.4"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Version"] == __version__


def test_nothing_of_the_developers_is_installed(installed):
    """Neither pytest nor what only an extra asks for."""
    command = [UV, "pip", "freeze", "--python", installed / "python"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = {line.partition("==")[0].partition(" @")[0] for line in done.stdout.splitlines()}

    assert {"mlrek", "mlflow", "typer"} <= names
    assert not {"pytest", "ruff", "mypy", "moto", "distributed", "selenium", "hypothesis"} & names


def test_the_installed_command_says_the_version_of_its_metadata(run, installed):
    """`mlrek --version`, the metadata and the module agree."""
    code = "import importlib.metadata, mlrek; "
    code += "print(importlib.metadata.version('mlrek'), mlrek.__version__, mlrek.__file__)"
    done = subprocess.run(
        [installed / "python", "-P", "-c", code], capture_output=True, text=True, check=True
    )
    version, module, file = done.stdout.split()

    assert run("--version") == f"mlrek {__version__}\n"
    assert version == module == __version__
    assert Path(file).is_relative_to(installed.parent)


def test_the_installed_command_helps(run):
    """All commands are there."""
    assert re.search(r"\bsync\b.*\bcompare\b.*\bpromote\b", run("--help"), re.DOTALL)


def test_the_installed_command_logs_an_example(run, examples, tmp_path):
    """Numbers, figures and pages come from the wheel alone: its templates and scripts are there."""
    synced = json.loads(run("sync", "--json", examples / "automl-flowers"))

    assert [version["action"] for version in synced["versions"]] == ["created"]
    (page,) = (tmp_path / "mlruns").rglob("report.html")
    assert "<script" in page.read_text()


@pytest.mark.parametrize("name", SHELLS)
def test_the_installed_completion_works_in_a_new_terminal(name, run, environment, tmp_path, home):
    """`--install-completion`, then Tab, in a shell that reads its own files; no more is done."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
    printed = run("--show-completion", name)
    run("--install-completion", name)

    assert any(path.read_text() == printed for path in home.rglob("*mlrek*"))
    shell = Shell(SHELLS[name], environment, str(tmp_path))
    shell.type(("" if name == "fish" else "PS1='> '; ") + "echo rea''dy\n")
    shell.wait_for("ready")
    shell.type("mlrek sy\t")
    assert shell.wait_for("mlrek sync ")
    shell.close()


def test_uvx_runs_the_command_from_a_checkout(clean_environment, tmp_path):
    """`uvx --from . mlrek`: nothing has to be installed before."""
    command = [UV, "tool", "run", "--python", sys.executable, "--from", ROOT, "mlrek", "--version"]
    env = clean_environment | {"UV_TOOL_DIR": str(tmp_path / "tools")}

    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"mlrek {__version__}\n"


def test_the_bill_of_materials_names_what_is_installed(wheel, installed, tmp_path):
    """CycloneDX: mlrek with what it needs itself, and each package that was installed for it."""
    env = os.environ | {"PATH": f"{Path(UV).parent}:{os.environ['PATH']}"}
    file = tmp_path / "sbom.json"
    subprocess.run([ROOT / ".ci/sbom", wheel, file], env=env, check=True)
    command = [UV, "pip", "freeze", "--python", installed / "python"]
    frozen = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    said = json.loads(file.read_text())

    root = said["metadata"]["component"]
    (own,) = [entry for entry in said["dependencies"] if entry["ref"] == root["bom-ref"]]
    listed = {f"{one['name']}=={one['version']}".lower() for one in said["components"]}
    assert (said["bomFormat"], root["name"], root["version"]) == ("CycloneDX", "mlrek", __version__)
    assert {"mlflow", "numpy", "typer"} <= {ref.partition("==")[0] for ref in own["dependsOn"]}
    assert {line.lower() for line in frozen.splitlines() if "mlrek" not in line} == {
        name.replace("_", "-") for name in listed
    }
    assert "file:" not in file.read_text()
