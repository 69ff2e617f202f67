"""Early stopping by the reports in the ledger; its rules decide as those of Ray do."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from cluster.execution.early_stopping import AshaRule, EarlyStopping, MedianRule, Rule, build_rule
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.schedulers import REDUCTION, SCHEDULERS
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from tests.support.reports import make_history, make_result
from trainables.errors import UserError
from trainables.ranking import Mode

CONTINUE, STOP = False, True


@pytest.fixture
def queue(
    begin: Callable[..., Ledger],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    space: SearchSpace[Any],
) -> TrialQueue:
    ledger = begin(trials=20)
    return TrialQueue(ledger, open_study(ledger, space))


Stopping = Callable[[str], EarlyStopping]


@pytest.fixture
def stopping(queue: TrialQueue, space: SearchSpace[Any]) -> Stopping:
    """Return a function that builds the early stopping of the queue's ledger."""
    return lambda name: EarlyStopping(lambda: build_rule(name, space, reports=9), queue.ledger)


def report(
    stopping: EarlyStopping, queue: TrialQueue, trial: int, losses: list[float], **more: float
) -> list[bool]:
    """Record reports of a trial, and return the decision after each."""
    while trial not in queue.ledger.trial_logs:
        queue.next_attempt()
    decisions = []
    first = queue.ledger.trial_logs[trial].done
    for n, loss in enumerate(losses, first + 1):
        entry = {"report": n, "seconds": 1.0, "metrics": {"loss": loss, **more}}
        queue.record_result(trial, {"history": [entry], "facts": {}})
        decisions.append(stopping.stops(trial))
    return decisions


def test_asha_stops_the_worse_two_thirds_at_its_rungs(
    stopping: Stopping, queue: TrialQueue
) -> None:
    asha = stopping("asha")
    for trial in range(6):
        expected = CONTINUE if trial == 0 else STOP
        assert report(asha, queue, trial, [0.1 * trial])[0] == expected
    assert report(asha, queue, 6, [0.01, 9.0, 9.0, 9.0]) == [CONTINUE] * 4
    assert report(asha, queue, 7, [0.02]) == [CONTINUE]
    assert report(asha, queue, 7, [9.0, 10.0]) == [CONTINUE, STOP]


def test_a_resumed_search_compares_with_the_reports_before_the_resume(
    stopping: Stopping, queue: TrialQueue
) -> None:
    asha = stopping("asha")
    for trial in range(6):
        report(asha, queue, trial, [0.1 * trial])
    report(asha, queue, 0, [0.1, 0.1])
    resumed = stopping("asha")
    assert report(resumed, queue, 6, [0.3]) == [STOP]
    assert report(resumed, queue, 7, [0.01]) == [CONTINUE]
    # The trial's own count, which does not start again with the driver: report 4 is not a rung.
    assert report(resumed, queue, 0, [99.0]) == [CONTINUE]
    assert report(resumed, queue, 7, [0.2, 0.3]) == [CONTINUE, STOP]


def test_the_median_rule_stops_trials_that_are_worse_than_half(
    stopping: Stopping, queue: TrialQueue
) -> None:
    median = stopping("median")
    for _ in range(3):  # in parallel: nothing to compare with at first
        for trial, loss in enumerate((0.1, 0.2, 0.3)):
            assert report(median, queue, trial, [loss]) == [CONTINUE]
    assert report(median, queue, 4, [5.0, 5.0, 5.0]) == [STOP, STOP, STOP]
    assert report(median, queue, 5, [0.05, 0.05, 0.05]) == [CONTINUE] * 3
    resumed = stopping("median")
    assert resumed.condemned == median.condemned == {4}
    assert report(resumed, queue, 6, [5.0]) == [STOP]
    assert report(resumed, queue, 4, [5.0]) == [STOP]


def test_every_scheduler_is_built_and_an_unknown_one_rejected(space: SearchSpace[Any]) -> None:
    rules = {name: build_rule(name, space, 9) for name in SCHEDULERS}
    assert [name for name, rule in rules.items() if rule is None] == ["none"]
    with pytest.raises(UserError, match="unknown scheduler 'hyperband': choose one of asha"):
        build_rule("hyperband", space, 9)


