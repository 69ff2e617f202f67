"""Closes the account of a search: what was asked for is there once, and nothing else is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import KEPT_WEIGHTS, Ledger
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.study import Study
from searchspaces.loading import load_space
from trainables.run import Run

Losses = dict[int, list[tuple[int, float]]]


def losses(ledger: Ledger) -> Losses:
    """Give report and loss of every trial, as the ledger has them."""
    return {
        trial: [(r.report, r.metrics["loss"]) for r in trial_log.reports]
        for trial, trial_log in ledger.trial_logs.items()
    }


def undisturbed(space_file: Path, folder: Path, trials: int, fixed: dict[str, Any]) -> Losses:
    """Ask a study of its own for the same trials, and train each in one go, without Ray."""
    space = load_space(str(space_file))
    settings = {"metric": "loss", "mode": "min", "sampler": "random", "seed": 0, "fixed": fixed}
    ledger = ledgers.create_ledger(folder, "toy", settings)
    asking = Study(ledger, space, plan_initial_trials(space, fixed, "random", 3))
    numbers = {}
    for _ in range(trials):
        asked = asking.ask()
        assert asked is not None
        run = Run(
            reports=space.reports, folder=folder / "toy" / f"{asked.trial:03d}" / "attempt-0"
        )
        loop = space.train(space.config(**{**asked.values, "nap": 0.0}), run)
        numbers[asked.trial] = [(n, report["loss"]) for n, report in enumerate(loop, 1)]
    ledger.close()
    return numbers


def close(
    search: Path, uri: str, folder: Path, trials: int, reports: int, fixed: dict[str, Any]
) -> None:
    """Check the whole account of a search that was disturbed; AssertionError says what is lost."""
    assert [path.name for path in search.parent.glob("toy*")] == ["toy"]
    ledger = ledgers.reopen_ledger(search)
    ledger.close()
    assert sorted(ledger.trial_logs) == list(range(trials))
    outcomes = Counter(trial_log.outcome for trial_log in ledger.trial_logs.values())
    assert outcomes == {"complete": trials}, outcomes
    worked = (folder / "worked.txt").read_text().splitlines()
    assert losses(ledger) == undisturbed(folder / "toy.py", folder / "quiet", trials, fixed)
    _no_orphans(ledger)
    _nothing_done_twice(ledger, worked, reports)
    _mlflow_has_it(ledger, uri)


def _no_orphans(ledger: Ledger) -> None:
    weights = 0
    for trial in ledger.trial_logs:
        attempts = list((ledger.folder / "trials" / f"{trial:03d}").glob("attempt-*"))
        assert attempts == [ledger.latest_attempt(trial)]
        assert [path.name for path in attempts[0].iterdir()] == ["best"]
        assert not list(attempts[0].rglob("*.part"))
        weights += bool(list(attempts[0].glob("best/*.safetensors")))
    assert weights == min(KEPT_WEIGHTS, len(ledger.trial_logs))


def _nothing_done_twice(ledger: Ledger, worked: list[str], reports: int) -> None:
    """An attempt begins behind what the ledger had heard when it was handed out."""
    begun: dict[tuple[int, int], int] = {}
    for line in worked:
        trial, attempt, report, _ = map(int, line.split())
        begun.setdefault((trial, attempt), report)
    heard = _heard(ledger)
    for (trial, attempt), first in begun.items():
        assert 1 <= first <= reports
        before = heard[trial][attempt]
        assert first > before, f"trial {trial}, attempt {attempt} did report {first} again"


def _heard(ledger: Ledger) -> dict[int, dict[int, int]]:
    """Give per trial and attempt how many reports were on record when it was handed out."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for trial in ledger.trial_logs:
        done = 0
        path = ledger.folder / "trials" / f"{trial:03d}" / "reports.jsonl"
        for event in map(json.loads, path.read_text().splitlines()):
            done = max(done, event.get("report", 0))
            if "attempt" in event and "error" not in event:
                found[trial][event["attempt"]] = done
    return found


def _mlflow_has_it(ledger: Ledger, uri: str) -> None:
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
        assert run.data.params == {key: str(value) for key, value in trial_log.config.items()}
        told = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")]
        assert sorted(told) == [(r.report, r.metrics["loss"]) for r in trial_log.reports]
