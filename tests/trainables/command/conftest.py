"""Searches in a storage folder, as a driver writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.ledger.ledger import Ledger, create_ledger
from cluster.ledger.settings import SearchSettings, write_settings
from tests.support.reports import make_history
from trainables.command.app import app


@pytest.fixture
def write_search(tmp_path: Path) -> Callable[..., Ledger]:
    """Return a function that writes a search of ended trials with these losses."""

    def write(*losses: float, trials: int = 2, space: str = "toy") -> Ledger:
        settings = SearchSettings(
            space=space,
            metric="loss",
            mode="min",
            trials=trials,
            reports=1,
            fixed={"depth": 2},
            provenance={"space_file": "mine/toy.py"},
        )
        ledger = create_ledger(tmp_path, settings)
        write_settings(ledger.folder, ledger.settings)
        for trial, loss in enumerate(losses):
            ledger.add_trial(trial, {"width": trial}, {"width": trial, "depth": 2})
            ledger.add_attempt(trial)
            ledger.record_reports(trial, make_history([loss]), {})
            ledger.record_outcome(trial, "complete")
        return ledger

    return write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs `tunery` with these words."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return call
