import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from cluster.execution.failures import StorageUnreachableError, describe_error
from cluster.execution.ray_tuner import ErrorCallback, TrialSearcher
from cluster.execution.trial_queue import LOSSES, RETRIES, TrialQueue
from cluster.ledger.ledger import KEPT_WEIGHTS, Ledger
from cluster.ledger.trial_log import Failure
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Open = Callable[[Ledger, SearchSpace[Any]], Study]


def result(*losses: float) -> Mapping[str, Any]:
    history = [
        {"report": n, "seconds": 1.0, "metrics": {"loss": loss}}
        for n, loss in enumerate(losses, 1)
    ]
    return {"history": history, "facts": {}, "place": "node/cpu"}


@pytest.fixture
def attempts(
    begin: Callable[..., Ledger], open_study: Open, space: SearchSpace[Any]
) -> TrialQueue:
    ledger = begin(trials=2)
    return TrialQueue(ledger, open_study(ledger, space), trials=2)


def test_a_failing_trial_is_tried_again_and_then_failed(attempts: TrialQueue) -> None:
    for number in range(1, RETRIES + 2):
        attempt = attempts.next()
        assert (attempt.trial, attempt.attempt, attempt.alone) == (0, number, False)
        assert not attempts.ledger.trial_logs[0].outcome
        attempts.failed(0, Failure("failed", "", f"Traceback {number}"))
    trial_log = attempts.ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.failures[-1].traceback) == ("failed", "Traceback 3")
    assert attempts.study.study.trials[0].state.name == "FAIL"
    assert attempts.next().trial == 1
    assert attempts.finished
    assert not attempts.ledger.finished
    attempts.ended(1, "complete")
    assert attempts.ledger.finished


def test_out_of_memory_is_tried_again_alone(attempts: TrialQueue) -> None:
    attempts.next()
    attempts.failed(0, Failure("out_of_memory", "OutOfMemoryError", ""))
    again = attempts.next()
    assert (again.trial, again.alone) == (0, True)
    attempts.failed(0, Failure("failed", "RuntimeError", ""))
    assert not attempts.next().alone


def test_lost_workers_are_not_the_trials_fault(attempts: TrialQueue) -> None:
    attempts.next()
    for _ in range(LOSSES):
        attempts.failed(0, Failure("lost", "The actor died because its node has died", ""))
        assert attempts.next().trial == 0
    for _ in range(RETRIES):
        attempts.failed(0, Failure("failed", "", ""))
        assert attempts.next().trial == 0
    attempts.failed(0, Failure("lost", "", ""))
    assert attempts.ledger.trial_logs[0].outcome == "failed"


def test_a_resumed_search_begins_with_what_was_left_unfinished(
    attempts: TrialQueue,
    reopen: Callable[[Ledger], Ledger],
    open_study: Open,
    space: SearchSpace[Any],
) -> None:
    attempts.next()
    attempts.next()
    attempts.heard(1, result(0.5))
    attempts.ended(0, "complete")
    ledger = reopen(attempts.ledger)
    again = TrialQueue(ledger, open_study(ledger, space), trials=3)
    attempt = again.next()
    assert (attempt.trial, attempt.attempt) == (1, 2)
    again.heard(1, result(0.5, 0.4))
    assert [r.metrics["loss"] for r in ledger.trial_logs[1].reports] == [0.5, 0.4]
    assert again.next().trial == 2
    assert again.finished


