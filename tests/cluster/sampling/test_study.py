import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.journal_backend import Journal
from cluster.sampling.samplers import SAMPLERS
from cluster.sampling.study import INFEASIBLE_BEFORE_STOP, JOURNAL, Study, count_infeasible
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Open = Callable[[Ledger, SearchSpace[Any]], Study]
Begin = Callable[..., Ledger]
Reopen = Callable[[Ledger], Ledger]
RunOne = Callable[..., int]
Change = Callable[..., SearchSpace[Any]]


def finite(trial: optuna.Trial) -> Mapping[str, Any]:
    """A space of 2 + 2 points: the width is asked for in one branch alone."""
    momentum = trial.suggest_categorical("momentum", [False, True])
    width = trial.suggest_int("width", 2, 3) if momentum else 2
    rate = trial.suggest_float("learning_rate", 0.1, 0.2, step=0.1) if not momentum else 0.1
    return {"momentum": momentum, "width": width, "learning_rate": rate}


def test_optuna_is_told_what_became_of_every_trial(
    begin: Begin, open_study: Open, run_one: RunOne, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    run_one(ledger, study, [0.5, 0.2, 0.3], "complete")
    run_one(ledger, study, [0.5, 0.4], "stopped")
    run_one(ledger, study, [0.5, float("nan")], "diverged")
    run_one(ledger, study, [0.5], "failed")
    trials = study.study.trials
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED, TrialState.FAIL]
    assert [t.state for t in trials] == states
    assert trials[0].value == 0.2
    assert trials[0].intermediate_values == {1: 0.5, 2: 0.2, 3: 0.3}
    assert trials[1].intermediate_values == {1: 0.5, 2: 0.4}
    assert set(trials[2].intermediate_values) == {1, 2}
    study.tell(ledger.trial_logs[0])
    assert study.study.trials[0].value == 0.2


