"""The ledger: a search's folder, the one source of truth for what became of every trial.

`search.json` holds the settings; `trials/NNN/reports.jsonl` the log of a trial, a line per event,
appended by the driver before anything else sees it; `trials.jsonl` the first line of each log once
more, see `damage`. Does not import Ray, Optuna or MLflow.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import filelock

from cluster.ledger.clock import start_clock
from cluster.ledger.damage import INDEX, complete_index, read_trial_logs, restart_trial
from cluster.ledger.driver import LOCK
from cluster.ledger.files import (
    attempt_folder,
    list_searches,
    log_path,
    prune_attempt,
    prune_failed_attempt,
)
from cluster.ledger.settings import (
    SearchSettings,
    check_folder,
    read_settings,
    write_settings,
)
from cluster.ledger.trial_log import (
    Decision,
    Failure,
    Outcome,
    TrialLog,
    append_event,
    apply_event,
    rank_trial_logs,
)
from trainables.errors import DamagedFileError, UserError
from trainables.ranking import Mode

KEPT_WEIGHTS = 10
"""Number of best trials of a search whose weights are kept."""


class Ledger:
    """A search's folder, open for one driver; use `create_ledger` or `reopen_ledger`."""

    def __init__(self, folder: Path, settings: SearchSettings, lock: filelock.FileLock) -> None:
        self.folder = folder
        self.settings = settings
        self.lock = lock
        self.trial_logs, self.damaged = read_trial_logs(folder, repair=True)
        """Logs by trial; and why those of other trials cannot be read."""
        self.notes: list[str] = []
        """What is to be shown to the user of files that were damaged."""
        self.top_trials: list[TrialLog] = []
        self.fetch: Callable[[int], None] = lambda trial: None
        """Downloads what an ended trial has saved, where workers save to remote storage."""
        self._clock = start_clock(max((log.last for log in self.trial_logs.values()), default=0.0))
        for trial in self.trial_logs:
            self.prune(trial)

    @property
    def id(self) -> str:
        """Return the search's unique name, which MLflow has as the tag `search`."""
        return self.settings.id

    @property
    def name(self) -> str:
        """Return the name that runs of this ledger begin with."""
        return self.settings.name or self.folder.name

    @property
    def metric(self) -> str:
        """Return the searched metric."""
        return self.settings.metric

    @property
    def mode(self) -> Mode:
        """Return "min" or "max"."""
        return self.settings.mode

    @property
    def finished(self) -> bool:
        """Return whether every requested trial has its outcome."""
        if self.damaged:
            return False
        ended = [trial_log.outcome is not None for trial_log in self.trial_logs.values()]
        return all(ended) and len(ended) >= self.settings.trials

    def update_settings(self, **changes: Any) -> None:
        """Change settings, in `search.json` too; raises OSError."""
        self.settings = replace(self.settings, **changes)
        write_settings(self.folder, self.settings)

    def add_trial(
        self,
        trial: int,
        parameters: Mapping[str, Any],
        config: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
    ) -> TrialLog:
        """Record a new trial; raises ValueError for a number that is taken."""
        if trial in self.trial_logs:
            raise ValueError(f"trial {trial} of {self.folder} already exists")
        log_path(self.folder, trial).parent.mkdir(parents=True, exist_ok=True)
        event = {"trial": trial, "parameters": dict(parameters), "config": dict(config)}
        event |= {**({"tags": dict(tags)} if tags else {}), "time": self._clock()}
        trial_log = self._append(trial, event)
        append_event(self.folder / INDEX, event)
        return trial_log

    def add_attempt(self, trial: int) -> int:
        """Record that another attempt starts and return its number, counted from 1."""
        return self._append(trial, {"attempt": self.trial_logs[trial].attempts + 1}).attempts

    def record_reports(
        self,
        trial: int,
        history: list[dict[str, Any]],
        facts: Mapping[str, float],
        place: str = "",
    ) -> bool:
        """Record the reports that are new and return whether there were any.

        Reports after the outcome are ignored. `place` is where the attempt runs.
        """
        trial_log = self.trial_logs[trial]
        if trial_log.outcome is not None:
            return False
        if facts and not trial_log.facts:
            self._append(trial, {"facts": dict(facts)})
        if place and trial_log.spans and trial_log.spans[-1][2] != place:
            self._append(trial, {"place": place})
        new = [entry for entry in history if entry["report"] > trial_log.done]
        for entry in new:
            self._append(trial, entry)
        return bool(new)

    def record_failure(self, trial: int, failure: Failure) -> None:
        """Record why an attempt failed."""
        attempts = self.trial_logs[trial].attempts
        self._append(trial, {"failure": asdict(failure), "attempt": attempts})

    def record_decision(self, trial: int, decision: Decision) -> None:
        """Record a decision of early stopping; it replaces an earlier one at the same report."""
        self._append(trial, {"decision": asdict(decision)})

    def record_notes(self, trial: int, notes: Iterable[str]) -> None:
        """Record notes for the user about a trial's damaged files; none after its outcome."""
        for note in notes if self.trial_logs[trial].outcome is None else ():
            self._append(trial, {"note": note})

    def record_outcome(self, trial: int, outcome: Outcome, reason: str = "") -> None:
        """Record the outcome of a trial; the first one stays."""
        if self.trial_logs[trial].outcome is None:
            self._append(trial, {"outcome": outcome, "reason": reason})

    def restart_damaged(self) -> None:
        """Begin the trials again whose logs are lost, and add a note on each."""
        complete_index(self.folder)
        for trial, why in sorted(self.damaged.items()):
            trial_log, note = restart_trial(self.folder, trial, why)
            if trial_log is not None:
                self.trial_logs[trial] = trial_log
            self.notes.append(note)
        self.damaged.clear()

    def latest_attempt(self, trial: int) -> Path:
        """Return the folder of a trial's last attempt."""
        return attempt_folder(self.folder, trial, self.trial_logs[trial].attempts)

    def prune(self, trial: int) -> None:
        """Delete the files of an ended trial that are no longer needed.

        Only the best trials keep their weights. Predictions stay, for ensembles; a diverged or
        failed trial keeps its log and what its task has printed.
        """
        trial_log = self.trial_logs[trial]
        if trial_log.outcome in ("diverged", "failed"):
            prune_failed_attempt(self.latest_attempt(trial))
        elif trial_log.outcome:
            prune_attempt(self.latest_attempt(trial), keep_weights=True)
            ranked = self._rank_with(trial_log)
            self.top_trials = ranked[:KEPT_WEIGHTS]
            top = {log.trial for log in self.top_trials}
            for dropped in {trial_log.trial, *(log.trial for log in ranked)} - top:
                prune_attempt(self.latest_attempt(dropped), keep_weights=False)

    def keeps_weights(self, trial_log: TrialLog) -> bool:
        """Return whether an ended trial is one of the best, whose weights are kept."""
        ranked = self._rank_with(trial_log)[:KEPT_WEIGHTS]
        return trial_log.trial in {log.trial for log in ranked}

    def rank_trials(self, trial_logs: Iterable[TrialLog]) -> list[TrialLog]:
        """Return the trials that may win, best first, as reports do."""
        return rank_trial_logs(trial_logs, self.metric, self.mode)

    def best_report(self, trial_log: TrialLog) -> tuple[float, int] | None:
        """Return a trial's best score and its report; None before a finite one."""
        return trial_log.find_best_report(self.metric, self.mode)

    def close(self) -> None:
        """Release the lock, so that another driver may take the search over."""
        self.lock.release()

    def _rank_with(self, trial_log: TrialLog) -> list[TrialLog]:
        others = (log for log in self.top_trials if log.trial != trial_log.trial)
        ranked = self.rank_trials([*others, trial_log])
        # Of a confirmation the best re-run of every configuration comes first: its mean, which
        # is known at the end, decides which of them is the winner and has the model.
        best = {log.tags.get("of"): log.trial for log in reversed(ranked)}
        return sorted(ranked, key=lambda log: best[log.tags.get("of")] != log.trial)

    def _append(self, trial: int, event: Mapping[str, Any]) -> TrialLog:
        # Written first: what the driver knows of a trial is never more than its file has.
        event = {"time": self._clock(), **event}
        append_event(log_path(self.folder, trial), event)
        trial_log = self.trial_logs[trial] = apply_event(self.trial_logs.get(trial), event)
        return trial_log


