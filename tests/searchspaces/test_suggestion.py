"""`suggest` runs with a replacement of Optuna's trial."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from searchspaces.space import SearchSpace
from searchspaces.suggestion import config_field, run_suggest
from tests.support.branching_space import BRANCHES


def test_a_parameter_sets_the_field_before_its_dot() -> None:
    assert (
        config_field("rate") == config_field("rate.sgd") == config_field("rate.sgd.late") == "rate"
    )


def test_every_parameter_is_passed_on_with_its_range() -> None:
    asked: dict[str, Any] = {}

    def answer(name: str, distribution: Any) -> Any:
        asked[name] = distribution
        return {"optimizer": "sgd", "rate.sgd": 0.5, "momentum": 0.3, "depth": 2}[name]

    assert run_suggest(BRANCHES, answer) == {
        **{"optimizer": "sgd", "rate": 0.5, "depth": 2, "momentum": 0.3}
    }
    assert asked == {
        "optimizer": CategoricalDistribution(["adamw", "sgd"]),
        "rate.sgd": FloatDistribution(1e-2, 1.0, log=True),
        "depth": IntDistribution(1, 3),
        "momentum": FloatDistribution(0.0, 0.9, step=0.3),
    }


class Norm(enum.Enum):
    """Two norms."""

    BATCH = 1
    LAYER = 2


@dataclass(frozen=True)
class Layers:
    """A width per layer, and a norm."""

    layers: tuple[int, ...] = (32,)
    norm: Norm = Norm.LAYER


def test_suggest_gets_a_value_that_is_none_of_its_choices_as_the_config_has_it() -> None:
    got: list[Any] = []

    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        got.append(trial.suggest_categorical("layers", [(64,), (64, 64)]))  # type: ignore[list-item]
        got.append(trial.suggest_categorical("norm", [Norm.BATCH]))  # type: ignore[list-item]
        return {"layers": got[0], "norm": got[1]}

    train: Any = None  # it is never run
    space = SearchSpace(Layers, train, suggest, "score", "max", reports=1)
    stored = {"layers": "[8, 8]", "norm": "LAYER"}
    assert run_suggest(space, lambda name, _: stored[name]) == {
        "layers": [8, 8],
        "norm": "LAYER",
    }
    assert got == [(8, 8), Norm.LAYER]
