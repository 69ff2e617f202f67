"""Trials on machines that share only a remote storage."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.execution.trainable import Trial, WorkerSettings
from cluster.storage.location import Location
from tests.support.paths import TRIVIAL
from trainables.run import Run


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Trial]]:
    """Return a function that builds an attempt at trial 0 on a machine of that name."""
    monkeypatch.setattr(ray, "get_gpu_ids", list)
    made: list[Trial] = []

    def make(machine: str, attempt: int, **values: Any) -> Trial:
        settings = WorkerSettings(
            str(TRIVIAL),
            tmp_path / machine / "search",
            Run(4, metric="loss", mode="min", cache=tmp_path / machine / "cache"),
            remote=Location((tmp_path / "bucket").as_uri()) / "attempts",
        )

        class RemoteTrial(Trial):
            def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
                super().setup(config, settings)

        made.append(RemoteTrial({"trial": 0, "attempt": attempt, "config": values}))
        return made[-1]

    handler = signal.getsignal(signal.SIGTERM)
    yield make
    signal.signal(signal.SIGTERM, handler)
    for trial in made:
        trial.stop()
