import time
from collections.abc import Callable, Mapping
from pathlib import Path
from traceback import format_exception_only
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.attempts import LOSSES, RETRIES, Attempts
from cluster.ledger import KEPT, Ledger
from cluster.search import Handout, Watcher, kind, said
from cluster.study import Study
from searchspaces import SearchSpace
from trainables.errors import PreemptedError, UserError

Open = Callable[[Ledger, SearchSpace[Any]], Study]


def result(*losses: float) -> Mapping[str, Any]:
    history = [
        {"report": n, "seconds": 1.0, "metrics": {"loss": loss}}
        for n, loss in enumerate(losses, 1)
    ]
    return {"history": history, "facts": {}, "place": "node/cpu"}


@pytest.fixture
def attempts(begin: Callable[..., Ledger], open_study: Open, space: SearchSpace[Any]) -> Attempts:
    ledger = begin(trials=2)
    return Attempts(ledger, open_study(ledger, space), trials=2)


def test_a_failing_trial_is_tried_again_and_then_failed(attempts: Attempts) -> None:
    for number in range(1, RETRIES + 2):
        attempt = attempts.next()
        assert (attempt.trial, attempt.attempt, attempt.alone) == (0, number, False)
        assert not attempts.ledger.stories[0].outcome
        attempts.failed(0, "failed", f"Traceback {number}")
    story = attempts.ledger.stories[0]
    assert (story.outcome, story.errors[-1]["error"]) == ("failed", "Traceback 3")
    assert attempts.study.study.trials[0].state.name == "FAIL"
    assert attempts.next().trial == 1
    assert attempts.finished
    assert not attempts.ledger.finished
    attempts.ended(1, "complete")
    assert attempts.ledger.finished


def test_out_of_memory_is_tried_again_alone(attempts: Attempts) -> None:
    attempts.next()
    attempts.failed(0, "memory", "OutOfMemoryError")
    again = attempts.next()
    assert (again.trial, again.alone) == (0, True)
    attempts.failed(0, "failed", "RuntimeError")
    assert not attempts.next().alone


def test_lost_workers_are_not_the_trials_fault(attempts: Attempts) -> None:
    attempts.next()
    for _ in range(LOSSES):
        attempts.failed(0, "lost", "The actor died because its node has died")
        assert attempts.next().trial == 0
    for _ in range(RETRIES):
        attempts.failed(0, "failed", "")
        assert attempts.next().trial == 0
    attempts.failed(0, "lost", "")
    assert attempts.ledger.stories[0].outcome == "failed"


def test_a_resumed_search_begins_with_what_was_left_unfinished(
    attempts: Attempts,
    reopen: Callable[[Ledger], Ledger],
    open_study: Open,
    space: SearchSpace[Any],
) -> None:
    attempts.next()
    attempts.next()
    attempts.heard(1, result(0.5))
    attempts.ended(0, "complete")
    ledger = reopen(attempts.ledger)
    again = Attempts(ledger, open_study(ledger, space), trials=3)
    attempt = again.next()
    assert (attempt.trial, attempt.attempt) == (1, 2)
    again.heard(1, result(0.5, 0.4))
    assert [r.metrics["loss"] for r in ledger.stories[1].reports] == [0.5, 0.4]
    assert again.next().trial == 2
    assert again.finished


