"""What goes to MLflow as files: predictions of every trial, and the best few's weights.

What a trial wants a report to show (`Run.show`) lies beside its weights, and goes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import Ledger


def upload_best(
    client: MlflowClient, ledger: Ledger, runs: Mapping[int, str], marked: Sequence[Run]
) -> None:
    """Have the weights of the best trials, and of no others, among the artifacts.

    `runs` are the MLflow runs of trials, `marked` those whose tag says that theirs are there.
    """
    kept = {trial_log.trial for trial_log in ledger.top_trials}
    there = {int(run.data.tags["trial"]): run for run in marked}
    for trial, run in there.items():
        if trial not in kept:
            repository = get_artifact_repository(
                run.info.artifact_uri, tracking_uri=client.tracking_uri
            )
            repository.delete_artifacts("checkpoint")
            client.set_tag(run.info.run_id, "weights", "no")
    for trial in kept - there.keys():
        ledger.fetch(trial)
        best = ledger.latest_attempt(trial) / "best"
        if trial in runs and (best / "manifest.json").exists():
            for path in best.glob("*"):
                if path.suffix != ".parquet":
                    client.log_artifact(runs[trial], str(path), "checkpoint")
            client.set_tag(runs[trial], "weights", "yes")


def upload_predictions(client: MlflowClient, ledger: Ledger, trial: int, run_id: str) -> None:
    """Put a trial's predictions beside its run."""
    ledger.fetch(trial)
    for path in sorted((ledger.latest_attempt(trial) / "best").glob("*.parquet")):
        client.log_artifact(run_id, str(path), "predictions")
