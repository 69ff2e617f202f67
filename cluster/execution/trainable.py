"""The one Ray Tune Trainable: a step is one report of the task's generator.

What it sends to the driver is plain numbers and words; checkpoints and predictions it writes
itself into the folder of the attempt, where the next attempt finds them, and copies them to
remote storage, where there is one, before the driver hears of them. A worker that is told to
end (SIGTERM: a machine is taken away) puts its work down: between two batches where the task's
loop can, as `fit` does, else behind the report. Only a teacher that is trained first is not saved.
"""

from __future__ import annotations

import platform
import re
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import ray
import torch
from ray import tune

from cluster.execution.failures import StorageUnreachableError, describe_error
from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.replication import trial_owner
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from trainables import cache, checkpoint
from trainables.errors import PreemptedError
from trainables.predictor import DataKind
from trainables.ranking import is_finite
from trainables.run import Loop, Run, attempt_folder

AWAY = re.compile(
    r"time[d_ ]*out|network|connect|curl|resolve|unavailable|slow_?down|throttl|deadline|internal"
    r"|exhausted|\b5\d\d\b|\b429\b",
    re.IGNORECASE,
)
"""What the errors of storages say that may be there again; all others stay as they are."""
PAUSES = (1.0, 5.0)
"""Seconds before a storage that refuses a worker is asked again: a role may come late."""


@dataclass(frozen=True)
class WorkerSettings:
    """What all trials of a search share; `folder` is the search's, `threads` a trial's CPUs.

    With `remote`, `folder` is on the worker's own disk, and `remote/NNN/K` has what attempt K at
    trial NNN saved. `teacher` is in the driver's cache, and `taught_from` has a copy for machines
    that do not see it.
    """

    space: str
    folder: Path
    cache: Path
    reports: int
    data: Path | None = None
    source: DataKind = "real"
    weights: Path | None = None
    teacher: Path | None = None
    taught_from: Location | None = None
    threads: int = 1
    remote: Location | None = None


class Trial(tune.Trainable):
    """Runs attempts at trials, one after the other in the same process."""

    def setup(self, config: dict[str, Any], settings: WorkerSettings) -> None:
        """Remember the settings; what can fail waits for the first step."""
        self.settings = settings
        self.space: SearchSpace[Any] | None = None
        self.loop: Loop | None = None
        self.told_to_end = False
        # Ray's own handler would end the process before anything is saved.
        signal.signal(signal.SIGTERM, self._tell_to_end)

    def _tell_to_end(self, number: int, frame: FrameType | None) -> None:
        self.told_to_end = True

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Make ready for another trial."""
        self.cleanup()
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Make one report; raises AttemptError, with the class of whatever went wrong."""
        try:
            return self._step()
        except Exception as error:
            raise describe_error(error) from None

    def _step(self) -> dict[str, Any]:
        """Make one report.

        Gives `report`, `history` (every report of this trial so far that may be unheard) and,
        when the trial has ended by itself, `outcome` and Tune's `done`.
        """
        first = self.loop is None
        if self.told_to_end:
            behind = "before it began" if first else f"behind report {self.run.done}"
            raise PreemptedError(f"SIGTERM came, and this worker ended {behind}")
        loop, run = self._start() if self.loop is None else (self.loop, self.run)
        heard = 0 if first else run.done
        try:
            metrics = {name: float(value) for name, value in next(loop).items()}
        except StopIteration:
            return self._end("complete", heard)
        except PreemptedError as error:
            self._copy()
            raise PreemptedError(f"SIGTERM came, and this trial was {error}") from None
        run.record(metrics)
        if not is_finite(metrics):
            return self._end("diverged", heard)
        if run.done >= run.reports:
            return self._end("complete", heard)
        return self._result(heard)

    def cleanup(self) -> None:
        """Close the generator and free what it held."""
        if self.loop is not None:
            self.loop.close()
            self.loop = None
            if self.settings.remote and self.run.folder:
                shutil.rmtree(self.run.folder.parent, ignore_errors=True)
            del self.run
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _start(self) -> tuple[Loop, Run]:
        settings, config = self.settings, self.config
        if self.space is None:
            if whole := settings.remote:  # a machine that joined later may have no right to it
                replication.retry_until_reachable(lambda: _try_out(Location(whole.uri)))
            self.space = load_space(settings.space)
            torch.set_num_threads(settings.threads)
        folder = attempt_folder(settings.folder, config["trial"], config["attempt"])
        if remote := settings.remote:
            replication.retry_until_reachable(lambda: _fetch_earlier(folder, remote, config))
        elif not settings.folder.is_dir():  # a machine that joined later
            raise StorageUnreachableError(
                f"{platform.node()} does not see the storage {settings.folder}"
            )
        else:
            _go_on_from_earlier(folder, config["attempt"])
        device = torch.device("cuda" if _gpus() else "cpu")
        run = build_run(settings, self.space, device)
        self.run = replace(run, folder=folder, preempted=lambda: self.told_to_end)
        self.loop = self.space.train(self.space.config(**config["values"]), self.run)
        return self.loop, self.run

    def _end(self, outcome: str, heard: int) -> dict[str, Any]:
        if outcome == "complete":
            if not self.run.done:
                raise ValueError("the task ended without a single report")
            self.run.finish()
        return {**self._result(heard), "outcome": outcome, "done": True}

    def _result(self, heard: int) -> dict[str, Any]:
        run = self.run
        self._copy()
        return {
            "report": run.done,
            "history": run.history[heard:],
            "facts": dict(run.facts),
            "place": f"{platform.node()}/{run.device.type}{','.join(map(str, _gpus()))}",
        }

    def _copy(self) -> None:
        folder, remote = self.run.folder, self.settings.remote
        if folder and remote:
            place = _place(remote, self.config["trial"], self.config["attempt"])
            owner = trial_owner(self.config["values"])
            replication.retry_until_reachable(lambda: replication.upload(folder, place, owner))


