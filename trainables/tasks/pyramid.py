"""PyramidCNN on photographs of indoor scenes, without pretrained weights."""

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
from trainables.data.load import load_photos
from trainables.data.losses import ACCEPTED
from trainables.data.mit67 import MIT67
from trainables.models.pyramid import build_classifier, build_encoder
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.task import Task
from trainables.vision.classification import build_ground_truth
from trainables.vision.photo_classifier import restore_photo_classifier, train_photo_classifier


@dataclass(frozen=True)
class Config:
    """Settings of one training; the defaults are the published ones.

    `size` is an image's side in pixels, `filters` the channels of the first block, `depth` the
    convolutions per block, `fc_width` the units of each fully connected layer but the last;
    `augment` turns on flips, shifts and rotations; `compile` trains by torch.compile, for GPUs.
    `accept_losses` is the fraction of photographs that may be unusable.
    """

    seed: int = 0
    size: int = 256
    blocks: int = 5
    depth: int = 2
    kernel: int = 3
    filters: int = 16
    fc_layers: int = 2
    fc_width: int = 256
    dropout: float = 0.25
    batch_norm: bool = True
    narrowing: Literal["pool", "stride"] = "pool"
    non_local: bool = False
    augment: bool = True
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 1e-3
    label_smoothing: float = 0.1
    batch_size: int = 32
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    patience: int = 6
    compile: bool = False
    epochs: int = 1
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_fraction(self, "dropout", "momentum", "label_smoothing")
        check_at_least(self, 1, "blocks", "depth", "filters", "fc_layers", "fc_width")
        check_at_least(self, 1, "batch_size", "epochs")
        check_at_least(self, 0, "patience")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}")
        if self.size < 2**self.blocks:
            raise ValueError(
                f"size={self.size} is too small for blocks={self.blocks}, each of which halves "
                f"it: it must be at least {2**self.blocks}"
            )


def build_network(config: Config, classes: int) -> nn.Module:
    """Build the network: (n, 3, size, size) -> (n, classes)."""
    body = build_encoder(
        filters=config.filters,
        blocks=config.blocks,
        depth=config.depth,
        kernel=config.kernel,
        dropout=config.dropout,
        batch_norm=config.batch_norm,
        narrowing=config.narrowing,
        non_local=config.non_local,
    )
    return build_classifier(body, [config.fc_width] * (config.fc_layers - 1), classes)


def train(config: Config, run: Run) -> Loop:
    """Train one network; stops after `patience` epochs without improvement."""
    data = load_photos(MIT67, run, config.size, config.accept_losses)
    yield from train_photo_classifier(config, run, data, partial(build_network, config))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load the photographs, resizing them the first time."""
    return build_ground_truth(load_photos(MIT67, run, config.size, config.accept_losses))


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
