"""Ledgers and studies of the trivial space, without Ray and MLflow."""

import itertools
import shutil
from collections.abc import Callable, Iterator
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
from cluster.storage import replication
from cluster.storage.location import Location
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from tests.support.moto_s3 import serve_s3
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
        )
        ledger = ledgers.create_ledger(tmp_path / "runs", replace(settings, **changes))
        write_settings(ledger.folder, ledger.settings)
        return ledger

    return make


@pytest.fixture
def make_database(empty_database: Path, tmp_path: Path) -> Callable[[], str]:
    """Return a function that returns the address of another empty database."""
    numbers = itertools.count()

    def make() -> str:
        path = tmp_path / f"mlflow-{next(numbers)}.db"
        shutil.copy(empty_database, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture
def database(make_database: Callable[[], str]) -> str:
    """Return the address of an empty database."""
    return make_database()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URI of a bucket on this machine."""
    pytest.importorskip("moto", reason="an S3 on this machine needs moto: pip install '.[lab]'")
    with serve_s3(tmp_path_factory.mktemp("moto")) as uri:
        yield uri


@pytest.fixture(params=["file", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    """Yield an empty remote storage: a folder, and a bucket."""
    if request.param == "file":
        yield Location((tmp_path / "bucket").as_uri())
        return
    location = Location(request.getfixturevalue("s3"))
    yield location
    replication.delete(location)


@pytest.fixture
def open_study() -> Callable[[Ledger, SearchSpace[Any]], Study]:
    """Return a function that opens the study of a ledger, with its initial trials."""

    def make(ledger: Ledger, space: SearchSpace[Any]) -> Study:
        new = ledger.settings
        return Study(ledger, space, plan_initial_trials(space, new.fixed, new.seeds))

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
        ledger.add_trial(trial, suggestion.parameters, suggestion.config)
        ledger.add_attempt(trial)
        ledger.record_reports(trial, make_history(losses), {"parameters": 3.0})
        ledger.record_outcome(trial, outcome)
        if tell:
            study.tell(ledger.trial_logs[trial])
        return trial

    return run