def test_the_time_budget_ends_live_trials_and_hands_out_nothing(
    begin: Callable[..., Ledger], open_study: Open, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    attempts = Attempts(ledger, open_study(ledger, space), 4, deadline=time.time() + 3600)
    attempts.next()
    assert not attempts.heard(0, result(0.5))
    attempts.deadline = time.time() - 1
    assert attempts.finished
    assert attempts.heard(0, result(0.5, 0.4))
    attempts.ended(0, None)
    assert (ledger.stories[0].outcome, ledger.stories[0].reason) == ("stopped", "time budget")
    assert not ledger.finished


def test_what_cannot_be_written_is_not_remembered_either(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts.next()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.story.append", full)
    for write in (
        lambda: attempts.heard(0, result(0.5)),
        lambda: attempts.ended(0, "complete"),
        lambda: attempts.next(),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    story = attempts.ledger.stories[0]
    assert (story.reports, story.outcome) == ([], None)
    assert set(attempts.ledger.stories) == {0}


TASK_ERROR = """ray::Trial.train() (pid=1, ip=192.0.2.2)
  File "trainables/trainable.py", line 60, in step
    except torch.OutOfMemoryError: raise node_died  # No space left on device
{}"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TASK_ERROR.format("RuntimeError: the node was terminated"), "failed"),
        (TASK_ERROR.format("torch.OutOfMemoryError: CUDA out of memory. Tried"), "memory"),
        (TASK_ERROR.format("RuntimeError: CUDA error: out of memory"), "memory"),
        (TASK_ERROR.format("MemoryError"), "memory"),
        (TASK_ERROR.format(*format_exception_only(PreemptedError("put down"))), "lost"),
        (
            "The actor died unexpectedly before finishing this task.\n\tpid: 7\nThe actor is dead "
            "because its worker process has died. Worker exit type: SYSTEM_ERROR. Some common "
            "causes include: (1) the process was killed by the OOM killer due to high memory "
            "usage, (2) ray stop --force was called. Consider isolation to prevent node deaths",
            "failed",
        ),
        (
            "The actor died unexpectedly before finishing this task.\nThe actor is dead because "
            "its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
            "Worker exits with an exit code 1. The process receives a SIGTERM.",
            "lost",
        ),
        (
            "The actor died unexpectedly before finishing this task.\nThe actor died because its "
            "node has died. Node Id: 12\n\tthe actor's node was terminated unexpectedly",
            "lost",
        ),
        (
            "The actor died unexpectedly before finishing this task.\n\tactor_id: 12\nThe actor "
            "never ran - it was cancelled before it started running.",
            "lost",
        ),
        (
            "The actor 12 is unavailable: The actor is temporarily unavailable: RpcError: RPC "
            "error: Socket closed rpc_code: 14. The task may or may not have been executed.",
            "lost",
        ),
        (
            "The actor died unexpectedly before finishing this task.\nTask was killed due to the "
            "node running low on memory.",
            "memory",
        ),
    ],
)
def test_an_error_is_sorted_by_its_words_not_by_the_code_it_shows(
    text: str, expected: str
) -> None:
    assert kind(text) == expected
    assert "No space left" not in said(text)


def test_what_waits_for_a_machine_when_time_is_up_is_left_for_a_resume(
    attempts: Attempts,
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
    stories = attempts.ledger.stories
    assert [stories[0].outcome, stories[1].outcome] == ["stopped", None]


@pytest.mark.parametrize(("last", "outcome"), [(0.25, "complete"), (float("nan"), "diverged")])
def test_a_trial_that_lacks_its_outcome_alone_is_not_run_again(
    begin: Callable[..., Ledger],
    open_study: Open,
    space: SearchSpace[Any],
    last: float,
    outcome: str,
) -> None:
    ledger = begin(trials=1)
    attempts = Attempts(ledger, open_study(ledger, space), trials=1)
    assert attempts.next() is not None
    losses = [0.5] * (ledger.settings["reports"] - 1)
    attempts.heard(0, result(*losses, last))
    again = Attempts(ledger, attempts.study, trials=1)
    assert ledger.stories[0].outcome == outcome
    assert again.finished


def test_a_machine_that_does_not_see_the_storage_ends_the_search(
    attempts: Attempts, tmp_path: Path
) -> None:
    """Every trial that it took would fail, one after the other."""
    handout = Handout(attempts, lambda: 1)
    assert handout.suggest("ray-1")
    error = tmp_path / "error.txt"
    error.write_text(
        "Failure # 1\nray::ResourceTrainable.train()\n"
        "trainables.trainable.BlindError: node-7 does not see the storage /nfs/runs\n"
    )
    watcher = Watcher(attempts, handout, lambda: None)
    watcher.on_trial_error(1, [], SimpleNamespace(error_file=error, trial_id="ray-1"))
    assert "the machine node-7 does not see" in str(attempts.broken)
    assert "--resume" in str(attempts.broken)
    assert attempts.finished
    assert attempts.ledger.stories[0].outcome is None, "it is left for the resume"
    assert not attempts.ledger.stories[0].errors


def test_every_one_of_the_best_trials_keeps_its_weights(
    begin: Callable[..., Ledger], open_study: Open, space: SearchSpace[Any]
) -> None:
    ledger = begin(trials=KEPT + 3)
    attempts = Attempts(ledger, open_study(ledger, space), KEPT + 3)
    for _ in range(KEPT + 3):
        attempt = attempts.next()
        assert attempt is not None
        best = ledger.newest_attempt(attempt.trial) / "best"
        best.mkdir(parents=True)
        (best / "manifest.json").touch()
        attempts.heard(attempt.trial, result(float(attempt.trial)))
        attempts.ended(attempt.trial, "complete")
    have = sorted(int(p.parents[2].name) for p in ledger.folder.glob("trials/*/*/best/*.json"))
    assert have == list(range(KEPT))


def test_attempts_are_nothing_to_pickle(attempts: Attempts) -> None:
    assert attempts.__getstate__() == {}


def test_a_reason_to_stop_lets_live_trials_end(attempts: Attempts) -> None:
    attempts.next()
    attempts.stopped = UserError("no feasible configuration")
    assert attempts.finished
    attempts.ended(0, "complete")
    assert attempts.ledger.stories[0].outcome == "complete"
