"""The shipped notebook: it runs in a fresh kernel and says what it says in the repository."""

import shutil
import subprocess
import sys

import nbformat
import pytest

PAGE = "<iframe"


@pytest.fixture(scope="module")
def place(tmp_path_factory, examples):
    """A copy of the notebook next to the examples that it reads."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "digits").symlink_to(examples / "digits")
    shutil.copytree(examples / "notebook", folder / "notebook")
    return folder / "notebook"


def list_outputs(path):
    """What each cell shows as text."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        [output.get("text") or output["data"]["text/plain"] for output in cell.get("outputs", ())]
        for cell in cells
    ]


def execute(place, path, environment):
    """Run a notebook with the script that the repository has for it."""
    done = subprocess.run(
        [sys.executable, place / "execute.py", path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_notebook_runs_and_says_the_same(place, examples, clean_environment):
    """From a fresh kernel: every text output is the one in the repository, and no cell fails."""
    execute(place, place / "mlrek.ipynb", clean_environment)

    assert list_outputs(place / "mlrek.ipynb") == list_outputs(examples / "notebook/mlrek.ipynb")


def test_what_a_cell_prints_in_pieces_is_one_output(place, tmp_path, clean_environment):
    """A kernel that sends the lines of a cell one by one leaves the same notebook as a fast one."""
    cell = nbformat.v4.new_code_cell("print('one', flush=True)\nprint('two', flush=True)")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "pieces.ipynb")

    execute(place, tmp_path / "pieces.ipynb", clean_environment)

    assert list_outputs(tmp_path / "pieces.ipynb") == [["one\ntwo\n"]]


def test_the_notebook_in_the_repository_is_small(examples):
    """It was run, shows tables and figures, and holds no page."""
    path = examples / "notebook" / "mlrek.ipynb"
    text = path.read_text()

    assert path.stat().st_size < 200_000
    assert PAGE not in text
    assert "image/png" in text
    assert sum(map(bool, list_outputs(path))) > 10
