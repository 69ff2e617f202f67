"""MLflow's UI is started on this machine alone, and opened on the runs of a space."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from cluster.storage.storage import open_storage
from trainables.command import ui
from trainables.errors import UserError


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what would be served, instead of serving it."""
    calls: list[Any] = []
    monkeypatch.setattr(ui, "_serve", lambda *what: calls.append(what) or 0)
    return calls


def test_the_runs_of_a_space_are_opened(runs: Path, served: list[Any]) -> None:
    database = f"sqlite:///{runs / 'mlflow.db'}"
    client = MlflowClient(database)
    experiment = client.create_experiment("digits")
    client.create_experiment("other")
    for name in ("digits", "digits-2"):
        assert ui.show_mlflow(open_storage(str(runs)), name, 5009) == 0
    for command, page, port in served:
        assert command[1:] == [
            *("-m", "mlflow", "ui", "--backend-store-uri", database),
            *("--host", "127.0.0.1", "--port", "5009"),
        ]
        assert f"http://127.0.0.1:5009/#/experiments/{experiment}/runs?" in page
        assert "workflowType=machine_learning" in page
        assert port == 5009
    with pytest.raises(UserError, match="no experiment of 'mnist'; it has: digits, other"):
        ui.show_mlflow(open_storage(str(runs)), "mnist", 5009)


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} of this machine is not free"):
            ui._serve(["true"], "http://127.0.0.1/", port)


def test_optunas_dashboard_needs_a_name_and_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(str(tmp_path))
    with pytest.raises(UserError, match="--optuna shows one search"):
        ui.show_dashboard(storage, "", 5009)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install 'tunery\\[dashboard\\]'"):
        ui.show_dashboard(storage, "digits", 5009)
