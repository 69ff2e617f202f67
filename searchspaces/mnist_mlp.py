"""How far does a small perceptron get on MNIST, and which of its settings matter?

It begins with the published setting: layers of 128, 64 and 10 units, Adam at 1e-4, batches of
2,048, 15 epochs; loss and accuracy on train and validation every epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from searchspaces import SearchSpace
from trainables.data.images import ImageData, load
from trainables.data.mnist import MNIST
from trainables.models.mlp import mlp
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, restored, truth

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training; `width` units in the first hidden layer, half in each next."""

    seed: int = 0
    depth: int = 2  # hidden layers
    width: int = 128
    dropout: float = 0.0
    batch_size: int = 2048
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-4
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")
        if min(self.depth, self.batch_size, self.epochs) < 1:
            raise ValueError("depth, batch_size and epochs must be at least 1")
        if self.width < 2 ** (self.depth - 1):
            raise ValueError(
                f"width={self.width} halved from layer to layer leaves none of depth={self.depth}"
            )


def network(config: Config) -> torch.nn.Module:
    """Build the perceptron that a configuration describes; (n, 1, 28, 28) -> (n, 10)."""
    hidden = [config.width // 2**layer for layer in range(config.depth)]
    return mlp(28 * 28, hidden, 10, config.dropout)


def images(run: Run) -> ImageData:
    """Load MNIST for a run."""
    return load(MNIST, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def train(config: Config, run: Run) -> Loop:
    """Train one perceptron."""
    seed_everything(config.seed)
    yield from classify(config, run, network(config), images(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch MNIST and decode it once for this machine."""
    return truth(images(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the optimization, the shape and the regularisation."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 3e-5, 1e-2, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [128, 256, 512, 1024, 2048]),
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 64, 512, step=64),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained perceptron: (n, 1, 28, 28) uint8 pixels to (n, 10) probabilities."""
    return restored(network(config), MNIST.shape, MNIST.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=15,
    min_reports=2,
    trials=40,
    prepare=prepare,
    compare=("depth", "batch_size"),
    restore=restore,
)