def test_a_driver_killed_at_any_place_leaves_a_study_to_go_on_with(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    run_one(ledger, study, [0.5, 0.2], "complete", tell=False)  # killed before it told
    begun = study.ask()
    ledger.add_trial(begun.trial, begun.values, begun.config)  # killed while the trial ran
    lost = study.ask()  # killed before it wrote the trial down
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert study.study.trials[0].value == 0.2
    asked = study.ask()
    assert (asked.trial, asked.config) == (lost.trial, lost.config)
    assert study.ask().trial == lost.trial + 1
    ledger.record_outcome(begun.trial, "failed")
    study.tell(ledger.trial_logs[begun.trial])
    assert study.study.trials[begun.trial].state == TrialState.FAIL


def configurations(study: Study, n: int) -> list[Mapping[str, Any]]:
    return [study.ask().config for _ in range(n)]


def branching(trial: optuna.Trial) -> Mapping[str, Any]:
    """A space in which one number is asked for in one branch alone."""
    momentum = trial.suggest_categorical("momentum", [False, True])
    rate = trial.suggest_float("learning_rate", 1e-3, 0.4, log=True)
    width = trial.suggest_int("width", 1, 4) if momentum else 2
    return {"momentum": momentum, "learning_rate": rate, "width": width}


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "gp", "cmaes"])
@pytest.mark.parametrize("suggest", [None, branching])
def test_resumed_sampling_goes_on_as_if_never_interrupted(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    change: Change,
    space: SearchSpace[Any],
    sampler: str,
    suggest: Any,
) -> None:
    space = change(suggest=suggest or space.suggest)
    whole = configurations(open_study(begin(sampler=sampler), space), 6)
    ledger = begin(sampler=sampler)
    parts = []
    for _ in range(3):
        parts += configurations(open_study(ledger, space), 2)
        journal = (ledger.folder / JOURNAL).read_bytes()
        ledger = reopen(ledger)
        for config in parts[-2:]:  # asked and under way, but for this the study would ask again
            ledger.add_trial(len(ledger.trial_logs), config, config)
        assert (ledger.folder / JOURNAL).read_bytes() == journal
    assert parts == whole
    assert len({json.dumps(config) for config in whole}) == 6
    other = configurations(open_study(begin(sampler=sampler, seed=1), space), 6)
    assert other[0] == whole[0]  # the default
    assert all(a != b for a, b in zip(other[1:], whole[1:], strict=True))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_trial_cut_short_while_it_was_asked_for_is_asked_for_again(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    space: SearchSpace[Any],
    change: Change,
    sampler: str,
) -> None:
    undisturbed = open_study(begin(sampler=sampler), space)
    whole = configurations(undisturbed, 3)

    def killed(trial: optuna.Trial) -> Mapping[str, Any]:
        trial.suggest_float("learning_rate", 1e-3, 0.4, log=True)
        trial.suggest_int("width", 1, 4)
        raise SystemError("kill -9")

    ledger = begin(sampler=sampler)
    study = open_study(ledger, space)
    first = [study.ask(), study.ask()]
    study.space = change(suggest=killed)
    with pytest.raises(SystemError):
        study.ask()
    ledger = reopen(ledger)
    for asked in first:
        ledger.add_trial(asked.trial, asked.values, asked.config)
    again = open_study(ledger, space).ask()
    assert again.trial == 2
    if sampler == "random":
        assert again.config == whole[2]
    else:
        assert again.config["learning_rate"] == whole[2]["learning_rate"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_begins_with_the_default_and_asks_within_the_space(
    begin: Begin, open_study: Open, run_one: RunOne, change: Change, sampler: str
) -> None:
    space = change(suggest=finite) if sampler == "grid" else change()
    ledger = begin(sampler=sampler)
    study = open_study(ledger, space)
    for n in range(4):
        run_one(ledger, study, [1.0 / (n + 1)])
    configs = [trial_log.config for trial_log in ledger.trial_logs.values()]
    assert configs[0] == {**vars(space.config())}
    assert all(1e-3 <= c["learning_rate"] <= 0.4 and 1 <= c["width"] <= 4 for c in configs)
    assert len({json.dumps(c) for c in configs}) == 4


def test_a_grid_holds_every_point_once_with_the_default_first(change: Change) -> None:
    points = [
        dict(p.parameters) for p in plan_initial_trials(change(suggest=finite), {}, "grid", 3)
    ]
    assert points[0] == {"momentum": False, "learning_rate": 0.1}
    assert sorted(points, key=str) == sorted(
        [
            {"momentum": False, "learning_rate": 0.1},
            {"momentum": False, "learning_rate": 0.2},
            {"momentum": True, "width": 2},
            {"momentum": True, "width": 3},
        ],
        key=str,
    )


def test_a_grid_of_a_continuous_space_is_refused_with_the_way_out(
    space: SearchSpace[Any],
) -> None:
    with pytest.raises(UserError, match=r"learning_rate is continuous(.|\n)*--set learning_rate="):
        plan_initial_trials(space, {}, "grid", 3)
    points = plan_initial_trials(space, {"learning_rate": 0.2}, "grid", 3)
    assert len(points) == 4 * 2


def test_arms_and_seeds_run_once_each_also_after_a_resume(
    begin: Begin, reopen: Reopen, open_study: Open, change: Change
) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}))
    ledger = begin(seeds=2, trials=4)
    study = open_study(ledger, space)
    first = study.ask()
    ledger.add_trial(first.trial, first.values, first.config)
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    configs = [first.config, *configurations(study, 3)]
    assert [(c["momentum"], c["seed"]) for c in configs] == [
        (False, 0),
        (True, 0),
        (False, 1),
        (True, 1),
    ]
    assert configs[0] == vars(space.config())
    assert len({c["learning_rate"] for c in configs}) == 4  # an arm leaves it to the sampler
    assert not any("seed" in trial.params for trial in study.study.trials)
    assert len(study.study.trials) == 4


def test_arms_that_a_fixed_value_makes_equal_run_once(change: Change) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}, {"momentum": True, "width": 3}))
    points = plan_initial_trials(space, {"momentum": True}, "random", 2)
    assert [point.fixed["seed"] for point in points[1:]] == [0, 1, 1]
    assert len(plan_initial_trials(space, {"momentum": True, "width": 3}, "random", 2)) == 2


