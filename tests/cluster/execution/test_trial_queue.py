"""Which attempt runs next, and when a trial has its outcome."""

import math
import time
from collections.abc import Callable

import pytest

from cluster.execution.failures import LOSSES, RETRIES
from cluster.execution.time_limits import BUDGET_GRACE, TimeLimits
from cluster.execution.trial_queue import TrialQueue, recording
from cluster.ledger.files import OUTPUT
from cluster.ledger.ledger import KEPT_WEIGHTS, Ledger
from cluster.ledger.trial_log import Failure
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from tests.support.finite_space import suggest_finite
from tests.support.reports import make_result
from trainables.errors import UserError

Begin = Callable[..., Ledger]
Open = Callable[..., Study]
FAILED = Failure("failed", "RuntimeError: on purpose", "Traceback")
LOST = Failure("lost", "The actor died because its node has died", "")


@pytest.fixture
def queue(begin: Begin, open_study: Open, space: SearchSpace) -> TrialQueue:
    ledger = begin(trials=2)
    return TrialQueue(ledger, open_study(ledger, space))


def test_a_failing_trial_is_retried_twice_and_then_fails(queue: TrialQueue) -> None:
    for number in range(1, RETRIES + 2):
        attempt = queue.next_attempt()
        assert (attempt.trial, attempt.attempt, attempt.exclusive) == (0, number, False)
        assert not queue.ledger.trial_logs[0].outcome
        queue.record_failure(0, Failure("failed", "", f"Traceback {number}"))
    trial_log = queue.ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.failures[-1].traceback) == ("failed", "Traceback 3")
    assert queue.study.study.trials[0].state.name == "FAIL"
    assert queue.next_attempt().trial == 1
    assert queue.finished
    assert not queue.ledger.finished
    queue.record_end(1, "complete")
    assert queue.ledger.finished


def test_the_output_of_a_killed_worker_is_kept_with_its_failure(queue: TrialQueue) -> None:
    for text in ("one", "two"):
        attempt = queue.next_attempt()
        assert attempt is not None
        file = queue.ledger.latest_attempt(attempt.trial) / OUTPUT
        file.parent.mkdir()
        file.write_text(f"{text}\nSegmentation fault\n")
        queue.record_failure(attempt.trial, Failure("lost", "", ""))
    failures = queue.ledger.trial_logs[0].failures
    assert [f.output for f in failures] == [f"{n}\nSegmentation fault" for n in ("one", "two")]


def test_a_task_that_breaks_its_contract_is_not_retried(queue: TrialQueue) -> None:
    queue.next_attempt()
    queue.record_failure(0, Failure("task_error", "TaskError: a report lacks 'loss'", ""))
    trial_log = queue.ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.reason) == ("failed", "task error")
    assert (trial_log.attempts, queue.next_attempt().trial) == (1, 1)


def test_a_trial_diverged_by_its_searched_metric_alone(queue: TrialQueue) -> None:
    for _ in range(2):
        queue.next_attempt()
    undefined = make_result(0.5, 0.25)
    undefined["history"][1]["metrics"]["f1"] = math.nan
    queue.record_result(0, undefined)
    queue.record_end(0, "complete")
    queue.record_result(1, make_result(0.5, math.nan))
    queue.record_end(1, "diverged")
    first, second = queue.ledger.trial_logs[0], queue.ledger.trial_logs[1]
    assert (first.outcome, first.reason) == ("complete", "")
    assert queue.ledger.best_report(first) == (0.25, 2)
    assert (second.outcome, second.reason) == ("diverged", "loss is nan at report 2")
    assert [trial.state.name for trial in queue.study.study.trials] == ["COMPLETE", "PRUNED"]


def test_notes_of_a_worker_are_kept_and_shown(queue: TrialQueue) -> None:
    queue.next_attempt()
    queue.record_result(0, {**make_result(0.5), "notes": ["last is damaged"]})
    assert queue.ledger.trial_logs[0].notes == ["last is damaged"]
    assert queue.notes == ["trial 000: last is damaged"]


def test_a_trial_out_of_memory_is_retried_on_a_device_of_its_own(queue: TrialQueue) -> None:
    queue.next_attempt()
    queue.record_failure(0, Failure("out_of_memory", "OutOfMemoryError", ""))
    again = queue.next_attempt()
    assert (again.trial, again.exclusive) == (0, True)
    queue.record_failure(0, FAILED)
    assert not queue.next_attempt().exclusive
    queue.record_failure(0, Failure("out_of_memory", "OutOfMemoryError", ""))
    trial_log = queue.ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.reason) == ("failed", "out of memory")


