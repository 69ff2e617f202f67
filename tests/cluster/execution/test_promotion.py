"""Promotion: which trials pause and continue, in a rule of its own and in a queue of attempts."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cluster.execution.promotion import PromotionRule
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.schedulers import REDUCTION, rungs
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace
from trainables.ranking import Mode

REPORTS = 27


def find_best_third(scores: dict[int, list[float]], rung: int, mode: Mode) -> list[int]:
    """Return the best third of the trials that have reached a rung, the slow way.

    `scores` are in the order in which the trials have reached it.
    """
    reached = [trial for trial, made in scores.items() if len(made) >= rung]
    sign = -1 if mode == "max" else 1
    ranked = sorted(reached, key=lambda trial: sign * scores[trial][rung - 1])
    return ranked[: len(reached) // REDUCTION]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_third_of_every_rung_continues(mode: Mode) -> None:
    """Until nothing is promotable; against rankings that are computed from all scores."""
    for seed in range(30):
        draw = random.Random(seed)
        rule, scores = PromotionRule(mode, 1, REPORTS), dict[int, list[float]]()
        arrived: dict[int, dict[int, list[float]]] = {rung: {} for rung in rungs(REPORTS, 1)}
        new = list(range(draw.randint(3, 40)))
        paused: dict[int, int] = {}
        while True:
            promotable = {
                rung: set(find_best_third(arrived[rung], rung, mode))
                & {trial for trial, at in paused.items() if at == rung}
                for rung in arrived
            }
            trial = rule.find_promotable(last=False)
            if trial is not None:
                rung = paused.pop(trial)
                assert trial in promotable[rung]
                assert not any(promotable[higher] for higher in arrived if higher > rung)
                decision = rule.promote(trial)
                assert (decision.report, decision.stops) == (rung, False)
            else:
                assert not any(promotable.values())
                if not new:
                    break
                trial = new.pop(0)
                scores[trial] = []
            while len(scores[trial]) < REPORTS:
                scores[trial].append(draw.choice([0.1, 0.2, draw.random()]))
                decided = rule.decide(trial, len(scores[trial]), scores[trial][-1])
                if decided is None:
                    continue
                rung = len(scores[trial])
                arrived[rung][trial] = scores[trial]
                assert decided.stops == (trial not in find_best_third(arrived[rung], rung, mode))
                if decided.stops:
                    paused[trial] = rung
                    break


def test_of_equal_scores_the_earlier_ones_continue() -> None:
    rule = PromotionRule("max", 1, 9)
    for trial in range(30):
        rule.decide(trial, 1, 0.196)
    promoted = []
    while (trial := rule.find_promotable(last=False)) is not None:
        rule.promote(trial)
        promoted.append(trial)
    assert promoted == list(range(10))


def test_at_the_end_one_trial_continues_at_every_rung() -> None:
    rule = PromotionRule("min", 1, 9)
    rule.decide(0, 1, 0.5)
    rule.decide(1, 1, 0.4)
    assert rule.find_promotable(last=False) is None
    assert rule.find_promotable(last=True) == 1
    decision = rule.promote(1)
    assert (decision.score, decision.cutoff, decision.stops) == (0.4, None, False)
    assert rule.find_promotable(last=True) is None
    rule.decide(1, 3, 0.3)
    assert rule.find_promotable(last=True) == 1


@pytest.fixture
def promoting(
    begin: Callable[..., Ledger],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    reopen: Callable[[Ledger], Ledger],
    space: SearchSpace[Any],
) -> Callable[..., TrialQueue]:
    """Return a function that begins a search with promotion, or opens one again."""
    long = replace(space, reports=9, min_reports=1)

    def open_queue(before: TrialQueue | None = None, **settings: Any) -> TrialQueue:
        if before is None:
            ledger = begin(scheduler="promotion", reports=9, **settings)
        else:
            ledger = reopen(before.ledger)
        return TrialQueue(ledger, open_study(ledger, long))

    return open_queue


def run_step(queue: TrialQueue, draw: random.Random, slots: int) -> bool:
    """Start what has room, and make one report of a trial; return whether one was running."""
    while queue.has_room(slots) and queue.start_attempt():
        pass
    if not queue.running:
        return False
    trial = draw.choice(list(queue.running))
    report = queue.ledger.trial_logs[trial].done + 1
    loss = random.Random(trial * 100 + report).random() / report
    entry = {"report": report, "seconds": 1.0, "metrics": {"loss": loss}}
    if queue.record_result(trial, {"history": [entry], "facts": {}}):
        queue.record_end(trial, None)
    elif report == 9:
        queue.record_end(trial, "complete")
    return True


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("trials", [1, 2, 5, 20])
def test_every_trial_has_an_outcome_also_after_kills(
    promoting: Callable[..., TrialQueue], trials: int, killed: bool
) -> None:
    """A driver that is killed at any moment decides nothing anew, and loses no paused trial."""
    draw = random.Random(trials)
    queue = promoting(trials=trials)
    while run_step(queue, draw, 3):
        if killed and draw.random() < 0.2:
            before = {n: log.decisions for n, log in queue.ledger.trial_logs.items()}
            paused = {n for n, log in queue.ledger.trial_logs.items() if queue.is_paused(log)}
            queue = promoting(queue)
            logs = queue.ledger.trial_logs
            assert {n: log.decisions for n, log in logs.items()} == before
            assert {n for n, log in logs.items() if queue.is_paused(log)} == paused
    logs = queue.ledger.trial_logs
    assert len(logs) == trials
    assert queue.ledger.finished
    assert all(
        log.outcome == ("complete" if log.done == 9 else "stopped") for log in logs.values()
    )
    assert any(log.outcome == "complete" for log in logs.values())
    for log in logs.values():
        reached = [report for report in (1, 3) if report <= log.done]
        stops = [decision.stops for decision in log.decisions]
        if "default" in log.tags:  # not judged beyond the rung at which it would have paused
            reached = reached[: len(stops)]
        else:
            assert stops[-1] == (log.outcome == "stopped")
        assert [decision.report for decision in log.decisions] == reached
        assert not any(stops[:-1])


def test_neither_the_default_nor_the_control_group_pauses(
    promoting: Callable[..., TrialQueue],
) -> None:
    draw = random.Random(1)
    queue = promoting(trials=12, control=2)
    while run_step(queue, draw, 2):
        pass
    exempt = [
        log for log in queue.ledger.trial_logs.values() if {"control", "default"} & {*log.tags}
    ]
    assert len(exempt) >= 2
    assert all((log.outcome, log.attempts) == ("complete", 1) for log in exempt)
    assert any(log.attempts > 1 for log in queue.ledger.trial_logs.values())


def test_paused_trials_end_with_the_time_budget(promoting: Callable[..., TrialQueue]) -> None:
    draw = random.Random(0)
    queue = promoting(trials=20)
    for _ in range(12):
        run_step(queue, draw, 2)
    paused = [log.trial for log in queue.ledger.trial_logs.values() if queue.is_paused(log)]
    assert paused
    queue.limits = replace(queue.limits, deadline=0.0)
    queue.end_running()
    for trial in paused:
        log = queue.ledger.trial_logs[trial]
        assert (log.outcome, log.reason) == ("stopped", "time budget")
