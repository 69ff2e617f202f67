"""Write searches into a real MLflow database, in the format of cluster.tracking.writer."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

import reports.report
from cluster.tracking.names import NAMING, to_own_name
from reports.__main__ import main

CLASSES = 4
N = {"validation": 300, "test": 400}


@pytest.fixture
def storage(runs: Path) -> Path:
    return runs


@pytest.fixture
def client(storage: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")


@pytest.fixture
def read_report(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run the command and return the text of report.md."""

    def run(name: str = "digits", *options: str) -> str:
        out = tmp_path / "out"
        assert main([name, "--storage", str(storage), "--out", str(out), *options]) == 0
        return (out / "report.md").read_text()

    return run


@pytest.fixture
def draw_figures() -> None:
    """Let a test write its figures as they are, which takes seconds."""


@pytest.fixture(autouse=True)
def outline_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the files of figures by short ones; what is in the figures has other tests."""

    def save(figure: Figure, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("png", "svg"):
            (folder / f"{name}.{kind}").write_bytes(bytes(24))

    if "draw_figures" not in request.fixturenames:
        monkeypatch.setattr(reports.report, "save_figure", save)


@pytest.fixture
def write_search(client: MlflowClient, storage: Path) -> Callable[..., str]:
    def write(
        trials: list[dict[str, Any]], tags: dict[str, str] | None = None, data: bool = True
    ) -> str:
        return _write_search(client, storage / "artifacts", trials, tags or {}, data)

    return write


def _write_search(
    client: MlflowClient,
    artifacts: Path,
    trials: list[dict[str, Any]],
    tags: dict[str, str],
    data: bool,
) -> str:
    found = client.get_experiment_by_name("digits")
    experiment = (
        found.experiment_id
        if found
        else client.create_experiment("digits", artifact_location=artifacts.as_uri())
    )
    parent = client.create_run(
        experiment,
        run_name=tags.get("search_name", "digits"),
        tags={
            **NAMING,
            "kind": "search",
            "search": "abc",
            "space": "digits",
            "question": "Which small network reads digits best?",
            "metric": "validation_accuracy",
            "mode": "max",
            "reports": "12",
            "trials": str(sum("of" not in trial for trial in trials)),
            "sampler": "tpe",
            "scheduler": "asha",
            "seed": "0",
            "command": "python -m trainables.tune --space digits --trials 12",
            "git_commit": "0123abc",
            "versions": json.dumps({"python": "3.11.9", "torch": "2.13.0"}),
            "hardware": "2 cores",
            "source": "real",
            "data_fingerprint": "feed0001",
            "classes": json.dumps(["a", "b", "c", "d"]),
            "compare": json.dumps(["optimizer"]),
            "published": json.dumps(
                [{"setting": "k nearest", "value": 0.98, "metric": "test_accuracy", "note": "old"}]
            ),
            **tags,
        },
    ).info.run_id
    for key, value in (("infeasible", 3), ("retried", 1)):
        client.log_metric(parent, to_own_name(key), value, step=0)
    (artifacts / "scratch").mkdir(parents=True, exist_ok=True)
    (artifacts / "scratch" / "search.json").write_text('{"parameters": {}}')
    client.log_artifact(parent, str(artifacts / "scratch" / "search.json"))
    if data:
        for split, n in N.items():
            _put(client, parent, artifacts, f"data/{split}.parquet", _examples(n))
    for trial in trials:
        _write_trial(client, artifacts, experiment, parent, trial)
    return parent


def _write_trial(
    client: MlflowClient, artifacts: Path, experiment: str, parent: str, trial: dict[str, Any]
) -> None:
    number = trial["number"]
    tags = {
        **NAMING,
        "mlflow.parentRunId": parent,
        "kind": "trial" if "of" not in trial else "confirmation",
        "search": "abc",
        "trial": str(number),
        **{key: str(trial[key]) for key in ("of", "arm", "decisions") if key in trial},
        **{key: trial[key] for key in ("outcome", "error", "reason", "default") if trial.get(key)},
    }
    run = client.create_run(experiment, run_name=f"digits-{number:03d}", tags=tags).info.run_id
    metrics = []
    for key, values in trial.get("curves", {}).items():
        points = values if isinstance(values[0], tuple) else list(enumerate(values, 1))
        metrics += [Metric(key, value, 1000 + i, step) for i, (step, value) in enumerate(points)]
    for key in ("score", "best_report", "device_seconds", "parameters", "attempts"):
        if key in trial:
            metrics.append(Metric(to_own_name(key), trial[key], 1000, 0))
    params = [Param(key, str(value)) for key, value in trial.get("params", {}).items()]
    client.log_batch(run, metrics=metrics, params=params)
    if "correct" in trial:
        guesses = _predictions(N["test"], trial["correct"])
        _put(client, run, artifacts, "predictions/test.parquet", guesses)
    for split, outputs in trial.get("outputs", {}).items():
        path = f"predictions/{split}.parquet"
        _put(client, run, artifacts, path, stored(outputs))


def stored(outputs: np.ndarray) -> pa.Table:
    """Return a table of probabilities (n, classes) or answers (n,), in the examples' order."""
    ids = {"id": np.arange(len(outputs)) + 1000}
    if outputs.ndim == 1:
        return pa.table({**ids, "answer": outputs})
    return pa.table({**ids, **{f"p{i}": column for i, column in enumerate(outputs.T)}})


