"""Early stopping as Ray has it, but told of our trials and their own counts of reports.

Ray's schedulers know attempts; a trial that goes on after a crash would be a new trial in an
empty rung. Here they are told of trials by number, and of everything that the ledger holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.trial_log import Report
from searchspaces.space import SearchSpace
from trainables.errors import UserError

SCHEDULERS = ("asha", "none", "median")
REDUCTION = 3


def rungs(reports: int, grace: int) -> list[int]:
    """Give the reports at which ASHA compares trials (Li et al., 2020)."""
    count = int(math.log(reports / grace) / math.log(REDUCTION) + 1e-9) + 1
    return [rung for k in range(count) if (rung := grace * REDUCTION**k) < reports]


def build_scheduler(kind: str, space: SearchSpace[Any], reports: int) -> TrialScheduler:
    """Build Ray's scheduler over the trial's own count of reports."""
    grace = min(space.min_reports, reports)
    match kind:
        case "asha":
            return AsyncHyperBandScheduler(
                time_attr="report",
                metric=space.metric,
                mode=space.mode,
                max_t=reports,
                grace_period=grace,
                reduction_factor=REDUCTION,
                stop_last_trials=False,
            )
        case "median":
            return MedianStoppingRule(
                time_attr="report",
                metric=space.metric,
                mode=space.mode,
                grace_period=grace,
                min_time_slice=math.inf,  # never pauses
            )
        case "none":
            return FIFOScheduler()
    raise UserError(f"unknown scheduler {kind!r}; there are: {', '.join(SCHEDULERS)}")


@dataclass(frozen=True)
class Known:
    """All that Ray's schedulers look at of a trial."""

    trial_id: str


class ByTrial(FIFOScheduler):
    """Asks a Ray scheduler about our trials; `trial_of` translates Ray's trial ids.

    It begins by telling all that the ledger holds, in the order in which it was heard. Trials of
    the control group are judged like all others, and go on whatever is said of them.
    """

    def __init__(
        self, inner: TrialScheduler, attempts: TrialQueue, trial_of: Callable[[str], int]
    ) -> None:
        super().__init__()
        self.inner = inner
        self.attempts = attempts
        self.trial_of = trial_of
        self.told: dict[int, int] = {}
        self.stopped: set[int] = set()
        trial_logs = attempts.ledger.trial_logs
        heard = [
            (r.time, trial, r)
            for trial, trial_log in trial_logs.items()
            for r in trial_log.reports
        ]
        for _, trial, report in sorted(heard, key=lambda entry: entry[:2]):
            self._decide(trial, report)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Leave the choice to Tune, which gives a worker that is free to a new trial.

        Were it given to the oldest that waits, as is usual, the worker that is starting for that
        one would be killed; where trials are shorter than a worker's start, none ever came up.
        """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide by every report of the trial that was not yet decided on."""
        return self._tell(self.trial_of(trial.trial_id))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Tell the last reports, which end a trial whatever the scheduler says."""
        self._tell(self.trial_of(trial.trial_id))

    def _tell(self, trial: int) -> str:
        reports = self.attempts.ledger.trial_logs[trial].reports
        for report in reports[self.told.get(trial, 0) :]:
            self._decide(trial, report)
        control = "control" in self.attempts.ledger.trial_logs[trial].tags
        stop = trial in self.stopped and not control
        decision: str = TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
        return decision

    def _decide(self, trial: int, report: Report) -> None:
        known = Known(f"{trial:05d}")
        if trial not in self.told:
            self.inner.on_trial_add(None, known)
        self.told[trial] = self.told.get(trial, 0) + 1
        if trial not in self.stopped:  # the median rule fails when asked about one again
            result = {"report": report.report, **report.metrics}
            if self.inner.on_trial_result(None, known, result) == TrialScheduler.STOP:
                self.stopped.add(trial)
