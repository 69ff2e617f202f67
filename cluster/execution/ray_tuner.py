"""Runs a search on Ray Tune: thin adapters between Tune's hooks and our attempts."""

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

from cluster.execution import early_stopping, failures
from cluster.execution.resources import Resources, _bundle, max_concurrency
from cluster.execution.trainable import Trial, WorkerSettings
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import Failure
from trainables.errors import UserError

LOOK = 5.0  # seconds between looks at how large the cluster is


def run(
    attempts: TrialQueue,
    settings: WorkerSettings,
    resources: Resources,
    stopping: str,
    every_step: Callable[[], None],
) -> bool:
    """Run attempts until none is left; gives whether every trial has its outcome now.

    What ends a search early, a full disk or a space without feasible configurations, is raised
    when everything has been put down.
    """
    searcher = TrialSearcher(attempts, lambda: max_concurrency(resources))
    inner = early_stopping.build_scheduler(stopping, attempts.study.space, settings.reports)
    trainable = tune.with_resources(
        tune.with_parameters(Trial, settings=settings),
        lambda config: _bundle(resources, config["alone"]),
    )
    with tempfile.TemporaryDirectory(prefix="tunery-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=early_stopping.ByTrial(inner, attempts, searcher.trial_of),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                stop=ResultRecorder(attempts, searcher),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[ErrorCallback(attempts, searcher, every_step)],
            ),
        )
        tuner.fit()
    if trouble := attempts.broken or attempts.stopped:
        raise trouble
    return attempts.ledger.finished


class TrialSearcher(Searcher):
    """Gives Tune an attempt when there is room for one."""

    def __init__(self, attempts: TrialQueue, room: Callable[[], int]) -> None:
        super().__init__()
        self.attempts = attempts
        self.room = room
        self._trials: dict[str, int] = {}
        self._measured, self._room = -math.inf, 0

    @property
    def concurrency(self) -> int:
        """How many attempts may be live, looked up now and then: machines come and go."""
        if time.monotonic() > self._measured + LOOK:
            self._measured, self._room = time.monotonic(), self.room()
        return self._room

    def trial_of(self, trial_id: str) -> int:
        """Translate Ray's trial id into the number of our trial."""
        return self._trials[trial_id]

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Give a config, None while attempts are live, then Tune's word for the end."""
        live = len(self.attempts.live)
        if self.attempts.finished:
            return None if live else Searcher.FINISHED
        if live >= self.concurrency or any(a.alone for a in self.attempts.live.values()):
            return None
        attempt = None
        with _writing(self.attempts):
            try:
                attempt = self.attempts.next()
            except UserError as error:
                self.attempts.stopped = error
        if attempt is None:
            return None if live else Searcher.FINISHED
        self._trials[trial_id] = attempt.trial
        return {
            "values": dict(attempt.values),
            "trial": attempt.trial,
            "attempt": attempt.attempt,
            "alone": attempt.alone,
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Write down an outcome; errors are told, with their text, to `Watcher`."""
        if not error and self.attempts.broken is None:
            with _writing(self.attempts):
                self.attempts.ended(self.trial_of(trial_id), (result or {}).get("outcome"))

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the ledger is the state."""


class ResultRecorder(tune.Stopper):
    """Writes every result down: Tune asks its stopper first, before anyone else hears of it."""

    def __init__(self, attempts: TrialQueue, searcher: TrialSearcher) -> None:
        self.attempts = attempts
        self.searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        late = False
        if self.attempts.broken is None:
            with _writing(self.attempts):
                late = self.attempts.heard(self.searcher.trial_of(trial_id), result)
        return late

    def stop_all(self) -> bool:
        """End the search where results cannot be written down any more, or time is up."""
        return self.attempts.over


class ErrorCallback(tune.Callback):
    """Hears of errors, and keeps the screen up to date."""

    def __init__(
        self, attempts: TrialQueue, searcher: TrialSearcher, every_step: Callable[[], None]
    ) -> None:
        self.attempts = attempts
        self.searcher = searcher
        self.every_step = every_step

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to pickle."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Let the screen breathe."""
        self.every_step()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write down a failed attempt with its traceback."""
        if self.attempts.broken is not None:
            return
        number, failure = self.searcher.trial_of(trial.trial_id), _read_failure(trial)
        with _writing(self.attempts):
            if failure.failure_class == "storage_full":
                raise OSError(f"{failure.message} (trial {number})")
            if failure.failure_class == "storage_unreachable":
                self.attempts.broken = UserError(
                    f"the machine {failure.message}\n"
                    "fix that, then give the same command with --resume: nothing is lost"
                )
            else:
                self.attempts.failed(number, failure)


def _read_failure(trial: Any) -> Failure:
    # Trial.get_pickled_error looks in the storage, which has the file after a snapshot only.
    if trial.pickled_error_file is None:
        _, _, text = Path(trial.error_file).read_text(encoding="utf-8").partition("\n")
        return Failure("failed", text.strip().rpartition("\n")[2], text.strip())
    error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return failures.read_failure(error)


@contextlib.contextmanager
def _writing(attempts: TrialQueue) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        attempts.broken = UserError(
            f"the search cannot write: {error}\n"
            "make room there, then go on with the same command and --resume: nothing is lost"
        )
