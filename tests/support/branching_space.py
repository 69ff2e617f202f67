"""Two small spaces with branches: one is continuous, the other is finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from searchspaces.space import SearchSpace


@dataclass(frozen=True)
class Config:
    """A learning rate whose range depends on the optimizer, and layers with a width each."""

    optimizer: str = "adamw"
    rate: float = 1e-3
    momentum: float = 0.9
    depth: int = 1
    size: str = "a"


def make_space(suggest: Callable[[optuna.Trial], Mapping[str, Any]]) -> SearchSpace[Config]:
    """Return a space with this `suggest`."""
    return SearchSpace(Config, lambda config, run: iter(()), suggest, "score", "max", reports=1)  # type: ignore[arg-type,return-value]


def _branches(trial: optuna.Trial) -> dict[str, Any]:
    optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    rates = {"adamw": (1e-4, 1e-2), "sgd": (1e-2, 1.0)}[optimizer]
    found: dict[str, Any] = {
        "optimizer": optimizer,
        "rate": trial.suggest_float(f"rate.{optimizer}", *rates, log=True),
        "depth": trial.suggest_int("depth", 1, 3),
    }
    if optimizer == "sgd":
        found["momentum"] = trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
    return found


def _finite(trial: optuna.Trial) -> dict[str, Any]:
    optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    found: dict[str, Any] = {"optimizer": optimizer}
    if optimizer == "sgd":
        found["momentum"] = trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
        if found["momentum"] == 0.0:
            found["size"] = trial.suggest_categorical("size", ["a", "b"])
    found["depth"] = trial.suggest_int("depth", 1, 5, step=2)
    return found


BRANCHES, FINITE = make_space(_branches), make_space(_finite)
