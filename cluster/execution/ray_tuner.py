"""Run a search on Ray Tune: thin adapters between Tune's hooks and the queue of attempts."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.tune.search import Searcher

from cluster.execution.early_stopping import LedgerScheduler, build_scheduler
from cluster.execution.failures import read_failure, read_failure_text
from cluster.execution.resources import Resources, bundle_resources, max_concurrency
from cluster.execution.trainable import Trial, WorkerSettings
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import Failure
from trainables.errors import UserError

CAPACITY_PERIOD = 5.0
"""Seconds between two looks at the size of the cluster."""


def run(
    queue: TrialQueue, worker: WorkerSettings, resources: Resources, on_step: Callable[[], None]
) -> bool:
    """Run attempts until none is left; return whether every trial has its outcome.

    Raises UserError where the storage fails or the space has no feasible configuration, after
    all attempts have ended.
    """
    settings = queue.ledger.settings
    searcher = TrialSearcher(queue, lambda: max_concurrency(resources))
    inner = build_scheduler(settings.scheduler, queue.study.space, settings.reports)
    trainable = tune.with_resources(
        tune.with_parameters(Trial, settings=worker),
        lambda config: bundle_resources(resources, config["exclusive"]),
    )
    with tempfile.TemporaryDirectory(prefix="tunery-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=LedgerScheduler(inner, queue, searcher.trial_of),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                stop=ResultRecorder(queue, searcher),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[ErrorCallback(queue, searcher, on_step)],
            ),
        )
        tuner.fit()
    if error := queue.storage_error or queue.stop_error:
        raise error
    return queue.ledger.finished


class TrialSearcher(Searcher):
    """Passes an attempt to Tune whenever there is capacity for one."""

    def __init__(self, queue: TrialQueue, max_concurrency: Callable[[], int]) -> None:
        super().__init__()
        self.queue = queue
        self.max_concurrency = max_concurrency
        self._trials: dict[str, int] = {}
        self._measured, self._capacity = -math.inf, 0

    @property
    def concurrency(self) -> int:
        """Return how many attempts may run, refreshed every CAPACITY_PERIOD."""
        if time.monotonic() > self._measured + CAPACITY_PERIOD:
            self._measured, self._capacity = time.monotonic(), self.max_concurrency()
        return self._capacity

    def trial_of(self, trial_id: str) -> int:
        """Return the number of our trial for Ray's trial id."""
        return self._trials[trial_id]

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return a config, None while attempts run, or FINISHED."""
        running = self.queue.running
        if self.queue.finished:
            return None if running else Searcher.FINISHED
        if len(running) >= self.concurrency or any(a.exclusive for a in running.values()):
            return None
        attempt = None
        with _recording(self.queue):
            try:
                attempt = self.queue.next_attempt()
            except UserError as error:
                self.queue.stop_error = error
        if attempt is None:
            return None if running else Searcher.FINISHED
        self._trials[trial_id] = attempt.trial
        return {
            "values": dict(attempt.values),
            "trial": attempt.trial,
            "attempt": attempt.attempt,
            "exclusive": attempt.exclusive,
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record an outcome; errors go to ErrorCallback."""
        if not error and self.queue.storage_error is None:
            with _recording(self.queue):
                self.queue.record_end(self.trial_of(trial_id), (result or {}).get("outcome"))

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the ledger is the state."""


class ResultRecorder(tune.Stopper):
    """Records every result: Tune calls its stopper before anything else sees a result."""

    def __init__(self, queue: TrialQueue, searcher: TrialSearcher) -> None:
        self.queue = queue
        self.searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        stop = False
        if self.queue.storage_error is None:
            with _recording(self.queue):
                stop = self.queue.record_result(self.searcher.trial_of(trial_id), result)
        return stop

    def stop_all(self) -> bool:
        """Return whether to end the search: nothing can be recorded, or time is up."""
        return self.queue.must_end


class ErrorCallback(tune.Callback):
    """Records failed attempts, and refreshes the display."""

    def __init__(
        self, queue: TrialQueue, searcher: TrialSearcher, on_step: Callable[[], None]
    ) -> None:
        self.queue = queue
        self.searcher = searcher
        self.on_step = on_step

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune to pickle."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Refresh the display."""
        self.on_step()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a failed attempt, or end the search where its storage failed."""
        if self.queue.storage_error is not None:
            return
        number, failure = self.searcher.trial_of(trial.trial_id), _read_failure(trial)
        with _recording(self.queue):
            if failure.failure_class == "storage_full":
                raise OSError(f"{failure.message} (trial {number})")
            if failure.failure_class == "storage_unreachable":
                self.queue.storage_error = UserError(
                    f"{failure.message}\n"
                    "fix that, then continue with the same command and --resume: nothing is lost"
                )
            else:
                self.queue.record_failure(number, failure)


def _read_failure(trial: Any) -> Failure:
    # Trial.get_pickled_error looks in the storage, which has the file after a snapshot only.
    if trial.pickled_error_file is None:
        _, _, text = Path(trial.error_file).read_text(encoding="utf-8").partition("\n")
        return read_failure_text(text.strip())
    error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return read_failure(error)


@contextlib.contextmanager
def _recording(queue: TrialQueue) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        queue.storage_error = UserError(
            f"the search cannot write: {error}\n"
            "free some space, then continue with the same command and --resume: nothing is lost"
        )
