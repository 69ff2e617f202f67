"""Models of different sizes on MNIST: a perceptron and three CNNs with skip connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from trainables.checks import check_at_least, check_positive
from trainables.data.load import load_images
from trainables.data.mnist import MNIST
from trainables.models.mlp import mlp
from trainables.models.residual import block_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.vision.classification import (
    build_ground_truth,
    restore_classifier,
    train_classifier,
)

Model = Literal["mlp", "cnn0", "cnn1", "cnn2"]
FILTERS = {"cnn0": 16, "cnn1": 32, "cnn2": 64}


@dataclass(frozen=True)
class Config:
    """Settings of one training, the same for every model."""

    seed: int = 0
    model: Model = "mlp"
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    batch_size: int = 128
    epochs: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_at_least(self, 1, "batch_size", "epochs")


def build_network(config: Config) -> nn.Module:
    """Build the named model: (n, 1, 28, 28) -> (n, 10)."""
    if config.model == "mlp":
        return mlp(28 * 28, [512, 512, 512], 10)
    return block_cnn(blocks=2, filters=FILTERS[config.model], skip=True, channels=1)


def train(config: Config, run: Run) -> Loop:
    """Train one model."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(config), load_images(MNIST, run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load MNIST, downloading and decoding it the first time."""
    return build_ground_truth(load_images(MNIST, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained model: (n, 1, 28, 28) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(config), MNIST.shape, MNIST.classes, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
)
