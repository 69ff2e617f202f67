"""Networks of different depth on photographs of flowers, without pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn

from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data.flowers import FLOWER_SOURCES
from trainables.data.load import load_photos
from trainables.data.losses import ACCEPTED
from trainables.models.backbones import build_backbone, check_size
from trainables.models.convnet import convnet
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.task import Task
from trainables.vision.classification import build_ground_truth
from trainables.vision.photo_classifier import restore_photo_classifier, train_photo_classifier


@dataclass(frozen=True)
class Config:
    """Settings of one training; `size` is an image's side in pixels.

    `network` is convnetN with an odd number N of convolutions, or any torchvision classifier.
    `accept_losses` is the fraction of photographs that may be unusable.
    """

    seed: int = 0
    network: str = "convnet3"
    dataset: Literal["flowers", "flowers102"] = "flowers"
    size: int = 128
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 32
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    flip: bool = False
    shift: int = 0
    epochs: int = 1
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_fraction(self, "momentum")
        check_at_least(self, 1, "batch_size", "epochs", "size")
        check_between(self, 0, self.size - 1, "shift")
        count = read_convolutions(self.network)
        if count is not None and count % 2 == 0:
            raise ValueError(f"network={self.network!r} must have an odd number of layers")


def read_convolutions(network: str) -> int | None:
    """Return N of convnetN, or None for any other name."""
    count = network.removeprefix("convnet")
    return int(count) if count != network and count.isdecimal() else None


def build_network(config: Config, classes: int) -> nn.Module:
    """Build the network: (n, 3, size, size) -> (n, classes)."""
    count = read_convolutions(config.network)
    if count is not None:
        return convnet(count, classes)
    network = build_backbone(config.network, classes)
    check_size(network, config.size)
    return network


def train(config: Config, run: Run) -> Loop:
    """Train one network with random initial weights."""
    data = load_photos(FLOWER_SOURCES[config.dataset], run, config.size, config.accept_losses)
    yield from train_photo_classifier(config, run, data, partial(build_network, config))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load the flowers; raises UserError if the network does not accept their size."""
    data = load_photos(FLOWER_SOURCES[config.dataset], run, config.size, config.accept_losses)
    build_network(config, len(data.classes))
    return build_ground_truth(data)


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: (n, 3, size, size) uint8 pixels -> (n, classes) probabilities."""
    return restore_photo_classifier(partial(build_network, config), config.size, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
)
