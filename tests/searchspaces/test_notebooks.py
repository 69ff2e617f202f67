"""The notebooks of the examples, and what only a notebook does, in real Jupyter kernels."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

FOLDER = ROOT / "searchspaces" / "examples"
SPACE = """
from optuna.distributions import FloatDistribution
from trainables.tune import tune

def train(config, run):
    import time
    for step in range(run.reports):
        time.sleep({seconds})
        run.report({{"loss": (config.x - 2) ** 2 + 1 / (step + 1)}})

options = {{"suggest": {{"x": FloatDistribution(0, 4)}}, "metric": "loss", "mode": "min"}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    )


def make_client(folder: Path, *sources: str, cells: Any = None) -> Any:
    notebook = nbformat.v4.new_notebook(
        cells=cells or [nbformat.v4.new_code_cell(source) for source in sources]
    )
    resources = {"metadata": {"path": str(folder)}}
    return nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=resources
    )


def read_texts(cell: Any) -> str:
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [output.data.get("text/plain", "") for output in cell.outputs if "data" in output]
    return "\n".join(texts)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_an_example_runs(file: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")], "outputs are stripped"
    client = make_client(tmp_path, cells=notebook.cells)
    client.execute()
    outputs = [output for cell in client.nb.cells for output in cell.get("outputs", ())]
    pages = [o.data["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    assert any("data:image/png" in page and "result.report()" in page for page in pages)
    assert max(len(cell.get("outputs", ())) for cell in client.nb.cells) < 15


def test_a_cell_sends_its_function_to_workers_of_ray(tmp_path: Path) -> None:
    client = make_client(
        tmp_path,
        SPACE.format(seconds=0),
        "result = tune(train, trials=3, reports=2, **options)",
        "print(len(result.trials), result.best.score == result.trials.score.min())",
    )
    client.execute()
    assert read_texts(client.nb.cells[-1]).strip() == "3 True"


def test_an_interrupted_cell_returns_what_there_is(tmp_path: Path) -> None:
    client = make_client(
        tmp_path,
        SPACE.format(seconds=0.2),
        "import os; print(os.getpid())",
        "result = tune(train, trials=500, reports=2, executor='inline', **options)",
        "print(result.exit_code, len(result.trials) > 0, 1 + 1)",
    )
    cells = client.nb.cells

    def interrupt() -> None:
        while not (tmp_path / "runs" / "train" / "trials" / "001").exists():
            time.sleep(0.1)
        os.kill(int(read_texts(cells[1])), signal.SIGINT)  # as Jupyter does

    with client.setup_kernel():
        for index in (0, 1):
            client.execute_cell(cells[index], index)
        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        for index in (2, 3):
            client.execute_cell(cells[index], index)
    assert read_texts(cells[3]).strip() == "130 True 2"