@pytest.mark.parametrize("name", ["asha", "median"])
def test_metrics_of_any_name_change_nothing(
    stopping: Stopping, queue: TrialQueue, name: str
) -> None:
    own = {"report": 99.0, "score": -9.0, "training_iteration": 7.0, "done": 1.0}
    rule = stopping(name)
    for trial in range(3):
        report(rule, queue, trial, [0.1, 0.1, 0.1], **own)
    assert report(rule, queue, 4, [5.0], **own) == [STOP]
    assert report(rule, queue, 5, [0.01], **own) == [CONTINUE]


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_report_without_a_finite_score_decides_nothing(
    stopping: Stopping, queue: TrialQueue, name: str
) -> None:
    rule = stopping(name)
    report(rule, queue, 0, [math.nan, math.inf])
    for trial in (1, 2, 3):
        report(rule, queue, trial, [0.2, 0.2])
    assert report(rule, queue, 4, [math.nan, 5.0]) == [CONTINUE, STOP]


@dataclass(frozen=True)
class RayTrial:
    """All that Ray's schedulers read of a trial."""

    trial_id: str


def build_rays(name: str, mode: Mode, min_reports: int, reports: int) -> TrialScheduler:
    common = {"time_attr": "n", "metric": "score", "mode": mode, "grace_period": min_reports}
    if name == "median":
        return MedianStoppingRule(**common, min_time_slice=math.inf)
    return AsyncHyperBandScheduler(
        **common, max_t=reports, reduction_factor=REDUCTION, stop_last_trials=False
    )


