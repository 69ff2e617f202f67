"""Workers that hang are found, killed once, and the attempt is told why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.execution import hung_workers
from cluster.execution.hung_workers import HungWorkers
from cluster.execution.time_limits import TimeLimits
from cluster.execution.trial_queue import TrialQueue
from tests.support.reports import make_result


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the actors that are killed, instead of killing them."""
    names: list[str] = []
    monkeypatch.setattr("ray.kill", names.append)
    monkeypatch.setattr(hung_workers, "PERIOD", 0.0)
    monkeypatch.setattr(hung_workers, "CLEANUP_LIMIT", 0.0)
    return names


def make_ray_trial(actor: str | None) -> Any:
    return SimpleNamespace(temporary_state=SimpleNamespace(ray_actor=actor))


def test_workers_that_hang_in_a_report_or_at_the_end_of_a_trial_are_killed_once(
    queue: TrialQueue, killed: list[str]
) -> None:
    hung = HungWorkers(queue)
    for actor in ("reports", "closes", None):
        attempt = queue.next_attempt()
        assert attempt is not None
        hung.add(attempt.trial, make_ray_trial(actor))
    queue.record_start(0)
    queue.record_result(0, make_result(0.5))
    hung.kill_hung()
    assert not killed
    hung.kill_hung()
    assert killed == ["closes"]
    queue.limits = TimeLimits(report=0.0)
    for _ in range(3):
        hung.kill_hung()
    assert killed == ["closes", "reports"]
    timeout, lost = hung.pop_failure(0), hung.pop_failure(1)
    assert timeout is not None
    assert timeout.message.startswith("report 2 took longer than --report-timeout 0.0 s")
    assert lost is not None
    assert lost.failure_class == "lost", "the trial itself has done nothing wrong"
    assert "did not end the trial before this one" in lost.message
    assert hung.pop_failure(0) is None
    assert hung.pop_failure(2) is None, "it waits for a machine"


def test_a_new_attempt_is_not_told_of_an_old_failure(queue: TrialQueue, killed: list[str]) -> None:
    hung = HungWorkers(queue)
    queue.next_attempt()
    hung.add(0, make_ray_trial("old"))
    queue.record_start(0)
    queue.limits = TimeLimits(report=0.0)
    hung.kill_hung()
    hung.add(0, make_ray_trial("new"))
    assert hung.pop_failure(0) is None
    hung.kill_running()
    assert killed == ["old", "new"]
