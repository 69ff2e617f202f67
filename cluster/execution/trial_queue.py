"""Which attempt runs next: trials are ours, a Ray trial is only one attempt at one of them.

Plain bookkeeping between ledger and study, without Ray: a failing attempt is retried, one that
ran out of memory with the device to itself, one whose node was lost without being counted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.ledger.ledger import Ledger, write_settings
from cluster.ledger.trial_log import UNCOUNTED, Failure, Outcome
from cluster.sampling.study import Study
from trainables.errors import UserError
from trainables.ranking import is_finite

RETRIES = 2
LOSSES = 20
"""A trial whose workers were lost so often is given up: something kills them."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a trial; `alone` asks for the whole device."""

    trial: int
    attempt: int
    values: Mapping[str, Any]
    alone: bool = False


class TrialQueue:
    """Hands out attempts until the number of trials asked for has an outcome."""

    def __init__(
        self,
        ledger: Ledger,
        study: Study,
        trials: int,
        deadline: float | None = None,
        changed: Callable[[int], None] = lambda trial: None,
    ) -> None:
        self.ledger = ledger
        self.study = study
        self.trials = trials
        self.deadline = deadline
        self.changed = changed
        self.live: dict[int, Attempt] = {}
        self.stopped: UserError | None = None
        """Why nothing more is handed out; what is live goes on."""
        self.broken: UserError | None = None
        """Why nothing more can be written down; what is live is left for a resume."""
        self._again: deque[int] = deque()
        for trial, trial_log in sorted(ledger.trial_logs.items()):
            if trial_log.outcome is None and trial_log.done >= int(ledger.settings["reports"]):
                # The driver ended between the last two lines: all that is left is its outcome.
                self._close(
                    trial,
                    "complete" if is_finite(trial_log.reports[-1].metrics) else "diverged",
                    "",
                )
            elif trial_log.outcome is None:
                self._again.append(trial)

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune, which pickles whatever it is handed, nothing: the ledger is the state."""
        return {}

    @property
    def late(self) -> bool:
        """Tell whether the time budget is spent."""
        return self.deadline is not None and time.time() > self.deadline

    @property
    def over(self) -> bool:
        """Tell whether to end at once: nothing can be written, or time is up and nothing heard of.

        What waits for a machine would, with the time spent, make one report and be stopped.
        """
        waiting = self.late and not any(map(self._heard_of, self.live))
        return self.broken is not None or (waiting and bool(self.live))

    @property
    def finished(self) -> bool:
        """Tell whether nothing is left to hand out; attempts may still be live."""
        spent = self.late or self.stopped is not None or self.broken is not None
        return spent or (not self._again and len(self.ledger.trial_logs) >= self.trials)

    def next(self) -> Attempt | None:
        """Give the next attempt: an interrupted or failed trial's, else a new trial's.

        None where a finite space has no more: then its trials are all there are.
        """
        if self._again:
            trial_log = self.ledger.trial_logs[self._again.popleft()]
        else:
            suggestion = self.study.ask()
            if suggestion is None:
                self.trials = self.ledger.settings["trials"] = len(self.ledger.trial_logs)
                write_settings(self.ledger.folder, self.ledger.settings)
                return None
            trial_log = self.ledger.add_trial(
                suggestion.trial, suggestion.values, suggestion.config, suggestion.tags
            )
        alone = (
            bool(trial_log.failures) and trial_log.failures[-1].failure_class == "out_of_memory"
        )
        number = self.ledger.add_attempt(trial_log.trial)
        attempt = Attempt(trial_log.trial, number, trial_log.values, alone)
        self.live[trial_log.trial] = attempt
        self.changed(trial_log.trial)
        return attempt

    def heard(self, trial: int, result: Mapping[str, Any]) -> bool:
        """Write down a result; gives whether the trial must end now, its time being up."""
        if self.ledger.record_reports(
            trial, result["history"], result["facts"], result.get("place", "")
        ):
            self.changed(trial)
        return self.late

    def ended(self, trial: int, outcome: Outcome | None) -> None:
        """Write down an outcome; None says that the driver, not the trial, ended it."""
        self.live.pop(trial, None)
        reason = ""
        if outcome is None and self.late and not self._heard_of(trial):
            return  # it never came to run: a resume begins it
        if outcome is None:
            outcome = "stopped"
            reason = "time budget" if self.late else "scheduler"
        self._close(trial, outcome, reason)

    def failed(self, trial: int, failure: Failure) -> None:
        """Write down a failed attempt, and queue the next unless there were enough."""
        self.live.pop(trial, None)
        self.ledger.record_failure(trial, failure)
        failures = self.ledger.trial_logs[trial].failures
        losses = sum(entry.failure_class in UNCOUNTED for entry in failures)
        if len(failures) - losses > RETRIES or losses > LOSSES:
            self._close(trial, "failed", failure.failure_class.replace("_", " "))
        else:
            self._again.append(trial)
            self.changed(trial)

    def _heard_of(self, trial: int) -> bool:
        spans = self.ledger.trial_logs[trial].spans
        return bool(spans and spans[-1][2])

    def _close(self, trial: int, outcome: Outcome, reason: str) -> None:
        self.ledger.record_outcome(trial, outcome, reason)
        self.study.tell(self.ledger.trial_logs[trial])
        self.ledger.prune(trial)
        self.changed(trial)
