"""Run a notebook in a fresh kernel and keep its outputs: `python examples/notebook/execute.py`.

Whole pages are left out of the file, which would hold megabytes of them; they come when it is run.
Needs `pip install nbclient ipykernel`.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

LARGEST = 20_000  # characters of HTML


def main(arguments: list[str]) -> None:
    """Run the notebook that is named, or the one next to this script."""
    path = Path(arguments[0]) if arguments else Path(__file__).with_name("mlrek.ipynb")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        coalesce_streams=True,  # a kernel under load sends what a cell prints in several pieces
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
        for output in cell.get("outputs", ()):
            drop_pages(output.get("data", {}))
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec}
    nbformat.write(notebook, path)


def drop_pages(data: dict[str, str]) -> None:
    """Leave out HTML that is a page, for its text says what it is."""
    if len(data.get("text/html", "")) > LARGEST:
        del data["text/html"]


if __name__ == "__main__":
    main(sys.argv[1:])
