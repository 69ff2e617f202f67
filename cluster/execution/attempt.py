"""An attempt at a trial, wherever it runs: a step is one report of the task.

It returns numbers and text for the driver. Checkpoints and predictions it writes itself into the
folder of the attempt, where the next attempt finds them, and uploads them to remote storage,
where there is one, before the driver sees the result. Does not import Ray.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cluster.execution.attempt_files import (
    check_storage,
    copy_earlier_attempt,
    download_earlier_attempt,
    download_teacher,
    upload_attempt,
    upload_output,
)
from cluster.execution.failures import AttemptError, describe_error
from cluster.execution.task_output import TaskOutput, read_end
from cluster.execution.task_settings import read_settings, restore_settings
from cluster.execution.usage import UsageMonitor
from cluster.ledger.files import OUTPUT, attempt_folder
from cluster.storage.location import Location
from searchspaces.codec import decode_config
from searchspaces.loading import load_space
from searchspaces.space import SearchSpace
from trainables.errors import PreemptedError
from trainables.launch import check_launched, count_processes
from trainables.loop import end_forked_children, end_loop, start_loop
from trainables.run import Loop, Run


@dataclass(frozen=True)
class WorkerSettings:
    """What all trials of a search share.

    `folder` is the search's folder, `run` what every trial sees of the outside, `threads` a
    trial's CPUs. With `remote`, `folder` is on the worker's own disk, and `remote/NNN/K` has what
    attempt K at trial NNN saved. `teachers` has a copy of the teacher for machines that do not
    see the driver's cache.
    """

    space: str | SearchSpace[Any]
    folder: Path
    run: Run
    teachers: Location | None = None
    threads: int = 1
    remote: Location | None = None


class AttemptRunner:
    """Runs attempts at trials, one after the other in the same process.

    `gpus` are the ids of the GPUs that it may use, `preempted` returns whether the process must
    exit soon. An `interactive` process has the user's terminal.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        gpus: Sequence[int] = (),
        preempted: Callable[[], bool] = lambda: False,
        interactive: bool = False,
    ) -> None:
        self.settings = settings
        self.gpus = gpus
        self.preempted = preempted
        self.interactive = interactive
        self.config: Mapping[str, Any] = {}
        self._space: SearchSpace[Any] | None = None
        self._storage_checked = False
        self.loop: Loop | None = None

    def load(self) -> SearchSpace[Any]:
        """Import what the space needs, once, and return the space; raises what its file raises."""
        if self._space is None:
            self._space = load_space(self.settings.space)
            torch.set_num_threads(self.settings.threads)
        return self._space

    def begin(self, config: Mapping[str, Any]) -> None:
        """Prepare for an attempt; what can fail waits for the first step."""
        self.close()
        self.config = config

    def step(self, guard: AbstractContextManager[Any] | None = None) -> dict[str, Any]:
        """Make one report; raises AttemptError for any failure, `sys.exit()` included.

        Returns `report`, `history` (the reports of this attempt that the driver may not have),
        `facts`, `notes` and `place`, and when the trial has ended by itself, `outcome`. The task
        runs inside of `guard`, and what it prints is kept.
        """
        try:
            self._check_preemption()
            sent = self.run.done if self.loop is not None else 0
            loop = self._start() if self.loop is None else self.loop
            try:
                with self.output.capture(), guard or nullcontext(), end_forked_children():
                    outcome = self._make_report(loop)
            except PreemptedError as error:
                self._upload()
                raise PreemptedError(f"received SIGTERM: {error}") from None
            return self._get_result(sent) | ({"outcome": outcome} if outcome else {})
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an exit, too, and a panic of an extension in Rust
            if self.preempted():  # SIGTERM may have ended the processes that the task needs, too
                error = _blame_preemption(error)
            raise self.describe(error) from None

    def describe(self, error: BaseException) -> AttemptError:
        """Return the error that carries `error` to the driver, with the end of the output."""
        if self.loop is None:
            return describe_error(error)
        if self.settings.remote:
            with suppress(Exception):  # the storage may be what has failed
                upload_output(self.output.path.parent, self.settings.remote, self.config)
        return describe_error(error, read_end(self.output.path))

    def close(self) -> None:
        """End the task and free what it held; its errors change nothing any more."""
        if self.loop is not None:
            loop, self.loop = self.loop, None
            with suppress(Exception, SystemExit), self.output.capture():
                loop.close()
            restore_settings(self.outside)
            self.output.close()
            self.usage.close()
            if self.settings.remote and self.run.folder:
                shutil.rmtree(self.run.folder.parent, ignore_errors=True)
            del self.run
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _check_preemption(self) -> None:
        if self.preempted():
            first = self.loop is None
            when = "before its first report" if first else f"after report {self.run.done}"
            raise PreemptedError(f"received SIGTERM and exited {when}")

    def _make_report(self, loop: Loop) -> str:
        """Make one report and return the outcome, empty where the trial continues."""
        run = self.run
        try:
            report = next(loop)
        except StopIteration:
            return self._complete(loop)
        run.record(report, loop)
        check_launched(run)
        if run.diverged:
            return "diverged"
        return self._complete(loop) if run.done >= run.reports else ""

    def _complete(self, loop: Loop) -> str:
        end_loop(loop)
        self.run.finish()
        return "complete"

    def _start(self) -> Loop:
        settings, config = self.settings, self.config
        if not self._storage_checked:
            check_storage(settings.folder, settings.remote)
            self._storage_checked = True
        space = self.load()
        folder = attempt_folder(settings.folder, config["trial"], config["attempt"])
        if settings.remote:
            notes = download_earlier_attempt(folder, settings.remote, config)
        else:
            notes = copy_earlier_attempt(folder, config["attempt"], config.get("done", 0))
        device = torch.device("cuda" if self.gpus else "cpu")
        run = build_worker_run(settings, device)
        processes = count_processes(space.resources, device)
        self.run = replace(run, folder=folder, preempted=self.preempted, processes=processes)
        self.run.notes += notes
        values = decode_config(space.config, config["config"])
        self.output = TaskOutput(folder / OUTPUT, self.interactive)
        self.outside = read_settings()
        loop = start_loop(space.train, values, self.run)
        self.usage = UsageMonitor(processes if device.type == "cuda" else 0)
        self.loop = loop
        return loop

    def _get_result(self, sent: int) -> dict[str, Any]:
        run = self.run
        self._upload()
        notes, run.notes = run.notes, []
        history = run.history[sent:]
        if history and (usage := self.usage.take()):
            history[-1] = {**history[-1], "usage": usage}
        return {
            "report": run.done,
            "history": history,
            "facts": dict(run.facts),
            "notes": notes,
            "place": f"{platform.node()}/{run.device.type}{','.join(map(str, self.gpus))}",
        }

    def _upload(self) -> None:
        if self.run.folder and self.settings.remote:
            upload_attempt(self.run.folder, self.settings.remote, self.config)


def _blame_preemption(error: BaseException) -> BaseException:
    if isinstance(error, PreemptedError):
        return error
    preempted = PreemptedError(f"received SIGTERM, and then failed: {error!r}")
    preempted.__cause__ = error
    return preempted


def build_worker_run(settings: WorkerSettings, device: torch.device) -> Run:
    """Return what a task sees of the outside on this machine, without a folder of its own."""
    run = settings.run
    teacher = download_teacher(run.teacher, settings.teachers, run.cache)
    return replace(run, device=device, teacher=teacher)