@pytest.mark.parametrize("name", ["asha", "median"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("min_reports", "reports"), [(1, 9), (1, 27), (2, 10), (5, 5), (1, 30)])
def test_the_rules_decide_as_rays_do(
    name: str, mode: Mode, min_reports: int, reports: int
) -> None:
    """On random reports of 30 trials, six at a time, some of which lack the metric."""
    draw = random.Random(f"{name} {mode} {reports}")
    rule: Rule = (
        AshaRule(mode, min_reports, reports) if name == "asha" else MedianRule(mode, min_reports)
    )
    rays = build_rays(name, mode, min_reports, reports)
    waiting, stopped = list(range(30)), 0
    running: dict[int, int] = {}
    while waiting or running:
        while waiting and len(running) < 6:
            trial = waiting.pop(0)
            running[trial] = 0
            rays.on_trial_add(None, RayTrial(str(trial)))
        trial = draw.choice(list(running))
        running[trial] += 1
        ended = running[trial] == reports
        if not ended and draw.random() < 0.9:
            score = draw.randint(-(2**20), 2**20) / 2**10  # without ties; sums are exact
            result = {"n": running[trial], "score": score}
            decision = rays.on_trial_result(None, RayTrial(str(trial)), result)
            ended = decision == TrialScheduler.STOP
            ours = rule.decide(trial, running[trial], score)
            assert (ours is not None and ours.stops) == ended
            stopped += ended
        if ended:
            del running[trial]
    assert min_reports == reports or 3 < stopped < 30


def stops(rule: Rule, trial: int, report: int, score: float) -> bool:
    decision = rule.decide(trial, report, score)
    return decision is not None and decision.stops


@pytest.mark.parametrize("together", [1, 8])
@pytest.mark.parametrize("share", [0.7, 0.75, 0.8])
def test_most_of_the_trials_at_a_plateau_are_stopped(share: float, together: int) -> None:
    """40 trials of 9 reports, a share of them dead at one score: few of these run to the end."""
    draw, survived, died, lost = random.Random(0), 0, 0, 0
    for _ in range(100):
        rule = AshaRule("max", 1, 9)
        scores = [0.196 if draw.random() < share else draw.uniform(0.4, 0.9) for _ in range(40)]
        stopped: set[int] = set()
        for first in range(0, 40, together):
            for report in range(1, 9):
                for trial in range(first, first + together):
                    if trial not in stopped and stops(rule, trial, report, scores[trial]):
                        stopped.add(trial)
        dead = {trial for trial, score in enumerate(scores) if score == 0.196}
        died += len(dead)
        survived += len(dead - stopped)
        lost += max(range(40), key=lambda trial: scores[trial]) in stopped
    assert survived / died < 0.06  # 35 to 74 % where all ties pass
    assert lost == 0


def test_of_trials_that_are_all_equal_a_third_continues() -> None:
    rule = AshaRule("min", 1, 9)
    stopped = [stops(rule, trial, 1, 0.7) for trial in range(30)]
    assert stopped.count(False) == 10


def test_the_control_group_is_sampled_judged_and_never_stopped(
    begin: Callable[..., Ledger], open_study: Callable[..., Study], space: SearchSpace[Any]
) -> None:
    space = replace(space, reports=9, min_reports=1)
    ledger = begin(trials=8, control=2)
    queue = TrialQueue(ledger, open_study(ledger, space))
    stopping = EarlyStopping(lambda: build_rule("asha", space, 9), ledger)
    decisions = {}
    for trial in range(8):
        queue.next_attempt()
        ledger.record_reports(trial, make_history([float(trial)]), {})
        decisions[trial] = stopping.stops(trial)
    group = {trial for trial, log in ledger.trial_logs.items() if log.tags.get("control")}
    assert len(group) == 2
    assert 0 not in group
    assert {decisions[trial] for trial in group} == {CONTINUE}
    for trial in group:  # an audit reads what would have been decided
        (decision,) = ledger.trial_logs[trial].decisions
        assert (decision.report, decision.score, decision.stops) == (1, float(trial), True)
    assert {decisions[trial] for trial in set(decisions) - group - {0}} == {STOP}


def test_reports_of_a_trial_are_replayed_in_order_though_the_clock_was_set_back(
    queue: TrialQueue,
) -> None:
    replayed: list[tuple[int, int]] = []

    class Recorder:
        def decide(self, trial: int, number: int, score: float) -> None:
            replayed.append((trial, number))

    for trial in range(2):
        queue.next_attempt()
        queue.ledger.record_reports(trial, make_history([0.3, 0.2, 0.1]), {})
    for trial, times in enumerate(([100.0, 200.0, 50.0], [150.0, 160.0, 300.0])):
        reports = queue.ledger.trial_logs[trial].reports
        reports[:] = [replace(r, time=t) for r, t in zip(reports, times, strict=True)]
    EarlyStopping(Recorder, queue.ledger)
    assert replayed == [(0, 1), (1, 1), (1, 2), (0, 2), (0, 3), (1, 3)]


def test_decisions_are_recorded_when_they_are_made_and_once(
    begin: Callable[..., Ledger],
    open_study: Callable[..., Study],
    space: SearchSpace[Any],
    reopen: Callable[[Ledger], Ledger],
) -> None:
    ledger = begin(trials=4, scheduler="asha", reports=9)
    queue = TrialQueue(ledger, open_study(ledger, space))
    for trial, loss in enumerate((0.2, 0.1, 0.3)):
        queue.next_attempt()
        stops = queue.record_result(trial, make_result(loss))
        assert stops == (trial == 2)
    before = {trial: log.decisions for trial, log in ledger.trial_logs.items()}
    first, second, third = (before[trial][0] for trial in range(3))
    assert (first.report, first.score, first.cutoff, first.stops) == (1, 0.2, None, False)
    assert (second.cutoff, second.stops) == (0.2, False)
    assert third.stops
    assert third.cutoff == pytest.approx(0.1 + 0.1 / 3)
    again = reopen(ledger)
    assert {trial: log.decisions for trial, log in again.trial_logs.items()} == before
    resumed = TrialQueue(again, open_study(again, space))
    assert {trial: log.decisions for trial, log in again.trial_logs.items()} == before
    # Killed between the decision and the outcome: the trial makes no further report.
    assert (again.trial_logs[2].outcome, again.trial_logs[2].reason) == ("stopped", "scheduler")
    assert resumed.next_attempt().trial == 0


def test_every_arm_has_rungs_of_its_own(
    begin: Callable[..., Ledger], space: SearchSpace[Any]
) -> None:
    ledger = begin(trials=4, scheduler="asha", reports=9)
    stopping = EarlyStopping(lambda: build_rule("asha", space, 9), ledger)
    stopped = []
    for trial, (arm, loss) in enumerate((("0", 0.1), ("1", 5.0), ("0", 0.2), ("1", 4.0))):
        ledger.add_trial(trial, {}, {}, {"arm": arm})
        ledger.record_reports(trial, make_history([loss]), {})
        stopped.append(stopping.stops(trial))
    assert stopped == [False, False, True, False]
