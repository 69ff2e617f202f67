"""A ledger whose trials have ended, with the files that workers leave."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure, Outcome
from tests.support.reports import make_history


@pytest.fixture
def ledger(begin: Callable[..., Ledger], database: str) -> Ledger:
    """Return a ledger with the targets of its data, and an empty database to write to."""
    ledger = begin(trials=3, tracking_uri=database, provenance={"question": "how small?"})
    (ledger.folder / "data").mkdir()
    pq.write_table(pa.table({"id": [0], "target": [1]}), ledger.folder / "data" / "test.parquet")
    return ledger


@pytest.fixture
def end(ledger: Ledger) -> Callable[..., None]:
    """Return a function that lets a trial make two reports and end, and writes its files."""

    def end_trial(trial: int, loss: float, outcome: Outcome = "complete") -> None:
        ledger.add_trial(trial, {"width": trial}, {"width": trial, "seed": 0})
        ledger.add_attempt(trial)
        ledger.record_reports(
            trial, make_history([loss + 1, loss], seconds=1.5), {"parameters": 3.0}
        )
        best = ledger.latest_attempt(trial) / "best"
        best.mkdir(parents=True)
        (best / "manifest.json").write_text('{"file": "state-2.safetensors"}')
        (best / "state-2.safetensors").write_bytes(b"weights")
        (best / "episode.gif").write_bytes(b"moving")
        pq.write_table(pa.table({"id": [0], "p0": [0.5]}), best / "validation.parquet")
        if outcome == "failed":
            message = "RuntimeError: on purpose"
            failure = Failure("failed", message, f"Traceback ...\n{message}")
            ledger.record_failure(trial, failure)
        ledger.record_outcome(trial, outcome)
        ledger.prune(trial)

    return end_trial
