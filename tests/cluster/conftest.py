"""Ledgers and studies of the trivial space, without Ray and MLflow."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings, write_settings
from cluster.ledger.trial_log import Outcome
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.study import Study
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from tests.support.paths import TRIVIAL
from tests.support.reports import make_history


@pytest.fixture
def space() -> SearchSpace[Any]:
    """Return the trivial space."""
    return load_space(str(TRIVIAL))


@pytest.fixture
def change(space: SearchSpace[Any]) -> Callable[..., SearchSpace[Any]]:
    """Return a function that returns the trivial space with changes."""
    return lambda **changes: replace(space, **changes)


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Ledger]:
    """Return a function that creates a search's folder with the settings of the trivial space."""

    def make(name: str = "toy", **changes: Any) -> Ledger:
        settings = SearchSettings(
            space=name,
            metric="loss",
            mode="min",
            trials=4,
            reports=4,
            seeds=3,
            sampler="random",
            artifacts=(tmp_path / "artifacts").as_uri(),
        )
        ledger = ledgers.create_ledger(tmp_path / "runs", replace(settings, **changes))
        write_settings(ledger.folder, ledger.settings)
        return ledger

    return make


@pytest.fixture
def open_study() -> Callable[[Ledger, SearchSpace[Any]], Study]:
    """Return a function that opens the study of a ledger, with its initial trials."""

    def make(ledger: Ledger, space: SearchSpace[Any]) -> Study:
        new = ledger.settings
        return Study(ledger, space, plan_initial_trials(space, new.fixed, new.sampler, new.seeds))

    return make


@pytest.fixture
def queue(
    begin: Callable[..., Ledger],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    space: SearchSpace[Any],
) -> TrialQueue:
    """Return the queue of a search of four trials."""
    ledger = begin()
    return TrialQueue(ledger, open_study(ledger, space))


@pytest.fixture
def reopen() -> Callable[[Ledger], Ledger]:
    """Return a function that opens a ledger again, as the driver after a killed one does."""

    def again(ledger: Ledger) -> Ledger:
        ledger.close()
        return ledgers.reopen_ledger(ledger.folder)

    return again


@pytest.fixture
def run_one() -> Callable[..., int]:
    """Return a function that asks for a trial, reports these losses and records its outcome."""

    def run(
        ledger: Ledger,
        study: Study,
        losses: list[float],
        outcome: Outcome = "complete",
        tell: bool = True,
    ) -> int:
        suggestion = study.ask()
        assert suggestion is not None
        trial = suggestion.trial
        ledger.add_trial(trial, suggestion.values, suggestion.config)
        ledger.add_attempt(trial)
        ledger.record_reports(trial, make_history(losses), {"parameters": 3.0})
        ledger.record_outcome(trial, outcome)
        if tell:
            study.tell(ledger.trial_logs[trial])
        return trial

    return run
