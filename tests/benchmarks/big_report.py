"""How long does the report of a large search take? 5,000 trials of up to 100 reports.

The search is written straight into the tables of an MLflow database (MLflow itself would take an
hour), half of the trials stopped by ASHA, 12 hyperparameters, 5 metrics, predictions of 10,000
examples of 10 classes for the best hundred. Then `python -m reports` runs in a process of its own.

    python -m tests.benchmarks.big_report     (short: --trials 200 --rounds 1)

With `--wide KIND` a search of trials of 3 reports has many hyperparameters, choices or metrics;
its report is required in less than 30 s on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient

from tests.benchmarks.report import MET, MISSED, heading, verdict

REQUIRED, REQUIRED_WIDE = 60.0, 30.0
METRICS = ("validation_accuracy", "validation_loss", "train_loss", "train_accuracy", "learning")
EXAMPLES, CLASSES, PREDICTED = 10_000, 10, 100
RUNGS = (1, 3, 9, 27)
START = 1_790_000_000_000


@dataclass(frozen=True)
class Size:
    """What a search has: `nuisances` are floats, `choices` those of the activation."""

    trials: int
    reports: int
    nuisances: int = 7
    choices: int = 3
    metrics: int = 5

    @property
    def activations(self) -> list[str]:
        """Return the choices of one hyperparameter."""
        return [*("relu", "gelu", "mish"), *(f"act {k}" for k in range(self.choices))][
            : self.choices
        ]

    @property
    def names(self) -> list[str]:
        """Return the names of the metrics."""
        return [*METRICS, *(f"metric {k}" for k in range(self.metrics))][: self.metrics]


WIDE = {
    "hyperparameters": Size(1000, 3, nuisances=296),
    "choices": Size(1000, 3, choices=1000),
    # MLflow reads about 50,000 last values of metrics a second: 1,000 trials would be that alone.
    "metrics": Size(100, 3, metrics=2000),
}


@dataclass(frozen=True)
class Made:
    """A trial as it goes into the tables; curves (reports, metrics)."""

    run: str
    tags: dict[str, str]
    params: dict[str, str]
    curves: np.ndarray
    last: dict[str, float]


def parameters(size: Size) -> dict[str, dict[str, Any]]:
    """Return the ranges: a branch of two learning rates, categories, integers and floats."""
    rates = {"type": "float", "log": True, "step": None}
    found: dict[str, dict[str, Any]] = {
        "optimizer": {"type": "categorical", "choices": ["adamw", "sgd"]},
        "activation": {"type": "categorical", "choices": size.activations},
        "learning_rate.adamw": {**rates, "low": 3e-4, "high": 3e-2},
        "learning_rate.sgd": {**rates, "low": 1e-2, "high": 1.0},
        "width": {"type": "int", "low": 32, "high": 256, "log": False, "step": 32},
    }
    for k in range(size.nuisances):
        found[f"nuisance_{k}"] = {
            "type": "float", "low": 0.0, "high": 1.0, "log": False, "step": None,
        }  # fmt: skip
    return found


def trials(size: Size, parent: str) -> Iterator[Made]:
    """Make up trials whose scores depend a little on what was tried."""
    rng = np.random.default_rng(0)
    for number in range(size.trials):
        optimizer = ("adamw", "sgd")[rng.integers(2)]
        low, high = {"adamw": (3e-4, 3e-2), "sgd": (1e-2, 1.0)}[optimizer]
        at = rng.random()
        width = int(32 * rng.integers(1, 9))
        top = 0.95 - 0.1 * (at - 0.6) ** 2 + width / 20_000 + rng.normal(0, 0.01)
        control = 1 <= number <= 8
        stopped = top < 0.945 and not control and number > 0
        rungs = [r for r in RUNGS if r < size.reports]
        made = int(rng.choice(rungs)) if stopped else size.reports
        progress = np.arange(1, made + 1)[:, None] / size.reports
        fall = np.exp(-8 * progress) + rng.normal(0, 0.004, (made, size.metrics))
        curves = np.column_stack([top - 0.4 * fall[:, 0], *(2 * fall[:, 1:]).T])
        params = {
            "optimizer": optimizer,
            "activation": size.activations[rng.integers(size.choices)],
            "learning_rate": repr(float(low * (high / low) ** at)),
            "width": str(width),
            "seed": "0",
            **{f"nuisance_{k}": repr(float(rng.random())) for k in range(size.nuisances)},
        }
        decisions = [
            {"report": r, "score": float(curves[r - 1, 0]), "cutoff": 0.5, "stops": stopped}
            for r in rungs
            if r <= made
        ]
        start = number * 10.0
        tags = {
            "mlflow.parentRunId": parent,
            "mlflow.runName": f"big-{number:04d}",
            "kind": "trial",
            "search": "big",
            "trial": str(number),
            "outcome": "stopped" if stopped else "complete",
            "reason": "scheduler" if stopped else "",
            "spans": json.dumps([[start, start + made * 3.0, f"host-{number % 8}/GPU 0"]]),
            "decisions": json.dumps(decisions),
            **({"control": "yes"} if control else {}),
        }
        best = int(curves[:, 0].argmax())
        last = {
            "score": float(curves[best, 0]),
            "best_report": best + 1.0,
            "device_seconds": made * 3.0,
            "parameters": float(width * 500),
        }
        yield Made(uuid.uuid4().hex, tags, params, curves, last)


def write(storage: Path, size: Size) -> None:
    """Write the database and the artifacts."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    artifacts = storage / "artifacts"
    experiment = client.create_experiment("big", artifact_location=artifacts.as_uri())
    tags = {
        "kind": "search", "search": "big", "metric": METRICS[0], "mode": "max",
        "reports": str(size.reports), "trials": str(size.trials), "sampler": "random",
        "scheduler": "asha", "rungs": "[1, 3, 9, 27]", "compare": '["optimizer", "activation"]',
        "source": "real",
        "question": "How long does a report take?",
    }  # fmt: skip
    parent = client.create_run(experiment, run_name="big", tags=tags).info.run_id
    (storage / "search.json").write_text(json.dumps({"parameters": parameters(size)}))
    client.log_artifact(parent, str(storage / "search.json"))
    made = list(trials(size, parent))
    with contextlib.closing(sqlite3.connect(storage / "mlflow.db")) as connection, connection:
        for trial in made:
            _insert(connection, int(experiment), artifacts, trial, size)
    rng = np.random.default_rng(1)
    targets = rng.integers(0, CLASSES, EXAMPLES)
    truth = pa.table({"id": np.arange(EXAMPLES), "target": targets})
    for split in ("validation", "test"):
        _put(truth, artifacts / parent / "artifacts" / "data" / f"{split}.parquet")
        for trial in sorted(made, key=lambda t: -t.last["score"])[:PREDICTED]:
            probabilities = rng.dirichlet(np.ones(CLASSES), EXAMPLES).astype(np.float32)
            known = rng.random(EXAMPLES) < trial.last["score"]
            probabilities[known, targets[known]] += 1
            columns = {f"p{k}": probabilities[:, k] / 2 for k in range(CLASSES)}
            folder = artifacts / trial.run / "artifacts" / "predictions"
            _put(pa.table({"id": np.arange(EXAMPLES), **columns}), folder / f"{split}.parquet")