def create_ledger(storage: Path, settings: SearchSettings) -> Ledger:
    """Create the next free folder `name`, `name-2`, ... of a space and lock it.

    Other processes see a search there as soon as its settings are written.
    """
    name = settings.space
    number = max((n for n, _ in list_searches(storage, name)), default=0) + 1
    folder = storage / (name if number == 1 else f"{name}-{number}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(
            f"another process has just started the search in {folder}\n"
            "wait for it, or start another search beside it with --fresh"
        ) from None
    lock = acquire_lock(folder)
    own_id = f"{folder.name}-{uuid.uuid4().hex[:8]}"
    return Ledger(folder, replace(settings, id=own_id, started=time.time()), lock)


def attach_ledger(folder: Path, settings: SearchSettings) -> Ledger:
    """Open a ledger inside a search's folder and write these settings there."""
    folder.mkdir(exist_ok=True)
    lock = acquire_lock(folder)
    write_settings(folder, settings)
    return Ledger(folder, settings, lock)


def reopen_ledger(folder: Path, allow_damage: bool = False) -> Ledger:
    """Open an existing search; raises UserError where another driver has it.

    Raises DamagedFileError where a log is damaged or missing, unless that is allowed: the caller
    then begins these trials again.
    """
    lock = acquire_lock(folder)
    try:
        settings = read_settings(folder)
        check_folder(folder, settings)
        ledger = Ledger(folder, settings, lock)
        if ledger.damaged and not allow_damage:
            raise DamagedFileError(
                "\n".join(ledger.damaged.values())
                + "\nrestore it, or continue the search with --resume, which runs the trial again"
            )
        return ledger
    except BaseException:
        lock.release()
        raise


def acquire_lock(folder: Path) -> filelock.FileLock:
    """Lock a search's folder; raises UserError where another driver has it."""
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"another process is running the search in {folder}\n"
            "wait for it, or start another search beside it with --storage"
        ) from None
    return lock
