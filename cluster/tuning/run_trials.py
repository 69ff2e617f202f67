"""Run the trials of a ledger until each has its outcome, with the study and the MLflow writer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cluster.execution.executor import Executor
from cluster.execution.time_limits import TimeLimits
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import write_settings
from cluster.options import Options, ResumeMode
from cluster.sampling.arm_studies import open_studies
from cluster.sampling.initial_trials import InitialTrial
from cluster.storage.ledger_backup import LedgerBackup
from cluster.storage.location import Location
from cluster.tracking import writer
from cluster.tracking.writer import MLflowWriter
from cluster.tuning.progress import ProgressDisplay
from searchspaces.space import SearchSpace
from trainables.errors import INTERRUPTED
from trainables.run import Run

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NO_SCORE, BEHIND = 1, 3
INTERRUPTED_PATIENCE = 10.0
"""Seconds for MLflow after SIGTERM: batch systems kill what has not ended after about 30 s."""


@dataclass(frozen=True)
class TrialsJob:
    """Trials to run, and what they are run with.

    `executor` is needed where trials are left to run.
    """

    space: SearchSpace[Any]
    run: Run
    options: Options
    ledger: Ledger
    client: MlflowClient
    initial_trials: Sequence[InitialTrial]
    executor: Executor | None

    @property
    def remote(self) -> Location | None:
        """Return the location of the ledger's backup, below the remote storage as below ours."""
        storage = self.options.storage
        if storage.remote is None:
            return None
        return storage.remote / self.ledger.folder.relative_to(storage.folder).as_posix()


@dataclass(frozen=True)
class SearchEnd:
    """The folder of a search that has run, and the exit code of the command."""

    folder: Path
    exit_code: int


@dataclass(frozen=True)
class TrialsResult:
    """How the trials ended: `problem` says which writer is behind, if any.

    `experiment` is the id of the space's experiment in MLflow.
    """

    finished: bool
    out_of_time: bool
    has_score: bool
    infeasible: int
    problem: str | None
    resume_mode: ResumeMode = None
    experiment: str = ""

    def exit_code(self, console: Console) -> int:
        """Print what is left to do, if anything, and return the exit code for it."""
        if self.problem:
            console.print(
                self.problem, style="yellow", highlight=False, markup=False, soft_wrap=True
            )
        if not self.finished:
            why = "the time budget is used up" if self.out_of_time else "interrupted"
            instead = " instead of --fresh" if self.resume_mode == "fresh" else ""
            advice = f"{why}: continue with the same command and --resume{instead}"
            console.print(advice, style="yellow", soft_wrap=True)
            if not self.out_of_time:
                return INTERRUPTED
        if self.problem:
            return BEHIND
        return NO_SCORE if self.finished and not self.has_score else 0


def run_trials(job: TrialsJob, console: Console) -> TrialsResult:
    """Run trials until each has its outcome, the time is up or the user interrupts."""
    ledger = job.ledger
    ledger.restart_damaged()
    for note in ledger.notes:
        console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    study = open_studies(ledger, job.space, job.initial_trials)
    # Of a search that cannot be continued like this, nothing has changed.
    write_settings(ledger.folder, ledger.settings)
    budget, remote = job.options.time_budget, job.remote
    limits = TimeLimits(
        job.options.report_timeout,
        job.options.trial_timeout,
        time.monotonic() + budget if budget else None,
    )
    tracker = MLflowWriter(
        job.client,
        ledger,
        lambda: study.infeasible,
        notify=lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True),
    )
    if study.note:
        console.print(study.note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    queue = TrialQueue(ledger, study, limits, tracker.touch)
    backup = LedgerBackup(ledger, remote) if remote else None
    if backup:
        backup.start()
    tracker.start()
    finished = ledger.finished
    try:
        if not finished:
            finished = _run_on_executor(job, queue, tracker, backup, console)
    finally:
        # On a full disk MLflow has no space either, and waiting does not change that; a search
        # that another driver has taken over is no longer this driver's to write.
        patience = 0.0 if queue.storage_error else writer.PATIENCE
        if not finished and not queue.out_of_time:
            patience = min(patience, INTERRUPTED_PATIENCE)
        problems = [tracker.close(finished, patience), backup.close() if backup else None]
    if study.exhausted:
        tried = len(ledger.trial_logs) + study.infeasible
        what = f"all {tried} configurations" if tried > 1 else "the only configuration"
        console.print(
            f"{what} of {job.space.name} {'were' if tried > 1 else 'was'} tried: the search ends",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return TrialsResult(
        finished=finished,
        out_of_time=queue.out_of_time,
        has_score=bool(ledger.top_trials),
        infeasible=study.infeasible,
        problem="\n".join(filter(None, problems)) or None,
        resume_mode=job.options.resume_mode,
        experiment=tracker.experiment,
    )


def _run_on_executor(
    job: TrialsJob,
    queue: TrialQueue,
    tracker: MLflowWriter,
    backup: LedgerBackup | None,
    console: Console,
) -> bool:
    assert job.executor is not None
    ledger, executor, remote = job.ledger, job.executor, job.remote
    ledger.update_settings(resources=dict(executor.resources))
    folder = ledger.folder.resolve()
    if remote:  # on a worker's own disk; the worker uploads what it saves there
        folder = job.run.cache.resolve() / "attempts" / ledger.id / folder.name
    attempts = remote / "attempts" if remote else None
    worker = replace(executor.worker, folder=folder, remote=attempts)
    searched = ledger.settings.searched
    delayed = _make_delay_description(tracker, backup)
    with ProgressDisplay(queue, searched, console, delayed) as display:

        def on_step() -> None:
            display.update()
            if backup:
                backup.step()
                queue.storage_error = queue.storage_error or backup.lost

        return executor.run(queue, worker, on_step)


def _make_delay_description(
    tracker: MLflowWriter, backup: LedgerBackup | None
) -> Callable[[], str]:
    def describe() -> str:
        writers = {"MLflow": tracker.behind, "copy": backup.behind if backup else ""}
        return "; ".join(f"{name}: {why}" for name, why in writers.items() if why)

    return describe
