"""MLflow's UI is started on this machine alone, and opened on the runs of a space."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from cluster.storage.storage import open_storage
from cluster.tracking.pages import format_experiment_page
from tests.support.paths import ROOT
from tests.support.ui import serve
from trainables.command import dashboard, ui
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
    for command, page, port, environment in served:
        assert command[1:8] == ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", "5009"]
        assert environment == {"MLFLOW_BACKEND_STORE_URI": database, **ui.WITHOUT_JOBS}
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
            ui._serve(["true"], "http://127.0.0.1/", port, {})


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_mlflows_ui_answers_and_ends_with_the_command(runs: Path) -> None:
    MlflowClient(f"sqlite:///{runs / 'mlflow.db'}").create_experiment("digits")
    with (
        serve("digits", "--storage", runs) as server,
        urllib.request.urlopen(f"{server}/version", timeout=60) as response,
    ):
        assert response.status == 200


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_page_lists_the_trials_with_score_outcome_and_hyperparameters_the_best_first(
    tune_inline: Callable[..., tuple[int, str]], runs: Path, browser: Any
) -> None:
    space = ROOT / "tests" / "benchmarks" / "trivial.py"
    code, output = tune_inline("--space", space, "--trials", 3, "--reports", 2)
    assert code == 0, output
    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    found = client.get_experiment_by_name("trivial")
    assert found is not None
    trials = client.search_runs(
        [found.experiment_id], "tags.kind = 'trial'", order_by=["metrics.`tunery.score` ASC"]
    )
    names = [run.info.run_name for run in trials]
    with serve("trivial", "--storage", runs) as server:
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.goto(format_experiment_page(server, found.experiment_id))
        page.get_by_text(names[0]).first.wait_for(timeout=120_000)
        text = page.locator("body").inner_text()
    places = [text.index(name) for name in names]
    assert len(places) == 3 and places == sorted(places)
    assert {"tunery.score", "outcome", "x", "y", "complete"} <= set(text.split())


def _answer(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let a tracking server answer that has these experiments."""
    found = [
        SimpleNamespace(name=name, experiment_id=f"{number}", last_update_time=number)
        for number, name in enumerate(names, 1)
    ]
    client = SimpleNamespace(search_experiments=lambda: found)
    monkeypatch.setattr("cluster.tracking.client.open_client", lambda *_, **__: client)


def test_a_database_server_is_served_and_its_password_is_in_no_command(
    tmp_path: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, "digits", "top-1")
    uri = "postgresql://me:secret@db/mlflow"
    for name, number in (("digits-2", 1), ("top-1", 2), ("", 2)):
        assert ui.show_mlflow(open_storage(str(tmp_path), uri), name, 5009) == 0
        command, page, _, environment = served.pop()
        assert "secret" not in " ".join([*command, page])
        assert page.startswith(f"http://127.0.0.1:5009/#/experiments/{number}/runs")
        assert environment == {"MLFLOW_BACKEND_STORE_URI": uri, **ui.WITHOUT_JOBS}


def test_a_tracking_server_is_opened_as_it_is(
    tmp_path: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, "digits")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert ui.show_mlflow(open_storage(str(tmp_path), "http://server:5000"), "digits", 5009) == 0
    assert opened[0].startswith("http://server:5000/#/experiments/1/runs")
    assert served == []


def test_a_tracking_server_without_experiments_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch)
    with pytest.raises(UserError, match="has no experiment in MLflow"):
        ui.show_mlflow(open_storage(str(tmp_path)), "", 5009)


def test_optunas_dashboard_opens_the_only_study_and_lists_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    opened: list[Any] = []

    def make(*what: Any) -> Any:
        opened.append(what)
        return nullcontext(SimpleNamespace(serve_forever=lambda: opened.append("served")))

    monkeypatch.setattr(dashboard, "make_dashboard", make)
    monkeypatch.setattr("webbrowser.open", opened.append)
    folder, storage = tmp_path / "toy", open_storage(str(tmp_path))
    folder.mkdir()
    (folder / "search.json").touch()
    with pytest.raises(UserError, match="has no study of Optuna"):
        ui.show_dashboard(storage, "toy", 5009)
    (folder / "study-1.journal").touch()
    assert ui.show_dashboard(storage, "toy", 5009) == 0
    address = ("127.0.0.1", 5009)
    assert opened == [(folder / "study-1.journal", *address), "http://127.0.0.1:5009/", "served"]
    (folder / "study-2.journal").touch()
    with pytest.raises(UserError, match=r"optuna-dashboard .*study-1(.|\n)*study-2\.journal"):
        ui.show_dashboard(storage, "toy", 5009)


def test_optunas_dashboard_needs_a_name_and_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(str(tmp_path))
    with pytest.raises(UserError, match="--optuna shows one search"):
        ui.show_dashboard(storage, "", 5009)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install 'tunery\\[dashboard\\]'"):
        ui.show_dashboard(storage, "digits", 5009)
