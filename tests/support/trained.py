"""Write a search with one trained model, in the format of cluster.tracking.writer."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient

from searchspaces.loading import load_space
from trainables.run import Run


def trained(folder: Path, space: str, **values: Any) -> Path:
    """Train a configuration of a space for two reports and return its checkpoint."""
    found = load_space(space)
    run = Run(reports=2, metric=found.metric, mode=found.mode, folder=folder)
    for metrics in found.train(found.config(**values), run):
        run.record(metrics)
    run.finish()
    return folder / "best"


def write_trained(
    client: MlflowClient, write: Callable[..., str], space: str, best: Path, scratch: Path
) -> str:
    """Write a search of one trial, with its data, predictions and weights; return the run's id."""
    found = load_space(space)
    assert found.prepare is not None
    truth = found.prepare(found.config(), Run(reports=1))
    params = asdict(found.config())
    tags = {
        "data_fingerprint": truth.fingerprint,
        "space_file": found.file,
        "compare": "[]",
        "published": "[]",
        "classes": json.dumps(truth.classes),
    }
    trial = {"number": 0, "outcome": "complete", "score": 0.9, "params": params}
    parent = write([trial], tags, data=False)
    for split, targets in truth.targets.items():
        path = scratch / f"{split}.parquet"
        pq.write_table(pa.table({"id": range(len(targets)), "target": targets}), path)
        client.log_artifact(parent, str(path), "data")
    (run,) = client.search_runs(["1"], "tags.kind = 'trial'")
    for path in best.iterdir():
        place = "predictions" if path.suffix == ".parquet" else "checkpoint"
        client.log_artifact(run.info.run_id, str(path), place)
    client.set_tag(run.info.run_id, "weights", "yes")
    return str(run.info.run_id)