@pytest.mark.parametrize("failure_class", ["lost", "preempted"])
def test_a_lost_worker_does_not_count_as_a_retry(queue: TrialQueue, failure_class: str) -> None:
    lost = Failure(failure_class, "The actor died because its node has died", "")
    queue.next_attempt()
    for _ in range(LOSSES):
        queue.record_failure(0, lost)
        assert queue.next_attempt().trial == 0
    for _ in range(RETRIES):
        queue.record_failure(0, FAILED)
        assert queue.next_attempt().trial == 0
    queue.record_failure(0, lost)
    assert queue.ledger.trial_logs[0].outcome == "failed"


def test_a_resumed_search_starts_with_the_unfinished_trials(
    queue: TrialQueue, reopen: Callable[[Ledger], Ledger], open_study: Open, space: SearchSpace
) -> None:
    queue.next_attempt()
    queue.next_attempt()
    queue.record_result(1, make_result(0.5))
    queue.record_end(0, "complete")
    ledger = reopen(queue.ledger)
    ledger.update_settings(trials=3)
    resumed = TrialQueue(ledger, open_study(ledger, space))
    attempt = resumed.next_attempt()
    assert (attempt.trial, attempt.attempt) == (1, 2)
    resumed.record_result(1, make_result(0.5, 0.4))
    assert [r.metrics["loss"] for r in ledger.trial_logs[1].reports] == [0.5, 0.4]
    assert resumed.next_attempt().trial == 2
    assert resumed.finished


def end_in(seconds: float) -> TimeLimits:
    """Return a time budget that ends in so many seconds."""
    return TimeLimits(deadline=time.monotonic() + seconds)


def test_the_time_budget_stops_running_trials_and_starts_no_attempt(
    begin: Begin, open_study: Open, space: SearchSpace
) -> None:
    ledger = begin()
    queue = TrialQueue(ledger, open_study(ledger, space), end_in(3600))
    queue.next_attempt()
    assert not queue.record_result(0, make_result(0.5))
    queue.limits = end_in(-1)
    assert queue.finished
    assert queue.record_result(0, make_result(0.5, 0.4))
    queue.record_end(0, None)
    trial_log = ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.reason) == ("stopped", "time budget")
    assert not ledger.finished


def test_a_trial_that_the_scheduler_ended_is_stopped(queue: TrialQueue) -> None:
    queue.next_attempt()
    queue.record_result(0, make_result(0.5))
    queue.record_end(0, None)
    trial_log = queue.ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.reason) == ("stopped", "scheduler")


