"""What the last word of a line may become."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mlrek.cli import make_app
from mlrek.cli.completion import answer, install_completion
from mlrek.errors import UsageError

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with the examples and a store, in which words are completed."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "labels.json").write_text(json.dumps({"golden retriever": {}, "pug": {}}))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.executescript(
            """
            CREATE TABLE registered_models (name);
            CREATE TABLE model_versions (name, version, run_id);
            CREATE TABLE registered_model_aliases (name, alias, version);
            CREATE TABLE runs (run_uuid, name, artifact_uri, lifecycle_stage, start_time);
            CREATE TABLE tags (run_uuid, key, value);
            CREATE TABLE experiments (experiment_id, name, lifecycle_stage, last_update_time);
            CREATE TABLE experiment_tags (experiment_id, key, value);
            INSERT INTO registered_models VALUES ('pets'), ('$(reboot)');
            INSERT INTO model_versions VALUES ('pets', 1, 'a1'), ('pets', 12, 'b2');
            INSERT INTO registered_model_aliases VALUES ('pets', 'champion', 12);
            INSERT INTO registered_model_aliases VALUES ('$(reboot)', 'x', 1);
            INSERT INTO tags VALUES ('a1', 'mlrek.complete', 'true');
            INSERT INTO tags VALUES ('b2', 'mlrek.complete', 'true');
            INSERT INTO experiments VALUES (1, 'mlrek/pets', 'active', 1);
            INSERT INTO experiment_tags VALUES (1, 'project_arn', 'arn:pets');
            """
        )
        runs = [("a1", "v1", str(artifacts), 1), ("b2", "v2", f"file://{artifacts}", 2)]
        database.executemany("INSERT INTO runs VALUES (?, ?, ?, 'active', ?)", runs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "aws").write_text("[default]\n[profile vision]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    return tmp_path


@pytest.fixture
def complete(capsys):
    """The words that a shell is given for a line, without what explains them."""

    def run(line: str, shell: str = "fish") -> list[str]:
        answer(get_command(make_app()), {"_MLREK_COMPLETE": shell, "_MLREK_LINE": line})
        shown = capsys.readouterr()
        assert shown.err == ""
        return [word.partition("\t")[0] for word in shown.out.splitlines()]

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mlrek sy", ["sync"]),
        ("mlrek ver", ["versions", "verify"]),
        ("A=1 /opt/bin/mlrek -q ve", ["versions", "verify"]),
        ("mlrek show x --out", ["--outcome"]),
        ("mlrek show x --outcome ", ["tp", "fn", "fp"]),
        ("mlrek show x --outcome=f", ["--outcome=fn", "--outcome=fp"]),
        ("mlrek sync x --task m", ["multilabel"]),
        ("mlrek show models:/", ["models:/pets@champion", "models:/pets/12", "models:/pets/1"]),
        ("mlrek compare models:/pets/1 models:/pets@", ["models:/pets@champion"]),
        ("mlrek show runs:/", ["runs:/b2", "runs:/a1"]),
        ("mlrek show examples/digits#v3", ["examples/digits#v3-neighbours"]),
        ("mlrek show examples/digits#v2-linear --label s", ["six", "seven"]),
        ("mlrek show runs:/a1 --label ", ["golden retriever", "pug"]),
        ("mlrek show models:/pets@champion --label p", ["pug"]),
        ("mlrek show models:/pets/1 --label p", ["pug"]),
        ("mlrek check models:/pets/1 --alias c", ["champion"]),
        ("mlrek sync examples/digits --version v4", ["v4-new-split"]),
        ("mlrek sync examples/dig", ["examples/digits/"]),
        ("mlrek ui m", ["mlrek/pets", "mlflow.db"]),
        ("mlrek sync x --experiment ", ["mlrek/pets"]),
        ("mlrek projects --profile v", ["vision"]),
        ("mlrek --show-completion ", ["bash", "zsh", "fish"]),
        ("mlrek show x y", []),
        ("mlrek nothing x", []),
        ("mlrek show x --label", ["--label"]),
        ("mlrek show nothing#", []),
        ("mlrek show arn:aws:rekognition:eu-west-1:111122223333:project/p/1#", []),
        ("mlrek show models:/pets --tracking-uri sqlite:///no.db models:/", []),
        ("", []),
    ],
)
def test_a_word_becomes_what_belongs_there(complete, line, words):
    """Commands, options, choices, files, and the names in folders, stores and settings."""
    found = [word for word in complete(line) if "reboot" not in word]

    assert found == words if line else found[:1] == ["sync"]


def test_options_that_were_given_are_not_offered_again(complete):
    """But those that may come several times."""
    options = complete("mlrek sync x --jobs 2 --version v1 --")

    assert "--jobs" not in options
    assert {"--version", "--json", "--help"} <= set(options)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mlrek show models:/pets/1", ["/pets/12", "/pets/1"]),
        ("mlrek show models:/pets@c", ["@champion"]),
        ("mlrek show runs:/a1 --label gold", [r"golden\ retriever"]),
        ("mlrek show runs:/a1 --label 'gold", ["golden retriever"]),
        ("mlrek show models:/$", [r"/\$\(reboot\)@x"]),
        ("mlrek show 'models:/$", []),
        ("mlrek show x --outcome=f", ["fn", "fp"]),
    ],
)
def test_bash_is_given_what_it_replaces_and_nothing_that_it_would_run(complete, line, words):
    """It begins a new word behind a colon, and takes a name for more than a name."""
    assert complete(line, "bash") == words


def test_a_name_that_would_run_a_command_is_escaped_for_bash(complete):
    """Whoever registers models decides about their names."""
    assert r"/\$\(reboot\)@x" in complete("mlrek show models:/", "bash")


@pytest.mark.parametrize("broken", [b"", b"no database", None])
def test_a_broken_store_completes_nothing(complete, place, broken):
    """Silently: somebody is typing."""
    (place / "mlflow.db").unlink()
    if broken is not None:
        (place / "mlflow.db").write_bytes(broken)

    assert complete("mlrek show models:/") == []
    assert (place / "mlflow.db").exists() == (broken is not None)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://u:p@h/d", "databricks", "x"])
def test_a_store_that_does_not_answer_completes_nothing(complete, monkeypatch, uri):
    """Nor does one that is only reached with MLflow's help."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    assert complete("mlrek show models:/") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_twice_changes_the_shells_start_once(tmp_path, shell):
    """What was in the file stays."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("alias x=y")
    paths = {install_completion(shell, {"HOME": str(home)}) for _ in range(2)}
    written = [path.read_text() for path in home.glob(".*rc")]

    assert len(paths) == 1
    assert "_MLREK_COMPLETE" in paths.pop().read_text()
    assert "alias x=y" in written[0] or len(written) > 1
    assert sum(text.count("mlrek.sh") + text.count("compinit;") for text in written) <= 1


def test_another_shell_is_refused_with_those_there_are(tmp_path):
    """Nothing is written for it."""
    with pytest.raises(UsageError, match="csh: completion is there for bash, zsh and fish"):
        install_completion("csh", {"HOME": str(tmp_path)})


def test_the_script_is_shown_and_installed_by_options(monkeypatch, tmp_path):
    """Of the shell that is named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = CliRunner().invoke(make_app(), ["--show-completion", "zsh"])
    done = CliRunner().invoke(make_app(), ["--install-completion", "fish"])
    refused = CliRunner().invoke(make_app(), ["--show-completion", "tcsh"])

    assert shown.stdout.startswith("#compdef mlrek")
    assert str(tmp_path / ".config/fish/completions/mlrek.fish") in done.stdout
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "bash, zsh and fish" in refused.stderr
