"""The parameters of a space and their ranges, found by running `suggest` without a sampler."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from searchspaces.catalog import list_names
from searchspaces.loading import load_space
from searchspaces.parameters import find_parameters
from tests.support.branching_space import BRANCHES, make_space


def test_both_branches_are_found() -> None:
    found = find_parameters(BRANCHES)
    assert found.keys() == {"optimizer", "rate.adamw", "rate.sgd", "depth", "momentum"}
    assert found["rate.sgd"].distribution == FloatDistribution(1e-2, 1.0, log=True)
    assert found["depth"].distribution == IntDistribution(1, 3)


def test_a_fixed_value_closes_a_branch() -> None:
    assert find_parameters(BRANCHES, {"optimizer": "adamw"}).keys() == {"rate.adamw", "depth"}
    assert find_parameters(BRANCHES, {"optimizer": "sgd", "rate": 0.1}).keys() == {
        *("depth", "momentum")
    }


def test_a_parameter_that_only_a_fixed_value_asks_for() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
        depth = 2 ** trial.suggest_int("log2_depth", 0, 3) if optimizer == "lion" else 1
        return {"optimizer": optimizer, "depth": depth}

    found = find_parameters(make_space(suggest), {"optimizer": "lion"})
    assert found.keys() == {"log2_depth"}
    assert found["log2_depth"].field is None


def test_a_branch_within_a_branch_is_found() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        if trial.suggest_categorical("optimizer", ["adamw", "sgd"]) == "sgd" and (
            trial.suggest_categorical("size", ["a", "b"]) == "b"
        ):
            trial.suggest_float("momentum", 0.0, 0.5)
        return {}

    assert find_parameters(make_space(suggest)).keys() == {"optimizer", "size", "momentum"}


def test_the_parameters_of_the_most_layers_are_found() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        for layer in range(trial.suggest_int("depth", 1, 3)):
            trial.suggest_int(f"size.{layer}", 8, 64, log=True)
        return {}

    found = find_parameters(make_space(suggest))
    assert found.keys() == {"depth", "size.0", "size.1", "size.2"}


def test_ranges_of_branches_are_merged() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
        low = 1 if optimizer == "sgd" else 2
        trial.suggest_int("depth", low, low + 8, step=4)
        trial.suggest_int("size", 4 * low, 64, step=4)
        return {"optimizer": optimizer}

    found = find_parameters(make_space(suggest))
    assert found["depth"].distribution == IntDistribution(1, 10)
    assert found["size"].distribution == IntDistribution(4, 64, step=4)


@pytest.mark.parametrize("name", list_names())
def test_the_ranges_of_every_space_are_found(name: str) -> None:
    space = load_space(name)
    found = find_parameters(space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(30):
        trial = study.ask()
        space.suggest(trial)
        for parameter, distribution in trial.distributions.items():
            assert found[parameter].distribution == distribution
