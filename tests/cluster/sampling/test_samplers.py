"""One sampler per trial, from the search's seed and the trial's number."""

from typing import Any

import optuna
import pytest

from cluster.sampling.samplers import SAMPLERS, build_sampler
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
