"""What shape of a small transformer foretells Dante best, one character at a time?

A GPT (Radford et al., 2019) reads most of the Inferno and is scored on cantos that follow, in
nats per character. 144,000 characters are few: a large model soon knows them by heart, so size
and dropout are searched together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchspaces import SearchSpace
from trainables.data.dante import Text, load
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.language_model import read, restored, truth

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value, `steps` are per report.

    `block` is how many characters the model sees at most, `warmup` the share of the training in
    which the learning rate rises, `clip` the largest gradient norm (0: none).
    """

    seed: int = 0
    layers: int = 4
    heads: int = 4
    width: int = 128
    block: int = 64
    dropout: float = 0.2
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    warmup: float = 0.05
    clip: float = 1.0
    batch_size: int = 32
    steps: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        for name in ("weight_decay", "clip"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")
        for name in ("layers", "heads", "width", "block", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("dropout", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")


def feasible(config: Config) -> str | None:
    """Refuse a width that the heads cannot share."""
    if config.width % config.heads:
        return f"width {config.width} is not a multiple of {config.heads} heads"
    return None


def inferno(run: Run) -> Text:
    """Load the Inferno for a run."""
    return load(run.data, run.cache, run.source, download=run.download)


def train(config: Config, run: Run) -> Loop:
    """Train one model."""
    seed_everything(config.seed)
    yield from read(config, run, inferno(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch the Inferno."""
    return truth(config, inferno(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the shape, dropout and the learning rate."""
    return {
        "layers": trial.suggest_int("layers", 1, 6),
        "heads": trial.suggest_categorical("heads", [1, 2, 4, 6, 8]),
        "width": trial.suggest_int("width", 32, 256, step=32),
        "block": trial.suggest_categorical("block", [32, 64, 128, 256]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained model: texts (n,) to the probabilities of the character that follows."""
    return restored(config, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_loss",
    mode="min",
    reports=20,
    min_reports=3,
    trials=30,
    feasible=feasible,
    prepare=prepare,
    restore=restore,
    compare=("layers", "block"),
)
