"""Tab in real shells, with the scripts that `--show-completion` prints."""

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from fakes.shells import Shell

EXAMPLES = Path(__file__).parents[2] / "examples"
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
LOADED = {
    "bash": "PS1='> '; source completion; echo load''ed\n",
    "zsh": "PS1='> '; autoload -Uz compinit; compinit -u -D; source completion; echo load''ed\n",
    "fish": "source completion; echo load''ed\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the examples, and a store whose registry has a model and an alias."""
    folder = tmp_path_factory.mktemp("shells")
    (folder / "examples").symlink_to(EXAMPLES)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.executescript(
            """
            CREATE TABLE registered_models (name);
            CREATE TABLE model_versions (name, version, run_id);
            CREATE TABLE registered_model_aliases (name, alias, version);
            INSERT INTO registered_models VALUES ('digits');
            INSERT INTO model_versions VALUES ('digits', 1, 'a'), ('digits', 2, 'b');
            INSERT INTO registered_model_aliases VALUES ('digits', 'champion', 2);
            """
        )
    return folder


@pytest.fixture(params=SHELLS)
def shell(request, place, run_mlrek):
    """A shell that has loaded the script."""
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
    script = run_mlrek("--show-completion", name).stdout
    (place / "completion").write_text(script)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(place),
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
        "LANG": "C.UTF-8",
    }
    opened = Shell(SHELLS[name], env, str(place))
    opened.type(LOADED[name])
    opened.wait_for("loaded")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("mlrek sy", r"mlrek sync "),
        ("mlrek show x --outc", r"mlrek show x --outcome "),
        ("mlrek show examples/digits#v2", r"#v2-linear"),
        ("mlrek show models:/digits@ch", r"models:/digits@champion "),
        ("mlrek sync examples/digi", r"mlrek sync examples/digits/"),
    ],
)
def test_tab_completes_the_word(shell, typed, completed):
    """Commands, options, versions of a folder, aliases of the registry, and folders."""
    shell.type(f"{typed}\t")

    assert shell.wait_for(completed)


def test_completion_writes_nothing(place, run_mlrek, tmp_path):
    """No database is made where there is none, and none is touched where there is one."""
    before = (place / "mlflow.db").read_bytes()
    for cwd in (place, tmp_path):
        for line in (
            "mlrek show models:/",
            "mlrek show runs:/",
            "mlrek ui ",
            "mlrek show x --label ",
        ):
            env = {"_MLREK_COMPLETE": "bash", "_MLREK_LINE": line}
            done = run_mlrek(cwd=cwd, env=env)
            assert (done.returncode, done.stderr) == (0, "")

    assert (place / "mlflow.db").read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_completion_of_names_imports_no_mlflow(place, cold_modules):
    """Tab is pressed often: MLflow alone would take seconds each time."""
    assert not {"mlflow", "boto3", "matplotlib"} & cold_modules("mlrek show models:/", place)


@pytest.fixture
def cold_modules(clean_environment):
    """The modules that a completion imports in a process of its own."""
    import subprocess

    def run(line: str, cwd: Path) -> set[str]:
        code = (
            "import sys; from mlrek.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
        )
        env = clean_environment | {"_MLREK_COMPLETE": "bash", "_MLREK_LINE": line}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True)
        assert "/digits@champion" in done.stdout
        return set(done.stderr.split())

    return run