def _put(client: MlflowClient, run: str, scratch: Path, path: str, table: pa.Table) -> None:
    file = scratch / "scratch" / Path(path).name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    client.log_artifact(run, str(file), str(Path(path).parent))


def _examples(n: int) -> pa.Table:
    return pa.table({"id": np.arange(n) + 1000, "target": np.arange(n) % CLASSES})


def _predictions(n: int, correct: int) -> pa.Table:
    """Return class probabilities, `correct` of them correct, in another order than the data."""
    targets = np.arange(n) % CLASSES
    guesses = np.where(np.arange(n) < correct, targets, (targets + 1) % CLASSES)
    shuffled = np.random.default_rng(0).permutation(n)
    probabilities = np.full((n, CLASSES), 0.1)
    probabilities[np.arange(n), guesses] = 0.7
    columns = {f"p{i}": probabilities[shuffled, i] for i in range(CLASSES)}
    return pa.table({"id": (np.arange(n) + 1000)[shuffled], **columns})


@pytest.fixture
def some_trials() -> list[dict[str, Any]]:
    """Return twelve trials: number 3 wins, three are stopped, one diverges, one fails."""
    return [_trial(number) for number in range(12)]


def _trial(number: int) -> dict[str, Any]:
    top = [0.93, 0.91, 0.94, 0.97, 0.90, 0.95, 0.92, 0.99, 0.80, 0.70, 0.10, 0.89][number]
    outcome = {7: "stopped", 8: "stopped", 9: "diverged", 10: "failed", 11: "stopped"}.get(
        number, "complete"
    )
    length = 12 if outcome == "complete" else 5
    rng = np.random.default_rng(number)
    progress = np.arange(1, length + 1) / length
    noise = rng.normal(0, 0.01, length)
    accuracy = top - 0.5 * np.exp(-4 * progress) + np.minimum(noise, 0)
    accuracy[-2] = top
    loss = np.exp(-3 * progress * top) + np.abs(noise)
    if outcome == "diverged":
        loss[-1] = math.inf
    return {
        "number": number,
        "outcome": outcome,
        "default": "" if number else "yes",
        "params": {
            "learning_rate": 0.1 / (number + 3),
            "optimizer": ["sgd", "adamw"][number % 2],
            "width": 32 * (1 + number % 3),
            "batch_size": 64,
        },
        "curves": {"validation_accuracy": list(accuracy), "train_loss": list(loss)},
        "score": top,
        "best_report": length - 1,
        "device_seconds": 100.0,
        "parameters": 10_000 + number,
        "correct": 380 - number,
        **(
            {"error": "Traceback (most recent call last):\n  x | y\nValueError: `odd` width"}
            if outcome == "failed"
            else {}
        ),
    }
