"""Check that a search under faults is complete: every trial once, and nothing else."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import KEPT_WEIGHTS, Ledger
from cluster.ledger.settings import SearchSettings
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.study import Study
from searchspaces.json_text import to_text
from searchspaces.loading import load_space
from trainables.run import Run

Losses = dict[int, list[tuple[int, float]]]


def read_losses(ledger: Ledger) -> Losses:
    """Return report and loss of every report, by trial."""
    return {
        trial: [(r.report, r.metrics["loss"]) for r in trial_log.reports]
        for trial, trial_log in ledger.trial_logs.items()
    }


def train_undisturbed(
    space_file: Path, folder: Path, trials: int, fixed: dict[str, Any]
) -> Losses:
    """Train the same trials without Ray, each in one go, and return their losses."""
    space = load_space(str(space_file))
    settings = SearchSettings(
        space="toy",
        metric="loss",
        mode="min",
        trials=trials,
        reports=space.reports,
        sampler="random",
        fixed=fixed,
    )
    ledger = ledgers.create_ledger(folder, settings)
    study = Study(ledger, space, plan_initial_trials(space, fixed, 3))
    numbers = {}
    for _ in range(trials):
        suggestion = study.ask()
        assert suggestion is not None
        run = Run(
            reports=space.reports, folder=folder / "toy" / f"{suggestion.trial:03d}" / "attempt-0"
        )
        loop = space.train(space.config(**{**suggestion.config, "nap": 0.0}), run)
        numbers[suggestion.trial] = [(n, report["loss"]) for n, report in enumerate(loop, 1)]
    ledger.close()
    return numbers


def check_search(
    search: Path, uri: str, folder: Path, trials: int, reports: int, fixed: dict[str, Any]
) -> None:
    """Check a search that suffered faults; raises AssertionError for what is lost."""
    assert [path.name for path in search.parent.glob("toy*")] == ["toy"]
    ledger = ledgers.reopen_ledger(search)
    ledger.close()
    assert sorted(ledger.trial_logs) == list(range(trials))
    outcomes = Counter(trial_log.outcome for trial_log in ledger.trial_logs.values())
    assert outcomes == {"complete": trials}, outcomes
    worked = (folder / "worked.txt").read_text().splitlines()
    assert read_losses(ledger) == train_undisturbed(
        folder / "toy.py", folder / "quiet", trials, fixed
    )
    _check_no_files_left(ledger)
    _check_no_report_twice(ledger, worked, reports)
    _check_mlflow(ledger, uri)


def _check_no_files_left(ledger: Ledger) -> None:
    weights = 0
    for trial in ledger.trial_logs:
        attempts = list((ledger.folder / "trials" / f"{trial:03d}").glob("attempt-*"))
        assert attempts == [ledger.latest_attempt(trial)]
        assert [path.name for path in attempts[0].iterdir()] == ["best"]
        assert not list(attempts[0].rglob("*.part"))
        weights += bool(list(attempts[0].glob("best/*.safetensors")))
    assert weights == min(KEPT_WEIGHTS, len(ledger.trial_logs))


def _check_no_report_twice(ledger: Ledger, worked: list[str], reports: int) -> None:
    """Check that an attempt starts after the reports that the ledger had when it started."""
    first_reports: dict[tuple[int, int], int] = {}
    for line in worked:
        trial, attempt, report, _ = map(int, line.split())
        first_reports.setdefault((trial, attempt), report)
    done = _reports_before_attempts(ledger)
    for (trial, attempt), first in first_reports.items():
        assert 1 <= first <= reports
        before = done[trial][attempt]
        assert first > before, f"trial {trial}, attempt {attempt} did report {first} again"


def _reports_before_attempts(ledger: Ledger) -> dict[int, dict[int, int]]:
    """Return, per trial and attempt, the number of recorded reports when it started."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for trial in ledger.trial_logs:
        done = 0
        path = ledger.folder / "trials" / f"{trial:03d}" / "reports.jsonl"
        for event in map(json.loads, path.read_text().splitlines()):
            done = max(done, event.get("report", 0))
            if "attempt" in event and "failure" not in event:
                found[trial][event["attempt"]] = done
    return found


def _check_mlflow(ledger: Ledger, uri: str) -> None:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    parents = [run for run in found if run.data.tags["kind"] == "search"]
    assert [run.info.status for run in parents] == ["FINISHED"]
    runs = [run for run in found if run.data.tags["kind"] == "trial"]
    assert sorted(int(run.data.tags["trial"]) for run in runs) == sorted(ledger.trial_logs)
    for run in runs:
        trial_log = ledger.trial_logs[int(run.data.tags["trial"])]
        assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", trial_log.outcome)
        assert run.data.params == {key: to_text(value) for key, value in trial_log.config.items()}
        logged = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")]
        assert sorted(logged) == [(r.report, r.metrics["loss"]) for r in trial_log.reports]