def test_an_event_that_cannot_be_written_is_not_remembered(
    queue: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.next_attempt()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.ledger.ledger.append_event", fail)
    for write in (
        lambda: queue.record_result(0, make_result(0.5)),
        lambda: queue.record_end(0, "complete"),
        lambda: queue.next_attempt(),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    trial_log = queue.ledger.trial_logs[0]
    assert (trial_log.reports, trial_log.outcome) == ([], None)
    assert set(queue.ledger.trial_logs) == {0}


@pytest.mark.parametrize(
    ("number", "fix"), [(28, "free some space"), (122, "free some space"), (2, "fix that")]
)
def test_only_a_full_disk_needs_space(queue: TrialQueue, number: int, fix: str) -> None:
    with recording(queue):
        raise OSError(number, "no", "/storage/search.json")
    assert f"/storage/search.json'\n{fix}, then" in str(queue.storage_error)
    queue.next_attempt()
    with recording(queue):
        queue.record_failure(0, Failure("storage_full", "OSError: no space", ""))
    assert "OSError: no space (trial 0)\nfree some space" in str(queue.storage_error)


def test_an_attempt_that_waits_for_a_machine_when_time_is_up_is_left_for_a_resume(
    queue: TrialQueue,
) -> None:
    assert queue.next_attempt() is not None
    assert queue.next_attempt() is not None
    assert not queue.must_end
    queue.record_result(0, make_result(0.5))
    queue.limits = end_in(-1)
    assert not queue.must_end, "trial 0 runs, and is stopped at its next report"
    queue.record_end(0, None)
    assert queue.must_end
    queue.record_end(1, None)
    trial_logs = queue.ledger.trial_logs
    assert [trial_logs[0].outcome, trial_logs[1].outcome] == ["stopped", None]


def test_a_report_that_is_late_after_the_time_budget_ends_with_the_search(
    queue: TrialQueue,
) -> None:
    for trial in range(3):
        queue.next_attempt()
        queue.record_start(trial)
    queue.record_result(0, make_result(0.5))
    queue.limits = end_in(-1 - BUDGET_GRACE)
    assert queue.must_end
    queue.end_running()
    assert not queue.running
    assert not queue.must_end
    outcomes = [(log.outcome, log.reason) for log in queue.ledger.trial_logs.values()]
    assert outcomes == [("stopped", "time budget"), (None, ""), (None, "")]


def test_a_clock_that_is_set_forward_or_back_changes_no_limit(
    begin: Begin, open_study: Open, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = begin()
    limits = TimeLimits(3600.0, 3600.0, time.monotonic() + 3600)
    queue = TrialQueue(ledger, open_study(ledger, space), limits)
    queue.next_attempt()
    queue.record_start(0)
    for now in (0.0, 1e12):
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert not queue.out_of_time
        assert not queue.finished
        assert not queue.find_timeouts()


def test_an_attempt_over_a_limit_is_retried_as_after_an_error(
    begin: Begin, open_study: Open, space: SearchSpace
) -> None:
    ledger = begin()
    queue = TrialQueue(ledger, open_study(ledger, space), TimeLimits(report=0.0))
    queue.next_attempt()
    assert queue.list_without_worker() == [0]
    assert not queue.find_timeouts(), "it waits for a machine"
    queue.record_start(0)
    assert queue.list_without_worker() == []
    queue.record_result(0, make_result(0.5))
    for _ in range(3):
        queue.record_start(0)
        (failure,) = queue.find_timeouts().values()
        assert failure.failure_class == "timeout"
        assert failure.message.startswith("report 2 took longer than --report-timeout 0.0 s")
        queue.record_failure(0, failure)
        assert not queue.find_timeouts()
        queue.next_attempt()
    trial_log = ledger.trial_logs[0]
    assert (trial_log.outcome, trial_log.reason) == ("failed", "timeout")
    assert len(trial_log.failures) == 3


@pytest.mark.parametrize(("last", "outcome"), [(0.25, "complete"), (float("nan"), "diverged")])
def test_a_trial_that_lacks_only_its_outcome_is_not_run_again(
    begin: Begin, open_study: Open, space: SearchSpace, last: float, outcome: str
) -> None:
    ledger = begin(trials=1)
    queue = TrialQueue(ledger, open_study(ledger, space))
    assert queue.next_attempt() is not None
    losses = [0.5] * (ledger.settings.reports - 1)
    queue.record_result(0, make_result(*losses, last))
    resumed = TrialQueue(ledger, queue.study)
    assert ledger.trial_logs[0].outcome == outcome
    assert resumed.finished


def test_every_one_of_the_best_trials_keeps_its_weights(
    begin: Begin, open_study: Open, space: SearchSpace
) -> None:
    ledger = begin(trials=KEPT_WEIGHTS + 3)
    queue = TrialQueue(ledger, open_study(ledger, space))
    for _ in range(KEPT_WEIGHTS + 3):
        attempt = queue.next_attempt()
        assert attempt is not None
        best = ledger.latest_attempt(attempt.trial) / "best"
        best.mkdir(parents=True)
        (best / "manifest.json").touch()
        queue.record_result(attempt.trial, make_result(float(attempt.trial)))
        queue.record_end(attempt.trial, "complete")
    have = sorted(int(p.parents[2].name) for p in ledger.folder.glob("trials/*/*/best/*.json"))
    assert have == list(range(KEPT_WEIGHTS))


def test_a_finite_space_ends_when_its_feasible_configurations_are_used_up(
    begin: Begin, open_study: Open, change: Callable[..., SearchSpace]
) -> None:
    infeasible = "too wide"
    space = change(suggest=suggest_finite, feasible=lambda c: infeasible if c.width == 3 else None)
    ledger = begin(sampler="grid", trials=9)
    queue = TrialQueue(ledger, open_study(ledger, space))
    started = []
    while not queue.finished:
        if (attempt := queue.next_attempt()) is not None:
            started.append(attempt.config)
            queue.record_end(attempt.trial, "complete")
    assert len(started) == 3
    assert queue.study.infeasible == 1
    assert ledger.finished
    assert ledger.settings.trials == 3


def test_the_queue_pickles_to_nothing(queue: TrialQueue) -> None:
    assert queue.__getstate__() == {}


def test_a_stop_error_lets_running_trials_end(queue: TrialQueue) -> None:
    queue.next_attempt()
    queue.stop_error = UserError("no feasible configuration")
    assert queue.finished
    queue.record_end(0, "complete")
    assert queue.ledger.trial_logs[0].outcome == "complete"


def test_every_change_of_a_trial_is_announced(
    begin: Begin, open_study: Open, space: SearchSpace
) -> None:
    changed: list[int] = []
    ledger = begin(trials=2)
    queue = TrialQueue(ledger, open_study(ledger, space), on_change=changed.append)
    queue.next_attempt()
    assert changed == [0]
    queue.record_result(0, make_result(0.5))
    assert changed == [0, 0]
    queue.record_result(0, make_result(0.5))  # nothing new
    assert changed == [0, 0]
    queue.record_failure(0, LOST)
    queue.next_attempt()
    queue.record_end(0, "complete")
    assert changed == [0] * 5
