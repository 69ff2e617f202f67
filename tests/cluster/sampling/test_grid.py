"""The configurations of a finite space, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
import pytest

from cluster.sampling.grid import iterate_grid
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from tests.support.branching_space import BRANCHES, FINITE, make_space
from trainables.errors import UserError


def list_grid(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of a grid."""
    for parameters, _ in iterate_grid(space, fixed, find_parameters(space)):
        yield parameters


def _key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, round(v, 9) if isinstance(v, float) else v) for name, v in point.items())


def test_a_grid_is_complete_and_has_no_duplicates() -> None:
    points = [_key(point) for point in list_grid(FINITE, {})]
    adamw = [(("optimizer", "adamw"), ("depth", depth)) for depth in (1, 3, 5)]
    sgd = [
        (("optimizer", "sgd"), ("momentum", momentum), *size, ("depth", depth))
        for momentum in (0.0, 0.3, 0.6, 0.9)
        for size in ([[("size", "a")], [("size", "b")]] if momentum == 0.0 else [[]])
        for depth in (1, 3, 5)
    ]
    assert points == adamw + sgd
    assert len(set(points)) == 18


def test_optuna_accepts_every_point_of_a_grid() -> None:
    for point in list_grid(FINITE, {}):
        trial = optuna.trial.FixedTrial(point)
        FINITE.suggest(trial)  # type: ignore[arg-type]
        assert trial.params == pytest.approx(point) or trial.params == point


def test_fixed_values_are_left_out_of_a_grid() -> None:
    assert list(list_grid(FINITE, {"optimizer": "adamw"})) == [{"depth": d} for d in (1, 3, 5)]
    sgd = list(list_grid(FINITE, {"optimizer": "sgd", "momentum": 0.3}))
    assert sgd == [{"depth": d} for d in (1, 3, 5)]
    assert list(list_grid(FINITE, {"optimizer": "adamw", "depth": 3})) == [{}]


def test_a_parameter_suggested_twice_is_one_parameter() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        first = trial.suggest_categorical("size", ["a", "b"])
        assert trial.suggest_categorical("size", ["a", "b"]) == first
        return {"size": first}

    assert list(list_grid(make_space(suggest), {})) == [{"size": "a"}, {"size": "b"}]


def test_a_continuous_space_has_no_grid() -> None:
    with pytest.raises(UserError, match=r"rate\.adamw is continuous") as caught:
        list(list_grid(BRANCHES, {}))
    assert "--set rate=VALUE" in str(caught.value)
    assert len(list(list_grid(BRANCHES, {"rate": 0.01}))) == 3 + 3 * 4


def test_a_grid_of_any_size_is_enumerated_lazily() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        return {
            "depth": trial.suggest_int("depth", 1, 2, log=True),
            "rate": trial.suggest_float("rate", 0.0, 1.0, step=1e-12),
        }

    points = list(itertools.islice(list_grid(make_space(suggest), {}), 3))
    assert points == [{"depth": 1, "rate": rate} for rate in (0.0, 1e-12, 2e-12)]
