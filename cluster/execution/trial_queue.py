"""Which attempt runs next, for every executor: a trial takes one attempt or several.

Plain bookkeeping between ledger and study, without Ray. A failed attempt is retried; one that ran
out of memory is retried with the whole device; a lost or preempted one does not count; one whose
task breaks its contract is not retried.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cluster.execution.early_stopping import EarlyStopping, build_rule
from cluster.execution.failures import is_final
from cluster.execution.task_output import read_end
from cluster.execution.time_limits import AttemptClock, TimeLimits
from cluster.ledger.files import OUTPUT
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure, Outcome, TrialLog
from cluster.sampling.arm_studies import ArmStudies
from cluster.sampling.study import Study
from trainables.errors import UserError, is_disk_full
from trainables.ranking import describe_divergence


@dataclass(frozen=True)
class Attempt:
    """One attempt at a trial, which has `done` reports; `exclusive` asks for the whole device."""

    trial: int
    attempt: int
    config: Mapping[str, Any]
    exclusive: bool = False
    done: int = 0

    def to_config(self) -> dict[str, Any]:
        """Return what its runner gets."""
        return {
            "config": dict(self.config),
            "trial": self.trial,
            "attempt": self.attempt,
            "exclusive": self.exclusive,
            "done": self.done,
        }


class TrialQueue:
    """Returns attempts until the requested number of trials has an outcome."""

    def __init__(
        self,
        ledger: Ledger,
        study: Study | ArmStudies,
        limits: TimeLimits | None = None,
        on_change: Callable[[int], None] = lambda trial: None,
    ) -> None:
        self.ledger = ledger
        self.study = study
        self.limits = limits or TimeLimits()
        self.on_change = on_change
        self.running: dict[int, Attempt] = {}
        self._clocks: dict[int, AttemptClock] = {}
        self.stop_error: UserError | None = None
        """Why no attempt is started any more; those that run continue."""
        self.storage_error: UserError | None = None
        """Why nothing can be recorded any more; what runs is left for a resume."""
        self.notes: list[str] = []
        """What is to be shown to the user of damaged files, and is not yet."""
        settings = ledger.settings
        build = partial(build_rule, settings.scheduler, study.space, settings.reports)
        self.early_stopping = EarlyStopping(build, ledger, on_change)
        self._waiting: deque[int] = deque()
        for trial, trial_log in sorted(ledger.trial_logs.items()):
            if trial_log.outcome is None and trial_log.done >= ledger.settings.reports:
                # The driver ended between the last report and the outcome.
                self._close(trial, "diverged" if self._find_divergence(trial) else "complete", "")
            elif trial_log.outcome is None and self.early_stopping.stops(trial):
                if not self.early_stopping.pauses(trial):
                    self._close(trial, "stopped", "scheduler")
            elif trial_log.outcome is None:
                self._waiting.append(trial)
        self._close_paused()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing to Tune, which pickles its searcher: the ledger is the state."""
        return {}

    @property
    def trials(self) -> int:
        """Return the number of trials of the search."""
        return self.ledger.settings.trials

    @property
    def out_of_time(self) -> bool:
        """Return whether the time budget is used up."""
        return self.limits.out_of_time

    @property
    def must_end(self) -> bool:
        """Return whether to end at once: nothing can be recorded, or time is up.

        An attempt that waits for a machine would make one report and be stopped; one that runs
        may end the report that it makes, if that takes no longer than BUDGET_GRACE.
        """
        if self.storage_error is not None:
            return True
        late = self.limits.out_of_grace or not any(map(self._has_started, self.running))
        return self.out_of_time and late and bool(self.running)

    @property
    def finished(self) -> bool:
        """Return whether no attempt is left to start; some may still run."""
        if self.out_of_time or self.stop_error is not None or self.storage_error is not None:
            return True
        return not self._waiting and self._all_sampled and self._find_promotable() is None

    def has_room(self, concurrency: int) -> bool:
        """Return whether another attempt may start: none runs beside an exclusive one."""
        exclusive = any(attempt.exclusive for attempt in self.running.values())
        return not self.finished and not exclusive and len(self.running) < concurrency

    def start_attempt(self) -> Attempt | None:
        """Return the next attempt; None where there is none, or where an error ends the search."""
        with recording(self):
            try:
                return self.next_attempt()
            except UserError as error:
                self.stop_error = error
        return None

    def next_attempt(self) -> Attempt | None:
        """Return the next attempt: of an interrupted, failed or paused trial, else of a new one.

        None where a finite space is exhausted: the trials that exist are then all.
        """
        if self._waiting:
            trial_log = self.ledger.trial_logs[self._waiting.popleft()]
        elif (promoted := self._find_promotable()) is not None:
            self.early_stopping.promote(promoted)
            trial_log = self.ledger.trial_logs[promoted]
        else:
            suggestion = self.study.ask()
            if suggestion is None:
                self.ledger.update_settings(trials=len(self.ledger.trial_logs))
                self._close_paused()
                return None
            trial_log = self.ledger.add_trial(
                suggestion.trial, suggestion.parameters, suggestion.config, suggestion.tags
            )
        failures = trial_log.failures
        exclusive = bool(failures) and failures[-1].failure_class == "out_of_memory"
        number = self.ledger.add_attempt(trial_log.trial)
        attempt = Attempt(trial_log.trial, number, trial_log.config, exclusive, trial_log.done)
        self.running[trial_log.trial] = attempt
        self.on_change(trial_log.trial)
        return attempt

    def is_paused(self, trial_log: TrialLog) -> bool:
        """Return whether a trial waits at a rung for others that reach it."""
        if trial_log.outcome is not None or trial_log.trial in {*self.running, *self._waiting}:
            return False
        return self.early_stopping.stops(trial_log.trial)

    def record_start(self, trial: int) -> None:
        """Start the clock of an attempt: it has got its worker."""
        self._clocks[trial] = AttemptClock()

    def list_without_worker(self) -> list[int]:
        """Return the attempts that wait for a worker."""
        return [trial for trial in self.running if trial not in self._clocks]

    def find_timeouts(self) -> dict[int, Failure]:
        """Return the failure of every attempt that takes longer than the user allows."""
        found = {
            trial: clock.find_timeout(self.limits, self.ledger.trial_logs[trial].done + 1)
            for trial, clock in self._clocks.items()
        }
        return {trial: failure for trial, failure in found.items() if failure is not None}

    def find_seconds_left(self, trial: int) -> float | None:
        """Return the seconds that the next report of an attempt may take from now on."""
        self._clocks[trial].restart_report()
        return self._clocks[trial].find_seconds_left(self.limits)

    def record_result(self, trial: int, result: Mapping[str, Any]) -> bool:
        """Record a result and return whether to stop the trial: early, or because time is up."""
        place, notes = result.get("place", ""), result.get("notes", [])
        self.ledger.record_notes(trial, notes)
        self.notes += [f"trial {trial:03d}: {note}" for note in notes]
        if self.ledger.record_reports(trial, result["history"], result["facts"], place):
            self.on_change(trial)
        if trial in self._clocks:
            self._clocks[trial].restart_report()
        return self.early_stopping.stops(trial) or self.out_of_time

    def end_running(self) -> None:
        """Record that the end of the time budget ends what still runs."""
        for trial in list(self.running):
            self.record_end(trial, None)

    def record_end(self, trial: int, outcome: Outcome | None) -> None:
        """Record an outcome; None means that the driver, not the trial, has ended it."""
        self._forget(trial)
        early = outcome is None and self.early_stopping.stops(trial)
        if outcome is None and self.out_of_time and not self._has_started(trial):
            self._waiting.append(trial)  # it never ran: a resume starts it
        elif early and self.early_stopping.pauses(trial):
            self.on_change(trial)
        elif outcome is None:
            reason = "time budget" if self.out_of_time and not early else "scheduler"
            self._close(trial, "stopped", reason)
        else:
            self._close(trial, outcome, "")
        self._close_paused()

    def record_failure(self, trial: int, failure: Failure) -> None:
        """Record a failed attempt, and queue the next one unless there were enough.

        Where the storage failed, the search ends instead, and the attempt is left for a resume.
        """
        if failure.failure_class == "storage_full":
            self.fail_to_write(f"{failure.message} (trial {trial})", is_full=True)
            return
        if failure.failure_class == "storage_unreachable":
            self.storage_error = UserError(
                f"{failure.message}\n"
                "fix that, then continue with the same command and --resume: nothing is lost"
            )
            return
        self._forget(trial)
        if not failure.output:  # of a worker that was killed
            output = read_end(self.ledger.latest_attempt(trial) / OUTPUT)
            failure = replace(failure, output=output)
        self.ledger.record_failure(trial, failure)
        if is_final(self.ledger.trial_logs[trial].failures):
            self._close(trial, "failed", failure.failure_class.replace("_", " "))
        else:
            self._waiting.append(trial)
            self.on_change(trial)
        self._close_paused()

    def fail_to_write(self, why: str, is_full: bool) -> None:
        """End the search: nothing can be recorded any more."""
        fix = "free some space" if is_full else "fix that"
        self.storage_error = UserError(
            f"the search cannot write: {why}\n"
            f"{fix}, then continue with the same command and --resume: nothing is lost"
        )

    @property
    def _all_sampled(self) -> bool:
        return len(self.ledger.trial_logs) >= self.trials

    def _find_promotable(self) -> int | None:
        last = self._all_sampled and not self.running and not self._waiting
        return self.early_stopping.find_promotable(last)

    def _close_paused(self) -> None:
        """Stop the paused trials for good, once none of them will continue."""
        if self.running or not self.finished or self.stop_error or self.storage_error:
            return
        reason = "time budget" if self.out_of_time else "scheduler"
        for trial_log in self.ledger.trial_logs.values():
            if self.is_paused(trial_log):
                self._close(trial_log.trial, "stopped", reason)

    def _forget(self, trial: int) -> None:
        self.running.pop(trial, None)
        self._clocks.pop(trial, None)

    def _has_started(self, trial: int) -> bool:
        spans = self.ledger.trial_logs[trial].spans
        return bool(spans and spans[-1][2])

    def _find_divergence(self, trial: int) -> str:
        reports = self.ledger.trial_logs[trial].reports
        if not reports:
            return ""
        return describe_divergence(reports[-1].metrics, self.ledger.metric, reports[-1].report)

    def _close(self, trial: int, outcome: Outcome, reason: str) -> None:
        if outcome == "diverged":
            reason = self._find_divergence(trial)
        self.ledger.record_outcome(trial, outcome, reason)
        self.study.tell(self.ledger.trial_logs[trial])
        self.ledger.prune(trial)
        self.on_change(trial)


@contextlib.contextmanager
def recording(queue: TrialQueue) -> Iterator[None]:
    """End the search where the ledger cannot be written; used around what records."""
    try:
        yield
    except OSError as error:
        queue.fail_to_write(str(error), is_disk_full(error))
