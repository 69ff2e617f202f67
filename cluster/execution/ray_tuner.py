"""Run a search on Ray Tune: thin adapters between Tune's hooks and the queue of attempts."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from cluster.execution.attempt import WorkerSettings
from cluster.execution.failures import read_failure, read_failure_text
from cluster.execution.hung_workers import HungWorkers
from cluster.execution.resources import Resources, bundle_resources, max_concurrency
from cluster.execution.trainable import Trial
from cluster.execution.trial_queue import TrialQueue, recording
from cluster.ledger.trial_log import Failure

CAPACITY_PERIOD = 5.0
"""Seconds between two looks at the size of the cluster."""


def run(
    queue: TrialQueue, worker: WorkerSettings, resources: Resources, on_step: Callable[[], None]
) -> bool:
    """Run attempts until none is left; return whether every trial has its outcome.

    Raises UserError where the storage fails or the space has no feasible configuration, after
    all attempts have ended.
    """
    searcher = TrialSearcher(queue, lambda: max_concurrency(resources))
    hung = HungWorkers(queue)
    trainable = tune.with_resources(
        tune.with_parameters(Trial, settings=worker),
        lambda config: bundle_resources(resources, config["exclusive"]),
    )
    with tempfile.TemporaryDirectory(prefix="tunery-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=WatchingScheduler(searcher.trial_of, hung),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                stop=ResultRecorder(queue, searcher, hung),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[AttemptCallback(queue, searcher, hung, on_step)],
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
        if not self.queue.has_room(self.concurrency):
            return None
        attempt = self.queue.start_attempt()
        if attempt is None:
            return None if running else Searcher.FINISHED
        self._trials[trial_id] = attempt.trial
        return attempt.to_config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record an outcome; errors go to AttemptCallback."""
        if not error and self.queue.storage_error is None:
            with recording(self.queue):
                self.queue.record_end(self.trial_of(trial_id), (result or {}).get("outcome"))

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the ledger is the state."""


class WatchingScheduler(FIFOScheduler):
    """Watches attempts for hanging; early stopping is part of recording a result.

    `trial_of` maps Ray's trial ids to our trials.
    """

    def __init__(self, trial_of: Callable[[str], int], hung: HungWorkers) -> None:
        super().__init__()
        self.trial_of = trial_of
        self.hung = hung

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing to Tune, which pickles its scheduler."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Watch the new attempt."""
        self.hung.add(self.trial_of(trial.trial_id), trial)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Leave the choice to Tune, which gives a free worker to a new trial.

        FIFOScheduler gives it to the oldest waiting trial and kills the worker that starts for
        that one; where trials are shorter than a worker's start, no worker ever came up.
        """


class ResultRecorder(tune.Stopper):
    """Records every result, and stops trials early.

    Tune calls its stopper before anything else sees a result.
    """

    def __init__(self, queue: TrialQueue, searcher: TrialSearcher, hung: HungWorkers) -> None:
        self.queue = queue
        self.searcher = searcher
        self.hung = hung

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        stop = False
        if self.queue.storage_error is None:
            with recording(self.queue):
                stop = self.queue.record_result(self.searcher.trial_of(trial_id), result)
        return stop

    def stop_all(self) -> bool:
        """Return whether to end the search: nothing can be recorded, or time is up."""
        if not self.queue.must_end:
            return False
        if self.queue.storage_error is None:
            self.hung.kill_running()
            with recording(self.queue):
                self.queue.end_running()
        return True


class AttemptCallback(tune.Callback):
    """Records the start and the failure of attempts, ends hung ones and refreshes the display."""

    def __init__(
        self,
        queue: TrialQueue,
        searcher: TrialSearcher,
        hung: HungWorkers,
        on_step: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.searcher = searcher
        self.hung = hung
        self.on_step = on_step

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing for Tune to pickle."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Kill what hangs, and refresh the display."""
        self.hung.kill_hung()
        self.on_step()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Start the clock of an attempt that has got its worker."""
        self.queue.record_start(self.searcher.trial_of(trial.trial_id))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a failed attempt."""
        if self.queue.storage_error is not None:
            return
        number = self.searcher.trial_of(trial.trial_id)
        failure = self.hung.pop_failure(number) or _read_failure(trial)
        with recording(self.queue):
            self.queue.record_failure(number, failure)


def _read_failure(trial: Any) -> Failure:
    # Trial.get_pickled_error looks in the storage, which has the file after a snapshot only.
    if trial.pickled_error_file is None:
        _, _, text = Path(trial.error_file).read_text(encoding="utf-8").partition("\n")
        return read_failure_text(text.strip())
    error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return read_failure(error)
