"""How well can a network read rooms from 12,500 photographs and no outside data?

MIT Indoor-67 (Quattoni and Torralba, 2009). PyramidCNN: blocks of convolutions, each twice as
wide and half as large as the last, mean pool and fully connected layers. Published, beside the
scores below: batch norm and augmentation helped; pre-training as an autoencoder (see
`mit67_autoencoder`) and non-local blocks (Wang et al., 2018) did not.
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
from trainables.models.pyramid import build_classifier, build_encoder
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, truth
from trainables.vision.photo_classifier import images, labelled, restored_labelled

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training; the defaults are the published ones.

    `size` is an image's side in pixels, `filters` the channels of the first block, `depth` the
    convolutions per block, `fc_width` the units of each fully connected layer but the last;
    `compile` trains by torch.compile, for GPUs.
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

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        for name in ("dropout", "momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        for name in (
            "blocks",
            "depth",
            "filters",
            "fc_layers",
            "fc_width",
            "batch_size",
            "epochs",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}")
        if self.size < 2**self.blocks:
            raise ValueError(
                f"{self.blocks} blocks halve an image of size={self.size} more often than they can"
            )
        if self.patience < 0:
            raise ValueError(f"patience must not be negative: {self.patience}")

    @property
    def flip(self) -> bool:
        return self.augment

    @property
    def shift(self) -> int:
        return self.size // 16 if self.augment else 0

    @property
    def rotation(self) -> float:
        return 10.0 if self.augment else 0.0


def network(config: Config, classes: int) -> torch.nn.Module:
    """Build the net that a configuration describes; (n, 3, size, size) -> (n, classes)."""
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
    """Train one net; it ends early after `patience` epochs without a better one."""
    data = images(MIT67, run, config.size)
    seed_everything(config.seed)
    model = labelled(network(config, len(data.classes)), data.classes)
    yield from classify(config, run, model, data)


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find the photographs and prepare them once for this machine."""
    return truth(images(MIT67, run, config.size))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the shape, what regularises it and the optimization."""
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    rates = {"adam": (3e-5, 3e-3), "sgd": (3e-3, 0.3)}[optimizer]
    return {
        "optimizer": optimizer,
        "learning_rate": trial.suggest_float(f"learning_rate.{optimizer}", *rates, log=True),
        "momentum": trial.suggest_float("momentum", 0.8, 0.95) if optimizer == "sgd" else 0.9,
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-2, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "augment": trial.suggest_categorical("augment", [True, False]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "narrowing": trial.suggest_categorical("narrowing", ["pool", "stride"]),
        "non_local": trial.suggest_categorical("non_local", [False, True]),
        "kernel": trial.suggest_categorical("kernel", [3, 5]),
        "blocks": trial.suggest_int("blocks", 3, 6),
        "depth": trial.suggest_int("depth", 1, 3),
        "filters": trial.suggest_categorical("filters", [8, 16, 32]),
        "fc_layers": trial.suggest_int("fc_layers", 1, 3),
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
    reports=100,
    min_reports=10,
    trials=40,
    prepare=prepare,
    restore=restore,
    compare=("batch_norm", "augment", "non_local"),
    published=(
        Published("PyramidCNN, best single", 58.0, "validation accuracy, %"),
        Published("ensemble of 10 trained independently", 64.0, "validation accuracy, %"),
        Published("ensemble of 10 trained independently", 63.0, "test accuracy, %"),
    ),
)
