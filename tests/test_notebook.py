"""The notebook of the documentation runs from its first cell to its last, without a screen."""

import json
from pathlib import Path

import pytest
from toy import environment

NOTEBOOK = Path(__file__).parents[1] / "experiments" / "quickstart.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import nbclient
    import nbformat

    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    shown = [mime for cell in cells for output in cell.outputs for mime in output.get("data", {})]
    assert "test/accuracy" in said
    assert shown.count("image/png") == 2
    assert "text/markdown" in shown
    assert (tmp_path / "quickstart" / "mlruns" / "optuna.db").is_file()


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
