"""The adapters between Tune's hooks and the queue, called without Tune."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.search import Searcher

from cluster.execution.failures import StorageUnreachableError, describe_error
from cluster.execution.hung_workers import HungWorkers
from cluster.execution.ray_tuner import (
    AttemptCallback,
    ResultRecorder,
    TrialSearcher,
    WatchingScheduler,
)
from cluster.execution.time_limits import TimeLimits
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from tests.support.reports import make_result
from trainables.errors import UserError


def make_ray_trial(tmp_path: Path, error: BaseException, trial_id: str = "ray-1") -> Any:
    """Return a Ray trial that failed with this error in its worker."""
    task = ray.exceptions.RayTaskError("train", "", describe_error(error), "ray", 1, "192.0.2.1")
    file = tmp_path / "error.pkl"
    file.write_bytes(ray.cloudpickle.dumps(task.as_instanceof_cause()))
    return SimpleNamespace(pickled_error_file=file, trial_id=trial_id)


def record_error(searcher: TrialSearcher, ray_trial: Any) -> None:
    queue = searcher.queue
    callback = AttemptCallback(queue, searcher, HungWorkers(queue), lambda: None)
    callback.on_trial_error(1, [], ray_trial)


def test_attempts_are_suggested_up_to_the_concurrency(queue: TrialQueue) -> None:
    searcher = TrialSearcher(queue, lambda: 2)
    first = searcher.suggest("ray-1")
    assert isinstance(first, dict)
    assert first == {
        "config": {"learning_rate": 0.1, "width": 2, "momentum": False, **first["config"]},
        "trial": 0,
        "attempt": 1,
        "exclusive": False,
        "done": 0,
    }
    assert searcher.suggest("ray-2") is not None
    assert searcher.suggest("ray-3") is None
    searcher.on_trial_complete("ray-1", {"outcome": "complete"})
    assert queue.ledger.trial_logs[searcher.trial_of("ray-1")].outcome == "complete"
    assert searcher.suggest("ray-3") is not None


def test_nothing_runs_beside_an_exclusive_attempt(queue: TrialQueue) -> None:
    searcher = TrialSearcher(queue, lambda: 4)
    searcher.suggest("ray-1")
    queue.record_failure(0, Failure("out_of_memory", "OutOfMemoryError", ""))
    again = searcher.suggest("ray-2")
    assert isinstance(again, dict)
    assert again["exclusive"]
    assert searcher.suggest("ray-3") is None


def test_the_searcher_finishes_when_no_attempt_is_left(queue: TrialQueue) -> None:
    searcher = TrialSearcher(queue, lambda: 9)
    for number in range(4):
        searcher.suggest(f"ray-{number}")
    assert searcher.suggest("ray-9") is None
    for number in range(4):
        searcher.on_trial_complete(f"ray-{number}", {"outcome": "complete"})
    assert searcher.suggest("ray-9") == Searcher.FINISHED
    assert queue.ledger.finished


def test_the_stopper_stops_a_trial_by_its_reports_in_the_ledger(
    begin: Callable[..., Ledger], open_study: Callable[..., Study], space: SearchSpace[Any]
) -> None:
    ledger = begin(scheduler="asha", reports=9)
    queue = TrialQueue(ledger, open_study(ledger, space))
    searcher = TrialSearcher(queue, lambda: 9)
    recorder = ResultRecorder(queue, searcher, HungWorkers(queue))
    decisions = []
    for number, loss in enumerate((0.1, 0.2, 0.3)):
        searcher.suggest(f"ray-{number}")
        decisions.append(recorder(f"ray-{number}", make_result(loss)))
    assert decisions == [False, True, True]
    searcher.on_trial_complete("ray-2", {"report": 99})
    assert (ledger.trial_logs[2].outcome, ledger.trial_logs[2].reason) == ("stopped", "scheduler")


def test_a_space_without_feasible_configuration_stops_the_search(
    queue: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise UserError("no feasible configuration")

    monkeypatch.setattr(queue.study, "ask", fail)
    searcher = TrialSearcher(queue, lambda: 1)
    assert searcher.suggest("ray-1") == Searcher.FINISHED
    assert str(queue.stop_error) == "no feasible configuration"


def test_results_are_recorded_until_the_storage_fails(
    queue: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = TrialSearcher(queue, lambda: 1)
    searcher.suggest("ray-1")
    recorder = ResultRecorder(queue, searcher, HungWorkers(queue))
    assert not recorder("ray-1", make_result(0.5))
    assert queue.ledger.trial_logs[0].done == 1

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cluster.ledger.ledger.append_event", fail)
    assert not recorder("ray-1", make_result(0.5, 0.4))
    assert "the search cannot write: [Errno 28] No space left" in str(queue.storage_error)
    assert recorder.stop_all()
    assert queue.ledger.trial_logs[0].done == 1


def test_a_failed_attempt_is_recorded_with_its_class_and_retried(
    queue: TrialQueue, tmp_path: Path
) -> None:
    searcher = TrialSearcher(queue, lambda: 1)
    searcher.suggest("ray-1")
    record_error(searcher, make_ray_trial(tmp_path, MemoryError("too much")))
    assert [f.failure_class for f in queue.ledger.trial_logs[0].failures] == ["out_of_memory"]
    assert searcher.suggest("ray-2") is not None


def test_an_error_that_ray_could_not_pickle_is_recorded(queue: TrialQueue, tmp_path: Path) -> None:
    searcher = TrialSearcher(queue, lambda: 1)
    searcher.suggest("ray-1")
    file = tmp_path / "error.txt"
    file.write_text("Failure # 1 (occurred at ...)\nTraceback ...\nRuntimeError: on purpose\n")
    failed = SimpleNamespace(pickled_error_file=None, error_file=file, trial_id="ray-1")
    record_error(searcher, failed)
    (failure,) = queue.ledger.trial_logs[0].failures
    assert (failure.failure_class, failure.message) == ("failed", "RuntimeError: on purpose")
    assert failure.traceback == "Traceback ...\nRuntimeError: on purpose"


def test_a_machine_that_does_not_see_the_storage_ends_the_search(
    queue: TrialQueue, tmp_path: Path
) -> None:
    """Every trial that it runs would fail, one after the other."""
    searcher = TrialSearcher(queue, lambda: 1)
    assert searcher.suggest("ray-1")
    message = "the machine node-7 does not see the storage /nfs/runs"
    record_error(searcher, make_ray_trial(tmp_path, StorageUnreachableError(message)))
    assert "the machine node-7 does not see" in str(queue.storage_error)
    assert "--resume" in str(queue.storage_error)
    assert queue.finished
    assert queue.ledger.trial_logs[0].outcome is None, "it is left for the resume"
    assert not queue.ledger.trial_logs[0].failures


def test_a_full_disk_of_a_worker_ends_the_search(queue: TrialQueue, tmp_path: Path) -> None:
    searcher = TrialSearcher(queue, lambda: 1)
    searcher.suggest("ray-1")
    full = OSError(errno.ENOSPC, "No space left on device")
    record_error(searcher, make_ray_trial(tmp_path, full))
    assert "No space left on device (trial 0)" in str(queue.storage_error)
    assert not queue.ledger.trial_logs[0].failures


def test_the_display_is_refreshed_and_nothing_is_pickled(queue: TrialQueue) -> None:
    steps: list[None] = []
    searcher = TrialSearcher(queue, lambda: 1)
    hung = HungWorkers(queue)
    callback = AttemptCallback(queue, searcher, hung, lambda: steps.append(None))
    callback.on_step_end(1, [])
    assert len(steps) == 1
    assert callback.__getstate__() == {}


def test_an_attempt_whose_worker_was_killed_is_told_why(
    queue: TrialQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ray.kill", lambda actor: None)
    searcher, hung = TrialSearcher(queue, lambda: 9), HungWorkers(queue)
    scheduler = WatchingScheduler(searcher.trial_of, hung)
    assert scheduler.__getstate__() == {}
    callback = AttemptCallback(queue, searcher, hung, lambda: None)
    ray_trial = make_ray_trial(tmp_path, ValueError("an actor died"))
    ray_trial.temporary_state = SimpleNamespace(ray_actor="actor")
    searcher.suggest(ray_trial.trial_id)
    scheduler.on_trial_add(None, ray_trial)
    queue.limits = TimeLimits(attempt=0.0)
    callback.on_trial_start(1, [], ray_trial)
    callback.on_step_end(1, [])
    callback.on_trial_error(1, [], ray_trial)
    (failure,) = queue.ledger.trial_logs[0].failures
    assert failure.failure_class == "timeout"


def test_what_runs_when_the_time_budget_ends_is_killed_and_stopped(
    queue: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[Any] = []
    monkeypatch.setattr("ray.kill", killed.append)
    searcher, hung = TrialSearcher(queue, lambda: 1), HungWorkers(queue)
    searcher.suggest("ray-1")
    hung.add(0, SimpleNamespace(temporary_state=SimpleNamespace(ray_actor="actor")))
    recorder = ResultRecorder(queue, searcher, hung)
    recorder("ray-1", make_result(0.5))
    assert not recorder.stop_all()
    queue.limits = TimeLimits(deadline=0.0)
    assert recorder.stop_all()
    assert killed == ["actor"]
    assert queue.ledger.trial_logs[0].outcome == "stopped"
