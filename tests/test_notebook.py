"""The tutorial runs as it stands there, on fewer instances, and is kept with its output."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.mark.slow
# Of the notebook's own machinery: how it speaks to its kernel.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    smaller = 0
    for cell in notebook.cells:
        # Sizes that only cost time are those of a test.
        for found, instead in ((r"-n (20|24)\b", "-n 5"), (r"(epochs) = 12", r"\1 = 1")):
            cell.source, count = re.subn(found, instead, cell.source)
            smaller += count
    assert smaller == 5
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "evaluations/tutorial/report.html").is_file()
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
    assert len(pictures) == 2


def test_it_is_kept_with_its_output_and_small() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [out for cell in code for out in cell.outputs]
    assert outputs and not [out for out in outputs if out.output_type == "error"]
    assert NOTEBOOK.stat().st_size < 200_000
