"""A multilayer perceptron on MNIST, each hidden layer half as wide as the one before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from trainables.checks import check_at_least, check_fraction, check_positive
from trainables.data.load import load_images
from trainables.data.mnist import MNIST
from trainables.models.mlp import mlp
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.vision.classification import (
    build_ground_truth,
    restore_classifier,
    train_classifier,
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; `width` is that of the first of `depth` hidden layers."""

    seed: int = 0
    depth: int = 2
    width: int = 128
    dropout: float = 0.0
    batch_size: int = 2048
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-4
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    epochs: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_fraction(self, "dropout")
        check_at_least(self, 1, "depth", "batch_size", "epochs")
        if self.width < 2 ** (self.depth - 1):
            raise ValueError(
                f"width={self.width} cannot be halved for each of depth={self.depth} layers"
            )


def build_network(config: Config) -> nn.Module:
    """Build the perceptron: (n, 1, 28, 28) -> (n, 10)."""
    hidden = [config.width // 2**layer for layer in range(config.depth)]
    return mlp(28 * 28, hidden, 10, config.dropout)


def train(config: Config, run: Run) -> Loop:
    """Train one perceptron."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(config), load_images(MNIST, run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load MNIST, downloading and decoding it the first time."""
    return build_ground_truth(load_images(MNIST, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained perceptron: (n, 1, 28, 28) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(config), MNIST.shape, MNIST.classes, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
)
