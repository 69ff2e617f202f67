"""One sampler per trial, from the search's seed and the trial's number."""

from typing import Any

import optuna
import pytest

from cluster.sampling.samplers import SAMPLERS, ask_optuna, build_sampler
from searchspaces.parameters import find_parameters, with_fixed
from searchspaces.suggestion import run_suggest
from tests.support.branching_space import BRANCHES
from trainables.errors import UserError

# `grid` needs no sampler of Optuna's: its configurations are enqueued.
BUILT = tuple(name for name in SAMPLERS if name != "grid")


def draw(name: str, seed: int, number: int, order: str = "ab") -> dict[str, Any]:
    study = optuna.create_study(sampler=build_sampler(name, seed, number))
    trial = study.ask()
    for parameter in order:
        trial.suggest_float(parameter, 0.0, 1.0)
    return dict(trial.params)


@pytest.mark.parametrize("name", BUILT)
def test_a_sampler_draws_the_same_again(name: str) -> None:
    assert draw(name, 0, 3) == draw(name, 0, 3)
    assert draw(name, 0, 3) != draw(name, 1, 3)


@pytest.mark.parametrize("name", ["tpe", "random", "gp", "cmaes"])
def test_trials_draw_different_values(name: str) -> None:
    assert draw(name, 0, 3) != draw(name, 0, 4)


def test_random_values_do_not_depend_on_the_order_of_the_parameters() -> None:
    assert draw("random", 0, 3, "ab") == draw("random", 0, 3, "ba")
    assert len(set(draw("random", 0, 3).values())) == 2


def test_an_unknown_sampler_is_rejected() -> None:
    with pytest.raises(UserError, match="unknown sampler 'magic': choose one of tpe, random"):
        build_sampler("magic", 0, 0)


def _trial(fixed: dict[str, Any]) -> tuple[optuna.Trial, dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    return trial, run_suggest(
        BRANCHES, with_fixed(ask_optuna(trial), fixed, find_parameters(BRANCHES))
    )


def test_branches_follow_fixed_values() -> None:
    for optimizer, others in (("sgd", {"rate.sgd", "momentum"}), ("adamw", {"rate.adamw"})):
        trial, values = _trial({"optimizer": optimizer})
        assert values["optimizer"] == optimizer
        assert trial.params.keys() == {"depth", *others}
        assert trial.params[f"rate.{optimizer}"] == values["rate"]


def test_a_fixed_value_may_lie_outside_the_searched_range() -> None:
    trial, values = _trial({"optimizer": "sgd", "rate": 50.0, "depth": 9})
    assert (values["rate"], values["depth"]) == (50.0, 9)
    assert trial.params.keys() == {"momentum"}


def test_parameters_that_are_not_fixed_are_sampled_from_their_range() -> None:
    trial, values = _trial({})
    direct = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert values == dict(BRANCHES.suggest(direct))
    assert trial.params == direct.params
    assert trial.distributions == direct.distributions
