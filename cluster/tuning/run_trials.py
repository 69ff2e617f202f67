"""Drives the trials of a ledger to their outcomes: study and tracker, up and down again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cluster.execution import ray_tuner
from cluster.execution.prepare_cluster import PreparedCluster
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger, write_settings
from cluster.options import Options, ResumeMode
from cluster.sampling.initial_trials import InitialTrial
from cluster.sampling.parameters import config_field
from cluster.sampling.study import Study
from cluster.storage.ledger_backup import LedgerBackup
from cluster.storage.location import Location
from cluster.tracking import writer
from cluster.tuning.progress import ProgressDisplay
from searchspaces.space import SearchSpace
from trainables.run import Run

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FRUITLESS, BEHIND, INTERRUPTED = 1, 3, 130


@dataclass(frozen=True)
class TrialsJob:
    """What is to be driven, and with what; `remote` is where the ledger's copy is, if anywhere.

    `ready` is needed where trials are left to run.
    """

    space: SearchSpace[Any]
    run: Run
    chosen: Options
    console: Console
    ledger: Ledger
    client: MlflowClient
    points: Sequence[InitialTrial]
    ready: PreparedCluster | None
    remote: Location | None = None


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    done: bool
    late: bool
    scored: bool
    infeasible: int
    trouble: str | None

    def exit_code(self, console: Console, going: ResumeMode) -> int:
        """Say what is left to do, if anything, and give the exit code for it."""
        if self.trouble:
            console.print(
                self.trouble, style="yellow", highlight=False, markup=False, soft_wrap=True
            )
        if not self.done:
            why = "the time budget is spent" if self.late else "interrupted"
            instead = " in the place of --fresh" if going == "fresh" else ""
            again = f"{why}: the same command with --resume{instead} goes on"
            console.print(again, style="yellow", soft_wrap=True)
            if not self.late:
                return INTERRUPTED
        if self.trouble:
            return BEHIND
        return FRUITLESS if self.done and not self.scored else 0


def run_trials(what: TrialsJob) -> Outcome:
    """Run attempts until every trial has its outcome, the time is up or the user interrupts."""
    ledger, chosen = what.ledger, what.chosen
    study = Study(ledger, what.space, list(what.points))
    deadline = time.time() + chosen.budget if chosen.budget else None
    tracker = writer.MLflowWriter(
        what.client, ledger, ledger.settings["artifacts"], lambda: study.infeasible
    )
    attempts = TrialQueue(ledger, study, ledger.settings["trials"], deadline, tracker.touch)
    copies = LedgerBackup(ledger, what.remote) if what.remote else None
    if copies:
        copies.start()
    tracker.start()
    done = ledger.finished
    try:
        if not done:
            done = _run(what, attempts, tracker, copies)
    finally:
        # On a full disk MLflow has no room either, and none comes by waiting; and what another
        # driver has now is no longer ours to write.
        patience = 0.0 if attempts.broken else writer.PATIENCE
        troubles = [tracker.close(done, patience), copies.close() if copies else None]
    trouble = "\n".join(filter(None, troubles)) or None
    return Outcome(done, attempts.late, bool(ledger.top_trials), study.infeasible, trouble)


def _run(
    what: TrialsJob,
    attempts: TrialQueue,
    tracker: writer.MLflowWriter,
    copies: LedgerBackup | None,
) -> bool:
    assert what.ready is not None
    run, folder = what.run, what.ledger.folder.resolve()
    if what.remote:  # a worker's own disk; what it saves there it copies
        folder = run.cache.resolve() / "attempts" / what.ledger.id / folder.name
    remote = what.remote / "attempts" if what.remote else None
    worker = replace(what.ready.worker, folder=folder, remote=remote)
    resources = what.ready.resources
    settings = what.ledger.settings
    settings["resources"] = {"cpu": resources.cpus, "gpu": resources.gpus}
    write_settings(what.ledger.folder, settings)
    searched = list(dict.fromkeys(map(config_field, settings["parameters"])))

    def behind() -> str:
        writers = {"MLflow": tracker.behind, "copy": copies.behind if copies else ""}
        return "; ".join(f"{name}: {why}" for name, why in writers.items() if why)

    with ProgressDisplay(attempts, searched, what.console, behind) as screen:

        def every_step() -> None:
            screen.update()
            if copies:
                copies.step()
                attempts.broken = attempts.broken or copies.lost

        return ray_tuner.run(attempts, worker, resources, settings["scheduler"], every_step)
