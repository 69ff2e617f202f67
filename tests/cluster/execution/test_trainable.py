"""The Ray trainable, called in this process and without a Ray cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.execution.attempt import WorkerSettings
from cluster.execution.failures import AttemptError
from cluster.execution.trainable import Trial
from tests.support.paths import TRIVIAL
from trainables.run import Run


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Trial]]:
    """Return a function that builds a trainable; `ray.get_gpu_ids` would start Ray."""
    monkeypatch.setattr(ray, "get_gpu_ids", list)
    settings = WorkerSettings(
        str(TRIVIAL), tmp_path, Run(2, metric="loss", mode="min", cache=tmp_path / "cache")
    )
    made: list[Trial] = []

    class LocalTrial(Trial):
        def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
            super().setup(config, settings)

    def make(trial: int = 0) -> Trial:
        made.append(LocalTrial({"trial": trial, "attempt": 1, "config": {}}))
        return made[-1]

    handler = signal.getsignal(signal.SIGTERM)
    yield make
    signal.signal(signal.SIGTERM, handler)
    for trial in made:
        trial.stop()
    assert not ray.is_initialized()


def test_tune_adds_its_own_fields_to_a_result(make: Callable[..., Trial]) -> None:
    trial = make()
    results = [trial.train(), trial.train()]
    assert [(r["report"], r["done"], r["training_iteration"]) for r in results] == [
        (1, False, 1),
        (2, True, 2),
    ]


def test_a_reused_actor_runs_the_next_attempt_with_the_same_numbers(
    make: Callable[..., Trial],
) -> None:
    trial = make(0)
    first = trial.step()["history"][0]["metrics"]["loss"]
    assert trial.reset_config({"trial": 1, "attempt": 1, "config": {}})
    assert trial.step()["history"][0]["metrics"]["loss"] == first
    trial.stop()
    assert trial.runner.loop is None


def test_a_signal_preempts_the_attempt_that_runs(make: Callable[..., Trial]) -> None:
    trial = make()
    trial.step()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(AttemptError, match="received SIGTERM and exited after report 1") as error:
        trial.step()
    assert error.value.failure.failure_class == "preempted"
