"""Early stopping as Ray has it, but told of our trials and their own counts of reports.

Ray's schedulers know attempts; a trial that goes on after a crash would be a new trial in an
empty rung. Here they are told of trials by number, and of everything that the ledger holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from cluster.attempts import Attempts
from searchspaces import SearchSpace
from trainables.errors import UserError

SCHEDULERS = ("asha", "none", "median")
REDUCTION = 3


def rungs(reports: int, grace: int) -> list[int]:
    """Give the reports at which ASHA compares trials (Li et al., 2020)."""
    count = int(math.log(reports / grace) / math.log(REDUCTION) + 1e-9) + 1
    return [rung for k in range(count) if (rung := grace * REDUCTION**k) < reports]


def build(kind: str, space: SearchSpace[Any], reports: int) -> TrialScheduler | None:
    """Build Ray's scheduler over the trial's own count of reports; None where none stops any."""
    grace = min(space.grace, reports)
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
            return None
    raise UserError(f"unknown scheduler {kind!r}; there are: {', '.join(SCHEDULERS)}")


class ByTrial(FIFOScheduler):
    """Asks a Ray scheduler about our trials; `trial_of` translates Ray's trial ids."""

    def __init__(
        self, inner: TrialScheduler, attempts: Attempts, trial_of: Callable[[str], int]
    ) -> None:
        super().__init__()
        self.inner = inner
        self.attempts = attempts
        self.trial_of = trial_of
        self.told: dict[int, tuple[SimpleNamespace, int]] = {}
        for trial in sorted(attempts.ledger.stories):
            self._tell(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide by every report of the trial that was not yet decided on."""
        return self._tell(self.trial_of(trial.trial_id))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Tell the last reports, which end a trial whatever the scheduler says."""
        self._tell(self.trial_of(trial.trial_id))

    def _tell(self, trial: int) -> str:
        stub, heard = self.told.get(trial, (None, 0))
        if stub is None:
            stub = SimpleNamespace(trial_id=f"{trial:05d}")
            self.inner.on_trial_add(None, stub)
        decision: str = TrialScheduler.CONTINUE
        for report in self.attempts.ledger.stories[trial].reports[heard:]:
            said = self.inner.on_trial_result(
                None, stub, {"report": report.report, **report.metrics}
            )
            if said == TrialScheduler.STOP:
                decision = said
        self.told[trial] = (stub, len(self.attempts.ledger.stories[trial].reports))
        return decision
