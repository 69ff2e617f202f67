"""The plan of a confirmation: fresh seeds, the best and the default, nothing run twice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.execution.early_stopping import ByTrial, build_scheduler
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from cluster.tuning import confirm
from searchspaces.space import SearchSpace
from trainables.errors import UserError

LOSSES = [[0.5], [0.2], [0.9], [0.3]]


@pytest.fixture
def found(
    begin: Callable[..., Ledger],
    open_study: Callable[..., Study],
    run_one: Callable[..., int],
    space: SearchSpace[Any],
) -> Ledger:
    ledger = begin(tracking_uri="sqlite:///x.db", parameters={}, reports=1)
    study = open_study(ledger, space)
    for losses in LOSSES[:3]:
        run_one(ledger, study, losses)
    run_one(ledger, study, LOSSES[3], outcome="stopped")
    return ledger


def test_the_best_complete_trials_and_the_default_run_on_fresh_seeds(
    found: Ledger, space: SearchSpace[Any]
) -> None:
    points = list(confirm.plan_reruns(found, space, best=1, seeds=3))
    assert [point.tags["of"] for point in points] == ["1", "0"] * 3
    seeds = [point.fixed["seed"] for point in points]
    assert len(set(seeds)) == 3
    assert not set(seeds) & {trial_log.config["seed"] for trial_log in found.trial_logs.values()}
    for point in points:
        config = found.trial_logs[int(point.tags["of"])].config
        assert {**config, "seed": point.fixed["seed"]} == dict(point.fixed)


def test_a_stopped_trial_is_never_confirmed(found: Ledger, space: SearchSpace[Any]) -> None:
    points = list(confirm.plan_reruns(found, space, best=9, seeds=1))
    assert {point.tags["of"] for point in points} == {"0", "1", "2"}


def test_nothing_complete_is_said(begin: Callable[..., Ledger], space: SearchSpace[Any]) -> None:
    with pytest.raises(UserError, match="is complete: there is nothing"):
        list(confirm.plan_reruns(begin(), space, best=1, seeds=1))


def test_a_larger_confirmation_goes_on_with_the_smaller(
    found: Ledger, space: SearchSpace[Any]
) -> None:
    folder = found.folder / confirm.FOLDER
    trials: list[list[int]] = []
    for best in (1, 3, 3):
        points = list(confirm.plan_reruns(found, space, best, seeds=2))
        ledger = ledgers.attach_ledger(folder, confirm._settings(found, folder, points))
        assert ledger.id == found.id
        study = Study(ledger, space, points)
        attempts = TrialQueue(ledger, study, ledger.settings["trials"])
        trials.append([])
        while not attempts.finished:
            attempt = attempts.next()
            trials[-1].append(attempt.trial)
            attempts.ended(attempt.trial, "complete")
        ledger.close()
    assert trials == [[0, 1, 2, 3], [4, 5], []]
    trial_logs = ledgers.reopen_ledger(folder).trial_logs
    runs = [(trial_log.tags["of"], trial_log.config["seed"]) for trial_log in trial_logs.values()]
    assert len(runs) == len(set(runs)) == 6


def test_the_control_group_is_sampled_and_never_stopped(
    begin: Callable[..., Ledger], open_study: Callable[..., Study], space: SearchSpace[Any]
) -> None:
    space = replace(space, reports=9, min_reports=1)
    ledger = begin(trials=8, control=2)
    attempts = TrialQueue(ledger, open_study(ledger, space), 8)
    inner = build_scheduler("asha", space, 9)
    assert inner is not None
    judge = ByTrial(inner, attempts, int)
    decisions = {}
    for trial in range(8):
        attempts.next()
        history = [{"report": 1, "seconds": 1.0, "metrics": {"loss": float(trial)}}]
        ledger.record_reports(trial, history, {})
        decisions[trial] = judge._tell(trial)
    group = {
        trial for trial, trial_log in ledger.trial_logs.items() if trial_log.tags.get("control")
    }
    assert len(group) == 2
    assert 0 not in group
    assert {decisions[trial] for trial in group} == {"CONTINUE"}
    assert group <= judge.stopped  # they are judged, and the judgement is what an audit asks of
    assert {decisions[trial] for trial in set(decisions) - group - {0}} == {"STOP"}


def test_spans_say_where_and_when_an_attempt_ran(found: Ledger, tmp_path: Path) -> None:
    trial_log = found.add_trial(9, {}, {})
    found.add_attempt(9)
    found.record_reports(9, [], {"parameters": 1.0}, "host/cpu")
    found.record_reports(
        9, [{"report": 1, "seconds": 1.0, "metrics": {"loss": 1.0}}], {}, "host/cpu"
    )
    found.add_attempt(9)
    (began, heard, place), (again, _, nowhere) = found.trial_logs[9].spans
    assert (place, nowhere) == ("host/cpu", "")
    assert trial_log.started <= began <= heard <= again
    found.close()
    assert ledgers.reopen_ledger(found.folder).trial_logs[9].spans == found.trial_logs[9].spans