def test_the_time_budget_ends_live_trials_and_hands_out_nothing(
    begin: Callable[..., Ledger], open_study: Open, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    attempts = TrialQueue(ledger, open_study(ledger, space), 4, deadline=time.time() + 3600)
    attempts.next()
    assert not attempts.heard(0, result(0.5))
    attempts.deadline = time.time() - 1
    assert attempts.finished
    assert attempts.heard(0, result(0.5, 0.4))
    attempts.ended(0, None)
    assert (ledger.trial_logs[0].outcome, ledger.trial_logs[0].reason) == (
        "stopped",
        "time budget",
    )
    assert not ledger.finished


def test_what_cannot_be_written_is_not_remembered_either(
    attempts: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts.next()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.ledger.trial_log.append_event", full)
    for write in (
        lambda: attempts.heard(0, result(0.5)),
        lambda: attempts.ended(0, "complete"),
        lambda: attempts.next(),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    trial_log = attempts.ledger.trial_logs[0]
    assert (trial_log.reports, trial_log.outcome) == ([], None)
    assert set(attempts.ledger.trial_logs) == {0}


def test_what_waits_for_a_machine_when_time_is_up_is_left_for_a_resume(
    attempts: TrialQueue,
) -> None:
    assert attempts.next() is not None
    assert attempts.next() is not None
    assert not attempts.over
    attempts.heard(0, result(0.5))
    attempts.deadline = 0.0
    assert not attempts.over, "trial 0 runs, and is stopped at its next report"
    attempts.ended(0, None)
    assert attempts.over
    attempts.ended(1, None)
    trial_logs = attempts.ledger.trial_logs
    assert [trial_logs[0].outcome, trial_logs[1].outcome] == ["stopped", None]


@pytest.mark.parametrize(("last", "outcome"), [(0.25, "complete"), (float("nan"), "diverged")])
def test_a_trial_that_lacks_its_outcome_alone_is_not_run_again(
    begin: Callable[..., Ledger],
    open_study: Open,
    space: SearchSpace[Any],
    last: float,
    outcome: str,
) -> None:
    ledger = begin(trials=1)
    attempts = TrialQueue(ledger, open_study(ledger, space), trials=1)
    assert attempts.next() is not None
    losses = [0.5] * (ledger.settings["reports"] - 1)
    attempts.heard(0, result(*losses, last))
    again = TrialQueue(ledger, attempts.study, trials=1)
    assert ledger.trial_logs[0].outcome == outcome
    assert again.finished


def test_a_machine_that_does_not_see_the_storage_ends_the_search(
    attempts: TrialQueue, tmp_path: Path
) -> None:
    """Every trial that it took would fail, one after the other."""
    handout = TrialSearcher(attempts, lambda: 1)
    assert handout.suggest("ray-1")
    error = tmp_path / "error.pkl"
    blind = describe_error(StorageUnreachableError("node-7 does not see the storage /nfs/runs"))
    task = ray.exceptions.RayTaskError("train", "", blind, "ray", 1, "192.0.2.1")
    error.write_bytes(ray.cloudpickle.dumps(task.as_instanceof_cause()))
    watcher = ErrorCallback(attempts, handout, lambda: None)
    watcher.on_trial_error(1, [], SimpleNamespace(pickled_error_file=error, trial_id="ray-1"))
    assert "the machine node-7 does not see" in str(attempts.broken)
    assert "--resume" in str(attempts.broken)
    assert attempts.finished
    assert attempts.ledger.trial_logs[0].outcome is None, "it is left for the resume"
    assert not attempts.ledger.trial_logs[0].failures


def test_every_one_of_the_best_trials_keeps_its_weights(
    begin: Callable[..., Ledger], open_study: Open, space: SearchSpace[Any]
) -> None:
    ledger = begin(trials=KEPT_WEIGHTS + 3)
    attempts = TrialQueue(ledger, open_study(ledger, space), KEPT_WEIGHTS + 3)
    for _ in range(KEPT_WEIGHTS + 3):
        attempt = attempts.next()
        assert attempt is not None
        best = ledger.latest_attempt(attempt.trial) / "best"
        best.mkdir(parents=True)
        (best / "manifest.json").touch()
        attempts.heard(attempt.trial, result(float(attempt.trial)))
        attempts.ended(attempt.trial, "complete")
    have = sorted(int(p.parents[2].name) for p in ledger.folder.glob("trials/*/*/best/*.json"))
    assert have == list(range(KEPT_WEIGHTS))


def test_attempts_are_nothing_to_pickle(attempts: TrialQueue) -> None:
    assert attempts.__getstate__() == {}


def test_a_reason_to_stop_lets_live_trials_end(attempts: TrialQueue) -> None:
    attempts.next()
    attempts.stopped = UserError("no feasible configuration")
    assert attempts.finished
    attempts.ended(0, "complete")
    assert attempts.ledger.trial_logs[0].outcome == "complete"
