"""Read what a search has left: its ledger, its study, and its runs in MLflow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger.files import JOURNAL
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog, read_trial_log
from cluster.tracking.client import open_client
from reports.read.records import read_search
from reports.read.winner import choose_winner
from searchspaces.json_text import to_text

STATUS = {
    "complete": "FINISHED",
    "stopped": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
}


def read_ledger(folder: Path) -> Ledger:
    """Return the ledger of a search that no process drives."""
    ledger = ledgers.reopen_ledger(folder)
    ledger.close()
    return ledger


def read_trial_logs(folder: Path) -> dict[int, TrialLog]:
    """Return the trial logs of a search, which another process may drive."""
    logs = [read_trial_log(path) for path in sorted(folder.glob("trials/*/reports.jsonl"))]
    return {log.trial: log for log in logs if log is not None}


def describe_trials(ledger: Ledger) -> list[dict[str, Any]]:
    """Return what does not depend on the time, the process and the executor of each trial."""
    return [
        {
            "config": log.config,
            "tags": log.tags,
            "attempts": log.attempts,
            "failures": [(f.failure_class, f.message) for f in log.failures],
            "reports": [
                (r.report, {k: str(v) for k, v in r.metrics.items() if k != "pid"})
                for r in log.reports
            ],
            "facts": log.facts,
            "outcome": (log.outcome, log.reason),
        }
        for _, log in sorted(ledger.trial_logs.items())
    ]


def read_lines(folder: Path) -> list[str]:
    """Return the lines of all trial logs so far."""
    files = folder.glob("trials/*/reports.jsonl")
    return [line for path in files for line in path.read_text().splitlines()]


def count_reports(folder: Path) -> int:
    """Return the number of recorded reports of all trials so far."""
    return sum('"report": ' in line for line in read_lines(folder))


def read_study(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a search's study, read with Optuna's own backend."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    storage = optuna.storages.JournalStorage(backend)
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


def read_runs(storage: Path, space: str = "toy") -> tuple[MlflowClient, list[Run], dict[int, Run]]:
    """Return the parent runs, and the one run of each trial by its number."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(space)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    trials = [run for run in runs if run.data.tags["kind"] == "trial"]
    numbers = [int(run.data.tags["trial"]) for run in trials]
    assert len(set(numbers)) == len(numbers)
    parents = [run for run in runs if run.data.tags["kind"] == "search"]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} <= {
        run.info.run_id for run in parents
    }
    return client, parents, dict(zip(numbers, trials, strict=True))


def assert_mlflow_equals_ledger(storage: Path, name: str = "toy") -> None:
    """Check that MLflow has every report of every trial once, and nothing else."""
    ledger = read_ledger(storage / name)
    client, (parent,), trials = read_runs(storage, name)
    assert trials.keys() == ledger.trial_logs.keys()
    for number, run in trials.items():
        log = ledger.trial_logs[number]
        assert log.outcome is not None
        assert (run.info.status, run.data.tags["outcome"]) == (STATUS[log.outcome], log.outcome)
        assert run.data.params == {key: to_text(value) for key, value in log.config.items()}
        history = client.get_metric_history(run.info.run_id, "loss")
        logged = [(m.step, str(m.value), m.timestamp) for m in history]
        assert sorted(logged) == [
            (r.report, str(r.metrics["loss"]), int(r.time * 1000)) for r in log.reports
        ]
    assert parent.info.status == "FINISHED"


def check_agreement(ledger: Ledger, uri: str) -> None:
    """Check that MLflow and the report have every trial, outcome and winner of the ledger."""
    search = read_search(open_client(uri, read_only=True), ledger.folder.name)
    trials = {trial.number: trial for trial in search.trials}
    assert trials.keys() == ledger.trial_logs.keys()
    for number, log in ledger.trial_logs.items():
        assert trials[number].outcome == log.outcome
        assert trials[number].reports == log.done
        best = ledger.best_report(log)
        if log.outcome in ("complete", "stopped"):
            assert best is not None
            assert trials[number].metrics["score"] == best[0]
            assert math.isfinite(best[0])
    ranked = ledger.rank_trials(ledger.trial_logs.values())
    choice = choose_winner(search)
    assert (choice.winner.number if choice else None) == (ranked[0].trial if ranked else None)
