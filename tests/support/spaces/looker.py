"""What does a tiny convolutional network see in digits?

A network with a pooled linear head, for tests of what looks into networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from searchspaces.space import SearchSpace
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.digits import CLASSES, load_digits
from trainables.vision.classification import (
    build_ground_truth,
    restore_classifier,
    train_classifier,
)


@dataclass(frozen=True)
class Config:
    """Settings of one training."""

    seed: int = 0
    width: int = 24
    learning_rate: float = 3e-2
    batch_size: int = 64
    epochs: int = 4


def network(config: Config) -> nn.Module:
    """Build the net: (n, 1, 8, 8) -> (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, config.width, 3, padding=1),
        nn.BatchNorm2d(config.width),
        nn.ReLU(),
        nn.Conv2d(config.width, config.width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(config.width, len(CLASSES)),
    )


def train(config: Config, run: Run) -> Loop:
    """Train one net."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, network(config), load_digits())


def prepare(config: Config, run: Run) -> GroundTruth:
    """Nothing to fetch: the data come with scikit-learn."""
    return build_ground_truth(load_digits())


def suggest(trial: Any) -> Mapping[str, Any]:
    """Search the width."""
    return {"width": trial.suggest_int("width", 4, 32)}


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net."""
    return restore_classifier(network(config), (1, 8, 8), CLASSES, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=2,
    prepare=prepare,
    restore=restore,
)
