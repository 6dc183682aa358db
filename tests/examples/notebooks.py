"""Execution of notebooks in a fresh kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "examples"


def read(name: str) -> Any:
    """Read an example."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute(notebook: Any, folder: Path) -> Any:
    """Execute all cells with `folder` as the working folder, and return the notebook with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised an error.
    """
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def of_cells(*sources: str) -> Any:
    """Make a notebook of code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def text(notebook: Any, number: int) -> str:
    """Return the plain text of what the cell of a number evaluated to."""
    (result,) = [output for output in notebook.cells[number].outputs if output.output_type == "execute_result"]
    return str(result.data["text/plain"])


def html(notebook: Any, number: int) -> list[str]:
    """Return the HTML that a cell displayed or evaluated to."""
    outputs = notebook.cells[number].outputs
    return [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
