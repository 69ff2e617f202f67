"""Write a ledger to MLflow, and read everything that MLflow has of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import Ledger
from cluster.tracking import writer
from cluster.tracking.client import open_client
from cluster.tracking.writer import MLflowWriter

INFEASIBLE = 7


def write_to_mlflow(
    ledger: Ledger,
    finished: bool = True,
    client: Any = None,
    patience: float = writer.PATIENCE,
    notify: Callable[[str], None] = lambda text: None,
    again: bool = False,
) -> str | None:
    """Write a ledger as a driver does, from start to end; return what is missing, if anything."""
    client = client or open_client(ledger.settings.tracking_uri)
    tracker = MLflowWriter(client, ledger, lambda: INFEASIBLE, again, notify)
    tracker.start()
    return tracker.close(finished, patience)


def read_runs(uri: str) -> dict[str, Any]:
    """Return everything that a database has of the search, by the first word of a run's name."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run.info.run_id for run in runs if run.data.tags["kind"] == "search")
    everything: dict[str, Any] = {}
    for run in runs:
        name = run.info.run_name.partition(" ")[0]  # hyperparameters follow
        assert name not in everything
        tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
        # Another server has other ids.
        tags = {k: re.sub(r"runs/[0-9a-f]{32}", "runs/ID", v) for k, v in tags.items()}
        if run.data.tags["kind"] == "trial":
            assert run.data.tags["mlflow.parentRunId"] == parent
        everything[name] = {
            "status": run.info.status,
            "tags": tags,
            "params": run.data.params,
            "metrics": {
                key: [
                    (m.step, None if np.isnan(m.value) else m.value, m.timestamp)
                    for m in client.get_metric_history(run.info.run_id, key)
                ]
                for key in run.data.metrics
            },
            "artifacts": {
                f.path
                for folder in ("checkpoint", "predictions", "data")
                for f in client.list_artifacts(run.info.run_id, folder)
            },
        }
    return everything
