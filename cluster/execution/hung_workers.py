"""Kill the Ray workers whose tasks hang, so that neither a slot nor the search waits for them."""

from __future__ import annotations

import time
from typing import Any

import ray

from cluster.execution.time_limits import CLEANUP_LIMIT
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import Failure
from trainables.durations import format_duration

PERIOD = 0.5
"""Seconds between two looks at the workers."""


class HungWorkers:
    """Finds and kills workers that hang; `pop_failure` says why an attempt has lost its worker.

    A worker hangs in a report, which the user's limits end, or while it closes the trial that it
    has run before: Tune reuses it, and waits for that without a limit. `ray.kill` is SIGKILL in
    the end, and ends the children of the worker, too.
    """

    def __init__(self, queue: TrialQueue) -> None:
        self.queue = queue
        self._ray_trials: dict[int, Any] = {}
        self._closing_since: dict[int, float] = {}
        self._failures: dict[int, Failure] = {}
        self._next = 0.0

    def add(self, trial: int, ray_trial: Any) -> None:
        """Watch the worker of a new attempt, once it has one."""
        self._ray_trials[trial] = ray_trial
        self._closing_since.pop(trial, None)
        self._failures.pop(trial, None)

    def pop_failure(self, trial: int) -> Failure | None:
        """Return why the worker of an attempt was killed; None if it was not."""
        return self._failures.pop(trial, None)

    def kill_hung(self) -> None:
        """Kill what hangs, if it is time to look."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PERIOD
        for trial, failure in self.queue.find_timeouts().items():
            self._kill(trial, failure)
        for trial in self.queue.list_without_worker():
            # A waiting attempt that has an actor is given a worker which must end a trial first.
            if self._find_actor(trial) is None:
                continue
            if now > self._closing_since.setdefault(trial, now) + CLEANUP_LIMIT:
                message = (
                    "the worker was killed: it did not end the trial before this one within "
                    f"{format_duration(CLEANUP_LIMIT)}"
                )
                self._kill(trial, Failure("lost", message, message))

    def kill_running(self) -> None:
        """Kill the workers of all running attempts: their time is up."""
        for trial in self.queue.running:
            self._kill(trial, None)

    def _kill(self, trial: int, failure: Failure | None) -> None:
        actor = self._find_actor(trial)
        if actor is None or trial in self._failures:
            return
        if failure is not None:
            self._failures[trial] = failure
        ray.kill(actor)

    def _find_actor(self, trial: int) -> Any:
        ray_trial = self._ray_trials.get(trial)
        return ray_trial.temporary_state.ray_actor if ray_trial else None
