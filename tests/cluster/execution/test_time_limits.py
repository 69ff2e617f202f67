"""Which limit an attempt is over, and what the message says of it."""

from __future__ import annotations

import time

import pytest

from cluster.execution.time_limits import BUDGET_GRACE, AttemptClock, TimeLimits


def test_without_limits_an_attempt_may_take_any_time() -> None:
    assert AttemptClock().find_timeout(TimeLimits(), report=1) is None
    assert not TimeLimits().out_of_time
    assert not TimeLimits().out_of_grace


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (TimeLimits(report=0.0), "report 7 took longer than --report-timeout 0.0 s"),
        (TimeLimits(attempt=0.0), "the attempt, at report 7, took longer than --trial-timeout"),
        (TimeLimits(report=1e9, attempt=0.0), "the attempt, at report 7, took longer"),
    ],
)
def test_the_message_names_the_limit_and_the_report(limits: TimeLimits, what: str) -> None:
    failure = AttemptClock().find_timeout(limits, report=7)
    assert failure is not None
    assert failure.failure_class == "timeout"
    assert failure.message.startswith(what)
    assert failure.message.endswith("it was ended")


def test_a_report_starts_its_time_again_but_not_that_of_the_attempt() -> None:
    clock = AttemptClock()
    clock.last -= 100
    clock.started -= 100
    assert clock.find_timeout(TimeLimits(report=50), report=2) is not None
    clock.restart_report()
    assert clock.find_timeout(TimeLimits(report=50), report=3) is None
    assert clock.find_timeout(TimeLimits(attempt=50), report=3) is not None


def test_a_running_report_gets_some_time_after_the_end_of_the_budget() -> None:
    limits = TimeLimits(deadline=time.monotonic() - 1)
    assert (limits.out_of_time, limits.out_of_grace) == (True, False)
    limits = TimeLimits(deadline=time.monotonic() - 1 - BUDGET_GRACE)
    assert (limits.out_of_time, limits.out_of_grace) == (True, True)
