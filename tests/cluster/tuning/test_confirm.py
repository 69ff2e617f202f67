"""The re-runs of a confirmation: new seeds, the best and the default, nothing run twice."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from cluster.ledger.files import RERUNS
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from cluster.tuning import confirm
from reports.read.winner import find_worst, score_reruns
from searchspaces.overrides import encode_defaults
from searchspaces.space import SearchSpace
from tests.support.make_search import make_search, make_trial
from tests.support.reports import make_history
from trainables.errors import UserError

LOSSES = [[0.5], [0.2], [0.9], [0.3]]


@pytest.fixture
def search(
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


def test_the_best_complete_trials_and_the_default_run_on_new_seeds(
    search: Ledger, space: SearchSpace[Any]
) -> None:
    reruns = list(confirm.plan_reruns(search, space, best=1, seeds=3))
    assert [rerun.tags["of"] for rerun in reruns] == ["1", "0"] * 3
    seeds = [rerun.fixed["seed"] for rerun in reruns]
    assert len(set(seeds)) == 3
    assert not set(seeds) & {trial_log.config["seed"] for trial_log in search.trial_logs.values()}
    for rerun in reruns:
        config = search.trial_logs[int(rerun.tags["of"])].config
        assert {**config, "seed": rerun.fixed["seed"]} == dict(rerun.fixed)


def test_trial_0_is_not_confirmed_as_the_default_where_it_is_an_arm(
    begin: Callable[..., Ledger], space: SearchSpace[Any]
) -> None:
    ledger = begin()
    default = encode_defaults(space, {})
    for trial, (width, loss) in enumerate([(3, 0.9), (4, 0.1), (5, 0.5)]):
        ledger.add_trial(trial, {}, {**default, "width": width})
        ledger.record_reports(trial, make_history([loss] * 4), {})
        ledger.record_outcome(trial, "complete")
    assert confirm.find_default(ledger, space) is None
    reruns = list(confirm.plan_reruns(ledger, space, best=1, seeds=1))
    assert [rerun.tags["of"] for rerun in reruns] == ["1"]
    ledger.add_trial(3, {}, {**default, "seed": 7})
    assert confirm.find_default(ledger, space) is ledger.trial_logs[3]


def test_a_stopped_trial_is_never_confirmed(search: Ledger, space: SearchSpace[Any]) -> None:
    reruns = list(confirm.plan_reruns(search, space, best=9, seeds=1))
    assert {rerun.tags["of"] for rerun in reruns} == {"0", "1", "2"}


def test_a_search_without_a_complete_trial_is_rejected(
    begin: Callable[..., Ledger], space: SearchSpace[Any]
) -> None:
    with pytest.raises(UserError, match="is complete: there is nothing"):
        list(confirm.plan_reruns(begin(), space, best=1, seeds=1))


def test_a_larger_confirmation_continues_the_smaller_one(
    search: Ledger, space: SearchSpace[Any]
) -> None:
    folder = search.folder / RERUNS
    trials: list[list[int]] = []
    for best in (1, 3, 3):
        reruns = list(confirm.plan_reruns(search, space, best, seeds=2))
        ledger = ledgers.attach_ledger(folder, confirm.make_settings(search, folder, reruns))
        assert ledger.id == search.id
        queue = TrialQueue(ledger, Study(ledger, space, reruns))
        trials.append([])
        while not queue.finished:
            attempt = queue.next_attempt()
            trials[-1].append(attempt.trial)
            queue.record_end(attempt.trial, "complete")
        ledger.close()
    assert trials == [[0, 1, 2, 3], [4, 5], []]
    trial_logs = ledgers.reopen_ledger(folder).trial_logs
    runs = [(trial_log.tags["of"], trial_log.config["seed"]) for trial_log in trial_logs.values()]
    assert len(runs) == len(set(runs)) == 6


def test_a_config_without_a_seed_cannot_be_confirmed(
    begin: Callable[..., Ledger], space: SearchSpace[Any]
) -> None:
    ledger = begin()
    ledger.add_trial(0, {}, {"width": 2})
    ledger.record_reports(0, make_history([0.5]), {})
    ledger.record_outcome(0, "complete")
    with pytest.raises(UserError, match=r"cannot be confirmed(.|\n)*no field `seed`"):
        list(confirm.plan_reruns(ledger, space, best=1, seeds=1))


def test_the_settings_of_a_confirmation_are_those_of_its_search(
    search: Ledger, space: SearchSpace[Any]
) -> None:
    reruns = list(confirm.plan_reruns(search, space, best=1, seeds=2))
    settings = confirm.make_settings(search, search.folder / RERUNS, reruns)
    assert (settings.kind, settings.name, settings.id) == (
        "confirmation",
        "toy-confirm",
        search.settings.id,
    )
    assert (settings.trials, settings.sampler, settings.scheduler) == (4, "grid", "none")
    assert settings.reruns == tuple((r.fixed, r.tags) for r in reruns)
    assert settings.reports == search.settings.reports


def test_the_table_has_mean_and_spread_over_the_new_seeds(
    search: Ledger, space: SearchSpace[Any]
) -> None:
    reruns = list(confirm.plan_reruns(search, space, best=1, seeds=2))
    folder = search.folder / RERUNS
    settings = confirm.make_settings(search, folder, reruns)
    ledger = ledgers.attach_ledger(folder, settings)
    losses = {"1": [0.3, 0.4], "0": [0.25, None]}
    for trial, rerun in enumerate(reruns):
        ledger.add_trial(trial, {}, rerun.fixed, rerun.tags)
        if (loss := losses[rerun.tags["of"]].pop(0)) is not None:
            ledger.record_reports(trial, make_history([loss]), {})
            ledger.record_outcome(trial, "complete")
    out = io.StringIO()
    Console(file=out, width=120).print(confirm.make_reruns_table(ledger, search))
    title, _, *rows = out.getvalue().splitlines()
    assert title.strip() == "loss on new seeds"
    assert [row.split() for row in rows] == [
        ["000", "0.5", "0.25", "1"],  # one seed has no standard deviation
        ["001", "0.2", "0.35", "0.07071", "2"],
    ]


def test_a_lost_run_has_the_same_score_in_the_table_and_in_the_report(
    search: Ledger, space: SearchSpace[Any]
) -> None:
    reruns = list(confirm.plan_reruns(search, space, best=1, seeds=2))
    folder = search.folder / RERUNS
    ledger = ledgers.attach_ledger(folder, confirm.make_settings(search, folder, reruns))
    records = []
    for trial, (rerun, loss) in enumerate(zip(reruns, (0.3, 0.95, 0.4, None), strict=True)):
        ledger.add_trial(trial, {}, rerun.fixed, rerun.tags)
        outcome = "diverged" if loss is None else "complete"
        if loss is not None:
            ledger.record_reports(trial, make_history([loss]), {})
        ledger.record_outcome(trial, outcome)
        record = make_trial(trial, loss, outcome=outcome, params={"seed": rerun.fixed["seed"]})
        records.append(replace(record, of=int(rerun.tags["of"])))
    scores = [log.find_best_report("loss", "min") for log in search.trial_logs.values()]
    tried = [make_trial(n, found[0] if found else None) for n, found in enumerate(scores)]
    record = replace(make_search(*tried, mode="min"), reruns=tuple(records))
    assert confirm.find_worst_score(search, ledger) == find_worst(record) == 0.95
    assert score_reruns(record)[0] == [0.95, 0.95]
    out = io.StringIO()
    Console(file=out, width=120).print(confirm.make_reruns_table(ledger, search))
    assert out.getvalue().splitlines()[-1].split() == ["000", "0.5", "0.95", "2"]
