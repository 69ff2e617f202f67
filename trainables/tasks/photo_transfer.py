"""Transfer to photographs of indoor scenes, or the user's own, from pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
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
from trainables.data.load import load_photos
from trainables.data.losses import ACCEPTED
from trainables.data.source import Source
from trainables.models.backbones import get_pretrained_mean_std
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.task import Task
from trainables.vision.classification import build_ground_truth
from trainables.vision.photo_classifier import (
    build_pretrained,
    restore_photo_classifier,
    train_photo_classifier,
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value.

    `backbone` is any torchvision classifier, `unfrozen` how many of its last layers are trained
    beside the new head (a layer has weights: a convolution, a batch norm), `hidden` the units of
    a second layer in that head (0: none), `size` an image's side and `shift` in pixels.
    `accept_losses` is the fraction of photographs that may be unusable.
    """

    seed: int = 0
    backbone: str = "resnet50"
    origin: Literal["imagenet", "places365", "none"] = "imagenet"
    unfrozen: int = 0
    hidden: int = 0
    dropout: float = 0.0
    size: int = 224
    flip: bool = True
    shift: int = 16
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    batch_size: int = 32
    schedule: Literal["one_cycle", "cosine", "linear", "constant"] = "cosine"
    epochs: int = 1
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_fraction(self, "dropout", "momentum", "label_smoothing")
        check_at_least(self, 0, "unfrozen", "hidden")
        check_at_least(self, 1, "batch_size", "epochs", "size")
        check_between(self, 0, self.size - 1, "shift")


def find_size() -> int:
    """Return the side of an image that this machine can train on: smaller without a GPU."""
    return 224 if torch.cuda.is_available() else 128


@dataclass(frozen=True)
class OwnConfig(Config):
    """The same settings for photographs of the user's own; `size` fits the machine."""

    backbone: str = "resnet18"
    size: int = field(default_factory=find_size)
    shift: int = 8


def build_network(config: Config, classes: int, run: Run | None = None) -> nn.Module:
    """Build backbone and head, with pretrained weights if built for a run."""
    return build_pretrained(
        config.backbone,
        classes,
        run,
        size=config.size,
        origin=config.origin,
        unfrozen=config.unfrozen,
        hidden=config.hidden,
        dropout=config.dropout,
        alternative="train from scratch with --set origin=none",
    )


def train(source: Source, config: Config, run: Run) -> Loop:
    """Fine-tune one network."""
    data = load_photos(source, run, config.size, config.accept_losses)
    build = partial(build_network, config, run=run)
    mean_std = None if config.origin == "none" else get_pretrained_mean_std(config.backbone)
    yield from train_photo_classifier(config, run, data, build, mean_std)


def prepare(source: Source, config: Config, run: Run) -> GroundTruth:
    """Load the photographs and the pretrained weights, so that a search does not start without."""
    data = load_photos(source, run, config.size, config.accept_losses)
    if run.share == 1:  # not where only the data are needed
        build_network(config, len(data.classes), run)
    return build_ground_truth(data)


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: (n, 3, size, size) uint8 pixels -> (n, classes) probabilities."""
    return restore_photo_classifier(partial(build_network, config), config.size, folder)


def task(source: Source, config: type[Config]) -> Task[Config]:
    """Return the task of classifying photographs of a source, with the defaults of a Config."""
    return Task(
        config=config,
        train=partial(train, source),
        metric="validation_accuracy",
        mode="max",
        prepare=partial(prepare, source),
        restore=restore,
    )
