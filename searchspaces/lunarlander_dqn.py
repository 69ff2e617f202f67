"""Does double learning help Q-learning to land on the moon?

LunarLander-v3 (Gymnasium, Box2D) by deep Q-learning. One network that both chooses and values
the next action values it too highly; here the copy values what the network chooses (van Hasselt
et al., 2016). All else stays at values that work, over several seeds; more `--trials` than those
search it, too. A mean return of 200 counts as a landing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from searchspaces import Published, SearchSpace
from trainables.predictor import GroundTruth
from trainables.rl import environments
from trainables.run import Loop, Run
from trainables.tasks.dqn import Recipe, dqn

if TYPE_CHECKING:
    import optuna

ENVIRONMENT = "LunarLander-v3"


@dataclass(frozen=True)
class Config:
    """Settings of one training; `Recipe` tells what they mean."""

    seed: int = 0
    steps: int = 10_240
    environments: int = 8
    capacity: int = 100_000
    warm_up: int = 2000
    train_every: int = 16
    updates: int = 8
    batch_size: int = 128
    learning_rate: float = 6e-4
    gamma: float = 0.99
    n_step: int = 1
    double: bool = False
    target_every: int = 250
    exploration: float = 0.2
    final_epsilon: float = 0.05
    width: int = 256
    clip: float = 10.0
    episodes: int = 20

    def __post_init__(self) -> None:
        Recipe(**asdict(self))


def train(config: Config, run: Run) -> Loop:
    """Train one Q-network."""
    yield from dqn(Recipe(**asdict(config)), ENVIRONMENT, run)


def prepare(config: Config, run: Run) -> GroundTruth:
    """See that the game can be played here."""
    return environments.build_ground_truth(ENVIRONMENT)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search how experience is gathered, credited and learnt from."""
    return {
        "double": trial.suggest_categorical("double", [False, True]),
        "n_step": trial.suggest_categorical("n_step", [1, 3, 5]),
        "gamma": trial.suggest_categorical("gamma", [0.98, 0.99, 0.995]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "train_every": trial.suggest_categorical("train_every", [8, 16, 32, 64]),
        "updates": trial.suggest_categorical("updates", [4, 8, 16]),
        "target_every": trial.suggest_int("target_every", 64, 2048, log=True),
        "exploration": trial.suggest_float("exploration", 0.1, 0.5),
        "final_epsilon": trial.suggest_float("final_epsilon", 0.01, 0.1),
        "width": trial.suggest_categorical("width", [64, 128, 256]),
    }


SEARCHED = (
    *("n_step", "gamma", "learning_rate", "batch_size", "train_every", "updates"),
    *("target_every", "exploration", "final_epsilon", "width"),
)
TUNED = {name: getattr(Config(), name) for name in SEARCHED}

SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="mean_return",
    mode="max",
    reports=20,
    min_reports=5,
    prepare=prepare,
    compare=("double",),
    arms=({**TUNED, "double": False}, {**TUNED, "double": True}),
    seeds=3,
    published=(
        Published("counts as solved (Gymnasium)", 200.0, "mean return"),
        Published(
            "DQN, RL Baselines3 Zoo",
            154.4,
            "mean return",
            "LunarLander-v2, 100,000 steps, one run",
            of={"double": False},
        ),
    ),
)