def test_an_arm_is_not_lost_for_a_refused_draw_of_what_it_leaves_open(
    begin: Begin, reopen: Reopen, open_study: Open, change: Change
) -> None:
    arms = tuple({"momentum": momentum} for momentum in (False, True))
    space = change(arms=arms, feasible=narrow)
    ledger = begin(seeds=4, trials=8)
    study = open_study(ledger, space)
    asked = []
    for number in range(8):
        if number == 5:
            ledger = reopen(ledger)
            study = open_study(ledger, space)
        suggestion = study.ask()
        assert suggestion is not None
        ledger.add_trial(suggestion.trial, suggestion.values, suggestion.config)
        asked.append((suggestion.config["momentum"], suggestion.config["seed"]))
    assert study.infeasible > 0
    assert sorted(asked) == [(momentum, seed) for momentum in (False, True) for seed in range(4)]


def test_an_arm_whose_refusal_was_cut_short_runs_once(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    change: Change,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arms = tuple({"momentum": momentum} for momentum in (False, True))
    space = change(arms=arms, feasible=narrow)
    whole = []
    for ends in ("", "tell", "enqueue_trial"):
        ledger = begin(seeds=4, trials=8)
        asked: list[Any] = []
        killed = not ends
        while len(asked) < 8:
            study = open_study(ledger, space)

            def kill(*given: Any, **named: Any) -> None:
                raise SystemError("kill -9")

            with monkeypatch.context() as patch:
                if not killed:
                    patch.setattr(study.study, ends, kill)
                with contextlib.suppress(SystemError):
                    while len(asked) < 8:
                        suggestion = study.ask()
                        assert suggestion is not None
                        ledger.add_trial(suggestion.trial, suggestion.values, suggestion.config)
                        asked.append((suggestion.config["momentum"], suggestion.config["seed"]))
            killed = True
            ledger = reopen(ledger)
        whole.append(sorted(asked))
    assert whole == [[(m, seed) for m in (False, True) for seed in range(4)]] * 3


def test_a_journal_that_a_crash_cut_short_never_gives_a_number_twice(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    space: SearchSpace[Any],
    run_one: RunOne,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    safe = [0]
    monkeypatch.setattr(
        Journal, "sync", lambda journal: safe.__setitem__(0, journal.path.stat().st_size)
    )
    for _ in range(3):
        run_one(ledger, study, [0.5, 0.2], "complete")
    begun = study.ask()
    ledger.add_trial(begun.trial, begun.values, begun.config)
    ledger.record_outcome(begun.trial, "failed")
    study.tell(ledger.trial_logs[begun.trial])
    os.truncate(ledger.folder / JOURNAL, safe[0])  # the machine lost power
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert study.study.trials[begun.trial].state == TrialState.FAIL
    assert study.ask().trial == begun.trial + 1


def test_a_journal_that_lacks_trials_of_the_search_is_refused(
    begin: Begin, reopen: Reopen, open_study: Open, space: SearchSpace[Any], run_one: RunOne
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    for _ in range(3):
        run_one(ledger, study, [0.5, 0.2], "complete")
    journal = ledger.folder / JOURNAL
    whole = journal.read_bytes().splitlines(keepends=True)
    told = {path: path.read_bytes() for path in ledger.folder.rglob("reports.jsonl")}
    created = [number for number, line in enumerate(whole) if b'"op_code": 4' in line]
    for lines in ([], whole[: created[1]], [*whole[: created[1]], *whole[created[1] + 1 :]]):
        journal.write_bytes(b"".join(lines))
        ledger = reopen(ledger)
        with pytest.raises(UserError, match=r"lacks trials that the search has: .*2\n.*--fresh"):
            open_study(ledger, space)
    assert told == {path: path.read_bytes() for path in ledger.folder.rglob("reports.jsonl")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\x00garbage", "line 3 is b.*garbage"),
        (b"{]", "line 3 is b'{]"),
        (b"7", "line 3 is b'7"),
        (b"", "line 3 is b'"),
        (b'{"op_code": 42, "worker_id": "x"}', "AssertionError"),
    ],
)
def test_a_damaged_journal_is_refused(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    space: SearchSpace[Any],
    line: bytes,
    words: str,
) -> None:
    ledger = begin()
    open_study(ledger, space).ask()
    journal = ledger.folder / JOURNAL
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]) + b"\n")
    with pytest.raises(UserError, match=f"is damaged: .*{words}") as error:
        open_study(reopen(ledger), space)
    assert "--fresh" in str(error.value)
    with pytest.raises(UserError, match="is damaged"):
        count_infeasible(ledger.folder)


