"""How far must a policy look ahead to land on the moon?

LunarLander-v3 (Gymnasium, Box2D) by PPO: a reward t steps away counts `gamma` to the power of t,
and a landing takes some 300 steps. All else stays at values that work, over several seeds; more
`--trials` than those search it, too. A mean return of 200 counts as a landing.
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

ENVIRONMENT = "LunarLander-v3"


@dataclass(frozen=True)
class Config:
    """Settings of one training; `Recipe` tells what they mean."""

    seed: int = 0
    steps: int = 32_768
    environments: int = 16
    rollout: int = 256
    epochs: int = 4
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: Literal["constant", "linear"] = "linear"
    gamma: float = 0.999
    gae_lambda: float = 0.98
    clip_range: float = 0.2
    entropy: float = 0.01
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
        "gamma": trial.suggest_categorical("gamma", [0.99, 0.995, 0.999]),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.9, 1.0),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "schedule": trial.suggest_categorical("schedule", ["linear", "constant"]),
        "rollout": trial.suggest_categorical("rollout", [128, 256, 512, 1024]),
        "epochs": trial.suggest_int("epochs", 3, 10),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "clip_range": trial.suggest_float("clip_range", 0.1, 0.3),
        "entropy": trial.suggest_float("entropy", 1e-4, 1e-1, log=True),
        "width": trial.suggest_categorical("width", [32, 64, 128]),
    }


SEARCHED = (
    *("gae_lambda", "learning_rate", "schedule", "rollout", "epochs", "batch_size"),
    *("clip_range", "entropy", "width"),
)
TUNED = {name: getattr(Config(), name) for name in SEARCHED}

SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="mean_return",
    mode="max",
    reports=20,
    min_reports=4,
    prepare=prepare,
    compare=("gamma",),
    arms=tuple({**TUNED, "gamma": value} for value in (0.999, 0.99)),
    seeds=3,
    published=(
        Published("counts as solved (Gymnasium)", 200.0, "mean return"),
        Published(
            "PPO, RL Baselines3 Zoo",
            242.1,
            "mean return",
            "LunarLander-v2, 1 million steps, one run",
            of={"gamma": 0.999},
        ),
    ),
)
