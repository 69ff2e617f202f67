from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from cluster.execution.early_stopping import SCHEDULERS, ByTrial, build_scheduler, rungs
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Make = Callable[..., ByTrial]


@pytest.fixture
def attempts(
    begin: Callable[..., Ledger],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    space: SearchSpace[Any],
) -> TrialQueue:
    ledger = begin(trials=20)
    return TrialQueue(ledger, open_study(ledger, space), 20)


@pytest.fixture
def scheduler(attempts: TrialQueue, space: SearchSpace[Any]) -> Callable[[str], ByTrial]:
    def make(kind: str) -> ByTrial:
        inner = build_scheduler(kind, space, reports=9)
        assert inner is not None
        return ByTrial(inner, attempts, int)  # Ray's trial id is our number here

    return make


def report(scheduler: ByTrial, attempts: TrialQueue, trial: int, losses: list[float]) -> list[str]:
    """Let a trial report, and give what the scheduler said each time."""
    while trial not in attempts.ledger.trial_logs:
        attempts.next()
    said = []
    first = attempts.ledger.trial_logs[trial].done
    for n, loss in enumerate(losses, first + 1):
        entry = {"report": n, "seconds": 1.0, "metrics": {"loss": loss}}
        attempts.heard(trial, {"history": [entry], "facts": {}})
        said.append(scheduler.on_trial_result(None, SimpleNamespace(trial_id=str(trial)), {}))
    return said


GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


def test_asha_stops_the_worse_two_thirds_at_its_rungs(
    scheduler: Callable[[str], ByTrial], attempts: TrialQueue
) -> None:
    asha = scheduler("asha")
    for trial in range(6):
        assert report(asha, attempts, trial, [0.1 * trial])[0] == (GO if trial == 0 else STOP)
    assert report(asha, attempts, 6, [0.01, 9.0, 9.0, 9.0]) == [GO, GO, GO, GO]
    assert report(asha, attempts, 7, [0.02]) == [GO]
    assert report(asha, attempts, 7, [9.0, 10.0]) == [GO, STOP]


def test_a_resumed_search_has_its_rungs_again(
    scheduler: Callable[[str], ByTrial], attempts: TrialQueue
) -> None:
    asha = scheduler("asha")
    for trial in range(6):
        report(asha, attempts, trial, [0.1 * trial])
    report(asha, attempts, 0, [0.1, 0.1])
    again = scheduler("asha")
    assert report(again, attempts, 6, [0.3]) == [STOP]
    assert report(again, attempts, 7, [0.01]) == [GO]
    # The trial's own count, not one that begins anew with the driver: report 4 is no rung.
    assert report(again, attempts, 0, [99.0]) == [GO]
    assert report(again, attempts, 7, [0.2, 0.3]) == [GO, STOP]


def test_the_median_rule_stops_what_is_worse_than_half(
    scheduler: Callable[[str], ByTrial], attempts: TrialQueue
) -> None:
    median = scheduler("median")
    for _ in range(3):  # side by side: nothing to compare with at first
        for trial, loss in enumerate((0.1, 0.2, 0.3)):
            assert report(median, attempts, trial, [loss]) == [GO]
    assert report(median, attempts, 4, [5.0, 5.0, 5.0]) == [STOP, STOP, STOP]
    assert report(median, attempts, 5, [0.05, 0.05, 0.05]) == [GO, GO, GO]
    again = scheduler("median")
    assert again.stopped == median.stopped == {4}
    assert report(again, attempts, 6, [5.0]) == [STOP]
    assert report(again, attempts, 4, [5.0]) == [STOP]


def test_every_scheduler_is_built_and_no_other(space: SearchSpace[Any]) -> None:
    assert all(build_scheduler(kind, space, 9) for kind in SCHEDULERS)
    with pytest.raises(UserError, match="unknown scheduler 'hyperband'; there are: asha"):
        build_scheduler("hyperband", space, 9)


def test_rungs() -> None:
    assert rungs(9, 1) == [1, 3]
    assert rungs(27, 1) == [1, 3, 9]
    assert rungs(28, 1) == [1, 3, 9, 27]
    assert rungs(10, 2) == [2, 6]
    assert rungs(1, 1) == []
