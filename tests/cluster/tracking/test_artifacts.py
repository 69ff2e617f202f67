"""The files of trials in MLflow: predictions of all, weights of the best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger.files import OUTPUT
from cluster.ledger.ledger import Ledger
from cluster.tracking.artifacts import upload_best, upload_result
from cluster.tracking.client import find_experiment, open_client, search_all_runs


def list_files(client: MlflowClient, run_id: str, folder: str) -> set[str]:
    return {f.path.rpartition("/")[2] for f in client.list_artifacts(run_id, folder)}


def test_only_the_best_trials_have_weights_and_all_have_predictions(
    ledger: Ledger, end: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT_WEIGHTS", 1)
    client = open_client(ledger.settings.tracking_uri)
    experiment = find_experiment(client, "toy")
    fetched: list[int] = []
    ledger.fetch = fetched.append
    runs: dict[int, str] = {}
    for trial, loss in enumerate((0.5, 0.25)):
        runs[trial] = client.create_run(experiment, tags={"trial": str(trial)}).info.run_id
        end(trial, loss)
        output = ledger.latest_attempt(trial) / OUTPUT
        output.write_text("at https://me:secret@x.org\n")
        upload_result(client, ledger, trial, runs[trial])
        marked = search_all_runs(client, experiment, "tags.weights = 'yes'")
        upload_best(client, ledger, runs, marked)
    assert fetched == [0, 0, 1, 1]
    weights = {"manifest.json", "state-2.safetensors", "episode.gif"}
    assert list_files(client, runs[0], "checkpoint") == set()
    assert list_files(client, runs[1], "checkpoint") == weights
    assert [client.get_run(runs[n]).data.tags["weights"] for n in (0, 1)] == ["no", "yes"]
    for run_id in runs.values():
        file = client.download_artifacts(run_id, OUTPUT)
        assert Path(file).read_text() == "at https://***@x.org\n"
        assert list_files(client, run_id, "predictions") == {"validation.parquet"}


def test_artifacts_of_a_task_without_weights_are_uploaded(
    ledger: Ledger, end: Callable[..., None]
) -> None:
    client = open_client(ledger.settings.tracking_uri)
    experiment = find_experiment(client, "toy")
    runs = {0: client.create_run(experiment, tags={"trial": "0"}).info.run_id}
    end(0, 0.5)
    best = ledger.latest_attempt(0) / "best"
    for path in best.glob("*"):
        if path.suffix in (".json", ".safetensors"):
            path.unlink()
    upload_best(client, ledger, runs, [])
    assert list_files(client, runs[0], "checkpoint") == {"episode.gif"}
    assert client.get_run(runs[0]).data.tags["weights"] == "artifacts"
