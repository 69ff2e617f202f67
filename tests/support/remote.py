"""A trial whose worker saves to remote storage."""

from __future__ import annotations

from pathlib import Path

from cluster.ledger.ledger import Ledger
from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.replication import trial_owner
from tests.support.reports import make_history


def finish_trial(ledger: Ledger, location: Location, work: Path, losses: list[float]) -> int:
    """Run a trial to its outcome, as driver and worker do, and return its number.

    `location` is that of the search, `work` the worker's own disk.
    """
    trial = len(ledger.trial_logs)
    ledger.add_trial(trial, {"width": trial}, {"width": trial})
    ledger.add_attempt(trial)
    best = work / str(trial) / "best"
    best.mkdir(parents=True)
    for name in ("manifest.json", "state-1.safetensors", "validation.parquet", "map.png"):
        (best / name).write_text(f"{name} of {trial}")
    owner = trial_owner({"width": trial})
    replication.upload(work / str(trial), location / "attempts" / f"{trial:03d}" / "1", owner)
    ledger.record_reports(trial, make_history(losses), {})
    ledger.record_outcome(trial, "complete")
    ledger.prune(trial)
    return trial
