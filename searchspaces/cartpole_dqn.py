"""What do double learning and longer returns add to Q-learning that balances a pole?

CartPole-v1 (Barto, Sutton and Anderson, 1983) by deep Q-learning: as in 2015, with double
learning (van Hasselt et al., 2016), and with returns over three steps as well (as in Hessel et
al., 2018). All else stays at values that work, over several seeds; more `--trials` than those
search it, too. The pole counts as balanced at a mean return of 475 of at most 500.
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

ENVIRONMENT = "CartPole-v1"


@dataclass(frozen=True)
class Config:
    """Settings of one training; `Recipe` tells what they mean."""

    seed: int = 0
    steps: int = 5120
    environments: int = 8
    capacity: int = 50_000
    warm_up: int = 1000
    train_every: int = 64
    updates: int = 32
    batch_size: int = 64
    learning_rate: float = 1e-3
    gamma: float = 0.99
    n_step: int = 3
    double: bool = True
    target_every: int = 128
    exploration: float = 0.2
    final_epsilon: float = 0.04
    width: int = 128
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
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        "train_every": trial.suggest_categorical("train_every", [16, 64, 256]),
        "updates": trial.suggest_categorical("updates", [16, 32, 64, 128]),
        "target_every": trial.suggest_int("target_every", 32, 1024, log=True),
        "exploration": trial.suggest_float("exploration", 0.05, 0.5),
        "final_epsilon": trial.suggest_float("final_epsilon", 0.01, 0.1),
        "width": trial.suggest_categorical("width", [64, 128, 256]),
    }


SEARCHED = (
    *("gamma", "learning_rate", "batch_size", "train_every", "updates", "target_every"),
    *("exploration", "final_epsilon", "width"),
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
    compare=("double", "n_step"),
    arms=(
        {**TUNED, "double": True, "n_step": 3},
        {**TUNED, "double": True, "n_step": 1},
        {**TUNED, "double": False, "n_step": 1},
    ),
    seeds=5,
    published=(
        Published("counts as solved (Gymnasium)", 475.0, "mean return"),
        Published(
            "DQN, RL Baselines3 Zoo",
            500.0,
            "mean return",
            "50,000 steps, one run",
            of={"double": False, "n_step": 1},
        ),
    ),
)
