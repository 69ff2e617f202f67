"""CNNs of different depth on CIFAR-10, with and without skip connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from trainables.checks import check_at_least, check_between, check_non_negative, check_positive
from trainables.data.cifar10 import CIFAR10
from trainables.data.load import load_images
from trainables.models.residual import block_cnn
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
    """Settings of one training; `blocks` are per stage, `shift` is in pixels.

    Each of `stages` halves the resolution of 32 x 32 pixels.
    """

    seed: int = 0
    blocks: int = 1
    skip: bool = False
    stages: int = 2
    filters: int = 16
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 4e-4
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    batch_size: int = 128
    shift: int = 0
    flip: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_at_least(self, 1, "blocks", "filters", "batch_size", "epochs")
        check_between(self, 1, 5, "stages")
        check_between(self, 0, 31, "shift")


def build_network(config: Config) -> nn.Module:
    """Build the network: (n, 3, 32, 32) -> (n, 10)."""
    return block_cnn(
        blocks=config.blocks, filters=config.filters, skip=config.skip, stages=config.stages
    )


def train(config: Config, run: Run) -> Loop:
    """Train one network."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(config), load_images(CIFAR10, run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load CIFAR-10, downloading and decoding it the first time."""
    return build_ground_truth(load_images(CIFAR10, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: (n, 3, 32, 32) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(config), CIFAR10.shape, CIFAR10.classes, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
)
