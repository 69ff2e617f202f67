"""How long attempts and their reports may take, measured where no task can stop the clock.

The driver measures elapsed time, and kills the worker: a task may hang in a loop, in a C call, in
a pool of processes, or while it ends. A clock that is set forward or back changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster.ledger.trial_log import Failure
from trainables.durations import format_duration

BUDGET_GRACE = 10.0
"""Seconds after the end of the time budget in which a running report may still arrive."""
CLEANUP_LIMIT = 30.0
"""Seconds in which a task must end once its generator is closed."""


@dataclass(frozen=True)
class TimeLimits:
    """The longest time of one report and of one attempt at a trial, in seconds; None: any.

    `deadline` is when the time budget ends, on the clock of `time.monotonic`.
    """

    report: float | None = None
    attempt: float | None = None
    deadline: float | None = None

    @property
    def out_of_time(self) -> bool:
        """Return whether the time budget is used up."""
        return self.deadline is not None and time.monotonic() > self.deadline

    @property
    def out_of_grace(self) -> bool:
        """Return whether reports that were running at the end of the budget are late, too."""
        return self.deadline is not None and time.monotonic() > self.deadline + BUDGET_GRACE


class AttemptClock:
    """When an attempt got its worker, and when its last report came.

    It does not run while the attempt waits for a machine.
    """

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()

    def restart_report(self) -> None:
        """Start the time of the next report."""
        self.last = time.monotonic()

    def find_seconds_left(self, limits: TimeLimits) -> float | None:
        """Return the seconds until the first limit is reached; None without a limit."""
        ends = [
            self.last + limits.report if limits.report is not None else None,
            self.started + limits.attempt if limits.attempt is not None else None,
            limits.deadline + BUDGET_GRACE if limits.deadline is not None else None,
        ]
        known = [end for end in ends if end is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def find_timeout(self, limits: TimeLimits, report: int) -> Failure | None:
        """Return the failure of an attempt that is over a limit; it makes this report."""
        now = time.monotonic()
        if limits.report is not None and now > self.last + limits.report:
            what, option, limit = f"report {report}", "report", limits.report
        elif limits.attempt is not None and now > self.started + limits.attempt:
            what, option, limit = f"the attempt, at report {report},", "trial", limits.attempt
        else:
            return None
        message = (
            f"{what} took longer than --{option}-timeout {format_duration(limit)}: it was ended"
        )
        return Failure("timeout", message, message)
