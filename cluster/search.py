"""Runs a search on Ray Tune: thin adapters between Tune's hooks and our attempts."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.search import Searcher

from cluster import scheduler
from cluster.attempts import Attempts
from cluster.capacity import capacity
from cluster.execution import failures
from cluster.story import Failure
from trainables.errors import UserError
from trainables.trainable import Settings, Trial

LOOK = 5.0  # seconds between looks at how large the cluster is


@dataclass(frozen=True)
class Resources:
    """What a trial takes, and how many may run at once; None: as many as there is room for.

    `joined`: on a cluster that others have started, which may grow.
    """

    cpus: float
    gpus: float
    concurrency: int | None
    joined: bool


def share_out(
    wanted: dict[str, float], gpus: float | None, concurrency: int | None, joined: bool
) -> Resources:
    """Decide what each trial gets on the cluster at hand.

    A trial takes one GPU, or the share asked for, where there are any and the space wants one.
    """
    have = capacity(joined)
    cpus = wanted.get("cpu", 1.0)
    if gpus is None:
        gpus = wanted.get("gpu", 1.0) if have.get("GPU", 0.0) else 0.0
    if gpus and not have.get("GPU"):
        raise UserError(
            f"--gpus-per-trial {gpus:g}: Ray sees no GPU here\n"
            "leave the option out to train on CPUs"
        )
    if cpus > have.get("CPU", 0.0):
        raise UserError(f"a trial wants {cpus:g} CPUs, and Ray has {have.get('CPU', 0.0):g}")
    return Resources(cpus, gpus, concurrency, joined)


def room(resources: Resources) -> int:
    """Count the trials that may run at once, on machines that are there or can be rented."""
    have = capacity(resources.joined)
    fits = int(have.get("CPU", 0.0) / resources.cpus) if resources.cpus else 10_000
    if resources.gpus:
        fits = min(fits, int(have.get("GPU", 0.0) / resources.gpus + 1e-9))
    return max(1, min(resources.concurrency or fits, fits))


def run(
    attempts: Attempts,
    settings: Settings,
    resources: Resources,
    stopping: str,
    every_step: Callable[[], None],
) -> bool:
    """Run attempts until none is left; gives whether every trial has its outcome now.

    What ends a search early, a full disk or a space without feasible configurations, is raised
    when everything has been put down.
    """
    searcher = Handout(attempts, lambda: room(resources))
    inner = scheduler.build(stopping, attempts.study.space, settings.reports)
    trainable = tune.with_resources(
        tune.with_parameters(Trial, settings=settings),
        lambda config: _bundle(resources, config["alone"]),
    )
    with tempfile.TemporaryDirectory(prefix="tunery-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler.ByTrial(inner, attempts, searcher.trial_of),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                stop=Recorder(attempts, searcher),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[Watcher(attempts, searcher, every_step)],
            ),
        )
        tuner.fit()
    if trouble := attempts.broken or attempts.stopped:
        raise trouble
    return attempts.ledger.finished


class Handout(Searcher):
    """Gives Tune an attempt when there is room for one."""

    def __init__(self, attempts: Attempts, room: Callable[[], int]) -> None:
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


class Recorder(tune.Stopper):
    """Writes every result down: Tune asks its stopper first, before anyone else hears of it."""

    def __init__(self, attempts: Attempts, searcher: Handout) -> None:
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


class Watcher(tune.Callback):
    """Hears of errors, and keeps the screen up to date."""

    def __init__(
        self, attempts: Attempts, searcher: Handout, every_step: Callable[[], None]
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


def _bundle(resources: Resources, alone: bool) -> tune.PlacementGroupFactory:
    cpus, gpus = resources.cpus, resources.gpus
    if alone:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        nodes = [node for node in nodes if node.get("GPU", 0) or not gpus]
        # A head without CPUs is none that trials run on.
        fit = [node["CPU"] for node in nodes if node.get("CPU", 0) >= max(cpus, 1)]
        cpus = min(fit, default=cpus)
        gpus = max(1.0, gpus) if gpus else 0.0
    return tune.PlacementGroupFactory([{"CPU": cpus, **({"GPU": gpus} if gpus else {})}])


@contextlib.contextmanager
def _writing(attempts: Attempts) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        attempts.broken = UserError(
            f"the search cannot write: {error}\n"
            "make room there, then go on with the same command and --resume: nothing is lost"
        )
