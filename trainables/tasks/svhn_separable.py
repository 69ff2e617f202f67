"""CNNs on SVHN whose number of parameters is limited, of separable or full convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data.load import load_svhn
from trainables.data.svhn import SIZE, SVHN
from trainables.models.separable import separable_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.vision.classification import (
    build_ground_truth,
    restore_classifier,
    train_classifier,
)

LIMIT = 150_000  # parameters


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value.

    `depths` are the blocks of each group, joined by dashes, `halve` the groups that begin by
    halving the resolution. `width` is the channels of the first group, `growth` what each group
    adds, `expansion` by how much a bottleneck is wider inside. The last map is averaged to
    `pooled_size` x `pooled_size`, and `head` are the units of a hidden layer before the output (0:
    none). `extra` adds SVHN's extra digits to train.
    """

    seed: int = 0
    stem: int = 32
    width: int = 64
    growth: int = 32
    depths: str = "1-2-2-2-1"
    halve: str = "1-2-3"
    convolution: Literal["separable", "bottleneck", "full"] = "separable"
    expansion: int = 3
    kernels: Literal["3", "5", "3+5", "3+5+7"] = "3"
    batch_norm: bool = True
    skip: bool = False
    pooled_size: int = 1
    head: int = 0
    dropout: float = 0.02
    dropout_after: Literal["group", "convolution"] = "group"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 4e-3
    momentum: float = 0.9
    weight_decay: float = 0.05
    batch_size: int = 64
    label_smoothing: float = 0.05
    schedule: Literal["one_cycle", "cosine", "linear", "constant"] = "one_cycle"
    shift: int = 2
    extra: bool = False
    compile: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_fraction(self, "dropout", "momentum", "label_smoothing")
        check_at_least(self, 1, "batch_size", "epochs", "expansion", "pooled_size")
        check_between(self, 0, SIZE - 1, "shift")
        check_at_least(self, 0, "head")
        groups = len(read_numbers(self.depths))
        if any(group >= groups for group in read_numbers(self.halve)):
            raise ValueError(
                f"halve={self.halve!r} names a group that depths={self.depths!r} does not have"
            )
        narrowest = min(self.stem, self.width, self.width + (groups - 1) * self.growth)
        if narrowest < len(read_numbers(self.kernels)):
            raise ValueError(
                f"kernels={self.kernels!r} need a channel each, but stem={self.stem} and "
                f"width={self.width} with growth={self.growth} leave {narrowest}"
            )


def read_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a text joins by - or +; raises ValueError for other texts."""
    return tuple(int(part) for part in text.replace("+", "-").split("-"))


def build_network(config: Config) -> nn.Module:
    """Build the network: (n, 3, 32, 32) -> (n, 10)."""
    return separable_cnn(
        stem=config.stem,
        width=config.width,
        growth=config.growth,
        depths=read_numbers(config.depths),
        halve=read_numbers(config.halve),
        convolution=config.convolution,
        kernels=read_numbers(config.kernels),
        batch_norm=config.batch_norm,
        skip=config.skip,
        expansion=config.expansion,
        dropout=config.dropout,
        dropout_after=config.dropout_after,
        pooled_size=config.pooled_size,
        head=config.head,
    )


def feasible(config: Config) -> str | None:
    """Return why a configuration is infeasible: it has more than 150,000 parameters."""
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in build_network(config).parameters())
    return f"{parameters:,} parameters, over {LIMIT:,}" if parameters > LIMIT else None


def train(config: Config, run: Run) -> Loop:
    """Train one network."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(config), load_svhn(run, config.extra))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load SVHN, downloading and decoding it the first time."""
    return build_ground_truth(load_svhn(run, config.extra))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: (n, 3, 32, 32) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(config), SVHN.shape, SVHN.classes, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    feasible=feasible,
    prepare=prepare,
    restore=restore,
)
