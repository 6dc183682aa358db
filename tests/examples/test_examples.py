"""The example notebooks run from top to bottom in a fresh kernel, and show what they promise."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from notebooks import FOLDER, execute, html, of_cells, read, text

NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def test_there_are_three_examples() -> None:
    assert NAMES == ["cluster", "own_pictures", "versioned_loop"]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_committed_without_outputs_and_imports_only_what_is_public(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    nodes = [node for cell in code for node in ast.walk(ast.parse(cell.source))]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert modules <= {"pathlib", "pix2pix.facades"}, "the drawn facades stand in for pictures; all else is public"


def test_a_notebook_shows_progress_and_describes_commits_logs_and_lineages(tmp_path: Path) -> None:
    shown = execute(
        of_cells(
            "import pachyderm, pix2pix\nfrom pix2pix.facades import generator\nfrom pathlib import Path\n"
            "generator.make_facades(Path('photos'), 2, 32, seed=1)\n"
            "pix2pix.pairs('photos', 'pairs', 'grayscale', size=32)",
            "data = pachyderm.connect('store')\ndata.setup()\ndata.put('input_images', 'pairs', message='<b>two</b>')",
            "data.log('input_images')",
            "data.pictures('input_images')",
            "data.lineage('input_images@master')",
        ),
        tmp_path,
    )
    (bar,) = html(shown, 0)
    assert "2 of 2" in bar
    assert all("&lt;b&gt;two" in html(shown, cell)[0] for cell in (1, 2, 4))
    assert html(shown, 3)[0].count("<img") == 2


@pytest.mark.long
@pytest.mark.timeout(900)
def test_own_pictures(tmp_path: Path) -> None:
    done = execute(read("own_pictures"), tmp_path)
    assert text(done, 3) == "(48, 0)"
    bar, samples, training = html(done, 5)
    assert "150 of 150" in bar
    assert "data:image/png" in samples
    assert "150 steps" in training
    assert "image/png" in done.cells[9].outputs[-1].data, "the model's picture"
    assert text(done, 10) == "(2, 64, 64, 3)"
    assert " ".join(text(done, 12).split()).startswith("(48, {'l1': ")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_versioned_loop(tmp_path: Path) -> None:
    done = execute(read("versioned_loop"), tmp_path)
    assert html(done, 6)[0].count("<img") == 6
    assert "half the steps" not in html(done, 8)[0], "the log of models"
    assert text(done, 9) == "6", "the second model made other pictures"
    assert text(done, 11) == "True", "the first model's pictures returned"
    assert "held by" in html(done, 13)[0]
    assert int(text(done, 14)) >= 4