def _put(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _insert(
    connection: sqlite3.Connection, experiment: int, artifacts: Path, trial: Made, size: Size
) -> None:
    connection.execute(
        "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time,"
        " lifecycle_stage, artifact_uri, experiment_id)"
        " VALUES (?, ?, 'LOCAL', 'x', 'FINISHED', ?, ?, 'active', ?, ?)",
        (
            trial.run,
            trial.tags["mlflow.runName"],
            START,
            START + 1000,
            (artifacts / trial.run / "artifacts").as_uri(),
            experiment,
        ),
    )
    for table, pairs in (("tags", trial.tags), ("params", trial.params)):
        rows = [(key, value, trial.run) for key, value in pairs.items()]
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
    points = [
        (key, float(value), START + step, trial.run, step, 0)
        for k, key in enumerate(size.names)
        for step, value in enumerate(trial.curves[:, k], 1)
    ]
    points += [(key, value, START, trial.run, 0, 0) for key, value in trial.last.items()]
    connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
    latest = {key: (key, value, at, step, nan, run) for key, value, at, run, step, nan in points}
    connection.executemany("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", latest.values())


def main() -> int:
    """Write the search once, report on it several times."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.big_report")
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--reports", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wide", choices=WIDE)
    options = parser.parse_args()
    size = WIDE[options.wide] if options.wide else Size(options.trials, options.reports)
    required = REQUIRED_WIDE if options.wide else REQUIRED
    heading(f"Report of a search of {size}")
    with tempfile.TemporaryDirectory(prefix="big-report-") as folder:
        storage = Path(folder)
        started = time.perf_counter()
        write(storage, size)
        stored = (storage / "mlflow.db").stat().st_size / 2**20
        print(f"written in {time.perf_counter() - started:.0f} s, a database of {stored:.0f} MiB")
        seconds, cpu = [], 0.0
        for _ in range(options.rounds):
            started = time.perf_counter()
            command = [sys.executable, "-m", "reports", "big", "--storage", folder, "--html"]
            subprocess.run([*command, "--out", str(storage / "out")], check=True)
            seconds.append(time.perf_counter() - started)
            spent = resource.getrusage(resource.RUSAGE_CHILDREN)
            now = spent.ru_utime + spent.ru_stime
            print(f"{seconds[-1]:.1f} s, of which on a processor {now - cpu:.1f} s")
            cpu = now
        files = [path for path in (storage / "out").rglob("*") if path.is_file()]
        total = sum(path.stat().st_size for path in files) / 2**20
        print(f"{len(files)} files of {total:.1f} MiB in all")
    return MET if verdict("seconds for a report", seconds, below=required) else MISSED


if __name__ == "__main__":
    sys.exit(main())
