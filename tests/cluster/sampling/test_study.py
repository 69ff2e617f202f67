"""The study of a search: suggestions, outcomes, and what a killed driver leaves behind."""

import contextlib
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from cluster.ledger.files import JOURNAL
from cluster.ledger.ledger import Ledger
from cluster.sampling.journal_backend import Journal
from cluster.sampling.samplers import SAMPLERS
from cluster.sampling.study import DRAWS_BEFORE_STOP, Study
from searchspaces.space import SearchSpace
from tests.support.finite_space import suggest_finite
from trainables.errors import UserError

Open = Callable[[Ledger, SearchSpace[Any]], Study]
Begin = Callable[..., Ledger]
Reopen = Callable[[Ledger], Ledger]
RunOne = Callable[..., int]
Change = Callable[..., SearchSpace[Any]]


def test_optuna_has_the_outcome_of_every_trial(
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


def test_a_study_continues_wherever_its_driver_was_killed(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, space: SearchSpace[Any]
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    run_one(
        ledger, study, [0.5, 0.2], "complete", tell=False
    )  # killed before Optuna had the outcome
    running = study.ask()
    ledger.add_trial(
        running.trial, running.parameters, running.config
    )  # killed while the trial ran
    unrecorded = study.ask()  # killed before the ledger had the trial
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert study.study.trials[0].value == 0.2
    suggestion = study.ask()
    assert (suggestion.trial, suggestion.config) == (unrecorded.trial, unrecorded.config)
    assert study.ask().trial == unrecorded.trial + 1
    ledger.record_outcome(running.trial, "failed")
    study.tell(ledger.trial_logs[running.trial])
    assert study.study.trials[running.trial].state == TrialState.FAIL


def configurations(study: Study, n: int) -> list[Mapping[str, Any]]:
    return [study.ask().config for _ in range(n)]


def branching(trial: optuna.Trial) -> Mapping[str, Any]:
    """A space with a parameter in one branch only."""
    momentum = trial.suggest_categorical("momentum", [False, True])
    rate = trial.suggest_float("learning_rate", 1e-3, 0.4, log=True)
    width = trial.suggest_int("width", 1, 4) if momentum else 2
    return {"momentum": momentum, "learning_rate": rate, "width": width}


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "gp", "cmaes"])
@pytest.mark.parametrize("suggest", [None, branching])
def test_resumed_sampling_equals_uninterrupted_sampling(
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
        for config in parts[-2:]:  # without these the study would suggest the trials again
            ledger.add_trial(len(ledger.trial_logs), config, config)
        assert (ledger.folder / JOURNAL).read_bytes() == journal
    assert parts == whole
    assert len({json.dumps(config) for config in whole}) == 6
    other = configurations(open_study(begin(sampler=sampler, seed=1), space), 6)
    assert other[0] == whole[0]  # the default
    assert all(a != b for a, b in zip(other[1:], whole[1:], strict=True))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_suggestion_interrupted_by_a_crash_is_made_again(
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
        raise KeyboardInterrupt

    ledger = begin(sampler=sampler)
    study = open_study(ledger, space)
    first = [study.ask(), study.ask()]
    study.space = change(suggest=killed)
    with pytest.raises(KeyboardInterrupt):
        study.ask()
    ledger = reopen(ledger)
    for suggestion in first:
        ledger.add_trial(suggestion.trial, suggestion.parameters, suggestion.config)
    again = open_study(ledger, space).ask()
    assert again.trial == 2
    if sampler == "random":
        assert again.config == whole[2]
    else:
        assert again.config["learning_rate"] == whole[2]["learning_rate"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_starts_with_the_default_and_stays_in_the_ranges(
    begin: Begin, open_study: Open, run_one: RunOne, change: Change, sampler: str
) -> None:
    space = change(suggest=suggest_finite) if sampler == "grid" else change()
    ledger = begin(sampler=sampler)
    study = open_study(ledger, space)
    for n in range(4):
        run_one(ledger, study, [1.0 / (n + 1)])
    configs = [trial_log.config for trial_log in ledger.trial_logs.values()]
    assert configs[0] == {**vars(space.config())}
    assert all(1e-3 <= c["learning_rate"] <= 0.4 and 1 <= c["width"] <= 4 for c in configs)
    assert len({json.dumps(c) for c in configs}) == 4


def test_arms_and_seeds_run_once_each_also_after_a_resume(
    begin: Begin, reopen: Reopen, open_study: Open, change: Change
) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}))
    ledger = begin(seeds=2, trials=4)
    study = open_study(ledger, space)
    first = study.ask()
    ledger.add_trial(first.trial, first.parameters, first.config)
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


