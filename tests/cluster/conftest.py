"""Ledgers and studies of the trivial space, without Ray and MLflow."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.study import Study
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from tests.support.paths import TRIVIAL


@pytest.fixture
def space() -> SearchSpace[Any]:
    return load_space(str(TRIVIAL))


@pytest.fixture
def change(space: SearchSpace[Any]) -> Callable[..., SearchSpace[Any]]:
    return lambda **changes: replace(space, **changes)


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Ledger]:
    """Begin a search's folder; what the command line would have decided is given by hand."""

    def make(name: str = "toy", **settings: Any) -> Ledger:
        known = {
            "space": name,
            "metric": "loss",
            "mode": "min",
            "sampler": "random",
            "seed": 0,
            "seeds": 3,
            "fixed": {},
            "trials": 4,
            "reports": 4,
            "tags": {},
            "artifacts": (tmp_path / "artifacts").as_uri(),
        }
        ledger = ledgers.create_ledger(tmp_path / "runs", name, {**known, **settings})
        ledgers.write_settings(ledger.folder, ledger.settings)
        return ledger

    return make


@pytest.fixture
def open_study() -> Callable[[Ledger, SearchSpace[Any]], Study]:
    def make(ledger: Ledger, space: SearchSpace[Any]) -> Study:
        new = ledger.settings
        return Study(
            ledger, space, plan_initial_trials(space, new["fixed"], new["sampler"], new["seeds"])
        )

    return make


@pytest.fixture
def reopen() -> Callable[[Ledger], Ledger]:
    """Do what a driver does that comes after one that was killed."""

    def again(ledger: Ledger) -> Ledger:
        ledger.close()
        return ledgers.reopen_ledger(ledger.folder)

    return again


@pytest.fixture
def run_one() -> Callable[..., int]:
    """Ask for a trial, and let it report the losses given and end."""

    def run(
        ledger: Ledger,
        study: Study,
        losses: list[float],
        outcome: str = "complete",
        tell: bool = True,
    ) -> int:
        asked = study.ask()
        ledger.add_trial(asked.trial, asked.values, asked.config)
        ledger.add_attempt(asked.trial)
        report(ledger, asked.trial, losses)
        ledger.record_outcome(asked.trial, outcome)  # type: ignore[arg-type]
        if tell:
            study.tell(ledger.trial_logs[asked.trial])
        return asked.trial

    return run


def report(ledger: Ledger, trial: int, losses: list[float]) -> None:
    history = [
        {"report": n, "seconds": float(n), "metrics": {"loss": loss}}
        for n, loss in enumerate(losses, 1)
    ]
    ledger.record_reports(trial, history, {"parameters": 3.0})
