"""How far must credit reach back for a policy to learn to balance a pole?

CartPole-v1 (Barto, Sutton and Anderson, 1983) by PPO. An action's advantage is made of one-step
surprises (`gae_lambda` 0), of whole returns (1), or of a blend. All else stays at values that
work, over several seeds; more `--trials` than those search it, too. The pole counts as balanced
at a mean return of 475 of at most 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from searchspaces import Published, SearchSpace
from trainables.predictor import GroundTruth
from trainables.rl import environments
from trainables.run import Loop, Run
from trainables.tasks.ppo import Recipe, ppo

if TYPE_CHECKING:
    import optuna

ENVIRONMENT = "CartPole-v1"


@dataclass(frozen=True)
class Config:
    """Settings of one training; `Recipe` tells what they mean."""

    seed: int = 0
    steps: int = 4096
    environments: int = 8
    rollout: int = 128
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: Literal["constant", "linear"] = "linear"
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 1e-3
    value_weight: float = 0.5
    width: int = 64
    clip: float = 0.5
    episodes: int = 20

    def __post_init__(self) -> None:
        Recipe(**asdict(self))


def train(config: Config, run: Run) -> Loop:
    """Train one policy."""
    yield from ppo(Recipe(**asdict(config)), ENVIRONMENT, run)


def prepare(config: Config, run: Run) -> GroundTruth:
    """See that the game can be played here."""
    return environments.build_ground_truth(ENVIRONMENT)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search how experience is gathered, credited and learnt from."""
    return {
        "gae_lambda": trial.suggest_categorical("gae_lambda", [0.0, 0.8, 0.95, 1.0]),
        "gamma": trial.suggest_categorical("gamma", [0.95, 0.98, 0.99, 0.995]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "schedule": trial.suggest_categorical("schedule", ["linear", "constant"]),
        "rollout": trial.suggest_categorical("rollout", [32, 64, 128, 256]),
        "epochs": trial.suggest_int("epochs", 3, 20),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "clip_range": trial.suggest_float("clip_range", 0.1, 0.3),
        "entropy": trial.suggest_float("entropy", 1e-5, 1e-1, log=True),
        "width": trial.suggest_categorical("width", [32, 64, 128]),
    }


SEARCHED = (
    *("gamma", "learning_rate", "schedule", "rollout", "epochs", "batch_size", "clip_range"),
    *("entropy", "width"),
)
TUNED = {name: getattr(Config(), name) for name in SEARCHED}

SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="mean_return",
    mode="max",
    reports=10,
    min_reports=3,
    prepare=prepare,
    compare=("gae_lambda",),
    arms=tuple({**TUNED, "gae_lambda": value} for value in (0.95, 0.0, 1.0)),
    seeds=5,
    published=(
        Published("counts as solved (Gymnasium)", 475.0, "mean return"),
        Published("PPO, RL Baselines3 Zoo", 500.0, "mean return", "100,000 steps, one run"),
    ),
)
