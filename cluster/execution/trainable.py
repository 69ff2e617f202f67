"""The one Ray Tune Trainable: `AttemptRunner` in a Ray worker.

A worker that gets SIGTERM (preemption) saves its state: between two batches where the task's loop
can, as `fit` does, else after the report. Only a teacher that is trained first is not saved.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from types import FrameType
from typing import Any

import ray
from ray import tune

from cluster.execution.attempt import AttemptRunner, WorkerSettings
from cluster.execution.signals import handle_here


class Trial(tune.Trainable):
    """Runs attempts at trials, one after the other in the same process."""

    def setup(self, config: dict[str, Any], settings: WorkerSettings) -> None:
        """Prepare for the first attempt."""
        self.preempted = False
        self.runner = AttemptRunner(settings, _gpu_ids(), lambda: self.preempted)
        self.runner.begin(config)
        # Ray's own handler would end the process before anything is saved.
        handle_here(signal.SIGTERM, self._on_sigterm)
        # Ray blocks SIGINT, also in what a task starts.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with suppress(Exception):  # which the first step raises, and describes
            self.runner.load()  # before a time limit begins

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self.preempted = True

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare for another attempt."""
        self.runner.begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Make one report; the last one of a trial has Tune's `done`."""
        result = self.runner.step()
        return {**result, "done": True} if "outcome" in result else result

    def cleanup(self) -> None:
        """Close the generator and free what it held."""
        self.runner.close()


def _gpu_ids() -> list[int]:
    # Asked outside of a cluster, Ray would start one to answer.
    return ray.get_gpu_ids() if ray.is_initialized() else []
