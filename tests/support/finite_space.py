"""A finite space, for the grid sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna


def suggest_finite(trial: optuna.Trial) -> Mapping[str, Any]:
    """Suggest one of 2 + 2 configurations: the width is a parameter in one branch only."""
    momentum = trial.suggest_categorical("momentum", [False, True])
    width = trial.suggest_int("width", 2, 3) if momentum else 2
    rate = trial.suggest_float("learning_rate", 0.1, 0.2, step=0.1) if not momentum else 0.1
    return {"momentum": momentum, "width": width, "learning_rate": rate}
