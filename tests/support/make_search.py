"""Synthetic searches in memory, for tests that need no tracking server."""

import json
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient

from reports.records import Search, TrialRecord

TARGETS = np.arange(400) % 4


def list_openings(client: MlflowClient, parent: str) -> list[dict[str, Any]]:
    """Return the openings of the test set on record in the run of a search."""
    tags = client.get_run(parent).data.tags
    return [json.loads(tags[name]) for name in sorted(tags) if name.startswith("test_opening")]


def make_trial(number: int, score: float | None = 0.9, **about: Any) -> TrialRecord:
    """Return a trial, by default a complete one; `params` may hold any values."""
    metrics = {} if score is None else {"score": score}
    return TrialRecord(
        run_id=f"run{number}",
        name=f"made-{number:03d}",
        number=number,
        outcome=about.get("outcome", "complete"),
        params={name: str(value) for name, value in about.get("params", {}).items()},
        suggested={name: str(value) for name, value in about.get("suggested", {}).items()},
        metrics={**metrics, **about.get("metrics", {})},
        reported=about.get("reported", {}),
        reason=about.get("reason"),
        curves=about.get("curves", {}),
        tags=about.get("tags", {}),
        reports=about.get("reports", 9),
    )


def make_search(*trials: TrialRecord, mode: str = "max", **about: Any) -> Search:
    """Return a search for accuracy with 9 reports per trial."""
    return Search(
        run_id="parent",
        name="made",
        space="made",
        metric=about.get("metric", "validation_accuracy"),
        mode=mode,
        tags={"reports": "9", **about.get("tags", {})},
        metrics=about.get("metrics", {}),
        trials=trials,
        compare=about.get("compare", ()),
    )


def rerun(number: int, of: int, score: float, correct: int | None = None, **more: Any) -> Any:
    predictions = {} if correct is None else {"outputs": {"test": outputs(correct, number)}}
    params = {"seed": 1000 + number, "width": 32}
    base = {"number": number, "of": of, "outcome": "complete", "params": params, "score": score}
    return {**base, **predictions, **more}


def outputs(correct: int, seed: int) -> np.ndarray:
    """Return probabilities for 400 test examples, of which a random `correct` are right."""
    right = np.random.default_rng(seed).permutation(400) < correct
    return np.full((400, 4), 0.1) + 0.6 * np.eye(4)[np.where(right, TARGETS, (TARGETS + 1) % 4)]