def test_an_arm_is_not_lost_when_its_sampled_values_are_infeasible(
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
        ledger.add_trial(suggestion.trial, suggestion.parameters, suggestion.config)
        asked.append((suggestion.config["momentum"], suggestion.config["seed"]))
    assert study.infeasible > 0
    assert sorted(asked) == [(momentum, seed) for momentum in (False, True) for seed in range(4)]


def test_an_arm_whose_rejection_was_interrupted_runs_once(
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

            def kill(*args: Any, **kwargs: Any) -> None:
                raise SystemError("kill -9")

            with monkeypatch.context() as patch:
                if not killed:
                    patch.setattr(study.study, ends, kill)
                with contextlib.suppress(SystemError):
                    while len(asked) < 8:
                        suggestion = study.ask()
                        assert suggestion is not None
                        ledger.add_trial(
                            suggestion.trial, suggestion.parameters, suggestion.config
                        )
                        asked.append((suggestion.config["momentum"], suggestion.config["seed"]))
            killed = True
            ledger = reopen(ledger)
        whole.append(sorted(asked))
    assert whole == [[(m, seed) for m in (False, True) for seed in range(4)]] * 3


def test_a_journal_that_lost_its_end_uses_no_number_twice(
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
    running = study.ask()
    ledger.add_trial(running.trial, running.parameters, running.config)
    ledger.record_outcome(running.trial, "failed")
    study.tell(ledger.trial_logs[running.trial])
    os.truncate(ledger.folder / JOURNAL, safe[0])  # the machine lost power
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert study.study.trials[running.trial].state == TrialState.FAIL
    assert study.ask().trial == running.trial + 1


def test_initial_configurations_run_after_the_default(
    begin: Begin, open_study: Open, change: Change
) -> None:
    space = change(initial_configs=({"learning_rate": 0.3, "nap": 0.5}, {"width": 4}))
    configs = configurations(open_study(begin(fixed={"momentum": True}), space), 4)
    assert [c["learning_rate"] for c in configs[:3]] == [0.1, 0.3, 0.1]
    assert [c["width"] for c in configs[:3]] == [2, 2, 4]
    assert [c["nap"] for c in configs] == [0, 0.5, 0, 0]
    assert all(c["momentum"] for c in configs)


def narrow(config: Any) -> str | None:
    """Reject four fifths of the searched range."""
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
    rejected = [t for t in study.study.trials if "infeasible" in t.user_attrs]
    assert len(rejected) == study.infeasible
    assert not {t.number for t in rejected} & set(ledger.trial_logs)
    assert all(t.constraints == {"feasible": 1.0} for t in rejected)
    configurations = Counter(json.dumps(t.params) for t in rejected)
    assert max(configurations.values()) <= 2
    assert open_study(reopen(ledger), space).infeasible == study.infeasible


def test_a_space_without_a_feasible_configuration_stops_with_the_reason(
    begin: Begin, open_study: Open, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(config: Any) -> str:
        return "momentum is banned" if config.momentum or config.width > 1 else "too narrow"

    assert DRAWS_BEFORE_STOP == 1000
    monkeypatch.setattr("cluster.sampling.study.DRAWS_BEFORE_STOP", 60)
    with pytest.raises(UserError, match=r"60 configurations(.|\n)*: momentum is banned") as error:
        open_study(begin(), change(feasible=never)).ask()
    assert "relax the limit, or narrow the ranges" in str(error.value)


def test_a_finite_space_is_sampled_without_repetition_and_ends(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, change: Change
) -> None:
    space = change(suggest=suggest_finite)
    for sampler in ("random", "tpe", "grid"):
        ledger = begin(sampler=sampler)
        study = open_study(ledger, space)
        run_one(ledger, study, [0.5])
        run_one(ledger, study, [0.4])
        ledger = reopen(ledger)
        study = open_study(ledger, space)
        run_one(ledger, study, [0.3])
        run_one(ledger, study, [0.2])
        assert study.ask() is None
        assert study.exhausted
        configs = [json.dumps(trial_log.config) for trial_log in ledger.trial_logs.values()]
        assert len(set(configs)) == 4
        assert json.loads(configs[0]) == vars(space.config())


def test_a_space_whose_values_are_rounded_ends_when_nothing_new_is_drawn(
    begin: Begin, open_study: Open, change: Change
) -> None:
    def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
        return {"width": round(trial.suggest_float("scale", 1.0, 2.9))}

    study = open_study(begin(), change(suggest=suggest))
    widths = [suggestion.config["width"] for suggestion in iter(study.ask, None)]
    assert sorted(widths) == [1, 2, 3]


def test_a_grid_too_large_for_memory_is_enumerated_as_it_runs(
    begin: Begin, open_study: Open, change: Change
) -> None:
    def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
        digits = [trial.suggest_int(f"digit.{place}", 0, 99) for place in range(5)]
        return {"width": sum(digit * 100**place for place, digit in enumerate(digits))}

    study = open_study(begin(sampler="grid"), change(suggest=suggest))
    assert len({suggestion.config["width"] for suggestion in (study.ask(), study.ask())}) == 2


def test_a_draw_that_the_config_rejects_is_infeasible(
    begin: Begin, open_study: Open, change: Change, space: SearchSpace[Any]
) -> None:
    @dataclass(frozen=True)
    class Strict(space.config):  # type: ignore[name-defined,misc]
        def __post_init__(self) -> None:
            if self.width > 2:
                raise ValueError(f"width={self.width} is too wide")
            _ = 1 / (self.width - 1)

    study = open_study(begin(), change(config=Strict))
    configs = configurations(study, 6)
    assert {config["width"] for config in configs} == {2}
    reasons = "\n".join(study.infeasible_reasons)
    assert "width=3 is too wide" in reasons or "width=4 is too wide" in reasons
    assert "ZeroDivisionError: division by zero (" in reasons
    rejected = [t for t in study.study.trials if "infeasible" in t.user_attrs]
    assert all(t.constraints == {"feasible": 1.0} for t in rejected)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "cmaes"])
def test_a_trial_that_runs_as_it_is_teaches_the_sampler_nothing(
    begin: Begin, open_study: Open, run_one: RunOne, change: Change, sampler: str
) -> None:
    def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
        return {"learning_rate": 10 ** trial.suggest_float("exponent", -3, -0.5)}

    ledger = begin(sampler=sampler)
    study = open_study(ledger, change(suggest=suggest))
    for _ in range(4):
        run_one(ledger, study, [0.5])
    states = [trial.state for trial in study.study.trials]
    assert states == [TrialState.FAIL, *[TrialState.COMPLETE] * 3]


def test_tuples_are_choices_also_after_a_resume(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, change: Change
) -> None:
    @dataclass(frozen=True)
    class Config:
        layers: tuple[int, ...] = (8, 8)
        rate: float = 0.1

    def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
        layers = trial.suggest_categorical("layers", [(8, 8), (16,), (4, 4, 4)])
        assert isinstance(layers, tuple)
        return {"layers": layers, "rate": trial.suggest_float("rate", 0.01, 1.0)}

    space = change(config=Config, suggest=suggest)
    ledger = begin(sampler="tpe")
    study = open_study(ledger, space)
    for _ in range(3):
        run_one(ledger, study, [0.5])
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert study.ask().config["layers"] in ([8, 8], [16], [4, 4, 4])
    assert ledger.trial_logs[0].parameters == {"layers": "[8, 8]", "rate": 0.1}


def test_a_journal_whose_last_line_is_partial_continues(
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


def test_an_infeasible_configuration_is_tried_once_also_after_a_resume(
    begin: Begin, reopen: Reopen, open_study: Open, change: Change
) -> None:
    space = change(
        suggest=suggest_finite, feasible=lambda config: "too wide" if config.width == 3 else None
    )
    ledger = begin(sampler="grid")
    for _ in range(2):
        study = open_study(ledger, space)
        while (suggestion := study.ask()) is not None:
            ledger.add_trial(suggestion.trial, suggestion.parameters, suggestion.config)
            ledger.record_outcome(suggestion.trial, "failed")
            study.tell(ledger.trial_logs[suggestion.trial])
        assert study.exhausted
        assert (len(ledger.trial_logs), study.infeasible) == (3, 1)
        ledger = reopen(ledger)


def tell_defaults(
    ledger: Ledger, space: SearchSpace[Any], open_study: Callable[..., Study], n: int
) -> list[int]:
    """Return which of the first trials are marked as the default configuration."""
    study, found = open_study(ledger, space), []
    for _ in range(n):
        suggestion = study.ask()
        assert suggestion is not None
        ledger.add_trial(
            suggestion.trial, suggestion.parameters, suggestion.config, suggestion.tags
        )
        found += [suggestion.trial] if "default" in suggestion.tags else []
    return found


def test_only_the_default_configuration_is_marked_as_the_default(
    begin: Callable[..., Ledger],
    change: Callable[..., SearchSpace[Any]],
    open_study: Callable[..., Study],
) -> None:
    def scaled(trial: optuna.Trial) -> Mapping[str, Any]:
        return {"width": 8 * trial.suggest_int("width", 1, 4)}  # none of which is the default's

    assert tell_defaults(begin(), change(), open_study, 3) == [0]
    assert tell_defaults(begin(), change(suggest=scaled), open_study, 3) == [0]
    assert tell_defaults(begin(fixed={"width": 4}), change(), open_study, 3) == [0]
    # The first of these arms has another width, the second is the default itself.
    arms = change(arms=({"width": 3, "learning_rate": 0.1}, {"width": 2, "learning_rate": 0.1}))
    arms = dataclasses.replace(arms, suggest=lambda trial: {})
    assert tell_defaults(begin(seeds=2), arms, open_study, 4) == [1, 3]
    arms = dataclasses.replace(arms, arms=arms.arms[:1])
    assert tell_defaults(begin(seeds=2), arms, open_study, 2) == []
