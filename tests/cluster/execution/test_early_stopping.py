"""Ray's schedulers over our trials: decisions follow the reports in the ledger."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from cluster.execution.early_stopping import LedgerScheduler, build_scheduler
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.schedulers import SCHEDULERS, rungs
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from tests.support.reports import make_history
from trainables.errors import UserError

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


@pytest.fixture
def queue(
    begin: Callable[..., Ledger],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    space: SearchSpace[Any],
) -> TrialQueue:
    ledger = begin(trials=20)
    return TrialQueue(ledger, open_study(ledger, space))


@pytest.fixture
def scheduler(queue: TrialQueue, space: SearchSpace[Any]) -> Callable[[str], LedgerScheduler]:
    """Return a function that builds a scheduler over the queue, whose Ray ids are our numbers."""

    def make(name: str) -> LedgerScheduler:
        inner = build_scheduler(name, space, reports=9)
        assert inner is not None
        return LedgerScheduler(inner, queue, int)

    return make


def report(
    scheduler: LedgerScheduler, queue: TrialQueue, trial: int, losses: list[float]
) -> list[str]:
    """Record reports of a trial, and return the decision after each."""
    while trial not in queue.ledger.trial_logs:
        queue.next_attempt()
    decisions = []
    first = queue.ledger.trial_logs[trial].done
    for n, loss in enumerate(losses, first + 1):
        entry = {"report": n, "seconds": 1.0, "metrics": {"loss": loss}}
        queue.record_result(trial, {"history": [entry], "facts": {}})
        ray_trial = SimpleNamespace(trial_id=str(trial))
        decisions.append(scheduler.on_trial_result(None, ray_trial, {}))
    return decisions


def test_asha_stops_the_worse_two_thirds_at_its_rungs(
    scheduler: Callable[[str], LedgerScheduler], queue: TrialQueue
) -> None:
    asha = scheduler("asha")
    for trial in range(6):
        expected = CONTINUE if trial == 0 else STOP
        assert report(asha, queue, trial, [0.1 * trial])[0] == expected
    assert report(asha, queue, 6, [0.01, 9.0, 9.0, 9.0]) == [CONTINUE] * 4
    assert report(asha, queue, 7, [0.02]) == [CONTINUE]
    assert report(asha, queue, 7, [9.0, 10.0]) == [CONTINUE, STOP]


def test_a_resumed_search_compares_with_the_reports_before_the_resume(
    scheduler: Callable[[str], LedgerScheduler], queue: TrialQueue
) -> None:
    asha = scheduler("asha")
    for trial in range(6):
        report(asha, queue, trial, [0.1 * trial])
    report(asha, queue, 0, [0.1, 0.1])
    resumed = scheduler("asha")
    assert report(resumed, queue, 6, [0.3]) == [STOP]
    assert report(resumed, queue, 7, [0.01]) == [CONTINUE]
    # The trial's own count, which does not start again with the driver: report 4 is not a rung.
    assert report(resumed, queue, 0, [99.0]) == [CONTINUE]
    assert report(resumed, queue, 7, [0.2, 0.3]) == [CONTINUE, STOP]


def test_the_median_rule_stops_trials_that_are_worse_than_half(
    scheduler: Callable[[str], LedgerScheduler], queue: TrialQueue
) -> None:
    median = scheduler("median")
    for _ in range(3):  # in parallel: nothing to compare with at first
        for trial, loss in enumerate((0.1, 0.2, 0.3)):
            assert report(median, queue, trial, [loss]) == [CONTINUE]
    assert report(median, queue, 4, [5.0, 5.0, 5.0]) == [STOP, STOP, STOP]
    assert report(median, queue, 5, [0.05, 0.05, 0.05]) == [CONTINUE] * 3
    resumed = scheduler("median")
    assert resumed.stopped == median.stopped == {4}
    assert report(resumed, queue, 6, [5.0]) == [STOP]
    assert report(resumed, queue, 4, [5.0]) == [STOP]


def test_every_scheduler_is_built_and_an_unknown_one_rejected(space: SearchSpace[Any]) -> None:
    assert all(build_scheduler(name, space, 9) for name in SCHEDULERS)
    with pytest.raises(UserError, match="unknown scheduler 'hyperband': choose one of asha"):
        build_scheduler("hyperband", space, 9)


@pytest.mark.parametrize(("min_reports", "reports"), [(1, 9), (1, 27), (2, 10), (5, 3)])
def test_rays_asha_compares_at_our_rungs(
    space: SearchSpace[Any], min_reports: int, reports: int
) -> None:
    asha = build_scheduler("asha", replace(space, min_reports=min_reports), reports)
    milestones = [rung for rung, _ in asha._brackets[0]._rungs if rung < reports]
    assert sorted(milestones) == rungs(reports, min(min_reports, reports))


def test_the_control_group_is_sampled_judged_and_never_stopped(
    begin: Callable[..., Ledger], open_study: Callable[..., Study], space: SearchSpace[Any]
) -> None:
    space = replace(space, reports=9, min_reports=1)
    ledger = begin(trials=8, control=2)
    queue = TrialQueue(ledger, open_study(ledger, space))
    scheduler = LedgerScheduler(build_scheduler("asha", space, 9), queue, int)
    decisions = {}
    for trial in range(8):
        queue.next_attempt()
        ledger.record_reports(trial, make_history([float(trial)]), {})
        ray_trial = SimpleNamespace(trial_id=str(trial))
        decisions[trial] = scheduler.on_trial_result(None, ray_trial, {})
    group = {trial for trial, log in ledger.trial_logs.items() if log.tags.get("control")}
    assert len(group) == 2
    assert 0 not in group
    assert {decisions[trial] for trial in group} == {CONTINUE}
    assert group <= scheduler.stopped  # an audit reads what would have been stopped
    assert {decisions[trial] for trial in set(decisions) - group - {0}} == {STOP}
