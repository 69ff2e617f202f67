"""How low does a bowl get? A space whose trials cost nothing: what remains is the platform."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchspaces.space import SearchSpace
from trainables.run import Loop, Run

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """A place in the plane; a report takes `nap` seconds."""

    x: float = 0.5
    y: float = 0.5
    nap: float = 0.0


def train(config: Config, run: Run) -> Loop:
    """Report the height there, sinking a little from report to report."""
    for report in run.resume():
        time.sleep(config.nap)
        yield {"value": (config.x - 0.3) ** 2 + (config.y - 0.6) ** 2 + 1 / (report + 1)}


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the unit square."""
    return {"x": trial.suggest_float("x", 0, 1), "y": trial.suggest_float("y", 0, 1)}


SPACE = SearchSpace(
    config=Config, train=train, suggest=suggest, metric="value", mode="min", reports=5, trials=64
)
