"""The small CNN on SVHN that five comparison tables share: each varies one hyperparameter."""

from __future__ import annotations

from dataclasses import dataclass
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
from trainables.data.load import load_svhn
from trainables.data.svhn import SVHN
from trainables.models.convnet import small_cnn
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
    """The published baseline: Adam at 1e-3, batches of 256, one epoch per report.

    `rotation` is the largest angle in degrees, `solarize` a probability per image; `extra` adds
    the 531,131 extra digits to train.
    """

    seed: int = 0
    batch_size: int = 256
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    rotation: float = 0.0
    solarize: float = 0.0
    extra: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_fraction(self, "momentum")
        check_at_least(self, 1, "batch_size", "epochs")
        check_between(self, 0, 180, "rotation")
        check_between(self, 0, 1, "solarize")


def build_network() -> nn.Module:
    """Build the small CNN: (n, 3, 32, 32) -> (n, 10)."""
    return small_cnn(len(SVHN.classes))


def train(config: Config, run: Run) -> Loop:
    """Train one CNN."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(), load_svhn(run, config.extra))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load SVHN, downloading and decoding it the first time."""
    return build_ground_truth(load_svhn(run, config.extra))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained CNN: (n, 3, 32, 32) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(), SVHN.shape, SVHN.classes, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
)
