"""Upload files to MLflow: a search's own, predictions of every trial, weights of the best ones.

The artifacts of a trial (`Run.add_artifact`) are beside its weights, and uploaded with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from cluster.ledger.files import OUTPUT
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import FILE
from cluster.storage.redaction import redact

MARKED = "tags.weights != 'no'"
"""The filter for runs whose files are stored: `yes` with weights, `artifacts` without.

A run without the tag does not match it.
"""


def upload_search(client: MlflowClient, folder: Path, run_id: str) -> None:
    """Upload the settings, the targets and the code of a search from its folder to its run.

    The tag `splits` records of which splits there are targets: a report tells by it a file that
    was lost from one that there never was.
    """
    targets = sorted((folder / "data").glob("*.parquet"))
    for path in targets:
        client.log_artifact(run_id, str(path), "data")
    client.set_tag(run_id, "splits", json.dumps([path.stem for path in targets]))
    client.log_artifact(run_id, str(folder / FILE))
    if (folder / "code").is_dir():
        client.log_artifacts(run_id, str(folder / "code"), "code")


def upload_best(
    client: MlflowClient, ledger: Ledger, runs: Mapping[int, str], marked: Sequence[Run]
) -> None:
    """Upload the weights and artifacts of the best trials, and delete those of all others.

    `runs` maps trials to MLflow run ids; `marked` are the runs that are tagged as having some.
    """
    top = {trial_log.trial for trial_log in ledger.top_trials}
    uploaded, best_runs = {run.info.run_id for run in marked}, {runs.get(trial) for trial in top}
    for run in marked:
        if run.info.run_id not in best_runs:
            repository = get_artifact_repository(
                run.info.artifact_uri, tracking_uri=client.tracking_uri
            )
            repository.delete_artifacts("checkpoint")
            client.set_tag(run.info.run_id, "weights", "no")
    for trial in (trial for trial in top if runs.get(trial) not in uploaded):
        ledger.fetch(trial)
        best = ledger.latest_attempt(trial) / "best"
        files = [path for path in best.glob("*") if path.suffix != ".parquet"]
        if trial in runs and files:
            for path in files:
                client.log_artifact(runs[trial], str(path), "checkpoint")
            # A task without parts has no weights, and may have artifacts all the same.
            has_weights = (best / "manifest.json").exists()
            client.set_tag(runs[trial], "weights", "yes" if has_weights else "artifacts")


def upload_result(client: MlflowClient, ledger: Ledger, trial: int, run_id: str) -> None:
    """Upload the predictions of an ended trial, and what it has printed, to its run.

    Its tag `predictions` records the splits.
    """
    ledger.fetch(trial)
    folder = ledger.latest_attempt(trial)
    if (folder / OUTPUT).exists():
        output = (folder / OUTPUT).read_text("utf-8", "replace")
        client.log_text(run_id, redact(output), OUTPUT)  # a killed process has not tidied it
    predictions = sorted((folder / "best").glob("*.parquet"))
    for path in predictions:
        client.log_artifact(run_id, str(path), "predictions")
    if predictions:
        client.set_tag(run_id, "predictions", json.dumps([path.stem for path in predictions]))
