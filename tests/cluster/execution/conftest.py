"""Trials on machines that share only a remote storage."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cluster.execution.attempt import AttemptRunner, WorkerSettings
from cluster.storage.location import Location
from tests.support.paths import TRIVIAL
from trainables.run import Run


@pytest.fixture
def preempted() -> Iterator[Event]:
    """Yield an event that SIGTERM sets, as a worker's handler does."""
    event = Event()
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    yield event
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def on(tmp_path: Path, preempted: Event) -> Iterator[Callable[..., AttemptRunner]]:
    """Return a function that begins an attempt at trial 0 on a machine of that name."""
    made: list[AttemptRunner] = []

    def make(machine: str, attempt: int, **values: Any) -> AttemptRunner:
        settings = WorkerSettings(
            str(TRIVIAL),
            tmp_path / machine / "search",
            Run(4, metric="loss", mode="min", cache=tmp_path / machine / "cache"),
            remote=Location((tmp_path / "bucket").as_uri()) / "attempts",
        )
        preempted.clear()  # each machine has a process of its own
        runner = AttemptRunner(settings, preempted=preempted.is_set)
        runner.begin({"trial": 0, "attempt": attempt, "config": values})
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.close()
