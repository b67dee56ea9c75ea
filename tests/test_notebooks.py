"""Every notebook runs from top to bottom."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook machinery, not ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    # The longest takes a minute on two free cores; a busy machine may take its time.
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": path.parent}})
    client.execute()
    assert not any("def " in cell.source for cell in notebook.cells), "notebooks define nothing"
