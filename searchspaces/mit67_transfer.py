"""How far does a network that has seen millions of other photographs get in telling rooms?

MIT Indoor-67, or photographs of your own: `--data-dir my_photos`, a folder of class folders.
A torchvision classifier with pretrained weights and a new head, of which the head and the last
layers learn. ImageNet's weights come from torchvision's server, or with `--weights-dir FOLDER`
from a folder; those of Places365 (`--set origin=places365`) from a folder alone. With
`--set origin=none` nothing is pretrained, and every layer learns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from searchspaces import Published, SearchSpace
from trainables.data.mit67 import MIT67
from trainables.models.backbones import get_pretrained_mean_std
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, truth
from trainables.vision.photo_classifier import images, labelled, pretrained, restored_labelled

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value.

    `backbone` is any torchvision classifier, `unfrozen` how many of its last layers learn beside
    the new head (a layer has weights of its own: a convolution, a batch norm), `hidden` the units
    of a second layer in that head (0: none), `size` an image's side and `shift` in pixels.
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

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        for name in ("dropout", "momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        for name in ("unfrozen", "hidden"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")
        if min(self.batch_size, self.epochs, self.size) < 1:
            raise ValueError("batch_size, epochs and size must be at least 1")
        if not 0 <= self.shift < self.size:
            raise ValueError(f"shift must be in [0, {self.size}) pixels, not {self.shift}")


def network(config: Config, classes: int, run: Run | None = None) -> torch.nn.Module:
    """Build backbone and head, with pretrained weights where it is for a run."""
    return pretrained(
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


def train(config: Config, run: Run) -> Loop:
    """Fine-tune one network."""
    data = images(MIT67, run, config.size)
    seed_everything(config.seed)
    model = labelled(network(config, len(data.classes), run), data.classes)
    moments = None if config.origin == "none" else get_pretrained_mean_std(config.backbone)
    yield from classify(config, run, model, data, moments=moments)


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find the photographs and the pretrained weights before a search begins."""
    data = images(MIT67, run, config.size)
    if run.share == 1:  # not where the data alone are wanted
        network(config, len(data.classes), run)
    return truth(data)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the backbone, how much of it learns, the head and the optimization."""
    return {
        "backbone": trial.suggest_categorical(
            "backbone", ["resnet18", "resnet50", "densenet169", "efficientnet_b0", "convnext_tiny"]
        ),
        "unfrozen": trial.suggest_int("unfrozen", 0, 40, step=4),
        "hidden": trial.suggest_categorical("hidden", [0, 256, 512]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net: (n, 3, size, size) uint8 pixels to (n, classes) probabilities."""
    return restored_labelled(lambda classes: network(config, classes), config.size, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=15,
    min_reports=2,
    trials=30,
    prepare=prepare,
    restore=restore,
    compare=("backbone", "unfrozen"),
    published=(
        Published("ResNet-50 pretrained on Places365", 83.02, "accuracy, %", "split not stated"),
    ),
)