def test_a_finite_space_ends_where_its_feasible_points_do(
    begin: Begin, open_study: Open, change: Change
) -> None:
    space = change(suggest=finite, feasible=lambda c: "too wide" if c.width == 3 else None)
    ledger = begin(sampler="grid", trials=9)
    attempts = TrialQueue(ledger, open_study(ledger, space), 9)
    handed = []
    while not attempts.finished:
        if (attempt := attempts.next()) is not None:
            handed.append(attempt.values)
            attempts.ended(attempt.trial, "complete")
    assert len(handed) == 3
    assert attempts.study.infeasible == 1
    assert ledger.finished


def test_start_configurations_run_after_the_default(
    begin: Begin, open_study: Open, change: Change
) -> None:
    space = change(initial_configs=({"learning_rate": 0.3, "nap": 0.5}, {"width": 4}))
    configs = configurations(open_study(begin(fixed={"momentum": True}), space), 4)
    assert [c["learning_rate"] for c in configs[:3]] == [0.1, 0.3, 0.1]
    assert [c["width"] for c in configs[:3]] == [2, 2, 4]
    assert [c["nap"] for c in configs] == [0, 0.5, 0, 0]
    assert all(c["momentum"] for c in configs)


def narrow(config: Any) -> str | None:
    """Refuse four fifths of the searched range."""
    return None if 0.2 > config.learning_rate > 0.06 else f"{config.width} wide is too fast"


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_a_space_that_is_mostly_infeasible_is_searched(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, change: Change, sampler: str
) -> None:
    space = change(feasible=narrow)
    ledger = begin(sampler=sampler)
    study = open_study(ledger, space)
    n = 7 if sampler == "gp" else 14
    for _ in range(n):
        before = study.infeasible
        run_one(ledger, study, [0.5])
        assert study.infeasible - before <= 40  # after 20 the rest is drawn at random
    assert len(ledger.trial_logs) == n
    assert study.infeasible > 0
    refused = [t for t in study.study.trials if "infeasible" in t.user_attrs]
    assert len(refused) == study.infeasible
    assert not {t.number for t in refused} & set(ledger.trial_logs)
    assert all(t.constraints == {"feasible": 1.0} for t in refused)
    points = Counter(json.dumps(t.params) for t in refused)
    assert max(points.values()) <= 2
    assert open_study(reopen(ledger), space).infeasible == study.infeasible


def test_a_space_without_a_feasible_configuration_stops_and_says_why(
    begin: Begin, open_study: Open, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(config: Any) -> str:
        return "momentum is banned" if config.momentum or config.width > 1 else "too narrow"

    assert INFEASIBLE_BEFORE_STOP == 1000
    monkeypatch.setattr("cluster.sampling.study.INFEASIBLE_BEFORE_STOP", 60)
    with pytest.raises(UserError, match=r"60 configurations(.|\n)*: momentum is banned") as error:
        open_study(begin(), change(feasible=never)).ask()
    assert "narrow the space" in str(error.value)


def test_a_journal_cut_in_its_last_line_goes_on(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    run_one(ledger, study, [0.5])
    run_one(ledger, study, [0.4])
    path: Path = ledger.folder / JOURNAL
    path.write_bytes(path.read_bytes()[:-7])
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert [t.state for t in study.study.trials] == [TrialState.COMPLETE] * 2
    run_one(ledger, study, [0.3])