def build_run(settings: WorkerSettings, space: SearchSpace[Any], device: torch.device) -> Run:
    """Give what a task sees of the outside world on this machine, without a folder of its own."""
    return Run(
        reports=settings.reports,
        metric=space.metric,
        mode=space.mode,
        device=device,
        data=settings.data,
        cache=settings.cache,
        source=settings.source,
        weights=settings.weights,
        teacher=find_teacher(settings),
    )


def find_teacher(settings: WorkerSettings) -> Path | None:
    """Give the teacher's folder on this machine, brought into its cache where it is missing.

    Raises OSError.
    """
    given, lesson = settings.teacher, settings.taught_from
    if given is None or lesson is None or given.is_dir():
        return given

    def build(draft: Path) -> None:
        if not replication.retry_until_reachable(
            lambda: replication.download(lesson, draft, given.name)
        ):
            raise FileNotFoundError(f"the teacher {given.name} is not in {lesson}")

    return cache.built(settings.cache, "teacher", {"copy": given.name}, build)


def _gpus() -> list[int]:
    # Asked outside of a cluster, Ray would start one to answer.
    return ray.get_gpu_ids() if ray.is_initialized() else []


def _try_out(storage: Location) -> None:
    for pause in (*PAUSES, None):
        try:
            replication.check_access(storage)
            break
        except OSError as error:
            why = str(error).partition("\n")[0]
            if AWAY.search(re.sub("'[^']*'", "", why)):  # quoted are names, which say anything
                raise
            if pause is None:
                blind = f"{platform.node()} cannot use the storage {storage}: {why}"
                raise StorageUnreachableError(blind) from error
        time.sleep(pause)


def _go_on_from_earlier(folder: Path, attempt: int) -> None:
    """Copy the newest earlier attempt's checkpoints: its worker may still live and write."""
    if folder.exists():
        shutil.rmtree(folder)  # an attempt of the same number that was never heard of
    for earlier in range(attempt - 1, 0, -1):
        source = folder.with_name(f"attempt-{earlier}")
        # The last comes last: an attempt that has it has all.
        if checkpoint.read(source / "last") is not None:
            checkpoint.copy(source / "best", folder / "best")
            checkpoint.copy(source / "last", folder / "last")
            return


def _fetch_earlier(folder: Path, remote: Location, config: Mapping[str, Any]) -> None:
    """Do the same where earlier attempts ran on other machines."""
    trial, attempt = config["trial"], config["attempt"]
    for old in folder.parent.glob("attempt-*"):
        shutil.rmtree(old)
    replication.delete(_place(remote, trial, attempt))
    for earlier in range(attempt - 1, 0, -1):
        if replication.download(
            _place(remote, trial, earlier), folder, trial_owner(config["values"])
        ):
            return


def _place(remote: Location, trial: int, attempt: int) -> Location:
    return remote / f"{trial:03d}" / str(attempt)
