"""Early stopping: Ray's schedulers, asked about our trials instead of Ray's.

A trial of ours may be several Ray trials (attempts), and a resumed search starts with a new Tuner:
decisions go by the reports in the ledger, whoever made them.
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
from cluster.sampling.schedulers import REDUCTION, SCHEDULERS
from searchspaces.space import SearchSpace
from trainables.errors import UserError


def build_scheduler(name: str, space: SearchSpace[Any], reports: int) -> TrialScheduler:
    """Return Ray's scheduler of that name over the trial's own count of reports."""
    min_reports = min(space.min_reports, reports)
    match name:
        case "asha":
            return AsyncHyperBandScheduler(
                time_attr="report",
                metric=space.metric,
                mode=space.mode,
                max_t=reports,
                grace_period=min_reports,
                reduction_factor=REDUCTION,
                stop_last_trials=False,
            )
        case "median":
            return MedianStoppingRule(
                time_attr="report",
                metric=space.metric,
                mode=space.mode,
                grace_period=min_reports,
                min_time_slice=math.inf,  # never pauses
            )
        case "none":
            return FIFOScheduler()
    raise UserError(f"unknown scheduler {name!r}: choose one of {', '.join(SCHEDULERS)}")


@dataclass(frozen=True)
class TrialId:
    """All that Ray's schedulers read of a trial."""

    trial_id: str


class LedgerScheduler(FIFOScheduler):
    """Asks a Ray scheduler about our trials; `trial_of` maps Ray's trial ids to them.

    It starts by replaying the reports of the ledger, in the order in which they arrived. Trials
    of the control group are evaluated like all others, and continue whatever the decision.
    """

    def __init__(
        self, inner: TrialScheduler, queue: TrialQueue, trial_of: Callable[[str], int]
    ) -> None:
        super().__init__()
        self.inner = inner
        self.queue = queue  # and not its ledger: Tune pickles its scheduler
        self.trial_of = trial_of
        self.replayed: dict[int, int] = {}
        self.stopped: set[int] = set()
        arrived = [
            (report.time, trial, report)
            for trial, trial_log in self.queue.ledger.trial_logs.items()
            for report in trial_log.reports
        ]
        for _, trial, report in sorted(arrived, key=lambda entry: entry[:2]):
            self._decide(trial, report)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Leave the choice to Tune, which gives a free worker to a new trial.

        FIFOScheduler gives it to the oldest waiting trial and kills the worker that starts for
        that one; where trials are shorter than a worker's start, no worker ever came up.
        """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return the decision after all reports of the trial that were not yet evaluated."""
        return self._evaluate(self.trial_of(trial.trial_id))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Pass the last reports to the scheduler: later trials are compared with them."""
        self._evaluate(self.trial_of(trial.trial_id))

    def _evaluate(self, trial: int) -> str:
        trial_log = self.queue.ledger.trial_logs[trial]
        for report in trial_log.reports[self.replayed.get(trial, 0) :]:
            self._decide(trial, report)
        stop = trial in self.stopped and "control" not in trial_log.tags
        decision: str = TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
        return decision

    def _decide(self, trial: int, report: Report) -> None:
        ray_trial = TrialId(f"{trial:05d}")
        if trial not in self.replayed:
            self.inner.on_trial_add(None, ray_trial)
        self.replayed[trial] = self.replayed.get(trial, 0) + 1
        if trial not in self.stopped:  # the median rule fails when asked again about one
            result = {"report": report.report, **report.metrics}
            if self.inner.on_trial_result(None, ray_trial, result) == TrialScheduler.STOP:
                self.stopped.add(trial)
